package plan

import (
	"fmt"
	"net/http"
	"regexp"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	elbv2api "sigs.k8s.io/aws-load-balancer-controller/apis/elbv2/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// kind is one that the controller reads.
type kind struct {
	name       string
	plural     string
	group      schema.GroupVersion
	namespaced bool
	// planned tells whether a manifest of it says anything of load balancers.
	planned bool
}

var kinds = []kind{
	{"Ingress", "ingresses", networkingv1.SchemeGroupVersion, true, true},
	{"IngressClass", "ingressclasses", networkingv1.SchemeGroupVersion, false, true},
	{"IngressClassParams", "ingressclassparams", elbv2api.GroupVersion, false, true},
	{"TargetGroupBinding", "targetgroupbindings", elbv2api.GroupVersion, true, true},
	{"Service", "services", corev1.SchemeGroupVersion, true, true},
	{"Namespace", "namespaces", corev1.SchemeGroupVersion, false, false},
	{"Node", "nodes", corev1.SchemeGroupVersion, false, false},
	{"Pod", "pods", corev1.SchemeGroupVersion, true, false},
	{"Secret", "secrets", corev1.SchemeGroupVersion, true, false},
	{"EndpointSlice", "endpointslices", discovery.SchemeGroupVersion, true, false},
	{"Deployment", "deployments", appsv1.SchemeGroupVersion, true, false},
}

func kindOf(apiVersion, name string) (kind, bool) {
	for _, one := range kinds {
		if one.name == name && one.group.String() == apiVersion {
			return one, true
		}
	}
	return kind{}, false
}

// path is where the API server has an object; without a name, the collection.
func (k kind) path(namespace, name string) string {
	path := "/apis/" + k.group.String()
	if k.group.Group == "" {
		path = "/api/" + k.group.Version
	}
	if k.namespaced {
		path += "/namespaces/" + namespace
	}
	path += "/" + k.plural
	if name != "" {
		path += "/" + name
	}
	return path
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, corev1.AddToScheme, discovery.AddToScheme, networkingv1.AddToScheme,
		elbv2api.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return scheme, nil
}

// newMapper spares asking the API server which kinds it has.
func newMapper() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, one := range kinds {
		scope := meta.RESTScopeRoot
		if one.namespaced {
			scope = meta.RESTScopeNamespace
		}
		plural := one.group.WithResource(one.plural)
		mapper.AddSpecific(one.group.WithKind(one.name), plural, plural, scope)
	}
	return mapper
}

// configuration is how the API server is reached: no request passes that it would keep.
func configuration(access ClusterAccess) *rest.Config {
	return &rest.Config{
		Host:        access.Server,
		BearerToken: access.Token,
		TLSClientConfig: rest.TLSClientConfig{
			CAData: []byte(access.Authority), CertData: []byte(access.Certificate),
			KeyData: []byte(access.Key), Insecure: access.Insecure, ServerName: access.ServerName,
		},
		UserAgent:     "eksnet-plan",
		QPS:           -1,
		WrapTransport: func(next http.RoundTripper) http.RoundTripper { return readOnly{next} },
	}
}

// What may be asked in a dry run: an object itself, never what is below it, such as a pod's exec.
var tried = regexp.MustCompile(
	`^/apis?/([a-z0-9.]+/)?v1(beta1)?/(namespaces/[^/]+/)?` +
		`(services|ingresses|ingressclasses|ingressclassparams|targetgroupbindings)(/[^/]+)?$`)

// readOnly passes reads, and writes that the API server does not keep.
type readOnly struct {
	next http.RoundTripper
}

// RoundTrip refuses every other request.
func (t readOnly) RoundTrip(request *http.Request) (*http.Response, error) {
	switch request.Method {
	case http.MethodGet:
		return t.next.RoundTrip(request)
	case http.MethodPost, http.MethodPatch:
		dry := request.URL.Query()["dryRun"]
		if len(dry) == 1 && dry[0] == "All" && tried.MatchString(request.URL.Path) {
			return t.next.RoundTrip(request)
		}
	}
	return nil, fmt.Errorf("a plan writes nothing: %s %s was not sent", request.Method, request.URL.Path)
}

// cluster is the API server, read through the controller's own interface and in a dry run.
type cluster struct {
	client.Client
	raw *rest.RESTClient
}

func connect(access ClusterAccess) (*cluster, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	config := configuration(access)
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	typed, err := client.New(config, client.Options{
		HTTPClient: httpClient, Scheme: scheme, Mapper: newMapper(),
	})
	if err != nil {
		return nil, err
	}
	raw := rest.CopyConfig(config)
	raw.NegotiatedSerializer = serializerOf(scheme)
	raw.GroupVersion = &schema.GroupVersion{}
	rawClient, err := rest.UnversionedRESTClientForConfigAndClient(raw, httpClient)
	if err != nil {
		return nil, err
	}
	return &cluster{Client: typed, raw: rawClient}, nil
}
