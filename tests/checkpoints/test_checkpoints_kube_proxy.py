"""The checkpoints of 03_kube_proxy on clusters that are right, and on those that are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fake_api import FakeApi
from lab_api import Check

from eksnet.checkpoints import State
from eksnet.listing import Listing

P, F, N = State.PASS, State.FAIL, State.NOT_STARTED
SHOP = "/api/v1/namespaces/shop/services"
SYSTEM = "/api/v1/namespaces/kube-system/configmaps"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"
DAEMONSET = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy"
PORT = [{"name": "http", "port": 8080}]

Shop = Callable[..., None]


@pytest.fixture
def shop(api: FakeApi) -> Shop:
    """Puts the shop into a state."""

    def put(
        brought: str = "",
        *,
        selector: Any = None,
        ready: int = 3,
        ports: Any = PORT,
        policy: str = "Cluster",
        nodes: tuple[str, ...] = ("one",),
        mode: str = "iptables",
        newest: int = 2,
    ) -> None:
        """Make it.

        Args:
            brought: The faults that were brought in, such as AB.
            selector: What the Service web selects; app: web when None.
            ready: How many of its three endpoints are Ready.
            ports: The ports of its slice.
            policy: The traffic policy of the Service front.
            nodes: The nodes of front's endpoints.
            mode: What kube-proxy's ConfigMap says.
            newest: On how many of two nodes kube-proxy started after the last change.
        """
        record = {f"proxy-{fault}": json.dumps({}) for fault in brought}
        api.put(f"{SYSTEM}/eksnet-faults", {"data": record})
        labels = {"app": "web"} if selector is None else selector
        api.put(f"{SHOP}/web", {"spec": {"selector": labels}})
        api.put(f"{SHOP}/front", {"spec": {"externalTrafficPolicy": policy}})
        ends = [{"conditions": {"ready": number < ready}} for number in range(3)]
        api.put(f"{SLICES}/web-1", {"metadata": named("web"), "endpoints": ends, "ports": ports})
        there = [{"conditions": {"ready": True}, "nodeName": node} for node in nodes]
        api.put(
            f"{SLICES}/front-1", {"metadata": named("front"), "endpoints": there, "ports": PORT}
        )
        api.put(f"{SYSTEM}/kube-proxy-config", {"data": {"config": f"a: b\nmode: {mode}\n"}})
        state = {"desiredNumberScheduled": 2, "numberReady": 2, "updatedNumberScheduled": newest}
        api.put(DAEMONSET, {"status": state})

    return put


def named(service: str) -> dict[str, Any]:
    return {"labels": {"kubernetes.io/service-name": service}}


def states(result: Any) -> list[State]:
    return [outcome.state for outcome in result.outcomes]


RULES = Listing(("rule",), tuple((str(n),) for n in range(10)), tuple(range(10)))
FAULTS = {"proxy-03": "A", "proxy-04": "B", "proxy-05": "C", "proxy-06": "D"}


def test_untouched(checkpoint: Check) -> None:
    assert set(states(checkpoint("proxy-01").check())) == {N}
    assert states(checkpoint("proxy-02").check(10, RULES)) == [N]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_was_not_brought_in_is_not_mended(
    name: str, shop: Shop, checkpoint: Check
) -> None:
    shop()
    result = checkpoint(name).check()
    assert set(states(result)) == {N}
    assert result.outcomes[0].observation.observed == (
        f"fault {FAULTS[name]} has not been brought in"
    )


@pytest.mark.parametrize("name", ["proxy-01", *FAULTS])
def test_solved(name: str, shop: Shop, checkpoint: Check) -> None:
    shop("ABCD")
    assert checkpoint(name).require().state is P


def test_a_local_policy_with_an_endpoint_on_each_node_is_a_cure_too(
    shop: Shop, checkpoint: Check
) -> None:
    shop("C", policy="Local", nodes=("one", "two"))
    assert checkpoint("proxy-05").require().state is P


@pytest.mark.parametrize(
    ("name", "wrong", "expected", "reason"),
    [
        ("proxy-01", {"selector": {"app": "wbe"}}, [F, N], "its selector is app: wbe"),
        ("proxy-01", {"ready": 2}, [P, F], "2 endpoints are Ready"),
        ("proxy-03", {"selector": {"app": "wbe"}}, [F, N], "its selector is app: wbe"),
        ("proxy-03", {"selector": {}}, [F, N], "its selector is not set"),
        ("proxy-03", {"ready": 0}, [P, F], "0 endpoints are Ready"),
        ("proxy-04", {"ports": []}, [F], "0 endpoints are Ready"),
        ("proxy-04", {"ports": [{"port": 80}]}, [F], "the endpoints' port is 80"),
        ("proxy-05", {"policy": "Local"}, [F], "on 1 of 2 nodes front has no endpoint"),
        ("proxy-05", {"policy": "Local", "nodes": ()}, [F], "on 2 of 2 nodes"),
        ("proxy-06", {"mode": "iptable"}, [F, N], "the mode is iptable"),
        ("proxy-06", {"newest": 1}, [P, F], "of 2 pods 2 are Ready and 1 started after"),
    ],
)
def test_wrong(
    name: str,
    wrong: dict[str, Any],
    expected: list[State],
    reason: str,
    shop: Shop,
    checkpoint: Check,
) -> None:
    shop("ABCD", **wrong)
    result = checkpoint(name).check(wait=False)
    assert states(result) == expected
    assert reason in result.outcomes[expected.index(F)].observation.observed


class TestTheNumberOfRules:
    @pytest.mark.parametrize(("prediction", "state"), [(10, P), (7, F), (11, F), ("ten", F)])
    def test_a_prediction(
        self, prediction: Any, state: State, shop: Shop, checkpoint: Check
    ) -> None:
        shop()
        assert checkpoint("proxy-02").check(prediction, RULES).state is state

    @pytest.mark.parametrize("observed", [None, 10, "10"])
    def test_the_rules_have_to_be_handed_in(
        self, observed: Any, shop: Shop, checkpoint: Check
    ) -> None:
        shop()
        result = checkpoint("proxy-02").check(10, observed)
        assert states(result) == [N]
        assert result.outcomes[0].observation.observed == "no rules were handed in"
