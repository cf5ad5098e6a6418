package shim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
)

// Start runs a shim for the container whose folder this is, and returns when the container runs
// or could not be started.
func Start(folder string) error {
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer reader.Close()
	// What a shim has to say after its report goes to the runtime's own log.
	command := exec.Command("/proc/self/exe", "shim", folder)
	command.ExtraFiles = []*os.File{writer}
	command.Stderr = os.Stderr
	command.Env = []string{"GOMAXPROCS=1", "GOGC=50"}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = command.Start()
	writer.Close()
	if err != nil {
		return err
	}
	go func() { _ = command.Wait() }()
	report, err := io.ReadAll(reader)
	if err != nil {
		return err
	}
	if len(report) > 0 {
		return errors.New(string(report))
	}
	if _, err := ReadStarted(folder); err != nil {
		return fmt.Errorf("the container's shim died before it started anything: %w", err)
	}
	return nil
}

// Client is a connection to a container's shim.
type Client struct{ connection net.Conn }

// Dial connects to the shim of the container whose folder this is.
func Dial(folder string) (*Client, error) {
	connection, err := dial(folder)
	if err != nil {
		return nil, err
	}
	return &Client{connection}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.connection.Close() }

// Wait returns when the shim is gone.
func (c *Client) Wait() { _, _ = io.Copy(io.Discard, c.connection) }

// ReopenLog makes the shim go on in a new log file.
func (c *Client) ReopenLog() error {
	if err := writeFrame(c.connection, reopenLog, nil); err != nil {
		return err
	}
	return c.readAnswer()
}

func (c *Client) readAnswer() error {
	kind, data, err := readFrame(c.connection)
	if err != nil {
		return err
	}
	if kind != answer {
		return fmt.Errorf("the shim answered %q; expected %q", kind, answer)
	}
	if len(data) > 0 {
		return errors.New(string(data))
	}
	return nil
}

// Attach passes input to the container and its output to the writers, each of which may be nil,
// until the container ends or the connection is closed. It calls attached once output comes here:
// what a shell draws when its window changes is lost before.
func (c *Client) Attach(in io.Reader, out, errOut io.Writer, attached func()) error {
	if err := writeFrame(c.connection, attach, nil); err != nil {
		return err
	}
	if err := c.readAnswer(); err != nil {
		return err
	}
	attached()
	if in != nil {
		go c.sendInput(in)
	}
	return c.receive(out, errOut)
}

func (c *Client) sendInput(in io.Reader) {
	buffer := make([]byte, 16<<10)
	for {
		size, err := in.Read(buffer)
		if size > 0 && writeFrame(c.connection, stdin, buffer[:size]) != nil {
			return
		}
		if err != nil {
			_ = writeFrame(c.connection, stdinEnd, nil)
			return
		}
	}
}

func (c *Client) receive(out, errOut io.Writer) error {
	for {
		kind, data, err := readFrame(c.connection)
		if err != nil {
			return nil // the container's end, or ours
		}
		to := out
		if kind == stderr {
			to = errOut
		}
		if to == nil {
			continue
		}
		if _, err := to.Write(data); err != nil {
			return err
		}
	}
}

// Resize tells the container's terminal how large its window is.
func (c *Client) Resize(rows, columns uint16) error {
	size := binary.BigEndian.AppendUint16(nil, rows)
	return writeFrame(c.connection, resize, binary.BigEndian.AppendUint16(size, columns))
}
