"""A CoreDNS of one's own in the live sandbox, and the cluster's DNS asked from a pod."""

import pytest

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
    assert (entry.rcode, entry.ttl, entry.addresses) == ("NOERROR", 3600, ("10.43.0.1",))
    assert (api.rcode, api.addresses) == ("SERVFAIL", ())
    left = [thing.name for kind in ("pods", "configmaps") for thing in cluster.list(kind)]
    assert not [name for name in left if name.startswith("corefile-")]


@pytest.mark.sandbox
def test_the_clusters_dns_is_asked_for_labels_of_any_length(cluster):
    answer, nothing = ask(cluster, API, "ten-letter.example.com")
    assert (answer.rcode, answer.addresses) == ("NOERROR", ("10.100.0.1",))
    assert nothing.rcode == "NXDOMAIN"


def test_a_corefile_that_is_not_whole_reaches_no_cluster():
    with pytest.raises(EksnetError, match="open brace"):
        try_corefile(None, ".:53 {\n", "myapp.local")
