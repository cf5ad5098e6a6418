package kubelet

import (
	"context"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedv1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/record"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
	"k8s.io/kubernetes/pkg/kubelet"
	"k8s.io/kubernetes/pkg/kubelet/config"
	kubetypes "k8s.io/kubernetes/pkg/kubelet/types"
	kubeletutil "k8s.io/kubernetes/pkg/kubelet/util"
)

// nodeHasSynced is how long a pod source waits for its node's object; the kubelet has its own check.
const nodeHasSynced = 500 * time.Millisecond

// dropIDs puts a filter between the API server's pods and the kubelet. With one mapped id, every
// chown and setuid to another id fails, so a pod that asks for one would never start. The API
// objects stay as they are, and an Event on the pod says what was dropped.
func dropIDs(ctx context.Context, server *options.KubeletServer, d *kubelet.Dependencies, node string) error {
	restConfig, err := clientcmd.BuildConfigFromFlags("", server.KubeConfig)
	if err != nil {
		return err
	}
	restConfig.QPS, restConfig.Burst = float32(server.KubeAPIQPS), int(server.KubeAPIBurst)
	client, err := clientset.NewForConfig(restConfig)
	if err != nil {
		return err
	}
	d.PodStartupLatencyTracker = kubeletutil.NewPodStartupLatencyTracker()
	d.PodConfig = config.NewPodConfig(config.PodConfigNotificationIncremental, &record.FakeRecorder{}, d.PodStartupLatencyTracker)
	if server.StaticPodPath != "" {
		config.NewSourceFile(server.StaticPodPath, types.NodeName(node),
			server.FileCheckFrequency.Duration, d.PodConfig.Channel(ctx, kubetypes.FileSource))
	}
	updates := make(chan interface{})
	go filter(updates, d.PodConfig.Channel(ctx, kubetypes.ApiserverSource), newRecorder(ctx, client, node))
	started := time.Now()
	synced := func() bool { return time.Since(started) > nodeHasSynced }
	config.NewSourceApiserver(client, types.NodeName(node), synced, updates)
	return nil
}

func newRecorder(ctx context.Context, client clientset.Interface, node string) record.EventRecorder {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedv1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	return broadcaster.NewRecorder(scheme.Scheme, v1.EventSource{Component: "kubelet", Host: node})
}

// filter passes pod updates on with their ids dropped, and says so once for each pod.
func filter(in <-chan interface{}, out chan<- interface{}, recorder record.EventRecorder) {
	told := map[types.UID]bool{}
	for message := range in {
		update, ok := message.(kubetypes.PodUpdate)
		if !ok {
			out <- message
			continue
		}
		// An update is the whole list, so that the pods that are gone are forgotten.
		before := told
		told = map[types.UID]bool{}
		for i, pod := range update.Pods {
			stripped, dropped := withoutIDs(pod)
			update.Pods[i] = stripped
			told[pod.UID] = true
			// A pod that has a start time was told of by this kubelet or by the one before.
			if dropped && !before[pod.UID] && pod.Status.StartTime == nil {
				recorder.Event(pod, v1.EventTypeWarning, "UserIgnored",
					"runAsUser, runAsGroup, fsGroup and supplementalGroups are ignored here: "+
						"this sandbox maps a single user id, and every container runs as it")
			}
		}
		out <- update
	}
}

// withoutIDs returns a copy of a pod that asks for no user or group, and whether the pod did.
func withoutIDs(pod *v1.Pod) (*v1.Pod, bool) {
	copied, dropped := pod.DeepCopy(), false
	if c := copied.Spec.SecurityContext; c != nil {
		dropped = c.RunAsUser != nil || c.RunAsGroup != nil || c.FSGroup != nil || len(c.SupplementalGroups) > 0
		c.RunAsUser, c.RunAsGroup, c.RunAsNonRoot, c.FSGroup, c.SupplementalGroups = nil, nil, nil, nil, nil
	}
	for _, c := range securityContexts(copied) {
		dropped = dropped || c.RunAsUser != nil || c.RunAsGroup != nil
		c.RunAsUser, c.RunAsGroup, c.RunAsNonRoot = nil, nil, nil
	}
	return copied, dropped
}

func securityContexts(pod *v1.Pod) []*v1.SecurityContext {
	var all []*v1.SecurityContext
	podutil.VisitContainers(&pod.Spec, podutil.AllContainers, func(container *v1.Container, _ podutil.ContainerType) bool {
		if container.SecurityContext != nil {
			all = append(all, container.SecurityContext)
		}
		return true
	})
	return all
}
