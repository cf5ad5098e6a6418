"""What a countdown leaves behind: nothing."""

from __future__ import annotations

import io
import sys
import tempfile

import nbformat
import pytest
from nbclient import NotebookClient

from eksnet.cluster import countdown
from eksnet.cluster.countdown import Countdown
from eksnet.course import runner

WAITED = """\
from eksnet.cluster.countdown import Countdown
with Countdown("pod/web to be Ready") as shown:
    shown.show(12.4, "Pending")
print("pod/web is Ready")
"""
STILL_WAITING = """\
from eksnet.cluster.countdown import Countdown
Countdown("pod/web to be Ready").show(12.4, "Pending")
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminals_line_is_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    with Countdown("pod/web to be Ready") as shown:
        shown.show(12.4, "Pending")
    assert screen.getvalue() == (
        "\r\x1b[Kwaiting for pod/web to be Ready, 12 s left; Pending\r\x1b[K"
    )


def test_a_file_gets_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Countdown("pod/web to be Ready") as shown:
        shown.show(12.4)
    assert capsys.readouterr() == ("", "")


class Errors(io.StringIO):
    """A standard error that somebody sits before, or that goes into a file."""

    def __init__(self, seen: bool) -> None:
        super().__init__()
        self.seen = seen

    def isatty(self) -> bool:
        return self.seen


@pytest.mark.parametrize(
    ("seen", "told"), [(True, "waiting for pod/web to be Ready, 145 s left\n"), (False, "")]
)
def test_a_long_wait_is_told_once_to_who_sits_there(
    seen: bool, told: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    now = iter([0.0, 1.0, 5.1, 9.0])
    monkeypatch.setattr(countdown.time, "monotonic", lambda: next(now, 9.0))
    errors = Errors(seen)
    monkeypatch.setattr(sys, "__stderr__", errors)
    with Countdown("pod/web to be Ready") as shown:
        for left in (150, 145, 141):
            shown.show(left)
    assert errors.getvalue() == told
    assert capfd.readouterr().out == ""


def outputs(code: str) -> list[nbformat.NotebookNode]:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    # A path of a kernel's own: a socket's may have 107 characters.
    with tempfile.TemporaryDirectory() as sockets:
        config = runner.private_kernel(sockets)
        NotebookClient(notebook, kernel_name="python3", config=config).execute()
    found: list[nbformat.NotebookNode] = notebook.cells[0].outputs
    return found


def test_a_notebook_keeps_an_empty_display_and_the_last_line() -> None:
    display, line = outputs(WAITED)
    assert display.output_type == "display_data"
    assert display.data == {}
    assert line.text == "pod/web is Ready\n"


def test_a_notebook_shows_the_countdown_meanwhile() -> None:
    (display,) = outputs(STILL_WAITING)
    assert display.data == {"text/plain": "waiting for pod/web to be Ready, 12 s left; Pending"}


def test_a_notebooks_display_begins_as_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    # nbval compares the display's first content with what was committed: its last.
    shown: list[dict[str, str]] = []

    class Handle:
        def update(self, data: dict[str, str], *, raw: bool) -> None:
            shown.append(data)

    def display(data: dict[str, str], *, raw: bool, display_id: bool) -> Handle:
        shown.append(data)
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(countdown, "_is_notebook", lambda: True)
    with Countdown("pod/web to be Ready") as waiting:
        waiting.show(2)
        waiting.show(1)
    assert [data.get("text/plain", "") for data in shown] == [
        "",
        "waiting for pod/web to be Ready, 2 s left",
        "waiting for pod/web to be Ready, 1 s left",
        "",
    ]
    assert shown[0] == shown[-1] == {}
