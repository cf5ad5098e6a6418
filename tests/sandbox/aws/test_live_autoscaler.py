"""EKS's CoreDNS autoscaler on the suite's sandbox: a real Deployment follows simulated nodes."""

import os
import signal

import botocore.exceptions
import faults
import pytest

from eksnet import coredns
from eksnet.cluster import simulated
from eksnet.cluster.countdown import until
from eksnet.coredns import autoscaling
from eksnet.errors import UnreachableError

pytestmark = pytest.mark.sandbox
SYSTEM = "kube-system"


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


def test_replicas_follow_a_fleet_up_and_down(scaled):
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
    try:
        return coredns.addon.describe(cluster)[0].status != "self-managed"
    except (UnreachableError, botocore.exceptions.ClientError):
        return False
