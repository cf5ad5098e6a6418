package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sort"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	elbv2api "sigs.k8s.io/aws-load-balancer-controller/apis/elbv2/v1beta1"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/backend"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/config"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/k8s"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/model/core"
	modelec2 "sigs.k8s.io/aws-load-balancer-controller/pkg/model/ec2"
	modelelbv2 "sigs.k8s.io/aws-load-balancer-controller/pkg/model/elbv2"
	modelk8s "sigs.k8s.io/aws-load-balancer-controller/pkg/model/elbv2/k8s"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/networking"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/targetgroupbinding"
)

// The id of what has to be made first: this, and what the model calls it.
const knownAfter = "(known after apply) "

// connectTargets finds the targets of every group, and which rules let them be reached.
func (p *planner) connectTargets(ctx context.Context, built []built, tried []candidate) error {
	for _, one := range built {
		if one.stack != nil {
			for _, old := range p.bindingsOf(ctx, one.tracking.StackLabels(core.NewDefaultStack(one.stack.StackID()))) {
				p.over.remove(&old)
			}
		}
	}
	of := map[types.NamespacedName][]Target{}
	for i := range built {
		if built[i].stack == nil {
			continue
		}
		if err := p.layBindings(ctx, built[i]); err != nil {
			return err
		}
	}
	all := &elbv2api.TargetGroupBindingList{}
	if err := p.over.List(ctx, all); err != nil {
		return fmt.Errorf("the target group bindings cannot be listed: %w", err)
	}
	said := map[types.NamespacedName]bool{}
	for _, one := range objects[*elbv2api.TargetGroupBinding](tried) {
		said[k8s.NamespacedName(one)] = true
	}
	wires := p.newWires()
	for i := range all.Items {
		one := &all.Items[i]
		key := k8s.NamespacedName(one)
		targets, reason, err := wires.connect(ctx, one)
		if err != nil && said[key] {
			p.refuse("TargetGroupBinding", key, reason, err.Error())
		} else if err != nil {
			p.answer.Remarks = append(p.answer.Remarks,
				fmt.Sprintf("TargetGroupBinding %s: %s: %v", key, reason, err))
		}
		of[key] = targets
		if said[key] {
			p.answer.Bindings = append(p.answer.Bindings, p.binding(one, targets))
			p.belongs("TargetGroupBinding", key, one.Spec.TargetGroupARN)
		}
	}
	for i := range built {
		if built[i].stack != nil {
			fill(built[i], of)
		}
	}
	return wires.rules(ctx, p)
}

func (p *planner) binding(one *elbv2api.TargetGroupBinding, targets []Target) Binding {
	kind := ""
	if one.Spec.TargetType != nil {
		kind = string(*one.Spec.TargetType)
	}
	return Binding{
		Namespace: one.Namespace, Name: one.Name, Group: one.Spec.TargetGroupARN, Type: kind,
		Service: fmt.Sprintf("%s:%s", one.Spec.ServiceRef.Name, one.Spec.ServiceRef.Port.String()),
		Targets: targets,
	}
}

// layBindings lays the bindings of a stack over the cluster, as its deployment would make them.
func (p *planner) layBindings(ctx context.Context, one built) error {
	var groups []*modelelbv2.TargetGroup
	var firewalls []*modelec2.SecurityGroup
	var found []*modelk8s.TargetGroupBindingResource
	for _, list := range []any{&groups, &firewalls, &found} {
		if err := one.stack.ListResources(list); err != nil {
			return err
		}
	}
	for _, group := range groups {
		group.SetStatus(modelelbv2.TargetGroupStatus{TargetGroupARN: knownAfter + group.ID()})
	}
	for _, firewall := range firewalls {
		firewall.SetStatus(modelec2.SecurityGroupStatus{GroupID: knownAfter + firewall.ID()})
	}
	for _, resource := range found {
		object, err := bindingOf(ctx, resource, one.tracking.StackLabels(one.stack))
		if err != nil {
			return err
		}
		p.over.lay(object)
	}
	return nil
}

// bindingOf is what the controller creates of a binding in its model.
func bindingOf(ctx context.Context, resource *modelk8s.TargetGroupBindingResource, labels map[string]string) (*elbv2api.TargetGroupBinding, error) {
	said := resource.Spec.Template
	arn, err := said.Spec.TargetGroupARN.Resolve(ctx)
	if err != nil {
		return nil, err
	}
	spec := elbv2api.TargetGroupBindingSpec{
		TargetGroupARN: arn, TargetType: said.Spec.TargetType, ServiceRef: said.Spec.ServiceRef,
		NodeSelector: said.Spec.NodeSelector, IPAddressType: &said.Spec.IPAddressType, VpcID: said.Spec.VpcID,
	}
	if said.Spec.Networking != nil {
		spec.Networking = &elbv2api.TargetGroupBindingNetworking{}
		for _, rule := range said.Spec.Networking.Ingress {
			made := elbv2api.NetworkingIngressRule{Ports: rule.Ports}
			for _, peer := range rule.From {
				from := elbv2api.NetworkingPeer{IPBlock: peer.IPBlock}
				if peer.SecurityGroup != nil {
					id, err := peer.SecurityGroup.GroupID.Resolve(ctx)
					if err != nil {
						return nil, err
					}
					from.SecurityGroup = &elbv2api.SecurityGroup{GroupID: id}
				}
				made.From = append(made.From, from)
			}
			spec.Networking.Ingress = append(spec.Networking.Ingress, made)
		}
	}
	return &elbv2api.TargetGroupBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: said.Namespace, Name: said.Name, Labels: labels}, Spec: spec,
	}, nil
}

// fill notes the targets of a stack's groups, by the groups' ids in the model.
func fill(one built, of map[types.NamespacedName][]Target) {
	var found []*modelk8s.TargetGroupBindingResource
	_ = one.stack.ListResources(&found)
	for _, resource := range found {
		key := types.NamespacedName{Namespace: resource.Spec.Template.Namespace, Name: resource.Spec.Template.Name}
		one.said.Targets[resource.ID()] = of[key]
	}
}

// wires connects bindings to their targets with the controller's own resolver and networking.
type wires struct {
	resolver backend.EndpointResolver
	network  networking.NetworkingManager
	noted    *notedRules
	groups   networking.SecurityGroupManager
	over     *overlay
}

func (p *planner) newWires() *wires {
	silent := logr.Discard()
	groups := networking.NewDefaultSecurityGroupManager(p.cloud.EC2(), silent)
	noted := &notedRules{wanted: map[string][]networking.IPPermissionInfo{}}
	nodes := networking.NewDefaultNodeInfoProvider(p.cloud.EC2(), silent)
	ofPods := networking.NewDefaultPodENIInfoResolver(p.over, p.cloud.EC2(), nodes, p.cloud.VpcID(), silent)
	ofNodes := networking.NewDefaultNodeENIInfoResolver(nodes, silent)
	return &wires{
		resolver: backend.NewDefaultEndpointResolver(p.over, pods{p.over},
			p.settings.FeatureGates.Enabled(config.EndpointsFailOpen), true, silent),
		network: networking.NewDefaultNetworkingManager(p.over, ofPods, ofNodes, groups, noted,
			p.cloud.VpcID(), p.settings.ClusterName, p.settings.ServiceTargetENISGTags, silent,
			p.settings.DisableRestrictedSGRules),
		noted: noted, groups: groups, over: p.over,
	}
}

// connect returns the targets of a binding, or the Event's reason and why there are none.
func (w *wires) connect(ctx context.Context, one *elbv2api.TargetGroupBinding) ([]Target, string, error) {
	if one.Spec.TargetType == nil {
		return []Target{}, failedReconcile, fmt.Errorf("%s targetType is not specified: %v", dueTo, k8s.NamespacedName(one))
	}
	service := types.NamespacedName{Namespace: one.Namespace, Name: one.Spec.ServiceRef.Name}
	var targets []Target
	var err, network error
	if *one.Spec.TargetType == elbv2api.TargetTypeIP {
		var found []backend.PodEndpoint
		gate := targetgroupbinding.BuildTargetHealthPodConditionType(one)
		found, _, err = w.resolver.ResolvePodEndpoints(ctx, service, one.Spec.ServiceRef.Port, backend.WithPodReadinessGate(gate))
		if err == nil {
			targets = w.ofPods(ctx, found)
			network = w.network.ReconcileForPodEndpoints(ctx, one, found)
		}
	} else {
		var found []backend.NodePortEndpoint
		var selector labels.Selector
		if selector, err = backend.GetTrafficProxyNodeSelector(one); err == nil {
			found, err = w.resolver.ResolveNodePortEndpoints(ctx, service, one.Spec.ServiceRef.Port, backend.WithNodeSelector(selector))
		}
		if err == nil {
			targets = ofNodes(found)
			// Of nodes, unlike pods, none is registered before their security groups are written.
			err = w.network.ReconcileForNodePortEndpoints(ctx, one, found)
		}
	}
	switch {
	case errors.Is(err, backend.ErrNotFound):
		return []Target{}, k8s.TargetGroupBindingEventReasonBackendNotFound, err
	case err != nil:
		return []Target{}, failedReconcile, fmt.Errorf("%s %w", dueTo, err)
	case network != nil:
		return targets, k8s.TargetGroupBindingEventReasonFailedNetworkReconcile, network
	}
	return targets, "", nil
}

// The Event of a binding that the controller gives up, and the first words of its message.
const (
	failedReconcile = k8s.TargetGroupBindingEventReasonFailedReconcile
	dueTo           = "Failed reconcile due to"
)

func (w *wires) ofPods(ctx context.Context, found []backend.PodEndpoint) []Target {
	targets := []Target{}
	for _, one := range found {
		node := &corev1.Node{}
		// A node that cannot be read has no zone to be told.
		_ = w.over.Get(ctx, types.NamespacedName{Name: one.Pod.NodeName}, node)
		targets = append(targets, Target{one.IP, one.Port, one.Pod.Key.String(), node.Labels[corev1.LabelTopologyZone]})
	}
	return inOrder(targets)
}

func ofNodes(found []backend.NodePortEndpoint) []Target {
	targets := []Target{}
	for _, one := range found {
		targets = append(targets, Target{one.InstanceID, one.Port, one.Node.Name, one.Node.Labels[corev1.LabelTopologyZone]})
	}
	return inOrder(targets)
}

func inOrder(targets []Target) []Target {
	sort.Slice(targets, func(i, j int) bool { return targets[i].Of < targets[j].Of })
	return targets
}

// rules notes what the security groups of nodes and pods would let in, and what they do now.
func (w *wires) rules(ctx context.Context, p *planner) error {
	for id, wanted := range w.noted.wanted {
		found := Rules{Planned: []Permission{}, Existing: []Permission{}}
		for _, one := range wanted {
			found.Planned = append(found.Planned, permission(one))
		}
		infos, err := w.groups.FetchSGInfosByID(ctx, []string{id})
		if err != nil {
			return err
		}
		for _, one := range infos[id].Ingress {
			// The label by which the controller knows its own rules.
			if one.Labels["elbv2.k8s.aws/targetGroupBinding"] == "shared" {
				found.Existing = append(found.Existing, permission(one))
			}
		}
		p.answer.Rules[id] = found
	}
	return nil
}

// notedRules takes the rules that the controller would write, and writes none.
type notedRules struct {
	wanted map[string][]networking.IPPermissionInfo
}

var _ networking.SecurityGroupReconciler = &notedRules{}

// ReconcileIngress notes the rules of a security group; the last word counts, as it includes all others.
func (n *notedRules) ReconcileIngress(_ context.Context, id string, wanted []networking.IPPermissionInfo, _ ...networking.SecurityGroupReconcileOption) error {
	n.wanted[id] = wanted
	return nil
}

// pods reads the pods that endpoints name.
type pods struct {
	over *overlay
}

var _ k8s.PodInfoRepo = pods{}

// Get returns what the controller keeps of a pod.
func (r pods) Get(ctx context.Context, key types.NamespacedName) (k8s.PodInfo, bool, error) {
	pod := &corev1.Pod{}
	if err := r.over.Get(ctx, key, pod); err != nil {
		if apierrors.IsNotFound(err) {
			return k8s.PodInfo{}, false, nil
		}
		return k8s.PodInfo{}, false, err
	}
	found := k8s.PodInfo{
		Key: key, UID: pod.UID, ReadinessGates: pod.Spec.ReadinessGates, Conditions: pod.Status.Conditions,
		NodeName: pod.Spec.NodeName, PodIP: pod.Status.PodIP, CreationTime: pod.CreationTimestamp,
	}
	containers := append([]corev1.Container{}, pod.Spec.Containers...)
	for _, one := range pod.Spec.InitContainers {
		if value(one.RestartPolicy) == corev1.ContainerRestartPolicyAlways {
			containers = append(containers, one)
		}
	}
	for _, one := range containers {
		found.ContainerPorts = append(found.ContainerPorts, one.Ports...)
	}
	if own, has := pod.Annotations["vpc.amazonaws.com/pod-eni"]; has {
		// As the controller does: one that cannot be read counts as none.
		_ = json.Unmarshal([]byte(own), &found.ENIInfos)
	}
	return found, true, nil
}

// ListKeys is not asked by what a plan uses.
func (r pods) ListKeys(context.Context) []types.NamespacedName { return nil }
