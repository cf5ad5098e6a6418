// Command kube is every Kubernetes program of the sandbox in one: linked once, its pages shared.
//
// It runs the program that its first argument names, or that it is called as.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"

	"eksnet.dev/engine/internal/kubelet"
)

var programs = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": newControllerManager,
	"kube-proxy":              proxy.NewProxyCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubelet":                 kubelet.NewCommand,
}

func main() {
	name, args := choose(os.Args)
	newCommand, known := programs[name]
	if !known {
		fmt.Fprintf(os.Stderr, "kube: no program %q; there are %s\n", name, strings.Join(names(), ", "))
		os.Exit(2)
	}
	os.Args = append([]string{name}, args...)
	os.Exit(cli.Run(newCommand()))
}

// choose returns the program to run and its arguments.
func choose(args []string) (string, []string) {
	if name := filepath.Base(args[0]); programs[name] != nil {
		return name, args[1:]
	}
	if len(args) < 2 {
		return "", nil
	}
	return args[1], args[2:]
}

func names() []string {
	all := make([]string, 0, len(programs))
	for name := range programs {
		all = append(all, name)
	}
	sort.Strings(all)
	return all
}
