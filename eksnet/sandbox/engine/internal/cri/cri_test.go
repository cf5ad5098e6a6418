package cri

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"eksnet.dev/engine/internal/images"
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

func TestTheUserOfAnImage(t *testing.T) {
	user := int64(65532)
	if got := described(images.Image{Match: "controller", User: &user}, nil).Uid; got.GetValue() != user {
		t.Errorf("%v; expected %d", got, user)
	}
	if got := described(images.Image{Match: "busybox"}, nil).Uid; got != nil {
		t.Errorf("%v; expected none: it runs as root", got)
	}
}

func TestAnImageThatIsNotBuiltYetIsPulledOnceItIs(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	table := images.Table{{Match: "late", Binds: map[string]string{"/program": program}, Remedy: "build it"}}
	store, err := openImages(table, filepath.Join(t.TempDir(), "pulled"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.pull("registry/late:1")
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "program is not built; build it") {
		t.Errorf("%v; expected that the program is not built", err)
	}
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := store.pull("registry/late:1"); err != nil {
		t.Error(err)
	}
}

func TestProbeOutputIsLimited(t *testing.T) {
	var buffer limitedBuffer
	// As the pipes are read: io.Copy takes the writer's ReadFrom, if it has one and the reader no WriteTo.
	size, err := io.Copy(&buffer, struct{ io.Reader }{bytes.NewReader(make([]byte, 3*maxOutput))})
	if err != nil || size != 3*maxOutput {
		t.Fatalf("written %d, %v", size, err)
	}
	if buffer.kept.Len() != maxOutput {
		t.Errorf("kept %d bytes; expected %d", buffer.kept.Len(), maxOutput)
	}
}

func TestPhasesFollowOneAnother(t *testing.T) {
	all := []phase{created, starting, running, stopping, exited, removing}
	allowed := map[[2]phase]bool{
		{created, starting}: true, {created, running}: true, {created, exited}: true, {created, removing}: true,
		{starting, running}: true, {starting, exited}: true,
		{running, stopping}: true, {running, exited}: true,
		{stopping, stopping}: true, {stopping, exited}: true,
		{exited, removing}: true, {removing, removing}: true,
	}
	for _, from := range all {
		for _, to := range all {
			c := newContainer("")
			c.phase = from
			noted := false
			err := c.become(to, func() { noted = true })
			if want := allowed[[2]phase{from, to}]; (err == nil) != want || noted != want {
				t.Errorf("from %s to %s: %v; allowed %v", from, to, err, want)
			}
			if err != nil && (status.Code(err) != codes.FailedPrecondition || c.phase != from) {
				t.Errorf("from %s to %s: %v, now %s", from, to, err, c.phase)
			}
		}
	}
}

func TestListingDoesNotWaitForARemoval(t *testing.T) {
	b := newSandbox("pod")
	b.record = sandboxRecord{ID: "pod", Stopped: true, Config: &runtime.PodSandboxConfig{}}
	c := newContainer("one")
	c.sandbox, c.record = b, containerRecord{ID: "one", Sandbox: "pod", Config: &runtime.ContainerConfig{}}
	s := &Server{sandboxes: map[string]*sandbox{"pod": b}, containers: map[string]*container{"one": c}}
	defer func(usual func(string) error) { removeFolder = usual }(removeFolder)
	begun, goOn := make(chan string), make(chan struct{})
	removeFolder = func(folder string) error {
		begun <- folder
		<-goOn
		return nil
	}
	removed := make(chan error)
	go func() {
		_, err := s.RemovePodSandbox(context.Background(), &runtime.RemovePodSandboxRequest{PodSandboxId: "pod"})
		removed <- err
	}()
	for _, folder := range []string{"one", "pod"} {
		if got := <-begun; got != folder {
			t.Fatalf("%s is removed; expected %s", got, folder)
		}
		listed := make(chan error)
		go func() { listed <- listAll(s) }()
		select {
		case err := <-listed:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("listing waits while %s is removed", folder)
		}
		goOn <- struct{}{}
	}
	if err := <-removed; err != nil {
		t.Error(err)
	}
}

// listAll asks what the kubelet asks every second.
func listAll(s *Server) error {
	_, pods := s.ListPodSandbox(context.Background(), &runtime.ListPodSandboxRequest{})
	_, all := s.ListContainers(context.Background(), &runtime.ListContainersRequest{})
	_, one := s.ContainerStatus(context.Background(), &runtime.ContainerStatusRequest{ContainerId: "one"})
	if status.Code(one) == codes.NotFound {
		one = nil // it is gone by then
	}
	return errors.Join(pods, all, one)
}

func TestACancelledCallDoesNotWaitForItsTurn(t *testing.T) {
	once := newTurn()
	if err := once.take(context.Background()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(10*time.Millisecond, cancel)
	if err := once.take(ctx); status.Code(err) != codes.Canceled {
		t.Errorf("%v; expected Canceled", err)
	}
	once.give()
	if err := once.take(ctx); status.Code(err) != codes.Canceled {
		t.Errorf("a call that had ended took the turn: %v", err)
	}
}

func TestNothingBeginsInAPodThatIsToStop(t *testing.T) {
	b := newSandbox("")
	inside, leave, err := b.enter(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	go func() { closed <- b.close(context.Background()) }()
	<-inside.Done() // what has begun is told
	if _, _, err := b.enter(context.Background()); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("%v; expected FailedPrecondition", err)
	}
	select {
	case err := <-closed:
		t.Errorf("closed before what had begun was over: %v", err)
	default:
	}
	leave()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := b.close(context.Background()); err != nil {
		t.Errorf("a second time: %v", err)
	}
}
