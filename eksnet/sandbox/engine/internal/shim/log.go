package shim

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// longest is the length from which a line is split, as containerd does.
const longest = 16 << 10

// containerLog writes the CRI's log format: time, stream, F for a full line or P for a part, text.
type containerLog struct {
	path string
	mu   sync.Mutex
	file io.WriteCloser
	rest map[kind][]byte
	now  func() time.Time
}

func openLog(path string) (*containerLog, error) {
	log := &containerLog{path: path, rest: map[kind][]byte{}, now: time.Now}
	return log, log.reopen()
}

// reopen goes on in a new file after the kubelet moved the old one away.
func (l *containerLog) reopen() error {
	if l.path == "" {
		return nil
	}
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		l.file.Close()
	}
	l.file = file
	return nil
}

func (l *containerLog) write(stream kind, data []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := append(l.rest[stream], data...)
	for {
		end := bytes.IndexByte(rest, '\n')
		switch {
		case end >= 0 && end <= longest:
			l.line(stream, 'F', rest[:end])
			rest = rest[end+1:]
		case len(rest) > longest:
			l.line(stream, 'P', rest[:longest])
			rest = rest[longest:]
		default:
			l.rest[stream] = rest
			return
		}
	}
}

// end writes what is left without a line's end.
func (l *containerLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, stream := range []kind{stdout, stderr} {
		if rest := l.rest[stream]; len(rest) > 0 {
			l.line(stream, 'P', rest)
		}
	}
	if l.file != nil {
		l.file.Close()
	}
}

func (l *containerLog) line(stream kind, tag rune, text []byte) {
	if l.file == nil {
		return
	}
	name := "stdout"
	if stream == stderr {
		name = "stderr"
	}
	// A full disk must not stop the container; nobody could be told anyway.
	_, _ = fmt.Fprintf(l.file, "%s %s %c %s\n", l.now().Format(time.RFC3339Nano), name, tag, text)
}
