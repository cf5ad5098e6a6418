// Package targets holds target groups: which targets there are, how they are, and which one gets the
// next request.
package targets

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"eksnet.dev/engine/internal/loadbalancer/desired"
	"eksnet.dev/engine/internal/loadbalancer/health"
)

// ErrDeregistered is why a request to a target ends whose deregistration delay is over.
var ErrDeregistered = errors.New("the target's deregistration delay is over")

// What an Application Load Balancer gives a target, as documented.
const (
	connecting        = 10 * time.Second
	handshake         = 10 * time.Second
	maxResponseHeader = 32 << 10
)

// Target is one address and port of a group, from its registration until it is gone.
type Target struct {
	desired.Target
	// Context ends when the target is gone, with ErrDeregistered.
	Context context.Context

	group       *Group
	remove      context.CancelCauseFunc
	outstanding atomic.Int64

	// These are guarded by the group's mutex.
	machine   health.Machine
	checking  checking
	drainedAt *time.Timer

	mu         sync.Mutex
	transports map[netip.Addr]*http.Transport
}

func newTarget(group *Group, given desired.Target) *Target {
	t := &Target{Target: given, group: group, transports: map[netip.Addr]*http.Transport{}}
	t.Context, t.remove = context.WithCancelCause(context.Background())
	return t
}

// HostPort is where it listens.
func (t *Target) HostPort() string { return net.JoinHostPort(t.Address, strconv.Itoa(t.Port)) }

// Begin counts a request that is outstanding until the returned function is called.
func (t *Target) Begin() (end func()) {
	t.outstanding.Add(1)
	return func() { t.outstanding.Add(-1) }
}

// Transport returns the connections to the target from a node's address. They are kept and reused.
func (t *Target) Transport(source netip.Addr) *http.Transport {
	t.mu.Lock()
	defer t.mu.Unlock()
	found := t.transports[source]
	if found == nil {
		found = newTransport(source, t.group.Version())
		t.transports[source] = found
	}
	return found
}

func newTransport(source netip.Addr, version string) *http.Transport {
	http2 := version != HTTP1
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	protocols.SetUnencryptedHTTP2(http2)
	return &http.Transport{
		DialContext: (&net.Dialer{
			Timeout: connecting, LocalAddr: &net.TCPAddr{IP: source.AsSlice()},
		}).DialContext,
		TLSHandshakeTimeout:    handshake,
		TLSClientConfig:        &tls.Config{InsecureSkipVerify: true}, // as documented: targets' certificates are not verified
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        idle,
		MaxResponseHeaderBytes: maxResponseHeader,
		DisableCompression:     true,
		Protocols:              protocols,
	}
}

// How many connections without a request are kept for a target, and for how long.
const (
	maxIdle = 1024
	idle    = time.Minute
)

// gone ends everything of a target: its checks, its requests, its connections.
func (t *Target) gone() {
	t.checking.stop()
	if t.drainedAt != nil {
		t.drainedAt.Stop()
	}
	t.remove(ErrDeregistered)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, transport := range t.transports {
		transport.CloseIdleConnections()
	}
}

// Protocol is what the target speaks: HTTP or HTTPS.
func (t *Target) Protocol() string { return t.group.Settings().Protocol }
