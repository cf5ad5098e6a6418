package targets

import (
	"context"
	"log"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"eksnet.dev/engine/internal/loadbalancer/desired"
	"eksnet.dev/engine/internal/loadbalancer/health"
)

// The protocol versions of target groups.
const (
	HTTP1 = "HTTP1"
	HTTP2 = "HTTP2"
	GRPC  = "GRPC"
)

// Node is a load balancer's interface in a zone.
type Node struct {
	Zone    string
	Address netip.Addr
}

// Group is a target group, from its creation until it is gone. Its settings change, it stays.
type Group struct {
	ARN     string
	changed func()

	settings atomic.Pointer[desired.TargetGroup]
	routing  atomic.Pointer[routing]
	next     atomic.Uint64

	mu      sync.Mutex
	targets map[string]*Target
	// nodes are those of all load balancers that use the group.
	nodes []Node
	// crossZone tells whether each of them sends to the targets of all zones.
	crossZone bool
	check     health.Check
	resumed   map[string]health.Status
}

func newGroup(arn string, resumed map[string]health.Status, changed func()) *Group {
	g := &Group{ARN: arn, changed: changed, targets: map[string]*Target{}, resumed: resumed}
	g.settings.Store(&desired.TargetGroup{})
	g.routing.Store(&routing{})
	return g
}

// Settings returns the group as it is desired now.
func (g *Group) Settings() *desired.TargetGroup { return g.settings.Load() }

// Version returns the protocol version in which targets are spoken to.
func (g *Group) Version() string {
	if version := g.Settings().ProtocolVersion; version != "" {
		return version
	}
	return HTTP1
}

// update takes new settings, targets and nodes over. A health check that cannot be read leaves the
// one that there was.
func (g *Group) update(given desired.TargetGroup, nodes []Node, crossZone bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	check, err := health.NewCheck(given)
	if err != nil {
		log.Printf("target group %s: %v", given.Name, err)
		check = g.check
	}
	old := g.Settings()
	again := !reflect.DeepEqual(old.HealthCheck, given.HealthCheck) || !slices.Equal(g.nodes, nodes)
	g.settings.Store(&given)
	g.check, g.nodes, g.crossZone = check, nodes, crossZone
	g.updateTargets(given)
	for _, target := range g.targets {
		g.adjustChecks(target, again)
	}
	g.resumed = nil
	g.route()
}

func (g *Group) updateTargets(given desired.TargetGroup) {
	wanted := map[string]desired.Target{}
	for _, target := range given.Targets {
		if !isDrained(target, given.DeregistrationDelay()) {
			wanted[target.Key()] = target
		}
	}
	for key, target := range g.targets {
		if want, found := wanted[key]; !found || want.Address != target.Address {
			target.gone()
			delete(g.targets, key)
		}
	}
	for key, want := range wanted {
		target := g.targets[key]
		if target == nil {
			target = newTarget(g, want)
			target.machine = health.Resume(g.resumed[key])
			g.targets[key] = target
		}
		g.drain(target, want, given.DeregistrationDelay())
		target.Zone = want.Zone
	}
}

// isDrained tells whether a deregistered target's time is over.
func isDrained(target desired.Target, delay time.Duration) bool {
	return target.DrainingSince != nil && !time.Now().Before(target.DrainingSince.Add(delay))
}

// drain begins, ends or adjusts the draining of a target.
func (g *Group) drain(target *Target, want desired.Target, delay time.Duration) {
	if target.drainedAt != nil {
		target.drainedAt.Stop()
		target.drainedAt = nil
	}
	if target.DrainingSince != nil && want.DrainingSince == nil {
		target.machine = health.Machine{} // registered anew
	}
	target.DrainingSince = want.DrainingSince
	if want.DrainingSince != nil {
		left := time.Until(want.DrainingSince.Add(delay))
		target.drainedAt = time.AfterFunc(left, func() { g.drop(target) })
	}
}

func (g *Group) drop(target *Target) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.targets[target.Key()] == target && target.DrainingSince != nil {
		target.gone()
		delete(g.targets, target.Key())
		g.route()
	}
}

// status tells how a target is: what its registration says, or else what the checks found.
func (g *Group) status(target *Target) health.Status {
	switch {
	case target.DrainingSince != nil:
		return health.IsDraining
	case len(g.nodes) == 0:
		return health.NotUsed
	case !g.isEnabled(target.Zone):
		return health.ZoneNotEnabled
	case !g.check.Enabled:
		return health.NotChecked
	default:
		return target.machine.Status()
	}
}

func (g *Group) isEnabled(zone string) bool {
	return zone == "" || zone == desired.AnyZone ||
		slices.ContainsFunc(g.nodes, func(n Node) bool { return n.Zone == zone })
}

// Statuses returns how all targets are, by their keys.
func (g *Group) Statuses() map[string]health.Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make(map[string]health.Status, len(g.targets))
	for key, target := range g.targets {
		all[key] = g.status(target)
	}
	return all
}

// route works out anew which targets get requests, and tells that something changed.
func (g *Group) route() {
	statuses := map[*Target]health.State{}
	ordered := slices.Sorted(maps.Keys(g.targets))
	targets := make([]*Target, 0, len(ordered))
	for _, key := range ordered {
		target := g.targets[key]
		targets = append(targets, target)
		statuses[target] = g.status(target).State
	}
	g.routing.Store(newRouting(g.Settings(), g.crossZone, targets, statuses, g.nodes))
	g.changed()
}

func (g *Group) gone() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for key, target := range g.targets {
		target.gone()
		delete(g.targets, key)
	}
	g.routing.Store(&routing{})
}

// checking is a loop of health checks, or none.
type checking struct{ cancel context.CancelFunc }

func (c *checking) stop() {
	if c.cancel != nil {
		c.cancel()
		c.cancel = nil
	}
}

// adjustChecks starts or ends the checks of a target, or starts them anew with other settings.
func (g *Group) adjustChecks(target *Target, again bool) {
	state := g.status(target).State
	wanted := state != health.Draining && state != health.Unused && state != health.Unavailable
	if target.checking.cancel != nil && wanted && !again {
		return
	}
	target.checking.stop()
	if wanted {
		ctx, cancel := context.WithCancel(context.Background())
		target.checking.cancel = cancel
		go g.checkAgainAndAgain(ctx, target, target.Target, g.check, g.nodes)
	}
}

// checkAgainAndAgain checks at once and then at each interval, however long an answer takes.
func (g *Group) checkAgainAndAgain(ctx context.Context, target *Target, given desired.Target, check health.Check, nodes []Node) {
	ticker := time.NewTicker(check.Interval)
	defer ticker.Stop()
	for {
		outcome := checkFromAll(ctx, given, check, nodes)
		if !g.note(ctx, target, outcome) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// checkFromAll checks from each node, as a load balancer does. A target passes when it answers all of them.
func checkFromAll(ctx context.Context, target desired.Target, check health.Check, nodes []Node) health.Outcome {
	outcomes := make([]health.Outcome, len(nodes))
	var running sync.WaitGroup
	for i, node := range nodes {
		running.Go(func() { outcomes[i] = check.Run(ctx, node.Address, target) })
	}
	running.Wait()
	for _, outcome := range outcomes {
		if !outcome.Passed() {
			return outcome
		}
	}
	return health.Outcome{}
}

func (g *Group) note(ctx context.Context, target *Target, outcome health.Outcome) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	before := target.machine.Status()
	target.machine.Note(outcome, g.check.Healthy, g.check.Unhealthy)
	if after := target.machine.Status(); after != before {
		log.Printf("target group %s: %s is %s %s", g.Settings().Name, target.Key(), after.State, after.Description)
		g.route()
	}
	return true
}
