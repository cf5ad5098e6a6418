import pytest
from hypothesis import given
from hypothesis import strategies as st

from eksnet.dns import ResolvConf, pod_resolv_conf
from eksnet.errors import EksnetError

LABEL = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ResolvConf()),
        ("nameserver 10.32.0.10\n", ResolvConf(("10.32.0.10",))),
        ("search a b\nsearch c # d\n", ResolvConf(search=("c", "#", "d"))),
        ("search a\nsearch\ndomain \n search b\n", ResolvConf(search=("a",))),
        ("search a\ndomain b\n", ResolvConf(search=("b",))),
        ("options ndots:5 timeout:1\n", ResolvConf(ndots=5, options=("ndots:5", "timeout:1"))),
        ("options ndots:99\n", ResolvConf(ndots=15, options=("ndots:99",))),
        ("options ndots:x\n", ResolvConf(ndots=0, options=("ndots:x",))),
        ("options ndots:-1\n", ResolvConf(ndots=15, options=("ndots:-1",))),
        ("# nameserver 1.1.1.1\n; search x\nsortlist 1\n", ResolvConf()),
        ("".join(f"nameserver 10.0.0.{n}\n" for n in range(5)),
         ResolvConf(("10.0.0.0", "10.0.0.1", "10.0.0.2"))),
    ],
)  # fmt: skip
def test_parse(text, expected):
    assert ResolvConf.parse(text) == expected


@given(st.lists(LABEL, max_size=6), st.integers(0, 15))
def test_what_is_rendered_is_read_back(search, ndots):
    conf = ResolvConf(("10.100.0.10",), tuple(search), ndots, (f"ndots:{ndots}",))
    assert ResolvConf.parse(conf.render()) == conf


def test_an_option_is_read_as_in_a_file():
    conf = pod_resolv_conf("ops-ns")
    assert [conf.with_option("ndots", said).ndots for said in ("-1", "99", "x")] == [15, 15, 0]


def test_a_pod_on_eks_and_elsewhere():
    assert pod_resolv_conf("ops-ns").render() == (
        "search ops-ns.svc.cluster.local svc.cluster.local cluster.local"
        " ap-northeast-2.compute.internal\n"
        "nameserver 10.100.0.10\n"
        "options ndots:5\n"
    )
    assert pod_resolv_conf("a", region="us-east-1").search[-1] == "ec2.internal"
    assert pod_resolv_conf("a", region=None).search[-1] == "cluster.local"


NODE = "search ap-northeast-2.compute.internal\nnameserver 10.0.0.2\n"


@pytest.mark.parametrize(
    ("policy", "host_network", "expected"),
    [
        ("ClusterFirst", False, pod_resolv_conf("ops-ns").render()),
        ("ClusterFirstWithHostNet", True, pod_resolv_conf("ops-ns").render()),
        # The trap: a pod with hostNetwork has to say ClusterFirstWithHostNet.
        ("ClusterFirst", True, NODE),
        ("Default", False, NODE),
    ],
)
def test_each_policy(policy, host_network, expected):
    conf = pod_resolv_conf("ops-ns", policy=policy, host_network=host_network)
    assert conf.render() == expected


def test_the_policy_none_takes_the_pods_own_settings_alone():
    own = {"nameservers": ["10.9.9.9"], "searches": ["b.example"], "options": [{"name": "edns0"}]}
    conf = pod_resolv_conf("ops-ns", policy="None", dns_config=own)
    assert conf.render() == "search b.example\nnameserver 10.9.9.9\noptions edns0\n"


@pytest.mark.parametrize(
    ("policy", "message"),
    [("None", "dnsPolicy None without a nameserver"), ("Cluster", "no dnsPolicy 'Cluster'")],
)
def test_what_the_api_server_refuses(policy, message):
    with pytest.raises(EksnetError, match=message):
        pod_resolv_conf("ops-ns", policy=policy)


def test_the_pods_own_settings_are_appended_once_and_hold():
    own = {
        "nameservers": ["10.100.0.10", "10.9.9.9"],
        "searches": ["svc.cluster.local", "b.example"],
        "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
    }
    conf = pod_resolv_conf("ops-ns", region=None, dns_config=own)
    assert conf.nameservers == ("10.100.0.10", "10.9.9.9")
    assert conf.search == (
        "ops-ns.svc.cluster.local", "svc.cluster.local", "cluster.local", "b.example",
    )  # fmt: skip
    assert (conf.ndots, conf.options) == (2, ("ndots:2", "edns0"))


def test_what_is_too_much_is_left_out():
    many = {"searches": [f"d{n}.example" for n in range(40)]}
    assert len(pod_resolv_conf("ops-ns", dns_config=many).search) == 32
    servers = {"nameservers": [f"10.9.9.{n}" for n in range(5)]}
    assert len(pod_resolv_conf("ops-ns", dns_config=servers).nameservers) == 3
    long = {"searches": [".".join([f"{n:060}"] * 4) for n in range(20)]}
    search = pod_resolv_conf("ops-ns", dns_config=long).search
    assert 2048 - 244 < len(" ".join(search)) <= 2048
    too_long = {"searches": [".".join(["x" * 60] * 5), "short.example"]}
    assert pod_resolv_conf("ops-ns", dns_config=too_long).search[-1] == "short.example"


def test_a_node_of_its_own():
    node = ResolvConf.parse("search office.example\nnameserver 192.0.2.53\noptions rotate\n")
    assert pod_resolv_conf("a", node=node).search[-1] == "office.example"
    assert pod_resolv_conf("a", node=node, policy="Default") == node


@pytest.mark.parametrize(
    ("options", "attempts"),
    [("", 2), ("attempts:4", 4), ("attempts:0", 1), ("attempts:1 attempts:3", 3)],
)
def test_attempts(options, attempts):
    assert ResolvConf.parse(f"options {options}\n").attempts == attempts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("search .\n", ResolvConf()),
        ("search a. b. a\n", ResolvConf(search=("a", "b", "a"))),
        ("search a..\n", ResolvConf(search=("a.",))),
        ("domain corp.example\n", ResolvConf()),
        (" search a\n\tnameserver 10.0.0.2 # home\n", ResolvConf(("10.0.0.2",), ("a",))),
        ("search a\nsearch\n", ResolvConf()),
        ("search a # b\n#search c\n;search d\n", ResolvConf(search=("a", "#", "b"))),
        ("search\u00a0a\n", ResolvConf(search=("a",))),
        ("options ndots:2 rotate\noptions ndots:3\n",
         ResolvConf(ndots=3, options=("ndots:3", "rotate"))),
        ("".join(f"nameserver 10.0.0.{n}\n" for n in range(4)),
         ResolvConf(tuple(f"10.0.0.{n}" for n in range(4)))),
    ],
)  # fmt: skip
def test_a_nodes_file_as_the_kubelet_reads_it(text, expected):
    # The kubelet itself is asked in tests/dns/test_dns_objects_live.py.
    assert ResolvConf.of_node(text) == expected


def test_a_pod_has_of_its_nodes_file_what_the_kubelet_makes_of_it():
    node = " search . a. svc.cluster.local. a\ndomain b\n nameserver 10.0.0.2\noptions rotate\n"
    assert pod_resolv_conf("ops-ns", node=node).search == (
        "ops-ns.svc.cluster.local", "svc.cluster.local", "cluster.local", "a",
    )  # fmt: skip
    # What is the node's own, and nothing added to it, stays as it is, twice or not.
    default = pod_resolv_conf("ops-ns", node=node, policy="Default")
    assert default.search == ("a", "svc.cluster.local", "a")
    assert default.options == ("rotate",)
    more = {"searches": ["c"]}
    assert pod_resolv_conf("a", node=node, policy="Default", dns_config=more).search == (
        "a", "svc.cluster.local", "c",
    )  # fmt: skip


def test_a_nameserver_without_an_address_is_refused_as_by_the_kubelet():
    with pytest.raises(EksnetError, match="a nameserver of the node's"):
        ResolvConf.of_node("nameserver\n")


@pytest.mark.parametrize("key", ["options", "nameservers", "searches"])
def test_what_a_manifest_leaves_empty_is_nothing(key):
    for nothing in (None, []):
        assert pod_resolv_conf("a", dns_config={key: nothing}) == pod_resolv_conf("a")
    assert (
        pod_resolv_conf("a", dns_config={"options": [{"name": "ndots", "value": None}]}).ndots == 1
    )


def test_the_policy_none_needs_a_nameserver_that_is_one():
    with pytest.raises(EksnetError, match="dnsPolicy None without a nameserver"):
        pod_resolv_conf("a", policy="None", dns_config={"nameservers": None})
