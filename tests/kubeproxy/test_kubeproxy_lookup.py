"""The first packet's way, measured: what it is worth is for the reader to see, not for a test."""

import pytest

from eksnet.errors import EksnetError
from eksnet.kubeproxy import Lookup, Lookups, lookup, measure_lookup


def test_each_mode_and_size_is_measured_on_rules_that_translate():
    # Without the rules nobody would refuse the connection, and it would hang.
    found = measure_lookup([3, 1])
    assert [(one.mode, one.services) for one in found] == [
        ("iptables", 1), ("iptables", 3), ("nftables", 1), ("nftables", 3),
    ]  # fmt: skip
    assert all(one.microseconds > 0 for one in found)
    assert max(len(row[3]) for row in found.rows) == 40
    assert min(len(row[3]) for row in found.rows) >= 1


def test_how_many_times_as_long():
    found = (
        Lookup("iptables", 1000, 30.0),
        Lookup("iptables", 10, 10.0),
        Lookup("nftables", 1, 9.0),
    )
    lookups = Lookups((), (), found)
    assert (lookups.times("iptables"), lookups.times("nftables")) == (3.0, 1.0)


def test_a_computer_without_namespaces_is_told(monkeypatch):
    monkeypatch.setattr(lookup, "_PRIVATE", ("sh", "-c", "echo no namespaces >&2; exit 1"))
    with pytest.raises(EksnetError, match="the rules of 1 Services could not be measured: no name"):
        measure_lookup([1])
