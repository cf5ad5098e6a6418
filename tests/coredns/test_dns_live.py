"""The DNS model beside a live cluster: its kubelet, its CoreDNS and its resolvers are right."""

import json
import subprocess
import sys
import time
from collections import Counter

import nbformat
import pytest
from interrupting import IN_ONE_LINE, interrupted

from eksnet import coredns, dns, widgets
from eksnet.cluster.pods import not_terminating
from eksnet.course import catalogue
from eksnet.sandbox import lifecycle

pytestmark = pytest.mark.sandbox

OBJECTS = """
{apiVersion: v1, kind: Namespace, metadata: {name: dns-live}}
---
apiVersion: v1
kind: Service
metadata: {name: my-svc, namespace: dns-live}
spec: {selector: {app: none}, ports: [{name: http, port: 80}, {name: dns, port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: my-db, namespace: dns-live}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: sql, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: my-shop, namespace: dns-live}
spec: {type: ExternalName, externalName: shop.example.com}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: dns-live, labels: {app: db}}
spec:
  hostname: db-0
  subdomain: my-db
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "debian:12", command: [sleep, infinity]}]
---
apiVersion: v1
kind: Pod
metadata: {name: db-x, namespace: dns-live, labels: {app: db}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "debian:12", command: [sleep, infinity]}]
"""


@pytest.fixture(scope="module")
def objects(cluster):
    cluster.apply(OBJECTS)
    for pod in ("db-0", "db-x"):
        cluster.wait("pod", pod, namespace="dns-live")
    yield
    cluster.delete("namespace", "dns-live")


def of_slices(cluster):
    return [
        each
        for each in cluster.list("endpointslices", "dns-live")
        if each["metadata"]["labels"]["kubernetes.io/service-name"] == "my-db"
    ]


def wait_until(holds, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "in vain"
        time.sleep(0.5)
    return found


def both_endpoints(cluster):
    slices = of_slices(cluster)
    ready = [one["conditions"]["ready"] for each in slices for one in each["endpoints"] or ()]
    return slices if ready == [True, True] else None


def told(cluster, records):
    """Return what the cluster's DNS says to each (name, type) of the records."""
    found = {}
    for rdtype in sorted({record.rdtype for record in records}):
        names = sorted({record.name for record in records if record.rdtype == rdtype})
        answers = coredns.ask(cluster, *(f"{name}." for name in names), rdtype=rdtype)
        for name, answer in zip(names, answers, strict=True):
            found[name, rdtype] = {value.rstrip(".") for value in answer.rdata}
    return found


def test_the_clusters_dns_has_the_records(cluster, objects):
    slices = wait_until(lambda: both_endpoints(cluster))
    services = [cluster.get("service", name, "dns-live") for name in ("my-svc", "my-db", "my-shop")]
    pods = [cluster.get("pod", name, "dns-live") for name in ("db-0", "db-x")]
    records = dns.records(*services, *slices, *pods)
    assert Counter(record.rdtype for record in records) == {"A": 7, "SRV": 4, "PTR": 3, "CNAME": 1}
    expected = {}
    for record in records:
        expected.setdefault((record.name, record.rdtype), set()).add(record.value)
    # CoreDNS hears of endpoints a moment later, and keeps an answer for up to 30 seconds.
    wait_until(lambda: told(cluster, records) == expected)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"dnsPolicy": "Default"},
        {
            "dnsPolicy": "None",
            "dnsConfig": {"nameservers": ["10.9.9.9"], "searches": ["b.example"]},
        },
        {"hostNetwork": True},
        {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"},
        {
            "dnsConfig": {
                "nameservers": ["10.9.9.9", "10.9.9.9"],
                "searches": ["svc.cluster.local", *(f"d{n}.example" for n in range(31))],
                "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
            }
        },
    ],
)
def test_the_kubelet_writes_what_the_model_says(cluster, spec):
    real = dns.ResolvConf.parse(
        cluster.run("debian:12", "cat /etc/resolv.conf", "default", spec=spec).output
    )
    model = dns.pod_resolv_conf(
        "default",
        policy=spec.get("dnsPolicy", "ClusterFirst"),
        dns_config=spec.get("dnsConfig"),
        host_network=spec.get("hostNetwork", False),
    )
    assert (real.nameservers, real.search, real.ndots) == (
        model.nameservers, model.search, model.ndots,
    )  # fmt: skip
    assert sorted(real.options) == sorted(model.options)


def namespaces(cluster):
    """Return the namespaces that nobody has deleted."""
    return {one.name for one in not_terminating(cluster.list("namespaces"))}


def test_a_lookup_is_observed_and_nothing_is_left(cluster, objects):
    before = namespaces(cluster)
    # A namespace is a name without an address of its own: NODATA, and glibc goes on.
    lookup = coredns.look_up(cluster, "dns-live", "dns-live")
    marks = [(query.name, query.mark) for query in lookup.observed]
    assert marks[:2] == [("dns-live.dns-live.svc.cluster.local", "X"),
                         ("dns-live.svc.cluster.local", "NODATA")]  # fmt: skip
    assert lookup.agrees
    assert lookup.predicted.questions == lookup.observed.questions
    assert namespaces(cluster) == before


@pytest.mark.parametrize("profile", ["musl", "go", "busybox"])
def test_each_resolver_is_observed_as_predicted(cluster, objects, profile):
    lookup = coredns.look_up(cluster, "my-svc.dns-live", "default", profile=profile)
    assert lookup.observed.found == (profile != "busybox")
    assert lookup.predicted.questions == lookup.observed.questions


LONG_NAME = ".".join(["y" * 60] * 4)


@pytest.mark.parametrize(
    ("name", "profile", "first", "found"),
    [
        # An address: busybox asks for its name. The DNS of the cluster has that of a Service.
        ("192.0.2.1", "busybox", ("PTR", "1.2.0.192.in-addr.arpa"), False),
        ("10.100.0.10", "busybox", ("PTR", "10.0.100.10.in-addr.arpa"), True),
        (".", "glibc", ("A", "."), False),
        (".", "go", ("A", "."), False),
        (".", "busybox", ("A", "."), False),
        # Beyond ASCII: glibc writes it in ASCII, musl and busybox send the octets.
        ("é.dns-live", "glibc", ("A", "xn--9ca.dns-live.default.svc.cluster.local"), False),
        ("é", "musl", ("A", r"\195\169.default.svc.cluster.local"), False),
        ("한국.example", "busybox", ("A", r"\237\149\156\234\181\173.example"), False),
        ("a@b", "busybox", ("A", r"a\@b.default.svc.cluster.local"), False),
        # Of the list, no query can hold what is too long.
        (LONG_NAME, "glibc", ("A", LONG_NAME), False),
        (LONG_NAME, "musl", ("A", LONG_NAME), False),
        (
            "KUBERNETES.Default",
            "glibc",
            ("A", "KUBERNETES.Default.default.svc.cluster.local"),
            True,
        ),
        ("KUBERNETES", "busybox", ("A", "KUBERNETES.default.svc.cluster.local"), True),
    ],
)
def test_names_of_every_kind_are_observed_as_predicted(cluster, name, profile, first, found):
    lookup = coredns.look_up(cluster, name, "default", profile=profile)
    question = lookup.predicted.questions[0]
    assert (question.rdtype, question.name) == first
    assert lookup.agrees, f"{lookup.predicted!r}\n{lookup.observed!r}"
    assert lookup.observed.found == found
    asked = [
        Counter((one.name.lower(), one.rdtype, one.reply) for one in walk.questions)
        for walk in (lookup.predicted, lookup.observed)
    ]
    assert asked[0] == asked[1]


def test_a_name_that_busybox_finds_among_others_is_found(cluster):
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-m", "eksnet.cli", "resolve", "kubernetes", "--from", "default",
             "--profile", "busybox", "--live", "--json"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        said = json.loads(done.stdout)
        full = "kubernetes.default.svc.cluster.local"
        for walk in said.values():
            answers = {(one["name"], one["rdtype"]): one["answer"] for one in walk}
            assert (answers[full, "A"], answers[full, "AAAA"]) == ("answer", "NODATA")


@pytest.mark.parametrize(
    ("name", "profile", "code", "says"),
    [
        ("192.0.2.1", "glibc", 2, "192.0.2.1 is an address: glibc queries nothing"),
        ("é", "go", 2, "'é' cannot be asked: it has letters outside ASCII"),
        (".", "musl", 2, "'.' cannot be asked: it has no label"),
        ("192.0.2.1", "busybox", 1, "1.2.0.192.in-addr.arpa"),
    ],
)
def test_resolve_tells_what_each_resolver_makes_of_a_name(cluster, name, profile, code, says):
    done = subprocess.run(
        [sys.executable, "-m", "eksnet.cli", "resolve", name, "--from", "default",
         "--profile", profile, "--live"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code
    assert says in (done.stderr if code == 2 else done.stdout)
    assert "Traceback" not in done.stderr


def test_a_pod_that_asks_for_a_alone_is_observed(cluster, objects):
    corefile = ".:53 {\n    log\n    ready\n    forward . /etc/resolv.conf\n}\n"
    address = coredns.start_server(cluster, "a-alone", corefile, "dns-live")
    conf = dns.pod_resolv_conf("dns-live").with_option("no-aaaa")
    coredns.start_client(cluster, "asks-a", "dns-live", address, conf)
    walk = coredns.witness_walk(
        cluster, "asks-a", "my-svc", "dns-live", witness="a-alone", witness_namespace="dns-live"
    )
    found = {"my-svc.dns-live.svc.cluster.local": "answer"}
    predicted = dns.search_walk("my-svc", conf, answers=found)
    assert [(one.name, one.rdtype, one.reply) for one in walk.questions] == [
        (one.name, one.rdtype, one.reply) for one in predicted.questions
    ]
    assert {one.rdtype for one in walk.questions} == {"A"}


def test_what_kubectl_puts_before_the_lines_of_a_log_changes_nothing(
    live_sandbox, cluster, objects
):
    corefile = ".:53 {\n    log\n    ready\n    forward . /etc/resolv.conf\n}\n"
    address = coredns.start_server(cluster, "logs", corefile, "dns-live")
    conf = dns.pod_resolv_conf("dns-live")
    coredns.start_client(cluster, "asks", "dns-live", address, conf)
    for name in ("my-svc", "a.b.c.d.e.example"):
        coredns.witness_walk(
            cluster, "asks", name, "dns-live", witness="logs", witness_namespace="dns-live"
        )
    program, kubeconfig = lifecycle.kubectl(live_sandbox.name)
    command = [program, f"--kubeconfig={kubeconfig}", "-n", "dns-live", "logs", "logs"]
    read = {
        flags: coredns.parse_query_log(
            subprocess.run([*command, *flags], capture_output=True, text=True, check=True).stdout
        )
        for flags in ((), ("--timestamps",), ("--prefix",), ("--timestamps", "--prefix"))
    }
    assert len(read[()]) >= 4
    assert set(read.values()) == {read[()]}


def test_ndots_of_a_pod_changes_its_walk(cluster, objects):
    lookup = coredns.look_up(cluster, "my-svc.dns-live", "default", profile="musl", ndots=1)
    assert lookup.observed.names == ("my-svc.dns-live",)
    assert lookup.agrees
    assert not lookup.observed.found


def test_resolve_prints_both_walks(cluster, objects):
    done = subprocess.run(
        [sys.executable, "-m", "eksnet.cli", "resolve", "my-svc.dns-live", "--from", "default",
         "--live", "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    first, second = "my-svc.dns-live.default.svc.cluster.local", "my-svc.dns-live.svc.cluster.local"
    once = {"queries": 1, "nameservers": []}
    assert said["predicted"] == [
        {"name": first, "rdtype": "A", "answer": "NXDOMAIN", **once},
        {"name": first, "rdtype": "AAAA", "answer": "NXDOMAIN", **once},
        {"name": second, "rdtype": "A", "answer": "answer", **once},
        {"name": second, "rdtype": "AAAA", "answer": "NODATA", **once},
    ]
    assert said["observed"] == said["predicted"]


@pytest.fixture(scope="module")
def order(cluster):
    """The widget search order as notebook 01b makes it, on a cluster with its Service."""
    made = """
{apiVersion: v1, kind: Namespace, metadata: {name: ops-ns}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: app-ns}}
---
{apiVersion: v1, kind: Service, metadata: {name: my-service, namespace: app-ns},
 spec: {selector: {app: my-app}, ports: [{port: 80}]}}
"""
    cluster.apply(made)
    notebook = nbformat.read(catalogue.find("01b"), as_version=4)
    (source,) = [cell.source for cell in notebook.cells if cell.id == "widget"]
    names = {
        "cluster": cluster,
        "coredns": coredns,
        "widgets": widgets,
        "exists": {"my-service.app-ns.svc.cluster.local"},
        # Another name's walk: what is observed has to take its place.
        "long": dns.search_walk("other", dns.pod_resolv_conf("ops-ns")),
    }
    exec(source, names)
    yield names["order"].model
    cluster.delete_manifest(made)


@pytest.mark.parametrize(
    ("profile", "ndots", "count"), [("glibc", None, 2), ("glibc", 1, 3), ("musl", 1, 1)]
)
def test_observe_in_the_widget_sees_what_it_predicts(order, profile, ndots, count):
    order.profile, order.ndots = profile, ndots
    assert "The observation matches the prediction." not in order.shown().sentence
    order.act("look")
    assert order.note == ""
    assert order.seen.rows == order.predicted.rows
    assert len(order.seen) == count
    assert order.shown().sentence.endswith("The observation matches the prediction.")


@pytest.mark.parametrize("moment", [0.8, 1.2, 1.8, 2.6])
def test_ctrl_c_while_a_lookup_is_observed_leaves_no_namespace(cluster, moment):
    def witnesses():
        spaces = cluster.list("namespaces")
        return {one.name for one in spaces if one["status"]["phase"] == "Active"} - before

    before = {one.name for one in cluster.list("namespaces")}
    command = ["resolve", "kubernetes", "--from", "default", "--live"]
    code, complaints = interrupted(command, moment)
    assert (code, complaints) == IN_ONE_LINE or code == 0
    assert witnesses() == set()
