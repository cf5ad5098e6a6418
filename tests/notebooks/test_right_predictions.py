"""The labs of load balancers with right predictions: every checkpoint passes, in its place alone.

The committed notebooks predict wrongly on purpose; what they print is compared elsewhere.
"""

import nbformat
import pytest
from nbclient import NotebookClient

from eksnet.course import catalogue, runner

# By notebook: the right answer in the cell of each prediction.
RIGHT = {
    "06_lab_cname": {
        "predict": {"owner": "working.dot.com", "CNAME": 0, "A": 2},
        "predict-regex": 2,
        "predict-host": {"shop.dot.com": 200, "working.dot.com": 404},
        "predict-replace": "NXDOMAIN",
    },
    "09_lab_target_group_binding": {
        "predict-bind": {"targets": 2, "state": "unhealthy"},
        "predict-source": "load balancer",
        "predict-itself": {"client": "answered", "web-a": "no answer"},
        "predict-pods": {"healthy": 1, "unhealthy": 0, "draining": 1},
        "predict-wrong": {
            "second binding": "refused", "unknown ARN": "refused", "another VPC": "refused",
            "another target type": "accepted",
        },
        "predict-port": 0,
        "predict-cleanup": {"target group": "refused", "security group": "refused"},
    },
}  # fmt: skip
STATES = "print([eksnet.checkpoint(one).check(wait=False).state.name for one in {ids}])"


def cells_of(name):
    notebook = nbformat.read(catalogue.find(name), as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def said(cell):
    """Return what a cell printed, and what it returned, as text."""
    return "".join(
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for output in cell.outputs
    )


@pytest.mark.parametrize("name", RIGHT)
def test_every_prediction_of_a_lab_has_its_right_answer(name):
    predicted = {cell.id for cell in cells_of(name) if "predict" in cell.metadata.get("tags", ())}
    assert predicted == set(RIGHT[name])


@pytest.mark.notebook
@pytest.mark.sandbox
@pytest.mark.soak
@pytest.mark.parametrize("name", RIGHT)
def test_right_predictions_pass_and_checkpoints_only_where_they_stand(
    fresh_sandbox, tmp_path, name
):
    first, *rest = cells_of(name)
    for cell in rest:
        if cell.id in RIGHT[name]:
            cell.source = f"prediction = {RIGHT[name][cell.id]!r}"
    checks = [cell for cell in rest if cell.id.startswith("checkpoint-")]
    ids = [said(cell).partition(" ")[0] for cell in checks]
    before, after = (nbformat.v4.new_code_cell(STATES.format(ids=ids)) for _ in range(2))
    NotebookClient(
        nbformat.v4.new_notebook(cells=[first, before, *rest, after]),
        timeout=runner.CELL_DEADLINE,
        resources={"metadata": {"path": str(catalogue.directory())}},
        config=runner.private_kernel(tmp_path),
    ).execute()
    for cell in checks:
        assert ": PASS, " in said(cell).partition("\n")[0], said(cell)
    compared = {cell.id: said(cell) for cell in rest if "eksnet.compare(" in cell.source}
    assert len(compared) == len(RIGHT[name])
    wrong = [one for one, text in compared.items() if text.split()[-1] != "yes" or " no\n" in text]
    assert wrong == []
    # Nothing is there before the lesson, and nothing is left after it.
    for cell in (before, after):
        assert "PASS" not in said(cell), said(cell)
