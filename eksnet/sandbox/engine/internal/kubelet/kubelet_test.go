package kubelet

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	kubetypes "k8s.io/kubernetes/pkg/kubelet/types"
)

func ptr[T any](value T) *T { return &value }

func askingPod() *v1.Pod {
	own := &v1.SecurityContext{RunAsUser: ptr(int64(1)), RunAsGroup: ptr(int64(2)), RunAsNonRoot: ptr(true), ReadOnlyRootFilesystem: ptr(true)}
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "app", UID: "1"},
		Spec: v1.PodSpec{
			SecurityContext: &v1.PodSecurityContext{RunAsUser: ptr(int64(1)), FSGroup: ptr(int64(2)), SupplementalGroups: []int64{3}},
			InitContainers:  []v1.Container{{SecurityContext: own.DeepCopy()}},
			Containers:      []v1.Container{{SecurityContext: own.DeepCopy()}, {}},
			EphemeralContainers: []v1.EphemeralContainer{
				{EphemeralContainerCommon: v1.EphemeralContainerCommon{SecurityContext: own.DeepCopy()}},
			},
		},
	}
}

func TestIDsAreDroppedAndNothingElse(t *testing.T) {
	pod := askingPod()
	stripped, dropped := withoutIDs(pod)
	if !dropped {
		t.Error("nothing was dropped")
	}
	if c := stripped.Spec.SecurityContext; c.RunAsUser != nil || c.FSGroup != nil || c.SupplementalGroups != nil {
		t.Errorf("the pod still asks: %v", c)
	}
	contexts := securityContexts(stripped)
	if len(contexts) != 3 {
		t.Fatalf("%d containers with a security context; expected 3", len(contexts))
	}
	for _, c := range contexts {
		if c.RunAsUser != nil || c.RunAsGroup != nil || c.RunAsNonRoot != nil || !*c.ReadOnlyRootFilesystem {
			t.Errorf("container: %v", c)
		}
	}
	if pod.Spec.SecurityContext.RunAsUser == nil || pod.Spec.Containers[0].SecurityContext.RunAsUser == nil {
		t.Error("the API server's own object was changed")
	}
}

func TestAContainerIsNotCollectedWhileTheNextOneStarts(t *testing.T) {
	config := filepath.Join(t.TempDir(), "kubelet.yaml")
	if err := os.WriteFile(config, []byte("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server, err := newServer(t.Context(), settings{config: config})
	if err != nil {
		t.Fatal(err)
	}
	// A start may take seconds on a busy computer.
	if age := server.MinimumGCAge.Duration; age < 30*time.Second {
		t.Errorf("containers are collected from an age of %s", age)
	}
}

func TestPodThatAsksForNothing(t *testing.T) {
	if _, dropped := withoutIDs(&v1.Pod{Spec: v1.PodSpec{Containers: []v1.Container{{}}}}); dropped {
		t.Error("something was dropped")
	}
}

func TestNotToBeRootIsAWishToo(t *testing.T) {
	for _, choice := range []bool{true, false} {
		pods := []*v1.Pod{
			{Spec: v1.PodSpec{SecurityContext: &v1.PodSecurityContext{RunAsNonRoot: &choice}}},
			{Spec: v1.PodSpec{Containers: []v1.Container{{SecurityContext: &v1.SecurityContext{RunAsNonRoot: &choice}}}}},
		}
		for _, pod := range pods {
			if _, dropped := withoutIDs(pod); dropped != choice {
				t.Errorf("runAsNonRoot %v: dropped %v", choice, dropped)
			}
		}
	}
}

func TestEachPodIsToldOnce(t *testing.T) {
	old := askingPod()
	old.UID, old.Status.StartTime = "2", &metav1.Time{Time: time.Unix(0, 0)}
	in, out := make(chan interface{}, 2), make(chan interface{}, 2)
	for range 2 {
		in <- kubetypes.PodUpdate{Op: kubetypes.SET, Pods: []*v1.Pod{askingPod(), old}}
	}
	close(in)
	recorder := record.NewFakeRecorder(10)
	dropIDs(in, out, recorder)
	close(recorder.Events)
	var events []string
	for event := range recorder.Events {
		events = append(events, event)
	}
	if len(events) != 1 || !strings.HasPrefix(events[0], "Warning UserIgnored") {
		t.Errorf("events %q; expected one", events)
	}
	if update := (<-out).(kubetypes.PodUpdate); update.Pods[0].Spec.SecurityContext.RunAsUser != nil {
		t.Error("the kubelet still sees the user")
	}
}

func TestPodsAreAskedForOnceTheirNodeIsThere(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	looks := 0
	found := isThere(ctx, func(context.Context) error {
		if looks++; looks < 3 {
			return errors.New("not found")
		}
		return nil
	})
	if !found() || looks != 3 {
		t.Errorf("looked %d times; expected 3", looks)
	}
	cancel()
	if isThere(ctx, func(context.Context) error { return errors.New("not found") })() {
		t.Error("pods were asked for after the end")
	}
}

func TestBusyTimeLeavesOutIdleAndWaiting(t *testing.T) {
	if got, want := busyNanoseconds("cpu  1 2 3 100 200 4 5 6 0 0\n"), uint64(21*10_000_000); got != want {
		t.Errorf("%d ns; expected %d", got, want)
	}
	if got := busyNanoseconds("nothing"); got != 0 {
		t.Errorf("%d ns of nothing", got)
	}
}

func TestPrettyName(t *testing.T) {
	if got := prettyName(strings.NewReader("ID=debian\nPRETTY_NAME=\"Debian 12\"\n")); got != "Debian 12" {
		t.Errorf("%q", got)
	}
	if got := prettyName(strings.NewReader("")); got != "Linux" {
		t.Errorf("%q", got)
	}
}

func TestTheDiskIsTheNodesEphemeralStorage(t *testing.T) {
	var disk unix.Statfs_t
	root := t.TempDir()
	if err := unix.Statfs(root, &disk); err != nil {
		t.Fatal(err)
	}
	manager := containerManager{cm.NewStubContainerManager(), &machineStats{root: root}}
	got, want := manager.GetCapacity(true)[v1.ResourceEphemeralStorage], int64(disk.Blocks)*disk.Bsize
	if want == 0 || got.Value() != want {
		t.Errorf("%d bytes; expected %d", got.Value(), want)
	}
	if got := manager.GetCapacity(false); len(got) != 0 {
		t.Errorf("storage that pods may not ask for: %v", got)
	}
}
