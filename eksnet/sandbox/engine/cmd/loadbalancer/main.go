// Command loadbalancer is the data plane of the sandbox's load balancers:
//
//	loadbalancer --desired FILE --observed DIR
//
// It reads what the AWS side desires, and writes what it observes.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"eksnet.dev/engine/internal/loadbalancer"
)

func main() {
	flags := flag.NewFlagSet("loadbalancer", flag.ContinueOnError)
	desired := flags.String("desired", "/var/lib/load-balancers/desired.json", "the file that says what to do")
	observed := flags.String("observed", "/run/load-balancers", "the folder for targets' health and DNS names")
	if err := flags.Parse(os.Args[1:]); err != nil {
		os.Exit(2)
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "loadbalancer: %q; expected only --desired and --observed\n", flags.Args())
		os.Exit(2)
	}
	log.SetFlags(log.LstdFlags | log.Lmsgprefix)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := loadbalancer.New(*desired, *observed).Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "loadbalancer:", err)
		os.Exit(1)
	}
}
