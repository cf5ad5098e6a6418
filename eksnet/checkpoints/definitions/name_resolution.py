"""The checkpoints of 01b_name_resolution: the questions that a pod really asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from eksnet.checkpoints.criteria import (
    Criterion,
    Definition,
    Observation,
    Prediction,
    Wait,
    failed,
    not_started,
    not_yet,
    passed,
)
from eksnet.coredns.diagnosis import is_ready
from eksnet.coredns.installed import log_of
from eksnet.coredns.querylog import LoggedQuery, observed_walk, parse_query_log
from eksnet.dns import Walk

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

NOTEBOOK = "01b_name_resolution"
_POD, _POD_NAMESPACE = "op-pod-1", "ops-ns"
_SERVICE, _SERVICE_NAMESPACE = "my-service", "app-ns"
_FULL = f"{_SERVICE}.{_SERVICE_NAMESPACE}.svc.cluster.local"
_WITNESS = "witness"
_POD_CELL = "run the cell that applies op-pod-1"
_WALK_OUTSIDE = f"""\
outside = cluster.list("nodes")[0].name
observed = coredns.witness_walk(cluster, "{_POD}", outside, "{_POD_NAMESPACE}")"""
_CHECK_OUTSIDE = 'eksnet.checkpoint("dns-04").check(prediction, observed)'


def service(cluster: Cluster) -> Observation:
    """Whether the Service is in the namespace of the document's example."""
    expected = f"the Service {_SERVICE} in the namespace {_SERVICE_NAMESPACE}"
    if cluster.find(f"service/{_SERVICE}", namespace=_SERVICE_NAMESPACE):
        return passed(f"{_SERVICE} is in {_SERVICE_NAMESPACE}")
    for namespace in (_POD_NAMESPACE, "default", _WITNESS):
        if cluster.find(f"service/{_SERVICE}", namespace=namespace):
            return failed(
                f"{_SERVICE} is in {namespace}",
                expected,
                f"apply it with namespace: {_SERVICE_NAMESPACE}, and delete the other one",
            )
    return not_started(
        f"there is no Service {_SERVICE}", expected, "run the cell that applies the Service"
    )


def witness_ready(cluster: Cluster) -> Observation:
    """Whether the witness answers."""
    pod = cluster.find(f"pod/{_WITNESS}", namespace=_WITNESS)
    if pod is None:
        return not_started(
            "there is no pod witness in the namespace witness",
            "the pod witness, Ready",
            "run the cells that apply the witness's ConfigMap and pod",
        )
    if is_ready(pod):
        return passed("the pod witness is Ready")
    return not_yet(
        "the pod witness is not Ready",
        "a pod whose CoreDNS answers",
        f'cluster.logs("{_WITNESS}", "{_WITNESS}") says why',
    )


def witness_logs(cluster: Cluster) -> Observation:
    """Whether the witness logs each question and hands it on."""
    from eksnet.coredns import plugins

    configmap = cluster.find(f"configmap/{_WITNESS}", namespace=_WITNESS)
    corefile = (configmap.get("data") or {}).get("Corefile", "") if configmap else ""
    expected = "the plugins log and forward in the server block .:53"
    if not corefile:
        return not_started(
            "the witness has no Corefile", expected, "run the cell that applies its ConfigMap"
        )
    missing = [name for name in ("log", "forward") if name not in plugins(corefile)]
    if missing:
        return failed(
            f"{' and '.join(missing)} missing from the witness's Corefile",
            expected,
            "add it to the ConfigMap, then delete the pod witness and apply it again",
        )
    return passed("its Corefile has log and forward")


def asks_witness(cluster: Cluster) -> Observation:
    """Whether the pod's nameserver is the witness."""
    pod = cluster.find(f"pod/{_POD}", namespace=_POD_NAMESPACE)
    expected = "the policy None, with the address of the witness as the only nameserver"
    if pod is None:
        return not_started(f"there is no pod {_POD} in {_POD_NAMESPACE}", expected, _POD_CELL)
    policy = pod["spec"].get("dnsPolicy", "ClusterFirst")
    if policy != "None":
        return failed(f"its DNS policy is {policy}", expected, _again(_POD_CELL))
    witness = cluster.find(f"pod/{_WITNESS}", namespace=_WITNESS)
    address = witness.get("status", {}).get("podIP") if witness else None
    if _dns(pod).get("nameservers") != [address]:
        return failed(
            "its nameserver is not the witness",
            expected,
            _again("read the witness's address again, then " + _POD_CELL),
        )
    return passed("its nameserver is the witness")


def search_list(cluster: Cluster) -> Observation:
    """Whether the pod's resolver has the settings of a usual pod in its namespace."""
    pod = cluster.find(f"pod/{_POD}", namespace=_POD_NAMESPACE)
    expected = "the search list that starts with the pod's own namespace, and ndots 5"
    if pod is None:
        return not_started(f"there is no pod {_POD} in {_POD_NAMESPACE}", expected, _POD_CELL)
    domains = _dns(pod).get("searches") or []
    wanted = [f"{_POD_NAMESPACE}.svc.cluster.local", "svc.cluster.local", "cluster.local"]
    if domains[:3] != wanted:
        return failed(
            f"its search list starts with {', '.join(domains[:3]) or 'nothing'}",
            expected,
            _again("read the file of a real pod in ops-ns, then " + _POD_CELL),
        )
    if len(domains) < 4 and _is_on_ec2(cluster):
        return failed(
            "its search list ends with the cluster's own domain",
            "the node's domain as the fourth, as in every pod on EC2",
            _again("read the file of a real pod in ops-ns, then " + _POD_CELL),
        )
    options = {one.get("name"): one.get("value") for one in _dns(pod).get("options") or ()}
    if options.get("ndots") != "5":
        return failed(
            f"its ndots is {options.get('ndots', 'not set, which means 1')}",
            expected,
            _again("add the option ndots, then " + _POD_CELL),
        )
    return passed("its search list starts like that of every pod in ops-ns, and ndots is 5")


def _is_on_ec2(cluster: Cluster) -> bool:
    """Tell whether the nodes are instances: there the VPC gives each a domain of its own."""
    nodes = cluster.list("nodes")
    return any((node["spec"].get("providerID") or "").startswith("aws:") for node in nodes)


def _again(next_step: str) -> str:
    return f"delete {_POD}; {next_step}"


def _dns(pod: Resource) -> dict[str, Any]:
    return dict(pod["spec"].get("dnsConfig") or {})


def _walk_of(name: str) -> Callable[[Cluster, Any], Any]:
    """Return what observes the walk of a name: the questions of the pod in the witness's log."""

    def observe(cluster: Cluster, _: Any) -> Any:
        pod = cluster.find(f"pod/{_POD}", namespace=_POD_NAMESPACE)
        names = _candidates(pod, name) if pod else set()
        asked = [one for one in _seen(cluster, pod) if one.name in names]
        if not asked:
            return not_started(
                f"the witness has not seen {_POD} look up {name}",
                f"a lookup of {name} in {_POD}",
                f'coredns.witness_walk(cluster, "{_POD}", "{name}", "{_POD_NAMESPACE}")',
            )
        return observed_walk(_last_walk(asked))

    return observe


def _candidates(pod: Resource, name: str) -> set[str]:
    """Return a name with each domain of a pod's search list, and as it is."""
    return {name, *(f"{name}.{domain}" for domain in _dns(pod).get("searches") or ())}


def _seen(cluster: Cluster, pod: Resource | None) -> list[LoggedQuery]:
    """Return what the witness has seen a pod ask."""
    address = pod.get("status", {}).get("podIP") if pod else None
    log = log_of(cluster, _WITNESS, _WITNESS)
    return [one for one in parse_query_log(log) if address and one.client == address]


def _last_walk(asked: Sequence[LoggedQuery]) -> Sequence[LoggedQuery]:
    """Return the queries since the first name of a walk was asked for the last time.

    It is asked again when it was asked for the same type before, and other names since. A line is
    logged after its answer has been sent, and so perhaps only after the next name's.
    """
    first, begin, walk = asked[0].name, 0, set[tuple[str, str]]()
    for index, query in enumerate(asked):
        goes_on = any(name != first for name, _ in walk)
        if query.name == first and goes_on and (first, query.rdtype) in walk:
            begin, walk = index, set()
        walk.add((query.name, query.rdtype))
    return asked[begin:]


def _prediction(number: str, name: str, solution: str) -> Definition:
    checkpoint = f"dns-{number}"
    observe = _walk_of(name)
    question = (
        f"when {_POD} looks up {name}, which names does it query, in order, and which of them is "
        f"answered?"
    )
    form = 'prediction = [("NAME", "X"), ("NAME", "O")]'
    model = f"""\
conf = dns.ResolvConf.parse(cluster.run("debian:12", "cat /etc/resolv.conf", "ops-ns").output)
print(dns.search_walk("{name}", conf, {{"{_FULL}"}}))"""
    return Definition(
        id=checkpoint,
        notebook=NOTEBOOK,
        title=f"The walk of {name}",
        criteria=(
            Prediction(
                f"{checkpoint}.names",
                "The names that you predicted, in their order",
                2,
                question,
                form,
                observe,
            ),
            Prediction(
                f"{checkpoint}.match",
                "Which name is answered",
                1,
                question,
                form,
                observe,
                column=1,
            ),
        ),
        hints=(
            f"Look at the pod's search list and at the dots in `{name}`: fewer than `ndots`?",
            "Compare row by row: each domain of the list, in order, and after the last of them "
            "the name itself. The walk ends at the first name that exists.",
            "The model shows the walk, from a real pod's file and the full name of the Service; "
            f"write its rows into `prediction`, a pair for each:\n\n{model}",
        ),
        solution=f'{solution}\neksnet.checkpoint("{checkpoint}").check(prediction)\n',
    )


def _packets(cluster: Cluster, walk: Any) -> Any:
    """How many queries the walk was made of that was handed in, and that the witness has seen."""
    pod = cluster.find(f"pod/{_POD}", namespace=_POD_NAMESPACE)
    expected = f"the walk of {_POD} along its search list, for a name outside the cluster"
    if not isinstance(walk, Walk):
        return not_started("no walk was passed to the check", expected, "")
    if pod is None:
        return not_started(f"there is no pod {_POD} in {_POD_NAMESPACE}", expected, _POD_CELL)
    asked, name = set(walk.names), min(walk.names, key=len, default="")
    inside = name.partition(".")[0] == _SERVICE or name.endswith("cluster.local")
    if inside or asked != _candidates(pod, name):
        return not_started("the walk passed to the check is a different one", expected, "")
    if not asked <= {one.name for one in _seen(cluster, pod)}:
        return not_started(f"the witness has not logged a query of {_POD} for it", expected, "")
    return walk.query_count


CHECKPOINTS = (
    Definition(
        id="dns-01",
        notebook=NOTEBOOK,
        title="A pod, a Service and a witness",
        criteria=(
            Criterion("dns-01.service", "The Service my-service is in app-ns", 1, service),
            Criterion(
                "dns-01.witness",
                "The witness answers",
                1,
                witness_ready,
                wait=Wait("the pod witness to be Ready", deadline=60),
            ),
            Criterion("dns-01.log", "The witness logs each query and forwards it", 1, witness_logs),
            Criterion(
                "dns-01.pod", "op-pod-1 has the witness as its only nameserver", 1, asks_witness
            ),
            Criterion(
                "dns-01.search", "op-pod-1 has the search list of its namespace", 1, search_list
            ),
        ),
        hints=(
            "Look at the namespaces `ops-ns`, `app-ns` and `witness`: which objects are in each?",
            "Compare the nameserver in the pod's `dnsConfig` with the address in the witness's "
            "status, and its `searches` with the search list of a usual pod in `ops-ns`.",
            '`cluster.get("pod/op-pod-1", namespace="ops-ns")["spec"]["dnsConfig"]` shows what '
            'the pod was told, `cluster.get("pod/witness", namespace="witness")["status"]["podIP"]`'
            " the address that it should have. A pod's DNS settings cannot be changed: delete it "
            "with "
            '`cluster.delete("pod/op-pod-1", namespace="ops-ns")` and apply it again.',
        ),
        solution="""\
# Run the cells of the section Prepare in their order, from the Service to op-pod-1. If op-pod-1 was
# there before the witness, delete it first:
cluster.delete("pod/op-pod-1", namespace="ops-ns")
""",
    ),
    _prediction(
        "02",
        _SERVICE,
        f"""\
# Each domain of the search list in its order, then the name as it is; none of them exists
conf = dns.ResolvConf.parse(cluster.run("debian:12", "cat /etc/resolv.conf", "ops-ns").output)
prediction = [(f"{_SERVICE}.{{domain}}", "X") for domain in conf.search] + [("{_SERVICE}", "X")]""",
    ),
    _prediction(
        "03",
        f"{_SERVICE}.{_SERVICE_NAMESPACE}",
        f"""\
# The second domain of the list makes it the Service's full name, and there the walk ends
prediction = [
    ("{_SERVICE}.{_SERVICE_NAMESPACE}.{_POD_NAMESPACE}.svc.cluster.local", "X"),
    ("{_FULL}", "O"),
]""",
    ),
    Definition(
        id="dns-04",
        notebook=NOTEBOOK,
        title="The queries for a name outside the cluster",
        criteria=(
            Prediction(
                "dns-04.packets",
                "The number of queries that you predicted",
                1,
                f"how many queries does {_POD} send for the name of a node, as it is walked along "
                "the search list?",
                "prediction = 0",
                _packets,
                takes="observed",
                gather=_WALK_OUTSIDE,
                units=("query", "queries", "packet", "packets"),
            ),
        ),
        hints=(
            "Look at the rows of the walk: how many names come before the answered one?",
            "Compare the number of rows with the number of queries: each name is queried for A "
            "and for AAAA.",
            "`observed.query_count` is the number that is compared. Put it into `prediction`, and "
            f"check again:\n\n{_WALK_OUTSIDE}\n{_CHECK_OUTSIDE}",
        ),
        solution=f"{_WALK_OUTSIDE}\nprediction = 2 * len(observed)\n{_CHECK_OUTSIDE}\n",
    ),
)
