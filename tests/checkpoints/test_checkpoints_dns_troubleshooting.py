"""The checkpoints on faults of the cluster's DNS, on clusters that are right and on others."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from fake_api import FakeApi, Request, failure
from lab_api import Check, refusing

import eksnet
from eksnet.checkpoints import State
from eksnet.coredns.configuration import configuration_hash

P, F, N, C = State.PASS, State.FAIL, State.NOT_STARTED, State.CANNOT_CHECK
SYSTEM = "/api/v1/namespaces/kube-system"
PODS = f"{SYSTEM}/pods"
DEPLOYMENT = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
SLICE = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/kube-dns-1"
COREFILE = """\
.:53 {
    errors
    health
    ready
    kubernetes cluster.local
    reload
}
"""
LABELS = {"k8s-app": "kube-dns"}
PORTS = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
REFUSES = "[ERROR] plugin/reload: x:3 - Error during parsing: Unknown directive 'logg'\n"

Cluster = Callable[..., None]


def put_dns(
    api: FakeApi,
    injected: str = "A",
    *,
    replicas: int = 2,
    ready: int = 2,
    labels: Any = LABELS,
    endpoints: int = 2,
    ports: Any = PORTS,
    corefile: str = COREFILE,
    runs: str = COREFILE,
    said: str = "",
) -> None:
    """Make it.

    Args:
        api: The API server.
        injected: The fault that was injected; none when empty.
        replicas: How many pods the Deployment asks for.
        ready: How many of them are Ready.
        labels: What the Service selects.
        endpoints: How many of them stand behind the Service.
        ports: The Service's ports.
        corefile: The ConfigMap's text.
        runs: The text that the pods took over last.
        said: What they logged after that.
    """
    record = {f"dns-{injected}": json.dumps({})} if injected else {}
    api.put(f"{SYSTEM}/configmaps/eksnet-faults", {"data": record})
    api.put(f"{SYSTEM}/configmaps/coredns", {"data": {"Corefile": corefile}})
    api.put(DEPLOYMENT, {"spec": {"replicas": replicas}})
    service = {"clusterIP": "10.100.0.10", "selector": labels, "ports": ports}
    api.put(f"{SYSTEM}/services/kube-dns", {"spec": service})
    ends = [{"conditions": {"ready": True}}] * endpoints
    of = {"labels": {"kubernetes.io/service-name": "kube-dns"}}
    api.put(SLICE, {"metadata": of, "endpoints": ends})
    for number in range(replicas):
        state = [{"type": "Ready", "status": "True" if number < ready else "False"}]
        path = f"{PODS}/coredns-{number}"
        api.put(path, {"metadata": {"labels": LABELS}, "status": {"conditions": state}})
        running = f"Running configuration SHA512 = {configuration_hash(runs)}\n"
        api.logs[path] = running + said


@pytest.fixture
def dns(api: FakeApi) -> Cluster:
    """Puts a cluster's DNS into a state."""
    return functools.partial(put_dns, api)


NAMES = ("trouble-01", "trouble-02", "trouble-03", "trouble-04")


def states(result: Any) -> list[State]:
    return [outcome.state for outcome in result.outcomes]


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_that_was_not_injected_is_not_fixed(
    name: str, dns: Cluster, checkpoint: Check
) -> None:
    dns("")
    result = checkpoint(name).check()
    assert set(states(result)) == {N}
    assert "coredns.inject_fault(cluster" in result.outcomes[0].observation.next_step


@pytest.mark.parametrize(("name", "fault"), list(zip(NAMES, "ABCD", strict=True)))
def test_a_repaired_one(name: str, fault: str, dns: Cluster, checkpoint: Check) -> None:
    dns(fault)
    assert checkpoint(name).require().state is P


BROKEN: dict[str, dict[str, Any]] = {
    "A": {"replicas": 0, "endpoints": 0},
    "B": {"labels": {"k8s-app": "kube-dsn"}, "endpoints": 0},
    "C": {"corefile": COREFILE.replace("errors", "errors\n    logg"), "said": REFUSES},
    "D": {"ports": PORTS[1:]},
}


@pytest.mark.parametrize(("name", "fault"), list(zip(NAMES, "ABCD", strict=True)))
def test_the_solution_solves_it(
    name: str, fault: str, api: FakeApi, dns: Cluster, checkpoint: Check
) -> None:
    dns(fault, **BROKEN[fault])
    assert checkpoint(name).check(wait=False).state is F
    api.refuse = lambda _: None
    exec(repr(checkpoint(name).solution(reveal=True)), {"eksnet": eksnet})
    # Pods, endpoints and logs follow the objects, as controllers and CoreDNS would have it.
    service = api.objects[f"{SYSTEM}/services/kube-dns"]["spec"]
    corefile = api.objects[f"{SYSTEM}/configmaps/coredns"]["data"]["Corefile"]
    assert "logg\n" not in corefile
    dns(
        fault,
        replicas=api.objects[DEPLOYMENT]["spec"]["replicas"],
        labels=service["selector"],
        ports=service["ports"],
        endpoints=2 if service["selector"] == LABELS else 0,
        corefile=corefile,
        runs=corefile,
    )
    assert checkpoint(name).require().state is P


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize(
    ("name", "fault", "pattern"),
    [
        *((name, fault, "eksnet-faults") for name, fault in zip(NAMES, "ABCD", strict=True)),
        ("trouble-01", "A", "endpointslices"), ("trouble-02", "B", "endpointslices"),
        ("trouble-03", "C", "/log$"), ("trouble-03", "C", "/pods$"),
    ],
)  # fmt: skip
def test_what_may_not_be_read_is_no_failure(
    name: str,
    fault: str,
    pattern: str,
    status: int,
    api: FakeApi,
    dns: Cluster,
    checkpoint: Check,
) -> None:
    dns(fault, **(BROKEN[fault] if pattern == "eksnet-faults" else {}))
    api.refuse = refusing(pattern, status)
    result = checkpoint(name).check()
    assert result.state is C
    assert set(states(result)) <= {P, C}


@pytest.mark.parametrize(
    ("name", "fault", "wrong", "expected", "reason"),
    [
        ("trouble-01", "A", {"replicas": 0, "endpoints": 0}, [F, N], "asks for 0 pods"),
        ("trouble-01", "A", {"ready": 1}, [F, N], "1 of 2 pods are Ready"),
        ("trouble-01", "A", {"endpoints": 0, "labels": {"a": "b"}}, [P, F], "selects a=b"),
        ("trouble-02", "B", {"labels": {"k8s-app": "dsn"}, "endpoints": 0}, [F, N], "k8s-app=dsn"),
        ("trouble-02", "B", {"labels": {}, "endpoints": 0}, [F, N], "it selects nothing"),
        ("trouble-02", "B", {"endpoints": 0}, [P, F], "none, and 2 pods"),
        (
            "trouble-03", "C", {"corefile": COREFILE.replace("errors", "logg"), "said": REFUSES},
            [F], "refuses it, line 3: Unknown directive 'logg'",
        ),
        ("trouble-01", "A", {"endpoints": 1}, [P, F], "1, and 2 pods of CoreDNS are Ready"),
        ("trouble-02", "B", {"endpoints": 1}, [P, F], "1, and 2 pods of CoreDNS are Ready"),
        ("trouble-02", "B", {"ready": 1, "endpoints": 1}, [P, F], "1 of 2 pods are Ready"),
        ("trouble-03", "C", {"corefile": COREFILE[:-2], "runs": COREFILE}, [F], "is not closed"),
        ("trouble-03", "C", {"runs": "a {\n}\n"}, [F], "0 of 2 pods run it"),
        ("trouble-03", "C", {"replicas": 0}, [F], "CoreDNS has no pods"),
        ("trouble-04", "D", {"ports": PORTS[1:]}, [F], "no port 53 for UDP"),
        ("trouble-04", "D", {"ports": PORTS[:1]}, [F], "no port 53 for TCP"),
    ],
)  # fmt: skip
def test_wrong(
    name: str,
    fault: str,
    wrong: dict[str, Any],
    expected: list[State],
    reason: str,
    dns: Cluster,
    checkpoint: Check,
) -> None:
    dns(fault, **wrong)
    result = checkpoint(name).check(wait=False)
    assert states(result) == expected
    assert reason in result.outcomes[expected.index(F)].observation.observed


@pytest.mark.parametrize(("name", "fault"), [("trouble-02", "B"), ("trouble-04", "D")])
def test_a_service_that_is_gone(
    name: str, fault: str, api: FakeApi, dns: Cluster, checkpoint: Check
) -> None:
    dns(fault)
    api.remove(f"{SYSTEM}/services/kube-dns")
    result = checkpoint(name).check()
    assert states(result)[0] is F
    assert result.outcomes[0].observation.observed == "service/kube-dns is missing"


def test_a_pod_that_starts_is_waited_for_and_one_that_leaves_does_not_count(
    api: FakeApi, dns: Cluster, checkpoint: Check
) -> None:
    dns("C")
    path = f"{PODS}/coredns-1"
    log = api.logs.pop(path)
    terminating = {"labels": LABELS, "deletionTimestamp": "now"}
    api.put(f"{PODS}/coredns-old", {"metadata": terminating})
    api.logs[f"{PODS}/coredns-old"] = REFUSES

    def starting(request: Request) -> Any:
        if request.path != f"{path}/log" or path in api.logs:
            return None
        if sum(one.path == request.path for one in api.requests) > 1:
            api.logs[path] = log
        return 400, failure(400, "BadRequest", "container is waiting to start")

    api.refuse = starting
    result = checkpoint("trouble-03").check(wait=False)
    assert (states(result), result.outcomes[0].observation.observed) == ([F], "1 of 2 pods run it")
    assert checkpoint("trouble-03").check().state is P


def test_a_corefile_that_each_pod_has_refused_is_not_waited_for(
    dns: Cluster, checkpoint: Check
) -> None:
    dns("C", **BROKEN["C"])
    began = time.monotonic()
    assert checkpoint("trouble-03").check().state is F
    assert time.monotonic() - began < 10


def test_what_the_pods_do_not_tell_is_no_failure(dns: Cluster, checkpoint: Check) -> None:
    dns("C", corefile=COREFILE.replace("    reload\n", ""))
    result = checkpoint("trouble-03").check()
    assert states(result) == [C]
    assert "has no plugin reload" in result.outcomes[0].observation.observed


def test_a_check_does_not_give_the_cause_away(dns: Cluster, checkpoint: Check) -> None:
    """What to do is for the learner to find: hints say it, the check says where to look."""
    dns("D", ports=PORTS[1:])
    assert "patch" not in repr(checkpoint("trouble-04").check())
