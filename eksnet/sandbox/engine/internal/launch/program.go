// Package launch starts a program in namespaces, and tells whoever started it how that went.
//
// A launch has two halves. Start, the outer one, joins the pod's namespaces on a thread of its
// own and runs this executable again; Container and Enter, the inner ones, finish what only the
// new process can do (its root, its terminal, its user) and then become the program.
package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// DefaultPath is where programs are looked for when the environment does not say.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Program is what runs in a container.
type Program struct {
	Args []string `json:"args"`
	Env  []string `json:"env"`
	// Directory is where it starts; empty for the root.
	Directory string `json:"directory"`
	// User is a name or number from the container's /etc/passwd; empty for UID and GID.
	User   string `json:"user"`
	UID    *int   `json:"uid"`
	GID    *int   `json:"gid"`
	Groups []int  `json:"groups"`
	// NoNewPrivileges is what allowPrivilegeEscalation: false asks for.
	NoNewPrivileges bool `json:"noNewPrivileges"`
	// Capabilities are all that it may ever have.
	Capabilities Capabilities `json:"capabilities"`
	// OOMScore is how much sooner than others it is killed when the computer's memory runs out.
	OOMScore int `json:"oomScore"`
	// Terminal gives the program a terminal of its own.
	Terminal bool `json:"terminal"`
}

// become turns the calling process into the program. It returns only when that fails.
func (p Program) become() error {
	if len(p.Args) == 0 {
		return fmt.Errorf("no command: neither the pod nor the image names one")
	}
	if err := enterDirectory(p.Directory); err != nil {
		return fmt.Errorf("working directory: %w", err)
	}
	// Only a higher score may be chosen without rights over the whole computer.
	if p.OOMScore > 0 {
		if err := os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(p.OOMScore)), 0); err != nil {
			return fmt.Errorf("out-of-memory score: %w", err)
		}
	}
	// The bounding set first: to change it takes a capability that may be about to go.
	for _, step := range []func() error{p.Capabilities.bound, p.takeUser, p.Capabilities.keep} {
		if err := step(); err != nil {
			return err
		}
	}
	if p.NoNewPrivileges {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("no new privileges: %w", err)
		}
	}
	path, err := lookUp(p.Args[0], p.Env)
	if err != nil {
		return err
	}
	return fmt.Errorf("exec: %q: %w", p.Args[0], syscall.Exec(path, p.Args, p.Env))
}

// enterDirectory goes to a directory that is made where the image lacks it, as runc does.
func enterDirectory(directory string) error {
	if directory == "" {
		directory = "/"
	}
	err := os.Chdir(directory)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(directory, 0o755); err == nil {
			err = os.Chdir(directory)
		}
	}
	return err
}

func (p Program) takeUser() error {
	uid, gid := p.UID, p.GID
	if p.User != "" {
		found, err := findUser(p.User)
		if err != nil {
			return err
		}
		uid = &found.uid
		if gid == nil {
			gid = &found.gid
		}
	}
	primary := os.Getgid()
	if gid != nil {
		primary = *gid
	}
	// As containerd does: a file that is closed to the primary group stays closed to the program.
	if err := setGroups(append([]int{primary}, p.Groups...)); err != nil {
		return err
	}
	if gid != nil {
		if err := syscall.Setgid(*gid); err != nil {
			return fmt.Errorf("run as group %d: %w", *gid, err)
		}
	}
	if uid != nil {
		if err := giveFiles(*uid); err != nil {
			return err
		}
		if err := syscall.Setuid(*uid); err != nil {
			return fmt.Errorf("run as user %d: %w", *uid, err)
		}
	}
	return nil
}

// giveFiles makes the standard files the user's, as runc does: who runs as another than root could
// not open /dev/stdout.
func giveFiles(uid int) error {
	for fd := range 3 {
		var file unix.Stat_t
		if err := unix.Fstat(fd, &file); err != nil {
			return fmt.Errorf("standard file %d: %w", fd, err)
		}
		if int(file.Uid) == uid || file.Rdev == unix.Mkdev(1, 3) {
			continue // its own already, or /dev/null, which is everyone's
		}
		switch err := unix.Fchown(fd, uid, -1); err {
		case nil, unix.EPERM, unix.EINVAL, unix.EROFS: // not all files can be given away
		default:
			return fmt.Errorf("give standard file %d to user %d: %w", fd, uid, err)
		}
	}
	return nil
}

// setGroups replaces the groups that came along from outside, where the kernel lets it: a user
// namespace that an ordinary user made has to keep them.
func setGroups(groups []int) error {
	rule, err := os.ReadFile("/proc/self/setgroups")
	if err != nil || strings.TrimSpace(string(rule)) != "allow" {
		return nil
	}
	if err := syscall.Setgroups(groups); err != nil {
		return fmt.Errorf("supplemental groups %v: %w", groups, err)
	}
	return nil
}

type ids struct{ uid, gid int }

func findUser(name string) (ids, error) {
	if number, err := strconv.Atoi(name); err == nil {
		return ids{uid: number}, nil
	}
	found, err := user.Lookup(name)
	if err != nil {
		return ids{}, fmt.Errorf("the image has no user %q", name)
	}
	uid, err := strconv.Atoi(found.Uid)
	if err != nil {
		return ids{}, err
	}
	gid, err := strconv.Atoi(found.Gid)
	return ids{uid: uid, gid: gid}, err
}

// lookUp finds a program as a shell would, on the path that the environment names.
func lookUp(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, directory := range filepath.SplitList(searchPath(env)) {
		path := filepath.Join(directory, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("exec: %q: executable file not found in $PATH", name)
}

func searchPath(env []string) string {
	for _, variable := range slices.Backward(env) {
		if value, found := strings.CutPrefix(variable, "PATH="); found {
			return value
		}
	}
	return DefaultPath
}
