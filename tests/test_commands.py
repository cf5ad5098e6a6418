"""The course's command: named as it works where it is read, and found from anywhere."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import eksnet
from eksnet import cli, commands
from eksnet.checkpoints.criteria import not_started
from eksnet.checkpoints.results import Outcome, Result, Text
from eksnet.diagnosis import Check, Diagnosis
from eksnet.errors import EksnetError

CLONE = Path(eksnet.__file__).parent.parent
PACKAGE = CLONE / "eksnet"
LAUNCHER = CLONE / "bin" / "eksnet"
# Those that print before anything is installed, and those that know the forms.
SOURCES = sorted(set(PACKAGE.rglob("*.py")) - {PACKAGE / "bootstrap.py", PACKAGE / "commands.py"})
BARE = {"print", "sys.stdout.write", "sys.stderr.write"}


@pytest.fixture
def started(monkeypatch, tmp_path):
    """Start this process, as it were, by what was typed in a directory, with a path."""

    def started(cwd=tmp_path, *, path=(), **variables):
        monkeypatch.chdir(cwd)
        monkeypatch.setenv("PATH", os.pathsep.join(map(str, path)))
        for name in ("EKSNET_COMMAND", "UV_RUN_RECURSION_DEPTH"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))

    return started


def test_the_environment_on_the_path_is_called_by_its_name(started):
    started(path=[commands._SCRIPTS])
    assert commands.runnable("run `eksnet up`") == "run `eksnet up`"


def test_uv_run_leaves_nothing_on_the_shells_path(started):
    started(CLONE, path=[commands._SCRIPTS], UV_RUN_RECURSION_DEPTH=1)
    assert commands.runnable("eksnet up") == "uv run eksnet up"


@pytest.mark.parametrize("typed", ["bin/eksnet", "./bin/eksnet", LAUNCHER])
def test_the_launcher_is_called_as_it_was_typed(started, typed):
    started(CLONE, path=[commands._SCRIPTS], EKSNET_COMMAND=typed)
    assert commands.program() == str(typed)


def test_a_link_to_the_launcher_on_the_path_is_called_by_its_name(started, tmp_path):
    link = tmp_path / "eksnet"
    link.symlink_to(LAUNCHER)
    started(path=[tmp_path], EKSNET_COMMAND=link)
    assert commands.program() == "eksnet"


def test_another_eksnet_on_the_path_is_not_this_one(started, tmp_path):
    other = tmp_path / "eksnet"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    started(path=[tmp_path])
    assert commands.program() == str(LAUNCHER)
    started(CLONE, path=[tmp_path])
    assert commands.program() == "bin/eksnet"


def test_without_a_clone_python_runs_it(started, monkeypatch, tmp_path):
    monkeypatch.setattr(commands, "_LAUNCHER", tmp_path / "bin" / "eksnet")
    started()
    assert commands.program() == f"{sys.executable} -m eksnet"


@pytest.mark.parametrize(
    "text",
    [
        "uv run eksnet up", "bin/eksnet up", "python -m eksnet up", "eksnet.connect()",
        "eksnet upstairs", "my-eksnet up", "import eksnet",
    ],
)  # fmt: skip
def test_what_is_no_bare_command_stays(started, text):
    started()
    assert commands.runnable(text) == text


def test_an_error_names_it_in_all_its_lines(started):
    started(CLONE)
    error = EksnetError("`eksnet up` was cut off", "what `eksnet status` shows", "eksnet reset")
    assert str(error) == (
        "`bin/eksnet up` was cut off\n"
        "  expected: what `bin/eksnet status` shows\n"
        "  next:     bin/eksnet reset"
    )
    assert error.next_step == "bin/eksnet reset"


def test_what_the_command_prints_names_it_too(started, capsys):
    started(CLONE)
    cli.console.print("`eksnet status` shows it")
    assert capsys.readouterr().out == "`bin/eksnet status` shows it\n"


def test_every_command_is_known_by_name():
    tree = typer.main.get_command(cli.app)
    assert set(tree.commands) <= set(commands.NAMES)


def bare_prints(tree):
    """Yield the texts with a command in them that `print` or a stream's `write` is given as is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in BARE:
            for argument in node.args:
                text = ast.unparse(argument)
                if not text.startswith("runnable(") and commands._NAMED.search(text):
                    yield text


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_message_names_a_command_in_a_form_that_works_in_one_place_alone(path):
    tree = ast.parse(path.read_text())
    assert list(bare_prints(tree)) == []
    docstrings = {ast.get_docstring(node, clean=False) for node in ast.walk(tree)
                  if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)}  # fmt: skip
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)
             and isinstance(node.value, str) and node.value not in docstrings]  # fmt: skip
    assert [text for text in texts if re.search(r"(uv run|python -m|bin/)\s?eksnet ", text)] == []


def test_a_bare_print_is_seen():
    bypasses = 'print("see `eksnet status`")\nsys.stderr.write(f"{x}: eksnet up")'
    assert len(list(bare_prints(ast.parse(bypasses)))) == 2
    assert list(bare_prints(ast.parse('print(runnable("eksnet up"), 1)'))) == []


def test_a_checks_next_step_and_a_hint_name_it_as_it_works(started):
    started(CLONE)
    seen = not_started("nothing", "something", "`eksnet reset`")
    result = Result("a-01", "A", (Outcome("a-01.x", "X", 1, seen),))
    hint = Text("`eksnet kubectl get pods`")
    check = Check("FAILS", "none", "two", "eksnet kubectl get pods", check="the pods")
    for shown in (result, hint, Diagnosis((check,))):
        assert "bin/eksnet " in repr(shown)
        assert "bin/eksnet " in shown._repr_html_()


def run(*command, cwd=None, **variables):
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("EKSNET_COMMAND", "UV_RUN_RECURSION_DEPTH", "VIRTUAL_ENV")
    }
    return subprocess.run(
        command, cwd=cwd, env={**environment, **variables},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("way", ["from the clone", "from elsewhere", "through a link"])
def test_the_launcher_works(tmp_path, way):
    link = tmp_path / "a link"
    link.symlink_to(LAUNCHER)
    typed, cwd = {
        "from the clone": ("./bin/eksnet", CLONE),
        "from elsewhere": (str(LAUNCHER), tmp_path),
        "through a link": ("./a link", tmp_path),
    }[way]
    # Nothing of this suite's own on the path, by which a wrong way would arrive too.
    own = {"XDG_STATE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = run(typed, "kubectl", "get", "pods", cwd=cwd, **own)
    assert done.returncode == 2
    assert f"next:     {shlex.quote(typed)} up" in done.stderr


@pytest.mark.parametrize("arguments", [["lab", "--help"], ["up", "--nonsense"]])
def test_usage_and_advice_name_the_launcher_as_it_was_typed(arguments):
    done = run("bin/eksnet", *arguments, cwd=CLONE, COLUMNS="100", NO_COLOR="1")
    assert f"bin/eksnet {arguments[0]} " in done.stdout + done.stderr


@pytest.fixture
def bare_clone(tmp_path):
    """A clone in which nothing is set up."""
    clone = tmp_path / "clone"
    (clone / "bin").mkdir(parents=True)
    shutil.copy2(LAUNCHER, clone / "bin")
    return clone


def test_before_set_up_the_launcher_says_what_to_do(bare_clone, tmp_path):
    done = run(bare_clone / "bin" / "eksnet", "up", PATH="/usr/bin:/bin")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"next:     make -C {bare_clone} setup" in done.stderr


@pytest.mark.parametrize("place", ["the path", ".tools/bin"])
def test_without_an_environment_the_launcher_takes_uv(bare_clone, tmp_path, place):
    directory = tmp_path / "programs" if place == "the path" else bare_clone / place
    directory.mkdir(parents=True)
    uv = directory / "uv"
    uv.write_text('#!/bin/sh\necho "$EKSNET_COMMAND" "$@"\n')
    uv.chmod(0o755)
    launcher = bare_clone / "bin" / "eksnet"
    path = f"{directory}:/usr/bin:/bin" if place == "the path" else "/usr/bin:/bin"
    done = run(launcher, "up", "a b", PATH=path)
    said = f"{launcher} run --quiet --frozen --project {bare_clone} eksnet up a b\n"
    assert (done.returncode, done.stdout) == (0, said)


def test_python_runs_it_as_a_module(tmp_path):
    done = run(
        sys.executable, "-m", "eksnet", "status", "--sandbox", "own", XDG_STATE_HOME=str(tmp_path)
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "own: down\n")


def test_a_kernels_environment_finds_this_one_first():
    variables = commands.environment({"PATH": "/usr/bin", "EKSNET_COMMAND": "x", "HOME": "/h"})
    assert variables == {"PATH": f"{commands._SCRIPTS}:/usr/bin", "HOME": "/h"}
    assert shutil.which("eksnet", path=variables["PATH"]) == str(commands._SCRIPTS / "eksnet")


def test_the_readme_names_commands_as_they_work_in_a_clone():
    readme = (CLONE / "README.md").read_text()
    assert "bin/eksnet" in readme
    assert re.findall(r"`eksnet [a-z]+|uv run eksnet", readme) == []


def test_the_readme_has_a_row_for_each_command():
    rows = re.findall(r"^\| (`.+?) \| ", (CLONE / "README.md").read_text(), re.MULTILINE)
    named = {words.split()[0] for row in rows for words in re.findall(r"`(.+?)`", row)}
    assert set(typer.main.get_command(cli.app).commands) - named == set()


@pytest.mark.parametrize("words", [["plan"], ["engine", "build"]])
def test_the_paragraphs_of_a_help_are_as_wide_as_the_terminal(words):
    done = run(LAUNCHER, *words, "--help", COLUMNS="400", NO_COLOR="1")
    command = typer.main.get_command(cli.app)
    for word in words:
        command = command.commands[word]
    for paragraph in command.help.split("\n\n"):
        assert " ".join(paragraph.split()) in done.stdout


@pytest.mark.parametrize("words", [["--help"], ["engine", "--help"]])
def test_a_full_standard_output_is_told_in_words(words):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [LAUNCHER, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr.startswith("eksnet: the output cannot be written: No space left on device")
    assert "Traceback" not in done.stderr


def test_a_closed_standard_output_is_enough():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [LAUNCHER, "--help"], stdout=closed, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (1, "")
