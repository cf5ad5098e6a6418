package plan

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// api is an API server of a test's own: objects by path, and what was asked.
type api struct {
	*httptest.Server
	mutex   sync.Mutex
	objects map[string]*unstructured.Unstructured
	asked   []string
	// refuse answers a try in the place of the API server; nil lets it pass.
	refuse func(object *unstructured.Unstructured) string
	// forbid is the end of a path that may not be read.
	forbid string
}

func newAPI(t *testing.T, manifests ...string) *api {
	t.Helper()
	found := &api{objects: map[string]*unstructured.Unstructured{}}
	for _, manifest := range manifests {
		object := parsed(t, manifest)
		kind, known := kindOf(object.GetAPIVersion(), object.GetKind())
		if !known {
			t.Fatalf("no kind %s", object.GetKind())
		}
		found.objects[kind.path(object.GetNamespace(), object.GetName())] = object
	}
	found.Server = httptest.NewServer(http.HandlerFunc(found.serve))
	t.Cleanup(found.Close)
	return found
}

func parsed(t *testing.T, manifest string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(manifest), &object.Object); err != nil {
		t.Fatal(err)
	}
	return object
}

func (a *api) serve(writer http.ResponseWriter, request *http.Request) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.asked = append(a.asked, request.Method+" "+request.URL.RequestURI()+" "+request.Header.Get("Content-Type"))
	writer.Header().Set("Content-Type", "application/json")
	switch request.Method {
	case http.MethodGet:
		a.get(writer, request.URL.Path)
	case http.MethodPost, http.MethodPatch:
		body, _ := io.ReadAll(request.Body)
		object := &unstructured.Unstructured{}
		if err := json.Unmarshal(body, &object.Object); err != nil {
			answer(writer, http.StatusBadRequest, status(http.StatusBadRequest, "BadRequest", err.Error()))
			return
		}
		if live := a.objects[request.URL.Path]; live != nil && request.Method == http.MethodPatch {
			merged := live.DeepCopy()
			merge(merged.Object, object.Object)
			object = merged
		}
		if a.refuse != nil {
			if why := a.refuse(object); why != "" {
				answer(writer, http.StatusForbidden, status(http.StatusForbidden, "Forbidden", why))
				return
			}
		}
		answer(writer, http.StatusOK, object.Object)
	}
}

func (a *api) get(writer http.ResponseWriter, path string) {
	if a.forbid != "" && strings.HasSuffix(path, a.forbid) {
		answer(writer, http.StatusForbidden, status(http.StatusForbidden, "Forbidden", "forbidden here"))
		return
	}
	if object := a.objects[path]; object != nil {
		answer(writer, http.StatusOK, object.Object)
		return
	}
	parts := strings.Split(path, "/")
	for _, one := range kinds {
		if one.plural == parts[len(parts)-1] {
			items := []any{}
			for where, object := range a.objects {
				if strings.Contains(where, "/"+one.plural+"/") {
					items = append(items, object.Object)
				}
			}
			answer(writer, http.StatusOK, map[string]any{
				"apiVersion": one.group.String(), "kind": one.name + "List", "items": items,
			})
			return
		}
	}
	answer(writer, http.StatusNotFound, status(http.StatusNotFound, "NotFound", path+" not found"))
}

func merge(into, from map[string]any) {
	for key, value := range from {
		below, isMap := value.(map[string]any)
		there, wasMap := into[key].(map[string]any)
		switch {
		case isMap && wasMap:
			merge(there, below)
		case value == nil:
			delete(into, key)
		default:
			into[key] = value
		}
	}
}

func status(code int, reason, message string) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason,
		"message": message,
	}
}

func answer(writer http.ResponseWriter, code int, body any) {
	writer.WriteHeader(code)
	_ = json.NewEncoder(writer).Encode(body)
}

func (a *api) connect(t *testing.T) *cluster {
	t.Helper()
	found, err := connect(ClusterAccess{Server: a.URL})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

const (
	class = `{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: alb}, spec: {controller: ingress.k8s.aws/alb}}`
	shop  = `{apiVersion: v1, kind: Service, metadata: {namespace: app, name: web, uid: a1},
  spec: {type: NodePort, ports: [{port: 80, targetPort: 8080, nodePort: 30080, protocol: TCP}]}}`
	node = `{apiVersion: v1, kind: Node, metadata: {name: node1, labels: {topology.kubernetes.io/zone: ap-northeast-2a}},
  spec: {providerID: aws:///ap-northeast-2a/i-0a}, status: {conditions: [{type: Ready, status: "True"}]}}`
)

func ingressNamed(name, annotations string) string {
	return `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: app, name: ` + name +
		`, annotations: {` + annotations + `}}, spec: {ingressClassName: alb, rules: [{http: {paths: [
  {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}}`
}

func request(t *testing.T, a *api, manifests ...string) Request {
	t.Helper()
	found := Request{Cluster: ClusterAccess{Server: a.URL}, Name: "lab", Namespace: "default"}
	for _, manifest := range manifests {
		raw, err := yaml.YAMLToJSON([]byte(manifest))
		if err != nil {
			t.Fatal(err)
		}
		found.Manifests = append(found.Manifests, raw)
	}
	return found
}
