package desired

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func read(t *testing.T, text string) (State, []error, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "desired.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Read(path)
}

// The API's values are numbers and truth values in some places, and the same as text in others.
func TestTheFile(t *testing.T) {
	state, wrong, err := read(t, `{
		"region": "ap-northeast-2",
		"load_balancers": [{
			"arn": "lb", "type": "application", "scheme": "internal",
			"zones": [{"zone": "ap-northeast-2a", "private": "10.0.0.21", "public": null}],
			"listeners": [{"port": 80, "ssl_policy": null, "rules": [
				{"priority": "default", "actions": [{"Type": "forward", "Order": "1", "ForwardConfig": {
					"TargetGroups": [{"TargetGroupArn": "one", "Weight": "0"}, {"TargetGroupArn": "other"}],
					"TargetGroupStickinessConfig": {"Enabled": "true", "DurationSeconds": "60"}}}]},
				{"priority": "7", "actions": [{"Type": "redirect", "RedirectConfig": {"Port": 443, "Host": null}}]}
			]}]
		}, {"arn": "broken", "zones": "none"}],
		"target_groups": [{
			"arn": "group", "attributes": {"load_balancing.cross_zone.enabled": "use_load_balancer_configuration"},
			"health_check": {"port": 8080, "interval": "15", "timeout": 5, "path": null},
			"targets": [
				{"id": "a", "port": 80, "draining_since": "2026-11-30T12:00:00+00:00"},
				{"id": "b", "port": 80, "draining_since": "2026-11-30T12:00:00.5"},
				{"id": "c", "port": 80, "draining_since": null}
			]
		}],
		"interfaces": [], "security_groups": []
	}`)
	if err != nil || len(wrong) != 1 || len(state.LoadBalancers) != 1 {
		t.Fatalf("%d load balancers, wrong %v, error %v; expected one, and one that is wrong", len(state.LoadBalancers), wrong, err)
	}
	balancer, group := state.LoadBalancers[0], state.TargetGroups[0]
	if !balancer.Internal() || len(balancer.Zones[0].Addresses()) != 1 {
		t.Errorf("addresses %q, internal %v", balancer.Zones[0].Addresses(), balancer.Internal())
	}
	standard, numbered := balancer.Listeners[0].Rules[0], balancer.Listeners[0].Rules[1]
	if standard.Priority != Last || numbered.Priority != 7 {
		t.Errorf("priorities %d and %d", standard.Priority, numbered.Priority)
	}
	forward := standard.Actions[0].ForwardConfig
	if *forward.TargetGroups[0].Weight != 0 || forward.TargetGroups[1].Weight != nil {
		t.Errorf("weights %v", forward.TargetGroups)
	}
	if sticky := forward.TargetGroupStickinessConfig; !bool(sticky.Enabled) || sticky.DurationSeconds != 60 {
		t.Errorf("stickiness %+v", sticky)
	}
	if redirect := numbered.Actions[0].RedirectConfig; redirect.Port != "443" || redirect.Host != "" {
		t.Errorf("redirect %+v", redirect)
	}
	if check := group.HealthCheck; check.Port != "8080" || check.Interval != 15 || check.Path != "" {
		t.Errorf("health check %+v", check)
	}
	if group.DeregistrationDelay() != 300*time.Second {
		t.Errorf("delay %s", group.DeregistrationDelay())
	}
	noon := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	if since := group.Targets[0].DrainingSince; !since.Equal(noon) {
		t.Errorf("with a zone: %s", since)
	}
	if since := group.Targets[1].DrainingSince; !since.Equal(noon.Add(time.Second / 2)) {
		t.Errorf("without a zone: %s", since)
	}
	if group.Targets[2].DrainingSince != nil {
		t.Error("a target drains that does not")
	}
}

func TestAFileThatIsNoState(t *testing.T) {
	for _, text := range []string{"", "{", "[]", `{"load_balancers": 7}`, `{"region": 7}`} {
		if _, _, err := read(t, text); err == nil {
			t.Errorf("%q is no error", text)
		}
	}
	if _, _, err := Read(filepath.Join(t.TempDir(), "missing")); !os.IsNotExist(err) {
		t.Errorf("a file that is missing: %v", err)
	}
}

func TestCrossZone(t *testing.T) {
	for _, c := range []struct {
		kind, balancer, group string
		want                  bool
	}{
		{Application, "", "", true},
		{Application, "true", "use_load_balancer_configuration", true},
		{Application, "true", "false", false},
		{Network, "", "", false},
		{Network, "false", "use_load_balancer_configuration", false},
		{Network, "true", "use_load_balancer_configuration", true},
		{Network, "true", "false", false},
		{Network, "false", "true", true},
	} {
		user := LoadBalancer{Type: c.kind, Attributes: Attributes{crossZone: c.balancer}}
		group := TargetGroup{Attributes: Attributes{crossZone: c.group}}
		if got := group.CrossZone([]LoadBalancer{user}); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
