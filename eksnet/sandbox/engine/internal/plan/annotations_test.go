package plan

import (
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/aws-load-balancer-controller/pkg/aws/services"
)

const notANumber = `failed to parse int32 annotation, alb.ingress.kubernetes.io/group.order: first: ` +
	`strconv.ParseInt: parsing "first": invalid syntax`

func ordered(name, group, order string) string {
	return ingressNamed(name, `alb.ingress.kubernetes.io/group.name: `+group+`, alb.ingress.kubernetes.io/group.order: "`+order+`"`)
}

// brief is what a plan refuses, one in a line: the object, where it is told, and the words.
func brief(found *Answer) string {
	var lines []string
	for _, one := range found.Refused {
		where := one.Reason
		if one.Logged {
			where += "log"
		}
		lines = append(lines, fmt.Sprintf("%s/%s [%s] %s", one.Namespace, one.Name, where, one.Message))
	}
	return strings.Join(lines, "\n")
}

func withAccount(t *testing.T) services.Cloud {
	return newAccount(t, subnet("subnet-a", "a"), subnet("subnet-c", "c"))
}

// An annotation that cannot be parsed is told of the objects that it holds up; the others are planned.
func TestAnAnnotationThatCannotBeParsed(t *testing.T) {
	denied := `admission webhook "vingress.elbv2.k8s.aws" denied the request: `
	build := "Failed build model due to "
	held := `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: app, name: held,
  finalizers: [group.ingress.k8s.aws/team]}, spec: {ingressClassName: lost}}`
	fresh := `{apiVersion: v1, kind: Namespace, metadata: {name: fresh}}`
	for name, one := range map[string]struct {
		there     []string
		manifests []string
		refused   string
		// Without an account nothing is built: what is said of groups stays.
		onlyBuilt bool
	}{
		"an order that is no number": {
			manifests: []string{ordered("bad", "team", "first"), ordered("good", "team", "1")},
			refused: "app/bad [log] failed to load Ingress group order for ingress: app/bad: " + notANumber + "\n" +
				"app/good [log] failed to load Ingress group order for ingress: app/bad: " + notANumber,
		},
		"of a member that is in the cluster": {
			there:     []string{ordered("bad", "team", "first")},
			manifests: []string{ordered("good", "team", "1")},
			refused: "app/bad [log] failed to load Ingress group order for ingress: app/bad: " + notANumber + "\n" +
				"app/good [log] failed to load Ingress group order for ingress: app/bad: " + notANumber,
		},
		"an order of one that is in no group": {
			manifests: []string{ingressNamed("bad", `alb.ingress.kubernetes.io/group.order: "first"`)},
			refused:   "app/bad [log] failed to load Ingress group order for ingress: app/bad: " + notANumber,
		},
		"an order out of range": {
			manifests: []string{ordered("bad", "team", "1001")},
			refused:   "app/bad [log] explicit Ingress group order must be within [-1000:1000], Ingress: app/bad, order: 1001",
		},
		"a group's name": {
			manifests: []string{ingressNamed("bad", `alb.ingress.kubernetes.io/group.name: Team`)},
			refused: "app/bad [FailedLoadGroupID] failed load groupID due to invalid ingress group: groupName must " +
				"consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
		},
		"a class that is gone, of a member that its finalizer holds": {
			there:     []string{held},
			manifests: []string{ingressNamed("good", `alb.ingress.kubernetes.io/group.name: team`)},
			refused:   heldUp("good") + "\n" + heldUp("held"),
		},
		"conditions": {
			manifests: []string{ingressNamed("bad", `alb.ingress.kubernetes.io/conditions.web: "[{"`)},
			refused: "app/bad [] " + denied + "failed to parse json annotation, alb.ingress.kubernetes.io/conditions.web: " +
				"[{: unexpected end of JSON input",
		},
		"a number of an Ingress": {
			manifests: []string{ingressNamed("bad", `alb.ingress.kubernetes.io/healthcheck-interval-seconds: "ten"`)},
			refused: "app/bad [FailedBuildModel] " + build + "ingress: app/bad: failed to parse int32 annotation, " +
				`alb.ingress.kubernetes.io/healthcheck-interval-seconds: ten: strconv.ParseInt: parsing "ten": invalid syntax`,
			onlyBuilt: true,
		},
		"JSON of an Ingress": {
			manifests: []string{ingressNamed("bad", `alb.ingress.kubernetes.io/listen-ports: "[{"`)},
			refused: "app/bad [FailedBuildModel] " + build + "ingress: app/bad: failed to parse listen-ports configuration: " +
				"`[{`: unexpected end of JSON input",
			onlyBuilt: true,
		},
		"a number of a Service": {
			manifests: []string{`{apiVersion: v1, kind: Service, metadata: {namespace: app, name: bad, uid: b1, annotations:
  {service.beta.kubernetes.io/aws-load-balancer-healthcheck-interval: "ten"}}, spec: {type: LoadBalancer,
  ports: [{port: 80, targetPort: 8080, nodePort: 30081, protocol: TCP}]}}`},
			refused: "app/bad [FailedBuildModel] " + build + "failed to parse int32 annotation, " +
				`service.beta.kubernetes.io/aws-load-balancer-healthcheck-interval: ten: strconv.ParseInt: parsing "ten": invalid syntax`,
			onlyBuilt: true,
		},
		"a value without quotes, in a namespace that is new": {
			manifests: []string{fresh, strings.Replace(
				ingressNamed("bad", `alb.ingress.kubernetes.io/group.order: 1`), "namespace: app", "namespace: fresh", 1)},
			refused: `fresh/bad [] Ingress in version "v1" cannot be handled as a Ingress: json: cannot unmarshal number ` +
				"into Go struct field ObjectMeta.metadata.annotations of type string",
		},
		"what kubectl applied last": {
			there:     []string{ingressNamed("bad", lastApplied+`: "{"`)},
			manifests: []string{ingressNamed("bad", "")},
			refused:   "app/bad [] creating a patch from the annotation " + lastApplied + ": invalid JSON document",
		},
	} {
		for _, account := range []bool{true, false} {
			if one.onlyBuilt && !account {
				continue
			}
			t.Run(fmt.Sprintf("%s, account %v", name, account), func(t *testing.T) {
				var cloud services.Cloud
				if account {
					cloud = withAccount(t)
				}
				a := newAPI(t, append([]string{class, shop, node}, one.there...)...)
				found := planOf(t, a, cloud, append(one.manifests, ingressNamed("other", ""))...)
				if said := brief(found); said != one.refused {
					t.Errorf("refused\n%s\ninstead of\n%s", said, one.refused)
				}
				planned := map[string]bool{}
				for _, stack := range found.Stacks {
					planned[stack.ID] = stack.Model != nil
				}
				if built, there := planned["app/other"]; !there || built != account || planned["team"] {
					t.Errorf("planned %v", planned)
				}
			})
		}
	}
}

func heldUp(name string) string {
	return "app/" + name + " [log] Ingress: app/held: Ingress has invalid IngressClass configuration: " +
		"invalid ingress class: /apis/networking.k8s.io/v1/ingressclasses/lost not found"
}

// That the API server does not answer this user says nothing of the controller.
func TestAGroupThatCannotBeReadIsNotRefused(t *testing.T) {
	own := strings.Replace(strings.Replace(class, "name: alb", "name: own", 1), "controller: ingress.k8s.aws/alb",
		"controller: ingress.k8s.aws/alb, parameters: {apiGroup: elbv2.k8s.aws, kind: IngressClassParams, name: own}", 1)
	of := func(name string) string {
		return strings.Replace(ordered(name, "team", "1"), "ingressClassName: alb", "ingressClassName: own", 1)
	}
	for name, one := range map[string]struct {
		there    []string
		manifest string
	}{
		"of the manifests": {nil, of("web")},
		"of the cluster":   {[]string{of("old")}, ordered("web", "team", "1")},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t, append([]string{own, shop}, one.there...)...)
			a.forbid = "/ingressclassparams/own"
			found, err := planning(t, a, nil, one.manifest)
			if err == nil || !strings.Contains(err.Error(), "cannot be loaded: ") || !strings.Contains(err.Error(), "forbidden here") {
				t.Errorf("it says %v, refused %s", err, brief(found))
			}
		})
	}
}

func TestABindingThatIsGivenUp(t *testing.T) {
	const open = `networking: {ingress: [{from: [{ipBlock: {cidr: 10.9.0.0/16}}], ports: [{protocol: TCP}]}]}`
	strange := strings.Replace(node, "i-0a", "i-0b", 1)
	for name, one := range map[string]struct{ spec, reason, message string }{
		"no target type": {
			`serviceRef: {name: web, port: 80}`, "FailedReconcile",
			"Failed reconcile due to targetType is not specified: app/own",
		},
		"a selector that is none": {
			`targetType: instance, serviceRef: {name: web, port: 80}, nodeSelector: {matchExpressions: [{key: a, operator: Is}]}`,
			"FailedReconcile", `Failed reconcile due to "Is" is not a valid label selector operator`,
		},
		// Its security group is not known, so nothing is registered.
		"a node that AWS does not know": {
			`targetType: instance, serviceRef: {name: web, port: 80}, ` + open,
			"FailedReconcile", "Failed reconcile due to cannot resolve node ENI for nodes: [/node1]",
		},
		"no Service": {
			`targetType: ip, serviceRef: {name: nowhere, port: 80}`, "BackendNotFound",
			"backend not found: /api/v1/namespaces/app/services/nowhere not found",
		},
	} {
		t.Run(name, func(t *testing.T) {
			binding := `{apiVersion: elbv2.k8s.aws/v1beta1, kind: TargetGroupBinding, metadata: {namespace: app, name: own},
  spec: {targetGroupARN: "arn:own", ` + one.spec + `}}`
			found := planOf(t, newAPI(t, class, shop, strange), withAccount(t), binding)
			if said := brief(found); said != "app/own ["+one.reason+"] "+one.message {
				t.Errorf("refused %s", said)
			}
		})
	}
}
