package shim

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
)

// A frame is a kind, a length and that many bytes: several streams on one connection.
type kind byte

const (
	stdin      kind = 'i' // to the container
	stdinEnd   kind = 'e'
	stdout     kind = 'o' // from the container
	stderr     kind = 'r'
	attach     kind = 'a' // send output from now on
	resize     kind = 's' // rows and columns, two bytes each
	reopenLog  kind = 'l'
	answer     kind = 'k' // to reopenLog and attach: empty, or what went wrong
	largest         = 64 << 10
	headerSize      = 5
)

func writeFrame(to io.Writer, kind kind, data []byte) error {
	frame := make([]byte, headerSize, headerSize+len(data))
	frame[0] = byte(kind)
	binary.BigEndian.PutUint32(frame[1:], uint32(len(data)))
	_, err := to.Write(append(frame, data...))
	return err
}

func readFrame(from io.Reader) (kind, []byte, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(from, header[:]); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(header[1:])
	if size > largest {
		return 0, nil, fmt.Errorf("a frame of %d bytes; expected %d at most", size, largest)
	}
	data := make([]byte, size)
	_, err := io.ReadFull(from, data)
	return kind(header[0]), data, err
}

// A socket's path may have 108 bytes, which a container's folder alone can exceed. So it is named
// through an open handle of the folder.
func inFolder(folder string, step func(path string) error) error {
	handle, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer handle.Close()
	return step(filepath.Join("/proc/self/fd", fmt.Sprint(handle.Fd()), socketFile))
}

func listen(folder string) (listener *net.UnixListener, err error) {
	err = inFolder(folder, func(path string) error {
		listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		return err
	})
	if listener != nil {
		listener.SetUnlinkOnClose(false) // by then the path means something else
	}
	return listener, err
}

func dial(folder string) (connection net.Conn, err error) {
	err = inFolder(folder, func(path string) error {
		connection, err = net.Dial("unix", path)
		return err
	})
	return connection, err
}
