// Package shim keeps one container alive without the runtime: a small process per container that
// owns its standard files, terminal and log, serves whoever attaches, and writes down how it
// ended. So a restart of the runtime costs no container.
package shim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"eksnet.dev/engine/internal/launch"
	"eksnet.dev/engine/internal/process"
	"eksnet.dev/engine/internal/rootfs"
	"eksnet.dev/engine/internal/state"
)

// Config is what the shim is told, in its container's folder.
type Config struct {
	Root    rootfs.Spec    `json:"root"`
	Program launch.Program `json:"program"`
	// Join are paths of the pod's namespaces, Fresh CLONE_NEW… flags.
	Join  []string `json:"join"`
	Fresh uintptr  `json:"fresh"`
	// LogPath is the CRI log; empty for none.
	LogPath string `json:"logPath"`
	// Stdin keeps standard input open; StdinOnce closes it after the first who attaches.
	Stdin     bool `json:"stdin"`
	StdinOnce bool `json:"stdinOnce"`
}

// Started is the shim's record of a container that runs.
type Started struct {
	Process process.Identity `json:"process"`
	// Mounts names its mount namespace, as mnt:[4026532571].
	Mounts string    `json:"mounts"`
	At     time.Time `json:"at"`
}

// OpenMounts opens the container's mount namespace: the first process's, as long as it lives there,
// for the number of one that has ended is soon another's.
func (s Started) OpenMounts() (*os.File, error) {
	mounts, err := os.Open(s.Process.Namespace("mnt"))
	if err != nil {
		return nil, err
	}
	// It may have gone to the node's or to another container's, and none of those is to end.
	if name, err := nameOf(mounts); err != nil || name != s.Mounts || !s.Process.Alive() {
		mounts.Close()
		return nil, errors.Join(err, fmt.Errorf("process %d is not in %s", s.Process.PID, s.Mounts))
	}
	return mounts, nil
}

// nameOf returns what the kernel calls an open namespace.
func nameOf(namespace *os.File) (string, error) {
	return os.Readlink(fmt.Sprintf("/proc/self/fd/%d", namespace.Fd()))
}

// Exit is the shim's record of how a container ended.
type Exit struct {
	Code    int       `json:"code"`
	At      time.Time `json:"at"`
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
}

// Reasons for an end, as containerd names them.
const (
	Completed  = "Completed"
	Error      = "Error"
	StartError = "StartError"
	Unknown    = "Unknown"
)

// The codes that are not a program's own.
const (
	startErrorCode = 128
	unknownCode    = 255
)

const (
	configFile  = "shim.json"
	startedFile = "started.json"
	exitFile    = "exit.json"
	socketFile  = "shim.sock"
)

// WriteConfig prepares a container's folder for its shim.
func WriteConfig(folder string, config Config) error {
	return state.Write(filepath.Join(folder, configFile), config)
}

// ReadStarted returns the record of a container's start; its error is fs.ErrNotExist before it.
func ReadStarted(folder string) (Started, error) {
	var started Started
	return started, readInto(folder, startedFile, &started)
}

// ReadExit returns the record of a container's end; its error is fs.ErrNotExist before it.
func ReadExit(folder string) (Exit, error) {
	var exit Exit
	return exit, readInto(folder, exitFile, &exit)
}

func readInto(folder, name string, record any) error {
	return state.Read(filepath.Join(folder, name), record)
}

// WriteLost records the end of a container whose shim did not live to see it: it was killed, or
// the whole sandbox went down.
func WriteLost(folder string) (Exit, error) {
	exit := Exit{
		Code: unknownCode, At: time.Now(), Reason: Unknown,
		Message: "the node went down, or the container's shim was killed: nobody saw it end",
	}
	return exit, writeExit(folder, exit)
}

// WriteStartError records that a container could not be started, where its shim had no time to.
func WriteStartError(folder string, why error) (Exit, error) {
	exit := Exit{Code: startErrorCode, At: time.Now(), Reason: StartError, Message: why.Error()}
	return exit, writeExit(folder, exit)
}

func writeExit(folder string, exit Exit) error {
	return state.Write(filepath.Join(folder, exitFile), exit)
}
