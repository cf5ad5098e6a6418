// Asks CoreDNS's own parser and plugins' set-up functions about many Corefiles, in one process.
//
// Reads lines of JSON, each with a text and variables; writes for each a line with the error, which
// is empty where CoreDNS would go on to listen. Nothing is started.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"reflect"
	"sync"
	"unsafe"

	"github.com/coredns/caddy"
	_ "github.com/coredns/caddy/onevent"
	_ "github.com/coredns/coredns/core/plugin"
)

type question struct {
	Text string
	Env  map[string]string
}

func main() {
	// The place is where a pod has it: relative imports are looked for beside it.
	caddy.Quiet = true
	log.SetOutput(io.Discard)
	answers := os.Stdout
	os.Stdout, _ = os.Open(os.DevNull)
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var asked question
		if err := json.Unmarshal(line, &asked); err != nil {
			panic(err)
		}
		for name, value := range asked.Env {
			os.Setenv(name, value)
		}
		said, _ := json.Marshal(verdict(asked.Text))
		fmt.Fprintf(answers, "%s\n", said)
		for name := range asked.Env {
			os.Unsetenv(name)
		}
	}
}

func verdict(text string) (said string) {
	defer func() {
		if panicked := recover(); panicked != nil {
			said = fmt.Sprint("panic: ", panicked)
		}
	}()
	input := caddy.CaddyfileInput{
		Filepath: "/etc/coredns/Corefile", Contents: []byte(text), ServerTypeName: "dns",
	}
	instance := &caddy.Instance{Storage: make(map[interface{}]interface{})}
	set(instance, "serverType", "dns")
	set(instance, "wg", new(sync.WaitGroup))
	if err := caddy.ValidateAndExecuteDirectives(input, instance, false); err != nil {
		return err.Error()
	}
	context := get(instance, "context").(caddy.Context)
	if _, err := context.MakeServers(); err != nil {
		return err.Error()
	}
	return ""
}

// What caddy.Start sets before it listens has no exported name.
func field(instance *caddy.Instance, name string) reflect.Value {
	found := reflect.ValueOf(instance).Elem().FieldByName(name)
	return reflect.NewAt(found.Type(), unsafe.Pointer(found.UnsafeAddr())).Elem()
}

func set(instance *caddy.Instance, name string, value any) {
	field(instance, name).Set(reflect.ValueOf(value))
}

func get(instance *caddy.Instance, name string) any { return field(instance, name).Interface() }
