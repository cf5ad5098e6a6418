"""A procedure for when names are not resolved: checks in an order, and the first that fails.

It only reads, and runs one pod that asks. Two sources, and what is taken from each:

- The page "Debugging DNS Resolution" of the Kubernetes documentation has an order: resolv.conf of
  a pod, the pods of CoreDNS, errors in their logs, the Service, its endpoints, whether queries
  arrive, what CoreDNS may read. These are 1 to 6 here, but for "whether queries arrive", which
  would take a change of the Corefile.
- The EKS Workshop, "Troubleshooting DNS resolution", has what is particular to EKS: when CoreDNS
  answers at its pods' addresses and not at the Service's, kube-proxy is at fault; what fails only
  between nodes is a security group or a network ACL that blocks port 53. From it are 7 to 10.

The last check, a name outside the cluster, has to come after all that leads to CoreDNS.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from eksnet.cluster.conditions import READY
from eksnet.cluster.pods import not_terminating
from eksnet.coredns.configuration import errors, running
from eksnet.coredns.corefile import CorefileError
from eksnet.coredns.installed import CONFIGMAP, DEPLOYMENT, SERVICE, SYSTEM, all_pods, log_of
from eksnet.coredns.probe import INSIDE, NO_ANSWER, OUTSIDE, Probe, ask_from_a_pod
from eksnet.coredns.transport import TCP, UDP
from eksnet.diagnosis import OK, Check, CheckResult, Diagnosis, attempted, cannot_tell, fails, ok
from eksnet.endpoints import ready_endpoints
from eksnet.errors import EksnetError

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

_ACCOUNT = "coredns"
# What CoreDNS reads, by API group: without one of them it knows no names of that sort.
_READS = {"": {"services", "namespaces"}, "discovery.k8s.io": {"endpointslices"}}
# NodeLocal DNSCache is given a link-local address, 169.254.20.10 by default. Those of AWS's own
# services are not a cluster's: 169.254.169.253 is the VPC's resolver.
_LINK_LOCAL = ipaddress.ip_network("169.254.0.0/16")
_OF_AWS = ipaddress.ip_network("169.254.169.0/24")
_PROXY = "kube-proxy"
RUNS_ITS_COREFILE = "CoreDNS runs its Corefile"


def diagnose(cluster: Cluster, namespace: str | None = None) -> Diagnosis:
    """Go through the checks in order and say what fails first.

    It reads the cluster, and runs one short-lived pod that prints its resolv.conf, asks its
    nameserver, and asks each pod of CoreDNS at its own address. A check that cannot be made,
    because something may not be read for example, says so.

    Args:
        cluster: The cluster.
        namespace: Where the pod runs; the context's own namespace when None.
    """
    return Diagnosis(tuple(_checks(cluster, namespace)))


def _checks(cluster: Cluster, namespace: str | None) -> Iterator[Check]:
    service = _value_or_error(lambda: cluster.get("service", SERVICE, SYSTEM))
    pods = _value_or_error(lambda: all_pods(cluster))
    addresses = () if isinstance(pods, EksnetError) else _addresses(pods)
    probe = _value_or_error(lambda: ask_from_a_pod(cluster, namespace, addresses))
    checks: tuple[tuple[str, Callable[[], CheckResult]], ...] = (
        ("resolv.conf of a pod", lambda: resolv_conf(_known(probe), _known(service))),
        ("CoreDNS runs", lambda: runs(_deployment(cluster), _known(pods))),
        (RUNS_ITS_COREFILE, lambda: configuration(cluster, _known(pods))),
        ("Service kube-dns", lambda: ports(_known(service))),
        ("endpoints of kube-dns", lambda: endpoints(cluster, _known(service), _known(pods))),
        ("the permissions of CoreDNS", lambda: permissions(cluster)),
        ("CoreDNS asked directly", lambda: directly(_known(probe), _addresses(_known(pods)))),
        (_PROXY, lambda: kube_proxy(_proxy(cluster), _known(probe), whole())),
        ("UDP 53 answers", lambda: answers(_known(probe), UDP)),
        ("TCP 53 answers", lambda: answers(_known(probe), TCP)),
        ("names outside the cluster", lambda: outside(_known(probe))),
    )

    def whole() -> bool:
        """Tell whether the pod asks a Service that has its ports and endpoints."""
        asks = _known(probe).conf.nameservers[:1] == (_known(service)["spec"].get("clusterIP"),)
        behind = endpoints(cluster, _known(service), _known(pods))
        return asks and ports(_known(service)).verdict == behind.verdict == OK

    for title, check in checks:
        yield attempted(check).titled(title)


def _value_or_error(look: Callable[[], Any]) -> Any:
    """Return what is seen, or the error that says why nothing is."""
    try:
        return look()
    except EksnetError as error:
        return error


def _known(found: Any) -> Any:
    if isinstance(found, EksnetError):
        raise found
    return found


def _deployment(cluster: Cluster) -> Resource:
    return cluster.get("deployment", DEPLOYMENT, SYSTEM)


def _proxy(cluster: Cluster) -> Resource | None:
    return cluster.find("daemonset", _PROXY, SYSTEM)


# The checks: facts in, a finding out.

_BETWEEN = (
    "a security group, a network ACL or a NetworkPolicy between the pod's node and CoreDNS; "
    "allow UDP and TCP 53"
)
_CACHE_LOGS = "the node's cache: eksnet kubectl -n kube-system logs -l k8s-app=node-local-dns"


def resolv_conf(probe: Probe, service: Mapping[str, Any]) -> CheckResult:
    """Whether a pod is told to ask the Service, with the search list of the cluster."""
    address = service["spec"].get("clusterIP")
    servers = probe.conf.nameservers
    if not servers or not all(one == address or _is_cache(one) for one in servers):
        return fails(
            f"its nameserver is {', '.join(servers) or 'not set'}",
            f"{address}, the address of the Service {SERVICE}, or a cache on the node",
            "compare clusterDNS in the kubelet's configuration with the Service, and the pod's "
            "dnsPolicy; then create the pod again",
        )
    if "svc.cluster.local" not in probe.conf.search:
        return fails(
            f"its search list is {', '.join(probe.conf.search) or 'empty'}",
            "the pod's namespace, svc.cluster.local and cluster.local",
            "compare clusterDomain in the kubelet's configuration with cluster.local",
        )
    cache = ", a cache on the node (NodeLocal DNSCache)" if _is_cache(servers[0]) else ""
    return ok(f"nameserver {servers[0]}{cache}, ndots {probe.conf.ndots}")


def runs(deployment: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> CheckResult:
    """Whether CoreDNS has pods, and all of them are Ready."""
    wanted = deployment["spec"].get("replicas", 1)
    ready = sum(map(is_ready, pods))
    if wanted == 0:
        return fails(
            "the Deployment coredns asks for 0 pods",
            "at least two",
            "eksnet kubectl -n kube-system scale deployment/coredns --replicas=2",
        )
    if ready < wanted:
        return fails(
            f"{ready} of {wanted} pods are Ready",
            "all of them",
            "eksnet kubectl -n kube-system describe pods -l k8s-app=kube-dns",
        )
    return ok(f"{ready} of {wanted} pods are Ready")


def configuration(cluster: Cluster, pods: Sequence[Resource]) -> CheckResult:
    """Whether the pods run the Corefile of the ConfigMap, and none has refused it.

    What the logs complain of is noted and does not fail: it may be over. A pod that is taken away
    does not count; one that has not logged yet runs nothing yet.
    """
    logs = [log_of(cluster, pod.name) for pod in not_terminating(pods)]
    if not logs:
        return cannot_tell("there is no CoreDNS pod to query")
    corefile = str((cluster.get("configmap", CONFIGMAP, SYSTEM).get("data") or {}).get("Corefile"))
    try:
        found = running(corefile, logs)
    except CorefileError as error:
        fix = "fix the ConfigMap coredns; the pods run the previous Corefile until they restart"
        return fails(error.seen, error.expected, fix)
    except EksnetError as error:
        return cannot_tell(error.seen, error.expected, error.next_step)
    if found.refused and found.current < found.total:
        return fails(
            f"CoreDNS refuses it, {found.refused}; the pods run the previous one",
            "a Corefile that a pod can start with: with this one no pod starts after a restart",
            "fix that line of the ConfigMap coredns",
            final=found.final,
        )
    if found.current < found.total:
        return fails(
            f"{found.current} of {found.total} pods run it",
            "all of them, within two minutes of a change",
            "eksnet kubectl -n kube-system logs -l k8s-app=kube-dns",
        )
    logged = ", ".join(sorted({one for log in logs for one in errors(log)}))
    note = f"; their logs show {logged}" if logged else ""
    return ok(f"{found.current} of {found.total} pods run it{note}")


def ports(service: Mapping[str, Any]) -> CheckResult:
    """Whether the Service has an address, and port 53 for UDP and for TCP."""
    spec = service["spec"]
    open_for = {port.get("protocol", "TCP") for port in spec["ports"] if port["port"] == 53}
    missing = sorted({"UDP", "TCP"} - open_for)
    if missing:
        return fails(
            f"it has no port 53 for {' and '.join(missing)}",
            "port 53 for UDP and for TCP",
            'cluster.patch("service", "kube-dns", {"spec": {"ports": […]}}, "kube-system") with '
            "all its ports: a merge patch replaces lists",
        )
    return ok(f"{spec.get('clusterIP')}, port 53 for UDP and TCP")


def endpoints(
    cluster: Cluster, service: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]
) -> CheckResult:
    """Whether the Ready pods stand behind the Service."""
    label = f"kubernetes.io/service-name={SERVICE}"
    ready = ready_endpoints(cluster.list("endpointslices", SYSTEM, selector=label))
    serving = sum(map(is_ready, pods))
    if len(ready) < serving:
        selector = service["spec"].get("selector") or {}
        said = ", ".join(f"{name}={value}" for name, value in selector.items()) or "nothing"
        return fails(
            f"{len(ready) or 'none'}, and {serving} pods of CoreDNS are Ready; "
            f"the Service selects {said}",
            f"{serving} endpoints: the selector k8s-app=kube-dns, the label of the pods",
            'cluster.patch("service", "kube-dns", {"spec": {"selector": …}}, "kube-system")',
        )
    if not ready:
        return fails("none", "one for each pod of CoreDNS", "fix its pods first")
    return ok(f"{len(ready)} are ready")


def permissions(cluster: Cluster) -> CheckResult:
    """Whether CoreDNS's role lets it read what names are made of."""
    role = "system:coredns"
    rules = cluster.get("clusterrole", role).get("rules") or ()
    missing = sorted(
        name
        for group, names in _READS.items()
        for name in names
        if not any(_allows(rule, group, name) for rule in rules)
    )
    subjects = cluster.get("clusterrolebinding", role).get("subjects") or ()
    if missing or not any(one.get("name") == _ACCOUNT for one in subjects):
        seen = f"no ClusterRoleBinding gives the role {role} to the ServiceAccount {_ACCOUNT}"
        if missing:
            seen = f"the role {role} has no permission to list and watch {', '.join(missing)}"
        return fails(
            seen,
            "list and watch of services, namespaces and endpointslices",
            "eksnet kubectl edit clusterrole system:coredns",
        )
    return ok("services, namespaces and endpointslices")


def directly(probe: Probe, addresses: Sequence[str]) -> CheckResult:
    """Whether each pod of CoreDNS answers at its own address, which leaves kube-proxy out."""
    if not addresses:
        return cannot_tell("there is no CoreDNS pod to query")
    came = {how: [probe.answers[f"{how} {one}"] for one in addresses] for how in (UDP, TCP)}
    seen = ", ".join(
        f"{codes.count('NOERROR')} of {len(codes)} pods answer over {how.upper()}"
        for how, codes in came.items()
    )
    wrong = {code for codes in came.values() for code in codes} - {"NOERROR"}
    if not wrong:
        return ok(f"{len(addresses)} of {len(addresses)} pods answer")
    if NO_ANSWER not in wrong:
        said = ", ".join(sorted(wrong))
        logs = "eksnet kubectl -n kube-system logs -l k8s-app=kube-dns"
        return fails(f"{seen}; {said}", "NOERROR", logs)
    return fails(seen, "all pods, over both protocols", _BETWEEN)


def kube_proxy(daemonset: Mapping[str, Any] | None, probe: Probe, whole: bool) -> CheckResult:
    """Whether kube-proxy runs, and leads from the Service's address to the pods.

    Args:
        daemonset: The DaemonSet kube-proxy; None where there is none.
        probe: What the pod that asks was answered.
        whole: Whether the pod asks the Service, which has ports and endpoints: if not, nobody could
            lead it further.
    """
    direct = {code for asked, code in probe.answers.items() if " " in asked}
    through = {probe.answers[UDP], probe.answers[TCP]}
    astray = whole and direct == {"NOERROR"} and through != {"NOERROR"}
    status = (daemonset or {}).get("status") or {}
    ready, wanted = (status.get(name, 0) for name in ("numberReady", "desiredNumberScheduled"))
    seen = f"{ready} of {wanted} pods are Ready" if wanted else "it runs on no node"
    if daemonset is None:
        seen = "there is no DaemonSet kube-proxy"
    if astray or (daemonset is not None and not 0 < wanted <= ready):
        note = (
            "; CoreDNS answers at its pods' addresses, but not at the Service's" if astray else ""
        )
        return fails(
            f"{seen}{note}",
            "a Ready pod on each node, and rules there that lead from the Service to CoreDNS",
            "eksnet kubectl -n kube-system describe daemonset kube-proxy, the logs of its pods, "
            "and on the node of the test pod: iptables-save | grep kube-dns",
        )
    other = "" if daemonset else "; another component implements Services here"
    return ok(f"{seen}{other}")


def answers(probe: Probe, protocol: str) -> CheckResult:
    """Whether a name of the cluster is answered over UDP, or over TCP."""
    came = probe.answers[protocol]
    if came == "NOERROR":
        return ok(f"{INSIDE}: {came}")
    cached = any(map(_is_cache, probe.conf.nameservers[:1]))
    return fails(
        f"{INSIDE}: {came}",
        "NOERROR",
        "if all previous checks pass: " + (_CACHE_LOGS if cached else _BETWEEN),
    )


def outside(probe: Probe) -> CheckResult:
    """Whether the resolver behind CoreDNS answers, with whatever code but a failure."""
    came = probe.answers["outside"]
    if came in ("NOERROR", "NXDOMAIN"):
        return ok(f"{OUTSIDE}: {came}")
    return fails(
        f"{OUTSIDE}: {came}",
        "NOERROR or NXDOMAIN: an answer of the VPC's resolver",
        "look at `forward` in the Corefile, and at the VPC's settings enableDnsSupport and "
        "enableDnsHostnames",
    )


def _is_cache(nameserver: str) -> bool:
    try:
        address = ipaddress.ip_address(nameserver)
    except ValueError:
        return False
    return address in _LINK_LOCAL and address not in _OF_AWS


def _addresses(pods: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the addresses of the pods that are Ready."""
    return tuple(pod["status"]["podIP"] for pod in pods if is_ready(pod))


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Tell whether a pod is Ready, and stays."""
    return "deletionTimestamp" not in pod["metadata"] and READY.holds([dict(pod)])


def _allows(rule: Mapping[str, Any], group: str, resource: str) -> bool:
    def has(field: str, *wanted: str) -> bool:
        named = set(rule.get(field) or ())
        return "*" in named or named.issuperset(wanted)

    return has("apiGroups", group) and has("resources", resource) and has("verbs", "list", "watch")
