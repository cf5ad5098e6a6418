// Package plan says what the AWS Load Balancer Controller would make of manifests: with the
// controller's own group loader, model builders and endpoint resolver, and without a write.
//
// The manifests are laid over what the cluster has, as the API server would keep them: it is asked
// in a server-side dry run. AWS is asked with Describe calls alone.
package plan

import (
	"encoding/json"

	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elbv2types "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"sigs.k8s.io/aws-load-balancer-controller/pkg/networking"
)

// Request is what is asked.
type Request struct {
	Cluster ClusterAccess `json:"cluster"`
	// AWS is nil where no account is known: then nothing is said of load balancers.
	AWS *AWSAccess `json:"aws"`
	// Name is the cluster's name, where no controller is installed that knows it.
	Name string `json:"name"`
	// Namespace is where objects go that name none.
	Namespace string            `json:"namespace"`
	Manifests []json.RawMessage `json:"manifests"`
}

// ClusterAccess is how the API server is reached.
type ClusterAccess struct {
	Server      string `json:"server"`
	Authority   string `json:"authority"`
	Token       string `json:"token"`
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
	Insecure    bool   `json:"insecure"`
	ServerName  string `json:"server_name"`
}

// AWSAccess is how AWS is reached. Without an endpoint it is AWS's own.
type AWSAccess struct {
	Endpoint string `json:"endpoint"`
	Region   string `json:"region"`
	KeyID    string `json:"access_key"`
	Secret   string `json:"secret"`
	Session  string `json:"session"`
}

// Answer is what was found.
type Answer struct {
	Controller Controller `json:"controller"`
	// Objects are the manifests' own, in their order.
	Objects []Object `json:"objects"`
	// Refused is what the API server or the controller would refuse.
	Refused []Refusal `json:"refused"`
	Stacks  []Stack   `json:"stacks"`
	// Bindings are the target group bindings of the manifests.
	Bindings []Binding `json:"bindings"`
	// Rules are those of the security groups of nodes and pods, by group.
	Rules   map[string]Rules `json:"rules"`
	Subnets []Subnet         `json:"subnets"`
	// NewServices are those whose UID, and so the names made of it, is known after they were made.
	NewServices []string `json:"new_services"`
	Remarks     []string `json:"remarks"`
}

// Controller is what the plan takes the controller for.
type Controller struct {
	// Deployment is namespace/name of the installed one; empty where there is none.
	Deployment string `json:"deployment"`
	Image      string `json:"image"`
	Cluster    string `json:"cluster"`
	Region     string `json:"region"`
	VPC        string `json:"vpc"`
}

// Object is an object of the manifests.
type Object struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Action is `create`, `change`, `unchanged`, `refused`, or `ignored` for kinds that make no load balancer.
	Action string `json:"action"`
	// Stack is the load balancer's stack that it belongs to.
	Stack string `json:"stack,omitempty"`
}

// Refusal is why an object would not become what it says.
type Refusal struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Reason is the Event's; empty for what the API server refuses, and for what the controller only logs.
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Logged is whether the controller sends no Event of it: its log alone has the message.
	Logged bool `json:"logged,omitempty"`
}

// Stack is one load balancer and what belongs to it.
type Stack struct {
	ID   string `json:"id"`
	Kind string `json:"kind"`
	// Scheme and NamedSubnets are what its members say: they tell why a subnet is taken or left.
	Scheme       string `json:"scheme"`
	NamedSubnets bool   `json:"named_subnets"`
	// Members are the objects that it is made of, in the controller's order.
	Members []string `json:"members"`
	// Model is the controller's own stack, as it logs it; nil where it was not built.
	Model    json.RawMessage     `json:"model"`
	Events   []string            `json:"events"`
	Targets  map[string][]Target `json:"targets"`
	Existing *Existing           `json:"existing"`
}

// Target is what a target group would have registered.
type Target struct {
	ID   string `json:"id"`
	Port int32  `json:"port"`
	// Of is the pod as namespace/name, or the node.
	Of   string `json:"of"`
	Zone string `json:"zone"`
}

// Binding is a target group binding of the manifests.
type Binding struct {
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	Group     string   `json:"group"`
	Type      string   `json:"type"`
	Service   string   `json:"service"`
	Targets   []Target `json:"targets"`
}

// Rules are the rules of a security group that are the controller's, as they would be and as they are.
type Rules struct {
	Planned  []Permission `json:"planned"`
	Existing []Permission `json:"existing"`
}

// Permission is one rule with one source.
type Permission struct {
	Protocol string `json:"protocol"`
	From     int32  `json:"from"`
	To       int32  `json:"to"`
	Source   string `json:"source"`
}

// Subnet is a subnet of the VPC.
type Subnet struct {
	ID        string            `json:"id"`
	Zone      string            `json:"zone"`
	CIDR      string            `json:"cidr"`
	Available int32             `json:"available"`
	Public    bool              `json:"public"`
	Tags      map[string]string `json:"tags"`
}

// Existing is what AWS has of a stack, found by the controller's tags.
type Existing struct {
	LoadBalancers  []ExistingLoadBalancer         `json:"load_balancers"`
	TargetGroups   []ExistingTargetGroup          `json:"target_groups"`
	SecurityGroups []networking.SecurityGroupInfo `json:"security_groups"`
	Bindings       []string                       `json:"bindings"`
}

// ExistingLoadBalancer is a load balancer with all that hangs on it, in the SDK's own shape.
type ExistingLoadBalancer struct {
	LoadBalancer elbv2types.LoadBalancer
	Attributes   []elbv2types.LoadBalancerAttribute
	Tags         map[string]string
	Listeners    []ExistingListener
}

// ExistingListener is a listener with its certificates and rules.
type ExistingListener struct {
	Listener     elbv2types.Listener
	Certificates []elbv2types.Certificate
	Rules        []elbv2types.Rule
	Tags         map[string]string
}

// ExistingTargetGroup is a target group.
type ExistingTargetGroup struct {
	TargetGroup elbv2types.TargetGroup
	Attributes  []elbv2types.TargetGroupAttribute
	Tags        map[string]string
}

func permission(info networking.IPPermissionInfo) Permission {
	rule := info.Permission
	found := Permission{
		Protocol: value(rule.IpProtocol), From: value(rule.FromPort), To: value(rule.ToPort),
	}
	found.Source = source(rule)
	return found
}

func source(rule ec2types.IpPermission) string {
	switch {
	case len(rule.IpRanges) > 0:
		return value(rule.IpRanges[0].CidrIp)
	case len(rule.Ipv6Ranges) > 0:
		return value(rule.Ipv6Ranges[0].CidrIpv6)
	case len(rule.PrefixListIds) > 0:
		return value(rule.PrefixListIds[0].PrefixListId)
	case len(rule.UserIdGroupPairs) > 0:
		return value(rule.UserIdGroupPairs[0].GroupId)
	}
	return ""
}

func value[T any](pointer *T) T {
	if pointer == nil {
		var none T
		return none
	}
	return *pointer
}
