package plan

import (
	"context"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

type sink struct{ sent int }

func (s *sink) RoundTrip(*http.Request) (*http.Response, error) {
	s.sent++
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

func TestOnlyReadsAndTriesAreSent(t *testing.T) {
	const ingresses = "/apis/networking.k8s.io/v1/namespaces/app/ingresses"
	for _, one := range []struct {
		method, path string
		sent         bool
	}{
		{"GET", "/api/v1/nodes", true},
		{"POST", ingresses + "?dryRun=All", true},
		{"PATCH", ingresses + "/web?dryRun=All&force=true", true},
		{"POST", "/apis/elbv2.k8s.aws/v1beta1/namespaces/app/targetgroupbindings?dryRun=All", true},
		{"POST", ingresses, false},
		{"POST", ingresses + "?dryRun=", false},
		{"POST", ingresses + "?dryRun=All&dryRun=None", false},
		{"PATCH", ingresses + "/web/status?dryRun=All", false},
		{"PUT", ingresses + "/web?dryRun=All", false},
		{"DELETE", ingresses + "/web?dryRun=All", false},
		{"POST", "/api/v1/namespaces/app/pods/web/exec?dryRun=All", false},
		{"POST", "/api/v1/namespaces/app/secrets?dryRun=All", false},
	} {
		below := &sink{}
		asked, err := http.NewRequest(one.method, "https://api"+one.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = readOnly{below}.RoundTrip(asked)
		if sent := below.sent == 1; sent != one.sent || (err == nil) != one.sent {
			t.Errorf("%s %s: sent %v, error %v", one.method, one.path, sent, err)
		}
	}
}

func TestNoWriteOfTheClientIsSent(t *testing.T) {
	a := newAPI(t)
	over := newOverlay(a.connect(t))
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "app", Name: "web"}}
	ctx := context.Background()
	for name, err := range map[string]error{
		"create":        over.Create(ctx, service.DeepCopy()),
		"update":        over.Update(ctx, service.DeepCopy()),
		"patch":         over.Patch(ctx, service.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte("{}"))),
		"delete":        over.Delete(ctx, service.DeepCopy()),
		"delete all":    over.DeleteAllOf(ctx, service.DeepCopy(), client.InNamespace("app")),
		"update status": over.Status().Update(ctx, service.DeepCopy()),
		"patch status":  over.Status().Patch(ctx, service.DeepCopy(), client.MergeFrom(service)),
	} {
		if err == nil || !strings.Contains(err.Error(), "a plan writes nothing") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(a.asked) != 0 {
		t.Errorf("the API server was asked: %v", a.asked)
	}
}

func TestOverlay(t *testing.T) {
	ctx := context.Background()
	a := newAPI(t, shop)
	over := newOverlay(a.connect(t))
	list := func(options ...client.ListOption) string {
		found := &corev1.ServiceList{}
		if err := over.List(ctx, found, options...); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, one := range found.Items {
			names = append(names, one.Namespace+"/"+one.Name+":"+string(one.Spec.Type))
		}
		return strings.Join(names, " ")
	}
	service := func(namespace, name string, labels map[string]string) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels}}
	}
	if found := list(); found != "app/web:NodePort" {
		t.Errorf("as it is: %s", found)
	}
	over.lay(service("app", "web", nil))
	over.lay(service("other", "b", map[string]string{"tier": "front"}))
	over.lay(service("other", "a", nil))
	if found := list(); found != "app/web: other/a: other/b:" {
		t.Errorf("laid over: %s", found)
	}
	if found := list(client.InNamespace("other")); !strings.HasSuffix(found, "other/a: other/b:") {
		t.Errorf("of one namespace: %s", found)
	}
	if found := list(client.MatchingLabels{"tier": "front"}); found != "other/b:" {
		t.Errorf("with a label: %s", found)
	}
	one := &corev1.Service{}
	if err := over.Get(ctx, client.ObjectKey{Namespace: "app", Name: "web"}, one); err != nil || one.Spec.Type != "" {
		t.Errorf("what was laid over is got: %v, %v", one.Spec.Type, err)
	}
	over.remove(service("app", "gone", nil))
	if err := over.Get(ctx, client.ObjectKey{Namespace: "app", Name: "gone"}, one); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("what was removed: %v", err)
	}
	before := len(a.asked)
	list()
	if len(a.asked) != before {
		t.Errorf("the same was asked again: %v", a.asked)
	}
}

func TestAChangeIsTriedAsItsMakerWouldMakeIt(t *testing.T) {
	applied := `"` + lastApplied + `": '{"metadata":{"annotations":{"old":"1"}}}', old: "1"`
	for name, one := range map[string]struct {
		there, patch string
	}{
		"by kubectl":    {ingressNamed("web", applied), "application/strategic-merge-patch+json"},
		"by the course": {ingressNamed("web", `old: "1"`), "application/apply-patch+yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t, class, shop, one.there)
			manifests, err := read(request(t, a, ingressNamed("web", "")).Manifests, "default")
			if err != nil {
				t.Fatal(err)
			}
			never := func(string) bool { return false }
			tried, err := a.connect(t).try(context.Background(), manifests[0], never)
			if err != nil {
				t.Fatal(err)
			}
			last := a.asked[len(a.asked)-1]
			if !strings.HasPrefix(last, "PATCH ") || !strings.HasSuffix(last, one.patch) {
				t.Errorf("asked %s", last)
			}
			// What kubectl applied last, and applies no longer, goes.
			_, kept := tried.object.GetAnnotations()["old"]
			if kept != (name == "by the course") {
				t.Errorf("annotations %v", tried.object.GetAnnotations())
			}
		})
	}
}
