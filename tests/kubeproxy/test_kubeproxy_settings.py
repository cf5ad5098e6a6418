"""kube-proxy's configuration, as the ConfigMaps of different clusters hold it."""

import json

import kubeproxy_kernel as kernel
import kubeproxy_objects as make
import pytest
import yaml
from kubeproxy_objects import HERE, IPTABLES

from eksnet.cluster.client import ApiError
from eksnet.cluster.kinds import UnknownKindError
from eksnet.cluster.pods import PodRun
from eksnet.errors import EksnetError
from eksnet.kubeproxy import (
    Node,
    Settings,
    differences,
    observe,
    parse_settings,
    predict,
    read_configuration,
    read_rules,
)

IPV6_NODE = Node("node-six", ())


@pytest.mark.parametrize(
    ("said", "cidr"),
    [
        ("fd00::/64,10.0.0.0/16", "10.0.0.0/16"),
        ("10.0.0.0/16,fd00::/64", "10.0.0.0/16"),
        ("fd00::/64", ""),
        ("", ""),
    ],
)
def test_of_two_pods_networks_the_ipv4_one_counts(said, cidr):
    assert parse_settings(f'clusterCIDR: "{said}"').cluster_cidr == cidr


@pytest.mark.parametrize("cidrs", [("fd00::/64",), ("::/0",), ("fd00::/64", "10.0.128.0/24")])
def test_addresses_that_serve_node_ports_are_ipv4(cidrs):
    serving = Settings(node_port_addresses=cidrs).serving(HERE)
    assert serving == (HERE.addresses if "10.0.128.0/24" in cidrs else None)


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
def test_a_node_of_ipv6_alone_has_rules_all_the_same(mode):
    # kube-proxy takes the loopback address for its own, and then no address for the primary one.
    service = make.load_balancer("127.0.0.0/8")
    rules = predict([service], make.three(), IPV6_NODE, Settings(mode=mode))
    texts = [line.text for line in rules.lines()]
    assert any("198.51.100.7" in text and "127.0.0.0/8" in text for text in texts) == (
        mode == "nftables"
    )
    assert not any(name == "nodeport-ips" for _, name in rules.sets)


def test_liberal_tracking_of_tcp_drops_no_invalid_packet():
    settings = parse_settings("conntrack: {tcpBeLiberal: true}")
    strict, liberal = (predict([], [], HERE, one) for one in (IPTABLES, settings))
    assert [(*row[:1], row[3]) for row in differences(strict, liberal).rows] == [
        ("predicted only", "-m conntrack --ctstate INVALID -j DROP")
    ]


@pytest.mark.parametrize("counted", [True, False])
def test_a_kernel_without_counters_shows_no_differences(counted):
    service = make.node_port()
    sides = [
        predict([service], make.three(), HERE, Settings(nfacct=one))
        for one in (counted, not counted)
    ]
    assert not differences(*sides)
    fewer = predict([service], make.three()[:0], HERE, Settings(nfacct=counted))
    assert differences(sides[1], fewer)


CONFIG = "kind: KubeProxyConfiguration\nmode: nftables\n"


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "ConfigMap", "data": {"config.conf": CONFIG, "kubeconfig.conf": ""}},
        {"metadata": {"name": "kube-proxy"}, "data": {"config.conf": CONFIG}},
        {"metadata": {"name": "kube-proxy-config"}, "data": {"config": CONFIG}},
        yaml.safe_dump({"kind": "ConfigMap", "data": {"config": CONFIG}}),
    ],
)
def test_a_whole_configmap_is_read_for_the_configuration_in_it(given):
    assert parse_settings(given).mode == "nftables"


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ({}, "the configuration has no fields"),
        ({"data": {"kubeconfig": ""}}, "the ConfigMap has kubeconfig"),
        ({"kind": "ConfigMap"}, "the ConfigMap has no keys"),
        ({"data": {"config": ""}}, "the ConfigMap's config is empty"),
        ({"data": {"config": {"mode": "nftables"}}}, "the ConfigMap's config is {'mode'"),
        ({"metadata": {"name": "kube-proxy"}}, "the configuration has the fields metadata"),
        ({"kind": "ConfigMapList", "items": []}, "the configuration is a 'ConfigMapList'"),
        ({"Mode": "nftables"}, "the configuration has the fields Mode"),
    ],
)
def test_what_holds_no_configuration_is_named(given, seen):
    with pytest.raises(EksnetError) as raised:
        parse_settings(given)
    assert raised.value.seen.startswith(seen)
    assert "KubeProxyConfiguration" in raised.value.expected or "text" in raised.value.expected


class Cluster:
    """A cluster with some ConfigMaps, which lists its Services' networks or does not."""

    def __init__(self, configmaps, missing=None):
        self.configmaps = configmaps
        self.missing = missing

    def find(self, what, namespace):
        data = self.configmaps.get(what.removeprefix("configmap/"))
        return None if data is None else {"data": data}

    def list(self, kind):
        if self.missing:
            raise self.missing
        return [{"spec": {"cidrs": ["10.100.0.0/16", "fd00::/108"]}}]


EKS = {"kube-proxy-config": {"config": "mode: nftables"}, "kube-proxy": {"kubeconfig": ""}}
KIND = {"kube-proxy": {"config.conf": "mode: nftables", "kubeconfig.conf": ""}}


@pytest.mark.parametrize("configmaps", [EKS, KIND], ids=["EKS", "kubeadm and kind"])
def test_the_configuration_of_different_clusters(configmaps):
    settings = read_configuration(Cluster(configmaps))
    assert (settings.mode, settings.service_cidrs) == ("nftables", ("10.100.0.0/16",))


@pytest.mark.parametrize("missing", [UnknownKindError("none"), ApiError("none", status=404)])
def test_a_cluster_before_1_33_lists_no_networks(missing):
    assert read_configuration(Cluster(KIND, missing)).service_cidrs == ()


def test_networks_that_may_not_be_read_are_no_missing_ones():
    with pytest.raises(ApiError):
        read_configuration(Cluster(KIND, ApiError("no", status=403)))


def test_a_cluster_without_a_configuration():
    with pytest.raises(EksnetError, match="no ConfigMap in kube-system has") as error:
        read_configuration(Cluster({"kube-proxy": {"kubeconfig": ""}}))
    assert "config.conf" in error.value.expected


DUMP = "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -j RETURN\nCOMMIT\n"
COMPLAINT = "iptables-save v1.8.9: a complaint\n"
TABLE = {"family": "ip", "table": "kube-proxy"}
NFT = json.dumps({"nftables": [{"chain": {**TABLE, "name": "services"}}]}) + "\n"


class Pods(Cluster):
    """A cluster in whose debug pods some programs print something, and the others fail."""

    target = "context:mine"

    def __init__(self, **outputs):
        self.outputs = outputs

    def get(self, what, namespace):
        return {"spec": {"template": {"spec": {"containers": [{"image": "kube-proxy:1"}]}}}}

    def run(self, image, command, namespace, spec):
        output = self.outputs.get(command[0].replace("-", "_"), "")
        return PodRun(image, command, output or self.failure(command[0]), 0 if output else 1)

    def failure(self, program):
        return "Error: No such file or directory" if program == "nft" else "failed"


@pytest.mark.parametrize(
    ("mode", "outputs"),
    [
        ("iptables", {"iptables_save": f"{COMPLAINT}{DUMP}{COMPLAINT}"}),
        ("nftables", {"nft": f"a complaint\n{NFT}another\n", "iptables_save": DUMP}),
    ],
)
def test_complaints_in_a_debug_pods_log_are_no_part_of_the_dump(mode, outputs):
    rules = read_rules(Pods(**outputs), HERE, through="debug pod")
    assert rules.mode == mode and rules.chains


def test_a_debug_pod_that_fails_says_so():
    with pytest.raises(EksnetError, match="iptables-save exited with 1: failed"):
        read_rules(Pods(), HERE, through="debug pod")


def test_the_words_for_a_missing_table_are_nfts_own():
    assert observe._NO_TABLE in kernel.refused(observe._NFT, "")
    # Another error, of which it exits with 1 too, has others.
    assert observe._NO_TABLE not in kernel.refused([*observe._NFT[:-1], "kube proxy"], "")


def test_another_error_of_nft_is_no_sign_of_mode_iptables():
    class Refusing(Pods):
        def failure(self, program):
            return "Error: Operation not permitted (you must be root)"

    with pytest.raises(EksnetError, match="Operation not permitted"):
        read_rules(Refusing(iptables_save=DUMP), HERE, through="debug pod")
