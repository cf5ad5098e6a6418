"""Why an object has no load balancer that works: checks in an order, and the first that fails.

It only reads: the object and what it names, the controller's events and log, and AWS. The order is
that in which the controller works: it takes an object of its class, builds a model and carries it
out; then there is a load balancer, with rules, with targets, and these are healthy.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from eksnet import data, inputs
from eksnet.diagnosis import CheckResult, Diagnosis, attempted, cannot_tell, fails, ok
from eksnet.errors import EksnetError
from eksnet.loadbalancer import last_word, linting
from eksnet.loadbalancer.around import BINDING, INGRESS, SERVICE, Around, Behind
from eksnet.loadbalancer.explaining import explain
from eksnet.loadbalancer.last_word import Word
from eksnet.loadbalancer.linting import ALB_CONTROLLER, CLASS_ANNOTATION, ERROR, OF_SERVICE
from eksnet.loadbalancer.observe import HEALTHY, Target

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

_NLB_CLASS = "service.k8s.aws/nlb"
# What an annotation of a Service said before there were classes.
_OLD_CLASSES = ("external", "nlb-ip")
IGNORED = frozenset(
    {"unknown-annotation", "not-yet", "wrong-kind", "unused-annotation", "ignored-networks"}
)
"""Rules of lint for what the controller passes over without a word."""
# Rules of lint for what leaves the pods closed to the load balancer.
_CLOSED = ("own-security-groups", "binding-networking")
_WAITS, _LEAVES, _TIMEOUT = "initial", "draining", "Target.Timeout"
_AGAIN = "change anything in the object, such as an annotation: the controller looks again"

Json = Mapping[str, Any]
_WRITTEN = re.compile(
    r"(ingress|ingresses|ing|service|services|svc|targetgroupbinding|targetgroupbindings)"
    r"(\.[a-z0-9.]+)?/[^/\s]+",
    re.IGNORECASE,
)


def is_object(text: str) -> bool:
    """Tell whether a text names an object, such as `ingress/web`, and is no error.

    Args:
        text: The text.
    """
    return bool(_WRITTEN.fullmatch(text))


def diagnose(cluster: Cluster, about: str, namespace: str | None = None) -> Diagnosis:
    """Go through what an object needs for a load balancer that works, and say what fails first.

    It only reads. A check that cannot be made, because something may not be read for example, says
    so.

    Args:
        cluster: The cluster.
        about: The object as kind/name: an Ingress, a Service or a TargetGroupBinding.
        namespace: Its namespace; the context's own when None.

    Raises:
        EksnetError: There is no such object, or it is of another kind.
    """
    found = cluster.get(about, namespace=namespace)
    if found.kind not in last_word.KINDS:
        raise EksnetError(
            f"{inputs.shown(about)} is of the kind {found.kind}",
            "an Ingress, a Service or a TargetGroupBinding",
            "`eksnet explain ingress/NAME`",
        )
    around = Around(cluster, found)
    return Diagnosis(tuple(attempted(check).titled(title) for title, check in _checks(around)))


def _checks(around: Around) -> Iterator[tuple[str, Callable[[], CheckResult]]]:
    about, kind = around.about, around.about.kind
    if kind == INGRESS:
        yield "class", lambda: ingress_class(about, around.classes)
    if kind == SERVICE:
        yield "class", lambda: service_class(about)
    yield "controller", lambda: runs(around.deployments)
    yield "last word", lambda: said(around.word, about)
    yield "annotations", lambda: annotated(around.findings, around.word)
    yield "Services", lambda: services(around.behind, about.namespace)
    if kind == BINDING:
        yield "target group", lambda: target_group(around.target_group)
    else:
        yield "bindings", lambda: bindings(around.bound)
        yield "DNS name", lambda: address(around.host)
        yield "load balancer", lambda: balancer(around.host, around.balancer)
    if kind == INGRESS:
        yield "rules", lambda: rules(around.behind, around.actions)
    yield "targets", lambda: targets(around.targets, around.findings, local=_is_local(about))


def _is_local(about: Json) -> bool:
    return bool(about["spec"].get("externalTrafficPolicy") == "Local")


# The checks: facts in, a finding out.


def ingress_class(ingress: Json, classes: Mapping[str, Json]) -> CheckResult:
    """Whether the Ingress is of a class that the controller takes."""
    expected = f"a class whose controller is {ALB_CONTROLLER}"
    old = (ingress["metadata"].get("annotations") or {}).get(CLASS_ANNOTATION)
    name = old or ingress["spec"].get("ingressClassName")
    if not name:
        return fails("it has none: no controller takes it", expected, "set ingressClassName: alb")
    if name not in classes:
        # The controller takes the old annotation also where there is no such object.
        if old == "alb":
            return ok("alb, by the annotation")
        return fails(f"there is no IngressClass {name}", expected, "kubectl get ingressclass")
    of = classes[name]["spec"].get("controller")
    if of != ALB_CONTROLLER:
        return fails(f"{name} belongs to {of}", expected, "set ingressClassName: alb")
    return ok(f"{name}, of {of}")


def service_class(service: Json) -> CheckResult:
    """Whether the Service is one that the controller takes."""
    spec = service["spec"]
    if spec.get("type") != "LoadBalancer":
        return fails(
            f"its type is {spec.get('type')}: it gets no load balancer of its own",
            "type: LoadBalancer",
            "an Ingress can lead to it: eksnet explain ingress/NAME",
        )
    found = spec.get("loadBalancerClass")
    old = (service["metadata"].get("annotations") or {}).get(f"{OF_SERVICE}type")
    if found == _NLB_CLASS or (not found and old in _OLD_CLASSES):
        return ok(found or f"by the annotation, {old}")
    if found:
        return fails(f"{found} is of another controller", _NLB_CLASS, _CREATE_AGAIN)
    seen = "it has none: it was created when the controller's webhook did not answer"
    return fails(seen, _NLB_CLASS, _CREATE_AGAIN)


_CREATE_AGAIN = "delete it and create it again: the class of a Service cannot be changed"


def runs(deployments: Sequence[Json]) -> CheckResult:
    """Whether a pod of the controller is ready."""
    if not deployments:
        return fails(
            "it is not installed", "a ready pod of it", "the lesson 07_lab_install_controller"
        )
    found = deployments[0]
    name, where = found["metadata"]["name"], found["metadata"]["namespace"]
    ready, wanted = found.get("status", {}).get("readyReplicas", 0), found["spec"]["replicas"]
    seen = f"{ready} of {wanted} pods are ready"
    if not ready:
        step = f"kubectl -n {where} describe deployment {name}, and the logs of its pods"
        return fails(seen, "at least one", step)
    return ok(seen)


def said(word: Word | None, about: Json) -> CheckResult:
    """Whether the controller's last turn for the object went well."""
    if word and not word.fine:
        return _complaint(word)
    if "deletionTimestamp" in about["metadata"]:
        kept = ", ".join(about["metadata"].get("finalizers") or ()) or "none"
        return cannot_tell(
            f"the object is being deleted; its finalizers are {kept}",
            "an object that stays",
            "ask again in a minute: the controller deletes in AWS first",
        )
    if word is None:
        return cannot_tell(
            "nothing: it has no event and no line in the log",
            last_word.RECONCILED,
            f"ask again in a minute; then {_AGAIN}",
        )
    return ok(f"{word} ({word.where})")


def _complaint(word: Word, of: str = "") -> CheckResult:
    known = explain(word.text[-4000:]) if word.text else ()
    means = f" {known[0].means}" if known else ""
    fix = known[0].fix if known else "the message names the cause; the log has what was before it"
    return fails(f"{of}{word}{means and '.'}{means}", last_word.RECONCILED, fix)


def annotated(found: Sequence[linting.Finding], word: Word | None) -> CheckResult:
    """Whether the controller reads all annotations as they are meant.

    Args:
        found: What lint finds.
        word: The controller's last word: when it is content, only what it passes over can be wrong.
    """
    content = word is not None and word.fine
    errors = [
        one for one in found if one.severity == ERROR and (one.rule in IGNORED or not content)
    ]
    if not errors:
        return ok("lint finds no error")
    first = errors[0]
    more = f"; {len(errors) - 1} more" if len(errors) > 1 else ""
    return fails(f"{first.object}: {first.seen} [{first.rule}]{more}", "no error", first.fix)


def services(behind: Sequence[Behind], namespace: str) -> CheckResult:
    """Whether the Services are there, with ready endpoints."""
    for one in behind:
        if not one.there:
            where = f", but in {', '.join(one.elsewhere)}" if one.elsewhere else ""
            return fails(
                f"the Service {one.name} is not in {namespace}{where}",
                "a Service in the namespace of the object that names it",
                "name another one, or create it there: nothing leads to another namespace",
            )
    for one in behind:
        if not one.ready:
            return fails(
                f"{one.name} has no ready endpoint; it selects {one.selects}",
                "ready pods with these labels",
                f"kubectl -n {namespace} get pods --show-labels",
            )
    shown = ", ".join(f"{one.name}: {one.ready} ready" for one in behind)
    return ok(shown or "none: annotations say what is done")


def bindings(bound: Sequence[tuple[str, Word | None]]) -> CheckResult:
    """Whether the controller could register the targets of each target group."""
    for name, word in bound:
        if word and not word.fine:
            return _complaint(word, f"{name}: ")
    if not bound:
        return cannot_tell("there is none", "one for each Service and port")
    return ok(f"{len(bound)}, no complaint")


def target_group(arn: str) -> CheckResult:
    """Whether AWS has the target group of a binding."""
    if not arn:
        return fails(
            "AWS has no target group with the ARN in its spec",
            "a target group of this account and region",
            "aws elbv2 describe-target-groups; then create the binding again: its ARN cannot be "
            "changed",
        )
    return ok(arn.rpartition(":")[2])


def address(host: str) -> CheckResult:
    """Whether the object has the name of a load balancer."""
    if not host:
        return fails(
            "its status has no DNS name",
            "the name of a load balancer",
            f"wait two minutes for a new object; then {_AGAIN}",
        )
    return ok(host)


def balancer(host: str, found: Json | None) -> CheckResult:
    """Whether AWS has the load balancer, and it is active."""
    if not host:
        return cannot_tell("there is no name to look for")
    if found is None:
        return fails("AWS has none of this name: somebody has deleted it", host, _AGAIN)
    state = found.get("State", {})
    code = state.get("Code", "active")
    if code == "provisioning":
        return cannot_tell(f"it is {code}", "active", "ask again in a minute")
    if code != "active":
        return fails(f"it is {code}: {state.get('Reason', '')}", "active", "ask AWS")
    return ok(", ".join(filter(None, (found.get("Type"), found.get("Scheme"), code))))


def rules(behind: Sequence[Behind], actions: Sequence[str]) -> CheckResult:
    """Whether a rule leads to each Service of an Ingress."""
    if not actions:
        return cannot_tell("there is no load balancer to look at")
    led = {one.strip() for action in actions for one in _forwarded(action)}
    for one in behind:
        if one.there and f"{one.name}:{one.port}" not in led:
            return fails(
                f"none leads to {one.name}:{one.port}; they are: {'; '.join(actions)}",
                "a rule for each path of the Ingress",
                f"somebody has changed it in AWS: {_AGAIN}",
            )
    return ok("; ".join(dict.fromkeys(actions)))


def _forwarded(action: str) -> list[str]:
    return action.partition("forward to ")[2].split(",")


def targets(
    found: Sequence[Target], linted: Sequence[linting.Finding], *, local: bool = False
) -> CheckResult:
    """Whether there are targets, and they are healthy.

    Args:
        found: The targets.
        linted: What lint finds: it may say why nothing reaches them.
        local: Whether nodes without a pod fail their health check on purpose.
    """
    here = [one for one in found if one.state != _LEAVES]
    if not here:
        return fails(
            "none is registered",
            "the ready pods of the Service, or the nodes",
            "compare the selector of the Service with the labels of its pods; a pod with a "
            "readiness gate waits for its target",
        )
    wrong = [one for one in here if one.state != HEALTHY]
    healthy = len(here) - len(wrong)
    if not wrong or (local and healthy):
        note = "; the policy Local leaves out nodes without a pod" if wrong else ""
        return ok(f"{healthy} of {len(here)} are healthy{note}")
    reason, _ = Counter(one.reason for one in wrong).most_common(1)[0]
    told = _reasons().get(reason, {"means": wrong[0].state, "next": "ask AWS"})
    seen = f"{healthy} of {len(here)} are healthy; {reason}: {told['means']}"
    if all(one.state == _WAITS for one in wrong):
        return cannot_tell(seen, HEALTHY, told["next"])
    closed = [one for one in linted if one.rule in _CLOSED] if reason == _TIMEOUT else []
    step = f"{closed[0].seen}: {closed[0].fix}" if closed else told["next"]
    return fails(seen, HEALTHY, step)


def _reasons() -> dict[str, dict[str, str]]:
    """Return what each reason code of a target's health means, and what to do."""
    return {row["reason"]: row for row in data.rows("target_health_reasons")}
