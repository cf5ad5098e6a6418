"""Lint of random manifests with mistakes, held against the controller's own code.

What lint calls an error the controller refuses or passes over, and what the controller refuses lint
has found, but for the two lists in docs/manifest-rules.md. `plan` is the controller's code.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from itertools import count, zip_longest
from pathlib import Path
from typing import Any

import controlled
import mistaken
import pytest
from drawn import Account
from hypothesis import given, settings
from hypothesis import strategies as st
from test_plan_differential import QUIET, account
from test_plan_live import controller

from eksnet.cluster import Cluster
from eksnet.loadbalancer import plan, reading
from eksnet.loadbalancer.linting import ERROR, Finding, lint
from eksnet.loadbalancer.planned import Plan

__all__ = ["account", "controller"]
Json = dict[str, Any]
PAGE = (Path(__file__).parents[2] / "docs" / "manifest-rules.md").read_text()
# So many load balancers are planned in one call.
BATCH = 20
# What a dry run chooses anew: a Service's UID, of which names are made, and its node ports.
CHOSEN = re.compile(r"-[0-9a-f]{10}\b|\b3[0-2]\d{3}\b")
numbers = count(1)


def listed(title: str) -> dict[str, str]:
    """Return a list of the page: the first column of each row with the second."""
    after = PAGE.partition(f"**{title}**")[2].partition("\n\n")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(.+?)` \| (.+?) \|$", after, re.MULTILINE)
    return dict(rows)


# Rules whose errors the controller does not see, and what it refuses without lint.
BY_OTHERS = listed("Errors that AWS or the API server finds, not the controller")
NOT_FOUND = listed("What the controller refuses and lint does not find")


def written(objects: list[Json]) -> str:
    return controlled.text(*objects)


def errors(objects: list[Json]) -> list[Finding]:
    """Return the errors that lint finds in what is drawn, beside the application."""
    return [
        one for one in lint([controlled.APP, written(objects)])
        if one.severity == ERROR and one.file == "manifest 2"
    ]  # fmt: skip


def without(objects: list[Json], finding: Finding) -> list[Json]:
    """Return objects without the annotation that a finding is about, else without the object."""
    found = copy.deepcopy(objects)
    for place, one in enumerate(reading.read("manifest 2", written(objects))):
        assert isinstance(one, reading.Object)
        if one.title != finding.object:
            continue
        keys = [key for key, line in one.lines.items() if line == finding.line]
        for key in keys:
            del found[place]["metadata"]["annotations"][key]
        return found if keys else found[:place] + found[place + 1 :]
    raise AssertionError(f"{finding} is about none of them")


def names(objects: list[Json]) -> set[str]:
    return {f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in objects}


def refused(found: Plan, objects: list[Json]) -> list[str]:
    return [one.message for one in found.refused if one.name in names(objects)]


def built(found: Plan, objects: list[Json]) -> str:
    """Return the models of what becomes of some objects, as text that is the same each time."""
    models = [one.model for one in found.stacks if names(objects) & {one.id, *one.members}]
    return CHOSEN.sub("", json.dumps(steady(models), sort_keys=True))


def steady(part: Any) -> Any:
    """Return a part of a model with its lists sorted: some are made of Go's maps."""
    if isinstance(part, dict):
        return {key: steady(value) for key, value in part.items()}
    if isinstance(part, list):
        return sorted(map(steady, part), key=lambda one: json.dumps(one, sort_keys=True))
    return part


def is_listed(message: str) -> bool:
    return any(part in message for part in NOT_FOUND)


def disagreements(cluster: Cluster, drawn: list[list[Json]]) -> Iterator[str]:
    """Plan manifests together and yield where lint and the controller disagree."""
    found = plan(cluster, written([one for objects in drawn for one in objects]))
    doubtful = []
    for objects in drawn:
        said, wrong = refused(found, objects), errors(objects)
        if said and not wrong and not all(map(is_listed, said)):
            yield f"the controller refuses, lint finds nothing: {said}\n{written(objects)}"
        # A plan has each name once: each turn has at most one finding of a load balancer.
        turn = [one for one in wrong if one.rule not in BY_OTHERS] if not said else []
        doubtful.append([(objects, one) for one in turn])
    for turns in zip_longest(*doubtful):
        yield from read_all_the_same(cluster, found, list(filter(None, turns)))


def read_all_the_same(
    cluster: Cluster, found: Plan, doubtful: list[tuple[list[Json], Finding]]
) -> Iterator[str]:
    """Yield which of lint's errors make a difference to the controller: it reads them."""
    bare = [without(objects, one) for objects, one in doubtful]
    everything = [one for objects in bare for one in objects]
    other = plan(cluster, written(everything)) if everything else None
    for (objects, one), left in zip(doubtful, bare, strict=True):
        if (built(other, left) if other and left else "[]") != built(found, objects):
            yield f"lint finds {one}, and the controller reads it\n{written(objects)}"


def check(cluster: Cluster, account: Account, data: st.DataObject) -> None:
    drawn = [data.draw(mistaken.objects(account, next(numbers))) for _ in range(BATCH)]
    assert list(disagreements(cluster, drawn)) == []


def test_the_lists_are_there() -> None:
    assert BY_OTHERS and NOT_FOUND


@pytest.mark.sandbox
@settings(max_examples=2, derandomize=True, **QUIET)  # type: ignore[arg-type]
@given(data=st.data())
def test_lint_and_the_controller_agree(
    controller: Cluster, account: Account, data: st.DataObject
) -> None:
    check(controller, account, data)


@pytest.mark.sandbox
@pytest.mark.soak
@settings(max_examples=300 // BATCH, **QUIET)  # type: ignore[arg-type]
@given(data=st.data())
def test_lint_and_the_controller_agree_on_300(
    controller: Cluster, account: Account, data: st.DataObject
) -> None:
    check(controller, account, data)
