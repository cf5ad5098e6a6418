package cri

import (
	"slices"
	"testing"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestResolvConf(t *testing.T) {
	got, err := resolvConf(&runtime.DNSConfig{
		Servers:  []string{"10.100.0.10"},
		Searches: []string{"default.svc.cluster.local", "svc.cluster.local"},
		Options:  []string{"ndots:5"},
	})
	want := "search default.svc.cluster.local svc.cluster.local\nnameserver 10.100.0.10\noptions ndots:5\n"
	if err != nil || got != want {
		t.Errorf("%q, %v; expected %q", got, err, want)
	}
	if got, err := resolvConf(&runtime.DNSConfig{}); err != nil || got != "" {
		t.Errorf("dnsPolicy None without anything: %q, %v", got, err)
	}
}

func TestLastOfEachVariable(t *testing.T) {
	got := lastOfEach([]string{"A=1", "B=2", "A=3", "C=x=y"})
	if want := []string{"B=2", "A=3", "C=x=y"}; !slices.Equal(got, want) {
		t.Errorf("%q; expected %q", got, want)
	}
}

func TestFilters(t *testing.T) {
	pod := &runtime.PodSandbox{Id: "p", Labels: map[string]string{"app": "web"}, State: runtime.PodSandboxState_SANDBOX_READY}
	notReady := &runtime.PodSandboxStateValue{State: runtime.PodSandboxState_SANDBOX_NOTREADY}
	for _, c := range []struct {
		filter *runtime.PodSandboxFilter
		want   bool
	}{
		{nil, true},
		{&runtime.PodSandboxFilter{}, true},
		{&runtime.PodSandboxFilter{Id: "other"}, false},
		{&runtime.PodSandboxFilter{State: notReady}, false},
		{&runtime.PodSandboxFilter{LabelSelector: map[string]string{"app": "web"}}, true},
		{&runtime.PodSandboxFilter{LabelSelector: map[string]string{"app": "db"}}, false},
	} {
		if got := wantsSandbox(c.filter, pod); got != c.want {
			t.Errorf("%v: %v; expected %v", c.filter, got, c.want)
		}
	}
	container := &runtime.Container{Id: "c", PodSandboxId: "p", State: runtime.ContainerState_CONTAINER_RUNNING}
	if !wantsContainer(&runtime.ContainerFilter{PodSandboxId: "p"}, container) ||
		wantsContainer(&runtime.ContainerFilter{PodSandboxId: "q"}, container) {
		t.Error("the filter by pod")
	}
}

func TestProbeOutputIsLimited(t *testing.T) {
	var buffer limitedBuffer
	for range 3 {
		if size, err := buffer.Write(make([]byte, maxOutput/2+1)); err != nil || size != maxOutput/2+1 {
			t.Fatalf("written %d, %v", size, err)
		}
	}
	if buffer.Len() != maxOutput {
		t.Errorf("kept %d bytes; expected %d", buffer.Len(), maxOutput)
	}
}
