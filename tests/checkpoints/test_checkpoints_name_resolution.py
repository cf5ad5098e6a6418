"""The checkpoints of 01b_name_resolution on clusters that are right, and on those that are not."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from fake_api import FakeApi
from lab_api import Check, refusing

from eksnet import dns
from eksnet.checkpoints import State
from eksnet.dns.resolvconf import pod_resolv_conf
from eksnet.dns.walk import walk

P, F, N, C = State.PASS, State.FAIL, State.NOT_STARTED, State.CANNOT_CHECK
SERVICE = "my-service.app-ns.svc.cluster.local"
OUTSIDE = "ip-10-0-128-10.ap-northeast-2.compute.internal"
SEARCH = list(pod_resolv_conf("ops-ns").search)
WITNESS = "/api/v1/namespaces/witness/pods/witness"
CONFIGMAP = "/api/v1/namespaces/witness/configmaps/witness"
POD = "/api/v1/namespaces/ops-ns/pods/op-pod-1"
COREFILE = ".:53 {\n  log\n  ready\n  forward . /etc/resolv.conf\n}\n"

Stage = Callable[..., None]


def put_stage(
    api: FakeApi,
    *,
    service: str = "app-ns",
    ready: str = "True",
    corefile: str = COREFILE,
    policy: str = "None",
    nameserver: str = "10.0.129.9",
    search: Sequence[str] = tuple(SEARCH),
    ndots: str = "5",
) -> None:
    api.put(f"/api/v1/namespaces/{service}/services/my-service", {})
    conditions = [{"type": "Ready", "status": ready}]
    api.put(WITNESS, {"status": {"podIP": "10.0.129.9", "conditions": conditions}})
    api.put(CONFIGMAP, {"data": {"Corefile": corefile}})
    settings = {
        "nameservers": [nameserver],
        "searches": list(search),
        "options": [{"name": "ndots", "value": ndots}] if ndots else [],
    }
    spec: dict[str, Any] = {"dnsPolicy": policy, "dnsConfig": settings}
    api.put(POD, {"spec": spec, "status": {"podIP": "10.0.145.7"}})


@pytest.fixture
def stage(api: FakeApi) -> Stage:
    """Puts everything in its place, but for what a test wants otherwise."""
    return functools.partial(put_stage, api)


def asked(api: FakeApi, name: str, namespace: str = "ops-ns", client: str = "10.0.145.7") -> None:
    """Let the witness log a walk, in pairs as glibc asks."""
    walk = dns.search_walk(name, pod_resolv_conf(namespace), {SERVICE, OUTSIDE})
    log = api.logs.get(WITNESS, ".:53\n[INFO] plugin/reload: Running\n")
    for query in walk:
        for kind in ("A", "AAAA"):
            rcode = "NOERROR" if query.answered else "NXDOMAIN"
            log += f'[INFO] {client}:40000 - 7 "{kind} IN {query.name}. udp 50" {rcode} qr 0.1s\n'
    api.logs[WITNESS] = log + f'[INFO] {client}:4 - 7 "A IN end-12. udp 50" NXDOMAIN qr 0.1s\n'


def states(result: Any) -> list[State]:
    return [outcome.state for outcome in result.outcomes]


def test_untouched(api: FakeApi, checkpoint: Check) -> None:
    assert set(states(checkpoint("dns-01").check())) == {N}
    for name in ("dns-02", "dns-03"):
        assert states(checkpoint(name).check(["my-service"])) == [N, N]


def test_a_stage_that_is_set(stage: Stage, checkpoint: Check) -> None:
    stage()
    assert checkpoint("dns-01").require().points == 5


@pytest.mark.parametrize(
    ("fields", "number", "reason"),
    [
        ({"service": "ops-ns"}, 0, "my-service is in ops-ns"),
        ({"service": "default"}, 0, "my-service is in default"),
        ({"ready": "False"}, 1, "the pod witness is not Ready"),
        ({"corefile": COREFILE.replace("log", "errors")}, 2, "log missing"),
        ({"corefile": ".:53 {\n errors\n}\n"}, 2, "log and forward missing"),
        ({"policy": "ClusterFirst"}, 3, "its DNS policy is ClusterFirst"),
        ({"nameserver": "10.100.0.10"}, 3, "its nameserver is not the witness"),
        ({"search": SEARCH[1:]}, 4, "its search list starts with svc.cluster.local, cluster.l"),
        ({"search": pod_resolv_conf("app-ns").search}, 4, "starts with app-ns.svc.cluster.local"),
        ({"search": []}, 4, "its search list starts with nothing"),
        ({"ndots": "2"}, 4, "its ndots is 2"),
        ({"ndots": ""}, 4, "its ndots is not set, which means 1"),
    ],
)
def test_a_stage_that_is_not_set(
    fields: dict[str, Any], number: int, reason: str, stage: Stage, checkpoint: Check
) -> None:
    stage(**fields)
    result = checkpoint("dns-01").check(wait=False)
    assert states(result) == [F if place == number else P for place in range(5)]
    assert reason in result.outcomes[number].observation.observed


PREDICTIONS = {"dns-02": "my-service", "dns-03": "my-service.app-ns"}


@pytest.mark.parametrize(("checkpoint_id", "name"), PREDICTIONS.items())
def test_a_right_prediction(
    checkpoint_id: str, name: str, api: FakeApi, stage: Stage, checkpoint: Check
) -> None:
    stage()
    # Others ask too, and so did the pod for other names, before and after.
    for other in PREDICTIONS.values():
        asked(api, other)
        asked(api, other, client="10.0.145.99")
    walk = walk_of(name)
    assert states(checkpoint(checkpoint_id).require(by_hand(walk))) == [P, P]
    assert states(checkpoint(checkpoint_id).check(list(walk.names))) == [P, N]


@pytest.mark.parametrize(("checkpoint_id", "name"), PREDICTIONS.items())
def test_what_the_model_computes_is_no_prediction(
    checkpoint_id: str, name: str, api: FakeApi, stage: Stage, checkpoint: Check
) -> None:
    stage()
    asked(api, name)
    result = checkpoint(checkpoint_id).check(walk_of(name))
    assert (states(result), result.points) == ([N, N], 0)
    first = result.outcomes[0].observation
    assert first.observed == "this table comes from the course; it is not your own prediction"
    assert 'prediction = [("NAME", "X"), ("NAME", "O")]' in first.next_step


LONG = [("my-service.app-ns.ops-ns.svc.cluster.local", "X"), (SERVICE, "O")]


@pytest.mark.parametrize(
    ("answer", "expected", "reason"),
    [
        (LONG[1:], [F, F], f"row 1: {LONG[0][0]}"),
        (LONG[:1], [F, F], f"row 2: {SERVICE}"),
        ([*LONG, ("my-service.app-ns.cluster.local", "X")], [F, F], "row 3: nothing"),
        ([LONG[0], (SERVICE, "X")], [P, F], "row 2: O"),
    ],
)
def test_a_wrong_prediction(
    answer: Any, expected: list[State], reason: str, api: FakeApi, stage: Stage, checkpoint: Check
) -> None:
    stage()
    asked(api, "my-service.app-ns")
    result = checkpoint("dns-03").check(answer)
    assert states(result) == expected
    assert result.outcomes[expected.index(F)].observation.observed == reason


@pytest.mark.parametrize(
    ("search", "row"),
    [(SEARCH[:3], "row 4: my-service"), (SEARCH[1:], "row 1: my-service.svc.cluster.local")],
)
def test_a_right_prediction_on_a_wrong_cluster(
    search: list[str], row: str, api: FakeApi, stage: Stage, checkpoint: Check
) -> None:
    stage(search=search)
    log = "".join(
        f'[INFO] 10.0.145.7:4 - 7 "A IN {name}. udp 50" NXDOMAIN qr 0.1s\n'
        for name in (*(f"my-service.{domain}" for domain in search), "my-service")
    )
    api.logs[WITNESS] = log
    result = checkpoint("dns-02").check(by_hand(walk_of("my-service")))
    assert result.state is F
    assert result.outcomes[0].observation.observed == row


@pytest.mark.parametrize(
    ("search", "row"),
    [
        (SEARCH[2:], "row 1: my-service.app-ns.cluster.local"),
        (SEARCH[1:], f"row 1: {SERVICE}"),
        (
            ["other.svc.cluster.local", *SEARCH[1:]],
            f"row 1: my-service.app-ns.other.svc{SERVICE[21:]}",
        ),
    ],
)
def test_a_right_long_prediction_on_a_wrong_cluster(
    search: list[str], row: str, api: FakeApi, stage: Stage, checkpoint: Check
) -> None:
    stage(search=search)
    for query in walk_of("my-service.app-ns", search):
        rcode = "NOERROR" if query.answered else "NXDOMAIN"
        api.logs[WITNESS] = api.logs.get(WITNESS, "") + (
            f'[INFO] 10.0.145.7:4 - 7 "A IN {query.name}. udp 50" {rcode} qr 0.1s\n'
        )
    result = checkpoint("dns-03").check(LONG)
    assert result.state is F
    assert result.outcomes[0].observation.observed == row


def test_the_last_walk_counts(api: FakeApi, stage: Stage, checkpoint: Check) -> None:
    stage()
    first = "my-service.app-ns.ops-ns.svc.cluster.local"
    # Before the Service was there, the walk went on to its end.
    for name in (first, SERVICE, "my-service.app-ns.cluster.local", "my-service.app-ns"):
        api.logs[WITNESS] = api.logs.get(WITNESS, "") + (
            f'[INFO] 10.0.145.7:4 - 7 "A IN {name}. udp 50" NXDOMAIN qr 0.1s\n'
        )
    assert states(checkpoint("dns-03").check(LONG)) == [F, F]
    asked(api, "my-service.app-ns")
    assert states(checkpoint("dns-03").check(LONG)) == [P, P]


@pytest.mark.parametrize("place", range(1, 10))
def test_a_line_that_is_logged_late_belongs_to_its_walk(
    place: int, api: FakeApi, stage: Stage, checkpoint: Check
) -> None:
    stage()
    queries = [(kind, one.name) for one in walk_of("my-service") for kind in ("A", "AAAA")]
    late = queries.pop(1)
    queries.insert(place, late)
    # The walk of before has nothing to do with it.
    api.logs[WITNESS] = "".join(
        f'[INFO] 10.0.145.7:4 - 7 "{kind} IN {name}. udp 50" NXDOMAIN qr 0.1s\n'
        for kind, name in [*queries[:4], *queries]
    )
    found = checkpoint("dns-02").check(by_hand(walk_of("my-service")))
    assert found.state is P, found


def test_without_the_pod_there_is_nothing_to_compare(
    api: FakeApi, stage: Stage, checkpoint: Check
) -> None:
    stage()
    asked(api, "my-service")
    api.remove(POD)
    assert states(checkpoint("dns-02").check(["my-service"])) == [N, N]


@pytest.mark.parametrize("status", [403, 429])
def test_a_log_that_may_not_be_read_is_no_failure(
    status: int, api: FakeApi, stage: Stage, checkpoint: Check
) -> None:
    stage()
    api.refuse = refusing("/log$", status)
    assert states(checkpoint("dns-02").check(["my-service"])) == [C, C]
    assert states(checkpoint("dns-03").check(LONG)) == [C, C]
    assert states(checkpoint("dns-04").check(10, walk_of(OUTSIDE))) == [C]
    assert checkpoint("dns-01").check().state is P


def walk_of(name: str, search: Sequence[str] = SEARCH) -> dns.Walk:
    conf = dns.ResolvConf(("10.0.129.9",), tuple(search), ndots=5)
    return dns.search_walk(name, conf, {SERVICE, OUTSIDE})


def by_hand(walk: dns.Walk) -> list[tuple[str, str]]:
    """Return a walk as a learner writes it: a pair for each name."""
    return [(query.name, query.mark) for query in walk]


class TestTheCost:
    @pytest.mark.parametrize(
        ("prediction", "state"), [(10, P), ("10", P), ("10 queries", P), (2, F), (8, F)]
    )
    def test_a_prediction(
        self, prediction: Any, state: State, api: FakeApi, stage: Stage, checkpoint: Check
    ) -> None:
        stage()
        asked(api, OUTSIDE)
        assert walk_of(OUTSIDE).query_count == 10
        assert checkpoint("dns-04").check(prediction, walk_of(OUTSIDE)).state is state

    def test_a_right_prediction_on_a_wrong_cluster(
        self, api: FakeApi, stage: Stage, checkpoint: Check
    ) -> None:
        """A pod with a shorter search list asks less; its walk is no other pod's."""
        stage(search=SEARCH[1:])
        short = walk_of(OUTSIDE, SEARCH[1:])
        asked(api, OUTSIDE)
        result = checkpoint("dns-04").check(10, short)
        assert (states(result), result.outcomes[0].observation.observed) == ([F], "8")
        result = checkpoint("dns-04").check(10, walk_of(OUTSIDE))
        assert states(result) == [N]
        assert (
            result.outcomes[0].observation.observed == "the walk passed to the check is a "
            "different one"
        )

    def test_a_walk_that_the_witness_has_not_seen(
        self, api: FakeApi, stage: Stage, checkpoint: Check
    ) -> None:
        stage()
        asked(api, OUTSIDE, client="10.0.145.8")
        result = checkpoint("dns-04").check(10, walk_of(OUTSIDE))
        assert states(result) == [N]
        assert "has not logged a query of op-pod-1" in result.outcomes[0].observation.observed

    @pytest.mark.parametrize(
        ("prediction", "walk"),
        [
            (0, walk([])),
            (4, walk_of("my-service.app-ns")),
            (10, walk_of("my-service")),
            # With a final dot nothing is searched.
            (2, walk_of(f"{OUTSIDE}.")),
        ],
        ids=["empty", "inside", "inside and not found", "a final dot"],
    )
    def test_another_walk_is_not_what_was_asked_for(
        self, prediction: int, walk: Any, api: FakeApi, stage: Stage, checkpoint: Check
    ) -> None:
        stage()
        for name in ("my-service.app-ns", "my-service", OUTSIDE):
            asked(api, name)
        result = checkpoint("dns-04").check(prediction, walk)
        assert states(result) == [N]
        assert (
            result.outcomes[0].observation.observed == "the walk passed to the check is a "
            "different one"
        )

    @pytest.mark.parametrize("gone", [(POD,), (WITNESS,), (POD, WITNESS)])
    def test_without_the_pod_or_the_witness_there_is_nothing_to_compare(
        self, gone: Sequence[str], api: FakeApi, stage: Stage, checkpoint: Check
    ) -> None:
        stage()
        asked(api, OUTSIDE)
        for path in gone:
            api.remove(path)
        if WITNESS in gone:
            del api.logs[WITNESS]
        for prediction, handed_in in ((10, walk_of(OUTSIDE)), (0, walk([]))):
            assert states(checkpoint("dns-04").check(prediction, handed_in)) == [N]

    @pytest.mark.parametrize("observed", [None, 10, "my-service"])
    def test_the_walk_has_to_be_handed_in(
        self, observed: Any, api: FakeApi, checkpoint: Check
    ) -> None:
        result = checkpoint("dns-04").check(10, observed)
        assert states(result) == [N]
        assert result.outcomes[0].observation.observed == "no walk was passed to the check"
