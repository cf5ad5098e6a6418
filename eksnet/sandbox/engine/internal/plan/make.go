package plan

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/aws/services"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// atOnce is how many requests of one kind are under way.
const atOnce = 8

// Make says what the controller would make of a request's manifests.
func Make(ctx context.Context, request Request) (*Answer, error) {
	reached, err := connect(request.Cluster)
	if err != nil {
		return nil, err
	}
	over := newOverlay(reached)
	deployment, err := installed(ctx, over)
	if err != nil {
		return nil, fmt.Errorf("the controller's Deployment cannot be looked for: %w", err)
	}
	known, err := settings(deployment)
	if err != nil {
		return nil, err
	}
	if known.ClusterName == "" {
		known.ClusterName = request.Name
	}
	if deployment == nil {
		asInstalled(over)
	}
	manifests, err := read(request.Manifests, request.Namespace)
	if err != nil {
		return nil, err
	}
	var cloud services.Cloud
	if request.AWS != nil {
		if cloud, err = newCloud(ctx, *request.AWS, known, over); err != nil {
			return nil, err
		}
	}
	answer := newAnswer()
	answer.Controller.Cluster = known.ClusterName
	if deployment != nil {
		answer.Controller.Deployment = client.ObjectKeyFromObject(deployment).String()
		if container := controllerOf(deployment); container != nil {
			answer.Controller.Image = container.Image
		}
	}
	if cloud != nil {
		answer.Controller.Region, answer.Controller.VPC = cloud.Region(), cloud.VpcID()
	}
	planned := &planner{
		cluster: reached, over: over, settings: known, cloud: cloud, answer: answer,
		inCluster: deployment != nil,
	}
	return answer, planned.run(ctx, manifests)
}

func newAnswer() *Answer {
	return &Answer{
		Objects: []Object{}, Refused: []Refusal{}, Stacks: []Stack{}, Bindings: []Binding{},
		Rules: map[string]Rules{}, Subnets: []Subnet{}, NewServices: []string{}, Remarks: []string{},
	}
}

// planner is one plan being made.
type planner struct {
	cluster   *cluster
	over      *overlay
	settings  config.ControllerConfig
	cloud     services.Cloud
	answer    *Answer
	inCluster bool
}

func (p *planner) run(ctx context.Context, manifests []manifest) error {
	group, inside := errgroup.WithContext(ctx)
	group.Go(func() error { return p.of(inside, manifests) })
	if p.cloud != nil {
		// The VPC's subnets depend on no manifest: AWS is asked while the API server is.
		group.Go(func() (err error) {
			p.answer.Subnets, err = subnets(inside, p.cloud)
			return err
		})
	}
	return group.Wait()
}

// of plans manifests.
func (p *planner) of(ctx context.Context, manifests []manifest) error {
	tried, err := p.tryAll(ctx, manifests)
	if err != nil {
		return err
	}
	for _, one := range tried {
		p.note(one)
		if one.object != nil {
			p.over.lay(one.object)
		}
	}
	if p.cloud == nil {
		return p.groupsOnly(ctx, tried)
	}
	built, err := p.build(ctx, tried)
	if err != nil {
		return err
	}
	if err := p.connectTargets(ctx, built, tried); err != nil {
		return err
	}
	for _, one := range built {
		p.answer.Stacks = append(p.answer.Stacks, one.said)
	}
	return nil
}

// tryAll asks the API server of each manifest; classes first, because Ingresses are refused without theirs.
func (p *planner) tryAll(ctx context.Context, manifests []manifest) ([]candidate, error) {
	isNew := p.newNamespaces(ctx, manifests)
	found := make([]candidate, len(manifests))
	group, inside := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, one := range manifests {
		if !one.planned {
			found[i] = candidate{manifest: one, action: "ignored"}
			continue
		}
		group.Go(func() (err error) {
			found[i], err = p.cluster.try(inside, one, isNew)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return found, p.judge(ctx, found)
}

// newNamespaces tells which namespaces stand in the manifests and not in the cluster.
func (p *planner) newNamespaces(ctx context.Context, manifests []manifest) func(string) bool {
	fresh := map[string]bool{}
	for _, one := range manifests {
		if one.kind.name != "Namespace" {
			continue
		}
		name := one.said.GetName()
		err := p.over.Get(ctx, client.ObjectKey{Name: name}, &corev1.Namespace{})
		if client.IgnoreNotFound(err) == nil && err != nil {
			fresh[name] = true
			p.over.lay(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: one.said.GetLabels()}})
		}
	}
	return func(name string) bool { return fresh[name] }
}

// note says of a candidate what became of it.
func (p *planner) note(one candidate) {
	key := one.key()
	said := Object{Kind: one.said.GetKind(), Namespace: key.Namespace, Name: key.Name, Action: one.action}
	p.answer.Objects = append(p.answer.Objects, said)
	if one.refused != "" {
		p.refuse(said.Kind, key, "", one.refused)
	}
	if one.action == "create" && one.kind.name == "Service" {
		p.answer.NewServices = append(p.answer.NewServices, key.String())
	}
}

func (p *planner) refuse(kind string, key client.ObjectKey, reason, message string) {
	p.answer.Refused = append(p.answer.Refused, Refusal{
		Kind: kind, Namespace: key.Namespace, Name: key.Name, Reason: reason, Message: message,
	})
}

// belongs notes the stack of an object of the manifests.
func (p *planner) belongs(kind string, key client.ObjectKey, stack string) {
	for i := range p.answer.Objects {
		one := &p.answer.Objects[i]
		if one.Kind == kind && one.Namespace == key.Namespace && one.Name == key.Name {
			one.Stack = stack
		}
	}
}

func objects[T client.Object](tried []candidate) []T {
	var found []T
	for _, one := range tried {
		if object, ok := one.object.(T); ok {
			found = append(found, object)
		}
	}
	return found
}
