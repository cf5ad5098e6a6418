// Package kubelet is the real kubelet with stand-ins for the three parts that need cgroups or the
// right to change other processes: container manager, cadvisor and out-of-memory adjuster.
// Volumes, probes, events, authentication and the CRI client are upstream's own.
package kubelet

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapiserver "k8s.io/apiserver/pkg/server"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/kubelet"
	"k8s.io/kubernetes/pkg/kubelet/cadvisor"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubelet/kubeletconfig/configfiles"
	utilfs "k8s.io/kubernetes/pkg/util/filesystem"
	"k8s.io/kubernetes/pkg/util/oom"
)

// youngest is the age from which a container that does not run may be collected. Upstream's default
// is none, and a container that is created but not yet started counts as one (evictableContainers):
// a collection between the two removes the run before it, and with it its state and its log.
const youngest = time.Minute

type settings struct {
	config     string
	kubeconfig string
	rootDir    string
	certDir    string
	node       string
	nodeIP     string
	labels     map[string]string
	oneID      bool
}

// NewCommand returns the kubelet's command. Its flags carry upstream's names; --one-id is ours.
func NewCommand() *cobra.Command {
	s := settings{labels: map[string]string{}}
	command := &cobra.Command{
		Use:          "kubelet",
		Short:        "The real kubelet, without cgroups",
		SilenceUsage: true,
		Args:         cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return run(genericapiserver.SetupSignalContext(), s)
		},
	}
	flags := command.Flags()
	flags.StringVar(&s.config, "config", "", "the KubeletConfiguration file")
	flags.StringVar(&s.kubeconfig, "kubeconfig", "", "the node's credentials")
	flags.StringVar(&s.rootDir, "root-dir", "/var/lib/kubelet", "where pods' volumes are")
	flags.StringVar(&s.certDir, "cert-dir", "/var/lib/kubelet/pki", "where certificates are that the configuration does not name")
	flags.StringVar(&s.node, "hostname-override", "", "the node's name")
	flags.StringVar(&s.nodeIP, "node-ip", "", "the node's address")
	flags.Var(cliflag.NewMapStringString(&s.labels), "node-labels", "labels that the node registers with")
	flags.BoolVar(&s.oneID, "one-id", false,
		"the user namespace maps one id: pods run as it, whatever user and group they ask for")
	logging := flag.NewFlagSet("logging", flag.ContinueOnError)
	klog.InitFlags(logging)
	flags.AddGoFlag(logging.Lookup("v"))
	for _, required := range []string{"config", "kubeconfig", "hostname-override", "node-ip"} {
		_ = command.MarkFlagRequired(required)
	}
	return command
}

func run(ctx context.Context, s settings) error {
	server, err := newServer(ctx, s)
	if err != nil {
		return err
	}
	dependencies, err := newDependencies(ctx, server, s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.rootDir, 0o755); err != nil {
		return err
	}
	return app.Run(ctx, server, dependencies, utilfeature.DefaultFeatureGate)
}

func newServer(ctx context.Context, s settings) (*options.KubeletServer, error) {
	loader, err := configfiles.NewFsLoader(&utilfs.DefaultFs{}, s.config)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", s.config, err)
	}
	configuration, err := loader.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", s.config, err)
	}
	if err := utilfeature.DefaultMutableFeatureGate.SetFromMap(configuration.FeatureGates); err != nil {
		return nil, fmt.Errorf("feature gates of %s: %w", s.config, err)
	}
	// Nothing is evicted: memory and disk are the learner's whole computer, not the node's.
	configuration.EvictionHard = map[string]string{}
	flags := options.NewKubeletFlags()
	flags.KubeConfig = s.kubeconfig
	flags.RootDirectory = s.rootDir
	flags.CertDirectory = s.certDir
	flags.HostnameOverride = s.node
	flags.NodeIP = s.nodeIP
	flags.NodeLabels = s.labels
	flags.MinimumGCAge = metav1.Duration{Duration: youngest}
	return &options.KubeletServer{KubeletFlags: *flags, KubeletConfiguration: *configuration}, nil
}

func newDependencies(ctx context.Context, server *options.KubeletServer, s settings) (*kubelet.Dependencies, error) {
	dependencies, err := app.UnsecuredDependencies(ctx, server, utilfeature.DefaultFeatureGate)
	if err != nil {
		return nil, err
	}
	machine := &machineStats{root: s.rootDir}
	dependencies.ContainerManager = containerManager{cm.NewStubContainerManager(), machine}
	dependencies.CAdvisorInterface = machine
	dependencies.OOMAdjuster = oom.NewFakeOOMAdjuster()
	// No volume plugins that come while it runs: looking for them takes two of the few inotify
	// instances that a user may have, and makes a directory in the node's /usr, which is not its own.
	dependencies.DynamicPluginProber = nil
	return dependencies, newPodSource(ctx, server, dependencies, s)
}

// containerManager is upstream's stand-in for a node without cgroups, but for two answers.
type containerManager struct {
	cm.ContainerManager
	machine *machineStats
}

// GetPodCgroupRoot returns the name under which machineStats answers: what all pods use together is
// looked up under a name, and without cgroups that is the machine's.
func (containerManager) GetPodCgroupRoot() string { return "/" }

// GetCapacity returns the size of the node's disk: the stand-in's own answer, none, would keep every
// pod that asks for ephemeral storage from being scheduled.
func (c containerManager) GetCapacity(localStorageCapacityIsolation bool) v1.ResourceList {
	disk, err := c.machine.RootFsInfo()
	if !localStorageCapacityIsolation || err != nil {
		return c.ContainerManager.GetCapacity(localStorageCapacityIsolation)
	}
	return cadvisor.EphemeralStorageCapacityFromFsInfo(disk)
}
