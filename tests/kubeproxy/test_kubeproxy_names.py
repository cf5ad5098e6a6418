"""The names of chains, against published values; nothing here was computed by the code it tests."""

import pytest

from eksnet.kubeproxy import names


@pytest.mark.parametrize(
    ("name", "protocol", "expected"),
    [
        # pkg/proxy/iptables/proxier_test.go of Kubernetes 1.35.4.
        ("ns1/svc1:p80", "tcp", "XPGD46QRK7WJZT7O"),
        # The same in every cluster.
        ("kube-system/kube-dns:dns", "udp", "TCOU7JCQXEZGVUNU"),
        ("kube-system/kube-dns:dns-tcp", "tcp", "ERIFXISQEP7F7OF4"),
        ("kube-system/kube-dns:metrics", "tcp", "JD5MR3NA4I4DYORP"),
        ("default/kubernetes:https", "tcp", "NPX46M4PTMTKRN6Y"),
    ],
)
def test_a_ports_chain(name, protocol, expected):
    assert names.iptables_port(name, protocol) == expected


def test_an_endpoints_chain():
    found = names.iptables_endpoint("ns1/svc1:p80", "tcp", "10.180.0.1:80")
    assert found == "KUBE-SEP-SXIVWICOYRO3J4NJ"


def test_the_names_of_nftables():
    # pkg/proxy/nftables/proxier_test.go of Kubernetes 1.35.4.
    assert names.nftables_port("ns1", "svc1", "tcp", "p80") == "ULMVA6XW-ns1/svc1/tcp/p80"
    found = names.nftables_endpoint("ns1/svc1/tcp/p80", "10.180.0.1:80")
    assert found == "5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80"


def test_a_long_name_of_nftables_is_cut():
    long = names.nftables_port("n" * 63, "s" * 63, "tcp", "p" * 63)
    assert len(long) < 240 and not long.endswith("...")
    found = names.nftables_endpoint(f"{'n' * 63}/{'s' * 150}/tcp/{'p' * 15}", "10.180.0.1:80")
    assert len(found) == 240 and found.endswith("...")
