package shim

import (
	"encoding/binary"
	"net"
	"os"
	"sync"
	"time"

	"eksnet.dev/engine/internal/launch"
)

// patience is how long one who attached may leave output unread before it is let go: the
// container must not stand still for a client that went to sleep.
const patience = 10 * time.Second

// hub passes a container's output to its log and to those who attached, and their input to it.
type hub struct {
	log       *containerLog
	terminal  *os.File
	stdinOnce bool

	mu       sync.Mutex
	input    *os.File
	attached map[net.Conn]bool
}

func newHub(log *containerLog, input, terminal *os.File, config Config) *hub {
	h := &hub{
		log: log, terminal: terminal, stdinOnce: config.StdinOnce && terminal == nil,
		attached: map[net.Conn]bool{},
	}
	if config.Stdin {
		h.input = input
	}
	return h
}

func (h *hub) serve(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go h.talk(connection)
	}
}

func (h *hub) talk(connection net.Conn) {
	wasInput := false
	for {
		kind, data, err := readFrame(connection)
		if err != nil {
			break
		}
		switch kind {
		case attach:
			h.mu.Lock()
			h.attached[connection] = true
			_ = writeFrame(connection, answer, nil)
			h.mu.Unlock()
		case stdin:
			wasInput = true
			h.toContainer(data)
		case stdinEnd:
			wasInput = true
			h.endInput()
		case resize:
			h.resize(data)
		case reopenLog:
			h.reopenLog(connection)
		}
	}
	if wasInput {
		h.endInput()
	}
	h.drop(connection)
}

func (h *hub) toContainer(data []byte) {
	h.mu.Lock()
	input := h.input
	h.mu.Unlock()
	if input != nil {
		// Nobody reads: then it is lost, as with a closed terminal.
		_, _ = input.Write(data)
	}
}

// endInput closes standard input behind the first who attached, when the pod asks for that.
func (h *hub) endInput() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stdinOnce && h.input != nil {
		h.input.Close()
		h.input = nil
	}
}

func (h *hub) resize(data []byte) {
	if h.terminal == nil || len(data) != 4 {
		return
	}
	// A container that has just ended has no window; that is no one's error.
	_ = launch.Resize(h.terminal, binary.BigEndian.Uint16(data), binary.BigEndian.Uint16(data[2:]))
}

func (h *hub) reopenLog(connection net.Conn) {
	text := ""
	if err := h.log.reopen(); err != nil {
		text = err.Error()
	}
	_ = writeFrame(connection, answer, []byte(text))
}

func (h *hub) drop(connection net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.attached, connection)
	connection.Close()
}

// pump reads all output until its end.
func (h *hub) pump(outputs map[kind]*os.File) {
	var readers sync.WaitGroup
	for stream, file := range outputs {
		readers.Add(1)
		go func() {
			defer readers.Done()
			h.pumpOne(stream, file)
		}()
	}
	readers.Wait()
}

func (h *hub) pumpOne(stream kind, file *os.File) {
	buffer := make([]byte, 16<<10)
	for {
		size, err := file.Read(buffer)
		if size > 0 {
			h.log.write(stream, buffer[:size])
			h.toAttached(stream, buffer[:size])
		}
		if err != nil {
			return
		}
	}
}

func (h *hub) toAttached(stream kind, data []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for connection := range h.attached {
		_ = connection.SetWriteDeadline(time.Now().Add(patience))
		if err := writeFrame(connection, stream, data); err != nil {
			delete(h.attached, connection)
			connection.Close()
		}
	}
}

// end finishes the log. Whoever is connected learns of the end when the shim's process goes.
func (h *hub) end() { h.log.end() }
