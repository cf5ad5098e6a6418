"""What 02a leaves behind is found and put back before any lesson."""

import pytest

import eksnet
from eksnet import coredns
from eksnet.cluster import connect

pytestmark = pytest.mark.sandbox


def test_an_addon_that_was_left_is_ended_and_its_owners_are_as_installed(live_sandbox):
    cluster = eksnet.connect("sandbox")
    coredns.addon.install(cluster)
    cluster.edit_configmap(
        "coredns", "Corefile", lambda text: text.replace("cache 30", "cache 60"), "kube-system"
    )
    begun = eksnet.begin(cluster, "02a_coredns_addon")
    assert "the EKS add-on coredns" in [one.what for one in begun.left]
    assert coredns.addon.describe(cluster)[0].status == "self-managed"
    again = connect("sandbox").owners("configmap/coredns", namespace="kube-system", below=".data")
    assert [one.manager for one in again] == ["eks"]
    assert eksnet.begin(cluster, "01a_dns_records").left == ()
