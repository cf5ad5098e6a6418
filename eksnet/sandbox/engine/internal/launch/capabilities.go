package launch

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Capabilities are what a program may do of all that root may: bit n is number n of
// capabilities(7).
type Capabilities uint64

// AllCapabilities is what a privileged container has.
const AllCapabilities = ^Capabilities(0)

// DefaultCapabilities are containerd's: its oci.defaultUnixCaps.
const DefaultCapabilities Capabilities = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE |
	1<<unix.CAP_FSETID | 1<<unix.CAP_FOWNER | 1<<unix.CAP_MKNOD | 1<<unix.CAP_NET_RAW |
	1<<unix.CAP_SETGID | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETFCAP | 1<<unix.CAP_SETPCAP |
	1<<unix.CAP_NET_BIND_SERVICE | 1<<unix.CAP_SYS_CHROOT | 1<<unix.CAP_KILL | 1<<unix.CAP_AUDIT_WRITE

// capabilityNames are in the order of their numbers.
var capabilityNames = strings.Fields(`
	CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
	NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
	SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME
	SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG
	WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`)

// ChooseCapabilities returns the default ones, changed as a pod asks: ALL first, of which single
// names are then taken or to which they are added, as containerd does.
//
// A name that nobody knows changes nothing, as with runc.
func ChooseCapabilities(add, drop []string) Capabilities {
	chosen := DefaultCapabilities
	if slices.ContainsFunc(add, isAll) {
		chosen = AllCapabilities
	}
	if slices.ContainsFunc(drop, isAll) {
		chosen = 0
	}
	return (chosen | named(add)) &^ named(drop)
}

func isAll(name string) bool { return strings.EqualFold(name, "ALL") }

func named(names []string) Capabilities {
	var set Capabilities
	for _, name := range names {
		number := slices.Index(capabilityNames, strings.TrimPrefix(strings.ToUpper(name), "CAP_"))
		if number >= 0 {
			set |= 1 << number
		}
	}
	return set
}

// bound takes away for good what is not in the set: an exec as root, or of a file with capabilities,
// gives what the bounding set holds. Only this thread's; the exec ends the others.
func (c Capabilities) bound() error {
	for number := uintptr(0); number < 64; number++ {
		if c&(1<<number) != 0 {
			continue
		}
		// The kernel may know fewer than there are bits.
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, number, 0, 0, 0); err != nil && err != unix.EINVAL {
			return fmt.Errorf("drop capability %d: %w", number, err)
		}
	}
	return nil
}

// keep gives up what is not in the set, as far as a change of user has left any.
func (c Capabilities) keep() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	for half := range data {
		mask := uint32(c >> (32 * half))
		data[half].Permitted &= mask
		data[half].Effective &= mask
		// containerd's containers inherit none either, since CVE-2022-24769.
		data[half].Inheritable = 0
	}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("give up capabilities: %w", err)
	}
	return nil
}
