// Package shim keeps one container alive without the runtime: a small process per container that
// owns its standard files, terminal and log, serves whoever attaches, and writes down how it
// ended. So a restart of the runtime costs no container.
package shim

import (
	"path/filepath"
	"time"

	"eksnet.dev/engine/cluster/internal/launch"
	"eksnet.dev/engine/cluster/internal/process"
	"eksnet.dev/engine/cluster/internal/rootfs"
	"eksnet.dev/engine/cluster/internal/state"
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
	At      time.Time        `json:"at"`
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

func writeExit(folder string, exit Exit) error {
	return state.Write(filepath.Join(folder, exitFile), exit)
}
