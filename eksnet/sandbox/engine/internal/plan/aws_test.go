package plan

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elbv2sdk "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbv2types "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

const noSubnets = `<DescribeSubnetsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><subnetSet/></DescribeSubnetsResponse>`

func counting(t *testing.T, code int, body string) (*atomic.Int32, AWSAccess) {
	t.Helper()
	count := &atomic.Int32{}
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
		count.Add(1)
		writer.WriteHeader(code)
		_, _ = writer.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return count, AWSAccess{Endpoint: server.URL, Region: "ap-northeast-2", KeyID: "AKIA", Secret: "s"}
}

func TestNoWriteToAWSIsSent(t *testing.T) {
	asked, access := counting(t, http.StatusOK, noSubnets)
	configuration, ctx := awsConfiguration(access), context.Background()
	machines, balancers := ec2.NewFromConfig(configuration), elbv2sdk.NewFromConfig(configuration)
	errors := map[string]error{}
	some := aws.String("some")
	_, errors["CreateSecurityGroup"] = machines.CreateSecurityGroup(ctx,
		&ec2.CreateSecurityGroupInput{GroupName: some, Description: some})
	_, errors["CreateTags"] = machines.CreateTags(ctx,
		&ec2.CreateTagsInput{Resources: []string{"sg-1"}, Tags: []ec2types.Tag{{Key: some}}})
	_, errors["AuthorizeSecurityGroupIngress"] = machines.AuthorizeSecurityGroupIngress(ctx,
		&ec2.AuthorizeSecurityGroupIngressInput{GroupId: some})
	_, errors["CreateLoadBalancer"] = balancers.CreateLoadBalancer(ctx,
		&elbv2sdk.CreateLoadBalancerInput{Name: some})
	_, errors["RegisterTargets"] = balancers.RegisterTargets(ctx,
		&elbv2sdk.RegisterTargetsInput{TargetGroupArn: some, Targets: []elbv2types.TargetDescription{{Id: some}}})
	_, errors["SetSubnets"] = balancers.SetSubnets(ctx, &elbv2sdk.SetSubnetsInput{LoadBalancerArn: some})
	_, errors["RequestCertificate"] = acm.NewFromConfig(configuration).RequestCertificate(ctx,
		&acm.RequestCertificateInput{DomainName: some})
	for operation, err := range errors {
		if err == nil || !strings.Contains(err.Error(), "a plan changes nothing: "+operation+" was not sent") {
			t.Errorf("%s: %v", operation, err)
		}
	}
	if asked.Load() != 0 {
		t.Errorf("AWS was asked %d times", asked.Load())
	}
	if _, err := machines.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{}); err != nil || asked.Load() != 1 {
		t.Errorf("a read: %v, %d requests", err, asked.Load())
	}
}

func TestEachQuestionIsAskedOnce(t *testing.T) {
	asked, access := counting(t, http.StatusOK, noSubnets)
	machines, ctx := ec2.NewFromConfig(awsConfiguration(access)), context.Background()
	for _, id := range []string{"subnet-1", "subnet-1", "subnet-2", "subnet-1"} {
		if _, err := machines.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{SubnetIds: []string{id}}); err != nil {
			t.Fatal(err)
		}
	}
	if asked.Load() != 2 {
		t.Errorf("%d requests", asked.Load())
	}
}

func TestAFailureIsAskedAgain(t *testing.T) {
	asked, access := counting(t, http.StatusServiceUnavailable, "")
	machines := ec2.NewFromConfig(awsConfiguration(access))
	if _, err := machines.DescribeSubnets(context.Background(), &ec2.DescribeSubnetsInput{}); err == nil {
		t.Error("no error")
	}
	if asked.Load() != 3 {
		t.Errorf("%d requests; the SDK tries three times", asked.Load())
	}
}

func TestWhatIsDeletedMeanwhileIsGone(t *testing.T) {
	for code, gone := range map[string]bool{
		"TargetGroupNotFound": true, "LoadBalancerNotFound": true, "ListenerNotFound": true,
		"AccessDenied": false, "Throttling": false,
	} {
		_, access := counting(t, http.StatusBadRequest, `<ErrorResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"><Error><Code>`+
			code+`</Code><Message>no</Message></Error></ErrorResponse>`)
		_, err := elbv2sdk.NewFromConfig(awsConfiguration(access)).DescribeTargetGroupAttributes(context.Background(),
			&elbv2sdk.DescribeTargetGroupAttributesInput{TargetGroupArn: aws.String("arn")})
		if isGone(err) != gone {
			t.Errorf("%s: gone %v, %v", code, isGone(err), err)
		}
	}
	if isGone(nil) {
		t.Error("no error is one")
	}
}
