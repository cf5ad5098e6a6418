package plan

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	lbcmetrics "sigs.k8s.io/aws-load-balancer-controller/pkg/metrics/lbc"
	"sigs.k8s.io/aws-load-balancer-controller/webhooks/core"
	"sigs.k8s.io/aws-load-balancer-controller/webhooks/networking"
)

// What the chart calls the webhook that validates Ingresses.
const ingressWebhook = "vingress.elbv2.k8s.aws"

// judge asks the controller's own webhooks where the API server could not: they are not in the
// cluster, or what they ask for stands in the same manifests.
func (p *planner) judge(ctx context.Context, tried []candidate) error {
	classes := false
	for _, one := range tried {
		if one.object != nil && strings.HasPrefix(one.kind.name, "IngressClass") {
			p.over.lay(one.object)
			classes = true
		}
	}
	for i := range tried {
		if err := p.judgeOne(ctx, &tried[i], classes); err != nil {
			return err
		}
	}
	return nil
}

func (p *planner) judgeOne(ctx context.Context, one *candidate, classes bool) error {
	denied := fmt.Sprintf("admission webhook %q denied the request: ", ingressWebhook)
	if classes && strings.HasPrefix(one.refused, denied) {
		object, err := p.cluster.untried(one.manifest)
		if err != nil {
			return err
		}
		*one = candidate{manifest: one.manifest, action: "create", object: object, untried: true}
	}
	if p.inCluster && !one.untried {
		return nil
	}
	metrics := lbcmetrics.NewMockCollector()
	switch object := one.object.(type) {
	case *networkingv1.Ingress:
		validator := networking.NewIngressValidator(p.over, p.settings.IngressConfig, logr.Discard(), metrics)
		var err error
		if live, ok := one.live.(*networkingv1.Ingress); ok {
			err = validator.ValidateUpdate(ctx, object.DeepCopy(), live)
		} else {
			err = validator.ValidateCreate(ctx, object.DeepCopy())
		}
		if err != nil {
			one.action, one.object, one.refused = "refused", nil, denied+err.Error()
		}
	case *corev1.Service:
		class := p.settings.ServiceConfig.LoadBalancerClass
		mutator := core.NewServiceMutator(class, logr.Discard(), metrics)
		if one.live == nil {
			_, err := mutator.MutateCreate(ctx, object)
			return err
		}
	}
	return nil
}
