"""The checkpoints of 01c_dns_troubleshooting: four faults of the cluster's DNS, found and fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eksnet.checkpoints.criteria import (
    Criterion,
    Definition,
    Observation,
    Wait,
    cannot_check,
    failed,
    not_yet,
    passed,
)
from eksnet.checkpoints.object_checks import Check, after, judge
from eksnet.coredns import diagnosis, faults
from eksnet.coredns.corefile import CorefileError
from eksnet.coredns.installed import DEPLOYMENT, SELECTOR, SERVICE, SYSTEM, pods_not_terminating
from eksnet.diagnosis import CANNOT_TELL, OK, CheckResult

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

NOTEBOOK = "01c_dns_troubleshooting"
_LOOK = "coredns.diagnose(cluster) names what fails first"
_DEPLOYMENT, _SERVICE = f"deployment/{DEPLOYMENT}", f"service/{SERVICE}"
_READY = Wait("the pods of CoreDNS", deadline=60)
_TAKEN_OVER = Wait("every CoreDNS pod to run the Corefile of the ConfigMap", deadline=150)


def _after(fault: str, expected: str, look: Check) -> Check:
    return after(faults.CHAPTER.key(fault), "coredns.inject_fault", expected, look)


def _judged(seen: CheckResult, *, retryable: bool = False) -> Observation:
    """Return a step of the diagnosis as an observation; what to do is for the learner to find."""
    if seen.verdict == OK:
        return passed(seen.seen)
    if seen.verdict == CANNOT_TELL:
        return cannot_check(seen.seen, seen.expected, seen.next_step)
    judge_it = not_yet if retryable and not seen.final else failed
    return judge_it(seen.seen, seen.expected, _LOOK)


def runs(cluster: Cluster) -> Observation:
    """Whether CoreDNS has pods again."""
    return judge(
        cluster,
        _DEPLOYMENT,
        SYSTEM,
        lambda thing: _judged(
            diagnosis.runs(thing, pods_not_terminating(cluster)),
            retryable=thing["spec"].get("replicas", 1) > 0,
        ),
    )


def endpoints(cluster: Cluster) -> Observation:
    """Whether CoreDNS's pods stand behind the Service."""

    def look(service: Resource) -> Observation:
        pods = pods_not_terminating(cluster)
        ready = sum(map(diagnosis.is_ready, pods))
        if ready < len(pods):
            return not_yet(
                f"{ready} of {len(pods)} pods are Ready", "an endpoint for each pod", _LOOK
            )
        seen = diagnosis.endpoints(cluster, service, pods)
        return _judged(seen, retryable=_selects(service))

    return judge(cluster, _SERVICE, SYSTEM, look)


def selector(cluster: Cluster) -> Observation:
    """Whether the Service selects CoreDNS's pods."""

    def look(service: Resource) -> Observation:
        if _selects(service):
            return passed(f"it selects {SELECTOR}")
        labels = service["spec"].get("selector") or {}
        said = ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))
        return failed(f"it selects {said or 'nothing'}", "the labels of CoreDNS's pods", _LOOK)

    return judge(cluster, _SERVICE, SYSTEM, look)


def _selects(service: Resource) -> bool:
    name, _, value = SELECTOR.partition("=")
    return bool((service["spec"].get("selector") or {}) == {name: value})


def configuration(cluster: Cluster) -> Observation:
    """Whether every CoreDNS pod runs the Corefile of the ConfigMap."""
    pods = pods_not_terminating(cluster)
    if not pods:
        return failed("CoreDNS has no pods", "pods that run the Corefile", _LOOK)
    try:
        return _judged(diagnosis.configuration(cluster, pods), retryable=True)
    except CorefileError as error:
        return failed(error.seen, error.expected, _LOOK)


def ports(cluster: Cluster) -> Observation:
    """Whether the Service has port 53 for both protocols."""
    return judge(cluster, _SERVICE, SYSTEM, lambda thing: _judged(diagnosis.ports(thing)))


CHECKPOINTS = (
    Definition(
        id="trouble-01",
        notebook=NOTEBOOK,
        title="Fault A",
        criteria=(
            Criterion(
                "trouble-01.pods",
                "CoreDNS runs",
                1,
                _after("A", "two pods, Ready", runs),
                wait=_READY,
            ),
            Criterion(
                "trouble-01.endpoints",
                "Its pods are endpoints of kube-dns",
                1,
                _after("A", "an endpoint for each pod", endpoints),
                needs=("trouble-01.pods",),
                wait=_READY,
            ),
        ),
        hints=(
            "Look at the first check of `coredns.diagnose(cluster)` that fails: which component "
            "should answer?",
            "Compare the number of pods that the Deployment `coredns` asks for with two.",
            "`eksnet kubectl -n kube-system scale deployment/coredns --replicas=2`, or the same "
            'with `cluster.patch("deployment", "coredns", …, "kube-system")`',
        ),
        solution="""\
cluster.patch("deployment", "coredns", {"spec": {"replicas": 2}}, "kube-system")
""",
    ),
    Definition(
        id="trouble-02",
        notebook=NOTEBOOK,
        title="Fault B",
        criteria=(
            Criterion(
                "trouble-02.selector",
                "kube-dns selects CoreDNS's pods",
                1,
                _after("B", "the labels of CoreDNS's pods", selector),
            ),
            Criterion(
                "trouble-02.endpoints",
                "Its pods are endpoints of kube-dns",
                1,
                _after("B", "an endpoint for each pod", endpoints),
                needs=("trouble-02.selector",),
                wait=_READY,
            ),
        ),
        hints=(
            "Look at the endpoints of the Service `kube-dns`: CoreDNS runs; do clients find it?",
            "Compare the Service's selector with the labels of the pods, letter by letter.",
            '`cluster.patch("service", "kube-dns", {"spec": {"selector": …}}, "kube-system")`',
        ),
        solution="""\
labels = {"k8s-app": "kube-dns"}
cluster.patch("service", "kube-dns", {"spec": {"selector": labels}}, "kube-system")
""",
    ),
    Definition(
        id="trouble-03",
        notebook=NOTEBOOK,
        title="Fault C",
        criteria=(
            Criterion(
                "trouble-03.corefile",
                "CoreDNS runs the Corefile of its ConfigMap",
                1,
                _after("C", "a Corefile that every pod has loaded", configuration),
                wait=_TAKEN_OVER,
            ),
        ),
        hints=(
            "Look at the log of a CoreDNS pod: what did `reload` say last?",
            "Compare the line that it names in the ConfigMap with the names of the plugins.",
            '`cluster.edit_configmap("coredns", "Corefile", lambda text: text.replace("OLD", '
            '"NEW"), "kube-system")`, and restart nothing: the check waits for the reload.',
        ),
        solution="""\
cluster.edit_configmap(
    "coredns", "Corefile", lambda text: text.replace("logg\\n", "log\\n"), "kube-system"
)
""",
    ),
    Definition(
        id="trouble-04",
        notebook=NOTEBOOK,
        title="Fault D",
        criteria=(
            Criterion(
                "trouble-04.ports",
                "kube-dns accepts queries over UDP and TCP",
                1,
                _after("D", "port 53 for UDP and for TCP", ports),
            ),
        ),
        hints=(
            "Look at the difference between the program that fails and `dig +tcp`.",
            "Compare the ports of the Service `kube-dns` with those that DNS needs.",
            '`cluster.patch("service", "kube-dns", {"spec": {"ports": […]}}, "kube-system")` with '
            "all three: a merge patch replaces lists. The present ports are shown by "
            '`cluster.get("service", "kube-dns", "kube-system")["spec"]["ports"]`.',
        ),
        solution="""\
ports = cluster.get("service", "kube-dns", "kube-system")["spec"]["ports"]
udp = {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53}
cluster.patch("service", "kube-dns", {"spec": {"ports": [udp, *ports]}}, "kube-system")
""",
    ),
)
