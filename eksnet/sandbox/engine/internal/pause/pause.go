// Package pause is the process that holds a pod's namespaces and, where its containers share
// their processes, is the first of them.
package pause

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"eksnet.dev/engine/internal/process"
)

// Name is what the process is called in a list of processes.
const Name = "/pause"

// Options say which namespaces a pod gets for itself.
type Options struct {
	// NewNetwork gives the pod a network and a host name of its own.
	NewNetwork bool   `json:"-"`
	NewIPC     bool   `json:"-"`
	NewPID     bool   `json:"-"`
	Hostname   string `json:"hostname"`
	// Sysctls are set in the pod's namespaces, as `net.ipv4.ip_forward` to `1`.
	Sysctls map[string]string `json:"sysctls"`
}

// reportFile says how the preparation went: nothing when it went well.
const reportFile = 3

// handshake is how long the namespaces may take to be ready; only tests change it.
var handshake = 60 * time.Second

// Start makes the namespaces and returns the process that holds them. The end of the context ends
// the process until then.
func Start(ctx context.Context, options Options) (process.Identity, error) {
	settings, err := json.Marshal(options.withDefaults())
	if err != nil {
		return process.Identity{}, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return process.Identity{}, err
	}
	defer reader.Close()
	command := exec.Command("/proc/self/exe", string(settings))
	command.Args[0] = Name
	command.Env = []string{"GOMAXPROCS=1"}
	command.ExtraFiles = []*os.File{writer}
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: options.flags(), Setsid: true}
	err = command.Start()
	writer.Close()
	if err != nil {
		return process.Identity{}, err
	}
	go func() { _ = command.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, handshake)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = reader.SetReadDeadline(time.Now()) })
	defer stop()
	report, err := io.ReadAll(reader)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("the namespaces were given up: %w", context.Cause(ctx))
	}
	if err == nil && len(report) > 0 {
		err = errors.New(string(report))
	}
	if err != nil {
		return process.Identity{}, errors.Join(err, command.Process.Kill())
	}
	return process.Of(command.Process.Pid)
}

// withDefaults adds what containerd sets for every pod: any program may use a port below 1024.
func (o Options) withDefaults() Options {
	if !o.NewNetwork {
		return o
	}
	sysctls := map[string]string{"net.ipv4.ip_unprivileged_port_start": "0"}
	for name, value := range o.Sysctls {
		sysctls[name] = value
	}
	o.Sysctls = sysctls
	return o
}

func (o Options) flags() uintptr {
	var flags uintptr
	if o.NewNetwork {
		flags |= unix.CLONE_NEWNET | unix.CLONE_NEWUTS
	}
	if o.NewIPC {
		flags |= unix.CLONE_NEWIPC
	}
	if o.NewPID {
		flags |= unix.CLONE_NEWPID
	}
	return flags
}

// Hold is the process's life: prepare the namespaces, then wait for ever.
func Hold(args []string) {
	if len(args) > 0 {
		unix.CloseOnExec(reportFile)
		report := os.NewFile(reportFile, "report")
		if err := prepare(args[0]); err != nil {
			fmt.Fprint(report, err)
		}
		report.Close()
	}
	reap()
}

func prepare(settings string) error {
	var options Options
	if err := json.Unmarshal([]byte(settings), &options); err != nil {
		return err
	}
	if options.Hostname != "" {
		if err := unix.Sethostname([]byte(options.Hostname)); err != nil {
			return fmt.Errorf("set the host name: %w", err)
		}
	}
	for name, value := range options.Sysctls {
		if err := setSysctl(name, value); err != nil {
			return fmt.Errorf("sysctl %s: %w", name, err)
		}
	}
	return nil
}

func setSysctl(name, value string) error {
	// A name may be written with dots or, where an interface's name has some, with slashes.
	if !strings.Contains(name, "/") {
		name = strings.ReplaceAll(name, ".", "/")
	}
	return os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644)
}

// reap collects the pod's orphans and ends on a signal.
func reap() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGTERM, syscall.SIGINT)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		for {
			pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			if pid <= 0 && !errors.Is(err, unix.EINTR) {
				break
			}
		}
	}
}
