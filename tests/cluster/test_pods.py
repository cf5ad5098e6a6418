from __future__ import annotations

import json
from typing import Any

import pytest
from fake_api import FakeApi, Request, failure

from eksnet.cluster import ApiError, Cluster, DeadlineError, Exec, PodRun, pods
from eksnet.errors import EksnetError

BASE = "/api/v1/namespaces/default/pods"


def kubelet(api: FakeApi, state: dict[str, Any], phase: str, log: str = "") -> None:
    """Let every new pod come to a state at once."""

    def react(path: str, one: dict[str, Any]) -> None:
        if one["kind"] == "Pod" and "status" not in one:
            api.logs[path] = log
            status = {"phase": phase, "containerStatuses": [{"name": "main", "state": state}]}
            api.put(path, {**one, "status": status})

    api.react = react


def test_a_command_runs_in_a_pod_of_its_own(fake: Cluster, api: FakeApi) -> None:
    kubelet(api, {"terminated": {"exitCode": 0}}, "Succeeded", log="Server: 10.100.0.10\n")
    ran = fake.run("busybox:1.36", "nslookup 'myapp.local'", labels={"a": "b"})
    assert ran == PodRun("busybox:1.36", ("nslookup", "myapp.local"), "Server: 10.100.0.10\n", 0)
    assert str(ran) == "Server: 10.100.0.10\n"
    assert repr(ran) == "Server: 10.100.0.10"
    created, deleted = api.writes
    pod = json.loads(created.body)
    ours = {"app.kubernetes.io/managed-by": "eksnet", "eksnet": "course"}
    assert pod["metadata"]["labels"] == {**ours, "eksnet-run": fake.run_id, "a": "b"}
    assert pod["spec"]["restartPolicy"] == "Never"
    assert (deleted.method, deleted.query) == ("DELETE", {"gracePeriodSeconds": "0"})
    assert not [path for path in api.objects if path.startswith(BASE)]


def test_a_pods_spec_and_name_can_be_given(fake: Cluster, api: FakeApi) -> None:
    kubelet(api, {"terminated": {"exitCode": 0}}, "Succeeded")
    fake.run("busybox", ["cat", "/etc/hostname"], name="op-pod-1", spec={"dnsPolicy": "Default"})
    pod = json.loads(api.writes[0].body)
    assert pod["metadata"]["name"] == "op-pod-1"
    assert pod["spec"]["dnsPolicy"] == "Default"
    assert pod["spec"]["containers"][0]["command"] == ["cat", "/etc/hostname"]


def test_a_command_that_fails_is_an_answer(fake: Cluster, api: FakeApi) -> None:
    kubelet(api, {"terminated": {"exitCode": 1}}, "Failed", log="can't resolve\n")
    ran = fake.run("busybox", "nslookup nope")
    assert ran.exit_code == 1
    assert repr(ran) == "can't resolve\n(exit code 1)"


@pytest.mark.parametrize(
    ("state", "phase", "told"),
    [
        ({"waiting": {"reason": "ErrImagePull", "message": "unknown"}}, "Pending", "unknown"),
        (
            {"terminated": {"reason": "StartError", "message": "not found", "exitCode": 128}},
            "Failed",
            "could not be started: not found",
        ),
        ({"waiting": {"reason": "ContainerCreating"}}, "Pending", "not finished after 0 s"),
    ],
)
def test_a_pod_that_cannot_run_is_told_and_taken_away(
    state: dict[str, Any], phase: str, told: str, fake: Cluster, api: FakeApi
) -> None:
    kubelet(api, state, phase)
    with pytest.raises(EksnetError, match=told):
        fake.run("nope", "true", timeout=0)
    assert not [path for path in api.objects if path.startswith(BASE)]


@pytest.mark.parametrize(
    "state",
    [
        {"state": {"terminated": {"exitCode": 1}}},
        {
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 1}},
        },
    ],
)
def test_a_container_that_the_command_waits_for_ends_the_wait_in_its_own_words(
    state: dict[str, Any], fake: Cluster, api: FakeApi
) -> None:
    def react(path: str, one: dict[str, Any]) -> None:
        if one["kind"] == "Pod" and "status" not in one:
            api.logs[path] = "first\nUnknown directive 'hots'\n"
            waits = {"name": "main", "state": {"waiting": {"reason": "PodInitializing"}}}
            status = {
                "phase": "Pending",
                "initContainerStatuses": [{"name": "server", **state}],
                "containerStatuses": [waits],
            }
            api.put(path, {**one, "status": status})

    api.react = react
    with pytest.raises(pods.NeededError, match="the container server failed") as raised:
        fake.run("busybox", "true", timeout=30)
    assert raised.value.log == "first\nUnknown directive 'hots'"
    assert raised.value.expected
    assert not [path for path in api.objects if path.startswith(BASE)]


def test_a_pod_of_that_name_is_left_alone(fake: Cluster, api: FakeApi) -> None:
    api.put(f"{BASE}/op-pod-1", {"status": {"phase": "Running"}})
    with pytest.raises(ApiError, match="it is there already"):
        fake.run("busybox", "true", name="op-pod-1")
    assert f"{BASE}/op-pod-1" in api.objects


@pytest.mark.parametrize("command", ["", [], "echo 'a"])
def test_what_is_no_command_is_refused(
    command: str | list[str], fake: Cluster, api: FakeApi
) -> None:
    with pytest.raises(EksnetError, match=r"empty|quotation"):
        fake.run("busybox", command)
    assert api.writes == []


def test_an_exec_that_is_refused_is_told(fake: Cluster, api: FakeApi) -> None:
    def refuse(request: Request) -> Any:
        if request.path.endswith("/exec"):
            return 403, failure(403, "Forbidden", "you may not")
        return None

    api.refuse = refuse
    with pytest.raises(ApiError, match="says: you may not") as caught:
        fake.exec("web", "true")
    assert caught.value.status == 403


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (b'{"status": "Success"}', 0),
        (
            b'{"status": "Failure", "details":'
            b' {"causes": [{"reason": "ExitCode", "message": "3"}]}}',
            3,
        ),
    ],
)
def test_an_exec_tells_its_exit_code(status: bytes, code: int) -> None:
    assert pods._exit_code(status, ["true"], "web") == code


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (b'{"status": "Failure", "message": "no such program"}', "no such program"),
        (b"", "connection was lost"),
    ],
)
def test_an_exec_that_did_not_run_is_told(status: bytes, told: str) -> None:
    with pytest.raises(EksnetError, match=told):
        pods._exit_code(status, ["true"], "web")


def test_an_exec_shows_both_outputs() -> None:
    done = Exec(("x",), "out\n", "err\n", 2)
    assert repr(done) == "out\nerr\n(exit code 2)"
    assert str(done) == "out\n"
    assert repr(Exec(("x",), "", "", 0)) == "(no output)"


def test_a_missing_deadline_is_a_deadline_error(fake: Cluster, api: FakeApi) -> None:
    kubelet(api, {"running": {}}, "Running")
    with pytest.raises(DeadlineError):
        fake.run("busybox", "sleep 100", timeout=0)
