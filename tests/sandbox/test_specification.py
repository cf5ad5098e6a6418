"""What one process tells another one is the same on the other side."""

import dataclasses
import json
from pathlib import Path

import pytest

from eksnet.sandbox.specification import (
    ComponentReport,
    NodeSpecification,
    Report,
    SandboxSpecification,
)

SANDBOX = SandboxSpecification(
    state=Path("/s/a b"),
    region="ap-northeast-2",
    programs=Path("/p"),
    busybox=Path("/b"),
    musl=Path("/m"),
    images='[{"name": "busybox"}]',
    one_id=False,
    node_ids="0 65536 65536",
    sync_frequency="5s",
    endpoint="https://127.0.0.1:6443",
    aws_endpoint="http://127.0.0.1:8080",
    listeners={"api": 3, "aws": 4},
    alive=5,
    used=6,
)
NODE = NodeSpecification(
    hostname="ip-10-0-128-10",
    ids="0 0 1",
    stage=Path("/s"),
    disk=Path("/d"),
    programs=Path("/p"),
    busybox=Path("/b"),
    musl=Path("/m"),
    pki=Path("/k"),
    files={"/etc/hostname": "ip-10-0-128-10\n"},
)

REPORT = Report(
    "settling",
    "kube-system Ready",
    (("API server answers", 1.25), ("nodes Ready", 2.5)),
    {"etcd": ComponentReport("running"), "aws": ComponentReport("starting again", 3, -9)},
)


@pytest.mark.parametrize("one", [SANDBOX, NODE, REPORT], ids=["sandbox", "node", "report"])
def test_it_comes_back_as_it_was(one):
    back = type(one).from_json(one.to_json())
    assert back == one
    assert [type(value) for value in vars(back).values()] == [
        type(value) for value in vars(one).values()
    ]


@pytest.mark.parametrize("one", [SANDBOX, NODE], ids=["sandbox", "node"])
def test_another_versions_is_refused(one):
    fields = json.loads(one.to_json())
    with pytest.raises(TypeError, match="unknown"):
        type(one).from_json(json.dumps({**fields, "unknown": 1}))
    first = next(iter(fields))
    with pytest.raises(TypeError, match=first):
        type(one).from_json(json.dumps({name: fields[name] for name in fields if name != first}))


def test_what_a_newer_supervisor_says_beyond_this_is_passed_over():
    said = json.loads(REPORT.to_json())
    said["components"]["etcd"]["memory"] = 7
    assert Report.from_json(json.dumps({**said, "since": "now"})) == REPORT


def test_it_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        NODE.hostname = "another"


def test_the_supervisor_inherits_every_socket_and_lock():
    assert SANDBOX.descriptors == (3, 4, 5, 6)
