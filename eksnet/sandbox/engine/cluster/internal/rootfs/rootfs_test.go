package rootfs

import (
	"os"
	"path/filepath"
	"testing"
)

// What needs mounts is tested through the runtime's own socket, in cmd/runtime.

func TestDepthOrdersMounts(t *testing.T) {
	if depth("/a/") >= depth("/a/b") || depth("/a/b/../c") != depth("/a/c") {
		t.Errorf("depths %d %d %d", depth("/a/"), depth("/a/b"), depth("/a/b/../c"))
	}
}

func TestPlaceSuitsItsSource(t *testing.T) {
	source, target := t.TempDir(), t.TempDir()
	file := filepath.Join(source, "file")
	if err := os.WriteFile(file, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := place(source, filepath.Join(target, "a", "directory")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(target, "a", "directory")); err != nil || !info.IsDir() {
		t.Errorf("directory: %v, %v", info, err)
	}
	if err := place(file, filepath.Join(target, "b", "file")); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(target, "b", "file")); err != nil || len(text) != 0 {
		t.Errorf("file: %q, %v", text, err)
	}
	if err := place(filepath.Join(source, "nothing"), filepath.Join(target, "c")); !os.IsNotExist(err) {
		t.Errorf("no source: %v", err)
	}
}

func TestSkeletonOfAnImage(t *testing.T) {
	root := t.TempDir()
	if err := (Spec{Root: root}).skeleton(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(root, "tmp"))
	if err != nil || info.Mode() != os.ModeDir|os.ModeSticky|0o777 {
		t.Errorf("/tmp: %v, %v", info.Mode(), err)
	}
	if _, err := os.Stat(filepath.Join(root, "etc", "passwd")); err != nil {
		t.Error(err)
	}
}
