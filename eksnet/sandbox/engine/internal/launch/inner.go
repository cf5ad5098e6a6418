package launch

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"eksnet.dev/engine/internal/rootfs"
)

// The inner halves' names: the first argument of this executable.
const (
	ContainerCommand = "container"
	EnterCommand     = "enter"
)

// What the outer half hands down.
const (
	specFile   = 3
	reportFile = 4
	mountsFile = 5
)

type containerSpec struct {
	Root    rootfs.Spec `json:"root"`
	Program Program     `json:"program"`
}

// Container is the inner half of a container's first process. It never returns.
func Container() {
	finish(func(reports *reporter) error {
		var spec containerSpec
		if err := readSpec(&spec); err != nil {
			return err
		}
		if err := rootfs.Enter(spec.Root); err != nil {
			return err
		}
		return run(spec.Program, reports)
	})
}

// Enter is the inner half of a process that joins a running container. It never returns.
func Enter() {
	// The mount namespace is this thread's from here on, and the program's after it.
	runtime.LockOSThread()
	finish(func(reports *reporter) error {
		var program Program
		if err := readSpec(&program); err != nil {
			return err
		}
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("own root and directory: %w", err)
		}
		if err := unix.Setns(mountsFile, unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("enter the container's mounts: %w", err)
		}
		return run(program, reports)
	})
}

func finish(step func(*reporter) error) {
	for _, fd := range []int{specFile, reportFile, mountsFile} {
		unix.CloseOnExec(fd)
	}
	reports := &reporter{fd: reportFile}
	reports.failure(step(reports))
	os.Exit(128)
}

func readSpec(spec any) error {
	if err := json.NewDecoder(os.NewFile(specFile, "spec")).Decode(spec); err != nil {
		return fmt.Errorf("read the specification: %w", err)
	}
	return nil
}

func run(program Program, reports *reporter) error {
	if program.Terminal {
		terminal, err := takeTerminal()
		if err != nil {
			return fmt.Errorf("terminal: %w", err)
		}
		if err := reports.terminal(terminal); err != nil {
			return err
		}
	}
	return program.become()
}
