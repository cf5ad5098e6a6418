package launch

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestDefaultCapabilitiesAreContainerds(t *testing.T) {
	// As /proc/self/status of any unprivileged container shows it.
	if want := Capabilities(0xa80425fb); DefaultCapabilities != want || ChooseCapabilities(nil, nil) != want {
		t.Errorf("%x; expected %x", DefaultCapabilities, want)
	}
}

func TestNamesStandAtTheirNumbers(t *testing.T) {
	if got, want := len(capabilityNames), unix.CAP_LAST_CAP+1; got != want {
		t.Fatalf("%d names; expected %d", got, want)
	}
	for name, number := range map[string]int{
		"NET_ADMIN": unix.CAP_NET_ADMIN, "SYS_ADMIN": unix.CAP_SYS_ADMIN, "MKNOD": unix.CAP_MKNOD,
		"SETFCAP": unix.CAP_SETFCAP, "SYSLOG": unix.CAP_SYSLOG, "BPF": unix.CAP_BPF,
	} {
		if capabilityNames[number] != name {
			t.Errorf("number %d is %s; expected %s", number, capabilityNames[number], name)
		}
	}
}

func TestCapabilitiesAsAPodAsks(t *testing.T) {
	const admin, raw Capabilities = 1 << unix.CAP_NET_ADMIN, 1 << unix.CAP_NET_RAW
	for _, c := range []struct {
		add, drop []string
		want      Capabilities
	}{
		{[]string{"NET_ADMIN"}, nil, DefaultCapabilities | admin},
		{[]string{"cap_net_admin"}, nil, DefaultCapabilities | admin},
		{nil, []string{"NET_RAW"}, DefaultCapabilities &^ raw},
		{nil, []string{"ALL"}, 0},
		{[]string{"NET_ADMIN"}, []string{"all"}, admin},
		{[]string{"ALL"}, []string{"NET_RAW"}, AllCapabilities &^ raw},
		{[]string{"NO_SUCH"}, nil, DefaultCapabilities},
	} {
		if got := ChooseCapabilities(c.add, c.drop); got != c.want {
			t.Errorf("add %v, drop %v: %x; expected %x", c.add, c.drop, got, c.want)
		}
	}
}
