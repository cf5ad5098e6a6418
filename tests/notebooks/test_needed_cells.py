"""Which cells a run needs: on small notebooks, and that what is left out is not missed."""

import nbformat
import pytest
from needed_cells import names, needed

from eksnet.course import catalogue

LINES = {
    "import": "import eksnet",
    "made": "cluster.apply(manifest)",
    "asked": "found = eksnet.look()",
    "shown": "print(found)",
    "again": "found = 1",
    "defined": "def ask():\n    return eksnet.get(url)",
    "url": "url = found",
    "called": "ask()",
    "last": "print(found)",
}


@pytest.mark.parametrize(
    ("order", "changing", "wanted"),
    [
        ("import made", (0,), "import made"),
        ("import shown last", (0,), "import last"),
        # A name that is bound anew is not asked for twice.
        ("import asked shown again last", (0,), "import again last"),
        ("import asked shown last", (0,), "import asked last"),
        # What changes something needs its own names.
        ("asked url made last", (2,), "asked made last"),
        ("import made shown called", (0, 1), "import made called"),
        # A function takes what has a name when it is called.
        ("import asked defined url called", (0,), "import asked defined url called"),
        ("import asked url shown again last", (0,), "import again last"),
        ("import asked url defined called", (0,), "import asked url defined called"),
    ],
)
def test_what_only_looks_is_left_out(order, changing, wanted):
    cells = order.split()
    found = needed([LINES[cell] for cell in cells], set(changing), len(cells) - 1)
    assert [cells[number] for number in found] == wanted.split()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("a = b", ({"a"}, {"b"}, set())),
        ("a.b = c[d]", (set(), {"a", "c", "d"}, set())),
        ("(a, *b), c = d", ({"a", "b", "c"}, {"d"}, set())),
        ("import a.b, c as d\nfrom e import f", ({"a", "d", "f"}, set(), set())),
        ("for a in b: c(a)", ({"a"}, {"a", "b", "c"}, set())),
        ("def f(a=b): return c(a)", ({"f"}, {"a", "b", "c"}, {"a", "c"})),
    ],
)
def test_names_are_bound_and_used(source, said):
    assert names(source) == said


@pytest.mark.parametrize("path", catalogue.course(), ids=lambda path: path.stem)
def test_each_cell_has_its_names_from_those_that_are_kept(path):
    """Whatever cell a run is to come to: none before it is left out that gives a name to it."""
    cells = nbformat.read(path, as_version=4).cells
    sources = [cell.source for cell in cells if cell.cell_type == "code"]
    known = [names(source) for source in sources]
    for first in range(1, len(sources)):
        kept = needed(sources, {0}, first)
        assert kept[0] == 0
        assert kept[-(len(sources) - first) :] == list(range(first, len(sources)))
        given = set()
        for number in kept:
            bound, used, _ = known[number]
            missing = {
                name for name in used - bound - given
                for before in known[:number] if name in before[0]
            }  # fmt: skip
            assert not missing, (sources[number], missing)
            given |= bound
