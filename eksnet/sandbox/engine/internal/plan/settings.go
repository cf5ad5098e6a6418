package plan

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/aws/throttle"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/config"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/ingress"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// labelled is how the chart names its Deployment.
const labelled = "app.kubernetes.io/name"

const chart = "aws-load-balancer-controller"

// installed finds the controller's Deployment; nil where there is none.
func installed(ctx context.Context, reader client.Reader) (*appsv1.Deployment, error) {
	found := &appsv1.DeploymentList{}
	err := reader.List(ctx, found, client.MatchingLabels{labelled: chart})
	if apierrors.IsForbidden(err) {
		// Who may not look everywhere looks where the chart is installed by its instructions.
		err = reader.List(ctx, found, client.MatchingLabels{labelled: chart}, client.InNamespace("kube-system"))
	}
	if err != nil || len(found.Items) == 0 {
		return nil, err
	}
	return &found.Items[0], nil
}

// settings are those of the controller's own flags; without a Deployment, the chart's defaults.
func settings(deployment *appsv1.Deployment) (config.ControllerConfig, error) {
	found := config.ControllerConfig{FeatureGates: config.NewFeatureGates()}
	found.AWSConfig.ThrottleConfig = throttle.NewDefaultServiceOperationsThrottleConfig()
	flags := pflag.NewFlagSet(chart, pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	found.BindFlags(flags)
	err := flags.Parse(arguments(deployment))
	if err != nil {
		err = fmt.Errorf("the controller's Deployment has a flag that this release does not know: %w", err)
	}
	// Without their CRDs the controller switches these off, and the course has none.
	for _, feature := range []config.Feature{config.NLBGatewayAPI, config.ALBGatewayAPI} {
		found.FeatureGates.Disable(feature)
	}
	return found, err
}

func arguments(deployment *appsv1.Deployment) []string {
	container := controllerOf(deployment)
	if container == nil {
		return nil
	}
	var found []string
	for _, argument := range append(container.Command, container.Args...) {
		// What comes before the flags is the program.
		if strings.HasPrefix(argument, "-") || len(found) > 0 {
			found = append(found, argument)
		}
	}
	return found
}

func controllerOf(deployment *appsv1.Deployment) *corev1.Container {
	if deployment == nil {
		return nil
	}
	containers := deployment.Spec.Template.Spec.Containers
	for i := range containers {
		if containers[i].Name == chart {
			return &containers[i]
		}
	}
	if len(containers) > 0 {
		return &containers[0]
	}
	return nil
}

// asInstalled lays over the cluster what the chart would bring that plans depend on.
func asInstalled(over *overlay) {
	over.lay(&networkingv1.IngressClass{
		ObjectMeta: metav1.ObjectMeta{Name: "alb"},
		Spec:       networkingv1.IngressClassSpec{Controller: ingress.IngressClassControllerALB},
	})
}
