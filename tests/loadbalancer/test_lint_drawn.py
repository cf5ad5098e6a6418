"""Lint of random manifests: those that the controller takes, and each with one mistake in it.

`test_plan_differential` has the real controller make what `drawn` draws. So an error that lint
finds in it is a wrong one.
"""

from __future__ import annotations

import json
from typing import Any

import controlled
import drawn
import pytest
from drawn import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from eksnet.loadbalancer import lint
from eksnet.loadbalancer.catalogues import INGRESS
from eksnet.loadbalancer.linting import ERROR

CERTIFICATE = "arn:aws:acm:ap-northeast-2:111122223333:certificate/"
ACCOUNT = Account(
    (f"{CERTIFICATE}a", f"{CERTIFICATE}b"),
    {"internal": ("subnet-1", "subnet-2"), "internet-facing": ("subnet-3", "subnet-4")},
    "sg-1",
)
Json = dict[str, Any]


def errors(objects: list[Json]) -> list[str]:
    text = "\n---\n".join([controlled.APP, *map(json.dumps, objects)])
    return [one.rule for one in lint(text) if one.severity == ERROR]


@settings(max_examples=100, derandomize=True, database=None)
@given(drawn.groups(ACCOUNT, 1), drawn.groups(ACCOUNT, 2), drawn.balancers(ACCOUNT, 1))
def test_what_the_controller_takes_has_no_error(
    first: list[Json], second: list[Json], service: Json
) -> None:
    assert errors([*first, *second, service]) == []


# A mistake, and the rule that finds it; what the controller says of each is in the table of errors.
MISTAKES = {
    "scheme": ("public", "value"),
    "target-type": ("pod", "value"),
    "backend-protocol": ("GRPC", "value"),
    "listen-ports": ("[{HTTP: 80}]", "json"),
    "healthcheck-interval-seconds": ("ten", "value"),
    "group.order": ("2000", "range"),
    "load-balancer-name": ("n" * 33, "load-balancer-name"),
    "inbound-cidrs": ("10.0.0.0", "network"),
    "ssl-redirect": ("8443", "ssl-redirect"),
    "tags": ("team", "value"),
    "subnets": ("subnet-1", "subnets"),
    "shceme": ("internal", "unknown-annotation"),
}


@pytest.mark.parametrize("name", MISTAKES)
@settings(max_examples=10, derandomize=True, database=None)
@given(drawn.groups(ACCOUNT, 1), st.data())
def test_a_mistake_among_them_is_found(name: str, group: list[Json], data: st.DataObject) -> None:
    value, rule = MISTAKES[name]
    if name == "ssl-redirect" and f"{INGRESS}group.name" in group[0]["metadata"]["annotations"]:
        # Another member of the group may bring the listener.
        return
    one = data.draw(st.sampled_from(group))
    one["metadata"]["annotations"][f"{INGRESS}{name}"] = value
    assert rule in errors(group)
