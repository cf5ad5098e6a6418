"""A CoreDNS of one's own in the live sandbox, and the cluster's DNS asked from a pod."""

import pytest

from eksnet.cluster.pods import NeededError
from eksnet.coredns import ask, try_corefile
from eksnet.errors import EksnetError

API = "kubernetes.default.svc.cluster.local"
COREFILE = """
.:53 {
    forward . /etc/resolv.conf
    hosts {
        10.43.0.1 myapp.local
    }
}
"""


@pytest.mark.sandbox
def test_hosts_comes_before_forward_and_without_fallthrough_ends_there(cluster):
    entry, api = try_corefile(cluster, COREFILE, "myapp.local", API)
    assert (entry.rcode, entry.ttl, entry.rdata) == ("NOERROR", 3600, ("10.43.0.1",))
    assert (api.rcode, api.rdata) == ("SERVFAIL", ())
    left = [thing.name for kind in ("pods", "configmaps") for thing in cluster.list(kind)]
    assert not [name for name in left if name.startswith("corefile-")]


@pytest.mark.sandbox
def test_the_clusters_dns_is_asked_for_labels_of_any_length(cluster):
    answer, nothing = ask(cluster, API, "ten-letter.example.com")
    assert (answer.rcode, answer.rdata) == ("NOERROR", ("10.100.0.1",))
    assert nothing.rcode == "NXDOMAIN"


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("hots {\n    }", "line 3: Unknown directive 'hots'"),
        ("hosts {\n fallthrough\n 10.43.0.1 a\n}", "line 5: unknown property '10.43.0.1'"),
        ("health {\n lameduck five\n}", "plugin/health: unable to parse lameduck duration"),
    ],
)
def test_a_corefile_that_coredns_refuses_is_told_as_soon_as_it_has(cluster, line, said):
    # Where it is waited for in vain, these words are others.
    with pytest.raises(EksnetError, match=f"CoreDNS exited at its start: {said}") as raised:
        try_corefile(cluster, f"\n.:53 {{\n    {line}\n}}\n", "myapp.local")
    assert raised.value.expected == "a Corefile that CoreDNS 1.14.3 takes"
    assert raised.value.next_step


class Fallen:
    """A cluster whose CoreDNS of a trial ended with this log."""

    def __init__(self, log):
        self.log = log

    def apply(self, manifest):
        assert "Corefile" in manifest

    def delete(self, kind, name):
        assert kind == "configmap"

    def run(self, *words, **fields):
        raise NeededError("coredns", self.log)


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("x:2 - Error during parsing: Unknown directive 'hots'\nmaxprocs: 2", "line 2: Unknown"),
        ("maxprocs: 2\nplugin/health: bad value", "plugin/health: bad value"),
        ("maxprocs: 2\nlisten tcp :53: bind: in use", "listen tcp :53: bind: in use"),
        ("", "its log is empty"),
    ],
)
def test_what_coredns_says_before_it_ends_is_told(log, said):
    with pytest.raises(EksnetError, match=f"CoreDNS exited at its start: {said}"):
        try_corefile(Fallen(log), COREFILE, "myapp.local")


def test_a_corefile_that_is_not_whole_reaches_no_cluster():
    with pytest.raises(EksnetError, match="open brace"):
        try_corefile(None, ".:53 {\n", "myapp.local")
