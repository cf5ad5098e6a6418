// Package process names processes so that a name outlives a restart of whoever wrote it down: a
// process id alone is soon another's.
package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Identity is a process and no other one that ever had the same id.
type Identity struct {
	// PID is the process's id in the namespace of the one who asks.
	PID int `json:"pid"`
	// Start is its start time in clock ticks since the machine's boot.
	Start uint64 `json:"start"`
	// Boot is the machine's boot, without which Start says nothing.
	Boot string `json:"boot"`
}

// Of returns the identity of a process that lives now.
func Of(pid int) (Identity, error) {
	stat, err := readStat(pid)
	if err != nil {
		return Identity{}, err
	}
	boot, err := bootID()
	return Identity{PID: pid, Start: stat.start, Boot: boot}, err
}

// Alive tells whether this very process still runs. A zombie does not.
func (i Identity) Alive() bool {
	if i.PID <= 0 {
		return false
	}
	stat, err := readStat(i.PID)
	if err != nil || stat.start != i.Start || stat.state == 'Z' || stat.state == 'X' {
		return false
	}
	boot, err := bootID()
	return err == nil && boot == i.Boot
}

// Signal sends a signal to the process, and to no successor of its id.
// It returns os.ErrProcessDone when the process is gone.
func (i Identity) Signal(signal syscall.Signal) error {
	if i.PID <= 0 {
		return os.ErrProcessDone
	}
	// The handle is taken first: what is alive after that is what the handle holds.
	handle, err := os.FindProcess(i.PID)
	if err != nil {
		return err
	}
	defer handle.Release()
	if !i.Alive() {
		return os.ErrProcessDone
	}
	return handle.Signal(signal)
}

// Namespace returns the path of one of the process's namespaces: net, uts, ipc, pid or mnt.
func (i Identity) Namespace(kind string) string {
	return fmt.Sprintf("/proc/%d/ns/%s", i.PID, kind)
}

// EndAll kills all processes of a mount namespace and returns when there is none.
//
// The namespace is open, so that its number is no other's even when its last process is gone.
func EndAll(mounts *os.File) error {
	wanted, err := mounts.Stat()
	if err != nil {
		return err
	}
	for {
		// More than once: what is being killed may have started another before.
		found, err := killIn(wanted)
		if err != nil || found == 0 {
			return err
		}
		time.Sleep(pause)
	}
}

// pause is how long the killed get to end before they are looked for again.
const pause = 10 * time.Millisecond

func killIn(mounts os.FileInfo) (found int, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil && killIfIn(mounts, pid) {
			found++
		}
	}
	return found, nil
}

func killIfIn(mounts os.FileInfo, pid int) bool {
	// The handle is taken first: what has the namespace after that is what the handle holds.
	handle, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	defer handle.Release()
	// Who has ended has none any more, even if nobody has waited for it.
	has, err := os.Stat(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	if err != nil || !os.SameFile(has, mounts) {
		return false
	}
	_ = handle.Kill()
	return true
}

type stat struct {
	state byte
	start uint64
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	fields, err := Fields(string(text))
	if err != nil {
		return stat{}, err
	}
	start, err := strconv.ParseUint(fields[startTime], 10, 64)
	return stat{state: fields[0][0], start: start}, err
}

const startTime = 19

// Fields splits a line of /proc/PID/stat after the program's name, which may hold spaces and
// parentheses. Field 0 is the state, the third of the manual page proc_pid_stat(5).
func Fields(line string) ([]string, error) {
	end := strings.LastIndexByte(line, ')')
	if end < 0 {
		return nil, fmt.Errorf("not a line of /proc/PID/stat: %q", line)
	}
	fields := strings.Fields(line[end+1:])
	if len(fields) <= startTime {
		return nil, fmt.Errorf("/proc/PID/stat is short: %q", line)
	}
	return fields, nil
}

func bootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text)), err
}
