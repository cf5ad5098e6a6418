package targets

import (
	"log"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"eksnet.dev/engine/internal/loadbalancer/desired"
	"eksnet.dev/engine/internal/loadbalancer/health"
)

// Observed is how targets are, by target group and key.
type Observed map[string]map[string]health.Status

// Registry is all target groups.
type Registry struct {
	changed func()
	resumed Observed

	mu     sync.RWMutex
	groups map[string]*Group
}

// NewRegistry returns a registry without groups. Targets that were healthy or unhealthy before a
// restart are so until a check says otherwise. It calls changed after each change of a target.
func NewRegistry(resumed Observed, changed func()) *Registry {
	return &Registry{changed: changed, resumed: resumed, groups: map[string]*Group{}}
}

// Update takes the target groups over as they are desired.
func (r *Registry) Update(state desired.State) {
	nodes := nodesByARN(state.LoadBalancers)
	r.mu.Lock()
	defer r.mu.Unlock()
	wanted := map[string]bool{}
	for _, given := range state.TargetGroups {
		wanted[given.ARN] = true
		group := r.groups[given.ARN]
		if group == nil {
			group = newGroup(given.ARN, r.known(given.ARN), r.changed)
			r.groups[given.ARN] = group
		}
		var users []Node
		for _, user := range slices.Sorted(slices.Values(given.UsedBy)) {
			users = append(users, nodes[user]...)
		}
		balancers := slices.DeleteFunc(slices.Clone(state.LoadBalancers), func(l desired.LoadBalancer) bool {
			return !slices.Contains(given.UsedBy, l.ARN)
		})
		group.update(given, users, given.CrossZone(balancers))
	}
	for arn, group := range r.groups {
		if !wanted[arn] {
			group.gone()
			delete(r.groups, arn)
			r.changed()
		}
	}
	r.resumed = nil
}

// known returns what is worth knowing from before a restart: what the checks had found.
func (r *Registry) known(arn string) map[string]health.Status {
	found := maps.Clone(r.resumed[arn])
	maps.DeleteFunc(found, func(_ string, status health.Status) bool {
		return status.State != health.Healthy && status.State != health.Unhealthy
	})
	return found
}

func nodesByARN(balancers []desired.LoadBalancer) map[string][]Node {
	all := map[string][]Node{}
	for _, balancer := range balancers {
		for _, zone := range balancer.Zones {
			address, err := netip.ParseAddr(zone.Private)
			if err != nil {
				log.Printf("load balancer %s in %s: %v", balancer.Name, zone.Zone, err)
				continue
			}
			all[balancer.ARN] = append(all[balancer.ARN], Node{zone.Zone, address})
		}
	}
	return all
}

// Group returns a target group, or nothing.
func (r *Registry) Group(arn string) *Group {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.groups[arn]
}

// Observed returns how all targets are.
func (r *Registry) Observed() Observed {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := Observed{}
	for arn, group := range r.groups {
		all[arn] = group.Statuses()
	}
	return all
}

// ZonesInDNS returns the zones whose addresses a load balancer's name has: those whose nodes have
// enough healthy targets in each target group, or all of them when there is no such zone.
func (r *Registry) ZonesInDNS(balancer desired.LoadBalancer) []desired.Zone {
	r.mu.RLock()
	defer r.mu.RUnlock()
	healthy := slices.DeleteFunc(slices.Clone(balancer.Zones), func(zone desired.Zone) bool {
		for _, group := range r.groups {
			if slices.Contains(group.Settings().UsedBy, balancer.ARN) && group.FailsIn(zone.Zone) {
				return true
			}
		}
		return false
	})
	if len(healthy) == 0 {
		return balancer.Zones
	}
	return healthy
}

// Close ends all checks and requests.
func (r *Registry) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for arn, group := range r.groups {
		group.gone()
		delete(r.groups, arn)
	}
}
