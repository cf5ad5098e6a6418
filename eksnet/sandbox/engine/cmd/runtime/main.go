// Command runtime is the sandbox's container runtime, and every helper process that it starts:
//
//	runtime serve --dir DIR --socket SOCK --images FILE.json --pod-cidr CIDR --stream ADDRESS
//
// The other commands are its own: a shim per container, a holder per pod, and the first moments
// of every process in a container.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"eksnet.dev/engine/internal/cri"
	"eksnet.dev/engine/internal/launch"
	"eksnet.dev/engine/internal/pause"
	"eksnet.dev/engine/internal/shim"
)

func init() {
	// Threads that join namespaces must be ones that can end, and the first one cannot.
	runtime.LockOSThread()
}

const usage = "runtime serve --dir DIR --socket SOCK --images FILE.json --pod-cidr CIDR --stream ADDRESS"

func main() {
	if filepath.Base(os.Args[0]) == filepath.Base(pause.Name) {
		pause.Hold(os.Args[1:])
		return
	}
	if len(os.Args) < 2 {
		fail(2, fmt.Errorf("no command; expected: %s", usage))
	}
	switch command, args := os.Args[1], os.Args[2:]; command {
	case "serve":
		serve(args)
	case "shim":
		runShim(args)
	case launch.ContainerCommand:
		launch.Container()
	case launch.EnterCommand:
		launch.Enter()
	default:
		fail(2, fmt.Errorf("no command %q; expected: %s", command, usage))
	}
}

func serve(args []string) {
	options, err := parse(args)
	if err != nil {
		fail(2, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	server, err := cri.NewServer(options)
	if err != nil {
		fail(1, err)
	}
	if err := server.Serve(ctx, options.Socket); err != nil {
		fail(1, err)
	}
}

func parse(args []string) (cri.Options, error) {
	var options cri.Options
	var prefix string
	flags := flag.NewFlagSet("runtime serve", flag.ContinueOnError)
	flags.StringVar(&options.Directory, "dir", "/var/lib/runtime", "where pods and containers are kept")
	flags.StringVar(&options.Socket, "socket", "/run/eksnet/runtime.sock", "the socket that the kubelet is told of")
	flags.StringVar(&options.Images, "images", "/etc/eksnet/images.json", "the table of known images")
	flags.StringVar(&prefix, "pod-cidr", "", "where pods get their addresses, such as 10.0.129.0/24")
	flags.StringVar(&options.Stream, "stream", "127.0.0.1:10350", "the address for exec, attach and port-forward")
	if err := flags.Parse(args); err != nil {
		return options, err
	}
	var err error
	if options.PodCIDR, err = netip.ParsePrefix(prefix); err != nil {
		return options, fmt.Errorf("--pod-cidr: %w", err)
	}
	return options, nil
}

func runShim(args []string) {
	if len(args) != 1 {
		fail(2, fmt.Errorf("runtime shim takes a container's folder, not %q", args))
	}
	syscall.CloseOnExec(3)
	if err := shim.Run(args[0], os.NewFile(3, "report")); err != nil {
		fail(1, err)
	}
}

func fail(code int, err error) {
	fmt.Fprintln(os.Stderr, "runtime:", err)
	os.Exit(code)
}
