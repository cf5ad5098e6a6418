package launch

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// The inner half reports over a socket that closes itself when the program starts: a failure as
// text, a terminal as a descriptor that travels beside an empty text.
type reporter struct{ fd int }

func (r *reporter) failure(err error) {
	if sendErr := unix.Sendto(r.fd, []byte(err.Error()), 0, nil); sendErr != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func (r *reporter) terminal(terminal *os.File) error {
	rights := unix.UnixRights(int(terminal.Fd()))
	return errors.Join(unix.Sendmsg(r.fd, []byte{0}, rights, nil, 0), terminal.Close())
}

// reportPair returns the outer end of a report's socket and the inner one.
func reportPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	inner := os.NewFile(uintptr(fds[1]), "report")
	outer := os.NewFile(uintptr(fds[0]), "report")
	defer outer.Close()
	connection, err := net.FileConn(outer)
	if err != nil {
		inner.Close()
		return nil, nil, err
	}
	return connection.(*net.UnixConn), inner, nil
}

// readReport waits until the program runs. It returns its terminal, if it has one.
func readReport(connection *net.UnixConn) (*os.File, error) {
	var terminal *os.File
	for {
		text, rights := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(4))
		size, rightsSize, _, _, err := connection.ReadMsgUnix(text, rights)
		if errors.Is(err, io.EOF) || err == nil && size == 0 {
			return terminal, nil
		}
		if err == nil && rightsSize == 0 {
			err = errors.New(string(text[:size]))
		}
		if err != nil {
			if terminal != nil {
				terminal.Close()
			}
			return nil, err
		}
		if terminal, err = receivedFile(rights[:rightsSize]); err != nil {
			return nil, err
		}
	}
}

func receivedFile(rights []byte) (*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(fds[0])
	// Not blocking, and so before it becomes a file: then a read ends when the file is closed.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fds[0]), "terminal"), nil
}
