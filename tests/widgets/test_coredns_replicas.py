"""The model of the widget CoreDNS replicas: two autoscalers side by side."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eksnet import widgets
from eksnet.coredns import replicas
from eksnet.widgets import CorednsReplicas
from eksnet.widgets.coredns_replicas import EKS, PROPORTIONAL


def tables(model):
    return [part for part in model.panel().parts if isinstance(part, widgets.Table)]


def test_the_sentence_tells_both_terms_and_both_autoscalers():
    assert CorednsReplicas().shown().sentence == (
        "40 nodes / 16 ask for 3 replicas, 2,560 cores / 256 for 10. "
        "EKS runs 10, cluster-proportional-autoscaler (CPA) 10."
    )
    bounded = CorednsReplicas(maximum=6)
    assert "EKS runs 6, cluster-proportional-autoscaler (CPA) 10" in bounded.shown().sentence
    one = CorednsReplicas(nodes=1, cores=2)
    assert "EKS runs 2, cluster-proportional-autoscaler (CPA) 1" in one.shown().sentence


@given(
    st.integers(1, 300),
    st.sampled_from([1, 2, 4, 48, 64, 96, 448]),
    st.integers(2, 5),
    st.sampled_from([0, 5, 9]),
)
def test_the_stairs_are_the_models_at_each_number_of_nodes(nodes, cores, least, most):
    model = CorednsReplicas(nodes=nodes, cores=cores, minimum=least, maximum=most)
    for name, which in ((EKS, 0), (PROPORTIONAL, 1)):
        corners = [one for one in model._steps() if one.autoscaler == name]
        assert len(corners) <= 42
        assert [one.replicas for one in corners] == [model._of(one.nodes)[which] for one in corners]
        assert corners[0].nodes == 1 and corners[-1].nodes > nodes
        for first, after in pairwise(corners):
            assert first.nodes < after.nodes
            # Between two corners of stairs nothing changes; many stairs are drawn as a line.
            if len(model._edges(corners[-1].nodes)) <= 20:
                same = range(first.nodes, after.nodes)
                assert {model._of(at)[which] for at in same} == {first.replicas}


@pytest.mark.parametrize(("nodes", "cores"), [(1, 2), (40, 64), (700, 2), (5_000, 448)])
def test_the_table_stays_short_and_marks_this_size(nodes, cores):
    table = tables(CorednsReplicas(nodes=nodes, cores=cores))[0]
    assert len(table.rows) <= 12
    here = table.rows.rows[table.marked]
    found = replicas.eks_replicas(nodes, nodes * cores)
    assert (here[0], here[2]) == (f"{nodes:,}", str(found.replicas))


def test_the_way_down_is_the_rules():
    way = tables(CorednsReplicas())[1]
    assert way.rows.rows == (
        ("0", "10"), ("10", "7"), ("13", "5"), ("16", "4"), ("19", "3"), ("22", "2"),
    )  # fmt: skip
    assert list(way.rows) == replicas.steps_down(10, 2)


def test_bounds_that_exclude_each_other_are_told_in_words():
    model = CorednsReplicas(minimum=9, maximum=5)
    assert "maxReplicas is 5" in model.shown().sentence
    assert model.shown().parts == ()


def test_the_view_is_made_of_what_a_notebook_has():
    view = widgets.coredns_replicas(nodes=10, cores=2, minimum=3, maximum=None)
    assert "EKS runs 3" in view.text
    assert view.model.settings.rows[-1] == ("maxReplicas (0: none)", "0")
