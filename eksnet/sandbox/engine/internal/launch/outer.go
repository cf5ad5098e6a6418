package launch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"eksnet.dev/engine/internal/process"
	"eksnet.dev/engine/internal/rootfs"
)

// executable is this program, also after its file was replaced.
const executable = "/proc/self/exe"

// Files are a program's standard files; nil is /dev/null. A terminal takes their place.
type Files struct{ In, Out, Err *os.File }

// Running is a program that was started.
type Running struct {
	Command *exec.Cmd
	// Terminal is the near end of its terminal, or nil.
	Terminal *os.File
	// Mounts is the mount namespace of a container's first process, which only the container has.
	Mounts *os.File
}

// Handshake is how long a process may take from its start to the exec of its program.
const Handshake = 60 * time.Second

// handshake is that time; only tests change it.
var handshake = Handshake

// StartContainer starts a container's first process.
//
// Args:
//   - join: paths of namespaces that it joins;
//   - fresh: CLONE_NEW… flags of those that it gets new, besides mounts;
//   - record: called with the process and its mount namespace before it knows what to do. An error
//     ends it.
//
// The error says what failed in the process up to the exec of its program. The end of the context
// ends the process until then.
func StartContainer(ctx context.Context, root rootfs.Spec, program Program, join []string, fresh uintptr, files Files, record func(*os.Process, *os.File) error) (*Running, error) {
	command := exec.Command(executable, ContainerCommand)
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: fresh | unix.CLONE_NEWNS, Setsid: true}
	return start(ctx, command, containerSpec{Root: root, Program: program}, join, files, record)
}

// openMounts opens the mount namespace that a process was started with, if it is one of its own.
func openMounts(command *exec.Cmd) (*os.File, error) {
	if command.SysProcAttr.Cloneflags&unix.CLONE_NEWNS == 0 {
		return nil, nil
	}
	return os.Open(fmt.Sprintf("/proc/%d/ns/mnt", command.Process.Pid))
}

// StartInside starts a program beside a container's own, in all of its namespaces.
//
// Args:
//   - mounts: the path of the container's mount namespace;
//   - join: the paths of its others.
func StartInside(ctx context.Context, mounts string, program Program, join []string, files Files) (*Running, error) {
	handle, err := os.Open(mounts)
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	command := exec.Command(executable, EnterCommand)
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	known := func(*os.Process, *os.File) error { return nil }
	return start(ctx, command, program, join, files, known, handle)
}

func start(ctx context.Context, command *exec.Cmd, spec any, join []string, files Files, record func(*os.Process, *os.File) error, extra ...*os.File) (*Running, error) {
	ctx, cancel := context.WithTimeout(ctx, handshake)
	defer cancel()
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	specReader, specWriter, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer specReader.Close()
	reports, inner, err := reportPair()
	if err != nil {
		return nil, errors.Join(err, specWriter.Close())
	}
	defer reports.Close()
	setFiles(command, files)
	command.Env = []string{}
	command.ExtraFiles = append([]*os.File{specReader, inner}, extra...)
	err = InNamespaces(join, command.Start)
	inner.Close()
	if err != nil {
		return nil, errors.Join(err, specWriter.Close())
	}
	// Before the process knows what to do: a program may have ended as soon as it began.
	mounts, err := openMounts(command)
	if err == nil {
		err = record(command.Process, mounts)
	}
	if err != nil {
		return nil, errors.Join(err, specWriter.Close(), abandon(command, mounts))
	}
	stop := context.AfterFunc(ctx, func() {
		_ = specWriter.SetWriteDeadline(time.Now())
		_ = reports.SetReadDeadline(time.Now())
	})
	defer stop()
	// A write that fails means that the process is gone, and then its report says why.
	_, _ = specWriter.Write(text)
	specWriter.Close()
	terminal, err := readReport(reports)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("the process was given up before its program began: %w", context.Cause(ctx))
	}
	if err != nil {
		return nil, errors.Join(err, abandon(command, mounts))
	}
	return &Running{Command: command, Terminal: terminal, Mounts: mounts}, nil
}

// abandon ends a process whose program did not begin, and all that is in its mount namespace.
func abandon(command *exec.Cmd, mounts *os.File) error {
	_ = command.Process.Kill()
	_ = command.Wait()
	if mounts == nil {
		return nil
	}
	defer mounts.Close()
	return process.EndAll(mounts)
}

// setFiles leaves an interface nil where a file is: a typed nil is not /dev/null to os/exec.
func setFiles(command *exec.Cmd, files Files) {
	if files.In != nil {
		command.Stdin = files.In
	}
	if files.Out != nil {
		command.Stdout = files.Out
	}
	if files.Err != nil {
		command.Stderr = files.Err
	}
}

// InNamespaces runs a step on a thread that has joined namespaces. The thread ends with it, so
// that nothing else ever runs there.
//
// The program's main thread must be locked, or it might be the one.
func InNamespaces(paths []string, step func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		for _, path := range paths {
			if err := join(path); err != nil {
				done <- err
				return
			}
		}
		done <- step()
	}()
	return <-done
}

func join(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open namespace %s: %w", path, err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, 0); err != nil {
		return fmt.Errorf("join namespace %s: %w", path, err)
	}
	return nil
}
