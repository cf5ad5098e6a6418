"""A kube-proxy in mode nftables that hears of the ServiceCIDRs after its first rules."""

from dataclasses import replace
from typing import Any

import pytest

from eksnet.kubeproxy import observe
from eksnet.kubeproxy.predict import predict
from eksnet.kubeproxy.settings import Node, Settings

NODE = Node("node1", ("10.0.128.10",))
SETTINGS = Settings(mode="nftables", service_cidrs=("10.100.0.0/16",))


@pytest.fixture
def found(monkeypatch):
    """The differences of some rules from those of a cluster without Services."""
    monkeypatch.setattr(observe, "read_configuration", lambda _: SETTINGS)
    monkeypatch.setattr(observe, "predict_node", lambda _, node, settings: rules(settings, node))
    cluster: Any = None
    return lambda observed: observe.node_differences(cluster, NODE, observed)


def rules(settings: Settings, node: Node = NODE):
    return predict([], [], node, settings)


def test_the_line_for_the_networks_may_be_missing(found):
    assert not found(rules(SETTINGS))
    assert not found(rules(replace(SETTINGS, service_cidrs=())))


def test_no_other_line_may(found):
    late = rules(replace(SETTINGS, service_cidrs=()))
    chains = {name: chain for name, chain in late.chains.items() if "nat-output" not in name}
    assert "nat-output" in repr(found(replace(late, chains=chains)))


def test_nor_may_it_be_another(found):
    other = rules(replace(SETTINGS, service_cidrs=("172.20.0.0/16",)))
    assert "172.20.0.0/16" in repr(found(other))
