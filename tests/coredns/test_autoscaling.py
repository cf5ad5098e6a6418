"""The autoscaler of the add-on on a cluster: its schema read, and what is computed elsewhere."""

import json
from types import SimpleNamespace

import pytest

from eksnet.coredns import autoscaling
from eksnet.coredns.autoscaling import Field, fields_of, published_fields
from eksnet.errors import EksnetError
from eksnet.sandbox.aws.eks import catalogue

ON = {"autoScaling": {"enabled": True}}


def schema(**scaling):
    part = {"properties": {"autoScaling": {"$ref": "#/definitions/AutoScaling"}}}
    return {
        "$ref": "#/definitions/Coredns",
        "definitions": {"Coredns": part, "AutoScaling": {"properties": scaling}},
    }


def test_the_sandboxs_schema_is_the_published_one():
    assert fields_of(catalogue.addon("coredns").schema) == published_fields()
    assert [one.name for one in published_fields()] == ["enabled", "maxReplicas", "minReplicas"]


@pytest.mark.parametrize(
    ("found", "fields"),
    [
        ({}, ()),
        ({"properties": {"corefile": {"type": "string"}}}, ()),
        (
            schema(nodesPerReplica={"type": "integer", "minimum": 1, "maximum": 9, "default": 16}),
            (Field("nodesPerReplica", "integer", "16", "1 to 9", False),),
        ),
    ],
)
def test_any_schema_is_read(found, fields):
    assert fields_of(found) == fields


class Eks:
    """A cluster on EKS with an add-on, and a schema of its own."""

    target = SimpleNamespace(kind="eks", name="lab")
    eks_name = "lab"

    def __init__(self, values=ON, found=None):
        self.values, self.schema = values, found or schema(enabled={"type": "boolean"})

    def aws(self, service):
        return self

    exceptions = SimpleNamespace(ResourceNotFoundException=KeyError)

    def describe_cluster(self, name):
        return {"cluster": {"version": "1.29", "platformVersion": "eks.6"}}

    def describe_addon(self, **_):
        return {
            "addon": {
                "status": "ACTIVE",
                "addonVersion": "v1.11.1-eksbuild.9",
                "health": {"issues": []},
                "configurationValues": str(self.values),
            }
        }

    def describe_addon_configuration(self, **_):
        return {"configurationSchema": json.dumps(self.schema)}


def test_a_real_schema_is_shown_beside_the_published_one():
    found = schema(enabled={"type": "boolean", "default": False}, nodesPerReplica={"type": "x"})
    rows = {row[0]: row[-1] for row in autoscaling.fields(Eks(found=found)).rows}
    # `enabled` is not required here, so it is another one.
    assert rows == {
        "enabled": "other", "nodesPerReplica": "more",
        "maxReplicas": "missing", "minReplicas": "missing",
    }  # fmt: skip


def test_the_prerequisites_are_those_that_eks_describes():
    assert [one.holds for one in autoscaling.prerequisites(Eks())] == [True, False, True]


def test_elsewhere_the_way_is_computed_and_nothing_is_waited_for(capsys):
    autoscaling.start_clock(Eks())
    grown = autoscaling.grow(Eks(), nodes=40, cores=64)
    assert grown.rows == (("40", "3", "10", "10", "computed"),)
    shrunk = autoscaling.shrink(Eks(), nodes=40, cores=64)
    assert [row[:2] for row in shrunk.rows] == [
        ("0", "10"), ("10", "7"), ("13", "5"), ("16", "4"), ("19", "3"), ("22", "2"),
    ]  # fmt: skip
    assert {row[2] for row in shrunk.rows} == {"computed"}
    autoscaling.end_clock(Eks())
    assert "its own clock" in capsys.readouterr().out


@pytest.mark.parametrize("call", [
    lambda: autoscaling.grow(Eks({}), 40, 64),
    lambda: autoscaling.grow(Eks(), -1, 64),
    lambda: autoscaling.grow(Eks(), 40, 64, timeout=-1),
    lambda: autoscaling.shrink(Eks({}), 40, 64),
])  # fmt: skip
def test_what_cannot_grow(call):
    with pytest.raises(EksnetError):
        call()
