package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"eksnet.dev/engine/internal/process"
)

var background = context.Background()

func TestLogsAndExitCode(t *testing.T) {
	p := newNode(t).pod("app")
	id := p.run("main", "echo out; echo err >&2; printf rest; exit 3")
	exit := p.awaitExit(id)
	if exit.ExitCode != 3 || exit.Reason != "Error" {
		t.Errorf("exit %d %s; expected 3 Error", exit.ExitCode, exit.Reason)
	}
	if exit.StartedAt == 0 || exit.FinishedAt < exit.StartedAt {
		t.Errorf("started %d, finished %d", exit.StartedAt, exit.FinishedAt)
	}
	lines := p.logs("main")
	slices.Sort(lines)
	if want := []string{"stderr F err", "stdout F out", "stdout P rest"}; !slices.Equal(lines, want) {
		t.Errorf("log %q; expected %q", lines, want)
	}
}

func TestEndBySignalIsReported(t *testing.T) {
	p := newNode(t).pod("app")
	id := p.run("main", "sh -c 'kill -9 $$'; exit $?")
	if exit := p.awaitExit(id); exit.ExitCode != 137 {
		t.Errorf("exit code %d; expected 137", exit.ExitCode)
	}
}

func TestContainerSeesOnlyItself(t *testing.T) {
	n := newNode(t)
	p := n.pod("app")
	id := p.run("main", "sleep 1000")
	const first = "tr '\\0' ' ' </proc/1/cmdline"
	// Until its shell has become it.
	n.await("the first process sleeps", func() bool { return p.sh(id, first) == "sleep 1000" })
	for script, want := range map[string]string{
		"hostname":             "app",
		"cat /etc/hostname":    "app",
		"cat /etc/resolv.conf": "search default.svc.cluster.local\nnameserver 10.100.0.10\noptions ndots:5",
		"ls -d " + n.directory + " 2>/dev/null || echo hidden": "hidden",
		"ls /": "bin\ndev\netc\nproc\nroot\nrun\nsys\ntmp\nvar",
		"echo x >/proc/sys/kernel/hostname 2>/dev/null || echo guarded": "guarded",
		"echo x >/dev/null && ls /dev/pts":                              "ptmx",
	} {
		if got := p.sh(id, script); got != want {
			t.Errorf("%s: %q; expected %q", script, got, want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	p := newNode(t).pod("app")
	id := p.run("main", "sleep 1000", func(c *cri.ContainerConfig) {
		c.Envs = []*cri.KeyValue{{Key: "HOME", Value: "/data"}, {Key: "COLOUR", Value: "blue"}}
	})
	if got := p.sh(id, "echo $HOME $COLOUR $HOSTNAME"); got != "/data blue app" {
		t.Errorf("environment: %q", got)
	}
}

func TestTheComputersMemoryIsTakenFromPodsFirst(t *testing.T) {
	p := newNode(t).pod("app")
	for score, want := range map[int64]string{700: "700", -900: "0"} {
		id := p.run(fmt.Sprintf("main%d", score), "sleep 1000", func(c *cri.ContainerConfig) {
			c.Linux.Resources = &cri.LinuxContainerResources{OomScoreAdj: score}
		})
		if got := p.sh(id, "cat /proc/1/oom_score_adj"); got != want {
			t.Errorf("score %d: %q; expected %q", score, got, want)
		}
	}
}

func TestPodsGetAddressesInOrderAndReachEachOther(t *testing.T) {
	n := newNode(t)
	first, second := n.pod("first"), n.pod("second")
	if got := []string{first.address(), second.address()}; !slices.Equal(got, []string{"10.0.129.10", "10.0.129.11"}) {
		t.Fatalf("addresses %q", got)
	}
	server := first.run("web", "echo -n hello >/tmp/index.html; httpd -f -p 80 -h /tmp")
	client := second.run("main", "sleep 1000")
	n.await("the web server listens", func() bool {
		return strings.Contains(n.sh(server, "netstat -ltn"), ":80 ")
	})
	if got := n.sh(client, "wget -qO- http://10.0.129.10/"); got != "hello" {
		t.Errorf("wget: %q", got)
	}
	if got := n.sh(client, "ip route"); !strings.Contains(got, "default via 169.254.1.1 dev eth0") {
		t.Errorf("routes: %s", got)
	}
}

func TestAddressOfAStoppedPodIsGivenOutAgain(t *testing.T) {
	n := newNode(t)
	first := n.pod("first")
	n.pod("second")
	if _, err := n.StopPodSandbox(background, &cri.StopPodSandboxRequest{PodSandboxId: first.id}); err != nil {
		t.Fatal(err)
	}
	if got := n.pod("third").address(); got != "10.0.129.10" {
		t.Errorf("address %s; expected 10.0.129.10", got)
	}
	// The new pod of the same name takes the link over.
	if got := n.pod("second").address(); got != "10.0.129.12" {
		t.Errorf("address %s; expected 10.0.129.12", got)
	}
}

func TestNodeNetwork(t *testing.T) {
	n := newNode(t)
	p := n.pod("proxy", namespaces(func(o *cri.NamespaceOption) { o.Network = cri.NamespaceMode_NODE }))
	id := p.run("main", "sleep 1000")
	if p.address() != "" {
		t.Errorf("address %q; expected none of its own", p.address())
	}
	inside := n.sh(id, "readlink /proc/self/ns/net")
	outside, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if inside != outside {
		t.Errorf("network namespace %s; the node's is %s", inside, outside)
	}
}

func TestSharedProcessNamespace(t *testing.T) {
	n := newNode(t)
	p := n.pod("app", namespaces(func(o *cri.NamespaceOption) { o.Pid = cri.NamespaceMode_POD }))
	p.run("one", "exec sleep 1234")
	two := p.run("two", "exec sleep 5678")
	if got := n.sh(two, "tr '\\0' ' ' </proc/1/cmdline"); !strings.HasPrefix(got, "/pause") {
		t.Errorf("process 1 is %q; expected /pause", got)
	}
	if got := n.sh(two, "ps -o args"); !strings.Contains(got, "sleep 1234") {
		t.Errorf("the other container's process is not there:\n%s", got)
	}
}

func TestTargetProcessNamespace(t *testing.T) {
	n := newNode(t)
	p := n.pod("app")
	target := p.run("main", "exec sleep 1234")
	debugger := p.run("debugger", "sleep 1000", func(c *cri.ContainerConfig) {
		c.Linux.SecurityContext.NamespaceOptions = &cri.NamespaceOption{Pid: cri.NamespaceMode_TARGET, TargetId: target}
	})
	if got := n.sh(debugger, "tr '\\0' ' ' </proc/1/cmdline"); got != "sleep 1234" {
		t.Errorf("process 1 is %q; expected the target's", got)
	}
}

func TestReadOnlyRoot(t *testing.T) {
	p := newNode(t).pod("app")
	id := p.run("main", "sleep 1000", func(c *cri.ContainerConfig) { c.Linux.SecurityContext.ReadonlyRootfs = true })
	response, err := p.ExecSync(background, &cri.ExecSyncRequest{ContainerId: id, Cmd: []string{"touch", "/file"}})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(response.Stderr), "Read-only file system") {
		t.Errorf("touch: %d %s", response.ExitCode, response.Stderr)
	}
}

func TestVolumes(t *testing.T) {
	n := newNode(t)
	p := n.pod("app")
	volume := filepath.Join(n.directory, "volume")
	if err := os.MkdirAll(filepath.Join(volume, "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(volume, "deep", "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(volume, "file"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	id := p.run("main", "sleep 1000", func(c *cri.ContainerConfig) {
		c.Mounts = []*cri.Mount{
			{HostPath: filepath.Join(volume, "file"), ContainerPath: "/data/deep/file"},
			{HostPath: volume, ContainerPath: "/data", Readonly: true},
			{HostPath: volume, ContainerPath: "/writable"},
		}
	})
	if got := n.sh(id, "cat /data/deep/file; touch /data/x 2>/dev/null || echo ' read-only'; echo ok >/writable/new"); got != "text read-only" {
		t.Errorf("volumes: %q", got)
	}
	if _, err := os.Stat(filepath.Join(volume, "new")); err != nil {
		t.Error(err)
	}
}

func TestAHostPathThatIsNotThereBecomesADirectory(t *testing.T) {
	n := newNode(t)
	volume := filepath.Join(n.directory, "not", "there")
	id := n.pod("app").run("main", "sleep 1000", func(c *cri.ContainerConfig) {
		c.Mounts = []*cri.Mount{{HostPath: volume, ContainerPath: "/data"}}
	})
	n.sh(id, "echo ok >/data/file")
	if _, err := os.Stat(filepath.Join(volume, "file")); err != nil {
		t.Error(err)
	}
}

func TestLinkInAVolumeStaysInTheContainer(t *testing.T) {
	n := newNode(t)
	p := n.pod("app")
	volume, secret := filepath.Join(n.directory, "volume"), filepath.Join(n.directory, "secret")
	for _, directory := range []string{volume, secret} {
		if err := os.MkdirAll(directory, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(secret, filepath.Join(volume, "link")); err != nil {
		t.Fatal(err)
	}
	p.run("main", "sleep 1000", func(c *cri.ContainerConfig) {
		c.Mounts = []*cri.Mount{
			{HostPath: volume, ContainerPath: "/data"},
			{HostPath: volume, ContainerPath: "/data/link/below"},
		}
	})
	entries, err := os.ReadDir(secret)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 0 {
		t.Errorf("the container's mount point was made on the node: %v", entries)
	}
}

func TestHostBase(t *testing.T) {
	p := newNode(t).pod("app")
	id := p.run("main", "sleep 1000", func(c *cri.ContainerConfig) { c.Image = &cri.ImageSpec{Image: "debian"} })
	if got := p.sh(id, "test -x /usr/bin/env && ls -d /home 2>/dev/null || echo no home"); got != "no home" {
		t.Errorf("host base: %q", got)
	}
}

// oneID tells whether a container cannot choose its user: the kubelet asks for no other there.
func oneID(t *testing.T) bool {
	t.Helper()
	mapping, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(mapping))[2] == "1"
}

func TestUser(t *testing.T) {
	p := newNode(t).pod("app")
	id := p.create("main", "sleep 1000", func(c *cri.ContainerConfig) {
		c.Linux.SecurityContext.RunAsUser = &cri.Int64Value{Value: 1000}
		c.Linux.SecurityContext.RunAsGroup = &cri.Int64Value{Value: 3000}
		c.Linux.SecurityContext.SupplementalGroups = []int64{2000}
	})
	_, err := p.StartContainer(background, &cri.StartContainerRequest{ContainerId: id})
	if oneID(t) {
		if err == nil {
			t.Error("it runs, as a user that there is not")
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := p.sh(id, "id -u; id -g; id -G"); got != "1000\n3000\n3000 2000" {
		t.Errorf("ids: %q", got)
	}
}

func TestAUserOpensItsStandardFiles(t *testing.T) {
	p := newNode(t).pod("app")
	script := "echo hi >/dev/stdout && echo ho >/dev/stderr && exec sleep 1000"
	asUser := func(c *cri.ContainerConfig) {
		if !oneID(t) {
			c.Linux.SecurityContext.RunAsUser = &cri.Int64Value{Value: 1000}
		}
	}
	piped := p.run("piped", script, asUser)
	p.run("terminal", script, asUser, func(c *cri.ContainerConfig) { c.Tty = true })
	p.await("both are logged", func() bool { return len(p.logs("piped")) == 2 && len(p.logs("terminal")) == 2 })
	lines := p.logs("piped")
	slices.Sort(lines)
	if want := []string{"stderr F ho", "stdout F hi"}; !slices.Equal(lines, want) {
		t.Errorf("log %q; expected %q", lines, want)
	}
	if got := strings.Join(p.logs("terminal"), " "); !strings.Contains(got, "F hi") || !strings.Contains(got, "F ho") {
		t.Errorf("a terminal's log: %q", got)
	}
	if got := p.sh(piped, "echo exec >/dev/stdout"); got != "exec" {
		t.Errorf("exec: %q", got)
	}
}

func TestCapabilities(t *testing.T) {
	p := newNode(t).pod("app")
	capabilities := func(name string, option containerOption) string {
		id := p.run(name, "sleep 1000", option)
		return p.sh(id, "awk '/^Cap/ {print $2}' /proc/self/status | xargs")
	}
	ask := func(add, drop string) containerOption {
		return func(c *cri.ContainerConfig) {
			c.Linux.SecurityContext.Capabilities = &cri.Capability{
				AddCapabilities: strings.Fields(add), DropCapabilities: strings.Fields(drop),
			}
		}
	}
	// Inheritable, permitted, effective, bounding, ambient.
	const none = "0000000000000000"
	three := func(set string) string { return strings.Join([]string{none, set, set, set, none}, " ") }
	if got, want := capabilities("plain", ask("", "")), three("00000000a80425fb"); got != want {
		t.Errorf("default: %s; expected %s", got, want)
	}
	if got, want := capabilities("admin", ask("NET_ADMIN", "ALL")), three("0000000000001000"); got != want {
		t.Errorf("NET_ADMIN alone: %s; expected %s", got, want)
	}
	own, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	privileged := capabilities("privileged", func(c *cri.ContainerConfig) { c.Linux.SecurityContext.Privileged = true })
	if set := strings.Fields(privileged)[3]; !strings.Contains(string(own), "CapBnd:\t"+set) || privileged != three(set) {
		t.Errorf("privileged: %s; expected all that the node has", privileged)
	}
}

func TestExecReportsCodeOutputAndAbsence(t *testing.T) {
	p := newNode(t).pod("app")
	id := p.run("main", "sleep 1000")
	response, err := p.ExecSync(background, &cri.ExecSyncRequest{ContainerId: id, Cmd: []string{"sh", "-c", "echo out; echo err >&2; exit 7"}})
	if err != nil {
		t.Fatal(err)
	}
	if response.ExitCode != 7 || string(response.Stdout) != "out\n" || string(response.Stderr) != "err\n" {
		t.Errorf("exec: %v", response)
	}
	_, err = p.ExecSync(background, &cri.ExecSyncRequest{ContainerId: id, Cmd: []string{"nonesuch"}})
	if err == nil || !strings.Contains(err.Error(), `exec: "nonesuch": executable file not found in $PATH`) {
		t.Errorf("exec of a program that is not there: %v", err)
	}
}

func TestExecTimeoutKillsTheGroup(t *testing.T) {
	p := newNode(t).pod("app")
	id := p.run("main", "exec sleep 1000")
	_, err := p.ExecSync(background, &cri.ExecSyncRequest{ContainerId: id, Cmd: []string{"sh", "-c", "sleep 4321 & sleep 4321"}, Timeout: 1})
	if status.Code(err) != codes.DeadlineExceeded {
		t.Fatalf("error %v; expected DeadlineExceeded", err)
	}
	p.await("the processes are gone", func() bool { return !strings.Contains(p.sh(id, "ps -o args"), "sleep 4321\n") })
}

func TestStopGivesGrace(t *testing.T) {
	p := newNode(t).pod("app")
	polite := p.run("polite", "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.1; done")
	p.await("the trap is set", func() bool { return slices.Contains(p.logs("polite"), "stdout F up") })
	if _, err := p.StopContainer(background, &cri.StopContainerRequest{ContainerId: polite, Timeout: 15}); err != nil {
		t.Fatal(err)
	}
	if exit := p.status(polite); exit.ExitCode != 5 || !slices.Contains(p.logs("polite"), "stdout F bye") {
		t.Errorf("exit code %d, log %q", exit.ExitCode, p.logs("polite"))
	}
	deaf := p.run("deaf", "trap '' TERM; while :; do sleep 0.1; done")
	if _, err := p.StopContainer(background, &cri.StopContainerRequest{ContainerId: deaf, Timeout: 1}); err != nil {
		t.Fatal(err)
	}
	if exit := p.status(deaf); exit.ExitCode != 137 {
		t.Errorf("exit code %d; expected 137", exit.ExitCode)
	}
}

func TestStartErrorSaysWhy(t *testing.T) {
	p := newNode(t).pod("app")
	id := p.create("main", "", func(c *cri.ContainerConfig) { c.Command = []string{"nonesuch"} })
	_, err := p.StartContainer(background, &cri.StartContainerRequest{ContainerId: id})
	if err == nil || !strings.Contains(err.Error(), "executable file not found") {
		t.Fatalf("start: %v", err)
	}
	exit := p.status(id)
	if exit.State != cri.ContainerState_CONTAINER_EXITED || exit.ExitCode != 128 || exit.Reason != "StartError" {
		t.Errorf("status %v", exit)
	}
}

func TestReopenedLogGoesOnInANewFile(t *testing.T) {
	p := newNode(t).pod("app")
	id := p.run("main", "while read line; do echo $line; done </tmp/pipe", func(c *cri.ContainerConfig) {
		c.Command = []string{"sh", "-c", "mkfifo /tmp/pipe; while :; do read line </tmp/pipe && echo $line; done"}
	})
	p.sh(id, "while ! test -p /tmp/pipe; do sleep 0.1; done; echo one >/tmp/pipe")
	p.await("the first line", func() bool { return len(p.logs("main")) == 1 })
	path := filepath.Join(p.config.LogDirectory, "main.log")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.ReopenContainerLog(background, &cri.ReopenContainerLogRequest{ContainerId: id}); err != nil {
		t.Fatal(err)
	}
	p.sh(id, "echo two >/tmp/pipe")
	p.await("the second line", func() bool { return slices.Equal(p.logs("main"), []string{"stdout F two"}) })
}

func TestContainersSurviveACrashOfTheRuntime(t *testing.T) {
	n := newNode(t)
	p := n.pod("app")
	id := p.run("main", "exec sleep 1000")
	done := p.run("done", "exit 4")
	n.awaitExit(done)
	created := p.create("created", "echo late")
	before := n.status(id)
	n.crash()
	n.serve()
	after := n.status(id)
	if after.State != cri.ContainerState_CONTAINER_RUNNING || after.StartedAt != before.StartedAt {
		t.Fatalf("after the crash: %v", after)
	}
	if got := p.podStatus(); got.State != cri.PodSandboxState_SANDBOX_READY || got.Network.Ip != "10.0.129.10" {
		t.Errorf("pod %v", got)
	}
	if got := n.status(done); got.ExitCode != 4 || got.FinishedAt == 0 {
		t.Errorf("the container that had ended: %v", got)
	}
	if got := n.sh(id, "echo alive"); got != "alive" {
		t.Errorf("exec: %q", got)
	}
	if got := n.pod("next").address(); got != "10.0.129.11" {
		t.Errorf("the next pod's address is %s; expected 10.0.129.11", got)
	}
	if _, err := n.StartContainer(background, &cri.StartContainerRequest{ContainerId: created}); err != nil {
		t.Error(err)
	}
	if _, err := n.StopContainer(background, &cri.StopContainerRequest{ContainerId: id}); err != nil {
		t.Fatal(err)
	}
	if exit := n.status(id); exit.ExitCode != 137 {
		t.Errorf("exit code %d; expected 137", exit.ExitCode)
	}
}

func TestAnEndDuringTheCrashIsRecorded(t *testing.T) {
	n := newNode(t)
	p := n.pod("app")
	id := p.run("main", "while ! test -e /go/on; do sleep 0.1; done; echo ended; exit 6", func(c *cri.ContainerConfig) {
		c.Mounts = []*cri.Mount{{HostPath: n.directory, ContainerPath: "/go"}}
	})
	n.crash()
	if err := os.WriteFile(filepath.Join(n.directory, "on"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	n.await("the container ends by itself", func() bool { return slices.Contains(p.logs("main"), "stdout F ended") })
	n.serve()
	if exit := n.awaitExit(id); exit.ExitCode != 6 {
		t.Errorf("exit code %d; expected 6", exit.ExitCode)
	}
}

func TestAfterABootNothingIsBelieved(t *testing.T) {
	n := newNode(t)
	p := n.pod("app")
	id := p.run("main", "exec sleep 1000")
	n.crash()
	n.killAllOthers()
	n.serve()
	if got := p.podStatus().State; got != cri.PodSandboxState_SANDBOX_NOTREADY {
		t.Errorf("pod %v", got)
	}
	exit := n.status(id)
	if exit.State != cri.ContainerState_CONTAINER_EXITED || exit.ExitCode != 255 || exit.Reason != "Unknown" {
		t.Errorf("container %v", exit)
	}
	if got := n.pod("next").address(); got != "10.0.129.10" {
		t.Errorf("the dead pod still holds its address: the next got %s", got)
	}
}

func TestADeadPodDoesNotGiveAnothersAddressAway(t *testing.T) {
	n := newNode(t)
	first := n.pod("first")
	n.pod("second")
	n.crash()
	n.killAllOthers()
	n.serve()
	// The kubelet clears the dead pods away one by one, while it starts others.
	if got := n.pod("third").address(); got != "10.0.129.10" {
		t.Fatalf("address %s; expected 10.0.129.10", got)
	}
	if _, err := n.StopPodSandbox(background, &cri.StopPodSandboxRequest{PodSandboxId: first.id}); err != nil {
		t.Fatal(err)
	}
	if got := n.pod("fourth").address(); got != "10.0.129.11" {
		t.Errorf("address %s; expected 10.0.129.11: 10.0.129.10 is the third pod's", got)
	}
}

// killAllOthers is what the end of the sandbox does to all of its processes but this one.
func (n *node) killAllOthers() {
	n.t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		n.t.Fatal(err)
	}
	var killed []process.Identity
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// One that has ended meanwhile is nobody, and so is not alive.
		identity, _ := process.Of(pid)
		killed = append(killed, identity)
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	// A process is alive for a moment after it has lost its memory, and with that its name.
	n.await("all are dead", func() bool { return !slices.ContainsFunc(killed, process.Identity.Alive) })
}

func TestADeadShimEndsItsContainer(t *testing.T) {
	n := newNode(t)
	p := n.pod("app")
	id := p.run("main", "exec sleep 1000")
	n.killProcess("shim\x00" + filepath.Join(n.directory, "state", "containers", id))
	if exit := n.awaitExit(id); exit.Reason != "Unknown" {
		t.Errorf("container %v", exit)
	}
	n.await("its process is gone", func() bool { return findProcess(t, "sleep\x001000") == 0 })
}

func TestAContainersProcessesEndWithItsFirst(t *testing.T) {
	for name, mode := range map[string]cri.NamespaceMode{"shared": cri.NamespaceMode_POD, "node": cri.NamespaceMode_NODE} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			p := n.pod("app", namespaces(func(o *cri.NamespaceOption) { o.Pid = mode }))
			other := p.run("other", "sleep 1111 & exec sleep 2222")
			// In a session of its own, so that no signal to a group reaches it.
			stopped := p.run("stopped", "setsid sleep 3333 & exec sleep 4444")
			n.sh(stopped, "setsid sleep 5555 >/dev/null 2>&1 &")
			brief := p.run("brief", "setsid sleep 6666 & exit 3")
			if exit := n.awaitExit(brief); exit.ExitCode != 3 {
				t.Errorf("exit code %d; expected 3", exit.ExitCode)
			}
			if _, err := n.StopContainer(background, &cri.StopContainerRequest{ContainerId: stopped}); err != nil {
				t.Fatal(err)
			}
			for _, gone := range []string{"3333", "4444", "5555", "6666"} {
				if pid := findProcess(t, "sleep\x00"+gone); pid != 0 {
					t.Errorf("process %d, sleep %s, lives on", pid, gone)
				}
			}
			if findProcess(t, "sleep\x001111") == 0 || findProcess(t, "/pause") == 0 || n.sh(other, "echo well") != "well" {
				t.Error("another container's processes, or the pod's own, have ended too")
			}
			if _, err := n.RemovePodSandbox(background, &cri.RemovePodSandboxRequest{PodSandboxId: p.id}); err != nil {
				t.Fatal(err)
			}
			if findProcess(t, "sleep\x00") != 0 {
				t.Error("a process of the pod lives on")
			}
		})
	}
}

func TestADeadShimsContainerLeavesNoProcess(t *testing.T) {
	n := newNode(t)
	p := n.pod("app", namespaces(func(o *cri.NamespaceOption) { o.Pid = cri.NamespaceMode_NODE }))
	id := p.run("main", "setsid sleep 3333 & exec sleep 4444")
	n.await("both run", func() bool { return findProcess(t, "sleep\x003333") != 0 && findProcess(t, "sleep\x004444") != 0 })
	n.killProcess("shim\x00")
	n.awaitExit(id)
	if findProcess(t, "sleep\x00") != 0 {
		t.Error("a process of the container lives on")
	}
}

// findProcess returns the process whose command line has a text, or 0.
func findProcess(t *testing.T, text string) int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if line, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline")); err == nil && strings.Contains(string(line), text) {
			return pid
		}
	}
	return 0
}

// process waits for the process whose command line has a text, and returns it.
func (n *node) process(text string) (pid int) {
	n.t.Helper()
	n.await(fmt.Sprintf("%q runs", text), func() bool {
		pid = findProcess(n.t, text)
		return pid != 0
	})
	return pid
}

// killProcess ends the process whose command line has a text, once there is one: to kill process 0
// is to kill all that were started together with the caller.
func (n *node) killProcess(text string) {
	n.t.Helper()
	if err := syscall.Kill(n.process(text), syscall.SIGKILL); err != nil {
		n.t.Fatal(err)
	}
}

func TestOnlyOneServerPerDirectory(t *testing.T) {
	n := newNode(t)
	command := exec.Command("/proc/self/exe", n.server.Args[1:]...)
	output, err := command.CombinedOutput()
	if err == nil || !strings.Contains(string(output), "in use by another runtime") {
		t.Errorf("a second server: %v %s", err, output)
	}
}

func TestUnknownImageListsTheKnown(t *testing.T) {
	n := newNode(t)
	_, err := n.images.PullImage(background, &cri.PullImageRequest{Image: &cri.ImageSpec{Image: "nginx:1.27"}})
	if status.Code(err) != codes.NotFound || !strings.Contains(err.Error(), "busybox, debian") {
		t.Errorf("pull: %v", err)
	}
}

func TestPulledImagesAreKeptAndRemoved(t *testing.T) {
	n := newNode(t)
	spec := &cri.ImageSpec{Image: "602401143452.dkr.ecr.ap-northeast-2.amazonaws.com/busybox:v1@sha256:00"}
	present := func() bool {
		response, err := n.images.ImageStatus(background, &cri.ImageStatusRequest{Image: spec})
		if err != nil {
			t.Fatal(err)
		}
		return response.Image != nil
	}
	if present() {
		t.Error("present before it was pulled")
	}
	if _, err := n.images.PullImage(background, &cri.PullImageRequest{Image: spec}); err != nil {
		t.Fatal(err)
	}
	n.crash()
	n.serve()
	if !present() {
		t.Error("gone after a restart")
	}
	if _, err := n.images.RemoveImage(background, &cri.RemoveImageRequest{Image: spec}); err != nil {
		t.Fatal(err)
	}
	if present() {
		t.Error("present after it was removed")
	}
}

func TestAVolumeOfAnImageIsRefused(t *testing.T) {
	p := newNode(t).pod("app")
	_, err := p.CreateContainer(background, &cri.CreateContainerRequest{
		PodSandboxId: p.id, SandboxConfig: p.config,
		Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: "main"}, Image: &cri.ImageSpec{Image: "busybox"},
			Mounts: []*cri.Mount{{ContainerPath: "/model", Image: &cri.ImageSpec{Image: "debian"}}},
		},
	})
	if status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "/model") {
		t.Errorf("%v; expected Unimplemented", err)
	}
}

func TestHostPortIsRefused(t *testing.T) {
	n := newNode(t)
	config := podConfig(n.directory, "app", func(c *cri.PodSandboxConfig) {
		c.PortMappings = []*cri.PortMapping{{HostPort: 8080, ContainerPort: 80}}
	})
	_, err := n.RunPodSandbox(background, &cri.RunPodSandboxRequest{Config: config})
	if status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "NodePort") {
		t.Errorf("hostPort: %v", err)
	}
}

func TestUnknownIDs(t *testing.T) {
	n := newNode(t)
	if _, err := n.ContainerStatus(background, &cri.ContainerStatusRequest{ContainerId: "x"}); status.Code(err) != codes.NotFound {
		t.Errorf("status of no container: %v", err)
	}
	if _, err := n.PodSandboxStatus(background, &cri.PodSandboxStatusRequest{PodSandboxId: "x"}); status.Code(err) != codes.NotFound {
		t.Errorf("status of no pod: %v", err)
	}
	if _, err := n.RemoveContainer(background, &cri.RemoveContainerRequest{ContainerId: "x"}); err != nil {
		t.Errorf("remove no container: %v", err)
	}
	if _, err := n.RemovePodSandbox(background, &cri.RemovePodSandboxRequest{PodSandboxId: "x"}); err != nil {
		t.Errorf("remove no pod: %v", err)
	}
}

func TestRemovedPodLeavesNothing(t *testing.T) {
	n := newNode(t)
	p := n.pod("app")
	p.run("main", "exec sleep 7777")
	for range 2 {
		if _, err := n.RemovePodSandbox(background, &cri.RemovePodSandboxRequest{PodSandboxId: p.id}); err != nil {
			t.Fatal(err)
		}
	}
	n.nothingIsLeft()
}

func TestStats(t *testing.T) {
	p := newNode(t).pod("app")
	id := p.run("main", "i=0; while test $i -lt 200000; do i=$((i+1)); done; exec sleep 1000")
	p.await("processor time was measured", func() bool {
		response, err := p.ContainerStats(background, &cri.ContainerStatsRequest{ContainerId: id})
		if err != nil {
			t.Fatal(err)
		}
		return response.Stats.Cpu.UsageCoreNanoSeconds.Value > 0 && response.Stats.Memory.WorkingSetBytes.Value > 0
	})
}

func TestProcessorTimeOfWhatHasEndedCounts(t *testing.T) {
	p := newNode(t).pod("app")
	id := p.run("main", "sh -c 'i=0; while test $i -lt 200000; do i=$((i+1)); done'; echo ended; sleep 1000")
	p.await("the loop ends", func() bool { return slices.Contains(p.logs("main"), "stdout F ended") })
	response, err := p.ContainerStats(background, &cri.ContainerStatsRequest{ContainerId: id})
	if err != nil {
		t.Fatal(err)
	}
	if used := response.Stats.Cpu.UsageCoreNanoSeconds.Value; used < 50_000_000 {
		t.Errorf("%d ns of processor time; expected the ended loop's too", used)
	}
}

func TestDamagedRecordsAreClearedAway(t *testing.T) {
	n := newNode(t)
	kept, lost := n.pod("kept"), n.pod("lost")
	healthy := kept.run("healthy", "exec sleep 1000")
	noConfig, noStart := kept.create("config", ""), kept.run("start", "exec sleep 2000")
	n.crash()
	n.killProcess("sleep\x002000")
	for _, path := range []string{
		"pulled.json", "sandboxes/" + lost.id + "/sandbox.json",
		"containers/" + noConfig + "/container.json", "containers/" + noStart + "/started.json",
	} {
		if err := os.WriteFile(filepath.Join(n.directory, "state", path), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n.serve()
	if got := n.status(healthy).State; got != cri.ContainerState_CONTAINER_RUNNING {
		t.Errorf("the healthy container: %v", got)
	}
	for _, id := range []string{noConfig, noStart} {
		if _, err := n.ContainerStatus(background, &cri.ContainerStatusRequest{ContainerId: id}); status.Code(err) != codes.NotFound {
			t.Errorf("a container with a damaged record: %v", err)
		}
	}
	if _, err := n.PodSandboxStatus(background, &cri.PodSandboxStatusRequest{PodSandboxId: lost.id}); status.Code(err) != codes.NotFound {
		t.Errorf("a pod with a damaged record: %v", err)
	}
	// What damages a record, a power cut, has ended the processes too; here they have to be.
	if _, err := n.RemovePodSandbox(background, &cri.RemovePodSandboxRequest{PodSandboxId: kept.id}); err != nil {
		t.Fatal(err)
	}
	n.await("one pod's holder is left", func() bool { return findProcess(t, "sleep\x00") == 0 })
	n.killProcess("/pause")
	n.nothingIsLeft()
}

func TestWhatAnEarlierServerWasStartingIsEndedToo(t *testing.T) {
	n := newNode(t)
	id := n.pod("app").run("main", "exec sleep 5555")
	n.crash()
	// The shim writes it down only after the next server has looked.
	started := filepath.Join(n.directory, "state", "containers", id, "started.json")
	if err := os.Rename(started, started+".late"); err != nil {
		t.Fatal(err)
	}
	n.serve()
	if got := n.status(id).State; got != cri.ContainerState_CONTAINER_CREATED {
		t.Fatalf("before the record: %v", got)
	}
	if err := os.Rename(started+".late", started); err != nil {
		t.Fatal(err)
	}
	pid := n.process("sleep\x005555")
	if _, err := n.RemoveContainer(background, &cri.RemoveContainerRequest{ContainerId: id}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Errorf("the container's process lives on: %v", err)
	}
}

func TestWhatCannotBeRecordedDoesNotRun(t *testing.T) {
	n := newNode(t)
	p := n.pod("app")
	id := p.create("main", "setsid sleep 3333 & exec sleep 4444")
	// What cannot be replaced stands for a disk without room.
	if err := os.MkdirAll(filepath.Join(n.directory, "state", "containers", id, "started.json", "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := n.StartContainer(background, &cri.StartContainerRequest{ContainerId: id}); err == nil {
		t.Error("the start is no error")
	}
	if findProcess(t, "sleep\x00") != 0 {
		t.Error("a process that nobody knows of runs on")
	}
}
