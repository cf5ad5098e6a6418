"""Words of no standard vocabulary stay out of everything that learners and developers read."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A word, or a turn, and what to say in its place.
BETTER = {
    r"mend(?:s|ed|ing)?": "fix",
    r"askers?": "client",
    r"whom": "a relative clause with a named subject",
    r"lack(?:s|ed|ing)": "missing",
    r"(?:was|is) so already": "unchanged",
    r"bound to nobody(?: called)?": "no subject named",
    r"(?:have|has) done with": "finish",
    r"no length of time": "invalid duration",
    r"for ever": "without end",
    r"told otherwise": "by default",
}
FOUND = re.compile(rf"\b(?:{'|'.join(BETTER)})\b", re.IGNORECASE)


def texts() -> Iterator[tuple[str, str]]:
    """Yield each line that is read, with its place: code and notebooks without their outputs."""
    files = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("data/*.csv")]
    files += [*ROOT.glob("eksnet/**/*.py"), *ROOT.glob("eksnet/course/pages/*.md")]
    for path in sorted(files):
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            yield f"{path.relative_to(ROOT)}:{number}", line
    for path in sorted(ROOT.glob("notebooks/*.ipynb")):
        for cell in json.loads(path.read_text())["cells"]:
            for number, line in enumerate("".join(cell["source"]).splitlines(), start=1):
                yield f"{path.name}, cell {cell['id']}, line {number}", line


def test_no_word_of_a_private_vocabulary_is_used():
    found = [f"{place}: {one[0]!r}" for place, line in texts() for one in FOUND.finditer(line)]
    assert found == []


@pytest.mark.parametrize(
    "line", ["Mend it.", "two askers", "was so already", "bound to nobody called coredns"]
)
def test_a_word_is_found_in_a_sentence(line):
    assert FOUND.search(line)


def test_messages_documents_and_notebooks_are_all_read():
    places = {re.split(r"[,:]", place)[0].rsplit(".", 1)[-1] for place, _ in texts()}
    assert places == {"md", "csv", "py", "ipynb"}
