package launch

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestLookUp(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for path, mode := range map[string]os.FileMode{
		filepath.Join(first, "tool"):  0o644, // not executable
		filepath.Join(second, "tool"): 0o755,
	} {
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"PATH=/nowhere", "PATH=" + first + ":" + second}
	if got, err := lookUp("tool", env); err != nil || got != filepath.Join(second, "tool") {
		t.Errorf("found %q, %v", got, err)
	}
	if got, err := lookUp("/any/path", env); err != nil || got != "/any/path" {
		t.Errorf("a path: %q, %v", got, err)
	}
	if _, err := lookUp("nonesuch", env); err == nil || !strings.Contains(err.Error(), "not found in $PATH") {
		t.Errorf("nonesuch: %v", err)
	}
}

func TestFindUser(t *testing.T) {
	if found, err := findUser("1000"); err != nil || found.uid != 1000 {
		t.Errorf("a number: %v, %v", found, err)
	}
	if found, err := findUser("root"); err != nil || found.uid != 0 {
		t.Errorf("root: %v, %v", found, err)
	}
	if _, err := findUser("no such user"); err == nil {
		t.Error("an unknown name is no error")
	}
}

func TestReportCarriesAFailure(t *testing.T) {
	outer, inner, err := reportPair()
	if err != nil {
		t.Fatal(err)
	}
	defer outer.Close()
	(&reporter{fd: int(inner.Fd())}).failure(os.ErrNotExist)
	inner.Close()
	if _, err := readReport(outer); err == nil || err.Error() != os.ErrNotExist.Error() {
		t.Errorf("report %v", err)
	}
}

func TestReportOfSuccessIsSilence(t *testing.T) {
	outer, inner, err := reportPair()
	if err != nil {
		t.Fatal(err)
	}
	defer outer.Close()
	inner.Close()
	if terminal, err := readReport(outer); err != nil || terminal != nil {
		t.Errorf("report %v, %v", terminal, err)
	}
}

func TestEnterDirectoryMakesWhatTheImageLacks(t *testing.T) {
	back, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	defer os.Chdir(back)
	directory := filepath.Join(t.TempDir(), "srv", "app")
	if err := enterDirectory(directory); err != nil {
		t.Fatal(err)
	}
	if now, err := os.Getwd(); err != nil || now != directory {
		t.Errorf("in %q, %v", now, err)
	}
	if err := enterDirectory("/dev/null/app"); err == nil {
		t.Error("a directory below a file is no error")
	}
}

func TestAProcessThatNeverBeginsIsGivenUp(t *testing.T) {
	// Though its caller would wait for ever.
	defer func(usual time.Duration) { handshake = usual }(handshake)
	handshake = 50 * time.Millisecond
	// It holds the report's other end and says nothing there.
	command := exec.Command("sleep", "1000")
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	known := func(*os.Process, *os.File) error { return nil }
	_, err := start(context.Background(), command, struct{}{}, nil, Files{}, known)
	if err == nil || !strings.Contains(err.Error(), "given up") {
		t.Errorf("%v; expected that it was given up", err)
	}
	if command.ProcessState == nil {
		t.Error("it runs on")
	}
}

func TestWhatCannotBeRecordedDoesNotBegin(t *testing.T) {
	command := exec.Command("sleep", "1000")
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	refuse := func(*os.Process, *os.File) error { return os.ErrPermission }
	if _, err := start(context.Background(), command, struct{}{}, nil, Files{}, refuse); err == nil {
		t.Error("the refusal is no error")
	}
	if command.ProcessState == nil {
		t.Error("it runs on")
	}
}
