package loadbalancer

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eksnet.dev/engine/internal/loadbalancer/desired"
	"eksnet.dev/engine/internal/loadbalancer/health"
)

func TestARequestReachesATarget(t *testing.T) {
	b := newBed(t, toGroup())
	var source atomic.Value
	target := b.serve(func(w http.ResponseWriter, r *http.Request) {
		source.Store(r.RemoteAddr)
		say("hello")(w, r)
	})
	b.addGroup(target)
	b.waitForStatus(target, health.IsHealthy)
	zones := b.balancer().Zones
	for zone, address := range map[int]string{0: zones[0].Private, 1: zones[1].Private} {
		request, _ := http.NewRequest(http.MethodGet, b.url(zone, "/"), nil)
		answered, body := b.do(client(), request)
		expect(t, "status", answered.StatusCode, 200)
		expect(t, "body", body, "hello")
		host, _, _ := net.SplitHostPort(source.Load().(string))
		expect(t, "the address that the target sees", host, address)
	}
	// The public address is the same node's.
	request, _ := http.NewRequest(http.MethodGet, "http://"+zones[0].Public+":8080/", nil)
	_, body := b.do(client(), request)
	expect(t, "body", body, "hello")
	host, _, _ := net.SplitHostPort(source.Load().(string))
	expect(t, "the address that the target sees", host, zones[0].Private)
}

func TestHealthFollowsTheTarget(t *testing.T) {
	b := newBed(t, toGroup())
	var status atomic.Int32
	status.Store(200)
	target := b.serveAll(func(w http.ResponseWriter, r *http.Request) {
		expect(t, "user agent", r.UserAgent(), "ELB-HealthChecker/2.0")
		expect(t, "path", r.URL.String(), "/health")
		w.WriteHeader(int(status.Load()))
	})
	silent := b.listenTarget()
	t.Cleanup(func() { silent.Close() })
	closed := b.listenTarget()
	closed.Close()
	b.addGroup(target, targetAt(silent.Addr()), targetAt(closed.Addr()))
	b.waitForStatus(target, health.IsHealthy)
	b.waitForStatus(targetAt(silent.Addr()), health.Status{State: health.Unhealthy, Reason: "Target.Timeout", Description: "Request timed out"})
	b.waitForStatus(targetAt(closed.Addr()), health.Status{State: health.Unhealthy, Reason: "Target.FailedHealthChecks", Description: "Health checks failed"})
	status.Store(503)
	b.waitForStatus(target, health.Status{
		State: health.Unhealthy, Reason: "Target.ResponseCodeMismatch", Description: "Health checks failed with these codes: [503]",
	})
	status.Store(200)
	b.waitForStatus(target, health.IsHealthy)
}

func TestANetworkLoadBalancerKnowsOneReason(t *testing.T) {
	b := newBed(t, toGroup())
	silent, closed := b.listenTarget(), b.listenTarget()
	t.Cleanup(func() { silent.Close() })
	closed.Close()
	wrong := b.serveAll(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) })
	group := newGroup(targetAt(silent.Addr()), targetAt(closed.Addr()), wrong)
	group.Protocol = "TCP"
	b.state.TargetGroups = []desired.TargetGroup{group}
	b.write()
	reason := health.Status{State: health.Unhealthy, Reason: "Target.FailedHealthChecks", Description: "Health checks failed"}
	for _, target := range []desired.Target{targetAt(silent.Addr()), targetAt(closed.Addr()), wrong} {
		b.waitForStatus(target, reason)
	}
}

func TestTargetsThatGetNoRequests(t *testing.T) {
	b := newBed(t, toGroup())
	elsewhere := b.serve(say("elsewhere"))
	elsewhere.Zone = "ap-northeast-2b"
	b.addGroup(elsewhere)
	b.waitForStatus(elsewhere, health.ZoneNotEnabled)
	answered, body := b.get("/")
	expect(t, "status of a group with only unused targets", answered.StatusCode, 503)
	expect(t, "length of the page", len(body), 162)
	expect(t, "server", answered.Header.Get("Server"), "awselb/2.0")
	b.group().UsedBy = nil
	b.write()
	b.waitForStatus(elsewhere, health.NotUsed)
	b.group().Targets = nil
	b.write()
	b.waitFor("a group without targets", func() bool { return len(b.observed().Targets[groupARN]) == 0 })
	answered, _ = b.get("/")
	expect(t, "status of a group without targets", answered.StatusCode, 503)
	b.state.TargetGroups = nil
	b.write()
	b.waitFor("no group", func() bool { return len(b.observed().Targets) == 0 })
	answered, _ = b.get("/")
	expect(t, "status without a group", answered.StatusCode, 503)
}

func TestItFailsOpen(t *testing.T) {
	b := newBed(t, toGroup())
	var broken atomic.Bool
	target := b.serveAll(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" && broken.Load() {
			w.WriteHeader(500)
		}
		say("one")(w, r)
	})
	other := b.serveAll(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			w.WriteHeader(500)
		}
		say("other")(w, r)
	})
	b.addGroup(target, other)
	mismatch := health.Status{State: health.Unhealthy, Reason: "Target.ResponseCodeMismatch", Description: "Health checks failed with these codes: [500]"}
	b.waitForStatus(target, health.IsHealthy)
	b.waitForStatus(other, mismatch)
	answers := func() map[string]int {
		seen := map[string]int{}
		for range 10 {
			_, body := b.get("/")
			seen[body]++
		}
		return seen
	}
	expect(t, "with one healthy target", fmt.Sprint(answers()), "map[one:10]")
	broken.Store(true)
	b.waitForStatus(target, mismatch)
	expect(t, "without a healthy target", fmt.Sprint(answers()), "map[one:5 other:5]")
}

func TestANewTargetWaitsForItsFirstCheck(t *testing.T) {
	b := newBed(t, toGroup())
	checked := make(chan struct{})
	target := b.serveAll(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			<-checked
		}
	})
	b.state.TargetGroups = []desired.TargetGroup{newGroup(target)}
	b.group().HealthCheck.Interval, b.group().HealthCheck.Timeout = 300, 120
	b.write()
	b.waitForStatus(target, health.InitialChecking)
	answered, _ := b.get("/")
	expect(t, "status before the first check", answered.StatusCode, 503)
	close(checked)
	b.waitForStatus(target, health.IsHealthy)
	b.waitForAnswer("/", 200)
}

func TestDraining(t *testing.T) {
	b := newBed(t, toGroup())
	begun, goOn := make(chan struct{}, 2), make(chan struct{})
	var checks sync.Mutex // held, it keeps health checks waiting
	target := b.serveAll(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			checks.Lock()
			defer checks.Unlock()
			return
		}
		begun <- struct{}{}
		select {
		case <-goOn:
		case <-r.Context().Done():
		}
		say("drained")(w, r)
	})
	b.addGroup(target)
	b.waitForStatus(target, health.IsHealthy)
	type result struct {
		status int
		body   string
	}
	results := make(chan result, 2)
	ask := func() {
		answered, body := b.get("/")
		results <- result{answered.StatusCode, body}
	}
	go ask()
	<-begun
	b.group().Attributes["deregistration_delay.timeout_seconds"] = "3600"
	b.group().Targets[0].DrainingSince = &desired.Time{Time: time.Now()}
	b.write()
	b.waitForStatus(target, health.IsDraining)
	answered, _ := b.get("/")
	expect(t, "status of a new request", answered.StatusCode, 503)
	goOn <- struct{}{}
	expect(t, "the request in flight", <-results, result{200, "drained"})

	// Registered anew, and drained again: what is in flight when the delay is over ends with 502.
	checks.Lock()
	b.group().Targets[0].DrainingSince = nil
	b.write()
	b.waitForStatus(target, health.InitialChecking)
	checks.Unlock()
	b.waitForStatus(target, health.IsHealthy)
	go ask()
	<-begun
	b.group().Attributes["deregistration_delay.timeout_seconds"] = "1"
	b.group().Targets[0].DrainingSince = &desired.Time{Time: time.Now()}
	b.write()
	expect(t, "the request that took longer", (<-results).status, 502)
	b.waitFor("the target to be gone", func() bool { return len(b.observed().Targets[groupARN]) == 0 })
}

func TestTheZoneFile(t *testing.T) {
	b := newBed(t, toGroup())
	read := func() string {
		text, err := os.ReadFile(filepath.Join(b.folder, "observed", "zone"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return string(text)
	}
	zones := b.balancer().Zones
	lineOf := func(address string) string {
		return "web-1.ap-northeast-2.elb.amazonaws.com. 60 IN A " + address + "\n"
	}
	b.waitFor("both zones in the file", func() bool {
		return strings.Contains(read(), lineOf(zones[0].Public)) && strings.Contains(read(), lineOf(zones[1].Private))
	})
	first := read()
	if !strings.HasPrefix(first, "$ORIGIN ap-northeast-2.elb.amazonaws.com.\n$TTL 60\n@ IN SOA ns. hostmaster ( ") {
		t.Errorf("the file begins with %q", first)
	}
	b.balancer().Scheme = "internal"
	b.write()
	b.waitFor("private addresses", func() bool { return strings.Contains(read(), lineOf(zones[0].Private)) })
	if serialOf(t, read()) <= serialOf(t, first) {
		t.Errorf("the serial did not grow: %s then %s", first, read())
	}
	b.state.LoadBalancers = nil
	b.write()
	b.waitFor("no record", func() bool { return !strings.Contains(read(), " IN A ") })
}

func TestNamesOfNetworkLoadBalancers(t *testing.T) {
	b := newBed(t, toGroup())
	network := *b.balancer()
	network.ARN, network.Type = "nlb", desired.Network
	network.DNSName = "Shop-1f.elb.ap-northeast-2.amazonaws.com"
	network.Zones = []desired.Zone{{Zone: zoneA, Private: newAddress(), Public: newAddress()}, {Zone: zoneC, Private: newAddress()}}
	inA, inC := b.serveAll(say("")), b.serveAll(say(""))
	inC.Zone = zoneC
	group := newGroup(inA, inC)
	group.Protocol, group.UsedBy = "TCP", []string{"nlb"}
	group.HealthCheck.Protocol, group.HealthCheck.Path, group.HealthCheck.Matcher = "TCP", "", ""
	b.state.LoadBalancers = append(b.state.LoadBalancers, network)
	b.state.TargetGroups = []desired.TargetGroup{group}
	b.write()
	b.waitForStatus(inC, health.IsHealthy)
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(b.folder, "observed", name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		_, body, _ := strings.Cut(string(text), "@ IN NS ns.\n")
		return body
	}
	line := func(name, address string) string {
		return name + "shop-1f.elb.ap-northeast-2.amazonaws.com. 60 IN A " + address + "\n"
	}
	first, second := network.Zones[0].Public, network.Zones[1].Private
	b.waitFor("a record for each zone, and each zone's own", func() bool {
		lines := []string{line(zoneA+".", first), line(zoneC+".", second), line("", first), line("", second)}
		slices.Sort(lines)
		return read("network-zone") == strings.Join(lines, "")
	})
	if other := read("zone"); strings.Contains(other, "shop") || !strings.Contains(other, "web-1") {
		t.Errorf("the zone of Application Load Balancers: %s", other)
	}
	// With cross-zone load balancing off, its default, a zone without a healthy target leaves.
	b.state.TargetGroups[0].Targets = b.state.TargetGroups[0].Targets[:1]
	b.write()
	b.waitFor("one zone", func() bool { return read("network-zone") == line("ap-northeast-2a.", first)+line("", first) })
	b.state.LoadBalancers[1].Attributes = desired.Attributes{"load_balancing.cross_zone.enabled": "true"}
	b.write()
	b.waitFor("both zones again", func() bool { return strings.Contains(read("network-zone"), second) })
}

func serialOf(t *testing.T, text string) (serial int) {
	t.Helper()
	_, after, _ := strings.Cut(text, "hostmaster ( ")
	if _, err := fmt.Sscan(after, &serial); err != nil {
		t.Fatal(err)
	}
	return serial
}

func TestZonesLeaveDNS(t *testing.T) {
	b := newBed(t, toGroup())
	var broken atomic.Bool
	inA := b.serveAll(func(w http.ResponseWriter, r *http.Request) {
		if broken.Load() {
			w.WriteHeader(500)
		}
	})
	inC := b.serveAll(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) })
	inC.Zone = zoneC
	b.state.TargetGroups = []desired.TargetGroup{newGroup(inA, inC)}
	b.write()
	b.waitForStatus(inA, health.IsHealthy)
	zonesAre := func(want ...string) {
		t.Helper()
		b.waitFor(fmt.Sprint("zones ", want), func() bool {
			return fmt.Sprint(b.observed().LoadBalancers[balancerARN].ZonesInDNS) == fmt.Sprint(want)
		})
	}
	// With cross-zone load balancing on, each node has the healthy target of the other zone.
	zonesAre(zoneA, zoneC)
	b.group().Attributes["load_balancing.cross_zone.enabled"] = "false"
	b.write()
	zonesAre(zoneA)
	broken.Store(true)
	zonesAre(zoneA, zoneC)
}

func TestAFileThatIsNoStateChangesNothing(t *testing.T) {
	b := newBed(t, desired.Rule{Priority: desired.Last, Actions: fixed(200, "before")})
	b.waitForAnswer("/", 200)
	for _, text := range []string{"", "{", `{"load_balancers": 7}`, "[]"} {
		b.writeText(text)
		time.Sleep(3 * looking)
		_, body := b.get("/")
		expect(t, "body after "+text, body, "before")
	}
	b.listener().Rules[0].Actions = fixed(201, "after")
	b.write()
	b.waitForAnswer("/", 201)
}

func TestOneLoadBalancersErrorIsItsOwn(t *testing.T) {
	b := newBed(t, desired.Rule{Priority: desired.Last, Actions: fixed(200, "good")})
	b.waitForAnswer("/", 200)
	bad := *b.balancer()
	bad.ARN, bad.Name = "bad", "bad"
	bad.Zones = []desired.Zone{{Zone: zoneA, Private: newAddress()}}
	bad.Listeners = []desired.Listener{
		{ARN: "no certificate", Port: 8443, Protocol: "HTTPS", Rules: b.listener().Rules},
		{ARN: "no action", Port: 8081, Protocol: "HTTP", Rules: []desired.Rule{{Priority: desired.Last}}},
		{ARN: "fine", Port: 8082, Protocol: "HTTP", Rules: b.listener().Rules},
	}
	b.state.LoadBalancers = append([]desired.LoadBalancer{bad}, b.state.LoadBalancers...)
	b.write()
	b.waitFor("the listener beside the bad ones", func() bool {
		answered, err := client().Get("http://" + bad.Zones[0].Private + ":8082/")
		if err == nil {
			answered.Body.Close()
		}
		return err == nil
	})
	for _, port := range []string{":8443", ":8081"} {
		if connection, err := net.Dial("tcp", bad.Zones[0].Private+port); err == nil {
			connection.Close()
			t.Errorf("something listens on %s", port)
		}
	}
	request, _ := http.NewRequest(http.MethodGet, "http://"+b.state.LoadBalancers[1].Zones[0].Private+":8080/", nil)
	_, body := b.do(client(), request)
	expect(t, "body of the good one", body, "good")
}

func TestAListenerWhosePortIsTakenComesLater(t *testing.T) {
	b := newBed(t, desired.Rule{Priority: desired.Last, Actions: fixed(200, "")})
	b.waitForAnswer("/", 200)
	address := newAddress()
	taken, err := net.Listen("tcp", address+":8080")
	if err != nil {
		t.Fatal(err)
	}
	old := b.balancer().Zones[0].Private
	b.balancer().Zones[0].Private = address
	b.write()
	b.waitFor("the old address to be closed", func() bool {
		connection, err := net.Dial("tcp", old+":8080")
		if err == nil {
			connection.Close()
		}
		return err != nil
	})
	taken.Close()
	b.waitForAnswer("/", 200)
}

func TestARestartKnowsWhoWasHealthy(t *testing.T) {
	b := newBed(t, toGroup())
	checked := make(chan struct{}, 1)
	checked <- struct{}{}
	target := b.serveAll(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			select {
			case <-checked: // only the first check
			case <-r.Context().Done():
			}
		}
	})
	b.state.TargetGroups = []desired.TargetGroup{newGroup(target)}
	b.balancer().Zones = b.balancer().Zones[:1] // one node, one check
	b.group().HealthCheck.Interval, b.group().HealthCheck.Timeout = 300, 120
	b.write()
	b.waitForStatus(target, health.IsHealthy)
	b.stop()
	b.start()
	b.waitForAnswer("/", 200)
	expect(t, "status", b.observed().Targets[groupARN][target.Key()], health.IsHealthy)
}
