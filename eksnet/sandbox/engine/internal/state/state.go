// Package state keeps the runtime's records on disk, so that a restart finds what it left.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Directory is the runtime's directory: one folder per pod sandbox and one per container, each
// with its records as JSON files.
type Directory struct {
	path string
	lock *os.File
}

// Open makes the directory ready and keeps every other runtime out of it until this one ends.
func Open(path string) (*Directory, error) {
	for _, kind := range []string{"sandboxes", "containers"} {
		if err := os.MkdirAll(filepath.Join(path, kind), 0o700); err != nil {
			return nil, err
		}
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("%s is in use by another runtime; end that one first: %w", path, err)
	}
	d := &Directory{path: path, lock: lock}
	d.sweep()
	return d, nil
}

// sweep deletes what removals that were cut off have left; what cannot be deleted is in nobody's way.
func (d *Directory) sweep() {
	left, _ := filepath.Glob(filepath.Join(d.path, "*", removed+"*"))
	for _, folder := range left {
		_ = os.RemoveAll(folder)
	}
}

// Close lets another runtime have the directory.
func (d *Directory) Close() error { return d.lock.Close() }

// Path returns the directory's own path.
func (d *Directory) Path() string { return d.path }

// Sandbox returns the folder of a pod sandbox.
func (d *Directory) Sandbox(id string) string { return filepath.Join(d.path, "sandboxes", id) }

// Container returns the folder of a container.
func (d *Directory) Container(id string) string { return filepath.Join(d.path, "containers", id) }

// Sandboxes returns the ids of all recorded pod sandboxes.
func (d *Directory) Sandboxes() ([]string, error) { return names(filepath.Join(d.path, "sandboxes")) }

// Containers returns the ids of all recorded containers.
func (d *Directory) Containers() ([]string, error) { return names(filepath.Join(d.path, "containers")) }

func names(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	all := make([]string, 0, len(entries))
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), removed) {
			all = append(all, entry.Name())
		}
	}
	return all, err
}

// removed begins the name of a folder that is being deleted.
const removed = ".removed-"

// Remove deletes a folder, also one into which a shim is just writing its last record: renamed
// first, it is where no path that anybody knows leads to.
func Remove(folder string) error {
	aside := filepath.Join(filepath.Dir(folder), removed+filepath.Base(folder))
	if err := os.RemoveAll(aside); err != nil {
		return err
	}
	if err := os.Rename(folder, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(aside)
}

// Write stores a record whole or not at all: a reader never sees half of it.
func Write(path string, record any) error {
	text, err := json.Marshal(record)
	if err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(path), ".draft-")
	if err != nil {
		return err
	}
	_, err = draft.Write(text)
	// Before the rename, or a power cut may leave an empty record under the final name.
	if err = errors.Join(err, draft.Sync(), draft.Close()); err == nil {
		err = os.Rename(draft.Name(), path)
	}
	if err != nil {
		os.Remove(draft.Name())
	}
	return err
}

// ErrDamaged is the error of a record that cannot be read: after a power cut it may be empty.
var ErrDamaged = errors.New("damaged record")

// Read loads a record. Its error is fs.ErrNotExist where there is none.
func Read(path string, record any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, record); err != nil {
		return fmt.Errorf("%w %s: %w", ErrDamaged, path, err)
	}
	return nil
}
