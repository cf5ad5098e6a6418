package plan

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elbv2sdk "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbv2types "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/smithy-go"
	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	elbv2api "sigs.k8s.io/aws-load-balancer-controller/apis/elbv2/v1beta1"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/aws/services"
	deployec2 "sigs.k8s.io/aws-load-balancer-controller/pkg/deploy/ec2"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/deploy/elbv2"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/deploy/tracking"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/k8s"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/model/core"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/networking"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/shared_constants"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// existing is what AWS has of a stack, by the tags that the controller gives its own.
func (p *planner) existing(ctx context.Context, tracks tracking.Provider, stack core.Stack) (*Existing, error) {
	filter := tracking.TagsAsTagFilter(tracks.StackTags(stack))
	found := &Existing{Bindings: []string{}}
	group, inside := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		found.LoadBalancers, err = p.loadBalancers(inside, filter)
		return err
	})
	group.Go(func() (err error) {
		found.TargetGroups, err = p.targetGroups(inside, filter)
		return err
	})
	group.Go(func() (err error) {
		manager := networking.NewDefaultSecurityGroupManager(p.cloud.EC2(), logr.Discard())
		tagged := deployec2.NewDefaultTaggingManager(p.cloud.EC2(), manager, p.cloud.VpcID(), logr.Discard())
		found.SecurityGroups, err = tagged.ListSecurityGroups(inside, filter)
		return err
	})
	for _, one := range p.bindingsOf(ctx, tracks.StackLabels(stack)) {
		found.Bindings = append(found.Bindings, k8s.NamespacedName(&one).String())
	}
	return found, group.Wait()
}

func (p *planner) loadBalancers(ctx context.Context, filter tracking.TagFilter) ([]ExistingLoadBalancer, error) {
	byTags := p.byTags()
	listed, err := byTags.ListLoadBalancers(ctx, filter)
	found := []ExistingLoadBalancer{}
	for _, one := range listed {
		complete, err := p.balancer(ctx, byTags, one)
		if isGone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, complete)
	}
	return found, err
}

func (p *planner) targetGroups(ctx context.Context, filter tracking.TagFilter) ([]ExistingTargetGroup, error) {
	listed, err := p.byTags().ListTargetGroups(ctx, filter)
	found := []ExistingTargetGroup{}
	for _, one := range listed {
		attributes, err := p.cloud.ELBV2().DescribeTargetGroupAttributesWithContext(ctx,
			&elbv2sdk.DescribeTargetGroupAttributesInput{TargetGroupArn: one.TargetGroup.TargetGroupArn})
		if isGone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, ExistingTargetGroup{*one.TargetGroup, attributes.Attributes, one.Tags})
	}
	return found, err
}

// isGone tells whether something was deleted since it was listed: the controller may be at work.
func isGone(err error) bool {
	var said smithy.APIError
	if !errors.As(err, &said) {
		return false
	}
	switch said.ErrorCode() {
	case "LoadBalancerNotFound", "ListenerNotFound", "RuleNotFound", "TargetGroupNotFound":
		return true
	}
	return false
}

func (p *planner) balancer(ctx context.Context, byTags elbv2.TaggingManager, one elbv2.LoadBalancerWithTags) (ExistingLoadBalancer, error) {
	arn := one.LoadBalancer.LoadBalancerArn
	found := ExistingLoadBalancer{LoadBalancer: *one.LoadBalancer, Tags: one.Tags, Listeners: []ExistingListener{}}
	attributes, err := p.cloud.ELBV2().DescribeLoadBalancerAttributesWithContext(ctx,
		&elbv2sdk.DescribeLoadBalancerAttributesInput{LoadBalancerArn: arn})
	if err != nil {
		return found, err
	}
	found.Attributes = attributes.Attributes
	listeners, err := byTags.ListListeners(ctx, value(arn))
	if err != nil {
		return found, err
	}
	for _, listener := range listeners {
		complete, err := p.listener(ctx, byTags, listener, one.LoadBalancer.Type)
		if isGone(err) {
			continue
		}
		if err != nil {
			return found, err
		}
		found.Listeners = append(found.Listeners, complete)
	}
	return found, nil
}

func (p *planner) listener(
	ctx context.Context, byTags elbv2.TaggingManager, one elbv2.ListenerWithTags, kind elbv2types.LoadBalancerTypeEnum,
) (ExistingListener, error) {
	arn := one.Listener.ListenerArn
	found := ExistingListener{Listener: *one.Listener, Tags: one.Tags}
	var err error
	if len(one.Listener.Certificates) > 0 {
		found.Certificates, err = p.cloud.ELBV2().DescribeListenerCertificatesAsList(ctx,
			&elbv2sdk.DescribeListenerCertificatesInput{ListenerArn: arn})
		if err != nil {
			return found, err
		}
	}
	if kind == elbv2types.LoadBalancerTypeEnumApplication {
		rules, err := byTags.ListListenerRules(ctx, value(arn))
		if err != nil {
			return found, err
		}
		for _, rule := range rules {
			found.Rules = append(found.Rules, *rule.ListenerRule)
		}
	}
	return found, nil
}

// bindingsOf are the target group bindings that the cluster has of a stack.
func (p *planner) bindingsOf(ctx context.Context, labels map[string]string) []elbv2api.TargetGroupBinding {
	found := &elbv2api.TargetGroupBindingList{}
	// Where the kind is not served there are none, and other errors come where targets are looked for.
	_ = p.over.List(ctx, found, client.MatchingLabels(labels))
	return found.Items
}

// backendGroupOf is the shared backend security group's id; empty where there is none.
func backendGroupOf(ctx context.Context, cloud services.Cloud, cluster string) (string, error) {
	found, err := cloud.EC2().DescribeSecurityGroupsAsList(ctx, &ec2.DescribeSecurityGroupsInput{
		Filters: []ec2types.Filter{
			filter("vpc-id", cloud.VpcID()),
			filter("tag:"+shared_constants.TagKeyK8sCluster, cluster),
			filter("tag:"+shared_constants.TagKeyResource, "backend-sg"),
		},
	})
	if err != nil || len(found) == 0 {
		return "", err
	}
	return value(found[0].GroupId), nil
}

func filter(name string, values ...string) ec2types.Filter {
	return ec2types.Filter{Name: aws.String(name), Values: values}
}

// subnets are those of the VPC, with what the controller looks at.
func subnets(ctx context.Context, cloud services.Cloud) ([]Subnet, error) {
	inVPC := []ec2types.Filter{filter("vpc-id", cloud.VpcID())}
	found, err := cloud.EC2().DescribeSubnetsAsList(ctx, &ec2.DescribeSubnetsInput{Filters: inVPC})
	if err != nil {
		return nil, err
	}
	tables, err := cloud.EC2().DescribeRouteTablesAsList(ctx, &ec2.DescribeRouteTablesInput{Filters: inVPC})
	if err != nil {
		return nil, err
	}
	told := []Subnet{}
	for _, one := range found {
		tags := map[string]string{}
		for _, tag := range one.Tags {
			tags[value(tag.Key)] = value(tag.Value)
		}
		told = append(told, Subnet{
			ID: value(one.SubnetId), Zone: value(one.AvailabilityZone), CIDR: value(one.CidrBlock),
			Available: value(one.AvailableIpAddressCount), Public: isPublic(value(one.SubnetId), tables), Tags: tags,
		})
	}
	return told, nil
}

// isPublic tells whether a subnet's route table, or else the VPC's main one, leads to the internet.
func isPublic(subnet string, tables []ec2types.RouteTable) bool {
	var own, main *ec2types.RouteTable
	for i := range tables {
		for _, association := range tables[i].Associations {
			if value(association.Main) {
				main = &tables[i]
			}
			if value(association.SubnetId) == subnet {
				own = &tables[i]
			}
		}
	}
	if own == nil {
		own = main
	}
	if own == nil {
		return false
	}
	for _, route := range own.Routes {
		if gateway := value(route.GatewayId); len(gateway) > 3 && gateway[:3] == "igw" {
			return true
		}
	}
	return false
}
