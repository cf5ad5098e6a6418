package shim

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain is a shim that never says anything where this executable is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "shim" {
		time.Sleep(time.Hour)
	}
	os.Exit(m.Run())
}

func TestAShimThatNeverReportsIsGivenUp(t *testing.T) {
	defer func(usual time.Duration) { handshake = usual }(handshake)
	handshake = 50 * time.Millisecond
	err := Start(context.Background(), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "given up") {
		t.Errorf("%v; expected that it was given up", err)
	}
}

func TestLogLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	log, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	log.now = func() time.Time { return time.Unix(0, 0).UTC() }
	log.write(stdout, []byte("one\ntw"))
	log.write(stderr, []byte("other\n"))
	log.write(stdout, []byte("o\n"+strings.Repeat("x", longest+1)+"\nrest"))
	log.end()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := "1970-01-01T00:00:00Z "
	want := at + "stdout F one\n" + at + "stderr F other\n" + at + "stdout F two\n" +
		at + "stdout P " + strings.Repeat("x", longest) + "\n" + at + "stdout F x\n" + at + "stdout P rest\n"
	if string(text) != want {
		t.Errorf("log:\n%s\nexpected:\n%s", text, want)
	}
}

func TestNoLogIsFine(t *testing.T) {
	log, err := openLog("")
	if err != nil {
		t.Fatal(err)
	}
	log.write(stdout, []byte("line\n"))
	if len(log.rest[stdout]) != 0 {
		t.Errorf("kept %q", log.rest[stdout])
	}
}

func TestFramesAreReadAsWritten(t *testing.T) {
	var wire bytes.Buffer
	if err := writeFrame(&wire, stdout, []byte("data")); err != nil {
		t.Fatal(err)
	}
	if err := writeFrame(&wire, stdinEnd, nil); err != nil {
		t.Fatal(err)
	}
	if kind, data, err := readFrame(&wire); kind != stdout || string(data) != "data" || err != nil {
		t.Errorf("frame %c %q %v", kind, data, err)
	}
	if kind, data, err := readFrame(&wire); kind != stdinEnd || len(data) != 0 || err != nil {
		t.Errorf("frame %c %q %v", kind, data, err)
	}
}

func TestTooLargeAFrameIsRefused(t *testing.T) {
	if _, _, err := readFrame(strings.NewReader("o\xff\xff\xff\xff")); err == nil {
		t.Error("4 GiB are read")
	}
}

func TestExit(t *testing.T) {
	for _, c := range []struct {
		status syscall.WaitStatus
		code   int
		reason string
	}{{0, 0, Completed}, {3 << 8, 3, Error}, {9, 137, Error}} {
		if exit := exitOf(c.status, time.Time{}); exit.Code != c.code || exit.Reason != c.reason {
			t.Errorf("exit of %#x: %+v; expected %d %s", c.status, exit, c.code, c.reason)
		}
	}
}

func TestSocketInADeepFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), strings.Repeat("deep", 40))
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	listener, err := listen(folder)
	if err != nil {
		t.Fatal(err)
	}
	client, err := Dial(folder)
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	listener.Close()
	if _, err := Dial(folder); err == nil {
		t.Error("a socket that nobody serves answers")
	}
}

func TestAWindowChangesOnceOutputIsHeard(t *testing.T) {
	ours, shims := net.Pipe()
	client := &Client{connection: ours, answering: answering}
	done := make(chan error, 1)
	go func() {
		done <- client.Attach(nil, nil, nil, func() { go func() { _ = client.Resize(24, 80) }() })
	}()
	if kind, _, err := readFrame(shims); kind != attach || err != nil {
		t.Fatalf("first %c, %v; expected %c", kind, err, attach)
	}
	_ = shims.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if kind, _, err := readFrame(shims); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%c, %v before the answer", kind, err)
	}
	_ = shims.SetReadDeadline(time.Time{})
	if err := writeFrame(shims, answer, nil); err != nil {
		t.Fatal(err)
	}
	if kind, data, err := readFrame(shims); kind != resize || len(data) != 4 || err != nil {
		t.Errorf("then %c %v, %v; expected %c", kind, data, err, resize)
	}
	shims.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAnExitIsRecordedOnceThereIsRoom(t *testing.T) {
	folder := t.TempDir()
	// What cannot be replaced stands for a disk without room.
	obstacle := filepath.Join(folder, exitFile, "full")
	if err := os.MkdirAll(obstacle, 0o755); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- writeExitAtLast(folder, t.TempDir(), Exit{Code: 7}) }()
	select {
	case err := <-done:
		t.Fatalf("gave up: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if err := os.RemoveAll(filepath.Join(folder, exitFile)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if exit, err := ReadExit(folder); err != nil || exit.Code != 7 {
		t.Errorf("exit %+v, %v", exit, err)
	}
}

func TestAnExitIsRecordedInTheRoomThatTheContainersRootTook(t *testing.T) {
	folder := t.TempDir()
	root := filepath.Join(folder, exitFile)
	if err := os.MkdirAll(filepath.Join(root, "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := writeExitAtLast(folder, root, Exit{Code: 7}); err != nil {
		t.Fatal(err)
	}
	if exit, err := ReadExit(folder); err != nil || exit.Code != 7 {
		t.Errorf("exit %+v, %v", exit, err)
	}
}

func TestARemovedContainersExitIsNotWaitedFor(t *testing.T) {
	if err := writeExitAtLast(filepath.Join(t.TempDir(), "gone"), "", Exit{}); err == nil {
		t.Error("a record without a folder")
	}
}

func TestAShimThatDoesNotAnswerIsNotWaitedForWithoutEnd(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	client := &Client{connection: near, answering: 20 * time.Millisecond}
	if err := client.readAnswer(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v; expected that the deadline passed", err)
	}
	go func() { _ = writeFrame(far, answer, nil) }()
	client.answering = answering
	if err := client.readAnswer(); err != nil {
		t.Errorf("an answer in time: %v", err)
	}
}
