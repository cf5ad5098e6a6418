"""Why an object has no load balancer that works: each check on facts, and their order."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.session import get_session
from typer.testing import CliRunner

from eksnet import cli, cluster, data
from eksnet.cluster import Resource
from eksnet.diagnosis import CANNOT_TELL, FAILS, OK, Check, CheckResult, Diagnosis
from eksnet.errors import EksnetError
from eksnet.loadbalancer import diagnosis, lint_rules, linting
from eksnet.loadbalancer.around import Behind
from eksnet.loadbalancer.last_word import Word
from eksnet.loadbalancer.linting import ALB_CONTROLLER
from eksnet.loadbalancer.observe import Target

ROWS = data.rows("target_health_reasons")


def ingress(name: str = "alb", old: str = "", **metadata: Any) -> dict[str, Any]:
    spec = {"ingressClassName": name} if name else {}
    annotations = {"kubernetes.io/ingress.class": old} if old else None
    return {"metadata": {"annotations": annotations, **metadata}, "spec": spec}


def classes(**controllers: str) -> dict[str, Any]:
    return {name: {"spec": {"controller": one}} for name, one in controllers.items()}


def service(kind: str = "LoadBalancer", of: str = "", old: str = "") -> dict[str, Any]:
    key = "service.beta.kubernetes.io/aws-load-balancer-type"
    spec = {"type": kind, **({"loadBalancerClass": of} if of else {})}
    return {"metadata": {"annotations": {key: old} if old else {}}, "spec": spec}


def deployment(ready: int = 2, wanted: int = 2) -> dict[str, Any]:
    return {
        "metadata": {"name": "aws-load-balancer-controller", "namespace": "kube-system"},
        "spec": {"replicas": wanted},
        "status": {"readyReplicas": ready} if ready else {},
    }


def word(reason: str, text: str = "", *, fine: bool = False) -> Word:
    return Word(datetime(2026, 11, 30, tzinfo=UTC), fine, "event", reason, text)


GOOD = word("SuccessfullyReconciled", "Successfully reconciled", fine=True)
SCHEME = word("FailedBuildModel", "Failed build model due to unknown scheme: public")
ODD = word("FailedDeployModel", "something new")


def target(state: str = "healthy", reason: str = "") -> Target:
    return Target("web:80", "web-a", 8080, "ap-northeast-2a", state, reason)


def linted(rule: str, severity: str = "error") -> linting.Finding:
    return linting.Finding(rule, severity, "", 1, "Ingress web", "seen it", "do this")


TIMED_OUT = [target("unhealthy", "Target.Timeout")] * 2
BALANCER = {"Type": "application", "Scheme": "internal", "State": {"Code": "active"}}
WEB = Behind("web", "80", ready=2, selects="app=web")
FORWARD = "forward to web:80"
CHECKS: list[tuple[CheckResult, str, str]] = [
    (diagnosis.ingress_class(ingress(), classes(alb=ALB_CONTROLLER)), OK, "alb, of ingress"),
    (diagnosis.ingress_class(ingress(""), classes(alb=ALB_CONTROLLER)), FAILS, "it has none"),
    (diagnosis.ingress_class(ingress("lab"), classes(alb=ALB_CONTROLLER)), FAILS,
     "there is no IngressClass lab"),
    (diagnosis.ingress_class(ingress(), classes(alb="eks.amazonaws.com/alb")), FAILS,
     "alb belongs to eks.amazonaws.com/alb"),
    (diagnosis.ingress_class(ingress("", "alb"), {}), OK, "by the annotation"),
    (diagnosis.ingress_class(ingress("", "nginx"), {}), FAILS, "no IngressClass nginx"),
    (diagnosis.service_class(service(of="service.k8s.aws/nlb")), OK, "service.k8s.aws/nlb"),
    (diagnosis.service_class(service(old="external")), OK, "by the annotation, external"),
    (diagnosis.service_class(service("ClusterIP")), FAILS, "its type is ClusterIP"),
    (diagnosis.service_class(service(of="eks.amazonaws.com/nlb")), FAILS, "another controller"),
    (diagnosis.service_class(service()), FAILS, "it was created when"),
    (diagnosis.runs([]), FAILS, "it is not installed"),
    (diagnosis.runs([deployment(0)]), FAILS, "0 of 2 pods are ready"),
    (diagnosis.runs([deployment(1)]), OK, "1 of 2 pods are ready"),
    (diagnosis.said(GOOD, ingress()), OK, "Successfully reconciled (event)"),
    (diagnosis.said(SCHEME, ingress()), FAILS,
     "unknown scheme: public. The value of scheme is none of internal and internet-facing."),
    (diagnosis.said(ODD, ingress()), FAILS, "FailedDeployModel: something new"),
    (diagnosis.said(None, ingress()), CANNOT_TELL, "it has no event and no line in the log"),
    (diagnosis.said(GOOD, ingress(deletionTimestamp="now", finalizers=["a/b"])), CANNOT_TELL,
     "being deleted; its finalizers are a/b"),
    (diagnosis.said(SCHEME, ingress(deletionTimestamp="now")), FAILS, "unknown scheme"),
    (diagnosis.annotated([], GOOD), OK, "lint finds no error"),
    (diagnosis.annotated([linted("unknown-annotation")], GOOD), FAILS, "[unknown-annotation]"),
    # The controller has taken it, whatever lint says of values.
    (diagnosis.annotated([linted("certificate")], GOOD), OK, "lint finds no error"),
    (diagnosis.annotated([linted("certificate")], None), FAILS, "seen it [certificate]"),
    (diagnosis.annotated([linted("root-only", "warning")], None), OK, "no error"),
    (diagnosis.annotated([linted("json"), linted("value")], SCHEME), FAILS, "; 1 more"),
    (diagnosis.services([WEB], "app-ns"), OK, "web: 2 ready"),
    (diagnosis.services([], "app-ns"), OK, "none: annotations say"),
    (diagnosis.services([WEB, Behind("b", "80", there=False)], "app-ns"), FAILS,
     "the Service b is not in app-ns"),
    (diagnosis.services([Behind("b", "80", there=False, elsewhere=("team-ns",))], "app-ns"), FAILS,
     "not in app-ns, but in team-ns"),
    (diagnosis.services([Behind("b", "80", selects="app=wbe")], "app-ns"), FAILS,
     "b has no ready endpoint; it selects app=wbe"),
    (diagnosis.bindings([("k8s-a", GOOD), ("k8s-b", None)]), OK, "2, no complaint"),
    (diagnosis.bindings([("k8s-a", GOOD), ("k8s-b", ODD)]), FAILS, "k8s-b: FailedDeployModel"),
    (diagnosis.bindings([]), CANNOT_TELL, "there is none"),
    (diagnosis.target_group("arn:x:targetgroup/a/1"), OK, "targetgroup/a/1"),
    (diagnosis.target_group(""), FAILS, "AWS has no target group"),
    (diagnosis.address("k8s.elb"), OK, "k8s.elb"),
    (diagnosis.address(""), FAILS, "its status has no DNS name"),
    (diagnosis.balancer("k8s.elb", BALANCER), OK, "application, internal, active"),
    (diagnosis.balancer("k8s.elb", None), FAILS, "somebody has deleted it"),
    (diagnosis.balancer("", None), CANNOT_TELL, "no name to look for"),
    (diagnosis.balancer("k8s.elb", {"State": {"Code": "provisioning"}}), CANNOT_TELL,
     "it is provisioning"),
    (diagnosis.balancer("k8s.elb", {"State": {"Code": "failed", "Reason": "why"}}), FAILS,
     "it is failed: why"),
    (diagnosis.rules([WEB], [FORWARD, "answer 404"]), OK, FORWARD),
    (diagnosis.rules([WEB], ["forward to b:1, web:80"]), OK, "web:80"),
    (diagnosis.rules([WEB], ["forward to web:8080", "answer 404"]), FAILS,
     "none leads to web:80; they are: forward to web:8080; answer 404"),
    (diagnosis.rules([WEB], []), CANNOT_TELL, "no load balancer"),
    (diagnosis.targets([target(), target()], []), OK, "2 of 2 are healthy"),
    (diagnosis.targets([target(), target("draining")], []), OK, "1 of 1 are healthy"),
    (diagnosis.targets([], []), FAILS, "none is registered"),
    (diagnosis.targets([target("draining")], []), FAILS, "none is registered"),
    (diagnosis.targets(TIMED_OUT, []), FAILS, "0 of 2 are healthy; Target.Timeout: the health"),
    (diagnosis.targets([target(), target("unhealthy", "Target.FailedHealthChecks")], []), FAILS,
     "1 of 2 are healthy; Target.FailedHealthChecks: the connection was refused"),
    (diagnosis.targets([target(), target("unhealthy", "Target.Timeout")], [], local=True), OK,
     "the policy Local leaves out"),
    (diagnosis.targets(TIMED_OUT, [], local=True), FAILS, "0 of 2"),
    (diagnosis.targets([target("initial", "Elb.InitialHealthChecking")], []), CANNOT_TELL,
     "the first health checks are not done yet"),
    (diagnosis.targets([target("unused", "Target.New")], []), FAILS, "Target.New: unused"),
]  # fmt: skip


@pytest.mark.parametrize(("found", "verdict", "seen"), CHECKS)
def test_a_check(found: CheckResult, verdict: str, seen: str) -> None:
    assert (found.verdict, seen in found.seen) == (verdict, True), found
    assert not found.next_step if verdict == OK else found.next_step or verdict == CANNOT_TELL


def test_a_known_error_has_its_own_fix() -> None:
    assert diagnosis.said(SCHEME, ingress()).next_step == "Write internal or internet-facing."
    assert "the message names the cause" in diagnosis.said(ODD, ingress()).next_step


def test_a_timeout_behind_closed_groups_says_so() -> None:
    found = diagnosis.targets(TIMED_OUT, [linted("own-security-groups", "warning")])
    assert found.next_step == "seen it: do this"
    assert "inbound rules" in diagnosis.targets(TIMED_OUT, []).next_step
    refused = [target("unhealthy", "Target.FailedHealthChecks")]
    step = diagnosis.targets(refused, [linted("own-security-groups", "warning")]).next_step
    assert "the program listens" in step


def test_each_reason_of_the_api_is_known() -> None:
    model = get_session().get_service_model("elbv2")
    assert {row["reason"] for row in ROWS} == set(model.shape_for("TargetHealthReasonEnum").enum)
    assert {row["state"] for row in ROWS} <= set(model.shape_for("TargetHealthStateEnum").enum)
    assert all(row["means"] and row["next"] for row in ROWS)


def test_what_the_controller_passes_over_are_rules_of_lint() -> None:
    assert {one.id for one in lint_rules.RULES if one.severity == "error"} >= diagnosis.IGNORED


# The whole.


def made(kind: str, name: str, namespace: str = "app-ns", **fields: Any) -> Resource:
    metadata = {"name": name, "namespace": namespace, "uid": name, "labels": {}}
    metadata |= {"creationTimestamp": "2026-11-30T10:00:00Z"} | fields.pop("metadata", {})
    return Resource({"kind": kind, "metadata": metadata, **fields})


PLURALS = {
    "ingress": "ingresses", "ingressclass": "ingressclasses", "deployment": "deployments",
    "service": "services", "endpointslice": "endpointslices", "event": "events", "pod": "pods",
    "targetgroupbinding": "targetgroupbindings", "ingressclassparams": "ingressclassparams",
}  # fmt: skip


class Canned:
    """A cluster that has these objects, and no account."""

    def __init__(self, *objects: Resource) -> None:
        self.objects = objects

    def get(self, about: str, namespace: str | None = None) -> Resource:
        kind, _, name = about.partition("/")
        found = self.find(kind, name, namespace)
        assert found is not None
        return found

    def find(self, kind: str, name: str, namespace: str | None = None) -> Resource | None:
        found = [one for one in self.list(PLURALS[kind], namespace) if one.name == name]
        return found[0] if found else None

    def list(self, kind: str, namespace: str | None = None, **_: Any) -> list[Resource]:
        wanted = kind.partition(".")[0]
        return [
            one for one in self.objects
            if PLURALS[one.kind.lower()] == wanted and namespace in (None, one.namespace)
        ]  # fmt: skip

    def logs(self, *_: Any, **__: Any) -> str:
        return ""

    def aws(self, service: str) -> Any:
        raise EksnetError(f"no account for {service}", "an account", "name one")


ALB = made("IngressClass", "alb", "", spec={"controller": ALB_CONTROLLER})
CONTROLLER = made(
    "Deployment", "aws-load-balancer-controller", "kube-system", status={"readyReplicas": 2},
    spec={"replicas": 2, "template": {"spec": {"containers": [{"image": "x/y:v3.3.0"}]}}},
)  # fmt: skip
SERVICE = made("Service", "web", spec={"selector": {"app": "web"}, "ports": [{"port": 80}]})
SLICE = made("EndpointSlice", "web-1", endpoints=[{"addresses": ["10.0.0.1"]}])


def an_ingress(name: str = "web", service_: str = "web", **annotations: str) -> Resource:
    backend = {"service": {"name": service_, "port": {"number": 80}}}
    keys = {
        f"alb.ingress.kubernetes.io/{key.replace('__', '.').replace('_', '-')}": value
        for key, value in annotations.items()
    }
    return made(
        "Ingress", name, metadata={"annotations": keys},
        spec={"ingressClassName": "alb", "defaultBackend": backend},
        status={"loadBalancer": {"ingress": [{"hostname": "k8s.elb"}]}},
    )  # fmt: skip


def said_of(uid: str, reason: str, message: str = "Successfully reconciled") -> Resource:
    kind = "Normal" if reason == "SuccessfullyReconciled" else "Warning"
    return made(
        "Event", f"{uid}.1", involvedObject={"uid": uid}, type=kind, reason=reason, message=message,
        lastTimestamp="2026-11-30T10:01:00Z",
    )  # fmt: skip


CONTENT = said_of("web", "SuccessfullyReconciled")
WHOLE = (ALB, CONTROLLER, SERVICE, SLICE)


def first(*objects: Resource, about: str = "ingress/web") -> str:
    found = diagnosis.diagnose(Canned(*objects), about, "app-ns")  # type: ignore[arg-type]
    return f"{found.first.check}: {found.first.seen}" if found.first else "nothing"


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([*WHOLE, an_ingress(), CONTENT], "nothing"),
        ([CONTROLLER, SERVICE, SLICE, an_ingress(), CONTENT], "class: there is no Ingress"),
        ([ALB, SERVICE, SLICE, an_ingress(), CONTENT], "controller: it is not installed"),
        (
            [*WHOLE, an_ingress(), said_of("web", "FailedBuildModel", "conflicting scheme: map[]")],
            "last word: FailedBuildModel: conflicting scheme: map[]. Members of the group",
        ),
        (
            [*WHOLE, an_ingress(schema="internal"), CONTENT],
            "annotations: Ingress web: the controller reads no annotation",
        ),
        (
            # What is wrong with another Ingress, which shares nothing with it.
            [*WHOLE, an_ingress(), an_ingress("other", schema="internal"), CONTENT],
            "nothing",
        ),
        (
            [
                *WHOLE,
                an_ingress(group__name="front"),
                an_ingress("other", group__name="front", schema="internal"),
                CONTENT,
            ],
            "annotations: Ingress other: the controller reads no annotation",
        ),
        (
            [
                ALB, CONTROLLER, SLICE, an_ingress(), CONTENT,
                made("Service", "web", "team-ns", spec={"ports": [{"port": 80}]}),
            ],
            "Services: the Service web is not in app-ns, but in team-ns",
        ),
        ([ALB, CONTROLLER, SERVICE, an_ingress(), CONTENT], "Services: web has no ready endpoint"),
        (
            [
                *WHOLE, an_ingress(), CONTENT,
                made("TargetGroupBinding", "k8s-web", spec={"serviceRef": {"name": "web"}}),
                said_of("k8s-web", "FailedNetworkReconcile", "expected exactly one"),
            ],
            "bindings: k8s-web: FailedNetworkReconcile: expected exactly one",
        ),
    ],
)  # fmt: skip
def test_the_first_cause(objects: list[Resource], expected: str) -> None:
    assert first(*objects).startswith(expected)


def test_what_may_not_be_read_is_left_open() -> None:
    found = diagnosis.diagnose(Canned(*WHOLE, an_ingress(), CONTENT), "ingress/web", "app-ns")  # type: ignore[arg-type]
    left = {one.check: one.seen for one in found.checks if one.verdict == CANNOT_TELL}
    assert left["load balancer"] == "no account for elbv2"
    assert "targets" in left


def test_another_kind_is_refused() -> None:
    with pytest.raises(EksnetError, match="is of the kind Deployment"):
        diagnosis.diagnose(Canned(CONTROLLER), f"deployment/{CONTROLLER.name}")  # type: ignore[arg-type]


# The command.


def a_diagnosis(*verdicts: str) -> Diagnosis:
    return Diagnosis(tuple(Check(one, "seen", "expected", "next", check="one") for one in verdicts))


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [((OK, OK), 0), ((OK, FAILS), 1), ((CANNOT_TELL, FAILS), 1), ((OK, CANNOT_TELL), 2)],
)
def test_the_exit_code(
    verdicts: tuple[str, ...], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def diagnose(*given: Any) -> Diagnosis:
        asked.append(given)
        return a_diagnosis(*verdicts)

    monkeypatch.setattr(cluster, "connect_read_only", lambda: "read only")
    monkeypatch.setattr(diagnosis, "diagnose", diagnose)
    done = CliRunner().invoke(cli.app, ["explain", "ingress/web", "-n", "app-ns"])
    assert done.exit_code == code
    assert asked == [("read only", "ingress/web", "app-ns")]
    done = CliRunner().invoke(cli.app, ["explain", "ingress/web", "--json"])
    assert done.exit_code == code
    told = json.loads(done.stdout)
    assert told["object"] == "ingress/web"
    assert (told["first"] is not None) == (FAILS in verdicts)
    assert [one["verdict"] for one in told["checks"]] == list(verdicts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ingress/web", True), ("ing/web", True), ("svc/web", True), ("Service/web", True),
        ("targetgroupbindings.elbv2.k8s.aws/k8s-web", True),
        ("conflicting scheme: a/b", False), ("pod/web", False), ("ingress/", False), ("-", False),
        ("ingress/a/b", False),
    ],
)  # fmt: skip
def test_an_object_is_told_from_an_error(text: str, expected: bool) -> None:
    assert diagnosis.is_object(text) is expected


def test_a_namespace_beside_an_error_is_refused() -> None:
    done = CliRunner().invoke(cli.app, ["explain", "all is well", "-n", "app-ns"])
    assert done.exit_code == 2
    assert "beside an error" in done.stderr
