"""The checkpoints of 08b_ingress_https_and_faults: HTTPS, rollouts, and five faults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from eksnet import loadbalancer
from eksnet.checkpoints.criteria import (
    Criterion,
    Definition,
    Observation,
    Wait,
    failed,
    not_started,
    not_yet,
    passed,
)
from eksnet.checkpoints.definitions.lab_ingress import (
    INGRESS,
    NAMESPACE,
    TARGETS,
    find_ingress,
    healthy,
)
from eksnet.checkpoints.object_checks import Check, after, judge
from eksnet.loadbalancer import faults

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

NOTEBOOK = "08b_ingress_https_and_faults"
GATE = "target-health.elbv2.k8s.aws/"
SCHEME = f"{faults.PREFIX}/scheme"
_WEB = f"ingress/{INGRESS}"
_LISTENERS = Wait("the listeners of the load balancer", deadline=60)
_HTTPS = "a listener on port 443"
_REDIRECT = "a listener on port 80 that redirects every request"
_GATES = "a readiness gate of the controller in each pod"
_STOP = "a preStop hook in the Deployment's template"
_PORT = "a port that the Service has"
_HEALTHY = "every target healthy"
_SERVICE = f"a Service in {NAMESPACE}"
_SCHEMES = "one scheme for both"


def _after(fault: str, expected: str, look: Check) -> Check:
    return after(faults.CHAPTER.key(fault), "loadbalancer.inject_fault", expected, look)


def _listeners(cluster: Cluster) -> dict[int, list[str]]:
    """Return the actions of each listener by its port."""
    found: dict[int, list[str]] = {}
    for one in loadbalancer.rules(cluster, INGRESS, NAMESPACE):
        found.setdefault(one.port, []).append(one.action)
    return found


def https(cluster: Cluster) -> Observation:
    """Whether the load balancer listens on the port of HTTPS."""
    if find_ingress(cluster) is None:
        return not_started(f"there is no Ingress {INGRESS} in {NAMESPACE}", _HTTPS, "apply it")
    found = _listeners(cluster)
    if 443 not in found:
        ports = ", ".join(map(str, found)) or "none"
        step = f'cluster.events("{_WEB}", namespace="{NAMESPACE}")'
        return not_yet(f"it listens on: {ports}", _HTTPS, step)
    return passed("it listens on port 443")


def redirect(cluster: Cluster) -> Observation:
    """Whether the listener of HTTP redirects."""
    if find_ingress(cluster) is None:
        return not_started(f"there is no Ingress {INGRESS} in {NAMESPACE}", _REDIRECT, "apply it")
    actions = _listeners(cluster).get(80, [])
    if not actions or any(not one.startswith("redirect") for one in actions):
        seen = ", ".join(actions) or "no listener"
        return not_yet(f"on port 80: {seen}", _REDIRECT, "set the annotation ssl-redirect")
    return passed("every request to port 80 is redirected")


def gates(cluster: Cluster) -> Observation:
    """Whether each pod waits for its target before it is Ready."""
    pods = cluster.list("pods", NAMESPACE, selector="app=web")
    if not pods:
        return not_started(f"there is no pod of web in {NAMESPACE}", _GATES, "apply the Deployment")
    without = [pod for pod in pods if not any(_gates(pod))]
    if without:
        return failed(
            f"{len(without)} of {len(pods)} pods have none",
            _GATES,
            "set the label of the namespace, then replace the pods: "
            'cluster.rollout_restart("deployment/web", "app-ns")',
        )
    return passed("each pod has one")


def _gates(pod: Resource) -> Iterator[bool]:
    for one in pod["spec"].get("readinessGates") or ():
        yield str(one.get("conditionType", "")).startswith(GATE)


def stop(cluster: Cluster) -> Observation:
    """Whether a pod goes on for a moment when it is deleted."""
    found = cluster.find("deployment/web", namespace=NAMESPACE)
    if found is None:
        return not_started(f"there is no Deployment web in {NAMESPACE}", _STOP, "apply it")
    containers = found["spec"]["template"]["spec"]["containers"]
    if not all((one.get("lifecycle") or {}).get("preStop") for one in containers):
        return failed("its containers stop at once", _STOP, "apply it with a preStop hook")
    return passed("it has one")


def _backends(ingress: Resource) -> list[Mapping[str, Any]]:
    return [
        path["backend"]["service"]
        for rule in ingress["spec"].get("rules") or ()
        for path in (rule.get("http") or {}).get("paths") or ()
    ]


def port(cluster: Cluster) -> Observation:
    """Whether the Ingress names a port that its Service has."""

    def look(ingress: Resource) -> Observation:
        for one in _backends(ingress):
            service = cluster.find("service", one["name"], NAMESPACE)
            ports = service["spec"].get("ports") or () if service else ()
            known = {each.get("name") for each in ports} | {each.get("port") for each in ports}
            wanted = one["port"].get("name") or one["port"].get("number")
            if wanted not in known:
                step = f'cluster.get("service/{one["name"]}", namespace="{NAMESPACE}")'
                return failed(f"the Service {one['name']} has no port {wanted}", _PORT, step)
        return passed("the Service has the port that it names")

    return judge(cluster, _WEB, NAMESPACE, look)


def service(cluster: Cluster) -> Observation:
    """Whether the Ingress' Service is in its own namespace."""

    def look(ingress: Resource) -> Observation:
        for one in _backends(ingress):
            if cluster.find("service", one["name"], NAMESPACE) is None:
                seen = f"there is no Service {one['name']} in {NAMESPACE}"
                return failed(seen, _SERVICE, "name a Service of the Ingress's own namespace")
        return passed("its Service is there")

    return judge(cluster, _WEB, NAMESPACE, look)


def schemes(cluster: Cluster) -> Observation:
    """Whether the members of the group agree on the scheme."""
    found = set()
    for name in faults.MEMBERS:
        ingress = cluster.find("ingress", name, NAMESPACE)
        if ingress is None:
            remedy = "inject the fault again: it applies both anew"
            return failed(f"the Ingress {name} is missing", _SCHEMES, remedy)
        found.add(str((ingress["metadata"].get("annotations") or {}).get(SCHEME, "")))
    found.discard("")
    if len(found) > 1:
        step = "change the annotation scheme of one of them"
        return failed(f"their schemes are {' and '.join(sorted(found))}", _SCHEMES, step)
    return passed("they agree on the scheme")


def _fault(
    number: int, letter: str, criteria: tuple[Criterion, ...], hints: tuple[str, str, str],
    solution: str,
) -> Definition:  # fmt: skip
    return Definition(
        f"ingress-{number:02}", NOTEBOOK, f"Fault {letter}", criteria, hints, solution
    )


_RULES = """\
backend = {"service": {"name": "web", "port": {"number": 80}}}
rule = {"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
cluster.patch("ingress", "web", {"spec": {"rules": [rule]}}, "app-ns")
"""
_EVENT = '`cluster.events("ingress/web", namespace="app-ns")`: read the last warning.'

CHECKPOINTS = (
    Definition(
        id="ingress-05",
        notebook=NOTEBOOK,
        title="HTTPS",
        criteria=(
            Criterion(
                "ingress-05.https", "The load balancer speaks HTTPS", 1, https, wait=_LISTENERS
            ),
            Criterion(
                "ingress-05.redirect",
                "HTTP is redirected to it",
                1,
                redirect,
                needs=("ingress-05.https",),
                wait=_LISTENERS,
            ),
        ),
        hints=(
            "Look at the ports and rules of the load balancer.",
            "Compare the annotations `listen-ports` and `ssl-redirect` with the rules.",
            '`loadbalancer.rules(cluster, "web", "app-ns")`',
        ),
        solution="""\
prefix = "alb.ingress.kubernetes.io"
settings = {
    f"{prefix}/listen-ports": '[{"HTTP": 80}, {"HTTPS": 443}]',
    f"{prefix}/ssl-redirect": "443",
}
cluster.patch("ingress", "web", {"metadata": {"annotations": settings}}, "app-ns")
# A rule of the Ingress needs a host for which ACM has a certificate.
""",
    ),
    Definition(
        id="ingress-06",
        notebook=NOTEBOOK,
        title="Pods that start and stop in step",
        criteria=(
            Criterion("ingress-06.gates", "Pods wait for their target", 1, gates),
            Criterion("ingress-06.stop", "Pods go on while they are deregistered", 1, stop),
        ),
        hints=(
            "Look at the labels of the namespace, and at `spec.readinessGates` of a pod.",
            "Compare when the label and the pods were created: it works for later pods.",
            '`cluster.rollout_restart("deployment/web", "app-ns")`',
        ),
        solution="""\
label = {"elbv2.k8s.aws/pod-readiness-gate-inject": "enabled"}
cluster.patch("namespace", "app-ns", {"metadata": {"labels": label}})
# Apply the Deployment with a preStop hook: the new pods get the readiness gate, too.
""",
    ),
    _fault(
        7, "A",
        (
            Criterion(
                "ingress-07.port", "The Ingress names a port of the Service", 2,
                _after("A", _PORT, port),
            ),
        ),
        (
            "Look at the events of the Ingress.",
            "Compare the port in the Ingress with the names and numbers of the Service's ports.",
            _EVENT,
        ),
        _RULES,
    ),
    _fault(
        8, "B",
        (
            Criterion(
                "ingress-08.targets", "The targets are healthy again", 2,
                _after("B", _HEALTHY, healthy), wait=TARGETS,
            ),
        ),
        (
            "Look at the reason codes of the targets.",
            "A timeout is a dropped packet. Compare the annotations of the Ingress with those that "
            "the controller needs to let the load balancer in.",
            "Set `alb.ingress.kubernetes.io/manage-backend-security-group-rules`, or remove "
            "`security-groups`.",
        ),
        """\
setting = {"alb.ingress.kubernetes.io/manage-backend-security-group-rules": "true"}
cluster.patch("ingress", "web", {"metadata": {"annotations": setting}}, "app-ns")
""",
    ),
    _fault(
        9, "C",
        (
            Criterion(
                "ingress-09.service", "The Service is in the Ingress's namespace", 1,
                _after("C", _SERVICE, service),
            ),
            Criterion(
                "ingress-09.targets", "Its pods are healthy targets", 1,
                _after("C", _HEALTHY, healthy), needs=("ingress-09.service",), wait=TARGETS,
            ),
        ),
        (
            "Look at the rules of the load balancer: who answers 503?",
            "Compare the Service in the Ingress with the Services of its namespace.",
            '`cluster.list("services", "app-ns")`',
        ),
        _RULES,
    ),
    _fault(
        10, "D",
        (
            Criterion(
                "ingress-10.schemes", "Both Ingresses have one scheme", 2,
                _after("D", _SCHEMES, schemes),
            ),
        ),
        (
            "Look at the events of both Ingresses.",
            "Compare their annotations.",
            '`cluster.patch("ingress", "orders-admin", …, "app-ns")`',
        ),
        """\
setting = {"alb.ingress.kubernetes.io/scheme": "internet-facing"}
cluster.patch("ingress", "orders-admin", {"metadata": {"annotations": setting}}, "app-ns")
""",
    ),
    _fault(
        11, "E",
        (
            Criterion(
                "ingress-11.https", "The load balancer speaks HTTPS", 2,
                _after("E", _HTTPS, https), wait=_LISTENERS,
            ),
        ),
        (
            "Look at the events of the Ingress.",
            "Compare the annotation `certificate-arn` with the certificates in ACM.",
            '`cluster.aws("acm").list_certificates()["CertificateSummaryList"]`',
        ),
        """\
(known, *_) = cluster.aws("acm").list_certificates()["CertificateSummaryList"]
setting = {"alb.ingress.kubernetes.io/certificate-arn": known["CertificateArn"]}
cluster.patch("ingress", "web", {"metadata": {"annotations": setting}}, "app-ns")
""",
    ),
)  # fmt: skip
