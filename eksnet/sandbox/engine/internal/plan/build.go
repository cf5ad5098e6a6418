package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/annotations"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/certs"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/config"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/deploy"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/deploy/elbv2"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/deploy/tracking"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/ingress"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/k8s"
	lbcmetrics "sigs.k8s.io/aws-load-balancer-controller/pkg/metrics/lbc"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/model/core"
	modelelbv2 "sigs.k8s.io/aws-load-balancer-controller/pkg/model/elbv2"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/networking"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/service"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/shared_constants"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/shared_utils"
)

// The prefixes of the tags by which the controller finds its own, and of a Service's annotations.
const (
	ingressTags       = "ingress.k8s.aws"
	serviceTags       = "service.k8s.aws"
	serviceAnnotation = "service.beta.kubernetes.io"
)

// built is a stack that was built, and what was said of it.
type built struct {
	said     Stack
	stack    core.Stack
	tracking tracking.Provider
	refused  []Refusal
}

// journal keeps the Events that the controller would send.
type journal struct {
	mutex sync.Mutex
	lines []string
}

var _ record.EventRecorder = &journal{}

// Event notes an Event.
func (j *journal) Event(_ runtime.Object, kind, reason, message string) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.lines = append(j.lines, fmt.Sprintf("%s %s: %s", kind, reason, message))
}

// Eventf notes an Event.
func (j *journal) Eventf(object runtime.Object, kind, reason, format string, words ...any) {
	j.Event(object, kind, reason, fmt.Sprintf(format, words...))
}

// AnnotatedEventf notes an Event.
func (j *journal) AnnotatedEventf(object runtime.Object, _ map[string]string, kind, reason, format string, words ...any) {
	j.Eventf(object, kind, reason, format, words...)
}

// loader is the controller's own loader of Ingress groups.
func (p *planner) loader(events record.EventRecorder) ingress.GroupLoader {
	parser := annotations.NewSuffixAnnotationParser(annotations.AnnotationPrefixIngress)
	class := p.settings.IngressConfig.IngressClass
	return ingress.NewDefaultGroupLoader(p.over, events, parser, ingress.NewDefaultClassLoader(p.over, true),
		ingress.NewDefaultClassAnnotationMatcher(class), class == "")
}

// groups are those that Ingresses of the manifests join or leave, each once.
func (p *planner) groups(ctx context.Context, tried []candidate) ([]ingress.GroupID, error) {
	var found []ingress.GroupID
	seen := map[ingress.GroupID]bool{}
	add := func(id ingress.GroupID) {
		if !seen[id] {
			seen[id] = true
			found = append(found, id)
		}
	}
	loader := p.loader(&journal{})
	for _, one := range objects[*networkingv1.Ingress](tried) {
		key := k8s.NamespacedName(one)
		joined, err := loader.LoadGroupIDIfAny(ctx, one.DeepCopy())
		switch {
		case isUnread(err):
			return nil, fmt.Errorf("the group of Ingress %s cannot be loaded: %w", key, err)
		case err != nil:
			p.refuse("Ingress", key, k8s.IngressEventReasonFailedLoadGroupID,
				fmt.Sprintf("failed load groupID due to %v", err))
		case joined == nil:
			p.answer.Remarks = append(p.answer.Remarks,
				fmt.Sprintf("the controller leaves Ingress %s alone: its class is another controller's", key))
		default:
			p.belongs("Ingress", key, joined.String())
			add(*joined)
		}
		for _, left := range loader.LoadGroupIDsPendingFinalization(ctx, one) {
			add(left)
		}
	}
	return found, nil
}

// groupsOnly says what can be said without an AWS account.
func (p *planner) groupsOnly(ctx context.Context, tried []candidate) error {
	found, err := p.groups(ctx, tried)
	if err != nil {
		return err
	}
	for _, id := range found {
		said, group, unloaded, err := p.members(ctx, id)
		if err != nil {
			return err
		}
		p.answer.Stacks = append(p.answer.Stacks, said)
		p.answer.Refused = append(p.answer.Refused, notLoaded(group, unloaded)...)
	}
	for _, one := range p.balancers(tried) {
		p.answer.Stacks = append(p.answer.Stacks, p.ofService(one))
	}
	return nil
}

// members loads an Ingress group. Why the controller would not load it is told apart from what could
// not be asked: then the members are all that would belong to it.
func (p *planner) members(ctx context.Context, id ingress.GroupID) (said Stack, group ingress.Group, unloaded, err error) {
	said = Stack{
		ID: id.String(), Kind: "ingress", Members: []string{}, Scheme: p.settings.DefaultLoadBalancerScheme,
	}
	loader := p.loader(&journal{})
	group, unloaded = loader.Load(ctx, id)
	if isUnread(unloaded) {
		return said, group, nil, fmt.Errorf("the Ingress group %s cannot be loaded: %w", id, unloaded)
	}
	if unloaded != nil {
		if group.Members, err = p.claiming(ctx, loader, id); err != nil {
			return said, group, nil, err
		}
	}
	for _, member := range group.Members {
		said.Members = append(said.Members, k8s.NamespacedName(member.Ing).String())
		said.look(member.Ing.Annotations, annotations.AnnotationPrefixIngress,
			annotations.IngressSuffixScheme, annotations.IngressSuffixSubnets)
		if params := member.IngClassConfig.IngClassParams; params != nil {
			if params.Spec.Scheme != nil {
				said.Scheme = string(*params.Spec.Scheme)
			}
			said.NamedSubnets = said.NamedSubnets || params.Spec.Subnets != nil
		}
	}
	return said, group, unloaded, nil
}

// isUnread tells whether the API server did not answer, or not to this user: of the controller that
// says nothing.
func isUnread(err error) bool {
	var status apierrors.APIStatus
	var network *url.Error
	return errors.As(err, &status) || errors.As(err, &network) || errors.Is(err, context.Canceled)
}

// claiming are the Ingresses that name a group, or are held by its finalizer.
func (p *planner) claiming(ctx context.Context, loader ingress.GroupLoader, id ingress.GroupID) ([]ingress.ClassifiedIngress, error) {
	all := &networkingv1.IngressList{}
	if err := p.over.List(ctx, all); err != nil {
		return nil, err
	}
	var found []ingress.ClassifiedIngress
	for i := range all.Items {
		one := &all.Items[i]
		// One that belongs to no group is not of this one either.
		joined, _ := loader.LoadGroupIDIfAny(ctx, one)
		held := slices.Contains(loader.LoadGroupIDsPendingFinalization(ctx, one), id)
		if held || (joined != nil && *joined == id) {
			found = append(found, ingress.ClassifiedIngress{Ing: one})
		}
	}
	slices.SortFunc(found, func(a, b ingress.ClassifiedIngress) int {
		return strings.Compare(k8s.NamespacedName(a.Ing).String(), k8s.NamespacedName(b.Ing).String())
	})
	return found, nil
}

// notLoaded are the refusals of a group that the controller does not load: it logs why, once, sends
// no Event, and changes nothing of any member.
func notLoaded(group ingress.Group, unloaded error) []Refusal {
	if unloaded == nil {
		return nil
	}
	var found []Refusal
	for _, member := range group.Members {
		key := k8s.NamespacedName(member.Ing)
		found = append(found, Refusal{
			Kind: "Ingress", Namespace: key.Namespace, Name: key.Name, Message: unloaded.Error(), Logged: true,
		})
	}
	return found
}

// look notes what annotations say of scheme and subnets.
func (s *Stack) look(said map[string]string, prefix, scheme, subnets string) {
	if found, has := said[prefix+"/"+scheme]; has {
		s.Scheme = found
	}
	if _, has := said[prefix+"/"+subnets]; has {
		s.NamedSubnets = true
	}
}

func (p *planner) ofService(one *corev1.Service) Stack {
	key := k8s.NamespacedName(one).String()
	said := Stack{
		ID: key, Kind: "service", Members: []string{key}, Scheme: p.settings.DefaultLoadBalancerScheme,
	}
	said.look(one.Annotations, serviceAnnotation, annotations.SvcLBSuffixScheme, annotations.SvcLBSuffixSubnets)
	return said
}

// balancers are the Services of the manifests that the controller makes, or made, load balancers of.
func (p *planner) balancers(tried []candidate) []*corev1.Service {
	parser := annotations.NewSuffixAnnotationParser(serviceAnnotation)
	utils := service.NewServiceUtils(parser, shared_constants.ServiceFinalizer,
		p.settings.ServiceConfig.LoadBalancerClass, p.settings.FeatureGates)
	var found []*corev1.Service
	for _, one := range objects[*corev1.Service](tried) {
		if utils.IsServiceSupported(one) || utils.IsServicePendingFinalization(one) {
			found = append(found, one)
		} else if one.Spec.Type == corev1.ServiceTypeLoadBalancer {
			p.answer.Remarks = append(p.answer.Remarks, fmt.Sprintf(
				"the controller leaves Service %s alone: its loadBalancerClass is not %s",
				k8s.NamespacedName(one), p.settings.ServiceConfig.LoadBalancerClass))
		}
	}
	return found
}

// builders are the controller's own model builders, over the cluster as it would be.
type builders struct {
	ingress ingress.ModelBuilder
	service service.ModelBuilder
	metrics lbcmetrics.MetricCollector
}

func (p *planner) builders(events record.EventRecorder) builders {
	silent, metrics := logr.Discard(), lbcmetrics.NewMockCollector()
	known, cloud, gates := p.settings, p.cloud, p.settings.FeatureGates
	zones := networking.NewDefaultAZInfoProvider(cloud.EC2(), silent)
	found := networking.NewDefaultSubnetsResolver(zones, cloud.EC2(), cloud.VpcID(), known.ClusterName,
		gates.Enabled(config.SubnetsClusterTagCheck), gates.Enabled(config.ALBSingleSubnet),
		gates.Enabled(config.SubnetDiscoveryByReachability), silent)
	vpcs := networking.NewDefaultVPCInfoProvider(cloud.EC2(), silent)
	groups := networking.NewDefaultSecurityGroupResolver(cloud.EC2(), cloud.VpcID())
	byTags := p.byTags()
	backend := &backendGroup{planner: p}

	ofIngress := annotations.NewSuffixAnnotationParser(annotations.AnnotationPrefixIngress)
	auth := ingress.NewDefaultAuthConfigBuilder(ofIngress)
	backends := ingress.NewDefaultEnhancedBackendBuilder(p.over, ofIngress, auth,
		known.IngressConfig.TolerateNonExistentBackendService, known.IngressConfig.TolerateNonExistentBackendAction)
	authorities := known.IngressConfig.AllowedCertificateAuthorityARNs
	makesCertificates := gates.Enabled(config.EnableCertificateManagement)
	certificates := certs.NewACMCertDiscovery(cloud.ACM(), authorities, makesCertificates, silent)

	ofService := annotations.NewSuffixAnnotationParser(serviceAnnotation)
	utils := service.NewServiceUtils(ofService, shared_constants.ServiceFinalizer,
		known.ServiceConfig.LoadBalancerClass, gates)
	return builders{
		ingress: ingress.NewDefaultModelBuilder(p.over, events,
			cloud.EC2(), cloud.ELBV2(), cloud.WAFv2(), cloud.ACM(), ofIngress, found, auth, backends,
			p.tracking(ingressTags), byTags, gates, cloud.VpcID(), known.ClusterName, known.DefaultTags,
			known.ExternalManagedTags, known.DefaultSSLPolicy, known.DefaultTargetType,
			known.DefaultLoadBalancerScheme, backend, groups, known.EnableBackendSecurityGroup,
			known.EnableManageBackendSecurityGroupRules, known.DisableRestrictedSGRules, authorities,
			gates.Enabled(config.EnableIPTargetType), makesCertificates, known.IngressConfig.DefaultPCAArn,
			shared_utils.NewTargetGroupNameToArnMapper(cloud.ELBV2()), silent, metrics, certificates),
		service: service.NewDefaultModelBuilder(ofService, found, vpcs, cloud.VpcID(), p.tracking(serviceTags),
			byTags, cloud.EC2(), gates, known.ClusterName, known.DefaultTags, known.ExternalManagedTags,
			known.DefaultSSLPolicy, known.DefaultTargetType, known.DefaultLoadBalancerScheme,
			gates.Enabled(config.EnableIPTargetType), utils, backend, groups, known.EnableBackendSecurityGroup,
			known.EnableManageBackendSecurityGroupRules, known.DisableRestrictedSGRules, silent, metrics,
			gates.Enabled(config.EnableTCPUDPListenerType),
			service.NewDefaultEnhancedBackendBuilder(p.over, ofService, silent)),
		metrics: metrics,
	}
}

// byTags finds what AWS has by the controller's tags.
func (p *planner) byTags() elbv2.TaggingManager {
	return elbv2.NewDefaultTaggingManager(p.cloud.ELBV2(), p.cloud.VpcID(), p.settings.FeatureGates, p.cloud.RGT(),
		logr.Discard())
}

func (p *planner) tracking(prefix string) tracking.Provider {
	return tracking.NewDefaultProvider(prefix, p.settings.ClusterName)
}

// build builds every stack that the manifests touch.
func (p *planner) build(ctx context.Context, tried []candidate) ([]built, error) {
	ids, err := p.groups(ctx, tried)
	if err != nil {
		return nil, err
	}
	balancers := p.balancers(tried)
	found := make([]built, len(ids)+len(balancers))
	group, inside := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, id := range ids {
		group.Go(func() (err error) {
			found[i], err = p.buildGroup(inside, id)
			return err
		})
	}
	for i, one := range balancers {
		p.belongs("Service", k8s.NamespacedName(one), k8s.NamespacedName(one).String())
		group.Go(func() (err error) {
			found[len(ids)+i], err = p.buildService(inside, one)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, one := range found {
		p.answer.Refused = append(p.answer.Refused, one.refused...)
	}
	return found, nil
}

func (p *planner) buildGroup(ctx context.Context, id ingress.GroupID) (built, error) {
	said, group, unloaded, err := p.members(ctx, id)
	if err != nil {
		return built{}, err
	}
	build := func(ctx context.Context, with builders) (core.Stack, error) {
		if unloaded != nil {
			return nil, unloaded
		}
		stack, _, _, _, _, _, err := with.ingress.Build(ctx, group, with.metrics)
		return stack, err
	}
	found, refused, err := p.complete(ctx, said, p.tracking(ingressTags), core.StackID(id), build)
	switch {
	case unloaded != nil:
		found.refused = notLoaded(group, unloaded)
	case refused != nil:
		for _, member := range group.Members {
			found.refused = append(found.refused, failed("Ingress", k8s.NamespacedName(member.Ing),
				k8s.IngressEventReasonFailedBuildModel, refused))
		}
	}
	return found, err
}

func (p *planner) buildService(ctx context.Context, one *corev1.Service) (built, error) {
	key := k8s.NamespacedName(one)
	build := func(ctx context.Context, with builders) (core.Stack, error) {
		stack, _, _, err := with.service.Build(ctx, one.DeepCopy(), with.metrics)
		return stack, err
	}
	found, refused, err := p.complete(ctx, p.ofService(one), p.tracking(serviceTags), core.StackID(key), build)
	if refused != nil {
		found.refused = append(found.refused, failed("Service", key, k8s.ServiceEventReasonFailedBuildModel, refused))
	}
	return found, err
}

func failed(kind string, key types.NamespacedName, reason string, err error) Refusal {
	return Refusal{
		Kind: kind, Namespace: key.Namespace, Name: key.Name, Reason: reason,
		Message: fmt.Sprintf("Failed build model due to %v", err),
	}
}

// complete builds a stack, and meanwhile asks AWS what it has of it. What the controller refuses to
// build is told apart from what could not be asked.
func (p *planner) complete(
	ctx context.Context, said Stack, tracks tracking.Provider, id core.StackID,
	build func(context.Context, builders) (core.Stack, error),
) (found built, refused, err error) {
	found = built{said: said, tracking: tracks}
	events := &journal{}
	group, inside := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		found.said.Existing, err = p.existing(inside, tracks, core.NewDefaultStack(id))
		return err
	})
	stack, refused := build(inside, p.builders(events))
	if err := group.Wait(); err != nil {
		return built{}, nil, err
	}
	found.said.Events, found.said.Targets = append([]string{}, events.lines...), map[string][]Target{}
	if refused == nil {
		found.stack = stack
		found.said.Model, err = modelOf(ctx, stack)
	}
	return found, refused, err
}

// modelOf is the stack as the controller logs it, with the certificates of its listeners: the log
// shows those that stand in an annotation as references to nothing.
func modelOf(ctx context.Context, stack core.Stack) (json.RawMessage, error) {
	text, err := deploy.NewDefaultStackMarshaller().Marshal(stack)
	if err != nil {
		return nil, err
	}
	var listeners []*modelelbv2.Listener
	if err := stack.ListResources(&listeners); err != nil {
		return nil, err
	}
	model := map[string]any{}
	if err := json.Unmarshal([]byte(text), &model); err != nil {
		return nil, err
	}
	for _, listener := range listeners {
		var named []any
		for _, one := range listener.Spec.Certificates {
			var arn any = one.CertificateARN
			if depends := one.CertificateARN.Dependencies(); len(depends) == 0 || depends[0].ID() == "" {
				if arn, err = one.CertificateARN.Resolve(ctx); err != nil {
					return nil, err
				}
			}
			named = append(named, map[string]any{"certificateARN": arn})
		}
		if named != nil {
			path := []string{"resources", listener.Type(), listener.ID(), "spec", "certificates"}
			into := model
			for _, key := range path[:len(path)-1] {
				into = into[key].(map[string]any)
			}
			into["certificates"] = named
		}
	}
	return json.Marshal(model)
}

// backendGroup finds the shared backend security group; where there is none, it has no id yet.
type backendGroup struct {
	planner *planner
}

var _ networking.BackendSGProvider = &backendGroup{}

// unknownGroup stands for the id of a security group that has to be made first.
const unknownGroup = "sg-(known after apply)"

// Get returns the group's id.
func (b *backendGroup) Get(ctx context.Context, _ networking.ResourceType, _ []types.NamespacedName) (string, error) {
	p := b.planner
	found := p.settings.BackendSecurityGroup
	if found == "" {
		var err error
		if found, err = backendGroupOf(ctx, p.cloud, p.settings.ClusterName); err != nil {
			return "", err
		}
	}
	if found == "" {
		return unknownGroup, nil
	}
	return found, nil
}

// Release does nothing: a plan takes nothing away.
func (b *backendGroup) Release(context.Context, networking.ResourceType, []types.NamespacedName) error {
	return nil
}
