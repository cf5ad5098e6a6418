package kubelet

import (
	"context"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedv1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/kubelet"
	"k8s.io/kubernetes/pkg/kubelet/config"
	kubetypes "k8s.io/kubernetes/pkg/kubelet/types"
	kubeletutil "k8s.io/kubernetes/pkg/kubelet/util"
)

// nodePoll is how often the pod source asks for its node before it asks for pods.
const nodePoll = 20 * time.Millisecond

// newPodSource gives the kubelet its pods: upstream's own sources, but for two things. The wait for
// the node's object looks often instead of once a second, which is most of what a node's start
// would take; and where ids cannot be chosen, pods come without them.
func newPodSource(ctx context.Context, server *options.KubeletServer, d *kubelet.Dependencies, s settings) error {
	client, err := newClient(server)
	if err != nil {
		return err
	}
	d.PodStartupLatencyTracker = kubeletutil.NewPodStartupLatencyTracker()
	d.PodConfig = config.NewPodConfig(config.PodConfigNotificationIncremental, &record.FakeRecorder{}, d.PodStartupLatencyTracker)
	node := types.NodeName(s.node)
	logger := klog.FromContext(ctx)
	if server.StaticPodPath != "" {
		config.NewSourceFile(logger, server.StaticPodPath, node, server.FileCheckFrequency.Duration, d.PodConfig.Channel(ctx, kubetypes.FileSource))
	}
	updates := d.PodConfig.Channel(ctx, kubetypes.ApiserverSource)
	if s.oneID {
		asked := make(chan interface{})
		go dropIDs(asked, updates, newRecorder(ctx, client, s.node))
		updates = asked
	}
	nodeIsThere := isThere(ctx, func(ctx context.Context) error {
		_, err := client.CoreV1().Nodes().Get(ctx, s.node, metav1.GetOptions{})
		return err
	})
	config.NewSourceApiserver(logger, client, node, nodeIsThere, updates)
	return nil
}

func newClient(server *options.KubeletServer) (clientset.Interface, error) {
	restConfig, err := clientcmd.BuildConfigFromFlags("", server.KubeConfig)
	if err != nil {
		return nil, err
	}
	restConfig.QPS, restConfig.Burst = float32(server.KubeAPIQPS), int(server.KubeAPIBurst)
	return clientset.NewForConfig(restConfig)
}

// isThere returns a check that stays until look finds something, or ctx ends.
func isThere(ctx context.Context, look func(context.Context) error) func() bool {
	return func() bool {
		err := wait.PollUntilContextCancel(ctx, nodePoll, true, func(ctx context.Context) (bool, error) {
			return look(ctx) == nil, nil
		})
		return err == nil
	}
}

func newRecorder(ctx context.Context, client clientset.Interface, node string) record.EventRecorder {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedv1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	return broadcaster.NewRecorder(scheme.Scheme, v1.EventSource{Component: "kubelet", Host: node})
}
