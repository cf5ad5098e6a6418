package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	utilexec "k8s.io/client-go/util/exec"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// stream does what the kubelet does with an address that the runtime gave it.
func stream(t *testing.T, address string, options remotecommand.StreamOptions) error {
	t.Helper()
	location, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	executor, err := remotecommand.NewSPDYExecutor(&rest.Config{}, http.MethodPost, location)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(background, deadline)
	defer cancel()
	return executor.StreamWithContext(ctx, options)
}

func execAddress(p *pod, container string, tty bool, args ...string) string {
	p.t.Helper()
	response, err := p.Exec(background, &cri.ExecRequest{
		ContainerId: container, Cmd: args, Tty: tty, Stdin: true, Stdout: true, Stderr: !tty,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return response.Url
}

func TestExecStreams(t *testing.T) {
	p := newNode(t).pod("app")
	id := p.run("main", "sleep 1000")
	var out, errOut bytes.Buffer
	err := stream(t, execAddress(p, id, false, "sh", "-c", "cat; echo err >&2; exit 9"), remotecommand.StreamOptions{
		Stdin: strings.NewReader("piped"), Stdout: &out, Stderr: &errOut,
	})
	var code utilexec.CodeExitError
	if !errors.As(err, &code) || code.Code != 9 {
		t.Errorf("error %v; expected exit code 9", err)
	}
	if out.String() != "piped" || errOut.String() != "err\n" {
		t.Errorf("output %q %q", out.String(), errOut.String())
	}
}

// window is a terminal's size that never changes.
type window struct {
	size remotecommand.TerminalSize
	once sync.Once
	done <-chan struct{}
}

func (w *window) Next() (next *remotecommand.TerminalSize) {
	w.once.Do(func() { next = &w.size })
	if next == nil {
		<-w.done
	}
	return next
}

func newWindow(t *testing.T) *window {
	return &window{size: remotecommand.TerminalSize{Width: 101, Height: 33}, done: t.Context().Done()}
}

// keyboard is what somebody types who then stays.
type keyboard struct {
	io.Reader
	left <-chan struct{}
}

func (k keyboard) Read(data []byte) (int, error) {
	size, err := k.Reader.Read(data)
	if errors.Is(err, io.EOF) {
		<-k.left
	}
	return size, err
}

func TestAShellEndsWithItsClient(t *testing.T) {
	p := newNode(t).pod("app")
	id := p.run("main", "sleep 1000")
	left := make(chan struct{})
	address := execAddress(p, id, true, "sh", "-c", "sleep 3333; exit")
	go func() {
		_ = stream(t, address, remotecommand.StreamOptions{
			Stdin: keyboard{strings.NewReader(""), left}, Stdout: io.Discard, Tty: true, TerminalSizeQueue: newWindow(t),
		})
	}()
	p.await("the shell runs", func() bool { return findProcess(t, "sleep\x003333") != 0 })
	close(left)
	p.await("the shell is gone", func() bool { return findProcess(t, "3333") == 0 })
}

func TestExecOnATerminal(t *testing.T) {
	p := newNode(t).pod("app")
	id := p.run("main", "sleep 1000")
	var out bytes.Buffer
	script := "tty; while ! stty size | grep 101; do sleep 0.1; done; read line; echo got $line"
	err := stream(t, execAddress(p, id, true, "sh", "-c", script), remotecommand.StreamOptions{
		Stdin: keyboard{strings.NewReader("typed\n"), t.Context().Done()}, Stdout: &out, Tty: true, TerminalSizeQueue: newWindow(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"/dev/pts/", "33 101", "got typed"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %q", want, out.String())
		}
	}
}

// stuck is a client that reads nothing.
type stuck struct{ done chan struct{} }

func (s stuck) Write(data []byte) (int, error) {
	<-s.done
	return len(data), nil
}

func TestAContainerEndsThoughAnExecsClientDoesNotRead(t *testing.T) {
	p := newNode(t).pod("app")
	id := p.run("main", "exec sleep 1000")
	out := stuck{make(chan struct{})}
	defer close(out.done)
	address := execAddress(p, id, false, "yes")
	go func() {
		_ = stream(t, address, remotecommand.StreamOptions{Stdin: strings.NewReader(""), Stdout: out, Stderr: io.Discard})
	}()
	sleeps := 0
	p.await("all buffers on the way are full", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", findProcess(t, "yes\x00")))
		if err != nil || !strings.Contains(string(stat), ") S ") {
			sleeps = 0
			return false
		}
		sleeps++
		return sleeps == 50
	})
	if _, err := p.StopContainer(background, &cri.StopContainerRequest{ContainerId: id}); err != nil {
		t.Fatal(err)
	}
}

func TestAttachToATerminal(t *testing.T) {
	n := newNode(t)
	p := n.pod("app")
	id := p.run("main", "read line; tty; echo got $line; exit 2", func(c *cri.ContainerConfig) { c.Stdin, c.Tty = true, true })
	n.crash() // the terminal is the shim's
	n.serve()
	response, err := n.Attach(background, &cri.AttachRequest{ContainerId: id, Stdin: true, Stdout: true, Tty: true})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = stream(t, response.Url, remotecommand.StreamOptions{Stdin: strings.NewReader("typed\n"), Stdout: &out, Tty: true, TerminalSizeQueue: newWindow(t)})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "/dev/pts/0") || !strings.Contains(out.String(), "got typed") {
		t.Errorf("output %q", out.String())
	}
	if exit := n.awaitExit(id); exit.ExitCode != 2 {
		t.Errorf("exit code %d; expected 2", exit.ExitCode)
	}
}

func TestAttachEndsInputOnce(t *testing.T) {
	p := newNode(t).pod("app")
	id := p.run("main", "cat; echo end >&2", func(c *cri.ContainerConfig) { c.Stdin, c.StdinOnce = true, true })
	response, err := p.Attach(background, &cri.AttachRequest{ContainerId: id, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	err = stream(t, response.Url, remotecommand.StreamOptions{Stdin: strings.NewReader("all of it"), Stdout: &out, Stderr: &errOut})
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != "all of it" || errOut.String() != "end\n" {
		t.Errorf("output %q %q", out.String(), errOut.String())
	}
}

func TestPortForward(t *testing.T) {
	n := newNode(t)
	p := n.pod("app")
	id := p.run("web", "echo -n hello >/tmp/index.html; httpd -f -p 8080 -h /tmp")
	n.await("the web server listens", func() bool { return strings.Contains(n.sh(id, "netstat -ltn"), ":8080 ") })
	response, err := n.PortForward(background, &cri.PortForwardRequest{PodSandboxId: p.id})
	if err != nil {
		t.Fatal(err)
	}
	address, err := url.Parse(response.Url)
	if err != nil {
		t.Fatal(err)
	}
	transport, upgrader, err := spdy.RoundTripperFor(&rest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, address)
	stop, ready := make(chan struct{}), make(chan struct{})
	forwarder, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{"0:8080"}, stop, ready, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = forwarder.ForwardPorts() }()
	defer close(stop)
	<-ready
	ports, err := forwarder.GetPorts()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", ports[0].Local))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "hello" {
		t.Errorf("body %q, error %v", body, err)
	}
}
