package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// The course applies manifests under this name, and kubectl keeps here what it applied last.
	manager     = "eksnet"
	lastApplied = "kubectl.kubernetes.io/last-applied-configuration"
)

// manifest is one object of the request.
type manifest struct {
	kind    kind
	planned bool
	said    *unstructured.Unstructured
}

// candidate is an object as the API server would keep it.
type candidate struct {
	manifest
	action  string
	object  client.Object
	live    client.Object
	refused string
	// untried is whether the API server was not asked, and with it no webhook.
	untried bool
}

func (m manifest) key() types.NamespacedName {
	return types.NamespacedName{Namespace: m.said.GetNamespace(), Name: m.said.GetName()}
}

func serializerOf(scheme *runtime.Scheme) runtime.NegotiatedSerializer {
	return serializer.NewCodecFactory(scheme).WithoutConversion()
}

// read makes objects of what was said; those without a namespace get the usual one.
func read(raw []json.RawMessage, namespace string) ([]manifest, error) {
	var found []manifest
	for _, one := range raw {
		said := &unstructured.Unstructured{}
		if err := said.UnmarshalJSON(one); err != nil {
			return nil, err
		}
		kind, known := kindOf(said.GetAPIVersion(), said.GetKind())
		if known && kind.namespaced && said.GetNamespace() == "" {
			said.SetNamespace(namespace)
		}
		if known && !kind.namespaced {
			said.SetNamespace("")
		}
		found = append(found, manifest{kind, known && kind.planned, said})
	}
	return found, nil
}

// try asks the API server what would become of a manifest; it keeps nothing.
func (c *cluster) try(ctx context.Context, one manifest, isNew func(namespace string) bool) (candidate, error) {
	if one.kind.namespaced && isNew(one.said.GetNamespace()) {
		// Its namespace stands in the same manifests: the API server would only miss that.
		object, err := c.untried(one)
		if err != nil {
			return refusedOr(one, err)
		}
		return candidate{manifest: one, action: "create", object: object, untried: true}, nil
	}
	live, err := c.send(ctx, "GET", one.kind.path(one.key().Namespace, one.key().Name), "", nil)
	var kept []byte
	action := "change"
	switch {
	case apierrors.IsNotFound(err):
		action = "create"
		kept, err = c.create(ctx, one)
	case err == nil:
		kept, err = c.change(ctx, one, live)
	}
	if err != nil {
		return refusedOr(one, err)
	}
	found := candidate{manifest: one, action: action}
	if found.object, err = c.decode(one.kind, kept); err != nil || action == "create" {
		return found, err
	}
	if sameContent(live, kept) {
		found.action = "unchanged"
	}
	found.live, err = c.decode(one.kind, live)
	return found, err
}

// refusedOr is a manifest that is refused, by the API server or by whoever would apply it.
func refusedOr(one manifest, err error) (candidate, error) {
	var status apierrors.APIStatus
	var unfit unfitError
	if !errors.As(err, &unfit) && (!errors.As(err, &status) || apierrors.IsUnauthorized(err)) {
		return candidate{}, err
	}
	return candidate{manifest: one, action: "refused", refused: err.Error()}, nil
}

// unfitError is why a manifest does not come as far as the API server, or not beyond its first step.
type unfitError string

// Error says why.
func (e unfitError) Error() string { return string(e) }

func (c *cluster) create(ctx context.Context, one manifest) ([]byte, error) {
	body, err := one.said.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return c.send(ctx, "POST", one.kind.path(one.key().Namespace, ""), "application/json", body)
}

// change does what whoever made the object does at an apply: kubectl merges what it applied last,
// what is there and what is applied now; all others apply on the server's side.
func (c *cluster) change(ctx context.Context, one manifest, live []byte) ([]byte, error) {
	path := one.kind.path(one.key().Namespace, one.key().Name)
	body, err := one.said.MarshalJSON()
	if err != nil {
		return nil, err
	}
	there := &unstructured.Unstructured{}
	if err := there.UnmarshalJSON(live); err != nil {
		return nil, err
	}
	before, byKubectl := there.GetAnnotations()[lastApplied]
	if !byKubectl {
		return c.send(ctx, "PATCH", path, string(types.ApplyPatchType), body)
	}
	patch, kind, err := merged(one.kind, []byte(before), withLastApplied(one.said, body), live)
	if err != nil {
		// As kubectl, which prints all three objects before it.
		return nil, unfitError(fmt.Sprintf("creating a patch from the annotation %s: %v", lastApplied, err))
	}
	return c.send(ctx, "PATCH", path, string(kind), patch)
}

func withLastApplied(said *unstructured.Unstructured, body []byte) []byte {
	applied := said.DeepCopy()
	annotations := applied.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[lastApplied] = strings.TrimSpace(string(body)) + "\n"
	applied.SetAnnotations(annotations)
	with, _ := applied.MarshalJSON()
	return with
}

func merged(kind kind, before, now, live []byte) ([]byte, types.PatchType, error) {
	var example any
	switch kind.name {
	case "Ingress":
		example = networkingv1.Ingress{}
	case "IngressClass":
		example = networkingv1.IngressClass{}
	case "Service":
		example = corev1.Service{}
	default:
		patch, err := jsonmergepatch.CreateThreeWayJSONMergePatch(before, now, live)
		return patch, types.MergePatchType, err
	}
	lookup, err := strategicpatch.NewPatchMetaFromStruct(example)
	if err != nil {
		return nil, "", err
	}
	patch, err := strategicpatch.CreateThreeWayMergePatch(before, now, live, lookup, true)
	return patch, types.StrategicMergePatchType, err
}

// send sends a request that the API server keeps nothing of.
func (c *cluster) send(ctx context.Context, verb, path, content string, body []byte) ([]byte, error) {
	request := c.raw.Verb(verb).AbsPath(path)
	if verb != "GET" {
		request = request.Param("dryRun", "All").Param("fieldManager", manager).
			Param("fieldValidation", "Strict").SetHeader("Content-Type", content).Body(body)
	}
	if content == string(types.ApplyPatchType) {
		request = request.Param("force", "true")
	}
	result := request.Do(ctx)
	if err := result.Error(); err != nil {
		return nil, err
	}
	return result.Raw()
}

func (c *cluster) decode(kind kind, body []byte) (client.Object, error) {
	empty, err := c.Scheme().New(kind.group.WithKind(kind.name))
	if err != nil {
		return nil, err
	}
	object := empty.(client.Object)
	return object, json.Unmarshal(body, object)
}

// untried makes an object without the API server: with the defaults that load balancers depend on.
func (c *cluster) untried(one manifest) (client.Object, error) {
	body, err := one.said.MarshalJSON()
	if err != nil {
		return nil, err
	}
	object, err := c.decode(one.kind, body)
	if err != nil {
		// In the words of the API server.
		return nil, unfitError(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v",
			one.kind.name, one.kind.group.Version, one.kind.name, err))
	}
	if service, ok := object.(*corev1.Service); ok {
		complete(service)
	}
	return object, nil
}

func complete(service *corev1.Service) {
	if service.Spec.Type == "" {
		service.Spec.Type = corev1.ServiceTypeClusterIP
	}
	for i := range service.Spec.Ports {
		port := &service.Spec.Ports[i]
		if port.Protocol == "" {
			port.Protocol = corev1.ProtocolTCP
		}
		if port.TargetPort == (intstr.IntOrString{}) {
			port.TargetPort = intstr.FromInt32(port.Port)
		}
	}
}

// sameContent tells whether an object is what it was, apart from the API server's own bookkeeping.
func sameContent(one, other []byte) bool {
	return content(one) == content(other)
}

func content(body []byte) string {
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(body); err != nil {
		return ""
	}
	for _, field := range []string{"managedFields", "resourceVersion", "generation"} {
		unstructured.RemoveNestedField(object.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(object.Object, "metadata", "annotations", lastApplied)
	text, _ := json.Marshal(object.Object)
	return string(text)
}
