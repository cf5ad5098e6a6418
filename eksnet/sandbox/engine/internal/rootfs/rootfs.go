// Package rootfs builds a container's root file system out of bind mounts, and moves into it.
//
// Everything here runs in the container's own mount namespace, before its program does.
package rootfs

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"
	pathrs "github.com/cyphar/filepath-securejoin/pathrs-lite"
	"golang.org/x/sys/unix"
)

// Spec says what a container sees.
type Spec struct {
	// Root is the empty directory on the node that becomes the container's writable layer.
	Root string `json:"root"`
	// Base is "host" for the node's own system below the binds, or empty.
	Base string `json:"base"`
	// Binds maps paths in the image to the node's.
	Binds map[string]string `json:"binds"`
	// Files maps files below /etc to the node's: what the kubelet decides for each pod.
	Files map[string]string `json:"files"`
	// Mounts are the pod's volumes.
	Mounts []Mount `json:"mounts"`
	// ReadOnly makes the writable layer read-only.
	ReadOnly bool `json:"readOnly"`
	// Privileged containers may write to /sys and /proc/sys.
	Privileged bool `json:"privileged"`
	// MaskedPaths are hidden, ReadOnlyPaths protected.
	MaskedPaths   []string `json:"maskedPaths"`
	ReadOnlyPaths []string `json:"readOnlyPaths"`
}

// Mount is a volume at a path in the container.
type Mount struct {
	Source   string `json:"source"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"readOnly"`
}

const quiet = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// The machine's own switches, which no container may touch: not even a privileged one, because
// the learner's computer is not the sandbox. A privileged one can take these covers off; what holds
// then is that a node's root is not the machine's, see eksnet/sandbox/node.py.
var machine = []string{"/proc/sysrq-trigger", "/proc/sys/kernel", "/proc/sys/vm", "/proc/sys/fs"}

// Enter builds the root and makes it the process's own. It needs a fresh mount namespace.
func Enter(spec Spec) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount(spec.Root, spec.Root, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount the root: %w", err)
	}
	if err := spec.build(); err != nil {
		return err
	}
	if err := pivot(spec.Root); err != nil {
		return err
	}
	return spec.protect()
}

func (s Spec) build() error {
	steps := []func() error{s.skeleton, s.base, s.image, s.kernel, s.devices, s.files, s.volumes}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// skeleton is what every image brings.
func (s Spec) skeleton() error {
	for _, directory := range []string{"etc", "proc", "sys", "dev", "root", "run", "var/log", "tmp"} {
		if err := os.MkdirAll(filepath.Join(s.Root, directory), 0o755); err != nil {
			return err
		}
	}
	files := map[string]string{
		"passwd":        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
		"group":         "root:x:0:\nnobody:x:65534:\n",
		"nsswitch.conf": "hosts: files dns\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(s.Root, "etc", name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return os.Chmod(filepath.Join(s.Root, "tmp"), 0o777|os.ModeSticky)
}

// base shows the node's own system, for the images whose programs are the machine's.
func (s Spec) base() error {
	if s.Base == "" {
		return nil
	}
	if err := s.bind("/usr", "/usr", true); err != nil {
		return err
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := s.systemDirectory(name); err != nil {
			return err
		}
	}
	for _, name := range []string{"alternatives", "ld.so.cache", "os-release", "protocols", "services", "ssl"} {
		source, err := filepath.EvalSymlinks("/etc/" + name)
		if err != nil {
			continue // not every distribution has it
		}
		if err := s.bind(source, "/etc/"+name, true); err != nil {
			return err
		}
	}
	return os.Symlink("../run", filepath.Join(s.Root, "var", "run"))
}

// systemDirectory shows /bin and its like: links into /usr today, directories on older systems.
func (s Spec) systemDirectory(name string) error {
	target, err := os.Readlink("/" + name)
	if err == nil {
		return os.Symlink(target, filepath.Join(s.Root, name))
	}
	if _, err := os.Stat("/" + name); err != nil {
		return nil
	}
	return s.bind("/"+name, "/"+name, true)
}

func (s Spec) image() error {
	targets := make([]string, 0, len(s.Binds))
	for target := range s.Binds {
		targets = append(targets, target)
	}
	slices.Sort(targets)
	for _, target := range targets {
		if err := s.bind(s.Binds[target], target, true); err != nil {
			return err
		}
	}
	return nil
}

// kernel mounts /proc and /sys of the container's own namespaces. A container host that covers
// parts of its own forbids new ones to a user namespace; then the node's are what is left.
func (s Spec) kernel() error {
	flags := uintptr(quiet)
	if !s.Privileged {
		flags |= unix.MS_RDONLY
	}
	if err := s.mountOr("proc", "/proc", quiet); err != nil {
		return err
	}
	return s.mountOr("sysfs", "/sys", flags)
}

func (s Spec) mountOr(kind, path string, flags uintptr) error {
	at, err := pathrs.OpenInRoot(s.Root, path)
	if err != nil {
		return err
	}
	defer at.Close()
	err = unix.Mount(kind, named(at), kind, flags, "")
	if errors.Is(err, unix.EPERM) {
		return s.bind(path, path, false)
	}
	if err != nil {
		return fmt.Errorf("mount %s: %w", path, err)
	}
	return nil
}

func (s Spec) devices() error {
	if err := s.mountNew("/dev", "tmpfs", unix.MS_NOSUID, "mode=755,size=64k"); err != nil {
		return err
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		if err := s.bind("/dev/"+name, "/dev/"+name, false); err != nil {
			return err
		}
	}
	dev, err := pathrs.OpenInRoot(s.Root, "/dev")
	if err != nil {
		return err
	}
	defer dev.Close()
	links := map[string]string{
		"ptmx": "pts/ptmx", "fd": "/proc/self/fd",
		"stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	}
	for name, target := range links {
		if err := unix.Symlinkat(target, int(dev.Fd()), name); err != nil {
			return fmt.Errorf("/dev/%s: %w", name, err)
		}
	}
	if err := s.mountNew("/dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"); err != nil {
		return err
	}
	return s.mountNew("/dev/shm", "tmpfs", quiet, "mode=1777,size=64m")
}

// mountNew mounts a file system of a kind at a directory of the container, which is made when it is
// missing.
func (s Spec) mountNew(path, kind string, flags uintptr, options string) error {
	at, err := s.directory(path)
	if err != nil {
		return err
	}
	defer at.Close()
	if err := unix.Mount(kind, named(at), kind, flags, options); err != nil {
		return fmt.Errorf("mount %s: %w", path, err)
	}
	return nil
}

func (s Spec) files() error {
	for target, source := range s.Files {
		if err := s.bind(source, target, false); err != nil {
			return err
		}
	}
	return nil
}

// volumes mounts a directory before what lies below it.
func (s Spec) volumes() error {
	mounts := slices.Clone(s.Mounts)
	slices.SortStableFunc(mounts, func(a, b Mount) int { return cmp.Compare(depth(a.Target), depth(b.Target)) })
	for _, mount := range mounts {
		if err := s.bind(mount.Source, mount.Target, mount.ReadOnly); err != nil {
			return err
		}
	}
	return nil
}

func depth(path string) int { return strings.Count(filepath.Clean(path), "/") }

// bind shows a path of the node at a path of the container, which is made when it is missing.
func (s Spec) bind(source, target string, readOnly bool) error {
	from, err := os.OpenFile(source, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("mount %s at %s: %w", source, target, err)
	}
	defer from.Close()
	at, err := s.place(from, target)
	if err != nil {
		return fmt.Errorf("mount %s at %s: %w", source, target, err)
	}
	defer at.Close()
	if err := show(from, at, readOnly); err != nil {
		return fmt.Errorf("mount %s at %s: %w", source, target, err)
	}
	return nil
}

// place opens a path of the container and makes there what suits what is to be mounted.
//
// By handle, step by step within the root: a link in the image or in a volume must not lead into
// the node, not even one that another container puts there between a look and the mount.
func (s Spec) place(source *os.File, target string) (*os.File, error) {
	info, err := source.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return s.directory(target)
	}
	if target, err = s.resolved(target); err != nil {
		return nil, err
	}
	there, err := pathrs.OpenInRoot(s.Root, target)
	if !errors.Is(err, fs.ErrNotExist) {
		return there, err
	}
	parent, err := s.directory(filepath.Dir(target))
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	// Not where a link is, to wherever it leads.
	flags := unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(int(parent.Fd()), filepath.Base(target), flags, 0o644)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), target), nil
}

// directory opens a directory of the container, which is made when it is missing.
func (s Spec) directory(path string) (*os.File, error) {
	path, err := s.resolved(path)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenFile(s.Root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return pathrs.MkdirAllHandle(root, path, 0o755)
}

// resolved follows the links of a path within the root, as runc does: one may lead to what is not
// there yet. Whoever puts another link there after this look has the mount fail.
func (s Spec) resolved(path string) (string, error) {
	joined, err := securejoin.SecureJoin(s.Root, path)
	return strings.TrimPrefix(joined, s.Root), err
}

// named is a path of what a handle holds, for the calls that take no handle.
func named(handle *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", handle.Fd()) }

// show mounts what one handle holds at what another holds.
func show(from, at *os.File, readOnly bool) error {
	const whole = unix.AT_EMPTY_PATH | unix.AT_RECURSIVE
	fd, err := unix.OpenTree(int(from.Fd()), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|whole)
	if err != nil {
		return err
	}
	tree := os.NewFile(uintptr(fd), from.Name())
	defer tree.Close()
	const handles = unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH
	if err := unix.MoveMount(fd, "", int(at.Fd()), "", handles); err != nil {
		return err
	}
	if readOnly {
		return remountReadOnly(tree)
	}
	return nil
}

// lockable are the flags that a user namespace may not take off a mount from outside: a remount
// has to repeat them.
var lockable = map[int64]uintptr{
	unix.ST_NOSUID:     unix.MS_NOSUID,
	unix.ST_NODEV:      unix.MS_NODEV,
	unix.ST_NOEXEC:     unix.MS_NOEXEC,
	unix.ST_NOATIME:    unix.MS_NOATIME,
	unix.ST_NODIRATIME: unix.MS_NODIRATIME,
	unix.ST_RELATIME:   unix.MS_RELATIME,
}

// remountReadOnly makes a mount read-only, whose root a handle holds.
func remountReadOnly(mount *os.File) error {
	var stat unix.Statfs_t
	if err := unix.Fstatfs(int(mount.Fd()), &stat); err != nil {
		return err
	}
	flags := uintptr(unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY)
	for seen, flag := range lockable {
		if int64(stat.Flags)&seen != 0 {
			flags |= flag
		}
	}
	if err := unix.Mount("", named(mount), "", flags, ""); err != nil {
		return fmt.Errorf("make %s read-only: %w", mount.Name(), err)
	}
	return nil
}

func pivot(root string) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	// The old root lands on top of the new one and is taken off: no directory is needed for it.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("let go of the node's root: %w", err)
	}
	return os.Chdir("/")
}

// protect hides and guards paths, as the last thing: the root is the container's by now.
func (s Spec) protect() error {
	guarded := slices.Clone(machine)
	if !s.Privileged {
		guarded = append(guarded, s.ReadOnlyPaths...)
		for _, path := range s.MaskedPaths {
			if err := mask(path); err != nil {
				return err
			}
		}
	}
	for _, path := range guarded {
		if err := guard(path); err != nil {
			return err
		}
	}
	if !s.ReadOnly {
		return nil
	}
	root, err := pathrs.OpenInRoot("/", "/")
	if err != nil {
		return err
	}
	defer root.Close()
	return remountReadOnly(root)
}

// mask hides a path of the container; one that is not there needs no hiding.
func mask(path string) error {
	at, err := pathrs.OpenInRoot("/", path)
	if err != nil {
		return unlessMissing(err)
	}
	defer at.Close()
	info, err := at.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = unix.Mount("tmpfs", named(at), "tmpfs", quiet|unix.MS_RDONLY, "")
	} else {
		err = unix.Mount("/dev/null", named(at), "", unix.MS_BIND, "")
	}
	if err != nil {
		return fmt.Errorf("mask %s: %w", path, err)
	}
	return nil
}

// guard makes a path of the container read-only, if it is there.
func guard(path string) error {
	at, err := pathrs.OpenInRoot("/", path)
	if err != nil {
		return unlessMissing(err)
	}
	defer at.Close()
	if err := show(at, at, true); err != nil {
		return fmt.Errorf("guard %s: %w", path, err)
	}
	return nil
}

// unlessMissing is the error of looking for something that need not be there.
func unlessMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
