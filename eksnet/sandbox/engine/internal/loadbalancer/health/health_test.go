package health

import (
	"testing"

	"eksnet.dev/engine/internal/loadbalancer/desired"
)

// In a history, p is a check that passed, f one that failed, t one that timed out.
func TestThresholds(t *testing.T) {
	for _, c := range []struct {
		start              Status
		healthy, unhealthy int
		checks             string
		want               Status
	}{
		{Status{}, 5, 2, "", InitialChecking},
		{Status{}, 5, 2, "p", IsHealthy}, // one is enough for a new target
		{Status{}, 5, 2, "f", InitialChecking},
		{Status{}, 5, 2, "ff", Status(failed)},
		{Status{}, 5, 2, "ft", Status(timedOut)},
		{Status{}, 5, 2, "fp", IsHealthy},
		{IsHealthy, 2, 3, "ff", IsHealthy},
		{IsHealthy, 2, 3, "ffpff", IsHealthy},
		{IsHealthy, 2, 3, "fff", Status(failed)},
		{Status(failed), 2, 3, "p", Status(failed)},
		{Status(failed), 2, 3, "pfp", Status(failed)},
		{Status(failed), 2, 3, "pp", IsHealthy},
		{Status(failed), 2, 3, "t", Status(timedOut)}, // the reason is the last one
	} {
		machine := Resume(c.start)
		for _, check := range c.checks {
			machine.Note(map[rune]Outcome{'p': passed, 'f': failed, 't': timedOut}[check], c.healthy, c.unhealthy)
		}
		if got := machine.Status(); got != c.want {
			t.Errorf("%v after %q with %d and %d: %v; expected %v", c.start, c.checks, c.healthy, c.unhealthy, got, c.want)
		}
	}
}

func TestMatchers(t *testing.T) {
	for _, c := range []struct {
		matcher string
		code    int
		want    bool
	}{
		{"200", 200, true}, {"200", 201, false},
		{"200-299", 299, true}, {"200-299", 300, false}, {"200-299", 199, false},
		{"200,302", 302, true}, {"200,302", 301, false},
		{"200, 301-302", 302, true}, {"12", 12, true}, {"0-5", 0, true},
	} {
		matches, err := newMatcher(c.matcher)
		if err != nil {
			t.Fatal(err)
		}
		if got := matches(c.code); got != c.want {
			t.Errorf("%q with %d: %v; expected %v", c.matcher, c.code, got, c.want)
		}
	}
	for _, text := range []string{"", "a", "200-", "-", "200;201"} {
		if _, err := newMatcher(text); err == nil {
			t.Errorf("%q is no error", text)
		}
	}
}

func TestChecksThatCannotBeMade(t *testing.T) {
	good := desired.HealthCheck{
		Enabled: true, Protocol: "HTTP", Path: "/", Port: "traffic-port", Interval: 15, Timeout: 5, Healthy: 2, Unhealthy: 2, Matcher: "200",
	}
	if _, err := NewCheck(desired.TargetGroup{HealthCheck: good}); err != nil {
		t.Fatal(err)
	}
	good.Matcher = "" // AWS's own default counts
	if check, err := NewCheck(desired.TargetGroup{HealthCheck: good}); err != nil || !check.matches(200) || check.matches(201) {
		t.Errorf("without a matcher: %v", err)
	}
	if check, err := NewCheck(desired.TargetGroup{HealthCheck: good, ProtocolVersion: "GRPC"}); err != nil || !check.matches(12) {
		t.Errorf("without a matcher for gRPC: %v", err)
	}
	for name, change := range map[string]func(*desired.HealthCheck){
		"interval": func(c *desired.HealthCheck) { c.Interval = 0 },
		"port":     func(c *desired.HealthCheck) { c.Port = "http" },
		"path":     func(c *desired.HealthCheck) { c.Path = "health" },
		"protocol": func(c *desired.HealthCheck) { c.Protocol = "QUIC" },
		"matcher":  func(c *desired.HealthCheck) { c.Matcher = "ok" },
	} {
		bad := good
		change(&bad)
		if _, err := NewCheck(desired.TargetGroup{HealthCheck: bad}); err == nil {
			t.Errorf("a bad %s is no error", name)
		}
	}
}
