package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRecordIsReadAsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "record.json")
	if err := Write(path, map[string]int{"a": 1}); err != nil {
		t.Fatal(err)
	}
	var record map[string]int
	if err := Read(path, &record); err != nil {
		t.Fatal(err)
	}
	if record["a"] != 1 {
		t.Errorf("record %v", record)
	}
}

func TestFailedWriteKeepsTheOldRecordAndNoDraft(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "record.json")
	if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, 1); err == nil {
		t.Fatal("a record replaced a directory")
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("left: %v", entries)
	}
}

func TestAFolderGoesWhileSomebodyWritesIntoIt(t *testing.T) {
	parent := t.TempDir()
	for range 200 {
		folder := filepath.Join(parent, "one")
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		begun, ended := make(chan struct{}, 1), make(chan error)
		go func() {
			for {
				if err := Write(filepath.Join(folder, "exit.json"), 1); err != nil {
					ended <- err
					return
				}
				select {
				case begun <- struct{}{}:
				default:
				}
			}
		}()
		<-begun
		if err := Remove(folder); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) != 0 {
		t.Errorf("%v, %v are left", left, err)
	}
	if err := Remove(filepath.Join(parent, "one")); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

func TestARemovalThatWasCutOffIsEndedByTheNextOne(t *testing.T) {
	path := t.TempDir()
	for _, name := range []string{"kept", removed + "half"} {
		if err := os.MkdirAll(filepath.Join(path, "containers", name, "root"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	directory, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer directory.Close()
	if ids, err := directory.Containers(); err != nil || !slices.Equal(ids, []string{"kept"}) {
		t.Errorf("%v, %v", ids, err)
	}
	if left, err := os.ReadDir(filepath.Join(path, "containers")); err != nil || len(left) != 1 {
		t.Errorf("%v, %v are left", left, err)
	}
}

func TestReadErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "record.json")
	if err := Read(path, new(int)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no record: %v", err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Read(path, new(int)); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) {
		t.Errorf("half a record: %v", err)
	}
}

func TestDirectoryIsForOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	first, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "another runtime") {
		t.Errorf("a second runtime: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := os.Mkdir(again.Container("id"), 0o700); err != nil {
		t.Fatal(err)
	}
	if ids, err := again.Containers(); err != nil || !slices.Equal(ids, []string{"id"}) {
		t.Errorf("containers %q, %v", ids, err)
	}
	if ids, err := again.Sandboxes(); err != nil || len(ids) != 0 {
		t.Errorf("sandboxes %q, %v", ids, err)
	}
}
