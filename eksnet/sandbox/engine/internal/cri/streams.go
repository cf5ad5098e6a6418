package cri

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/client-go/tools/remotecommand"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
	utilexec "k8s.io/utils/exec"

	"eksnet.dev/engine/internal/launch"
	"eksnet.dev/engine/internal/shim"
)

// Exec prepares an exec and returns the address where it happens.
func (s *Server) Exec(_ context.Context, request *runtime.ExecRequest) (*runtime.ExecResponse, error) {
	if err := s.mustRun(request.ContainerId); err != nil {
		return nil, err
	}
	return s.streams.GetExec(request)
}

// Attach prepares an attach and returns the address where it happens.
func (s *Server) Attach(_ context.Context, request *runtime.AttachRequest) (*runtime.AttachResponse, error) {
	if err := s.mustRun(request.ContainerId); err != nil {
		return nil, err
	}
	return s.streams.GetAttach(request)
}

// PortForward prepares a port-forward and returns the address where it happens.
func (s *Server) PortForward(_ context.Context, request *runtime.PortForwardRequest) (*runtime.PortForwardResponse, error) {
	if _, err := s.sandbox(request.PodSandboxId); err != nil {
		return nil, err
	}
	return s.streams.GetPortForward(request)
}

func (s *Server) mustRun(id string) error {
	c, err := s.container(id)
	if err != nil {
		return err
	}
	_, err = c.running()
	return err
}

// maxOutput is how much of a probe's or hook's output is kept.
const maxOutput = 4 << 20

// ExecSync runs a program in a container and returns its output: probes and hooks.
func (s *Server) ExecSync(ctx context.Context, request *runtime.ExecSyncRequest) (*runtime.ExecSyncResponse, error) {
	if request.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(request.Timeout)*time.Second)
		defer cancel()
	}
	out, errOut := &limitedBuffer{}, &limitedBuffer{}
	code, err := s.exec(ctx, request.ContainerId, request.Cmd, nil, out, errOut)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, status.Errorf(codes.DeadlineExceeded, "command %q timed out after %d s", request.Cmd, request.Timeout)
	}
	if err != nil {
		return nil, err
	}
	return &runtime.ExecSyncResponse{Stdout: out.kept.Bytes(), Stderr: errOut.kept.Bytes(), ExitCode: int32(code)}, nil
}

// limitedBuffer keeps the beginning of what is written to it, and takes the rest without a word.
//
// The buffer is a field: embedded, its ReadFrom would be this type's too, and io.Copy would use that
// and go past the limit.
type limitedBuffer struct{ kept bytes.Buffer }

func (b *limitedBuffer) Write(data []byte) (int, error) {
	if room := maxOutput - b.kept.Len(); room > 0 {
		b.kept.Write(data[:min(room, len(data))])
	}
	return len(data), nil
}

// inside is a program that was started in a running container.
type inside struct {
	*launch.Running
	ended chan struct{}
	// mu keeps a kill apart from the end, behind which the process id may be another's.
	mu sync.Mutex
}

// startInside starts a program in a running container.
func (s *Server) startInside(ctx context.Context, id string, args []string, terminal bool, files launch.Files) (*inside, error) {
	c, err := s.container(id)
	if err != nil {
		return nil, err
	}
	started, err := c.running()
	if err != nil {
		return nil, err
	}
	config := c.program()
	config.Args, config.Directory, config.Terminal = args, c.record.Config.WorkingDir, terminal
	if terminal {
		config.Env = lastOfEach(append([]string{"TERM=xterm"}, config.Env...))
	}
	var join []string
	for _, kind := range []string{"net", "uts", "ipc", "pid"} {
		join = append(join, started.Process.Namespace(kind))
	}
	running, err := launch.StartInside(ctx, started.Process.Namespace("mnt"), config, join, files)
	if err != nil {
		return nil, fmt.Errorf("unable to start container process: %w", err)
	}
	program := &inside{Running: running, ended: make(chan struct{})}
	go program.wait()
	return program, nil
}

// wait collects the program as soon as it ends, even if nobody reads its output: a container does
// not end before all of its processes were waited for.
func (p *inside) wait() {
	pid := p.Command.Process.Pid
	for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.Command.Wait()
	close(p.ended)
}

// kill ends the program and what it started.
func (p *inside) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.ended:
	default:
		// It leads a session, so its process id is its group's.
		_ = syscall.Kill(-p.Command.Process.Pid, syscall.SIGKILL)
	}
}

func (p *inside) exitCode() int {
	<-p.ended
	wait, ok := p.Command.ProcessState.Sys().(syscall.WaitStatus)
	if ok && wait.Signaled() {
		return 128 + int(wait.Signal())
	}
	return p.Command.ProcessState.ExitCode()
}

// exec runs a program without a terminal and returns its exit code. The end of the context kills
// it and what it started.
func (s *Server) exec(ctx context.Context, id string, args []string, in io.Reader, out, errOut io.Writer) (int, error) {
	pipes, err := newPipes(in, out, errOut)
	if err != nil {
		return 0, err
	}
	defer pipes.close()
	program, err := s.startInside(ctx, id, args, false, pipes.inner)
	pipes.closeInner()
	if err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, func() {
		program.kill()
		pipes.close()
	})
	defer stop()
	pipes.copy(in, out, errOut)
	return program.exitCode(), nil
}

// execTerminal is exec on a terminal.
func (s *Server) execTerminal(ctx context.Context, id string, args []string, in io.Reader, out io.Writer, sizes <-chan remotecommand.TerminalSize) (int, error) {
	program, err := s.startInside(ctx, id, args, true, launch.Files{})
	if err != nil {
		return 0, err
	}
	defer program.Terminal.Close()
	stop := context.AfterFunc(ctx, func() { program.kill() })
	defer stop()
	go resizeTo(sizes, func(rows, columns uint16) error { return launch.Resize(program.Terminal, rows, columns) })
	if in != nil {
		go func() {
			_, _ = io.Copy(program.Terminal, in)
			// The client is gone, for ^D comes as a byte: the kernel hangs the shell up.
			program.Terminal.Close()
		}()
	}
	if out != nil {
		// A terminal ends with an error of its own when its last user is gone.
		_, _ = io.Copy(out, program.Terminal)
	}
	return program.exitCode(), nil
}

func resizeTo(sizes <-chan remotecommand.TerminalSize, resize func(rows, columns uint16) error) {
	for size := range sizes {
		if resize(size.Height, size.Width) != nil {
			return
		}
	}
}

// pipes connect a program to its caller.
type pipes struct {
	inner launch.Files
	outer launch.Files
}

func newPipes(in io.Reader, out, errOut io.Writer) (*pipes, error) {
	p := &pipes{}
	var failures [3]error
	if in != nil {
		p.inner.In, p.outer.In, failures[0] = os.Pipe()
	}
	if out != nil {
		p.outer.Out, p.inner.Out, failures[1] = os.Pipe()
	}
	if errOut != nil {
		p.outer.Err, p.inner.Err, failures[2] = os.Pipe()
	}
	return p, errors.Join(failures[:]...)
}

func (p *pipes) closeInner() { closeAll(p.inner) }

func (p *pipes) close() { closeAll(p.outer) }

func closeAll(files launch.Files) {
	for _, file := range []*os.File{files.In, files.Out, files.Err} {
		if file != nil {
			file.Close()
		}
	}
}

// copy returns when all output is read.
func (p *pipes) copy(in io.Reader, out, errOut io.Writer) {
	if in != nil {
		go func() {
			_, _ = io.Copy(p.outer.In, in)
			p.outer.In.Close()
		}()
	}
	var readers sync.WaitGroup
	read := func(to io.Writer, from *os.File) {
		defer readers.Done()
		_, _ = io.Copy(to, from)
	}
	if out != nil {
		readers.Add(1)
		go read(out, p.outer.Out)
	}
	if errOut != nil {
		readers.Add(1)
		go read(errOut, p.outer.Err)
	}
	readers.Wait()
}

// streamRuntime is what the kubelet's streaming server calls.
type streamRuntime struct{ server *Server }

// Exec runs a program in a container for a client that waits.
func (r streamRuntime) Exec(ctx context.Context, id string, args []string, in io.Reader, out, errOut io.WriteCloser, tty bool, sizes <-chan remotecommand.TerminalSize) error {
	var code int
	var err error
	if tty {
		code, err = r.server.execTerminal(ctx, id, args, in, writer(out), sizes)
	} else {
		code, err = r.server.exec(ctx, id, args, in, writer(out), writer(errOut))
	}
	if err == nil && code != 0 {
		err = &utilexec.CodeExitError{Err: fmt.Errorf("command terminated with exit code %d", code), Code: code}
	}
	return err
}

// writer keeps a missing stream a nil interface.
func writer(stream io.WriteCloser) io.Writer {
	if stream == nil {
		return nil
	}
	return stream
}

// Attach connects a client to a container's own streams.
func (r streamRuntime) Attach(ctx context.Context, id string, in io.Reader, out, errOut io.WriteCloser, tty bool, sizes <-chan remotecommand.TerminalSize) error {
	c, err := r.server.container(id)
	if err != nil {
		return err
	}
	if _, err := c.running(); err != nil {
		return err
	}
	client, err := shim.Dial(c.folder)
	if err != nil {
		return fmt.Errorf("container %s has just ended: %w", id, err)
	}
	defer client.Close()
	stop := context.AfterFunc(ctx, func() { client.Close() })
	defer stop()
	return client.Attach(in, writer(out), writer(errOut), func() {
		if tty {
			go resizeTo(sizes, client.Resize)
		}
	})
}

// PortForward connects a client to a port of a pod.
func (r streamRuntime) PortForward(ctx context.Context, id string, port int32, stream io.ReadWriteCloser) error {
	b, err := r.server.sandbox(id)
	if err != nil {
		return err
	}
	var connection *net.TCPConn
	err = launch.InNamespaces([]string{b.record.Holder.Namespace("net")}, func() error {
		connection, err = dialLoopback(int(port))
		return err
	})
	if err != nil {
		return fmt.Errorf("failed to connect to localhost:%d inside the pod's network namespace: %w", port, err)
	}
	defer connection.Close()
	stop := context.AfterFunc(ctx, func() { connection.Close() })
	defer stop()
	go func() {
		_, _ = io.Copy(connection, stream)
		_ = connection.CloseWrite()
	}()
	_, err = io.Copy(stream, connection)
	return err
}

// dialLoopback connects to a port of the loopback interface: over IPv4, else over IPv6, for some
// programs listen on one of them alone. The error is that of IPv4.
func dialLoopback(port int) (*net.TCPConn, error) {
	connection, err := net.DialTCP("tcp4", nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err == nil {
		return connection, nil
	}
	if connection, over6 := net.DialTCP("tcp6", nil, &net.TCPAddr{IP: net.IPv6loopback, Port: port}); over6 == nil {
		return connection, nil
	}
	return nil, err
}
