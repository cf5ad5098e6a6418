"""Simulated nodes and the autoscaler's clock: only in the sandbox, and nothing of them stays."""

import time
from types import SimpleNamespace

import pytest

from eksnet.cluster import simulated
from eksnet.errors import EksnetError


class Elsewhere:
    """A cluster that is not the sandbox; whatever is asked of it is a mistake."""

    target = SimpleNamespace(kind="context", name="lab")


@pytest.mark.parametrize("call", [
    lambda: simulated.start_fleet(Elsewhere(), 40, 64),
    lambda: simulated.start_clock(Elsewhere(), 60),
])  # fmt: skip
def test_another_cluster_gets_none_of_it(call):
    with pytest.raises(EksnetError) as refused:
        call()
    assert refused.value.expected == "the sandbox"


@pytest.mark.parametrize(
    ("quantity", "cores"),
    [("64", 64), ("2", 2), ("1930m", 2), ("0", 0), ("1k", 1000), ("", 0), ("many", 0)],
)
def test_cores_are_read(quantity, cores):
    assert simulated.cores_of({"status": {"capacity": {"cpu": quantity}}}) == cores


@pytest.mark.sandbox
def test_a_fleet_counts_and_runs_nothing_and_goes_with_its_leases(cluster):
    try:
        assert simulated.start_fleet(cluster, nodes=6, cores=64) == 4
        found = simulated.fleet(cluster)
        assert [simulated.cores_of(one) for one in found] == [64] * 4
        cluster.wait("node", found[0].name)
        pods = cluster.list("pods", all_namespaces=True)
        assert not {one["spec"].get("nodeName") for one in pods} & {one.name for one in found}
        # Again with another size: those that differ are made anew.
        assert simulated.start_fleet(cluster, nodes=4, cores=2) == 2
        assert [simulated.cores_of(one) for one in simulated.fleet(cluster)] == [2, 2]
        renewed = {one.name: one["spec"]["renewTime"] for one in leases(cluster)}
        deadline = time.monotonic() + 60
        while {one.name: one["spec"]["renewTime"] for one in leases(cluster)} == renewed:
            assert time.monotonic() < deadline, "no lease was renewed"
            time.sleep(1)
    finally:
        assert simulated.end_fleet(cluster) == 2
    assert simulated.fleet(cluster) == leases(cluster) == []
    assert simulated.end_fleet(cluster) == 0


@pytest.mark.sandbox
def test_a_lease_whose_node_was_deleted_goes_too(cluster):
    simulated.start_fleet(cluster, nodes=4, cores=2)
    cluster.delete("node", "simulated-001")
    assert simulated.left(cluster) == ["simulated-001", "simulated-002"]
    assert simulated.end_fleet(cluster) == 2
    assert simulated.left(cluster) == leases(cluster) == []


def leases(cluster):
    found = cluster.list("leases", simulated.LEASES)
    return [one for one in found if one.name.startswith("simulated-")]


@pytest.mark.sandbox
def test_the_clock_is_a_configmap_that_goes_again(cluster):
    assert simulated.clock_factor(cluster) == 1
    simulated.start_clock(cluster, 60)
    simulated.start_clock(cluster, 90)
    assert simulated.clock_factor(cluster) == 90
    for _ in range(2):
        simulated.end_clock(cluster)
        assert simulated.clock_factor(cluster) == 1
    for factor in (0, 121, 1.5, True):
        with pytest.raises(EksnetError, match="the clock's factor"):
            simulated.start_clock(cluster, factor)


@pytest.mark.sandbox
@pytest.mark.parametrize(("nodes", "cores"), [(1, 64), (101, 64), (40, 0), (40, 449), ("4", 1)])
def test_a_number_out_of_range_makes_nothing(cluster, nodes, cores):
    with pytest.raises(EksnetError):
        simulated.start_fleet(cluster, nodes, cores)
    assert simulated.fleet(cluster) == []
