"""The checkpoints of 01a_dns_records: the records of a few objects, and what a pod is told."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from eksnet.checkpoints.criteria import (
    Criterion,
    Definition,
    Observation,
    Prediction,
    failed,
    not_started,
    passed,
)
from eksnet.dns import Record, records
from eksnet.listing import Listing

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

NOTEBOOK = "01a_dns_records"
_NAMESPACE = "my-namespace"
_SERVICES, _POD = ("my-svc", "my-db", "partner"), "db-0"
_SLICES = "kubernetes.io/service-name=my-db"
_OBSERVED = f"""\
objects = [cluster.get("service", name, "{_NAMESPACE}") for name in {_SERVICES}]
objects += cluster.list("endpointslices", "{_NAMESPACE}", selector="{_SLICES}")
objects += [cluster.get("pod", "{_POD}", "{_NAMESPACE}")]
observed = coredns.confirm(cluster, dns.records(*objects))"""
_CHECK_OBSERVED = 'eksnet.checkpoint("records-01").check(prediction, observed)'
_TYPES = ("A", "SRV", "PTR", "CNAME")
_QUICK = "quick"
_MAKE = f"apply a pod {_QUICK} in {_NAMESPACE} with a manifest of your own"
_AGAIN = f"change the manifest, delete the pod {_QUICK}, and apply it again"
_ASKS_KUBE_DNS = f"a pod {_QUICK} in {_NAMESPACE} with kube-dns as its only nameserver"
_NDOTS = "the option ndots with the value 2"
_FILE = f'cluster.exec("{_QUICK}", "cat /etc/resolv.conf", "{_NAMESPACE}")'
_SOLUTION = f"""\
cluster.apply(\"\"\"
apiVersion: v1
kind: Pod
metadata: {{name: {_QUICK}, namespace: {_NAMESPACE}}}
spec:
  dnsConfig: {{options: [{{name: ndots, value: "2"}}]}}
  containers: [{{name: main, image: "busybox:1.36", command: [sleep, infinity]}}]
  terminationGracePeriodSeconds: 0
\"\"\")
"""


def _counts(cluster: Cluster, confirmed: Any) -> Any:
    """Return how many records of each type the cluster's DNS confirmed, of those that follow."""
    expected = f"the records that the cluster's DNS has for the objects in {_NAMESPACE}"
    objects = [cluster.find(f"service/{name}", namespace=_NAMESPACE) for name in _SERVICES]
    objects += [cluster.find(f"pod/{_POD}", namespace=_NAMESPACE)]
    if not all(objects):
        return not_started(
            f"objects are missing in {_NAMESPACE}",
            f"the Services {', '.join(_SERVICES)} and the pod {_POD}",
            "run the cells that apply them",
        )
    slices = cluster.list("endpointslices", _NAMESPACE, selector=_SLICES)
    follow = {(one.rdtype, one.name) for one in records(*filter(None, objects), *slices)}
    if not isinstance(confirmed, Listing) or not all(isinstance(one, Record) for one in confirmed):
        return not_started("no records were passed to the check", expected, "")
    if {(one.rdtype, one.name) for one in confirmed} != follow:
        return failed("the records passed to the check belong to other objects", expected, "")
    counts = Counter(rdtype for rdtype, _, mark in confirmed.rows if mark == "O")
    return {rdtype: counts[rdtype] for rdtype in _TYPES}


def _quick(cluster: Cluster, expected: str) -> Resource | Observation:
    """Return the learner's pod; an observation when there is none."""
    pod = cluster.find(f"pod/{_QUICK}", namespace=_NAMESPACE)
    return pod or not_started(f"there is no pod {_QUICK} in {_NAMESPACE}", expected, _MAKE)


def asks_kube_dns(cluster: Cluster) -> Observation:
    """Whether the learner's pod gets the cluster's DNS as its only nameserver."""
    pod = _quick(cluster, _ASKS_KUBE_DNS)
    if isinstance(pod, Observation):
        return pod
    spec = pod["spec"]
    policy, host = spec.get("dnsPolicy", "ClusterFirst"), spec.get("hostNetwork", False)
    if policy != ("ClusterFirstWithHostNet" if host else "ClusterFirst"):
        of = "a pod with hostNetwork" if host else "a pod"
        return failed(f"its DNS policy is {policy}, in {of}", _ASKS_KUBE_DNS, _AGAIN)
    if (spec.get("dnsConfig") or {}).get("nameservers"):
        return failed("it has a nameserver of its own", _ASKS_KUBE_DNS, _AGAIN)
    return passed(f"its nameserver is kube-dns: its policy is {policy}")


def ndots(cluster: Cluster) -> Observation:
    """Whether two dots make a name long enough for the learner's pod."""
    pod = _quick(cluster, _NDOTS)
    if isinstance(pod, Observation):
        return pod
    options = (pod["spec"].get("dnsConfig") or {}).get("options") or ()
    values = [str(one.get("value")) for one in options if one.get("name") == "ndots"]
    if not values:
        return failed("its dnsConfig has no option ndots", _NDOTS, _AGAIN)
    # Of several the last one holds, in the pod as in the file.
    if not re.fullmatch(r"0*2", values[-1]):
        return failed(f"its ndots is {values[-1]}", _NDOTS, _AGAIN)
    return passed("its ndots is 2")


CHECKPOINTS = (
    Definition(
        id="records-01",
        notebook=NOTEBOOK,
        title="The records of four objects",
        criteria=(
            Prediction(
                "records-01.types",
                "The number of records of each type that you predicted",
                2,
                f"how many records of each type do the objects in {_NAMESPACE} have?",
                'prediction = {"A": 0, "SRV": 0, "PTR": 0, "CNAME": 0}',
                _counts,
                takes="observed",
                gather=_OBSERVED,
                units=("record", "records"),
            ),
        ),
        hints=(
            "Look at the table of records, row by row: which object does each record belong to?",
            "Compare your numbers with the table, object by object: a Service with an address, a "
            "headless Service and its one endpoint, an ExternalName, a pod. Only a port with a "
            "name has an SRV record.",
            "`print(observed)` shows each record with its type. Count them, put the numbers into "
            f"`prediction`, and check again:\n\n{_OBSERVED}\n{_CHECK_OBSERVED}",
        ),
        solution=f"""\
# A: my-svc, my-db, db-0.my-db and the pod; SRV and PTR: my-svc and db-0.my-db; CNAME: partner
prediction = {{"A": 4, "SRV": 2, "PTR": 2, "CNAME": 1}}
{_OBSERVED}
{_CHECK_OBSERVED}
""",
    ),
    Definition(
        id="resolv-01",
        notebook=NOTEBOOK,
        title="A pod with settings of your own",
        criteria=(
            Criterion(
                "resolv-01.nameserver",
                "The pod quick has kube-dns as its only nameserver",
                1,
                asks_kube_dns,
            ),
            Criterion("resolv-01.ndots", "Its ndots is 2", 1, ndots),
        ),
        hints=(
            f"Look at the pod's file: `{_FILE}`.",
            "Compare the four pods of the previous section: one of them keeps kube-dns and "
            "changes one option.",
            'In the pod\'s `spec`: `dnsConfig: {options: [{name: ndots, value: "2"}]}`, and no '
            "`dnsPolicy`. A pod's DNS settings cannot be changed: delete it with "
            f'`cluster.delete("pod/{_QUICK}", namespace="{_NAMESPACE}")` and apply it again.',
        ),
        solution=_SOLUTION,
    ),
)
