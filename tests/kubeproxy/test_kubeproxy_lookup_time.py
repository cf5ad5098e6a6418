"""The first packet's way, measured: the shape of the curves is tested, not the microseconds."""

import kubeproxy_kernel as kernel
import pytest

from eksnet.errors import EksnetError
from eksnet.kubeproxy import LookupTime, LookupTimes, lookup_time, measure_lookup_time


def test_each_mode_and_size_is_measured_on_rules_that_translate():
    # Without the rules nobody would refuse the connection, and it would hang.
    found = measure_lookup_time([3, 1])
    assert [(one.mode, one.services) for one in found] == [
        ("iptables", 1), ("iptables", 3), ("nftables", 1), ("nftables", 3),
    ]  # fmt: skip
    assert all(one.microseconds > 0 for one in found)
    assert found.rows[0] == ("iptables", "1", f"{found[0].microseconds:.0f}")


def test_how_many_times_as_long():
    found = (
        LookupTime("iptables", 1000, 30.0),
        LookupTime("iptables", 10, 10.0),
        LookupTime("nftables", 1, 9.0),
    )
    lookups = LookupTimes((), (), found)
    assert lookups.microseconds("iptables") == (10.0, 30.0)
    assert (lookups.times("iptables"), lookups.times("nftables")) == (3.0, 1.0)
    assert lookups.verdict.splitlines() == [
        "iptables grows: 1000 Services take more than 2 times as long as 10",
        "nftables stays: 1 Services take at most 2 times as long as 1",
    ]


@pytest.mark.parametrize(("slowest", "said"), [(20.0, "stays"), (20.1, "grows")])
def test_the_rule_of_the_verdict(slowest, said):
    found = (LookupTime("nftables", 1, 10.0), LookupTime("nftables", 9, slowest))
    assert LookupTimes((), (), found).verdict.startswith(f"nftables {said}:")


def test_one_mode_grows_and_the_other_does_not():
    # The sizes take turns, so a busy computer slows all of them down, and the quickest counts.
    found = measure_lookup_time([10, 1000, 3000])
    iptables, nftables = map(found.microseconds, ("iptables", "nftables"))
    assert iptables[0] < iptables[1] < iptables[2], found
    assert iptables[-1] > 1.5 * nftables[-1], found
    assert found.times("iptables") > lookup_time.GROWS > found.times("nftables"), found


def test_a_transaction_that_is_too_long_is_halved():
    loaded = []

    def load(part):
        if len(part) > 3:
            raise EksnetError("sendmsg() failed: Message too long", "no error")
        loaded.append(list(part))

    lookup_time._in_parts(load, [*map(str, range(10))])
    assert [line for part in loaded for line in part] == [*map(str, range(10))]
    with pytest.raises(EksnetError, match="no such chain"):
        lookup_time._in_parts(raising("no such chain"), ["a", "b"])
    with pytest.raises(EksnetError, match="too long"):
        lookup_time._in_parts(raising("Message too long"), ["a", "b"])


# More than the largest buffer that a socket gets without the computer's root.
MANY = 20000


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (
            ["nft", "-f", "/dev/stdin"],
            "add table ip t\nadd chain ip t c\n"
            + "add rule ip t c ip saddr 10.0.0.1 drop\n" * MANY,
        ),
        (
            ["iptables-nft-restore"],
            "*filter\n:ONE - [0:0]\n" + "-A ONE -s 10.0.0.1 -j DROP\n" * MANY + "COMMIT\n",
        ),
    ],
    ids=["nft", "iptables"],
)
def test_the_words_for_a_transaction_that_is_too_long_are_the_programs_own(command, text):
    assert lookup_time._TOO_LONG in kernel.refused(command, text)


def raising(text):
    def load(part):
        raise EksnetError(text, "no error")

    return load


def test_a_computer_without_namespaces_is_told(monkeypatch):
    monkeypatch.setattr(lookup_time, "_PRIVATE", ("sh", "-c", "echo no namespaces >&2; exit 1"))
    with pytest.raises(EksnetError, match="the rules of 1 Services cannot be measured: no name"):
        measure_lookup_time([1])
