"""What is kept of a widget in a tested notebook: its twin, the same in every run."""

import nbformat
import nbval_runs
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from eksnet import widgets
from eksnet.course import runner

CELLS = (
    'from eksnet import widgets\norder = widgets.search_order("my-service")\norder',
    'order.model.profile = "musl"\nprint(order.text)',
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A notebook with a widget that was run and saved."""
    path = tmp_path_factory.mktemp("saved") / "widget.ipynb"
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    cells = [new_code_cell(source, id=f"cell-{n}") for n, source in enumerate(CELLS)]
    nbformat.write(new_notebook(cells=cells, metadata=kernel), path)
    assert runner.run_one(path, save=True)
    return path


def compare(*paths):
    """Run notebooks under nbval, and return its last line."""
    done = nbval_runs.run("-q", "--tb=no", *paths)
    return done.stdout.strip().splitlines()[-1]


def test_a_saved_widget_is_its_twin(saved):
    widget, twin = (cell.outputs for cell in nbformat.read(saved, as_version=4).cells)
    model = widgets.SearchOrder(name="my-service")
    assert widget[0].data == {"text/plain": model.text, "text/html": model.html}
    assert twin[0].text == widgets.SearchOrder(name="my-service", profile="musl").text + "\n"
    assert "widget-view" not in saved.read_text()
    assert "widgets" not in nbformat.read(saved, as_version=4).metadata


def test_nbval_finds_the_next_run_the_same_and_another_table_different(saved, tmp_path):
    other = tmp_path / "other.ipynb"
    other.write_text(saved.read_text().replace("my-service.svc.cluster", "my-service.svc.other"))
    assert compare(saved, other).startswith("2 failed, 2 passed")
