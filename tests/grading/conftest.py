"""The grading of a class that is made here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made import submission

from eksnet.checkpoints import definitions
from eksnet.checkpoints.criteria import Definition


@pytest.fixture(autouse=True)
def own_state(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A state folder of the test's own; those on the suite's sandbox have that one's."""
    if request.node.get_closest_marker("sandbox"):
        return Path(os.environ["XDG_STATE_HOME"])
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def checkpoints() -> tuple[Definition, ...]:
    return definitions.of_notebook("05")


@pytest.fixture
def hand_in(tmp_path: Path) -> Callable[..., Path]:
    """Writes a learner's submission into the folder of the class."""

    def write(learner: str, *records: dict[str, Any]) -> Path:
        return submission(tmp_path / "submissions" / f"{learner}.zip", records)

    return write
