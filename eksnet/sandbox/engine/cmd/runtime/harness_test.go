package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// The tests are a small machine: TestMain runs them again as the first process of namespaces of
// their own, where every user may mount, and this executable plays every part of the runtime.

const insideVariable = "EKSNET_TEST_INSIDE"

// refused is why there are no namespaces, when there are none.
var refused string

func TestMain(m *testing.M) {
	if isHelper(os.Args) {
		main()
		return
	}
	if os.Getenv(insideVariable) == "" {
		if code, err := runInside(); err == nil {
			os.Exit(code)
		} else {
			refused = err.Error()
		}
	} else if err := prepareMachine(); err != nil {
		refused = err.Error()
	}
	os.Exit(m.Run())
}

func isHelper(args []string) bool {
	if filepath.Base(args[0]) == "pause" {
		return true
	}
	if len(args) < 2 {
		return false
	}
	switch args[1] {
	case "serve", "shim", "container", "enter":
		return true
	}
	return false
}

// runInside maps all ids for root and one id for anyone else, as the sandbox does.
func runInside() (int, error) {
	size := 1
	if os.Getuid() == 0 {
		size = 65536
	}
	command := exec.Command("/proc/self/exe", os.Args[1:]...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Env = append(os.Environ(), insideVariable+"=1")
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:                 unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		UidMappings:                []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: size}},
		GidMappings:                []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: size}},
		GidMappingsEnableSetgroups: os.Getuid() == 0,
		Pdeathsig:                  syscall.SIGKILL,
		// A signal to its process group stays inside.
		Setsid: true,
	}
	if err := command.Start(); err != nil {
		return 0, fmt.Errorf("user namespaces are refused on this machine: %w", err)
	}
	_ = command.Wait()
	return command.ProcessState.ExitCode(), nil
}

func prepareMachine() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("this machine lets a user namespace have no /proc: %w", err)
	}
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return err
	}
	return netlink.LinkSetUp(loopback)
}

// deadline is how long a condition may take before it is a failure.
const deadline = 20 * time.Second

// node is a runtime that serves, and a client of it.
type node struct {
	cri.RuntimeServiceClient
	images    cri.ImageServiceClient
	t         *testing.T
	directory string
	socket    string
	// log is where the server writes what it has to say.
	log        string
	server     *exec.Cmd
	connection *grpc.ClientConn
}

func newNode(t *testing.T) *node {
	t.Helper()
	if refused != "" {
		t.Skip(refused)
	}
	directory, err := os.MkdirTemp("", "runtime")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, directory: directory, socket: filepath.Join(directory, "cri.sock"), log: filepath.Join(directory, "log")}
	n.writeImages()
	n.serve()
	t.Cleanup(n.end)
	return n
}

func (n *node) writeImages() {
	n.t.Helper()
	table := []map[string]any{
		{"match": "busybox", "version": "1", "binds": map[string]string{"/bin": busybox(n.t, n.directory)}, "cmd": []string{"sh"}},
		{"match": "debian", "version": "1", "base": "host", "cmd": []string{"sh"}},
	}
	text, err := json.Marshal(table)
	if err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(n.directory, "images.json"), text, 0o644); err != nil {
		n.t.Fatal(err)
	}
}

// busybox makes a directory of the machine's busybox and a link for each of its programs.
func busybox(t *testing.T, directory string) string {
	t.Helper()
	program, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("this machine has no busybox; install busybox-static")
	}
	applets, err := exec.Command(program, "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(directory, "busybox")
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(bin, 0o755), os.WriteFile(filepath.Join(bin, "busybox"), text, 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, applet := range strings.Fields(string(applets)) {
		if err := os.Symlink("busybox", filepath.Join(bin, applet)); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
	}
	return bin
}

// serve starts a server over the node's directory, where an earlier one may have left something.
func (n *node) serve() {
	n.t.Helper()
	n.server = exec.Command("/proc/self/exe", "serve",
		"--dir", filepath.Join(n.directory, "state"), "--socket", n.socket,
		"--images", filepath.Join(n.directory, "images.json"),
		"--pod-cidr", "10.0.129.0/24", "--stream", "127.0.0.1:0")
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	n.server.Stdout, n.server.Stderr = log, log
	if err := n.server.Start(); err != nil {
		n.t.Fatal(err)
	}
	connection, err := grpc.NewClient("unix:"+n.socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)), // the kubelet's
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 10 * time.Millisecond, MaxDelay: 10 * time.Millisecond}}))
	if err != nil {
		n.t.Fatal(err)
	}
	n.connection = connection
	n.RuntimeServiceClient = cri.NewRuntimeServiceClient(connection)
	n.images = cri.NewImageServiceClient(connection)
	n.await("the server answers", func() bool {
		_, err := n.Version(context.Background(), &cri.VersionRequest{})
		return err == nil
	})
}

// crash ends the server as a bug would: without a word.
func (n *node) crash() {
	n.t.Helper()
	if err := n.server.Process.Kill(); err != nil {
		n.t.Fatal(err)
	}
	_ = n.server.Wait()
	n.connection.Close()
}

func (n *node) end() {
	ctx := context.Background()
	sandboxes, err := n.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{})
	if err != nil {
		n.t.Error(err)
	}
	for _, sandbox := range sandboxes.GetItems() {
		if _, err := n.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: sandbox.Id}); err != nil {
			n.t.Error(err)
		}
	}
	n.crash()
	if said, err := os.ReadFile(n.log); err == nil && n.t.Failed() {
		n.t.Logf("the runtime's log:\n%s", said)
	}
	if err := os.RemoveAll(n.directory); err != nil {
		n.t.Error(err)
	}
}

func (n *node) await(what string, condition func() bool) {
	n.t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	late := time.After(deadline)
	for !condition() {
		select {
		case <-ticker.C:
		case <-late:
			n.t.Fatalf("not within %s: %s", deadline, what)
		}
	}
}

// podOption changes a pod or container before it is made.
type podOption func(*cri.PodSandboxConfig)

type containerOption func(*cri.ContainerConfig)

func namespaces(set func(*cri.NamespaceOption)) podOption {
	return func(config *cri.PodSandboxConfig) { set(config.Linux.SecurityContext.NamespaceOptions) }
}

// pod is a pod sandbox of the test's node.
type pod struct {
	*node
	id     string
	config *cri.PodSandboxConfig
}

func podConfig(directory, name string, options ...podOption) *cri.PodSandboxConfig {
	config := &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: name, Namespace: "default", Uid: name},
		Hostname:     name,
		LogDirectory: filepath.Join(directory, "logs", name),
		DnsConfig: &cri.DNSConfig{
			Servers: []string{"10.100.0.10"}, Searches: []string{"default.svc.cluster.local"}, Options: []string{"ndots:5"},
		},
		Linux: &cri.LinuxPodSandboxConfig{SecurityContext: &cri.LinuxSandboxSecurityContext{
			NamespaceOptions: &cri.NamespaceOption{Pid: cri.NamespaceMode_CONTAINER},
		}},
	}
	for _, option := range options {
		option(config)
	}
	return config
}

func (n *node) pod(name string, options ...podOption) *pod {
	n.t.Helper()
	config := podConfig(n.directory, name, options...)
	response, err := n.RunPodSandbox(context.Background(), &cri.RunPodSandboxRequest{Config: config})
	if err != nil {
		n.t.Fatal(err)
	}
	return &pod{node: n, id: response.PodSandboxId, config: config}
}

func (p *pod) address() string {
	p.t.Helper()
	return p.podStatus().Network.Ip
}

func (p *pod) podStatus() *cri.PodSandboxStatus {
	p.t.Helper()
	response, err := p.PodSandboxStatus(context.Background(), &cri.PodSandboxStatusRequest{PodSandboxId: p.id})
	if err != nil {
		p.t.Fatal(err)
	}
	return response.Status
}

// create makes a container that runs a shell script.
func (p *pod) create(name, script string, options ...containerOption) string {
	p.t.Helper()
	config := &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: name},
		Image:    &cri.ImageSpec{Image: "docker.io/library/busybox:1.36"},
		Command:  []string{"sh", "-c", script},
		LogPath:  name + ".log",
		Linux: &cri.LinuxContainerConfig{SecurityContext: &cri.LinuxContainerSecurityContext{
			NamespaceOptions: p.config.Linux.SecurityContext.NamespaceOptions,
		}},
	}
	for _, option := range options {
		option(config)
	}
	response, err := p.CreateContainer(context.Background(), &cri.CreateContainerRequest{PodSandboxId: p.id, Config: config, SandboxConfig: p.config})
	if err != nil {
		p.t.Fatal(err)
	}
	return response.ContainerId
}

func (p *pod) run(name, script string, options ...containerOption) string {
	p.t.Helper()
	id := p.create(name, script, options...)
	if _, err := p.StartContainer(context.Background(), &cri.StartContainerRequest{ContainerId: id}); err != nil {
		p.t.Fatal(err)
	}
	return id
}

func (n *node) status(container string) *cri.ContainerStatus {
	n.t.Helper()
	response, err := n.ContainerStatus(context.Background(), &cri.ContainerStatusRequest{ContainerId: container})
	if err != nil {
		n.t.Fatal(err)
	}
	return response.Status
}

func (n *node) awaitExit(container string) *cri.ContainerStatus {
	n.t.Helper()
	n.await("the container ends", func() bool {
		return n.status(container).State == cri.ContainerState_CONTAINER_EXITED
	})
	return n.status(container)
}

// sh runs a script in a container and returns its output; it must succeed.
func (n *node) sh(container, script string) string {
	n.t.Helper()
	response, err := n.ExecSync(context.Background(), &cri.ExecSyncRequest{ContainerId: container, Cmd: []string{"sh", "-c", script}})
	if err != nil {
		n.t.Fatal(err)
	}
	if response.ExitCode != 0 {
		n.t.Fatalf("%s: exit code %d, %s%s", script, response.ExitCode, response.Stdout, response.Stderr)
	}
	return strings.TrimSpace(string(response.Stdout))
}

// logs returns the container's log lines without their times.
func (p *pod) logs(name string) []string {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.config.LogDirectory, name+".log"))
	if err != nil {
		p.t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		_, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		lines = append(lines, rest)
	}
	return lines
}
