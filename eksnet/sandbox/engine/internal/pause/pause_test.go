package pause

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain is a holder that never gets ready where this executable is started as one.
func TestMain(m *testing.M) {
	if os.Args[0] == Name {
		time.Sleep(time.Hour)
	}
	os.Exit(m.Run())
}

func TestAHolderThatNeverGetsReadyIsGivenUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := Start(ctx, Options{}); err == nil || !strings.Contains(err.Error(), "given up") {
		t.Errorf("%v; expected that it was given up", err)
	}
	defer func(usual time.Duration) { handshake = usual }(handshake)
	handshake = 50 * time.Millisecond
	if _, err := Start(context.Background(), Options{}); err == nil || !strings.Contains(err.Error(), "given up") {
		t.Errorf("a call that would wait for ever: %v; expected that it was given up", err)
	}
}

func TestDefaultsAreForAPodsOwnNetwork(t *testing.T) {
	const ports = "net.ipv4.ip_unprivileged_port_start"
	if got := (Options{NewNetwork: true}).withDefaults().Sysctls[ports]; got != "0" {
		t.Errorf("ports from %q", got)
	}
	own := Options{NewNetwork: true, Sysctls: map[string]string{ports: "1024"}}
	if got := own.withDefaults().Sysctls[ports]; got != "1024" {
		t.Errorf("the pod's own value became %q", got)
	}
	if got := (Options{}).withDefaults().Sysctls; len(got) != 0 {
		t.Errorf("the node's network would be changed: %v", got)
	}
}

func TestFlags(t *testing.T) {
	all := Options{NewNetwork: true, NewIPC: true, NewPID: true}
	if got, want := all.flags(), uintptr(unix.CLONE_NEWNET|unix.CLONE_NEWUTS|unix.CLONE_NEWIPC|unix.CLONE_NEWPID); got != want {
		t.Errorf("flags %#x; expected %#x", got, want)
	}
	if got := (Options{}).flags(); got != 0 {
		t.Errorf("flags %#x; expected none", got)
	}
}
