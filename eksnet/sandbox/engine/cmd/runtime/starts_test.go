package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestAProbesOutputHasALimit(t *testing.T) {
	p := newNode(t).pod("app")
	id := p.run("main", "exec sleep 1000")
	response, err := p.ExecSync(background, &cri.ExecSyncRequest{
		ContainerId: id, Cmd: []string{"dd", "if=/dev/zero", "bs=1M", "count=12"},
	})
	if err != nil || len(response.Stdout) != 4<<20 {
		t.Errorf("%d bytes, %v; expected 4 MiB", len(response.GetStdout()), err)
	}
	_, err = p.ExecSync(background, &cri.ExecSyncRequest{ContainerId: id, Cmd: []string{"yes"}, Timeout: 1})
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a probe that prints without end: %v", err)
	}
	if peak := p.peakMemory(); peak > 256<<20 {
		t.Errorf("the runtime needed %d MiB", peak>>20)
	}
}

// peakMemory returns the most memory that the server has had, in bytes.
func (n *node) peakMemory() int {
	n.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.server.Process.Pid))
	if err != nil {
		n.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	kilobytes, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		n.t.Fatal(err)
	}
	return kilobytes << 10
}

func TestAStartThatHangsEndsWithItsCall(t *testing.T) {
	n := newNode(t)
	p := n.pod("app")
	id := p.create("main", "exec sleep 1000")
	// The shim waits for a reader of its log for ever.
	if err := syscall.Mkfifo(filepath.Join(p.config.LogDirectory, "main.log"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(background, 200*time.Millisecond)
	defer cancel()
	if _, err := p.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: id}); status.Code(err) != codes.DeadlineExceeded {
		t.Fatalf("%v; expected DeadlineExceeded", err)
	}
	if exit := n.awaitExit(id); exit.Reason != "StartError" {
		t.Errorf("status %v", exit)
	}
	if _, err := n.RemovePodSandbox(background, &cri.RemovePodSandboxRequest{PodSandboxId: p.id}); err != nil {
		t.Fatal(err)
	}
	n.nothingIsLeft()
}

func TestNothingStartsInAStoppedPod(t *testing.T) {
	n := newNode(t)
	p := n.pod("app")
	id := p.create("main", "exec sleep 1000")
	if _, err := n.StopPodSandbox(background, &cri.StopPodSandboxRequest{PodSandboxId: p.id}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.StartContainer(background, &cri.StartContainerRequest{ContainerId: id}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("start: %v; expected FailedPrecondition", err)
	}
	_, err := n.CreateContainer(background, &cri.CreateContainerRequest{
		PodSandboxId: p.id, SandboxConfig: p.config,
		Config: &cri.ContainerConfig{Metadata: &cri.ContainerMetadata{Name: "late"}, Image: &cri.ImageSpec{Image: "busybox"}},
	})
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("create: %v; expected FailedPrecondition", err)
	}
}

// TestPodsAreRemovedWhileTheyStart makes pods and takes them away in the middle of their containers'
// starts. EKSNET_STARTS says how many.
func TestPodsAreRemovedWhileTheyStart(t *testing.T) {
	count := 20
	if text := os.Getenv("EKSNET_STARTS"); text != "" {
		var err error
		if count, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	n := newNode(t)
	for round := range count {
		p := n.pod(fmt.Sprintf("pod-%d", round))
		ids := []string{p.create("one", "setsid sleep 3333 & exec sleep 4444"), p.create("two", "exec sleep 5555")}
		n.startAndRemove(p, ids, round)
	}
	n.nothingIsLeft()
	if said, err := os.ReadFile(n.log); err != nil || strings.Contains(string(said), "DATA RACE") {
		t.Errorf("the runtime's log, %v:\n%s", err, said)
	}
}

// startAndRemove starts a pod's containers and removes them or their pod at the same time, in three
// ways by turns.
func (n *node) startAndRemove(p *pod, ids []string, round int) {
	n.t.Helper()
	var all sync.WaitGroup
	for _, id := range ids {
		all.Add(1)
		go func() {
			defer all.Done()
			ctx, cancel := context.WithCancel(background)
			defer cancel()
			if round%3 == 2 {
				time.AfterFunc(time.Duration(round%20)*time.Millisecond, cancel)
			}
			_, _ = n.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: id})
		}()
	}
	<-time.After(time.Duration(round*7%40) * time.Millisecond)
	if round%3 == 1 {
		if _, err := n.RemoveContainer(background, &cri.RemoveContainerRequest{ContainerId: ids[0]}); err != nil {
			n.t.Error(err)
		}
	}
	if _, err := n.RemovePodSandbox(background, &cri.RemovePodSandboxRequest{PodSandboxId: p.id}); err != nil {
		n.t.Error(err)
	}
	all.Wait()
}

// nothingIsLeft says what there still is of pods: processes, folders, links and mounts.
func (n *node) nothingIsLeft() {
	n.t.Helper()
	for _, program := range []string{"sleep\x00", "/pause", "shim\x00", "container\x00"} {
		n.await(fmt.Sprintf("%q is gone", program), func() bool { return findProcess(n.t, program) == 0 })
	}
	for _, kind := range []string{"sandboxes", "containers"} {
		if left, err := os.ReadDir(filepath.Join(n.directory, "state", kind)); err != nil || len(left) != 0 {
			n.t.Errorf("%s: %v, %v", kind, left, err)
		}
	}
	links, err := os.ReadDir("/sys/class/net")
	for _, link := range links {
		if err == nil && strings.HasPrefix(link.Name(), "eni") {
			n.t.Errorf("link %s is left", link.Name())
		}
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), n.directory) {
		n.t.Errorf("mounts, %v:\n%s", err, mounts)
	}
}
