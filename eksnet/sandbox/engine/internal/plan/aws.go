package plan

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go/middleware"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	lbcaws "sigs.k8s.io/aws-load-balancer-controller/pkg/aws"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/aws/endpoints"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/aws/provider"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/aws/services"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// What an operation that changes nothing is called.
var reads = []string{"Describe", "List", "Get"}

// awsConfiguration is how AWS is reached: no operation passes that could change anything.
func awsConfiguration(access AWSAccess) aws.Config {
	found := aws.Config{
		Region:      access.Region,
		Credentials: credentials.NewStaticCredentialsProvider(access.KeyID, access.Secret, access.Session),
		HTTPClient:  &http.Client{Transport: newMemory(http.DefaultTransport)},
		APIOptions:  []func(*middleware.Stack) error{refuseWrites},
		Retryer:     func() aws.Retryer { return retry.NewStandard() },
	}
	if access.Endpoint != "" {
		found.BaseEndpoint = aws.String(access.Endpoint)
	}
	return found
}

func refuseWrites(stack *middleware.Stack) error {
	refuse := func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
		middleware.FinalizeOutput, middleware.Metadata, error,
	) {
		operation := awsmiddleware.GetOperationName(ctx)
		for _, prefix := range reads {
			if strings.HasPrefix(operation, prefix) {
				return next.HandleFinalize(ctx, in)
			}
		}
		return middleware.FinalizeOutput{}, middleware.Metadata{},
			fmt.Errorf("a plan changes nothing: %s was not sent", operation)
	}
	return stack.Finalize.Add(middleware.FinalizeMiddlewareFunc("PlanReadsOnly", refuse), middleware.Before)
}

// memory asks each question once: a plan is of one moment, and many load balancers ask the same.
type memory struct {
	next  http.RoundTripper
	mutex sync.Mutex
	asked map[string]*reply
}

type reply struct {
	once   sync.Once
	answer *http.Response
	body   []byte
	err    error
}

func newMemory(next http.RoundTripper) *memory {
	return &memory{next: next, asked: map[string]*reply{}}
}

// RoundTrip returns the first answer to a request of the same words.
func (m *memory) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := contentOf(request)
	if err != nil {
		return nil, err
	}
	question := strings.Join([]string{
		request.Method, request.URL.String(), request.Header.Get("X-Amz-Target"), string(body),
	}, "\n")
	m.mutex.Lock()
	one := m.asked[question]
	if one == nil {
		one = &reply{}
		m.asked[question] = one
	}
	m.mutex.Unlock()
	one.once.Do(func() { one.ask(m.next, request) })
	if one.err != nil || one.answer.StatusCode >= 500 || one.answer.StatusCode == http.StatusTooManyRequests {
		// Whoever asks again is to get another answer.
		m.mutex.Lock()
		delete(m.asked, question)
		m.mutex.Unlock()
	}
	if one.err != nil {
		return nil, one.err
	}
	answer := *one.answer
	answer.Body = io.NopCloser(bytes.NewReader(one.body))
	answer.Request = request
	return &answer, nil
}

func (r *reply) ask(next http.RoundTripper, request *http.Request) {
	r.answer, r.err = next.RoundTrip(request)
	if r.err != nil {
		return
	}
	defer r.answer.Body.Close()
	r.body, r.err = io.ReadAll(r.answer.Body)
}

func contentOf(request *http.Request) ([]byte, error) {
	if request.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(request.Body)
	request.Body = io.NopCloser(bytes.NewReader(body))
	return body, err
}

// newCloud makes the controller's clients of AWS.
func newCloud(ctx context.Context, access AWSAccess, settings config.ControllerConfig, nodes client.Reader) (services.Cloud, error) {
	// Nothing of the user's own set-up of AWS is read.
	for name, nothing := range map[string]string{
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_PROFILE": "", "AWS_ENDPOINT_URL": "",
	} {
		if err := os.Setenv(name, nothing); err != nil {
			return nil, err
		}
	}
	configuration := awsConfiguration(access)
	clients, err := provider.NewDefaultAWSClientsProvider(configuration, endpoints.NewResolver(nil))
	if err != nil {
		return nil, err
	}
	wanted := settings.AWSConfig
	wanted.Region = access.Region
	if wanted.VpcID == "" && len(wanted.VpcTags) == 0 {
		if wanted.VpcID, err = vpcOf(ctx, services.NewEC2(clients), nodes); err != nil {
			return nil, err
		}
	}
	return lbcaws.NewCloud(wanted, settings.ClusterName, nil, logr.Discard(), clients, lbcaws.DefaultLbStabilizationTime)
}

// vpcOf is the VPC of the cluster's nodes: where no flag says it, the controller asks its own node.
func vpcOf(ctx context.Context, asked services.EC2, nodes client.Reader) (string, error) {
	list := &corev1.NodeList{}
	if err := nodes.List(ctx, list); err != nil {
		return "", fmt.Errorf("the nodes cannot be listed, and nothing else tells the VPC: %w", err)
	}
	for _, node := range list.Items {
		parts := strings.Split(node.Spec.ProviderID, "/")
		id := parts[len(parts)-1]
		if !strings.HasPrefix(id, "i-") {
			continue
		}
		found, err := asked.DescribeInstancesAsList(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
		if err != nil {
			return "", err
		}
		if len(found) == 1 {
			return value(found[0].VpcId), nil
		}
	}
	return "", fmt.Errorf("no node of the cluster is an instance of EC2, and nothing else tells the VPC")
}
