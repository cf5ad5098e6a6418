"""The checkpoints of 01a_dns_records on clusters that are right, and on those that are not."""

from __future__ import annotations

from typing import Any

import pytest
from fake_api import FakeApi
from lab_api import Check, refusing

from eksnet import dns
from eksnet.checkpoints import State
from eksnet.dns import Record
from eksnet.listing import Listing

P, F, N, C = State.PASS, State.FAIL, State.NOT_STARTED, State.CANNOT_CHECK
PLACE = "/api/v1/namespaces/my-namespace"
SLICE = "/apis/discovery.k8s.io/v1/namespaces/my-namespace/endpointslices/my-db-1"
QUICK = f"{PLACE}/pods/quick"
OBJECTS: dict[str, dict[str, Any]] = {
    f"{PLACE}/services/my-svc": {
        "spec": {"clusterIPs": ["10.100.0.9"], "ports": [{"name": "http", "port": 80}]}
    },
    f"{PLACE}/services/my-db": {
        "spec": {"clusterIPs": ["None"], "ports": [{"name": "sql", "port": 5432}]}
    },
    f"{PLACE}/services/partner": {
        "spec": {"type": "ExternalName", "externalName": "shop.example.com"}
    },
    f"{PLACE}/pods/db-0": {"status": {"podIPs": [{"ip": "10.0.129.11"}]}},
    SLICE: {
        "metadata": {"labels": {"kubernetes.io/service-name": "my-db"}},
        "addressType": "IPv4",
        "ports": [{"name": "sql", "port": 5432}],
        "endpoints": [{"addresses": ["10.0.129.11"], "hostname": "db-0"}],
    },
}
RIGHT = {"A": 4, "SRV": 2, "PTR": 2, "CNAME": 1}


def told(*but: str, objects: dict[str, dict[str, Any]] = OBJECTS) -> Listing[Record]:
    """Return what `coredns.confirm` does: X for the types that are not told as predicted."""
    kinds = {"services": "Service", "pods": "Pod", "endpointslices": "EndpointSlice"}
    whole = []
    for path, one in objects.items():
        *_, plural, name = path.split("/")
        metadata = {"name": name, "namespace": "my-namespace", **one.get("metadata", {})}
        whole.append({"kind": kinds[plural], **one, "metadata": metadata})
    found = dns.records(*whole)
    rows = tuple((one.rdtype, one.name, "X" if one.name in but else "O") for one in found)
    return Listing(("rdtype", "name", "confirmed"), rows, found.items)


TOLD = told()
DEAF = told("_http._tcp.my-svc.my-namespace.svc.cluster.local")
OTHERS = told(objects={path: one for path, one in OBJECTS.items() if "partner" not in path})


def put_shelf(api: FakeApi) -> None:
    for path, one in OBJECTS.items():
        api.put(path, one)


def put_quick(api: FakeApi, **spec: Any) -> None:
    """Make the learner's pod; without more it is right."""
    usual = {"dnsConfig": {"options": [{"name": "ndots", "value": "2"}]}}
    api.put(QUICK, {"spec": {**usual, **spec}})


def states(result: Any) -> list[State]:
    return [outcome.state for outcome in result.outcomes]


def seen(result: Any, number: int = 0) -> str:
    return str(result.outcomes[number].observation.observed)


class TestTheRecords:
    @pytest.mark.parametrize(
        ("prediction", "state"),
        [
            (RIGHT, P),
            ({"CNAME": "1 record", "PTR": 2, "SRV": 2, "A": "4 records"}, P),
            ([4, 2, 2, 1], P),
            ({**RIGHT, "A": 3}, F),
            ({**RIGHT, "SRV": 0}, F),
            ({"A": 4, "SRV": 2}, F),
            (9, N),
        ],
    )
    def test_a_prediction(
        self, prediction: Any, state: State, api: FakeApi, checkpoint: Check
    ) -> None:
        put_shelf(api)
        assert states(checkpoint("records-01").check(prediction, TOLD)) == [state]

    def test_what_the_dns_did_not_tell_does_not_count(
        self, api: FakeApi, checkpoint: Check
    ) -> None:
        put_shelf(api)
        result = checkpoint("records-01").check(RIGHT, DEAF)
        assert (states(result), seen(result)) == ([F], "SRV: 1")
        assert states(checkpoint("records-01").check({**RIGHT, "SRV": 1}, DEAF)) == [P]

    @pytest.mark.parametrize("path", [path for path in OBJECTS if path != SLICE])
    def test_an_object_that_is_not_there(self, path: str, api: FakeApi, checkpoint: Check) -> None:
        put_shelf(api)
        api.remove(path)
        result = checkpoint("records-01").check(RIGHT, TOLD)
        assert states(result) == [N]
        assert seen(result) == "objects are missing in my-namespace"

    def test_records_of_an_endpoint_that_is_gone(self, api: FakeApi, checkpoint: Check) -> None:
        put_shelf(api)
        api.remove(SLICE)
        result = checkpoint("records-01").check(RIGHT, TOLD)
        assert states(result) == [F]
        assert seen(result) == "the records passed to the check belong to other objects"
        assert "coredns.confirm" in result.outcomes[0].observation.next_step

    @pytest.mark.parametrize("observed", [None, 9, RIGHT, Listing((), (("A",),), ("A",))])
    def test_the_records_have_to_be_handed_in(
        self, observed: Any, api: FakeApi, checkpoint: Check
    ) -> None:
        put_shelf(api)
        result = checkpoint("records-01").check(RIGHT, observed)
        assert (states(result), seen(result)) == ([N], "no records were passed to the check")

    def test_what_may_not_be_listed_is_no_failure(self, api: FakeApi, checkpoint: Check) -> None:
        put_shelf(api)
        api.refuse = refusing("endpointslices")
        assert states(checkpoint("records-01").check(RIGHT, TOLD)) == [C]


NDOTS = {"name": "ndots", "value": "2"}


class TestTheOwnPod:
    @pytest.mark.parametrize(
        "spec",
        [
            {},
            {"dnsPolicy": "ClusterFirst"},
            {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"},
            {"dnsConfig": {"options": [{"name": "timeout", "value": "1"}, NDOTS]}},
            {"dnsConfig": {"options": [{"name": "ndots", "value": "5"}, NDOTS]}},
            {"dnsConfig": {"nameservers": [], "options": [NDOTS]}},
        ],
    )
    def test_right(self, spec: dict[str, Any], api: FakeApi, checkpoint: Check) -> None:
        put_quick(api, **spec)
        assert checkpoint("resolv-01").require().points == 2

    @pytest.mark.parametrize(
        ("spec", "expected", "reason"),
        [
            ({"dnsPolicy": "Default"}, [F, P], "its DNS policy is Default, in a pod"),
            ({"dnsPolicy": "None"}, [F, P], "its DNS policy is None, in a pod"),
            ({"hostNetwork": True}, [F, P], "ClusterFirst, in a pod with hostNetwork"),
            ({"dnsPolicy": "ClusterFirstWithHostNet"}, [F, P], "ClusterFirstWithHostNet, in a pod"),
            (
                {"dnsConfig": {"nameservers": ["10.0.0.2"], "options": [NDOTS]}},
                [F, P],
                "it has a nameserver of its own",
            ),
            ({"dnsConfig": None}, [P, F], "its dnsConfig has no option ndots"),
            ({"dnsConfig": {"options": [{"name": "ndots"}]}}, [P, F], "its ndots is None"),
            (
                {"dnsConfig": {"options": [NDOTS, {"name": "ndots", "value": "5"}]}},
                [P, F],
                "its ndots is 5",
            ),
        ],
    )
    def test_wrong(
        self,
        spec: dict[str, Any],
        expected: list[State],
        reason: str,
        api: FakeApi,
        checkpoint: Check,
    ) -> None:
        put_quick(api, **spec)
        result = checkpoint("resolv-01").check()
        assert states(result) == expected
        assert reason in seen(result, expected.index(F))

    def test_nobody_has_begun(self, api: FakeApi, checkpoint: Check) -> None:
        result = checkpoint("resolv-01").check()
        assert states(result) == [N, N]
        assert seen(result) == "there is no pod quick in my-namespace"
