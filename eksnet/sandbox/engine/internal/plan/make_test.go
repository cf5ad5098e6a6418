package plan

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	ec2sdk "github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elbv2sdk "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/golang/mock/gomock"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/aws/services"
)

// account is an AWS account of a test's own: whatever is not expected, and every write, fails the test.
type account struct {
	services.Cloud
	ec2   *services.MockEC2
	elbv2 *services.MockELBV2
}

func (a account) EC2() services.EC2     { return a.ec2 }
func (a account) ELBV2() services.ELBV2 { return a.elbv2 }
func (a account) ACM() services.ACM     { return nil }
func (a account) WAFv2() services.WAFv2 { return nil }
func (a account) RGT() services.RGT     { return nil }
func (a account) VpcID() string         { return "vpc-1" }
func (a account) Region() string        { return "ap-northeast-2" }

func newAccount(t *testing.T, subnets ...ec2types.Subnet) account {
	control := gomock.NewController(t)
	found := account{ec2: services.NewMockEC2(control), elbv2: services.NewMockELBV2(control)}
	any := gomock.Any()
	found.ec2.EXPECT().DescribeSubnetsAsList(any, any).Return(subnets, nil).AnyTimes()
	found.ec2.EXPECT().DescribeRouteTablesAsList(any, any).Return([]ec2types.RouteTable{{
		Associations: []ec2types.RouteTableAssociation{{Main: aws.Bool(true)}},
		Routes:       []ec2types.Route{{GatewayId: aws.String("igw-1")}},
	}}, nil).AnyTimes()
	found.ec2.EXPECT().DescribeAvailabilityZonesWithContext(any, any).DoAndReturn(zones).AnyTimes()
	found.ec2.EXPECT().DescribeSecurityGroupsAsList(any, any).DoAndReturn(groups).AnyTimes()
	found.ec2.EXPECT().DescribeInstancesAsList(any, any).Return([]ec2types.Instance{{
		InstanceId: aws.String("i-0a"),
		NetworkInterfaces: []ec2types.InstanceNetworkInterface{{
			NetworkInterfaceId: aws.String("eni-1"),
			Attachment:         &ec2types.InstanceNetworkInterfaceAttachment{DeviceIndex: aws.Int32(0)},
			Groups:             []ec2types.GroupIdentifier{{GroupId: aws.String("sg-nodes")}},
		}},
	}}, nil).AnyTimes()
	found.elbv2.EXPECT().DescribeLoadBalancersAsList(any, any).Return(nil, nil).AnyTimes()
	found.elbv2.EXPECT().DescribeTargetGroupsAsList(any, any).Return(nil, nil).AnyTimes()
	found.elbv2.EXPECT().DescribeTagsWithContext(any, any).Return(&elbv2sdk.DescribeTagsOutput{}, nil).AnyTimes()
	return found
}

func subnet(id, zone string) ec2types.Subnet {
	return ec2types.Subnet{
		SubnetId: aws.String(id), AvailabilityZone: aws.String("ap-northeast-2" + zone),
		AvailabilityZoneId: aws.String("apne2-" + zone), VpcId: aws.String("vpc-1"),
		AvailableIpAddressCount: aws.Int32(200), CidrBlock: aws.String("10.0.0.0/24"),
		Tags: []ec2types.Tag{{Key: aws.String("kubernetes.io/role/internal-elb"), Value: aws.String("1")}},
	}
}

func planOf(t *testing.T, a *api, cloud services.Cloud, manifests ...string) *Answer {
	t.Helper()
	found, err := planning(t, a, cloud, manifests...)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func planning(t *testing.T, a *api, cloud services.Cloud, manifests ...string) (*Answer, error) {
	t.Helper()
	reached := a.connect(t)
	known, err := settings(nil)
	if err != nil {
		t.Fatal(err)
	}
	known.ClusterName = "lab"
	over, found := newOverlay(reached), newAnswer()
	asInstalled(over)
	made := &planner{cluster: reached, over: over, settings: known, answer: found}
	if cloud != nil {
		made.cloud = cloud
	}
	wanted, err := read(request(t, a, manifests...).Manifests, "default")
	if err != nil {
		t.Fatal(err)
	}
	return found, made.run(context.Background(), wanted)
}

// at returns what a model says at a path.
func at(t *testing.T, stack Stack, path ...string) string {
	t.Helper()
	var model map[string]any
	if err := json.Unmarshal(stack.Model, &model); err != nil {
		t.Fatalf("no model: %v", err)
	}
	found, _, err := unstructured.NestedFieldNoCopy(model, append([]string{"resources"}, path...)...)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(found)
}

const balancer = "AWS::ElasticLoadBalancingV2::LoadBalancer"

func TestAnIngress(t *testing.T) {
	a := newAPI(t, shop, node)
	cloud := newAccount(t, subnet("subnet-a", "a"), subnet("subnet-c", "c"))
	found := planOf(t, a, cloud, ingressNamed("web", ""))
	if len(found.Refused) != 0 || len(found.Stacks) != 1 {
		t.Fatalf("refused %v, %d stacks", found.Refused, len(found.Stacks))
	}
	stack := found.Stacks[0]
	if stack.ID != "app/web" || strings.Join(stack.Members, " ") != "app/web" || stack.Scheme != "internal" {
		t.Errorf("stack %s of %v, %s", stack.ID, stack.Members, stack.Scheme)
	}
	if name := at(t, stack, balancer, "LoadBalancer", "spec", "name"); !strings.HasPrefix(name, "k8s-app-web-") {
		t.Errorf("named %s", name)
	}
	if want := []Target{{"i-0a", 30080, "node1", "ap-northeast-2a"}}; fmt.Sprint(stack.Targets["app/web-web:80"]) != fmt.Sprint(want) {
		t.Errorf("targets %v", stack.Targets)
	}
	// The target group is of a Service that exists: its name is known.
	if len(found.NewServices) != 0 {
		t.Errorf("new Services %v", found.NewServices)
	}
	if rules := found.Rules["sg-nodes"].Planned; fmt.Sprint(rules) != fmt.Sprint([]Permission{{"tcp", 30080, 30080, unknownGroup}}) {
		t.Errorf("rules %v", found.Rules)
	}
}

func TestCertificatesOfAnAnnotationStandInTheModel(t *testing.T) {
	cloud := newAccount(t, subnet("subnet-a", "a"), subnet("subnet-c", "c"))
	manifest := ingressNamed("web", `alb.ingress.kubernetes.io/listen-ports: '[{"HTTPS": 443}]', `+
		`alb.ingress.kubernetes.io/certificate-arn: "arn:one,arn:two"`)
	found := planOf(t, newAPI(t, shop), cloud, manifest)
	want := "[map[certificateARN:arn:one] map[certificateARN:arn:two]]"
	if said := at(t, found.Stacks[0], "AWS::ElasticLoadBalancingV2::Listener", "443", "spec", "certificates"); said != want {
		t.Errorf("certificates %s", said)
	}
}

func TestOneZoneIsTooFew(t *testing.T) {
	found := planOf(t, newAPI(t, shop), newAccount(t, subnet("subnet-a", "a")), ingressNamed("web", ""))
	want := "Failed build model due to couldn't auto-discover subnets: subnets count less than minimal required count: 1 < 2"
	if len(found.Refused) != 1 || found.Refused[0].Reason != "FailedBuildModel" || found.Refused[0].Message != want {
		t.Errorf("refused %v", found.Refused)
	}
	if found.Stacks[0].Model != nil {
		t.Error("it has a model all the same")
	}
}

func TestAGroupIsOfTheClusterAndTheManifests(t *testing.T) {
	grouped := func(name, order string) string {
		return ingressNamed(name, `alb.ingress.kubernetes.io/group.name: team, alb.ingress.kubernetes.io/group.order: "`+order+`"`)
	}
	a := newAPI(t, class, shop, grouped("old", "5"))
	// Without an account, too.
	found := planOf(t, a, nil, grouped("new", "1"), ingressNamed("alone", ""))
	said := map[string]string{}
	for _, stack := range found.Stacks {
		said[stack.ID] = strings.Join(stack.Members, " ")
	}
	if fmt.Sprint(said) != "map[app/alone:app/alone team:app/new app/old]" {
		t.Errorf("stacks %v", said)
	}
	if found.Stacks[0].Model != nil || found.Stacks[0].Existing != nil {
		t.Error("something is said of AWS without an account")
	}
}

func TestWhatIsRefused(t *testing.T) {
	denied := `admission webhook "vingress.elbv2.k8s.aws" denied the request: `
	for name, one := range map[string]struct {
		manifest, message string
		refuse            string
	}{
		"by the API server": {ingressNamed("web", ""), "no such thing", "no such thing"},
		"by the webhook": {
			strings.Replace(ingressNamed("web", ""), "ingressClassName: alb", "ingressClassName: lab", 1),
			denied + `invalid ingress class: /apis/networking.k8s.io/v1/ingressclasses/lab not found`, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t, shop)
			a.refuse = func(*unstructured.Unstructured) string { return one.refuse }
			found := planOf(t, a, nil, one.manifest)
			if len(found.Refused) != 1 || found.Refused[0].Message != one.message || found.Objects[0].Action != "refused" {
				t.Errorf("refused %v, objects %v", found.Refused, found.Objects)
			}
			if len(found.Stacks) != 0 {
				t.Errorf("stacks %v", found.Stacks)
			}
		})
	}
}

func TestWhatStandsInTheSameManifestsCounts(t *testing.T) {
	a := newAPI(t)
	// The cluster's webhook sees the cluster alone.
	a.refuse = func(object *unstructured.Unstructured) string {
		if object.GetKind() == "Ingress" {
			return `admission webhook "vingress.elbv2.k8s.aws" denied the request: invalid ingress class: not found`
		}
		return ""
	}
	own := strings.ReplaceAll(class, "name: alb", "name: own")
	manifest := strings.ReplaceAll(ingressNamed("web", ""), "ingressClassName: alb", "ingressClassName: own")
	namespace := `{apiVersion: v1, kind: Namespace, metadata: {name: fresh}}`
	service := `{apiVersion: v1, kind: Service, metadata: {namespace: fresh, name: web}, spec: {type: LoadBalancer, ports: [{port: 80}]}}`
	found := planOf(t, a, nil, manifest, own, namespace, service)
	if len(found.Refused) != 0 || len(found.Stacks) != 2 || found.Stacks[1].ID != "fresh/web" {
		t.Errorf("refused %v, stacks %v", found.Refused, found.Stacks)
	}
	for _, asked := range a.asked {
		if strings.Contains(asked, "/namespaces/fresh/") {
			t.Errorf("asked of a namespace that is not there: %s", asked)
		}
	}
	if fmt.Sprint(found.NewServices) != "[fresh/web]" {
		t.Errorf("new Services %v", found.NewServices)
	}
}

func TestSettingsAreThoseOfTheDeployment(t *testing.T) {
	a := newAPI(t, `{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: kube-system, name: lbc,
  labels: {app.kubernetes.io/name: aws-load-balancer-controller}}, spec: {template: {spec: {containers: [
  {name: aws-load-balancer-controller, args: [--cluster-name=shop, --ingress-class=alb, "--default-tags=team=net",
   --default-target-type=ip, --aws-vpc-id=vpc-9, "--feature-gates=ALBSingleSubnet=true"]}]}}}}`)
	deployment, err := installed(context.Background(), a.connect(t))
	if err != nil || deployment == nil {
		t.Fatalf("%v, %v", deployment, err)
	}
	found, err := settings(deployment)
	if err != nil {
		t.Fatal(err)
	}
	said := fmt.Sprint(found.ClusterName, found.DefaultTags, found.DefaultTargetType, found.AWSConfig.VpcID,
		found.FeatureGates.Enabled("ALBSingleSubnet"), found.FeatureGates.Enabled("NLBGatewayAPI"))
	if said != "shopmap[team:net]ipvpc-9true false" {
		t.Errorf("settings %s", said)
	}
	defaults, err := settings(nil)
	if err != nil || defaults.DefaultTargetType != "instance" || defaults.IngressConfig.IngressClass != "alb" {
		t.Errorf("defaults %v, %v", defaults.DefaultTargetType, err)
	}
}

func zones(_ context.Context, asked *ec2sdk.DescribeAvailabilityZonesInput) (*ec2sdk.DescribeAvailabilityZonesOutput, error) {
	found := &ec2sdk.DescribeAvailabilityZonesOutput{}
	for _, id := range asked.ZoneIds {
		found.AvailabilityZones = append(found.AvailabilityZones, ec2types.AvailabilityZone{
			ZoneId: aws.String(id), ZoneType: aws.String("availability-zone"),
		})
	}
	return found, nil
}

func groups(_ context.Context, asked *ec2sdk.DescribeSecurityGroupsInput) ([]ec2types.SecurityGroup, error) {
	var found []ec2types.SecurityGroup
	for _, id := range asked.GroupIds {
		found = append(found, ec2types.SecurityGroup{GroupId: aws.String(id)})
	}
	return found, nil
}
