"""What the rooms show says what it takes, in which unit, and what it raises; its examples run."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import textwrap

import pytest

import eksnet
from eksnet import checkpoints, cluster, coredns, dns, kubeproxy, widgets

ROOMS = (eksnet, checkpoints, cluster, coredns, dns, kubeproxy, widgets)
# With the modules that a room shows as they are, such as `coredns.memory`.
PARTS = [
    one for room in ROOMS for name in room.__all__ if inspect.ismodule(one := getattr(room, name))
]
FACES = (*ROOMS, *PARTS)
# What is measured, and the words that name its unit.
UNITS = {
    "timeout": "second",
    "seconds": "second",
    "ttl": "second",
    "within": "second",
    "deadline": "second",
}


def functions():
    """Yield every public function of the faces, and the methods of their classes, by name."""
    for face in FACES:
        for name in getattr(face, "__all__", None) or own_names(face):
            one = getattr(face, name)
            if inspect.isfunction(one):
                yield f"{face.__name__}.{name}", one
            elif inspect.isclass(one) and one.__module__.startswith("eksnet"):
                for method, function in vars(one).items():
                    function = getattr(function, "__func__", function)
                    if inspect.isfunction(function) and not method.startswith("_"):
                        yield f"{face.__name__}.{name}.{method}", function


def own_names(module):
    """Return what a module without `__all__` defines for others."""
    return [
        name
        for name, one in vars(module).items()
        if not name.startswith("_") and getattr(one, "__module__", "") == module.__name__
    ]


FUNCTIONS = dict(functions())


def section(function, title):
    """Return a section of a docstring; empty when there is none."""
    text = inspect.getdoc(function) or ""
    found = re.search(rf"^{title}:\n((?:    .*\n|\n)*)", f"{text}\n", re.MULTILINE)
    return textwrap.dedent(found[1]) if found else ""


def documented(function):
    """Return what is said of each argument."""
    parts = re.split(r"^\**(\w+): ", section(function, "Args"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_says_what_it_takes(name):
    function = FUNCTIONS[name]
    taken = [one for one in inspect.signature(function).parameters if one not in ("self", "cls")]
    said = documented(function)
    assert list(said) == taken
    for one, unit in UNITS.items():
        assert one not in said or unit in said[one], f"{one}: {said[one]}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_that_raises_says_so(name):
    tree = ast.parse(textwrap.dedent(inspect.getsource(FUNCTIONS[name])))
    raises = any(isinstance(node, ast.Raise) and node.exc for node in ast.walk(tree))
    assert section(FUNCTIONS[name], "Raises") or not raises


def modules():
    skipped = re.compile(r"eksnet\.(sandbox\.engine|lab_settings|__main__)")
    for found in pkgutil.walk_packages(eksnet.__path__, "eksnet."):
        if not skipped.match(found.name):
            yield found.name


def test_the_examples_of_every_room_run():
    ran = {}
    for name in modules():
        module = importlib.import_module(name)
        names = {**vars(importlib.import_module(name.rpartition(".")[0])), **vars(module)}
        result = doctest.testmod(module, extraglobs=names)
        assert result.failed == 0, name
        ran[name.split(".")[1]] = ran.get(name.split(".")[1], 0) + result.attempted
    assert {"checkpoints", "coredns", "dns", "endpoints"} <= {room for room in ran if ran[room]}
