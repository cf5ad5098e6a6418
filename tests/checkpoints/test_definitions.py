"""The form of every definition: what an instructor who adds one has to keep to."""

from __future__ import annotations

import ast
import builtins
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from lab_api import Check

from eksnet.checkpoints import definitions
from eksnet.checkpoints.criteria import Criterion, Definition, Prediction
from eksnet.checkpoints.results import needed
from eksnet.course import catalogue

EVERY = definitions.every()
CRITERIA = [criterion for definition in EVERY for criterion in definition.criteria]


def cells(notebook: str) -> list[str]:
    """Return the text of a notebook's code cells."""
    read: Any = nbformat.read(catalogue.find(notebook), as_version=4)
    return [cell.source for cell in read.cells if cell.cell_type == "code"]


def test_ids_and_points_are_those_that_evidence_refers_to() -> None:
    """Whoever adds a criterion adds its line; whoever renames one loses the points of learners."""
    committed = Path(__file__).with_name("permanent_ids.txt").read_text().splitlines()
    assert [f"{one.id} {one.points}" for one in CRITERIA] == committed


def test_every_notebook_of_the_course_has_checkpoints() -> None:
    assert {definition.notebook for definition in EVERY} == {p.stem for p in catalogue.course()}


@pytest.mark.parametrize("definition", EVERY, ids=lambda definition: definition.id)
def test_hints_say_where_to_look_then_what_to_compare_then_the_command(
    definition: Definition,
) -> None:
    where, what, command = definition.hints
    assert re.search(r"(?i)\blook\b", where)
    assert re.search(r"(?i)\bcompare\b", what)
    assert commands(command)
    # The tiers before the last do not give it away.
    given_away = re.findall(r"`(cluster\.(?:patch|edit_configmap)[^`]*)`", f"{where} {what}")
    assert given_away == []


def commands(advice: str) -> list[str]:
    """Return the code of an advice: what stands in backticks, and lines that are code."""
    marked = re.findall(r"`([^`]+)`", advice)
    return [*marked, *(line for line in advice.splitlines() if re.match(r"[\w, ]+ = |\w+\.", line))]


def undefined(code: str) -> set[str]:
    """Return the names that code uses and does not define, whatever the order."""
    tree = ast.parse(code.replace("…", "..."))
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    known = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    known |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    known |= {alias.name for node in imports for alias in node.names}
    return {node.id for node in names} - known - {"eksnet"} - set(dir(builtins))


def calls(code: str) -> bool:
    """Tell whether a text is Python that calls or defines something; a shell's command is none."""
    try:
        tree = ast.parse(code.replace("…", "..."))
    except SyntaxError:
        return False
    return any(isinstance(node, ast.Call | ast.Assign) for node in ast.walk(tree))


@pytest.mark.parametrize("definition", EVERY, ids=lambda definition: definition.id)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_hint_runs_where_nothing_but_eksnet_is_known(
    number: int, definition: Definition, checkpoint: Check
) -> None:
    hint = repr(checkpoint(definition.id).hint(number))
    first = re.findall("Run once before the commands below: (.*)", hint)
    code = [*first, *filter(calls, commands(hint.partition("Hint ")[2]))]
    # What a learner predicts is the learner's to say.
    assert undefined("\n".join(code)) <= {"prediction"}, hint


@pytest.mark.parametrize("definition", EVERY, ids=lambda definition: definition.id)
def test_a_solution_is_code_that_runs_where_nothing_but_eksnet_is_known(
    definition: Definition, checkpoint: Check
) -> None:
    assert undefined(repr(checkpoint(definition.id).solution(reveal=True))) == set()


@pytest.mark.parametrize(
    "prediction", [one for one in CRITERIA if isinstance(one, Prediction)], ids=lambda one: one.id
)
def test_a_prediction_says_what_is_asked_and_how_to_answer(prediction: Prediction) -> None:
    assert prediction.question.endswith("?")
    code = f"{prediction.form}\n{prediction.steps}"
    assert undefined(f"{needed(code)}\n{code}") == set()
    assert bool(prediction.gather) == bool(prediction.takes)


def test_ids_are_permanent_names_of_one_thing_each() -> None:
    ids = [definition.id for definition in EVERY] + [criterion.id for criterion in CRITERIA]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("definition", EVERY, ids=lambda definition: definition.id)
def test_a_definition_is_whole(definition: Definition) -> None:
    whole(definition)


def whole(definition: Definition) -> None:
    """Assert that nothing of a definition is missing."""
    assert re.fullmatch(r"[a-z]+-\d\d", definition.id)
    assert definition.title
    assert definition.criteria
    assert len(set(definition.hints)) == 3
    assert all(hint.strip() for hint in definition.hints)
    assert definition.solution.strip()
    earlier: list[str] = []
    for criterion in definition.criteria:
        assert re.fullmatch(rf"{definition.id}\.[a-z-]+", criterion.id)
        assert criterion.description
        assert criterion.points > 0
        assert set(criterion.needs) <= set(earlier)
        if criterion.wait:
            assert criterion.wait.condition
            assert 0 < criterion.wait.poll <= criterion.wait.deadline <= 300
        earlier.append(criterion.id)


@pytest.mark.parametrize("criterion", CRITERIA, ids=lambda criterion: criterion.id)
def test_what_looks_says_what_it_looks_at(criterion: Criterion | Prediction) -> None:
    if isinstance(criterion, Criterion):
        assert criterion.check.__doc__
    else:
        assert criterion.column >= 0


@pytest.mark.parametrize("definition", EVERY, ids=lambda definition: definition.id)
def test_a_checkpoint_stands_in_its_notebook(definition: Definition) -> None:
    stands = [cell for cell in cells(definition.notebook) if f'"{definition.id}"' in cell]
    assert len(stands) == 1
    predicts = isinstance(definition.criteria[0], Prediction)
    assert re.search(r"\.(check|require)\(" + ("[a-z]" if predicts else r"\)"), stands[0])


@pytest.mark.parametrize("notebook", sorted({definition.notebook for definition in EVERY}))
def test_no_cell_that_runs_shows_a_hint_or_a_solution(notebook: str) -> None:
    for source in cells(notebook):
        called = {
            node.func.attr
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        }
        assert not called & {"hint", "solution"}, source


def test_notebooks_are_found_by_the_start_of_their_names() -> None:
    assert {one.notebook for one in definitions.of_notebook("05")} == {"05_lab_hosts"}
    assert definitions.of_notebook("") == EVERY
