"""`eksnet lab` as a shell sees it: what it opens, on what, and what opens nothing."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from jupyterlab_server.config import get_page_config

import eksnet
from eksnet.cluster.countdown import until
from eksnet.course import catalogue
from eksnet.course.lab import afterwards, only_says
from eksnet.sandbox import lifecycle

CLONE = Path(eksnet.__file__).parent.parent
NAMES = sorted(path.name for path in catalogue.course())
PAGES = ["00_start.md", "glossary.md"]
TOKEN = "of-the-test"
PREPARE = """
import sys
sys.path.insert(0, sys.argv[1])
import eksnet
from pathlib import Path
from eksnet.course import lab
from eksnet.course.copies import open_copies
print(eksnet.__file__)
print(lab.prepare(open_copies(Path(sys.argv[2]))))
"""


@pytest.fixture
def home(tmp_path):
    """The variables of a learner who has nothing yet, and whose sandbox never starts."""
    home = tmp_path / "home"
    home.mkdir()
    others = {
        name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "XDG"))
    }
    return {**others, "HOME": str(home), "SHELL": "/bin/sh", "EKSNET_SANDBOX": "../no-sandbox"}


def lab(home, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "eksnet.cli", "lab", *map(str, arguments)],
        capture_output=True, text=True, check=False, env=home, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def made(home):
    """Return what the course has made in the learner's home."""
    return sorted(path.name for path in Path(home["HOME"]).iterdir() if path.name[0] != ".")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--version"], True),
        (["--no-browser", "--help-all"], True),
        (["-V"], True),
        (["--show-config-json"], True),
        (["list"], True),
        (["workspaces", "export"], True),
        ([], False),
        (["--no-browser"], False),
        (["--port", "8900"], False),
        (["--ip", "list"], False),
        (["notes.ipynb"], False),
    ],
)
def test_what_only_has_jupyterlab_say_something_is_known(arguments, says):
    assert only_says(arguments) is says


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--version"], "4."),
        (["path"], "Application directory"),
        (["--", "--help"], "--LabApp"),
    ],
)
def test_saying_something_makes_no_copy_and_starts_nothing(home, arguments, said):
    done = lab(home, *arguments)
    assert done.returncode == 0
    assert said in done.stdout + done.stderr
    assert "sandbox gets ready" not in done.stdout
    assert made(home) == []


def test_the_courses_own_help_names_its_options(home):
    done = lab({**home, "COLUMNS": "100", "NO_COLOR": "1"}, "--help")
    assert done.returncode == 0
    assert "--course" in done.stdout and "--fresh" in done.stdout
    assert made(home) == []


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        (["--course", CLONE / "notebooks"], "belongs to the course itself"),
        (["--course", "/dev/null/x"], "cannot be made"),
        (["--fresh", "77"], "77 is not a notebook of the course"),
        (["--fresh", "77"], f"eksnet lab --fresh {Path(NAMES[-1]).stem}"),
    ],
)
def test_what_cannot_be_copied_opens_nothing(home, arguments, seen):
    done = lab(home, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert seen in done.stderr and "Traceback" not in done.stderr


@pytest.fixture
def opened(home, tmp_path):
    """A JupyterLab that `eksnet lab` opened, and how to ask it."""
    with opening(home, tmp_path) as found:
        yield found


@contextlib.contextmanager
def opening(home, folder):
    """Yield the learner's folder, the command's process, JupyterLab's record and the log."""
    course, said = folder / "my course", folder / "log"
    command = [
        sys.executable, "-m", "eksnet.cli", "lab", "--no-browser", "--course", course,
        f"--IdentityProvider.token={TOKEN}", "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0",
    ]  # fmt: skip
    with said.open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=home
        )
        try:
            deadline = time.monotonic() + 120
            while not (server := answered(home)):
                assert process.poll() is None, said.read_text()
                assert time.monotonic() < deadline, said.read_text()
                time.sleep(0.1)
            yield course, process, server, said
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def answered(home):
    """Return the record of a JupyterLab that answers; None before."""
    try:
        (record,) = (Path(home["HOME"]) / ".local/share/jupyter/runtime").glob("jpserver-*.json")
        found = json.loads(record.read_text())
        ask(found["port"], "GET", "/api/status")
    except (OSError, ValueError):
        return None
    return found


def ask(port, method, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, headers={"Authorization": f"token {TOKEN}"})
    return json.load(connection.getresponse())


def test_it_opens_on_the_start_page_of_the_learners_copies(opened, home):
    course, _, server, log = opened
    pid, port = server["pid"], server["port"]
    assert sorted(path.name for path in course.iterdir() if path.name[0] != ".") == sorted(
        [*NAMES, *PAGES]
    )
    assert made(home) == []
    said = log.read_text()
    assert f"Your copies of the notebooks are in {course}" in said
    assert "/lab/tree/00_start.md?token=" in said
    listed = ask(port, "GET", "/api/contents/")
    assert {one["name"] for one in listed["content"]} >= {*NAMES, *PAGES}
    # Its kernels and terminals have its environment.
    variables = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    (path,) = [one.removeprefix("PATH=") for one in variables if one.startswith("PATH=")]
    assert shutil.which("eksnet", path=path) == str(Path(sys.executable).with_name("eksnet"))
    assert not [one for one in variables if one.startswith(("EKSNET_COMMAND", "UV_RUN_REC"))]
    # A kernel's AWS clients come from the cluster alone: only terminals get variables for them.
    assert not [one for one in variables if one.startswith(("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY"))]
    ask(port, "POST", "/api/terminals")

    def has_shell():
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        shells = [Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0") for child in children]
        # No login shell: that one makes itself a path from nothing.
        return [b"/bin/sh", b""] in shells

    # It asks for the sandbox's variables first, and opens without a sandbox too.
    assert until("a shell", has_shell, 60)

    before = (course / "05_lab_hosts.ipynb").read_bytes()
    (course / "05_lab_hosts.ipynb").write_bytes(before + b"\n")
    done = lab(home, "--course", course, "--fresh", "05")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "05_lab_hosts-2.ipynb is new; your copy is next to it",
        f"The notebooks are in {course}, which JupyterLab has open.",
    ]
    assert (course / "05_lab_hosts-2.ipynb").read_bytes() == before


def test_its_end_is_the_commands_and_nothing_is_said_of_a_cluster_that_is_down(opened):
    _, process, server, log = opened
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert not Path(f"/proc/{server['pid']}").exists()
    assert "still runs" not in log.read_text()


@pytest.mark.parametrize(
    ("phase", "says"),
    [("down", False), ("stopping", False), ("starting", True), ("settling", True), ("ready", True)],
)
def test_a_cluster_that_still_runs_is_told(phase, says, monkeypatch):
    monkeypatch.setattr(lifecycle, "status", lambda: lifecycle.Status("default", phase))
    said = afterwards()
    assert bool(said) is says
    assert ("`eksnet down` stops it" in said) is says


@pytest.mark.sandbox
def test_it_is_told_when_jupyterlab_ends(live_sandbox, home, tmp_path):
    own = {name: os.environ[name] for name in ("XDG_STATE_HOME", "EKSNET_SANDBOX")}
    with opening({**home, **own}, tmp_path) as (_, process, _, log):
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    assert log.read_text().splitlines()[-1].startswith("The cluster still runs")


def test_the_sidebar_shows_names_alone_and_pages_are_shown_as_they_are_read():
    settings = json.loads((CLONE / "eksnet/lab_settings/overrides.json").read_text())
    viewers = settings["@jupyterlab/docmanager-extension:plugin"]["defaultViewers"]
    assert viewers == {"markdown": "Markdown Preview"}
    assert not settings["@jupyterlab/filebrowser-extension:browser"]["showLastModifiedColumn"]


def test_a_learner_sees_no_buttons_of_nbgrader():
    # It comes with what `make test` installs.
    page = get_page_config([], app_settings_dir=str(CLONE / "eksnet/lab_settings"))
    assert page["disabledExtensions"] == ["@jupyter/nbgrader"]


def test_an_installed_wheel_makes_the_copies_too(tmp_path):
    uv = shutil.which("uv")
    assert uv is not None, "no uv: `make test` installs one"
    subprocess.run(
        [uv, "build", "--quiet", "--wheel", "--out-dir", tmp_path, CLONE],
        stdin=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    # -I: neither this directory nor the environment's variables lead back to the clone.
    said = subprocess.run(
        [sys.executable, "-I", "-c", PREPARE, installed, tmp_path / "course"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    package, lines = said.stdout.splitlines()
    assert Path(package).is_relative_to(installed)
    assert lines == "[]"
    there = sorted(path.name for path in (tmp_path / "course").glob("*.*") if path.name[0] != ".")
    assert there == sorted([*NAMES, *PAGES])
    again = subprocess.run(
        [sys.executable, "-I", "-c", PREPARE, installed, installed / "eksnet" / "mine"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "belongs to the course itself" in again.stderr
