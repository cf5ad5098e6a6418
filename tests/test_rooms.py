"""The import contract of pyproject.toml holds the rooms of docs/architecture.md."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import eksnet

HERE = Path(eksnet.__file__).parents[1]
SETTINGS = tomllib.loads((HERE / "pyproject.toml").read_text())["tool"]["importlinter"]
ROOMS = next(one for one in SETTINGS["contracts"] if one["id"] == "rooms")
# What has to run before anything is installed.
APART = {"bootstrap", "versions"}


def test_the_contract_holds_the_rooms_of_the_table():
    table = (HERE / "docs" / "architecture.md").read_text().split("## Rooms")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    told = {name for row in rows for name in re.findall(r"eksnet/(\w+)", row)}
    layers = {name for layer in ROOMS["layers"] for name in re.findall(r"\w+", layer)}
    assert told - APART == layers - APART


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("dns/walk", "from eksnet import coredns"),
        ("coredns/diagnosis", "import eksnet"),
        ("cluster/cluster", "from eksnet.coredns.corefile import plugins"),
        ("widgets/ladder", "from eksnet.cluster.objects import Resource"),
        ("new", "import os"),
    ],
)
def test_an_import_the_wrong_way_breaks_it(module, line, tmp_path):
    package = tmp_path / "eksnet"
    for file in (HERE / "eksnet").rglob("*.py"):
        copy = package / file.relative_to(HERE / "eksnet")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(file.read_text())
    with (package / f"{module}.py").open("a") as file:
        # Also where it is only imported in a function.
        file.write(f"\n\ndef late():\n    {line}\n")
    broken = _lint(tmp_path)
    assert broken.returncode == 1, broken.stdout
    assert "BROKEN" in broken.stdout


def _lint(directory):
    program = Path(sys.executable).with_name("lint-imports")
    command = [str(program), "--no-cache", "--no-logo", str(HERE / "pyproject.toml")]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True)


def test_no_two_test_files_have_one_name():
    # pytest imports them by their names alone, and refuses the second one.
    names = [path.name for path in (HERE / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
