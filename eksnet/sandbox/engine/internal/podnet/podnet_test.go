package podnet

import (
	"net/netip"
	"strings"
	"testing"
)

func pool(t *testing.T, prefix string) *Pool {
	t.Helper()
	p, err := NewPool(netip.MustParsePrefix(prefix))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func take(t *testing.T, p *Pool) string {
	t.Helper()
	address, err := p.Take()
	if err != nil {
		t.Fatal(err)
	}
	return address.String()
}

func TestLowestFreeAddressFirst(t *testing.T) {
	p := pool(t, "10.0.129.0/24")
	p.Keep(netip.MustParseAddr("10.0.129.11"))
	if first, second := take(t, p), take(t, p); first != "10.0.129.10" || second != "10.0.129.12" {
		t.Errorf("addresses %s, %s", first, second)
	}
	p.Release(netip.MustParseAddr("10.0.129.10"))
	if again := take(t, p); again != "10.0.129.10" {
		t.Errorf("address %s", again)
	}
}

func TestFullPool(t *testing.T) {
	p := pool(t, "10.0.129.16/28")
	for range 5 { // .26 to .30: .31 is the broadcast address
		take(t, p)
	}
	if address, err := p.Take(); err == nil || !strings.Contains(err.Error(), "all 5 pod addresses") {
		t.Errorf("address %s, error %v", address, err)
	}
}

func TestPoolNeedsRoom(t *testing.T) {
	for _, prefix := range []string{"10.0.129.0/29", "fd00::/64"} {
		if _, err := NewPool(netip.MustParsePrefix(prefix)); err == nil {
			t.Errorf("%s is accepted", prefix)
		}
	}
}

func TestLinkName(t *testing.T) {
	// printf default.web | sha1sum
	if got := LinkName("default", "web"); got != "eni68caf03a5f4" {
		t.Errorf("link %s", got)
	}
}
