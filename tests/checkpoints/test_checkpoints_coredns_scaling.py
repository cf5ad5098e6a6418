"""The checkpoints of 02b and 02d on clusters that are right, and on those that are not."""

from __future__ import annotations

from typing import Any

import pytest
from fake_api import FakeApi
from lab_api import Check
from test_checkpoints_coredns_addon import put_addon

from eksnet.checkpoints import State
from eksnet.checkpoints.definitions.coredns_scaling import per_thousand
from eksnet.coredns.memory_growth import Taken
from eksnet.coredns.replicas import Replicas
from eksnet.coredns.witness import Lookup
from eksnet.dns import pod_resolv_conf, search_walk
from eksnet.listing import Listing
from eksnet.sandbox.simulation import FLEET

P, F, N = State.PASS, State.FAIL, State.NOT_STARTED
PLACE = "eksnet-memory"
RESOURCES = ("services", "endpointslices", "namespaces")
COREFILE = ".:53 {\n    kubernetes cluster.local {\n        pods insecure\n    }\n}\n"
DEPLOYMENT = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
BOUNDS = {"enabled": True, "minReplicas": 2, "maxReplicas": 12}


def taken(*mb: float) -> Listing[Taken]:
    """What was measured at 0, 10,000, 20,000, … addresses."""
    found = tuple(Taken(10_000 * n, 100 * n, one, one / 2, one / 3) for n, one in enumerate(mb))
    return Listing(("addresses",), tuple((str(one.addresses),) for one in found), found)


SLOW, LIKE, FAST = taken(40, 45, 50), taken(40, 50, 60), taken(40, 60, 80)


def lookups(*names: str) -> dict[str, Lookup]:
    conf = pod_resolv_conf("default")
    walks = {
        name: search_walk(name, conf, {"kubernetes.default.svc.cluster.local"}) for name in names
    }
    return {name: Lookup(conf, walk, walk) for name, walk in walks.items()}


LOOKUPS = lookups("kubernetes", "www.example.com")
QUERIES = {"kubernetes": 2, "www.example.com": 10}


def grown(replicas: int = 10, how: str = "observed") -> Listing[Replicas]:
    found = Replicas(40, 2436, 3, 10, replicas)
    return Listing(("replicas", "how"), ((str(replicas), how),), (found,))


def shrunk(*steps: int, how: str = "observed") -> Listing[int]:
    return Listing(("replicas", "how"), tuple((str(one), how) for one in steps), steps)


def put_memory(
    api: FakeApi,
    *,
    resources: tuple[str, ...] = RESOURCES,
    corefile: str = COREFILE,
    ready: bool = True,
    pod: bool = True,
) -> None:
    """Make the CoreDNS of the lesson.

    Args:
        api: The API server.
        resources: What its role lets it read; no role when empty.
        corefile: Its Corefile.
        ready: Whether it is Ready.
        pod: Whether it is there.
    """
    if resources:
        rules = [{"apiGroups": ["", "discovery.k8s.io"], "resources": list(resources)}]
        api.put(f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{PLACE}", {"rules": rules})
    place = f"/api/v1/namespaces/{PLACE}"
    api.put(f"{place}/configmaps/coredns", {"data": {"Corefile": corefile}})
    if pod:
        condition = {"type": "Ready", "status": str(ready)}
        api.put(f"{place}/pods/coredns", {"status": {"conditions": [condition]}})


def put_scaled(
    api: FakeApi,
    *,
    status: str = "ACTIVE",
    scaling: dict[str, Any] | None = None,
    replicas: int = 2,
    fleet: int = 0,
) -> None:
    """Make the add-on, its Deployment and simulated nodes.

    Args:
        api: The API server.
        status: The add-on's status, or `self-managed`.
        scaling: Its value `autoScaling`; none when None.
        replicas: The replicas of the Deployment.
        fleet: How many nodes are simulated.
    """
    put_addon(api, status=status, values={"autoScaling": scaling} if scaling else None)
    api.put(DEPLOYMENT, {"spec": {"replicas": replicas}})
    for number in range(fleet):
        labels = {"metadata": {"labels": {FLEET: "node"}}}
        api.put(f"/api/v1/nodes/simulated-{number}", {**labels, "status": {}})


def test_the_growth_is_that_of_the_ends() -> None:
    assert per_thousand(SLOW) == pytest.approx(10 / 20.2)


@pytest.mark.parametrize(
    ("found", "word"), [(SLOW, "less"), (LIKE, "about the same"), (FAST, "more")]
)
def test_the_word_for_a_growth(
    api: FakeApi, checkpoint: Check, found: Listing[Taken], word: str
) -> None:
    put_memory(api)
    for said in ("less", "about the same", "more"):
        state = checkpoint("scaling-02").check(said, found).state
        assert state is (P if said == word else F)


def test_another_word_is_asked_for_again(api: FakeApi, checkpoint: Check) -> None:
    put_memory(api)
    assert checkpoint("scaling-02").check("bigger", SLOW).state is N


def test_on_eks_what_was_computed_counts(api: FakeApi, checkpoint: Check) -> None:
    put_scaled(api, scaling=BOUNDS)
    assert checkpoint("scaling-05").check(10, grown(how="computed")).state is P
    steps = [10, 7, 5, 4, 3, 2]
    assert checkpoint("scaling-06").check(steps, shrunk(*steps, how="computed")).state is P
    assert checkpoint("scaling-06").check([10, 5, 2], shrunk(*steps)).state is F


@pytest.mark.parametrize("status", ["ACTIVE", "DEGRADED"])
def test_an_add_on_whose_pods_are_on_their_way_is_one(
    api: FakeApi, checkpoint: Check, status: str
) -> None:
    put_scaled(api, status=status, scaling=BOUNDS)
    assert checkpoint("scaling-04").check().state is P
