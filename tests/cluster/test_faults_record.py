"""Faults on an API server: recorded, reverted, and refused where they would harm."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from fake_api import FakeApi

from eksnet import coredns, kubeproxy
from eksnet.cluster import Cluster, faults
from eksnet.cluster.faults import Place
from eksnet.errors import EksnetError

WEB = "/api/v1/namespaces/shop/services/web"
RECORD = "/api/v1/namespaces/kube-system/configmaps/eksnet-faults"
PLACE = Place("service", "web", "shop")
CHANGE = {"spec": {"selector": {"app": "wbe", "old": None}, "ports": [{"port": 81}]}}
BEFORE = {"selector": {"app": "web", "old": "x"}, "ports": [{"port": 80}], "type": "ClusterIP"}


@pytest.fixture
def sandboxed(api: FakeApi, fake: Cluster) -> Iterator[Cluster]:
    """A cluster that counts as the sandbox."""
    fake.target = replace(fake.target, kind="sandbox")
    api.put(WEB, {"spec": BEFORE})
    yield fake


def spec(api: FakeApi) -> object:
    return api.objects[WEB]["spec"]


def test_a_fault_is_taken_back_to_what_was_before(api: FakeApi, sandboxed: Cluster) -> None:
    faults.inject(sandboxed, "proxy-A", PLACE, CHANGE)
    assert spec(api) == {"selector": {"app": "wbe"}, "ports": [{"port": 81}], "type": "ClusterIP"}
    assert faults.was_injected(sandboxed, "proxy-A")
    assert faults.revert_all(sandboxed, "proxy") == ("A",)
    assert spec(api) == BEFORE
    assert not faults.was_injected(sandboxed, "proxy-A")
    assert faults.revert_all(sandboxed, "proxy") == ()


def test_a_fault_that_is_injected_twice_is_reverted_to_the_first(
    api: FakeApi, sandboxed: Cluster
) -> None:
    faults.inject(sandboxed, "proxy-A", PLACE, CHANGE)
    faults.inject(sandboxed, "proxy-A", PLACE, CHANGE)
    faults.revert_all(sandboxed, "proxy")
    assert spec(api) == BEFORE


def test_a_fixed_fault_was_still_injected(api: FakeApi, sandboxed: Cluster) -> None:
    faults.inject(sandboxed, "proxy-A", PLACE, CHANGE)
    sandboxed.patch("service", "web", {"spec": BEFORE}, "shop")
    assert faults.was_injected(sandboxed, "proxy-A")


def test_another_chapters_fault_stays(api: FakeApi, sandboxed: Cluster) -> None:
    faults.inject(sandboxed, "proxy-A", PLACE, CHANGE)
    assert faults.revert_all(sandboxed, "dns") == ()
    assert spec(api) != BEFORE


def test_what_is_gone_is_not_put_back(api: FakeApi, sandboxed: Cluster) -> None:
    faults.inject(sandboxed, "proxy-A", PLACE, CHANGE)
    api.remove(WEB)
    assert faults.revert_all(sandboxed, "proxy") == ("A",)
    assert not faults.was_injected(sandboxed, "proxy-A")


def test_the_record_comes_before_the_change(api: FakeApi, sandboxed: Cluster) -> None:
    api.refuse = lambda one: (500, {"message": "no"}) if one.path == WEB and one.writes else None
    with pytest.raises(EksnetError):
        faults.inject(sandboxed, "proxy-A", PLACE, CHANGE)
    api.refuse = lambda _: None
    assert spec(api) == BEFORE
    assert faults.revert_all(sandboxed, "proxy") == ("A",)
    assert spec(api) == BEFORE


def test_no_fault_anywhere_else(api: FakeApi, fake: Cluster) -> None:
    api.put(WEB, {"spec": BEFORE})
    with pytest.raises(EksnetError, match="would harm") as refused:
        faults.inject(fake, "proxy-A", PLACE, CHANGE)
    assert refused.value.next_step == 'eksnet.connect("sandbox")'
    assert api.writes == []


@pytest.mark.parametrize("kind", ["context", "eks"])
@pytest.mark.parametrize(
    "go",
    [
        *(lambda cluster, name=name: coredns.inject_fault(cluster, name) for name in "ABCD"),
        *(lambda cluster, name=name: kubeproxy.inject_fault(cluster, name) for name in "ABCD"),
        coredns.revert_faults,
        kubeproxy.revert_faults,
        lambda cluster: faults.revert_all(cluster, "dns"),
    ],
)
def test_no_chapters_fault_comes_or_goes_anywhere_else(
    kind: str, go: Callable[[Cluster], object], api: FakeApi, fake: Cluster
) -> None:
    # As if this cluster had once been the sandbox, and its faults were still recorded.
    fake.target = replace(fake.target, kind=kind)
    api.put(WEB, {"spec": BEFORE})
    place = {"kind": "service", "name": "web", "namespace": "shop", "before": {"spec": {}}}
    api.put(RECORD, {"data": {"dns-A": json.dumps(place), "proxy-A": json.dumps(place)}})
    before = len(api.requests)
    with pytest.raises(EksnetError, match="and this is") as refused:
        go(fake)
    assert refused.value.next_step == 'eksnet.connect("sandbox")'
    assert api.requests[before:] == []


def test_the_state_before_is_that_before_the_first_time(api: FakeApi, sandboxed: Cluster) -> None:
    faults.inject(sandboxed, "proxy-A", PLACE, CHANGE)
    # Half fixed by the learner, or the object applied anew: then the cell runs a second time.
    sandboxed.patch("service", "web", {"spec": {"ports": [{"port": 82}]}}, "shop")
    faults.inject(sandboxed, "proxy-A", PLACE, CHANGE)
    assert spec(api) == {"selector": {"app": "wbe"}, "ports": [{"port": 81}], "type": "ClusterIP"}
    faults.revert_all(sandboxed, "proxy")
    assert spec(api) == BEFORE


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind": "service"}', '{"before": null}'])
def test_a_record_that_is_none_is_said(text: str, api: FakeApi, sandboxed: Cluster) -> None:
    api.put(RECORD, {"data": {"proxy-A": text}})
    with pytest.raises(EksnetError, match="holds no record of a fault under 'proxy-A'") as refused:
        faults.revert_all(sandboxed, "proxy")
    assert "delete configmap eksnet-faults" in refused.value.next_step
    assert api.writes == []
