"""The autoscaler of the add-on on a cluster: its schema read, and replicas that follow a fleet."""

import os
import signal
from types import SimpleNamespace

import pytest

from eksnet import coredns
from eksnet.cluster import simulated
from eksnet.cluster.countdown import until
from eksnet.coredns import autoscaling
from eksnet.coredns.autoscaling import Field, fields_of, published_fields
from eksnet.errors import EksnetError
from eksnet.sandbox.aws.eks import catalogue

SYSTEM = "kube-system"
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
        import json

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


@pytest.fixture
def scaled(cluster):
    """The add-on with its autoscaler, and everything as it was at the end."""
    coredns.addon.install(cluster)
    coredns.addon.update(
        cluster, {"autoScaling": {"enabled": True, "maxReplicas": 12}}, "OVERWRITE"
    )
    yield cluster
    simulated.end_fleet(cluster)
    simulated.end_clock(cluster)
    coredns.addon.update(cluster, {}, "OVERWRITE")
    coredns.addon.remove(cluster)


@pytest.mark.sandbox
def test_replicas_follow_a_fleet_up_and_down(scaled):
    import faults

    grown = autoscaling.grow(scaled, nodes=40, cores=64)
    assert grown.rows == (("40", "3", "10", "10", "observed"),)
    owned = scaled.owners("deployment/coredns", namespace=SYSTEM, below=".spec.replicas")
    assert [one.manager for one in owned] == ["coredns-autoscaler"]
    scaled.rollout_status("deployment/coredns", SYSTEM)
    pods = scaled.list("pods", SYSTEM)
    assert not [pod for pod in pods if pod["spec"]["nodeName"].startswith("simulated")]
    # A bound that is lower counts at once.
    coredns.addon.update(scaled, {"autoScaling": {"enabled": True, "maxReplicas": 6}}, "OVERWRITE")
    assert until("six replicas", lambda: autoscaling.replicas(scaled) == 6, 60)
    coredns.addon.update(scaled, {"autoScaling": {"enabled": True, "maxReplicas": 12}})
    assert until("ten replicas", lambda: autoscaling.replicas(scaled) == 10, 60)
    # What it remembers of the peak outlives its process.
    os.kill(faults.component_pid("aws"), signal.SIGKILL)
    assert until("EKS", lambda: _answers(scaled), 60)
    autoscaling.start_clock(scaled, 60)
    shrunk = autoscaling.shrink(scaled, nodes=40, cores=64)
    assert list(shrunk) == coredns.replicas.steps_down(10, 2)
    assert {row[-1] for row in shrunk.rows} == {"observed"}


def _answers(cluster):
    import botocore.exceptions

    try:
        return coredns.addon.describe(cluster)[0].status != "self-managed"
    except (botocore.exceptions.HTTPClientError, botocore.exceptions.ClientError):
        return False
