package shim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"eksnet.dev/engine/internal/launch"
)

// What a shim is given for its answers, and for its own end when it is told to give a start up.
const (
	answering = 10 * time.Second
	giveUp    = 5 * time.Second
)

// handshake is what a shim is given for a start; only tests change it. The launcher within has less
// time, so that its word of what took so long is the one that is heard.
var handshake = launch.Handshake + 15*time.Second

// Start runs a shim for the container whose folder this is, and returns when the container runs
// or could not be started. The end of the context, or a shim that says nothing in time, ends the
// start; what there was of the container has ended then, but for what a shim that did not answer
// has left: its record of the start says which process that is.
func Start(ctx context.Context, folder string) error {
	ctx, cancel := context.WithTimeout(ctx, handshake)
	defer cancel()
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
	ended := make(chan struct{})
	go func() {
		_ = command.Wait()
		close(ended)
	}()
	stop := context.AfterFunc(ctx, func() { _ = reader.SetReadDeadline(time.Now()) })
	defer stop()
	report, err := io.ReadAll(reader)
	if err != nil {
		end(command.Process, ended)
		return errors.Join(ctx.Err(), fmt.Errorf("the container's shim was given up: %w", err))
	}
	if len(report) > 0 {
		return errors.New(string(report))
	}
	if _, err := ReadStarted(folder); err != nil {
		return fmt.Errorf("the container's shim died before it started anything: %w", err)
	}
	return nil
}

// end tells a shim to give its start up, and ends it when it does not.
func end(shim *os.Process, ended <-chan struct{}) {
	_ = shim.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(giveUp):
		_ = shim.Kill()
		<-ended
	}
}

// Client is a connection to a container's shim.
type Client struct {
	connection net.Conn
	// answering is how long it may take to answer.
	answering time.Duration
}

// Dial connects to the shim of the container whose folder this is.
func Dial(folder string) (*Client, error) {
	connection, err := dial(folder)
	if err != nil {
		return nil, err
	}
	return &Client{connection, answering}, nil
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
	_ = c.connection.SetReadDeadline(time.Now().Add(c.answering))
	defer c.connection.SetReadDeadline(time.Time{})
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
