"""The checkpoints of 02c_corefile on clusters that are right, and on those that are not."""

from __future__ import annotations

from typing import Any

import pytest
from fake_api import FakeApi
from lab_api import Check

from eksnet.checkpoints import State
from eksnet.coredns.configuration import configuration_hash

P, F, N = State.PASS, State.FAIL, State.NOT_STARTED
PLACE = "/api/v1/namespaces/corefile-lab"
FORGOTTEN = """\
.:53 {
    ready
    reload 2s 1s
    hosts {
        10.43.0.1 myapp.local
    }
    forward . /etc/resolv.conf
    loop
}
"""
SOUND = FORGOTTEN.replace("myapp.local\n", "myapp.local\n        fallthrough\n")
PLUGINS = {
    "api.shop.example": "template",
    "db.shop.example": "template",
    "old.example": "template",
    "kubernetes.default.svc.cluster.local": "hosts",
    "www.example.com": "forward",
}
GUESSED = {**PLUGINS, "api.shop.example": "hosts"}
OWNER = "api.new.example"


def put_trial(api: FakeApi, text: str = SOUND, *, runs: str = "") -> None:
    """Make the trial's ConfigMap and its pod.

    Args:
        api: The API server.
        text: The Corefile of the ConfigMap.
        runs: The one that the pod runs; that of the ConfigMap when empty.
    """
    api.put(f"{PLACE}/configmaps/trial", {"data": {"Corefile": text}})
    api.put(f"{PLACE}/pods/trial", {"status": {"phase": "Running"}})
    said = configuration_hash(runs or text)
    api.logs[f"{PLACE}/pods/trial"] = f"[INFO] Running configuration SHA512 = {said}\n"


@pytest.mark.parametrize(
    ("prediction", "observed", "state"),
    [
        (PLUGINS, PLUGINS, P),
        (GUESSED, PLUGINS, F),
        (..., PLUGINS, N),
        (PLUGINS, None, N),
        (PLUGINS, {"api.shop.example": "template"}, N),
    ],
)
def test_who_answers_is_compared_with_the_dry_run(
    api: FakeApi, checkpoint: Check, prediction: Any, observed: Any, state: State
) -> None:
    put_trial(api)
    assert checkpoint("corefile-01").check(prediction, observed).state is state


@pytest.mark.parametrize(
    ("text", "runs", "states"),
    [
        (SOUND, "", (P, P, P)),
        (FORGOTTEN, "", (F, N, N)),
        (SOUND.replace("    loop\n", ""), "", (P, F, P)),
        (SOUND, FORGOTTEN, (P, P, F)),
        (SOUND.replace("10.43.0.1", "10.43.0.2"), "", (F, N, N)),
    ],
)
def test_a_trial_is_sound_and_runs(
    api: FakeApi, checkpoint: Check, text: str, runs: str, states: tuple[State, ...]
) -> None:
    put_trial(api, text, runs=runs)
    outcomes = checkpoint("corefile-02").check(wait=False).outcomes
    assert tuple(one.state for one in outcomes) == states


@pytest.mark.parametrize(("prediction", "state"), [(OWNER, P), ("api.old.example", F), (..., N)])
def test_the_name_of_the_answer(
    api: FakeApi, checkpoint: Check, prediction: Any, state: State
) -> None:
    assert checkpoint("corefile-03").check(prediction, OWNER).state is state
