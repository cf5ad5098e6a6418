"""The checkpoints on kube-proxy on clusters that are right, and on those that are not."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from fake_api import FakeApi, Request
from lab_api import Check, refusing

import eksnet
from eksnet import kubeproxy
from eksnet.checkpoints import State
from eksnet.kubeproxy import Lines, observe
from eksnet.listing import Listing

P, F, N, C = State.PASS, State.FAIL, State.NOT_STARTED, State.CANNOT_CHECK
SHOP = "/api/v1/namespaces/shop/services"
SYSTEM = "/api/v1/namespaces/kube-system/configmaps"
PODS = "/api/v1/namespaces/kube-system/pods"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"
DAEMONSET = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy"
KIND = "kind: KubeProxyConfiguration"
PORT = [{"name": "http", "port": 8080}]
# When the ConfigMap of kube-proxy was changed, and when the pods started.
CHANGED, BEFORE, AFTER = (f"2026-03-01T10:00:0{second}Z" for second in (5, 4, 6))

Shop = Callable[..., None]


def put_shop(
    api: FakeApi,
    injected: str = "",
    *,
    selector: Any = None,
    ready: int = 3,
    ports: Any = PORT,
    policy: str = "Cluster",
    nodes: tuple[str, ...] = ("one",),
    mode: str = "mode: iptables",
    newest: int = 2,
    available: int = 2,
    generation: int = 1,
    started: Sequence[str] = (CHANGED, AFTER),
) -> None:
    """Make it.

    Args:
        api: The API server.
        injected: The faults that were injected, such as AB.
        selector: What the Service web selects; app: web when None.
        ready: How many of its three endpoints are Ready.
        ports: The ports of its slice.
        policy: The traffic policy of the Service front.
        nodes: The nodes of front's endpoints.
        mode: What kube-proxy's ConfigMap says of its mode.
        newest: On how many of two nodes kube-proxy started after the last change.
        available: On how many of them it is Ready.
        generation: How often the DaemonSet was changed; its status speaks of the first.
        started: When each pod of kube-proxy started.
    """
    record = {f"proxy-{fault}": json.dumps({}) for fault in injected}
    api.put(f"{SYSTEM}/eksnet-faults", {"data": record})
    labels = {"app": "web"} if selector is None else selector
    api.put(f"{SHOP}/web", {"spec": {"selector": labels}})
    api.put(f"{SHOP}/front", {"spec": {"externalTrafficPolicy": policy}})
    ends = [endpoint(number, number < ready) for number in range(3)]
    api.put(f"{SLICES}/web-1", {"metadata": named("web"), "endpoints": ends, "ports": ports})
    there = [{**endpoint(number), "nodeName": node} for number, node in enumerate(nodes)]
    api.put(f"{SLICES}/front-1", {"metadata": named("front"), "endpoints": there, "ports": PORT})
    written = {"metadata": {"managedFields": [{"time": CHANGED}]}}
    api.put(f"{SYSTEM}/kube-proxy-config", {**written, "data": {"config": f"{KIND}\n{mode}\n"}})
    for number, when in enumerate(started):
        runs = {"containerStatuses": [{"state": {"running": {"startedAt": when}}}]}
        labels = {"labels": {"k8s-app": "kube-proxy"}}
        api.put(f"{PODS}/kube-proxy-{number}", {"metadata": labels, "status": runs})
    state = {"desiredNumberScheduled": 2, "updatedNumberScheduled": newest}
    state |= {"numberAvailable": available, "observedGeneration": 1}
    fields = {"metadata": {"generation": generation}, "spec": {}, "status": state}
    api.put(DAEMONSET, fields)


@pytest.fixture
def shop(api: FakeApi) -> Shop:
    """Puts the shop into a state."""
    return functools.partial(put_shop, api)


def endpoint(number: int, ready: bool = True) -> dict[str, Any]:
    """Return an endpoint; the API server refuses one without an address."""
    return {"addresses": [f"10.0.128.{20 + number}"], "conditions": {"ready": ready}}


def named(service: str) -> dict[str, Any]:
    return {"labels": {"kubernetes.io/service-name": service}}


def states(result: Any) -> list[State]:
    return [outcome.state for outcome in result.outcomes]


def rules_of(endpoints: int, mode: str = "iptables") -> Lines:
    """Return a Service's rules on a node, as the model predicts them."""
    services, slices = kubeproxy.example(1, endpoints)
    node = kubeproxy.Node("node1", ("10.0.128.10",))
    return kubeproxy.predict(services, slices, node, kubeproxy.Settings(mode)).about(services[0])


RULES, NFT_RULES = rules_of(3), rules_of(3, "nftables")
NFTABLES = "mode: nftables"
FAULTS = {"proxy-03": "A", "proxy-04": "B", "proxy-05": "C", "proxy-06": "D"}


def test_untouched(checkpoint: Check) -> None:
    assert set(states(checkpoint("proxy-01").check())) == {N}
    assert states(checkpoint("proxy-02").check(10, RULES)) == [N]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_was_not_injected_is_not_fixed(
    name: str, shop: Shop, checkpoint: Check
) -> None:
    shop()
    result = checkpoint(name).check()
    assert set(states(result)) == {N}
    assert result.outcomes[0].observation.observed == (
        f"fault {FAULTS[name]} has not been injected"
    )


GONE = {
    "proxy-03": f"{SHOP}/web", "proxy-04": f"{SHOP}/web", "proxy-05": f"{SHOP}/front",
    "proxy-06": f"{SYSTEM}/kube-proxy-config",
}  # fmt: skip


@pytest.mark.parametrize(("name", "path"), GONE.items())
def test_what_was_deleted_after_the_fault_is_gone(
    name: str, path: str, api: FakeApi, shop: Shop, checkpoint: Check
) -> None:
    shop("ABCD")
    api.remove(path)
    result = checkpoint(name).check()
    kind, what = path.split("/")[-2:]
    assert result.outcomes[0].state is F
    assert result.outcomes[0].observation.observed == f"{kind.removesuffix('s')}/{what} is missing"


def test_a_kube_proxy_that_was_deleted_is_gone(api: FakeApi, shop: Shop, checkpoint: Check) -> None:
    shop("D")
    api.remove(DAEMONSET)
    result = checkpoint("proxy-06").check()
    assert states(result) == [P, F]
    assert result.outcomes[1].observation.observed == "daemonset/kube-proxy is missing"


@pytest.mark.parametrize(
    "mode",
    ['mode: "nftables"', "mode: 'iptables'  # as before", "mode: ipvs", 'mode: ""', "x: y"],
)
def test_a_mode_is_read_as_kube_proxy_reads_it(mode: str, shop: Shop, checkpoint: Check) -> None:
    shop("D", mode=mode)
    assert checkpoint("proxy-06").require().state is P


@pytest.mark.parametrize("name", ["proxy-01", *FAULTS])
def test_solved(name: str, shop: Shop, checkpoint: Check) -> None:
    shop("ABCD")
    assert checkpoint(name).require().state is P


def test_the_other_mode_is_solved_when_every_pod_started_after_the_change(
    shop: Shop, checkpoint: Check
) -> None:
    shop(mode=NFTABLES)
    assert checkpoint("proxy-07").require().state is P


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
        ("proxy-04", {"ready": 0}, [F], "0 endpoints are Ready"),
        ("proxy-04", {"ports": []}, [F], "3 addresses are Ready, but the Service finds no port"),
        ("proxy-04", {"ports": [{"port": 80}]}, [F], "the endpoints' port is 80"),
        ("proxy-05", {"policy": "Local"}, [F], "on 1 of 2 nodes front has no endpoint"),
        ("proxy-05", {"policy": "Local", "nodes": ()}, [F], "front has no endpoint"),
        ("proxy-05", {"policy": "Cluster", "nodes": ()}, [F], "front has no endpoint"),
        ("proxy-06", {"mode": "mode: iptable"}, [F, N], "the mode is iptable"),
        ("proxy-06", {"mode": "mode: [iptables"}, [F, N], "the configuration is not YAML"),
        ("proxy-07", {"mode": NFTABLES, "started": (BEFORE, AFTER)}, [P, F], "1 of 2 pods started"),
        ("proxy-07", {"mode": NFTABLES, "available": 1}, [P, F], "1 of 2 updated pods"),
        ("proxy-07", {"mode": "mode: [nftables"}, [F, N], "the configuration is not YAML"),
        ("proxy-06", {"newest": 1}, [P, F], "1 of 2 pods run the newest template"),
        ("proxy-06", {"available": 1}, [P, F], "1 of 2 updated pods are available"),
        ("proxy-06", {"generation": 2}, [P, F], "has not processed the newest template yet"),
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


BROKEN: dict[str, dict[str, Any]] = {
    "proxy-03": {"selector": {"app": "wbe"}, "ready": 0},
    "proxy-04": {"ports": []},
    "proxy-05": {"policy": "Local"},
    "proxy-06": {"mode": "mode: iptable"},
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_solution_solves_it(
    name: str, api: FakeApi, shop: Shop, checkpoint: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Here no kernel holds rules, and the mode may be changed.
    monkeypatch.setattr(observe, "wait_for_rules", lambda *_, **__: None)
    monkeypatch.setattr(observe, "require_sandbox", lambda *_: None)
    shop("ABCD", **BROKEN[name])
    assert checkpoint(name).check(wait=False).state is F
    api.refuse = lambda _: None
    for node in ("one", "two"):
        api.put(f"/api/v1/nodes/{node}", {"status": {}})
    exec(repr(checkpoint(name).solution(reveal=True)), {"eksnet": eksnet})
    # The endpoints follow the Service, as their controller would have it.
    web = api.objects[f"{SHOP}/web"]["spec"]
    found = web["selector"] == {"app": "web"}
    ported = PORT if web.get("ports", [{"targetPort": "http"}])[0]["targetPort"] == "http" else []
    ends = [endpoint(number, found) for number in range(3)]
    api.put(f"{SLICES}/web-1", {"metadata": named("web"), "endpoints": ends, "ports": ported})
    assert checkpoint(name).require().state is P


def test_the_solution_changes_the_mode_and_restarts_kube_proxy(
    api: FakeApi, shop: Shop, checkpoint: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observe, "wait_for_rules", lambda *_, **__: None)
    monkeypatch.setattr(observe, "require_sandbox", lambda *_: None)
    shop()
    api.refuse = lambda _: None
    for node in ("one", "two"):
        api.put(f"/api/v1/nodes/{node}", {"status": {}})
    exec(repr(checkpoint("proxy-07").solution(reveal=True)), {"eksnet": eksnet})
    assert NFTABLES in api.objects[f"{SYSTEM}/kube-proxy-config"]["data"]["config"]
    assert "restartedAt" in json.dumps(api.objects[DAEMONSET]["spec"])


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("wrong", [True, False])
def test_a_check_says_the_same_again(wrong: bool, name: str, shop: Shop, checkpoint: Check) -> None:
    shop("ABCD", **(BROKEN[name] if wrong else {}))
    first, second = (checkpoint(name).check(wait=False) for _ in range(2))
    assert first.state is (F if wrong else P)
    assert repr(first) == repr(second)
    assert first._repr_html_() == second._repr_html_()


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        *((name, "eksnet-faults", C) for name in BROKEN),
        ("proxy-01", "endpointslices", C), ("proxy-03", "endpointslices", C),
        ("proxy-04", "endpointslices", C), ("proxy-05", "endpointslices", C),
        ("proxy-06", "daemonsets", C), ("proxy-06", "kube-proxy-config", C),
    ],
)  # fmt: skip
def test_what_may_not_be_read_is_no_failure(
    name: str,
    pattern: str,
    expected: State,
    status: int,
    api: FakeApi,
    shop: Shop,
    checkpoint: Check,
) -> None:
    shop("ABCD", **BROKEN.get(name, {}) if pattern == "eksnet-faults" else {})
    api.refuse = refusing(pattern, status)
    result = checkpoint(name).check()
    assert result.state is expected
    assert set(states(result)) <= {P, C}
    assert "is refused" in repr(result)


def test_being_throttled_while_waiting_is_no_failure(
    api: FakeApi, shop: Shop, checkpoint: Check
) -> None:
    shop("A", ready=2)
    asked: list[Request] = []

    def throttle(request: Request) -> Any:
        asked.append(request)
        seen = sum("endpointslices" in one.path for one in asked)
        return refusing("endpointslices", 429)(request) if seen > 1 else None

    api.refuse = throttle
    result = checkpoint("proxy-03").check()
    assert states(result) == [P, C]
    assert result.outcomes[1].observation.next_step == "wait a minute, then repeat the call"
    assert result.unchecked == 1


class TestTheNumberOfRules:
    def test_what_may_not_be_read_is_no_failure(
        self, api: FakeApi, shop: Shop, checkpoint: Check
    ) -> None:
        shop()
        api.refuse = refusing("endpointslices")
        assert checkpoint("proxy-02").check(10, RULES).state is C

    @pytest.mark.parametrize(
        ("name", "rules", "prediction", "state"),
        [
            ("proxy-02", RULES, 10, P), ("proxy-02", RULES, "10 rules", P),
            ("proxy-02", RULES, 7, F), ("proxy-02", RULES, "ten", F),
            ("proxy-08", NFT_RULES, 8, P), ("proxy-08", NFT_RULES, "8 lines", P),
            ("proxy-08", NFT_RULES, 10, F),
        ],
    )  # fmt: skip
    def test_a_prediction(
        self,
        name: str,
        rules: Lines,
        prediction: Any,
        state: State,
        shop: Shop,
        checkpoint: Check,
    ) -> None:
        shop()
        assert checkpoint(name).check(prediction, rules).state is state

    @pytest.mark.parametrize(
        ("name", "rules", "mode", "other"),
        [
            ("proxy-02", NFT_RULES, "iptables", "nftables"),
            ("proxy-08", RULES, "nftables", "iptables"),
        ],
    )
    def test_the_rules_of_the_other_mode_are_no_answer_to_compare_with(
        self, name: str, rules: Lines, mode: str, other: str, shop: Shop, checkpoint: Check
    ) -> None:
        shop()
        result = checkpoint(name).check(len(rules), rules)
        told = result.outcomes[0].observation
        assert (result.state, result.points) == (N, 0)
        assert told.observed == f"the rules passed to the check are of mode {other}"
        assert told.next_step.endswith(f'kubeproxy.switch_mode(cluster, "{mode}")')

    @pytest.mark.parametrize(
        ("wrong", "endpoints", "reason"),
        [
            ({"selector": {"app": "wbe"}, "ready": 0}, 0, "0 endpoints are Ready"),
            ({"ports": []}, 0, "3 addresses are Ready, but the Service finds no port there"),
            ({}, 2, "the rules passed to the check lead to 2 endpoints, but web has 3"),
            ({}, 0, "the rules passed to the check lead to 0 endpoints, but web has 3"),
        ],
    )
    def test_a_broken_cluster_is_no_example(
        self,
        wrong: dict[str, Any],
        endpoints: int,
        reason: str,
        shop: Shop,
        checkpoint: Check,
    ) -> None:
        shop(**wrong)
        rules = rules_of(endpoints)
        result = checkpoint("proxy-02").check(len(rules), rules)
        assert states(result) == [F]
        assert result.outcomes[0].observation.observed == reason

    @pytest.mark.parametrize("observed", [None, 10, "10", Listing((), ((),) * 10, (1,) * 10)])
    def test_the_rules_have_to_be_handed_in(
        self, observed: Any, shop: Shop, checkpoint: Check
    ) -> None:
        shop()
        result = checkpoint("proxy-02").check(10, observed)
        assert states(result) == [N]
        assert result.outcomes[0].observation.observed == "no rules were passed to the check"
