package process

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

func TestIdentityEndsWithItsProcess(t *testing.T) {
	command := exec.Command("sleep", "1000")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	identity, err := Of(command.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if !identity.Alive() {
		t.Error("a process that runs is not alive")
	}
	if err := identity.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
	if identity.Alive() {
		t.Error("a process that was killed is alive")
	}
	if err := identity.Signal(syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal to a dead process: %v", err)
	}
}

func TestAnotherProcessOfTheSameIDIsNotMeant(t *testing.T) {
	self, err := Of(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	earlier, otherBoot := self, self
	earlier.Start--
	otherBoot.Boot = "another"
	for _, identity := range []Identity{earlier, otherBoot, {}} {
		if identity.Alive() {
			t.Errorf("%+v is alive; this process is %+v", identity, self)
		}
		if err := identity.Signal(0); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("signal to %+v: %v", identity, err)
		}
	}
}

func TestFieldsAfterAStrangeName(t *testing.T) {
	fields, err := Fields("12 (a) b (c) S 1 12 12 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9 9")
	if err != nil {
		t.Fatal(err)
	}
	if fields[0] != "S" || fields[startTime] != "4711" {
		t.Errorf("fields %q", fields)
	}
	if _, err := Fields("12 (a) S 1"); err == nil {
		t.Error("a short line is no error")
	}
}
