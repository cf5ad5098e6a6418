package targets

import (
	"eksnet.dev/engine/internal/loadbalancer/desired"
	"eksnet.dev/engine/internal/loadbalancer/health"
)

// routing is which targets may get requests at a moment. It is never changed, only replaced.
type routing struct {
	// everywhere are the targets for each node, or with cross-zone off zones has them for each zone.
	everywhere []*Target
	zones      map[string][]*Target
	crossZone  bool
	// fewest sends to the target with the fewest outstanding requests.
	fewest bool
	// failing are the zones whose nodes have too few healthy targets.
	failing map[string]bool
}

// The two decisions that the number of healthy targets is for, as their attributes are named.
const (
	routingFailover = "target_group_health.unhealthy_state_routing."
	dnsFailover     = "target_group_health.dns_failover."
)

func newRouting(group *desired.TargetGroup, crossZone bool, targets []*Target, states map[*Target]health.State, nodes []Node) *routing {
	r := &routing{
		crossZone: crossZone, zones: map[string][]*Target{}, failing: map[string]bool{},
		fewest: group.Attributes["load_balancing.algorithm.type"] == "least_outstanding_requests",
	}
	r.everywhere = usable(group, targets, states)
	for _, node := range nodes {
		own := targets
		if !r.crossZone {
			own = inZone(targets, node.Zone)
			r.zones[node.Zone] = usable(group, own, states)
		}
		registered, healthy := count(own, states)
		r.failing[node.Zone] = healthy < minimum(group, dnsFailover, registered)
	}
	return r
}

func inZone(targets []*Target, zone string) []*Target {
	var all []*Target
	for _, target := range targets {
		if target.Zone == zone || target.Zone == desired.AnyZone || target.Zone == "" {
			all = append(all, target)
		}
	}
	return all
}

// usable returns the targets that get requests: the healthy ones. When these are too few the group
// fails open, and the unhealthy ones get requests too.
func usable(group *desired.TargetGroup, targets []*Target, states map[*Target]health.State) []*Target {
	registered, healthy := count(targets, states)
	open := healthy < minimum(group, routingFailover, registered)
	var all []*Target
	for _, target := range targets {
		if state := states[target]; isHealthy(state) || open && state == health.Unhealthy {
			all = append(all, target)
		}
	}
	return all
}

func isHealthy(state health.State) bool {
	return state == health.Healthy || state == health.Unavailable
}

func count(targets []*Target, states map[*Target]health.State) (registered, healthy int) {
	for _, target := range targets {
		if states[target] != health.Draining {
			registered++
		}
		if isHealthy(states[target]) {
			healthy++
		}
	}
	return registered, healthy
}

// minimum returns how many targets have to be healthy: the count, and the percentage rounded up.
func minimum(group *desired.TargetGroup, decision string, registered int) int {
	least := group.Attributes.Number(decision+"minimum_healthy_targets.count", 1)
	percentage := group.Attributes.Number(decision+"minimum_healthy_targets.percentage", 0)
	return max(least, (registered*percentage+99)/100)
}

// Pick returns the target that gets the next request of a node, or nothing when none can.
func (g *Group) Pick(zone string) *Target {
	candidates := g.candidates(zone)
	if len(candidates) == 0 {
		return nil
	}
	turn := g.next.Add(1) - 1
	first := candidates[turn%uint64(len(candidates))]
	if !g.routing.Load().fewest {
		return first
	}
	// Of those that have as few, the one whose turn it is.
	best := first
	for i := range candidates {
		candidate := candidates[(turn+uint64(i))%uint64(len(candidates))]
		if candidate.outstanding.Load() < best.outstanding.Load() {
			best = candidate
		}
	}
	return best
}

// Find returns a target that a client was bound to, if it may still get requests.
func (g *Group) Find(zone, key string) *Target {
	for _, target := range g.candidates(zone) {
		if target.Key() == key {
			return target
		}
	}
	return nil
}

func (g *Group) candidates(zone string) []*Target {
	r := g.routing.Load()
	if r.crossZone {
		return r.everywhere
	}
	return r.zones[zone]
}

// FailsIn tells whether a zone's nodes have fewer healthy targets than the group asks for.
func (g *Group) FailsIn(zone string) bool { return g.routing.Load().failing[zone] }
