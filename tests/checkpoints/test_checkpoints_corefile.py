"""The checkpoints of 02c_corefile on clusters that are right, and on those that are not."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest
from fake_api import FakeApi
from lab_api import Check

import eksnet
from eksnet.checkpoints import State
from eksnet.coredns.configuration import configuration_hash
from eksnet.course import catalogue


def cell_variable(cell_id: str, name: str) -> str:
    """Return a text that a cell of 02c sets."""
    notebook: Any = nbformat.read(catalogue.find("02c"), as_version=4)  # type: ignore[no-untyped-call]
    (source,) = [cell.source for cell in notebook.cells if cell.id == cell_id]
    names: dict[str, str] = {}
    exec(source, names)
    return names[name]


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
# As the notebook has them, in the names of its cells.
ORDER, MOVED = (
    cell_variable("order-corefile", "corefile"),
    cell_variable("rewrite-corefile", "moved"),
)
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
    ("prediction", "handed_in", "state", "seen"),
    [
        (PLUGINS, ORDER, P, ""),
        (PLUGINS, f"# The lesson's text.\n{ORDER.replace('    ', '  ')}", P, ""),
        (GUESSED, ORDER, F, "api.shop.example: template"),
        (..., ORDER, N, "the prediction is still empty"),
        (PLUGINS, None, N, "no Corefile was handed in"),
        # What a dry run gave, or could have given, is no Corefile.
        (PLUGINS, PLUGINS, N, "no Corefile was handed in"),
        (GUESSED, GUESSED, N, "no Corefile was handed in"),
        (GUESSED, ORDER.replace("template IN A", "template IN AAAA"), N, "another Corefile"),
        (PLUGINS, ORDER.replace("loop\n", "lop\n"), N, "another Corefile"),
        (PLUGINS, "}", N, "another Corefile"),
    ],
)
def test_who_answers_is_told_by_coredns_itself(
    api: FakeApi, checkpoint: Check, prediction: Any, handed_in: Any, state: State, seen: str
) -> None:
    put_trial(api)
    result = checkpoint("corefile-01").check(prediction, handed_in)
    assert result.state is state
    assert seen in result.outcomes[0].observation.observed


def test_where_no_corefile_can_be_run_nothing_is_right_or_wrong(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EKSNET_ENGINE_DIR", "/nonexistent")
    for name, prediction, text in (("01", PLUGINS, ORDER), ("03", OWNER, MOVED)):
        result = eksnet.checkpoint(f"corefile-{name}").check(prediction, text)
        assert result.state is State.CANNOT_CHECK
        assert result.outcomes[0].observation.next_step == "eksnet engine build"


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


@pytest.mark.parametrize(
    ("prediction", "handed_in", "state"),
    [
        (OWNER, MOVED, P),
        ("api.old.example", MOVED, F),
        (..., MOVED, N),
        (OWNER, OWNER, N),
        ("api.old.example", "api.old.example", N),
        ("api.old.example", MOVED.replace("new.example\n", "new.example answer auto\n", 1), N),
    ],
)
def test_the_name_of_the_answer(
    api: FakeApi, checkpoint: Check, prediction: Any, handed_in: Any, state: State
) -> None:
    assert checkpoint("corefile-03").check(prediction, handed_in).state is state
