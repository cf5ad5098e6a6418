"""environment.yml, the conda way, leads to the same place as pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parent.parent
# conda-forge calls these otherwise than PyPI does.
PYPI_NAMES = {"python-kubernetes": "kubernetes"}


def split(requirement: str) -> tuple[str, str]:
    """Split `pandas >=2.2` or `pandas>=2.2` into its name and its bounds."""
    found = re.fullmatch(r"([A-Za-z0-9._-]+)\s*(.*)", requirement)
    assert found, requirement
    return found[1], found[2].replace(" ", "")


def conda() -> dict[str, str]:
    listed = yaml.safe_load((PROJECT / "environment.yml").read_text())["dependencies"]
    pairs = [split(entry) for entry in listed if isinstance(entry, str)]
    return {PYPI_NAMES.get(name, name): bounds for name, bounds in pairs if name != "pip"}


def pyproject() -> dict[str, str]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    bounds = dict(split(requirement) for requirement in project["dependencies"])
    return bounds | {"python": project["requires-python"]}


def test_conda_and_pyproject_name_the_same_packages_with_the_same_bounds():
    assert conda() == pyproject()


def test_conda_installs_the_project_itself_in_place():
    listed = yaml.safe_load((PROJECT / "environment.yml").read_text())["dependencies"]
    assert {"pip": ["--editable ."]} in listed
    assert "pip" in listed
