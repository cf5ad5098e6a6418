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
	source := t.TempDir()
	spec := Spec{Root: t.TempDir()}
	file := filepath.Join(source, "file")
	if err := os.WriteFile(file, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, name := range map[string]string{source: "/a/directory", file: "/b/file"} {
		from, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer from.Close()
		for range 2 { // what is there stays
			at, err := spec.place(from, name)
			if err != nil {
				t.Fatal(err)
			}
			at.Close()
		}
		info, err := os.Stat(filepath.Join(spec.Root, name))
		if err != nil || info.IsDir() != (path == source) || !info.IsDir() && info.Size() != 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestAPlaceBehindALinkIsInTheContainer(t *testing.T) {
	outside := t.TempDir()
	spec := Spec{Root: t.TempDir()}
	if err := os.Symlink(outside, filepath.Join(spec.Root, "link")); err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	if at, err := spec.place(from, "/link/file"); err == nil {
		at.Close()
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) != 0 {
		t.Errorf("made outside: %v, %v", left, err)
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
