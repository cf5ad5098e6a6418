package launch

import (
	"os"

	"golang.org/x/sys/unix"
)

// takeTerminal opens a terminal of the container's own, makes it the process's controlling one
// and its standard files, and returns the other end.
func takeTerminal() (*os.File, error) {
	outer, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	fd := int(outer.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, err
	}
	inner, err := openPeer(fd)
	if err != nil {
		return nil, err
	}
	if err := unix.IoctlSetInt(inner, unix.TIOCSCTTY, 0); err != nil {
		return nil, err
	}
	for standard := range 3 {
		if err := unix.Dup3(inner, standard, 0); err != nil {
			return nil, err
		}
	}
	return outer, unix.Close(inner)
}

// openPeer opens a terminal's inner end. Through the outer one, so that no path is looked up.
func openPeer(outer int) (int, error) {
	fd, _, failure := unix.Syscall(unix.SYS_IOCTL, uintptr(outer), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY)
	if failure != 0 {
		return -1, failure
	}
	return int(fd), nil
}

// Resize tells a terminal how large its window is.
func Resize(terminal *os.File, rows, columns uint16) error {
	connection, err := terminal.SyscallConn()
	if err != nil {
		return err
	}
	var refused error
	err = connection.Control(func(fd uintptr) {
		refused = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	})
	if err != nil {
		return err
	}
	return refused
}
