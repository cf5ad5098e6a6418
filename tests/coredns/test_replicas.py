"""CoreDNS's replicas by two autoscalers, and who may have the one of EKS."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eksnet.coredns import replicas
from eksnet.errors import EksnetError


@pytest.mark.parametrize(
    ("nodes", "cores", "by_nodes", "by_cores", "wanted"),
    [
        (0, 0, 0, 0, 2),
        (2, 4, 1, 1, 2),
        (32, 64, 2, 1, 2),
        (33, 66, 3, 1, 3),
        (40, 2560, 3, 10, 10),
        (16, 257, 1, 2, 2),
        (160, 320, 10, 2, 10),
    ],
)
def test_replicas_of_the_eks_addon(nodes, cores, by_nodes, by_cores, wanted):
    found = replicas.eks_replicas(nodes, cores)
    assert (found.by_nodes, found.by_cores, found.replicas) == (by_nodes, by_cores, wanted)


def test_bounds():
    assert replicas.eks_replicas(40, 2560, 3, 6).replicas == 6
    assert replicas.eks_replicas(2, 4, 3, 6).replicas == 3


@pytest.mark.parametrize(
    ("nodes", "cores", "spread", "wanted"),
    [(0, 0, True, 1), (1, 2, True, 1), (2, 4, True, 2), (2, 4, False, 1), (40, 2560, True, 10)],
)
def test_replicas_of_the_proportional_autoscaler(nodes, cores, spread, wanted):
    assert replicas.proportional_replicas(nodes, cores, spread=spread).replicas == wanted


@given(st.integers(0, 5000), st.integers(0, 100_000), st.integers(2, 20), st.integers(20, 1000))
def test_replicas_stay_within_bounds_and_never_fall_as_a_cluster_grows(nodes, cores, low, high):
    found = replicas.eks_replicas(nodes, cores, low, high).replicas
    assert low <= found <= high
    assert replicas.eks_replicas(nodes + 1, cores + 1, low, high).replicas >= found


@given(st.integers(2, 1000), st.integers(2, 1000))
def test_the_way_down_ends_at_the_target_and_loses_no_more_than_a_third(begin, target):
    steps = replicas.steps_down(begin, target)
    assert steps[0] == begin and steps[-1] == min(begin, target)
    for before, after in pairwise(steps):
        assert 1 <= before - after <= max(1, before * 0.33)


@pytest.mark.parametrize(
    ("kubernetes", "platform", "addon", "holds"),
    [
        ("1.35", "eks.1", "v1.14.3-eksbuild.3", [True, True, True]),
        ("1.29", "eks.7", "v1.11.1-eksbuild.9", [True, True, True]),
        ("1.29", "eks.6", "v1.11.1-eksbuild.10", [True, False, True]),
        ("1.29", "eks.10", "v1.11.1-eksbuild.8", [True, True, False]),
        ("1.28.8", "eks.13", "v1.9.3-eksbuild.15", [True, True, False]),
        ("1.24", "eks.1", "v1.9.3-eksbuild.15", [False, True, True]),
        ("1.35", "eks.1", "", [True, True, False]),
    ],
)
def test_who_may_have_the_autoscaler(kubernetes, platform, addon, holds):
    found = replicas.autoscaling_prerequisites(kubernetes, platform, addon)
    assert [one.holds for one in found] == holds


@pytest.mark.parametrize("call", [
    lambda: replicas.eks_replicas(-1, 0),
    lambda: replicas.eks_replicas(1, 1, minimum=1),
    lambda: replicas.eks_replicas(1, 1, maximum=1001),
    lambda: replicas.eks_replicas(1, 1, minimum=5, maximum=4),
    lambda: replicas.steps_down(1, 2),
    lambda: replicas.autoscaling_prerequisites("latest", "eks.1", ""),
    lambda: replicas.autoscaling_prerequisites("1.35", "7", ""),
    lambda: replicas.autoscaling_prerequisites("1.35", "eks.7", "1.14"),
])  # fmt: skip
def test_what_is_no_size_and_no_version(call):
    with pytest.raises(EksnetError):
        call()


def test_both_autoscalers_side_by_side():
    table = replicas.compare_autoscalers([(1, 2), (40, 2560)])
    assert table.rows == (("1", "2", "1", "1", "2", "1"), ("40", "2560", "3", "10", "10", "10"))
