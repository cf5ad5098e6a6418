"""Services in growing numbers on a live sandbox: every rule is there, in steps that go through."""

import pytest

from eksnet import kubeproxy
from eksnet.cluster.targets import Target
from eksnet.errors import EksnetError
from eksnet.kubeproxy import differences, many_services

pytestmark = pytest.mark.sandbox


def is_deleted(cluster):
    """Tell whether the Services' namespace is gone, or on its way."""
    namespace = cluster.find("namespace", "many")
    return namespace is None or "deletionTimestamp" in namespace["metadata"]


# More than kube-proxy can hand the kernel at once here, in either mode.
@pytest.mark.parametrize(
    ("mode", "sizes", "rules", "elements"),
    [("nftables", [70, 3], [21, 490], [6, 140]), ("iptables", [3, 60], [30, 600], [0, 0])],
)
def test_the_rules_of_growing_numbers_are_those_predicted(cluster, mode, sizes, rules, elements):
    kubeproxy.switch_mode(cluster, mode)
    node = kubeproxy.read_node(cluster)
    before = kubeproxy.wait_for_rules(cluster, node)
    found = kubeproxy.count_added_rules(cluster, sizes)
    assert [one.services for one in found] == sorted(sizes)
    counts = list(zip(rules, elements, strict=True))
    assert [one.observed for one in found] == [one.predicted for one in found] == counts
    assert found.rows[0] == (mode, "3", *[str(rules[0])] * 2, *[str(elements[0])] * 2)
    # And all of it goes again, the Services before it returns.
    assert is_deleted(cluster)
    assert not cluster.list("services", "many")
    assert not differences(before, kubeproxy.wait_for_rules(cluster, node))


@pytest.mark.soak
@pytest.mark.parametrize("mode", ["nftables", "iptables"])
def test_the_largest_number_that_is_allowed_goes_well(cluster, mode):
    kubeproxy.switch_mode(cluster, mode)
    (found,) = kubeproxy.count_added_rules(cluster, [many_services.LARGEST[mode]])
    assert found.observed == found.predicted
    assert found.services > 100


def test_what_does_not_come_is_said_and_leaves_nothing(cluster, monkeypatch):
    monkeypatch.setattr(many_services._Many, "_expected", lambda self: -1)
    with pytest.raises(
        EksnetError, match=r"after 0 s, 2 Services have added .* rules and elements"
    ):
        kubeproxy.count_added_rules(cluster, [2], timeout=0)
    assert is_deleted(cluster)


def test_more_than_goes_well_are_refused(cluster):
    with pytest.raises(EksnetError, match="151 Services in mode iptables") as caught:
        kubeproxy.count_added_rules(cluster, [10, 151])
    assert "at most 150" in caught.value.expected
    assert is_deleted(cluster)


def test_nothing_grows_anywhere_else(cluster, monkeypatch):
    monkeypatch.setattr(cluster, "target", Target("context", "mine"))
    with pytest.raises(EksnetError, match="every node, and this is context:mine"):
        kubeproxy.count_added_rules(cluster, [1])
