package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"eksnet.dev/engine/internal/launch"
	"eksnet.dev/engine/internal/process"
	"eksnet.dev/engine/internal/state"
)

// drain is how long output is still read after the container's end: a process that has left the
// container may hold the other end open for ever.
const drain = 2 * time.Second

// Run is the shim's life: start the container whose folder this is, serve it, record its end.
//
// It reports on a file: nothing when the container runs, otherwise what failed.
func Run(folder string, report io.WriteCloser) error {
	// Until the container runs: then it ends with its own first process, not with a word to the shim.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	shim, err := begin(ctx, folder)
	stop()
	if err != nil {
		_, _ = io.WriteString(report, err.Error())
		_, unwritten := WriteStartError(folder, err)
		return errors.Join(err, unwritten, report.Close())
	}
	if err := report.Close(); err != nil {
		return err
	}
	return shim.finish()
}

type shim struct {
	folder  string
	root    string
	running *launch.Running
	hub     *hub
	drained chan struct{}
}

func begin(ctx context.Context, folder string) (*shim, error) {
	var config Config
	if err := state.Read(filepath.Join(folder, configFile), &config); err != nil {
		return nil, err
	}
	log, err := openLog(config.LogPath)
	if err != nil {
		return nil, fmt.Errorf("open the container's log: %w", err)
	}
	listener, err := listen(folder)
	if err != nil {
		return nil, err
	}
	streams, err := openStreams(config)
	if err != nil {
		return nil, err
	}
	// Written down before the program runs: nobody would know of it otherwise.
	record := func(first *os.Process, mounts *os.File) error { return recordStart(folder, first, mounts) }
	running, err := launch.StartContainer(ctx, config.Root, config.Program, config.Join, config.Fresh, streams.inner, record)
	streams.closeInner()
	if err != nil {
		return nil, err
	}
	s := &shim{folder: folder, root: config.Root.Root, running: running, drained: make(chan struct{})}
	s.hub = newHub(log, streams.input(running.Terminal), running.Terminal, config)
	go s.hub.serve(listener)
	go func() {
		s.hub.pump(streams.outputs(running.Terminal))
		close(s.drained)
	}()
	return s, nil
}

// wait returns when the container's first process has ended, and all others with it.
func (s *shim) wait() error {
	err := s.running.Command.Wait()
	if left := process.EndAll(s.running.Mounts); left != nil {
		fmt.Fprintln(os.Stderr, "what is left of the container:", left)
	}
	return err
}

func recordStart(folder string, first *os.Process, mounts *os.File) error {
	identity, err := process.Of(first.Pid)
	if err != nil {
		return err
	}
	name, err := nameOf(mounts)
	if err != nil {
		return err
	}
	return state.Write(filepath.Join(folder, startedFile), Started{Process: identity, Mounts: name, At: time.Now()})
}

func (s *shim) finish() error {
	waitErr := s.wait()
	ended := time.Now()
	select {
	case <-s.drained:
	case <-time.After(drain):
	}
	s.hub.end()
	status, ok := s.running.Command.ProcessState.Sys().(syscall.WaitStatus)
	if !ok {
		return waitErr
	}
	return writeExitAtLast(s.folder, s.root, exitOf(status, ended))
}

// writeExitAtLast makes and waits for room on a full disk: the exit code is known to nobody else.
func writeExitAtLast(folder, root string, exit Exit) error {
	for {
		err := writeExit(folder, exit)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return err // no folder: the container was removed
		}
		// Perhaps the container itself has filled the disk; nobody reads its root any more.
		_ = os.RemoveAll(root)
		time.Sleep(time.Second)
	}
}

func exitOf(status syscall.WaitStatus, ended time.Time) Exit {
	exit := Exit{Code: status.ExitStatus(), At: ended, Reason: Error}
	if status.Signaled() {
		exit.Code = 128 + int(status.Signal())
	}
	if exit.Code == 0 {
		exit.Reason = Completed
	}
	return exit
}

// streams are the pipes between shim and container; with a terminal, there are none.
type streams struct {
	inner launch.Files
	in    *os.File
	out   *os.File
	err   *os.File
}

func openStreams(config Config) (streams, error) {
	var s streams
	if config.Program.Terminal {
		return s, nil
	}
	var failures [3]error
	if config.Stdin {
		s.inner.In, s.in, failures[0] = os.Pipe()
	}
	s.out, s.inner.Out, failures[1] = os.Pipe()
	s.err, s.inner.Err, failures[2] = os.Pipe()
	return s, errors.Join(failures[:]...)
}

func (s streams) closeInner() {
	for _, file := range []*os.File{s.inner.In, s.inner.Out, s.inner.Err} {
		if file != nil {
			file.Close()
		}
	}
}

func (s streams) input(terminal *os.File) *os.File {
	if terminal != nil {
		return terminal
	}
	return s.in
}

func (s streams) outputs(terminal *os.File) map[kind]*os.File {
	if terminal != nil {
		return map[kind]*os.File{stdout: terminal}
	}
	return map[kind]*os.File{stdout: s.out, stderr: s.err}
}
