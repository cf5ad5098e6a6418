from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from fake_api import FakeApi, Request, failure

from eksnet.cluster import Cluster, DeadlineError

BASE = "/api/v1/namespaces/default"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
READY = {"conditions": [{"type": "Ready", "status": "True"}]}


def when_watched(api: FakeApi, then: Callable[[], Any]) -> None:
    """Do something once, when the first watch begins: as a controller would, in between."""
    done = threading.Event()

    def refuse(request: Request) -> None:
        if "watch" in request.query and not done.is_set():
            done.set()
            then()

    api.refuse = refuse


def test_what_holds_already_is_said_at_once(
    fake: Cluster, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.put(f"{BASE}/pods/web", {"status": READY})
    fake.wait("pod", "web", "Ready")
    assert capsys.readouterr() == ("pod/web in default is Ready\n", "")
    assert not any("watch" in request.query for request in api.requests)


def test_a_change_ends_the_wait(
    fake: Cluster, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    path = f"{BASE}/pods/web"
    api.put(path, {"status": {}})
    when_watched(api, lambda: api.put(path, {"status": READY}))
    fake.wait("pod/web")
    assert capsys.readouterr() == ("pod/web in default is Ready\n", "")


def test_an_object_may_come_later(fake: Cluster, api: FakeApi) -> None:
    when_watched(api, lambda: api.put(f"{BASE}/pods/web", {"status": READY}))
    fake.wait("pod/web")
    assert f"{BASE}/pods/web" in api.objects


def test_a_deleted_object_ends_the_wait_for_its_end(fake: Cluster, api: FakeApi) -> None:
    api.put(f"{BASE}/pods/web", {})
    when_watched(api, lambda: api.remove(f"{BASE}/pods/web"))
    fake.wait("pod/web", condition="Deleted")
    assert f"{BASE}/pods/web" not in api.objects


def test_a_watch_that_is_too_old_begins_again(fake: Cluster, api: FakeApi) -> None:
    path = f"{BASE}/pods/web"
    api.put(path, {"status": {}})
    once = iter([(410, failure(410, "Expired", "too old resource version"))])

    def refuse(request: Request) -> Any:
        if "watch" not in request.query:
            return None
        if refusal := next(once, None):
            api.put(path, {"status": READY})
            return refusal
        return None

    api.refuse = refuse
    fake.wait("pod/web")
    lists = [r for r in api.requests if r.path == f"{BASE}/pods" and "watch" not in r.query]
    assert len(lists) == 2


def test_endpoints_of_a_service(
    fake: Cluster, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    labels = {"kubernetes.io/service-name": "web"}
    endpoint = {"addresses": ["10.0.0.1"], "conditions": {"ready": True}}
    fields = {"metadata": {"labels": labels}, "endpoints": [endpoint]}
    when_watched(api, lambda: api.put(f"{slices}/web-abc", fields))
    fake.wait("service/web", condition="EndpointsReady")
    assert capsys.readouterr().out == "service/web in default is EndpointsReady\n"


def test_a_missed_deadline_tells_what_was_seen(fake: Cluster, api: FakeApi) -> None:
    because = {"reason": "ContainersNotReady", "message": "containers: [main]"}
    state = {"conditions": [{"type": "Ready", "status": "False", **because}]}
    api.put(f"{BASE}/pods/web", {"status": state})
    about = {"kind": "Pod", "name": "web"}
    event = {"type": "Warning", "reason": "BackOff", "message": "again", "involvedObject": about}
    api.put(f"{BASE}/events/one", event)
    with pytest.raises(DeadlineError) as caught:
        fake.wait("pod/web", timeout=0)
    assert caught.value.seen.splitlines() == [
        "pod/web in default was not Ready after 0 s",
        "    Ready: False (ContainersNotReady: containers: [main])",
        "    Warning BackOff: again",
    ]
    assert caught.value.next_step == (
        "`kubectl --context lab describe pod/web -n default` shows details"
    )


def test_a_workload_that_does_not_come_shows_its_pod(fake: Cluster, api: FakeApi) -> None:
    selector = {"matchLabels": {"app": "web"}}
    api.put(f"{DEPLOYMENTS}/web", {"spec": {"selector": selector}})
    labels = {"labels": {"app": "web"}}
    api.put(f"{BASE}/pods/web-a", {"metadata": labels, "status": READY})
    api.put(f"{BASE}/pods/web-b", {"metadata": labels, "status": {"phase": "Pending"}})
    with pytest.raises(DeadlineError) as caught:
        fake.wait("deployment/web", condition="Available", timeout=0)
    assert caught.value.seen.splitlines()[-2:] == [
        "    pod/web-b in default:",
        "    phase: Pending",
    ]


def test_a_deadline_passes_while_nothing_happens(fake: Cluster, api: FakeApi) -> None:
    with pytest.raises(DeadlineError, match=r"was not Ready after 0\.1 s\n    it is missing"):
        fake.wait("pod/web", timeout=0.1)


def test_a_job_that_failed_is_not_waited_for(fake: Cluster, api: FakeApi) -> None:
    failed = {"conditions": [{"type": "Failed", "status": "True"}]}
    api.put("/apis/batch/v1/namespaces/default/jobs/sum", {"status": failed})
    with pytest.raises(DeadlineError, match="is not Complete: it failed"):
        fake.wait("job/sum", condition="Complete")


def test_a_rollout_is_waited_for(
    fake: Cluster, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    def deployment(generation: int, seen: int) -> dict[str, Any]:
        status = {"updatedReplicas": 1, "replicas": 1, "availableReplicas": 1}
        return {
            "metadata": {"generation": generation},
            "spec": {"replicas": 1},
            "status": {**status, "observedGeneration": seen},
        }

    api.put(f"{DEPLOYMENTS}/web", deployment(1, 1))
    fake.rollout_restart("deployment/web")
    template = api.objects[f"{DEPLOYMENTS}/web"]["spec"]["template"]
    assert re.match(
        r"\d{4}-", template["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"]
    )
    api.put(f"{DEPLOYMENTS}/web", deployment(2, 1))
    when_watched(api, lambda: api.put(f"{DEPLOYMENTS}/web", deployment(2, 2)))
    fake.rollout_status("deployment/web")
    assert capsys.readouterr().out == (
        "deployment/web in default is restarting\ndeployment/web in default is rolled out\n"
    )


def test_a_rollout_of_nothing_is_told(fake: Cluster) -> None:
    with pytest.raises(DeadlineError, match="is not rolled out: it is missing"):
        fake.rollout_status("deployment/nope")
