"""The diagnosis: each check on facts that are right and wrong, and the whole on a live cluster."""

from __future__ import annotations

import base64
from typing import Any

import dns.message
import dns.rcode
import pytest

from eksnet import coredns
from eksnet.cluster import ApiError, Resource
from eksnet.cluster.countdown import until
from eksnet.coredns import diagnosis, faults
from eksnet.coredns import probe as probing
from eksnet.coredns.configuration import configuration_hash, errors
from eksnet.coredns.probe import Probe
from eksnet.coredns.transport import TCP, Query
from eksnet.diagnosis import CANNOT_TELL, FAILS, OK, Check, CheckResult, Diagnosis
from eksnet.dns.resolvconf import ResolvConf, pod_resolv_conf
from eksnet.errors import EksnetError

COREFILE = ".:53 {\n    errors\n    reload\n}\n"
RUNS = f"[INFO] plugin/reload: Running configuration SHA512 = {configuration_hash(COREFILE)}\n"
REFUSES = "[ERROR] plugin/reload: x:3 - Error during parsing: Unknown directive 'logg'\n"
TIMEOUT = "[ERROR] plugin/errors: 2 a. A: read udp 10.0.129.10:3->10.0.0.2:53: i/o timeout\n"
LOOP = '[FATAL] plugin/loop: Loop (127.0.0.1:5 -> :53) detected for zone ".", see https://x/loop\n'
WATCH = "[ERROR] plugin/kubernetes: Failed to watch *v1.Service: unknown (get services)\n"
PORTS = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}, {"port": 9153}]
SERVICE = {"spec": {"clusterIP": "10.100.0.10", "ports": PORTS, "selector": {"k8s-app": "dns"}}}
ROLE = {
    "rules": [
        {
            "apiGroups": ["", "discovery.k8s.io"],
            "resources": ["services", "namespaces", "endpointslices"],
            "verbs": ["list", "watch"],
        }
    ]
}
PODS = ("10.0.129.10", "10.0.145.10")
BOUND = {"subjects": [{"kind": "ServiceAccount", "name": "coredns"}]}


def pod(name: str = "a", ready: str = "True", **metadata: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": ready}]
    return {"metadata": {"name": name, **metadata}, "status": {"conditions": conditions}}


class Thing(dict[str, Any]):
    @property
    def name(self) -> str:
        return str(self["metadata"]["name"])


class Canned:
    """A cluster that has these objects, logs and slices, and answers 404 or 403 for the rest."""

    def __init__(
        self, objects: dict[str, Any], *, slices: Any = (), logs: Any = (), status: int = 404
    ):
        self.objects, self.slices, self.logs_, self.status = objects, slices, dict(logs), status

    def get(self, kind: str, name: str = "", namespace: str = "") -> Any:
        if kind not in self.objects:
            raise ApiError(f"{kind} {name}", "it", "look", status=self.status)
        return self.objects[kind]

    def find(self, kind: str, name: str = "", namespace: str = "") -> Any:
        if self.status == 404:
            return self.objects.get(kind)
        return self.get(kind, name, namespace)

    def list(self, kind: str, *_: Any, **__: Any) -> Any:
        return self.slices

    def logs(self, name: str, *_: Any) -> str:
        if isinstance(self.logs_[name], int):
            raise ApiError(f"pods/{name}/log", "it", "look", status=self.logs_[name])
        return str(self.logs_[name])


def probe(conf: ResolvConf | None = None, direct: Any = None, **answers: str) -> Probe:
    """Return what a pod was told, and by CoreDNS's own pods (over UDP, over TCP)."""
    said = {"udp": "NOERROR", "tcp": "NOERROR", "outside": "NXDOMAIN", **answers}
    for address, codes in (direct or dict.fromkeys(PODS, ("NOERROR", "NOERROR"))).items():
        said |= {f"udp {address}": codes[0], f"tcp {address}": codes[1]}
    return Probe(conf or pod_resolv_conf("default"), said)


def proxy(ready: int, wanted: int) -> dict[str, Any]:
    return {"status": {"numberReady": ready, "desiredNumberScheduled": wanted}}


NO_REPLY = {"udp": probing.NO_ANSWER, "tcp": probing.NO_ANSWER}
CACHED = pod_resolv_conf("default", nameserver="169.254.20.10")


@pytest.mark.parametrize(
    ("found", "verdict", "seen"),
    [
        (diagnosis.resolv_conf(probe(), SERVICE), OK, "nameserver 10.100.0.10, ndots 5"),
        (
            diagnosis.resolv_conf(probe(pod_resolv_conf("a", nameserver="10.9.9.9")), SERVICE),
            FAILS, "its nameserver is 10.9.9.9",
        ),
        (
            diagnosis.resolv_conf(probe(CACHED), SERVICE),
            OK, "nameserver 169.254.20.10, a cache on the node (NodeLocal DNSCache), ndots 5",
        ),
        (
            # Link-local too, and not of the cluster: the VPC's resolver.
            diagnosis.resolv_conf(
                probe(pod_resolv_conf("a", nameserver="169.254.169.253")), SERVICE
            ),
            FAILS, "its nameserver is 169.254.169.253",
        ),
        (diagnosis.resolv_conf(probe(ResolvConf()), SERVICE), FAILS, "is not set"),
        (
            diagnosis.resolv_conf(probe(pod_resolv_conf("a", domain="corp")), SERVICE),
            FAILS, "its search list is a.svc.corp",
        ),
        (diagnosis.runs({"spec": {"replicas": 2}}, [pod(), pod()]), OK, "2 of 2"),
        (diagnosis.runs({"spec": {"replicas": 0}}, []), FAILS, "asks for 0 pods"),
        (diagnosis.runs({"spec": {"replicas": 2}}, [pod(), pod(ready="False")]), FAILS, "1 of 2"),
        (
            diagnosis.runs({"spec": {"replicas": 1}}, [pod(deletionTimestamp="now")]),
            FAILS, "0 of 1",
        ),
        (diagnosis.ports(SERVICE), OK, "10.100.0.10, port 53 for UDP and TCP"),
        (diagnosis.ports({"spec": {"ports": PORTS[1:]}}), FAILS, "it has no port 53 for UDP"),
        (diagnosis.ports({"spec": {"ports": PORTS[:1]}}), FAILS, "it has no port 53 for TCP"),
        (diagnosis.ports({"spec": {"ports": []}}), FAILS, "no port 53 for TCP and UDP"),
        (diagnosis.directly(probe(), PODS), OK, "2 of 2 pods answer"),
        (
            diagnosis.directly(probe(direct={PODS[0]: ("NOERROR", "no answer")}), PODS[:1]),
            FAILS, "1 of 1 pods answer over UDP, 0 of 1 pods answer over TCP",
        ),
        (
            diagnosis.directly(probe(direct={PODS[0]: ("SERVFAIL", "NOERROR")}), PODS[:1]),
            FAILS, "0 of 1 pods answer over UDP, 1 of 1 pods answer over TCP; SERVFAIL",
        ),
        (diagnosis.kube_proxy(proxy(2, 2), probe(), True), OK, "2 of 2 pods are Ready"),
        (diagnosis.kube_proxy(proxy(1, 2), probe(), True), FAILS, "1 of 2 pods are Ready"),
        (diagnosis.kube_proxy(proxy(0, 0), probe(), True), FAILS, "it runs on no node"),
        (diagnosis.kube_proxy({}, probe(), True), FAILS, "it runs on no node"),
        (
            diagnosis.kube_proxy(proxy(2, 2), probe(udp="no answer"), True),
            FAILS, "2 of 2 pods are Ready; CoreDNS answers at its pods' addresses, but not at",
        ),
        # The Service has no endpoints or no port: kube-proxy cannot lead further.
        (diagnosis.kube_proxy(proxy(2, 2), probe(**NO_REPLY), False), OK, "2 of 2"),
        # The pods do not answer either, or there is none.
        (
            diagnosis.kube_proxy(
                proxy(2, 2), probe(direct={PODS[0]: ("NOERROR", "no answer")}, **NO_REPLY), True
            ),
            OK, "2 of 2",
        ),
        (diagnosis.kube_proxy(None, probe(), True), OK, "another component implements Services"),
        (
            diagnosis.kube_proxy(None, probe(**NO_REPLY), True),
            FAILS, "there is no DaemonSet kube-proxy; CoreDNS answers at its pods' addresses",
        ),
        (diagnosis.answers(probe(), "udp"), OK, "NOERROR"),
        (diagnosis.answers(probe(tcp="SERVFAIL"), "tcp"), FAILS, "SERVFAIL"),
        (diagnosis.outside(probe()), OK, "NXDOMAIN"),
        (diagnosis.outside(probe(outside="SERVFAIL")), FAILS, "SERVFAIL"),
    ],
)  # fmt: skip
def test_a_check(found: CheckResult, verdict: str, seen: str) -> None:
    assert (found.verdict, seen in found.seen) == (verdict, True), found
    assert bool(found.next_step) == (verdict == FAILS)


def test_what_to_check_next_depends_on_who_does_not_answer() -> None:
    network = diagnosis.directly(probe(direct={PODS[0]: ("no answer", "no answer")}), PODS[:1])
    assert "a security group" in network.next_step
    wrong = diagnosis.directly(probe(direct={PODS[0]: ("SERVFAIL", "SERVFAIL")}), PODS[:1])
    assert "logs" in wrong.next_step
    assert "a security group" in diagnosis.answers(probe(**NO_REPLY), "udp").next_step
    assert "node-local-dns" in diagnosis.answers(probe(CACHED, **NO_REPLY), "udp").next_step
    assert diagnosis.directly(probe(), ()).verdict == CANNOT_TELL


def endpoint(ready: bool) -> dict[str, Any]:
    return {"endpoints": [{"conditions": {"ready": ready}}]}


@pytest.mark.parametrize(
    ("slices", "pods", "verdict", "seen"),
    [
        ([endpoint(True), endpoint(True)], [pod(), pod()], OK, "2 are ready"),
        ([endpoint(True)], [pod(), pod()], FAILS, "1, and 2 pods of CoreDNS are Ready"),
        ([{"endpoints": None}], [pod(), pod()], FAILS, "the Service selects k8s-app=dns"),
        ([endpoint(False)], [pod(ready="False")], FAILS, "none"),
        ([], [], FAILS, "none"),
    ],
)
def test_endpoints(slices: Any, pods: Any, verdict: str, seen: str) -> None:
    found = diagnosis.endpoints(Canned({}, slices=slices), SERVICE, pods)  # type: ignore[arg-type]
    assert (found.verdict, seen in found.seen) == (verdict, True), found


@pytest.mark.parametrize(
    ("logs", "verdict", "seen"),
    [
        ([RUNS, RUNS], OK, "2 of 2 pods run it"),
        ([REFUSES + RUNS, RUNS], OK, "2 of 2 pods run it"),
        ([RUNS, RUNS + TIMEOUT], OK, "run it; their logs show plugin/errors: i/o timeout"),
        ([RUNS + LOOP, RUNS + TIMEOUT], OK, "plugin/errors: i/o timeout, plugin/loop: Loop"),
        ([RUNS, RUNS + WATCH], OK, "2 of 2 pods run it; their logs show Failed to watch"),
        ([TIMEOUT + RUNS, RUNS], OK, "2 of 2 pods run it"),
        (["other", RUNS], FAILS, "1 of 2 pods run it"),
        # A container that has not begun, a pod that is gone since it was listed.
        ([400, RUNS], FAILS, "1 of 2 pods run it"),
        ([RUNS, 404], FAILS, "1 of 2 pods run it"),
        (["SHA512 = x\n" + REFUSES] * 2, FAILS, "refuses it, line 3: Unknown directive 'logg'"),
        ([], CANNOT_TELL, "there is no CoreDNS pod"),
    ],
)
def test_the_corefile_that_runs(logs: list[str], verdict: str, seen: str) -> None:
    named = {str(number): log for number, log in enumerate(logs)}
    cluster = Canned({"configmap": {"data": {"Corefile": COREFILE}}}, logs=named)
    pods: Any = [Thing(pod(name)) for name in named]
    found = diagnosis.configuration(cluster, pods)  # type: ignore[arg-type]
    assert (found.verdict, seen in found.seen) == (verdict, True), found


def test_a_pod_that_is_taken_away_does_not_count() -> None:
    cluster = Canned({"configmap": {"data": {"Corefile": COREFILE}}}, logs={"a": RUNS, "b": ""})
    pods: Any = [Thing(pod("a")), Thing(pod("b", deletionTimestamp="now"))]
    assert "1 of 1 pods run it" in diagnosis.configuration(cluster, pods).seen  # type: ignore[arg-type]
    gone = diagnosis.configuration(cluster, pods[1:])  # type: ignore[arg-type]
    assert (gone.verdict, gone.seen) == (CANNOT_TELL, "there is no CoreDNS pod to query")


@pytest.mark.parametrize(
    ("corefile", "verdict", "seen"),
    [
        (".:53 {\n    errors\n}\n", CANNOT_TELL, "has no plugin reload"),
        (".:53 {\n    reload\n", FAILS, "is not closed"),
    ],
)
def test_a_corefile_that_the_logs_tell_nothing_of(corefile: str, verdict: str, seen: str) -> None:
    cluster = Canned({"configmap": {"data": {"Corefile": corefile}}}, logs={"a": RUNS})
    found = diagnosis.configuration(cluster, [Thing(pod())])  # type: ignore[arg-type,list-item]
    assert (found.verdict, seen in found.seen) == (verdict, True), found
    assert found.next_step


def test_logs_that_may_not_be_read_are_no_empty_logs() -> None:
    cluster = Canned({"configmap": {"data": {"Corefile": COREFILE}}}, logs={"a": 403})
    with pytest.raises(ApiError):
        diagnosis.configuration(cluster, [Thing(pod())])  # type: ignore[arg-type,list-item]


def test_errors_are_those_since_the_configuration_that_runs() -> None:
    assert errors(TIMEOUT + RUNS + "[INFO] x\n" + LOOP + WATCH + TIMEOUT * 2) == (
        "Failed to watch", "plugin/errors: i/o timeout", "plugin/loop: Loop",
    )  # fmt: skip
    assert errors(REFUSES) == ("plugin/reload: Unknown directive 'logg'",)
    assert errors("[ERROR] Restart failed: x:3\n") == ("Restart failed",)


@pytest.mark.parametrize(
    ("role", "binding", "verdict", "seen"),
    [
        (ROLE, BOUND, OK, "endpointslices"),
        ({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}, BOUND, OK, ""),
        (
            {"rules": [{**ROLE["rules"][0], "apiGroups": [""]}]},
            BOUND,
            FAILS,
            "permission to list and watch endpointslices",
        ),
        (
            {"rules": [{**ROLE["rules"][0], "verbs": ["list"]}]},
            BOUND,
            FAILS,
            "permission to list and watch endpointslices",
        ),
        (
            ROLE,
            {"subjects": [{"name": "other"}]},
            FAILS,
            "no ClusterRoleBinding gives the role system:coredns to the ServiceAccount coredns",
        ),
    ],
)
def test_permissions(role: Any, binding: Any, verdict: str, seen: str) -> None:
    cluster = Canned({"clusterrole": role, "clusterrolebinding": binding})
    found = diagnosis.permissions(cluster)  # type: ignore[arg-type]
    assert (found.verdict, seen in found.seen) == (verdict, True), found


def wire(code: str, *, framed: bool = False) -> str:
    message = dns.message.make_response(dns.message.make_query("a.", "A"))
    message.set_rcode(dns.rcode.from_text(code))
    data = message.to_wire()
    return base64.b64encode(len(data).to_bytes(2, "big") + data if framed else data).decode()


ASKED = {"udp": Query("a.", "A"), "tcp": Query("a.", "A", TCP), "outside": Query("a.", "A")}


def test_what_the_pod_printed_is_read() -> None:
    conf = pod_resolv_conf("default")
    lines = (str(conf), "---", wire("NOERROR"), wire("SERVFAIL", framed=True), "")
    found = probing.parse_probe("\n".join(lines) + "\n", ASKED)
    assert found.conf.nameservers == conf.nameservers
    assert found.answers == {"udp": "NOERROR", "tcp": "SERVFAIL", "outside": probing.NO_ANSWER}
    refused = probing.parse_probe(
        f"{conf}\n---\n\n{wire('NOERROR', framed=True)}\nnonsense!\n", ASKED
    )
    assert refused.answers == {
        "udp": probing.NO_ANSWER,
        "tcp": "NOERROR",
        "outside": "not a DNS message",
    }


@pytest.mark.parametrize("output", ["", "nameserver 1.2.3.4\n", "a\n---\n\n"])
def test_what_no_probe_printed_is_told(output: str) -> None:
    with pytest.raises(EksnetError, match="the test pod printed"):
        probing.parse_probe(output, ASKED)


def test_the_first_that_fails_is_named_in_text_and_html() -> None:
    found = Diagnosis((
        diagnosis.answers(probe(), "udp").titled("UDP 53 answers"),
        diagnosis.ports({"spec": {"ports": PORTS[1:]}}).titled("Service kube-dns"),
        diagnosis.outside(probe(outside="<nothing>")).titled("names outside the cluster"),
    ))  # fmt: skip
    assert found.first == found.checks[1]
    assert found.headline == "Start with 2, Service kube-dns: it has no port 53 for UDP"
    assert found.headline in repr(found)
    assert found.headline in found._repr_html_()
    assert "&lt;nothing&gt;" in found._repr_html_()
    assert list(found.to_frame()["verdict"]) == [OK, FAILS, FAILS]
    fine = Diagnosis((Check(OK, "NOERROR", check="UDP"), Check(CANNOT_TELL, "y", check="x")))
    assert (fine.first, fine.advice) == (None, "")
    assert fine.headline == "No check fails; 1 of the checks could not run"


@pytest.mark.parametrize(("status", "verdict"), [(403, CANNOT_TELL), (404, FAILS)])
def test_what_cannot_be_read_is_told_and_what_is_gone_fails(
    status: int, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "ask_from_a_pod", lambda *_: probe())
    found = coredns.diagnose(Canned({}, status=status))  # type: ignore[arg-type]
    verdicts = {one.check: one.verdict for one in found.checks}
    assert verdicts["Service kube-dns"] == verdict
    assert verdicts["the permissions of CoreDNS"] == verdict
    assert verdicts["UDP 53 answers"] == OK


class Reloading(Canned):
    """A cluster whose one CoreDNS pod takes its Corefile over at the second look."""

    def __init__(self) -> None:
        super().__init__(
            {"configmap": {"data": {"Corefile": COREFILE}}},
            slices=[Resource({"kind": "Pod", "metadata": {"name": "one"}})],
        )
        self.looks = 0

    def logs(self, *_: Any) -> str:
        self.looks += 1
        other = RUNS.replace(configuration_hash(COREFILE), "0" * 128)
        return other if self.looks == 1 else other + RUNS


@pytest.mark.parametrize(("found", "looks"), [(("A", "C"), 2), (("A", "B", "D"), 0)])
def test_a_corefile_is_taken_back_once_it_runs(
    monkeypatch: pytest.MonkeyPatch, found: tuple[str, ...], looks: int
) -> None:
    monkeypatch.setattr(faults.faults, "revert_all", lambda *_: found)
    cluster = Reloading()
    assert faults.revert_faults(cluster) == found  # type: ignore[arg-type]
    assert cluster.looks == looks


@pytest.mark.sandbox
class TestLive:
    """The real programs decide. Fault C takes two reloads: notebook 01 goes through it."""

    @pytest.mark.parametrize(
        ("fault", "first", "udp", "tcp"),
        [
            ("A", "CoreDNS runs", FAILS, FAILS),
            ("B", "endpoints of kube-dns", FAILS, FAILS),
            ("D", "Service kube-dns", FAILS, OK),
        ],
    )
    def test_a_fault_is_found_and_taken_back(
        self, cluster: Any, fault: str, first: str, udp: str, tcp: str
    ) -> None:
        try:
            assert coredns.inject_fault(cluster, fault).name == fault
            found = coredns.diagnose(cluster)
            verdicts = {one.check: one.verdict for one in found.checks}
            assert found.first is not None
            assert found.first.check == first
            assert (verdicts["UDP 53 answers"], verdicts["TCP 53 answers"]) == (udp, tcp)
        finally:
            assert coredns.revert_faults(cluster) == (fault,)
            cluster.rollout_status("deployment/coredns", "kube-system")
        # kube-proxy follows the API a moment later.
        assert until("all is well", lambda: coredns.diagnose(cluster).first is None, 60)

    def test_a_service_that_leads_nowhere_while_its_pods_answer_is_kube_proxys(
        self, cluster: Any
    ) -> None:
        def place(label: str | None) -> None:
            spec = {"nodeSelector": {"eksnet": label}}
            change = {"spec": {"template": {"spec": spec}}}
            cluster.patch("daemonset", "kube-proxy", change, "kube-system")

        def gone() -> bool:
            return not cluster.list("pods", "kube-system", selector="k8s-app=kube-proxy")

        try:
            place("nowhere")
            assert until("kube-proxy to end", gone, 60)
            # Its rules stay; they lead to pods that are gone once CoreDNS has others.
            before = coredns.running_configurations(cluster)
            cluster.rollout_restart("deployment/coredns", "kube-system")
            cluster.rollout_status("deployment/coredns", "kube-system")
            coredns.wait_for_restart(cluster, before)
            found = coredns.diagnose(cluster)
            verdicts = {one.check: one.verdict for one in found.checks}
            assert verdicts["CoreDNS asked directly"] == OK
            assert verdicts["UDP 53 answers"] == verdicts["TCP 53 answers"] == FAILS
            assert found.headline == (
                "Start with 8, kube-proxy: it runs on no node; CoreDNS answers at its pods' "
                "addresses, but not at the Service's"
            )
        finally:
            place(None)
            cluster.rollout_status("daemonset/kube-proxy", "kube-system")
        assert until("all is well", lambda: coredns.diagnose(cluster).first is None, 60)

    def test_there_is_no_other_fault(self, cluster: Any) -> None:
        with pytest.raises(EksnetError, match="no fault 'E'"):
            coredns.inject_fault(cluster, "E")
