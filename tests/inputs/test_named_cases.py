"""Inputs that once ended in a bare Python error or were taken without a word, and their kinds."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import eksnet
from eksnet import cli, coredns, data, dns, inputs, kubeproxy, loadbalancer, widgets
from eksnet.cluster import Cluster, kubeconfig, manifests
from eksnet.coredns.transport import command, queries_for
from eksnet.errors import EksnetError
from eksnet.kubeproxy import Node, Packet, Settings
from eksnet.listing import Listing
from eksnet.printable import printable

LONG = "a" * 70
COLOUR = "\x1b[31mred"


# What a command says.

RESOLVE = [
    (["a..b", "--from", "default", "--live"], "'a..b' cannot be asked: it has an empty label"),
    ([".a", "--from", "default", "--live"], "cannot be asked: it has an empty label"),
    (["a..b", "--from", "a", "--live", "--profile", "busybox"], "it has an empty label"),
    ([LONG, "--from", "default", "--live"], "has 70 characters"),
    (["a." * 130 + "a", "--from", "default", "--live"], "it has 261 characters"),
    ([".", "--from", "default", "--live", "--profile", "musl"], "it has no label"),
    (["é", "--from", "default", "--live", "--profile", "go"], "letters outside ASCII"),
    (["10.0.0.1", "--from", "a", "--live"], "10.0.0.1 is an address: glibc queries nothing"),
    (["a@b", "--from", "a", "--live"], "glibc queries nothing: it is no name of a host"),
    (["", "--from", "default"], "the name is empty"),
    (["a b", "--from", "default"], "it has ' ' in it"),
    ([COLOUR, "--from", "default"], r"it has '\x1b' in it"),
    (["--from", "default", "--", "-x"], "it starts with a hyphen"),
    (["a", "--from", ""], "the namespace is empty"),
    (["a", "--from", "", "--live"], "the namespace is empty"),
    (["a", "--from", "No Such"], "the namespace is 'No Such'"),
    (["a", "--from", "No Such", "--live"], "the namespace is 'No Such'"),
    (["a", "--from", LONG], "the namespace is"),
    (["a", "--from", COLOUR], r"the namespace is '\x1b[31mred'"),
    (["a", "--from", "default", "--profile", COLOUR], r"no resolver profile '\x1b[31mred'"),
    (["a", "--from", "default", "--exists", "b c"], "the name that exists 'b c'"),
]


@pytest.mark.parametrize(("arguments", "says"), RESOLVE)
def test_resolve_says_what_cannot_be_asked(border: Any, arguments: list[str], says: str) -> None:
    done = CliRunner().invoke(cli.app, ["resolve", *arguments])
    assert (done.exit_code, done.stdout) == (2, "")
    assert says in done.stderr
    assert "  expected: " in done.stderr
    assert done.stderr == printable(done.stderr)


PREDICTED = [
    (["a..b"], 0, "glibc queries nothing: it has an empty label"),
    ([".a"], 0, "glibc queries nothing: it has an empty label"),
    ([LONG], 0, "has 70 characters"),
    (["a." * 130 + "a"], 0, "it has 261 characters"),
    (["a." * 115 + "a"], 2, "after no query for"),
    (["."], 2, "final dot: the name is complete"),
    ([".", "--profile", "musl"], 0, "musl queries nothing: it has no label"),
    (["é"], 10, "xn--9ca.default.svc.cluster.local"),
    (["é", "--profile", "musl"], 10, r"\195\169.default.svc.cluster.local"),
    (["é", "--profile", "go"], 0, "letters outside ASCII"),
    (["10.0.0.1"], 0, "10.0.0.1 is an address: glibc queries nothing"),
    (["10.0.0.1", "--profile", "busybox"], 1, "busybox queries its name (PTR)"),
]


@pytest.mark.parametrize(("arguments", "count", "says"), PREDICTED)
def test_a_prediction_is_of_what_each_resolver_sends(
    border: Any, arguments: list[str], count: int, says: str
) -> None:
    done = CliRunner().invoke(cli.app, ["resolve", *arguments, "--from", "default"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert f"predicted: {count} quer{'y' if count == 1 else 'ies'}" in done.stdout
    assert says in done.stdout


def test_a_long_name_that_no_domain_can_follow_is_asked_as_it_is() -> None:
    name, conf = "a." * 115 + "a", dns.pod_resolv_conf("default")
    assert dns.search_walk(name, conf, {name}).names == (name,)
    assert dns.candidates(name, conf) == (name,)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--sandbox", "", "status"], "--sandbox is empty"),
        (["status", "--sandbox", ""], "'' is not a valid sandbox name"),
        (["lab", "--course", ""], "--course is empty"),
        (["engine", "pack", ""], "FILE is empty"),
        (["engine", "pack", LONG * 60], "File name too long"),
        (["engine", "unpack", LONG * 60], "File name too long"),
        (["submit", "handed-in.zip", "--course", LONG * 60], "File name too long"),
        (["grade", ".", "--csv", ".", "--feedback", "out"], "--csv is '.'"),
        ([COLOUR], r"No such command '\x1b[31mred'"),
        ([f"--{COLOUR}"], r"No such option: --\x1b[31mred"),
        (["status", COLOUR], r"unexpected extra argument(s) (\x1b[31mred)"),
        (["logs", COLOUR], r"there is no log of a component '\x1b[31mred'"),
        (["resolve", "a"], "no namespace"),
        (["up", "--port", "70000"], "Invalid value for '--port'"),
    ],
)  # fmt: skip
def test_a_command_line_that_is_none(border: Any, arguments: list[str], says: str) -> None:
    done = CliRunner().invoke(cli.app, arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("eksnet: ")
    assert says in done.stderr
    assert "next:" in done.stderr or "expected:" in done.stderr
    assert done.stderr == printable(done.stderr)


def test_brackets_and_colons_in_a_name_are_no_markup(border: Any) -> None:
    arguments = ["resolve", "[red]:smile:", "--from", "default", "--profile", "musl"]
    full = "[red]:smile:.default.svc.cluster.local"
    done = CliRunner().invoke(cli.app, [*arguments, "--exists", full])
    assert done.exit_code == 0
    assert f" {full} " in done.stdout
    assert f"the answer for {full} has an address" in done.stdout


# What a function says.

FUNCTIONS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda c: coredns.ask(c, "a", rdtype="NOSUCH"), "unknown record type 'NOSUCH'"),
    (lambda c: coredns.ask(c, "a", rdtype="TYPE99999999"), "unknown record type"),
    (lambda c: coredns.ask(c, "a", rdtype=""), "unknown record type ''"),
    (lambda c: coredns.ask(c), "no name was given"),
    (lambda c: coredns.ask(c, "a..b"), "an empty label"),
    (lambda c: coredns.ask(c, LONG), "has 70 characters"),
    (lambda c: coredns.ask(c, "a", server="10.0.0.1"), "the server is '10.0.0.1'"),
    (lambda c: coredns.ask(c, "a", server="10.0.0.1/70000"), "the server's port is 70000"),
    (lambda c: coredns.ask(c, "a", server="x; rm/53"), "the server's address is 'x; rm'"),
    (lambda c: coredns.try_corefile(c, ".:53 {\n}\n", "a", rdtype="NOSUCH"), "unknown record type"),
    (lambda c: coredns.look_up(c, "a..b", "default"), "an empty label"),
    (lambda c: coredns.look_up(c, "a", ""), "the namespace is empty"),
    (lambda c: coredns.wait_for_answer(c, "client", LONG, "default"), "has 70 characters"),
    (lambda c: coredns.witness_walk(c, "client", "a b", "default"), "it has ' ' in it"),
    (lambda c: kubeproxy.measure_lookup_time([]), "nothing to measure was given"),
    (lambda c: kubeproxy.measure_lookup_time([10], []), "nothing to measure was given"),
    (lambda c: kubeproxy.measure_lookup_time([0]), "the number of Services is 0"),
    (lambda c: kubeproxy.measure_lookup_time([10**9]), "the number of Services is 1000000000"),
    (lambda c: kubeproxy.measure_lookup_time([10], ["ipvs"]), "no mode 'ipvs'"),
    (lambda c: kubeproxy.predict_rule_counts([10**9]), "the number of Services is 1000000000"),
    (lambda c: kubeproxy.predict_rule_counts([-1]), "the number of Services is -1"),
    (lambda c: kubeproxy.count_added_rules(c, [True]), "the number of Services is True"),
    (lambda c: kubeproxy.fair_share({"a": 40}, -1), "the number of backends is -1"),
    (lambda c: kubeproxy.fair_share({"a": -4}), "the number of answers of each backend is -4"),
    (lambda c: kubeproxy.version_skew("v1." + "9" * 5000, "v1.34", "v1.34"), "is not a version"),
    (lambda c: coredns.memory.published().at(10**4000), "the number of pods and Services is"),
    (lambda c: coredns.memory.Measured("here", 1, float("nan")), "the memory is nan"),
    (lambda c: coredns.replicas.autoscaling_prerequisites("1." + "9" * 5000, "eks.1", ""),
     "the Kubernetes version is"),
    (lambda c: c.backup(""), "the ConfigMap's name is empty"),
    (lambda c: c.restore(""), "the ConfigMap's name is empty"),
    (lambda c: c.objects_in("\ud800"), "the namespace is"),
    (lambda c: loadbalancer.plan(c, Path("a." * 500)), "File name too long"),
    (lambda c: loadbalancer.wait_for_targets(c, "web", count=10**9), "the number of targets is"),
    (lambda c: loadbalancer.wait_for_targets(c, "w", count=1, draining=-1), "draining targets is"),
    (lambda c: loadbalancer.provisioned({"status": True}), "the Ingress cannot be read"),
    (lambda c: c.saved("../x"), "the ConfigMap's name is '../x'"),
    (lambda c: c.restore(Path("\0")), "is not a complete backup"),
    (lambda c: c.apply(Path("\0")), "cannot be read"),
    (lambda c: c.apply("2001-99-99"), "is not YAML"),
    (lambda c: c.apply("[" * 400), "the manifest, line 1"),
    (lambda c: c.get("pod", "a/b"), "the name of a Pod is 'a/b'"),
    (lambda c: c.get("pod", "client", ""), "the namespace is empty"),
    (lambda c: c.list("pods", "No Such"), "the namespace is 'No Such'"),
    (lambda c: c.list("pods", selector="\ud800"), "the selector is"),
    (lambda c: c.hand_over("", "manager"), "the manifest is of type str"),
    (lambda c: coredns.start_server(c, "a", "# \ud800", "default"), "cannot be sent"),
    (lambda c: c.logs("client", tail=-1), "tail is -1"),
    (lambda c: c.run("", "true"), "the image is empty"),
    (lambda c: c.run("busybox", ["a", "\ud800"]), "a word of the command is"),
    (lambda c: c.run("busybox", "true", timeout=float("nan")), "timeout is nan"),
    (lambda c: c.wait("pod", "client", timeout=-1), "timeout is -1"),
    (lambda c: c.wait("pod", "client", timeout=1e9), "timeout is 1000000000.0"),
    (lambda c: c.patch("pod", "client", {"spec": {"a": float("nan")}}), "written as JSON"),
    (lambda c: c.patch("pod", "client", {"spec": {"a": "\ud800"}}), "cannot be sent"),
    (lambda c: Packet("10.0.0.1", "10.0.0.2", 70000), "the port is 70000"),
    (lambda c: Packet("10.0.0.1", "10.0.0.2", -1), "the port is -1"),
    (lambda c: Packet("10.0.0.1", "10.0.0.2", "80"), "the port is '80'"),
    (lambda c: Packet("10.0.0.1", "10.0.0.2", True), "the port is True"),
    (lambda c: Packet("10.0.0.1", "10.0.0.2", 80, source_port=70000), "the source port is 70000"),
    (lambda c: Packet("10.0.0.1", "10.0.0.2", 80, "TCP"), "no protocol 'TCP'"),
    (lambda c: Packet("10.0.0.1", "10.0.0.2", mark=-1), "the mark is -1"),
    (lambda c: Packet("10.0.0.999", "10.0.0.2", 80), "'10.0.0.999' is not an IPv4 address"),
    (lambda c: Packet("\u0661.1.1.1", "10.0.0.2", 80), "is not an IPv4 address"),
    (lambda c: Node("node", ("here",)), "the node's address 'here'"),
    (lambda c: Node.from_object({}), "the node cannot be read"),
    (lambda c: Settings(masquerade_bit=32), "masqueradeBit is 32"),
    (lambda c: Settings(cluster_cidr="x"), "clusterCIDR is 'x'"),
    (lambda c: kubeproxy.predict([{"spec": 5}], [], Node("n", ())), "the Service cannot be read"),
    (lambda c: eksnet.checkpoint("dns-01").hint(True), "the number of a hint is True"),
    (lambda c: eksnet.checkpoint("dns-01").hint(4), "the number of a hint is 4"),
    (lambda c: eksnet.checkpoint("dns-01").hint("1"), "the number of a hint is '1'"),
    (lambda c: data.load_table("a" * 5000), "no table 'aaa"),
    (lambda c: data.load_table("../data/coredns_plugin_order"), "no table '../data"),
    (lambda c: widgets.search_order(policy="Never"), "policy is 'Never'"),
    (lambda c: widgets.search_order(ndots=99), "ndots is 99"),
    (lambda c: dns.pod_resolv_conf(""), "the namespace is empty"),
    (lambda c: dns.pod_resolv_conf("a", nameserver="x"), "the nameserver is 'x'"),
    (lambda c: dns.pod_resolv_conf("a", dns_config={"nameservers": ["x"]}), "the address is 'x'"),
    (lambda c: dns.given_answers(given={"a": "MAYBE"}), "no reply 'MAYBE'"),
    (lambda c: dns.dashed("here"), "the address is 'here'"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "says"), FUNCTIONS)
def test_a_function_says_what_it_was_given(
    cluster: Cluster, function: Callable[[Any], Any], says: str
) -> None:
    with pytest.raises(EksnetError) as caught:
        function(cluster)
    assert says in str(caught.value)
    assert caught.value.expected


# Kubeconfig files.


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("clusters: 5", "clusters in FILE is 5"),
        ("contexts: {a: b}", "contexts in FILE is {'a': 'b'}"),
        ("users: [5]", "users in FILE is [5]"),
        ("contexts: [{name: lab, context: 5}]", "context of contexts in FILE is 5"),
        ("hello", "what FILE holds is 'hello'"),
        ("a: 2001-99-99", "FILE is not YAML"),
        ("SERVER: 5", "the server of context 'lab' is '5'"),
        ("SERVER: 'http://['", "the server of context 'lab' is 'http://['"),
        ("SERVER: 'http://h:99999'", "the server of context 'lab'"),
        ("SERVER: 'http://h'\nUSER: {1: a, b: c}", "context 'lab' in FILE cannot be read"),
        ("SERVER: 'http://h'\nNAMESPACE: No Such", "the namespace of context 'lab'"),
    ],
)  # fmt: skip
def test_a_kubeconfig_that_is_none(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "kubeconfig"
    said = dict(line.split(": ", 1) for line in text.splitlines() if line[:1].isupper())
    if said:
        text = (
            f"contexts: [{{name: lab, context: {{cluster: c, user: u,"
            f" namespace: {said.get('NAMESPACE', 'default')}}}}}]\n"
            f"clusters: [{{name: c, cluster: {{server: {said['SERVER']}}}}}]\n"
            f"users: [{{name: u, user: {said.get('USER', '{}')}}}]\n"
        )
    file.write_text(text)
    with pytest.raises(EksnetError) as caught:
        kubeconfig.read("lab", str(file))
    assert says.replace("FILE", str(file)) in caught.value.seen
    assert caught.value.expected
    assert caught.value.next_step


# What the API server takes, and was not read.


def test_a_character_that_json_writes_as_a_surrogate_pair_is_read_as_one() -> None:
    data = {"Corefile": "# 🙂\n", "\ud800": "half a pair"}
    written = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}
    (one,) = manifests.read(json.dumps(written))
    assert one.body["data"] == data


SERVICE = {"kind": "Service", "metadata": {"name": "web"},
           "spec": {"clusterIP": "None", "ports": [{"name": "http", "port": 80}]}}  # fmt: skip


def endpoint_slice(address: str, **fields: Any) -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": "web"}
    one: dict[str, Any] = {"kind": "EndpointSlice", "metadata": {"name": "w", "labels": labels}}
    return {**one, "endpoints": [{"addresses": [address], "conditions": None}], **fields}


def test_records_of_objects_as_the_api_server_takes_them() -> None:
    ready = endpoint_slice("10.0.0.9", ports=None)
    fqdn = endpoint_slice("a.example", addressType="FQDN")
    named = dns.records(SERVICE, ready, fqdn)
    assert [one.value for one in named if one.name == "web.default.svc.cluster.local"] == [
        "10.0.0.9"
    ]
    # A slice of names is a CNAME each, and no address of the Service's own name.
    assert [(one.name, one.rdtype) for one in named if "example" in one.value] == [
        ("a-example.web.default.svc.cluster.local", "CNAME")
    ]
    without = {**SERVICE, "spec": {"ports": [{"name": "http", "port": 80}]}}
    with pytest.raises(EksnetError, match="the Service web has no clusterIP yet"):
        dns.records(without)
    nothing = {"options": None, "nameservers": None, "searches": None}
    assert dns.pod_resolv_conf("a", dns_config=nothing) == dns.pod_resolv_conf("a")


@pytest.mark.parametrize("key", ["config", "config.conf"])
def test_settings_are_read_out_of_a_whole_configmap(key: str) -> None:
    configmap = {"kind": "ConfigMap", "data": {key: "mode: nftables"}}
    assert kubeproxy.parse_settings(configmap).mode == "nftables"
    text = f'kind: ConfigMap\ndata: {{{key}: "mode: nftables"}}'
    assert kubeproxy.parse_settings(text).mode == "nftables"
    with pytest.raises(EksnetError, match="the ConfigMap has Corefile"):
        kubeproxy.parse_settings({"kind": "ConfigMap", "data": {"Corefile": ""}})
    with pytest.raises(EksnetError, match="the configuration is a 'Service'"):
        kubeproxy.parse_settings("kind: Service")


# Questions as they go over the wire.


@pytest.mark.parametrize("name", ["a", "a.", "_http._tcp.a", "*.a", "a/b.c", "@", "a(b)"])
def test_what_can_be_asked_is_asked_as_it_is(name: str) -> None:
    import dns.message

    (query,) = queries_for([name], "A")
    labels = dns.message.from_wire(query.wire).question[0].name.labels
    assert labels == (*(one.encode() for one in name.rstrip(".").split(".")), b"")


def test_the_root_can_be_asked_for_and_63_letters_too() -> None:
    root, long = queries_for([".", "a" * 63], "NS", "127.0.0.1/53")
    assert (len(root.wire), len(long.wire)) == (17, 17 + 64)
    sent = base64.b64encode(root.wire).decode()
    assert command([root])[-1] == f"udp|127.0.0.1/53|{sent}"


# What is printed.


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 한국어 \t\n", "plain é 한국어 \t\n"),
        ("\x1b[31m\x07\x00\r\x7f\x9b", r"\x1b[31m\x07\x00\r\x7f\x9b"),
        ("\u202e\u2066\u200f\ufeff\u2028", r"\u202e\u2066\u200f\ufeff\u2028"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert str(EksnetError(text, text, text)).startswith(shown.rstrip("\n"))
    assert str(EksnetError(text)) == printable(str(EksnetError(text)))
    cell = shown.replace("\n", r"\n").replace("\t", r"\t")
    listing = Listing(("name",), ((text,),), (text,))
    assert cell.rstrip() in repr(listing)
    assert cell in listing._repr_html_().replace("&#x27;", "'")


def test_a_number_that_python_cannot_print_is_refused_in_words() -> None:
    with pytest.raises(EksnetError, match="the port is a value of type int, too large"):
        inputs.port(10**5000)
    with pytest.raises(EksnetError, match="timeout is"):
        inputs.seconds(10**5000)
