"""Which endpoints count, and that no other code decides it."""

import ast
from pathlib import Path

import pytest

import eksnet
from eksnet.endpoints import ready_endpoints, usable_endpoints

PORTS = [{"port": 8080}]


@pytest.mark.parametrize(
    ("conditions", "ready"),
    [
        ({"conditions": {"ready": True}}, True),
        ({"conditions": {"ready": False}}, False),
        ({"conditions": {"ready": False, "serving": True, "terminating": True}}, False),
        ({"conditions": {"ready": None}}, True),
        ({"conditions": {}}, True),
        ({"conditions": None}, True),
        ({}, True),
    ],
)
def test_what_nothing_is_said_of_is_ready(conditions, ready):
    slices = [{"ports": PORTS, "endpoints": [{"addresses": ["10.0.129.2"], **conditions}]}]
    assert bool(ready_endpoints(slices)) == bool(usable_endpoints(slices)) == ready


@pytest.mark.parametrize(
    ("one", "ready", "usable"),
    [
        ({"endpoints": None, "ports": PORTS}, 0, 0),
        ({"endpoints": [{"addresses": ["10.0.129.2"]}], "ports": None}, 1, 0),
        ({"endpoints": [{"addresses": ["10.0.129.2"]}]}, 1, 0),
        ({"endpoints": [{"addresses": []}], "ports": PORTS}, 1, 0),
        ({"endpoints": [{"addresses": ["a"]}, {"addresses": ["b"]}], "ports": PORTS}, 2, 2),
    ],
)
def test_a_connection_needs_an_address_and_a_port(one, ready, usable):
    assert (len(ready_endpoints([one])), len(usable_endpoints([one]))) == (ready, usable)


def test_nothing_else_asks_an_endpoint_whether_it_is_ready():
    package = Path(eksnet.__file__).parent
    asking = {
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "get"
        and "conditions" in ast.dump(node.func)
        and any(isinstance(one, ast.Constant) and one.value == "ready" for one in node.args)
    }
    assert asking == {"endpoints.py"}
