package kubelet

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
	kubetypes "k8s.io/kubernetes/pkg/kubelet/types"
)

// dropIDs passes pod updates on with their ids dropped, and says so once for each pod. With one
// mapped id, every chown and setuid to another fails, so a pod that asks for one would never start.
// The API objects stay as they are, and an Event on the pod says what was dropped.
func dropIDs(in <-chan interface{}, out chan<- interface{}, recorder record.EventRecorder) {
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
					"runAsUser, runAsGroup, runAsNonRoot, fsGroup and supplementalGroups are ignored here: "+
						"this sandbox maps a single user id, and every container runs as it")
			}
		}
		out <- update
	}
}

// withoutIDs returns a copy of a pod that asks for no user or group, and whether the pod did. Not
// to be root is such a wish too: the only id is root's.
func withoutIDs(pod *v1.Pod) (*v1.Pod, bool) {
	copied, dropped := pod.DeepCopy(), false
	if c := copied.Spec.SecurityContext; c != nil {
		dropped = c.RunAsUser != nil || c.RunAsGroup != nil || isSet(c.RunAsNonRoot) || c.FSGroup != nil ||
			len(c.SupplementalGroups) > 0
		c.RunAsUser, c.RunAsGroup, c.RunAsNonRoot, c.FSGroup, c.SupplementalGroups = nil, nil, nil, nil, nil
	}
	for _, c := range securityContexts(copied) {
		dropped = dropped || c.RunAsUser != nil || c.RunAsGroup != nil || isSet(c.RunAsNonRoot)
		c.RunAsUser, c.RunAsGroup, c.RunAsNonRoot = nil, nil, nil
	}
	return copied, dropped
}

func isSet(choice *bool) bool { return choice != nil && *choice }

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
