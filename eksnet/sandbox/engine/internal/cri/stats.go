package cri

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"eksnet.dev/engine/internal/process"
)

// usage is what a group of processes has used.
type usage struct{ cpu, resident uint64 }

// Positions in /proc/PID/stat, counted from the state.
const (
	sessionField  = 3
	userField     = 11 // then system, and both of the children that were waited for
	residentField = 21
	// tick is the kernel's unit of processor time, in nanoseconds.
	tick = 10_000_000
)

// measure adds up all processes by PID namespace and by session: there are no cgroups to ask. A
// container with a PID namespace of its own is that, any other one the session that it leads.
func measure() (byNamespace map[string]usage, bySession map[string]usage) {
	byNamespace, bySession = map[string]usage{}, map[string]usage{}
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err != nil {
			continue
		}
		session, one, err := measureOne(entry.Name())
		if err != nil {
			continue // it has ended since
		}
		namespace, _ := os.Readlink("/proc/" + entry.Name() + "/ns/pid")
		byNamespace[namespace] = byNamespace[namespace].plus(one)
		bySession[session] = bySession[session].plus(one)
	}
	return byNamespace, bySession
}

func (u usage) plus(other usage) usage {
	return usage{cpu: u.cpu + other.cpu, resident: u.resident + other.resident}
}

func measureOne(pid string) (session string, one usage, err error) {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return "", usage{}, err
	}
	fields, err := process.Fields(string(text))
	if err != nil || len(fields) <= residentField {
		return "", usage{}, fmt.Errorf("/proc/%s/stat: %q", pid, text)
	}
	var ticks uint64
	// With the children that have ended, or the total would fall with each end.
	for _, field := range fields[userField : userField+4] {
		used, _ := strconv.ParseUint(field, 10, 64)
		ticks += used
	}
	resident, _ := strconv.ParseUint(fields[residentField], 10, 64)
	return fields[sessionField], usage{cpu: ticks * tick, resident: resident * uint64(os.Getpagesize())}, nil
}

// ListContainerStats measures the running containers that a filter lets through.
func (s *Server) ListContainerStats(_ context.Context, request *runtime.ListContainerStatsRequest) (*runtime.ListContainerStatsResponse, error) {
	filter := request.GetFilter()
	return &runtime.ListContainerStatsResponse{Stats: s.stats(func(c *container) bool {
		return (filter.GetId() == "" || filter.GetId() == c.record.ID) &&
			(filter.GetPodSandboxId() == "" || filter.GetPodSandboxId() == c.record.Sandbox) &&
			matches(filter.GetLabelSelector(), c.record.Config.Labels)
	})}, nil
}

// ContainerStats measures a running container.
func (s *Server) ContainerStats(_ context.Context, request *runtime.ContainerStatsRequest) (*runtime.ContainerStatsResponse, error) {
	all := s.stats(func(c *container) bool { return c.record.ID == request.ContainerId })
	if len(all) == 0 {
		return nil, status.Errorf(codes.NotFound, "no running container %s", request.ContainerId)
	}
	return &runtime.ContainerStatsResponse{Stats: all[0]}, nil
}

func (s *Server) stats(wanted func(*container) bool) []*runtime.ContainerStats {
	byNamespace, bySession := measure()
	var all []*runtime.ContainerStats
	for _, c := range s.allContainers() {
		started, err := c.running()
		if err != nil || !wanted(c) {
			continue
		}
		used := bySession[strconv.Itoa(started.Process.PID)]
		if c.security().GetNamespaceOptions().GetPid() == runtime.NamespaceMode_CONTAINER {
			namespace, _ := os.Readlink(started.Process.Namespace("pid"))
			used = byNamespace[namespace]
		}
		all = append(all, s.describeUsage(c, used))
	}
	return all
}

func (s *Server) describeUsage(c *container, used usage) *runtime.ContainerStats {
	now, config := time.Now().UnixNano(), c.record.Config
	value := func(n uint64) *runtime.UInt64Value { return &runtime.UInt64Value{Value: n} }
	return &runtime.ContainerStats{
		Attributes: &runtime.ContainerAttributes{
			Id: c.record.ID, Metadata: config.Metadata, Labels: config.Labels, Annotations: config.Annotations,
		},
		Cpu: &runtime.CpuUsage{Timestamp: now, UsageCoreNanoSeconds: value(used.cpu)},
		Memory: &runtime.MemoryUsage{
			Timestamp: now, WorkingSetBytes: value(used.resident), RssBytes: value(used.resident), UsageBytes: value(used.resident),
		},
		WritableLayer: &runtime.FilesystemUsage{
			Timestamp:  now,
			FsId:       &runtime.FilesystemIdentifier{Mountpoint: s.directory.Path()},
			UsedBytes:  value(0),
			InodesUsed: value(0),
		},
	}
}
