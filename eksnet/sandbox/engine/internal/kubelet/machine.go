package kubelet

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	cadvisorapi "github.com/google/cadvisor/info/v1"
	cadvisorv2 "github.com/google/cadvisor/info/v2"
	"golang.org/x/sys/unix"
	"k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
)

// ticksPerSecond is the unit of /proc/stat, the same on every Linux that Go runs on.
const ticksPerSecond = 100

// machineStats answers what the kubelet asks of cadvisor about the machine, from /proc. Containers'
// figures come from the container runtime. The embedded fake answers the rest with nothing.
type machineStats struct {
	testing.Fake
	root string

	mu       sync.Mutex
	previous *cadvisorv2.ContainerStats
}

// MachineInfo returns the machine's processors and memory, which are the node's capacity.
func (m *machineStats) MachineInfo() (*cadvisorapi.MachineInfo, error) {
	total, _, err := memory()
	if err != nil {
		return nil, err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return &cadvisorapi.MachineInfo{
		NumCores:       runtime.NumCPU(),
		MemoryCapacity: total,
		BootID:         strings.TrimSpace(string(boot)),
	}, err
}

// VersionInfo returns the kernel's version and the distribution's name.
func (m *machineStats) VersionInfo() (*cadvisorapi.VersionInfo, error) {
	var uname unix.Utsname
	if err := unix.Uname(&uname); err != nil {
		return nil, err
	}
	name := "Linux"
	if file, err := os.Open("/etc/os-release"); err == nil {
		defer file.Close()
		name = prettyName(file)
	}
	return &cadvisorapi.VersionInfo{
		KernelVersion:      unix.ByteSliceToString(uname.Release[:]),
		ContainerOsVersion: name,
	}, nil
}

func prettyName(release io.Reader) string {
	for lines := bufio.NewScanner(release); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), "PRETTY_NAME="); found {
			return strings.Trim(value, `"`)
		}
	}
	return "Linux"
}

// ContainerInfoV2 returns the machine's own figures under "/": what `kubectl top node` shows.
func (m *machineStats) ContainerInfoV2(string, cadvisorv2.RequestOptions) (map[string]cadvisorv2.ContainerInfo, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return nil, err
	}
	total, used, err := memory()
	if err != nil {
		return nil, err
	}
	current := &cadvisorv2.ContainerStats{
		Timestamp: time.Now(),
		Cpu:       &cadvisorapi.CpuStats{Usage: cadvisorapi.CpuUsage{Total: busyNanoseconds(string(stat))}},
		Memory:    &cadvisorapi.MemoryStats{Usage: used, WorkingSet: used, RSS: used},
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	info := cadvisorv2.ContainerInfo{Spec: cadvisorv2.ContainerSpec{
		HasCpu: true, HasMemory: true, Memory: cadvisorv2.MemorySpec{Limit: total},
	}}
	// A rate of use needs two readings.
	if m.previous != nil {
		info.Stats = append(info.Stats, m.previous)
	}
	info.Stats = append(info.Stats, current)
	m.previous = current
	return map[string]cadvisorv2.ContainerInfo{"/": info}, nil
}

// busyNanoseconds adds up the processors' busy time in the first line of /proc/stat.
func busyNanoseconds(stat string) uint64 {
	var user, nice, system, idle, iowait, irq, softirq, steal uint64
	if _, err := fmt.Sscanf(stat, "cpu %d %d %d %d %d %d %d %d",
		&user, &nice, &system, &idle, &iowait, &irq, &softirq, &steal); err != nil {
		return 0
	}
	return (user + nice + system + irq + softirq + steal) * uint64(time.Second) / ticksPerSecond
}

// memory returns the machine's total and used memory in bytes.
func memory() (total, used uint64, err error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0, 0, err
	}
	unit := uint64(info.Unit)
	return info.Totalram * unit, (info.Totalram - info.Freeram - info.Bufferram) * unit, nil
}

func (m *machineStats) filesystem() (cadvisorv2.FsInfo, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(m.root, &stat); err != nil {
		return cadvisorv2.FsInfo{}, err
	}
	block := uint64(stat.Bsize)
	return cadvisorv2.FsInfo{
		Timestamp:  time.Now(),
		Mountpoint: m.root,
		Capacity:   stat.Blocks * block,
		Available:  stat.Bavail * block,
		Usage:      (stat.Blocks - stat.Bfree) * block,
		Inodes:     &stat.Files,
		InodesFree: &stat.Ffree,
	}, nil
}

// ImagesFsInfo, RootFsInfo, ContainerFsInfo and GetDirFsInfo are one file system: the node's disk.
func (m *machineStats) ImagesFsInfo(context.Context) (cadvisorv2.FsInfo, error) {
	return m.filesystem()
}

// RootFsInfo returns the node's disk.
func (m *machineStats) RootFsInfo() (cadvisorv2.FsInfo, error) { return m.filesystem() }

// ContainerFsInfo returns the node's disk.
func (m *machineStats) ContainerFsInfo(context.Context) (cadvisorv2.FsInfo, error) {
	return m.filesystem()
}

// GetDirFsInfo returns the node's disk.
func (m *machineStats) GetDirFsInfo(string) (cadvisorv2.FsInfo, error) { return m.filesystem() }
