"""The memory of a real CoreDNS with growing numbers of records, and what it is read from."""

import json

import pytest

from eksnet import coredns
from eksnet.coredns import memory_growth
from eksnet.coredns.memory_growth import ADDRESSES, RECORDS, Taken, service
from eksnet.errors import EksnetError

PLACE = "eksnet-memory"
COREFILE = """
.:53 {
    ready
    kubernetes cluster.local {
        pods insecure
    }
    prometheus :9153
    pprof :6053
}
"""
# Without `pods`: with `pods insecure` they are not read.
ACCESS = f"""
{{apiVersion: v1, kind: Namespace, metadata: {{name: {PLACE}}}}}
---
{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: coredns, namespace: {PLACE}}}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: {PLACE}}}
rules:
- {{apiGroups: [""], resources: [services, namespaces], verbs: [list, watch]}}
- {{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {PLACE}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {PLACE}}}
subjects: [{{kind: ServiceAccount, name: coredns, namespace: {PLACE}}}]
"""


def test_a_service_has_a_hundred_addresses_of_its_own_and_none_is_kube_proxys():
    seen = set()
    for number in (0, 1, 999):
        headless, endpoints = json.loads(service(number))["items"]
        assert headless["spec"]["clusterIP"] == "None" and "selector" not in headless["spec"]
        labels = endpoints["metadata"]["labels"]
        assert labels["kubernetes.io/service-name"] == headless["metadata"]["name"]
        assert "service.kubernetes.io/headless" in labels
        found = {one["addresses"][0] for one in endpoints["endpoints"]}
        assert len(found) == ADDRESSES and not found & seen
        seen |= found
        assert {one["metadata"]["namespace"] for one in (headless, endpoints)} == {RECORDS}


def test_addresses_and_services_count_as_the_formulas_objects():
    taken = Taken(40_000, 400, 91.5, 38.5, 30.0)
    growth = memory_growth._shown((taken,))
    assert taken.objects == 40_400
    # As the published points have it: with full buffers and a full cache.
    assert [(one.mb, one.objects) for one in growth.points] == [(126.5, 40_400)]
    assert [one.mb for one in growth.points_of_go] == [73.5]
    assert growth.rows == (("40,000", "400", "30.0", "38.5", "91.5"),)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("# HELP x\nprocess_resident_memory_bytes 6.1e+07\n", 61.0),
        ("a_process_resident_memory_bytes 1\nprocess_resident_memory_bytes 2e6\n", 2.0),
    ],
)
def test_a_metric_is_read(text, value):
    assert memory_growth._megabytes(text, "process_resident_memory_bytes") == value


def test_a_metric_that_is_missing_is_told():
    with pytest.raises(EksnetError, match="no process_resident") as refused:
        memory_growth._megabytes("go_goroutines 7\n", "process_resident_memory_bytes")
    assert "prometheus :9153" in refused.value.next_step


@pytest.mark.parametrize("sizes", [[-100], [50], [10**9], [], ["100"], [True]])
def test_what_is_no_number_of_addresses_changes_nothing(sizes):
    with pytest.raises(EksnetError):
        coredns.measure_memory(None, COREFILE, sizes)


class Foreign:
    """A cluster where somebody else has a namespace of that name."""

    def find(self, kind, name):
        assert (kind, name) == ("namespace", RECORDS)
        return {"metadata": {"name": name}}


def test_a_namespace_of_somebody_else_is_left_alone():
    with pytest.raises(EksnetError, match="nothing was changed"):
        coredns.measure_memory(Foreign(), COREFILE, [0])


@pytest.mark.sandbox
def test_a_real_coredns_grows_with_its_records_and_needs_no_pods(cluster):
    cluster.apply(ACCESS)
    try:
        first, last = coredns.measure_memory(cluster, COREFILE, [0, 10_000])
    finally:
        cluster.delete("clusterrolebinding", PLACE)
        cluster.delete("clusterrole", PLACE)
        cluster.delete("namespace", PLACE, wait=False)
    assert (first.objects, last.objects) == (0, 10_100)
    # At 10,000 addresses of 60 bytes and more: the heap is what Go itself says is in use.
    assert last.heap_mb - first.heap_mb > 1
    assert first.heap_mb < first.go_mb < first.resident_mb
    assert first.resident_mb < last.resident_mb < 250
    left = cluster.find("namespace", RECORDS)
    assert left is None or "deletionTimestamp" in left["metadata"]
