"""The diagnosis: each check on facts that are right and wrong, and the whole on a live cluster."""

from __future__ import annotations

import base64
from typing import Any

import dns.message
import dns.rcode
import pytest

from eksnet import coredns
from eksnet.cluster import ApiError
from eksnet.cluster.countdown import until
from eksnet.coredns import diagnosis
from eksnet.coredns.configuration import configuration_hash, errors
from eksnet.coredns.diagnosis import CANNOT_TELL, FAILS, OK, Diagnosis, Probe
from eksnet.dns.resolvconf import ResolvConf, pod_resolv_conf
from eksnet.errors import EksnetError

COREFILE = ".:53 {\n    errors\n    reload\n}\n"
RUNS = f"[INFO] plugin/reload: Running configuration SHA512 = {configuration_hash(COREFILE)}\n"
REFUSES = "[ERROR] plugin/reload: x:3 - Error during parsing: Unknown directive 'logg'\n"
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

    def list(self, kind: str, *_: Any, **__: Any) -> Any:
        return self.slices

    def logs(self, name: str, *_: Any) -> str:
        return self.logs_[name]


def probe(conf: ResolvConf | None = None, **answers: str) -> Probe:
    said = {"udp": "NOERROR", "tcp": "NOERROR", "outside": "NXDOMAIN", **answers}
    return Probe(conf or pod_resolv_conf("default"), said)


@pytest.mark.parametrize(
    ("found", "verdict", "seen"),
    [
        (diagnosis.resolv_conf(probe(), SERVICE), OK, "nameserver 10.100.0.10, ndots 5"),
        (
            diagnosis.resolv_conf(probe(pod_resolv_conf("a", nameserver="10.9.9.9")), SERVICE),
            FAILS, "its nameserver is 10.9.9.9",
        ),
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
        (diagnosis.answers(probe(), "udp"), OK, "NOERROR"),
        (diagnosis.answers(probe(tcp="SERVFAIL"), "tcp"), FAILS, "SERVFAIL"),
        (diagnosis.outside(probe()), OK, "NXDOMAIN"),
        (diagnosis.outside(probe(outside="SERVFAIL")), FAILS, "SERVFAIL"),
    ],
)  # fmt: skip
def test_a_check(found: diagnosis.Check, verdict: str, seen: str) -> None:
    assert (found.verdict, seen in found.seen) == (verdict, True), found
    assert bool(found.next_step) == (verdict == FAILS)


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
        ([RUNS, RUNS + "[ERROR] plugin/errors: 2 x. A: timeout\n"], OK, "A: timeout"),
        (["other", RUNS], FAILS, "1 of 2 pods run it"),
        (["SHA512 = x\n" + REFUSES] * 2, FAILS, "refuses it, line 3: Unknown directive 'logg'"),
        ([], CANNOT_TELL, "there is no pod"),
    ],
)
def test_the_corefile_that_runs(logs: list[str], verdict: str, seen: str) -> None:
    named = {str(number): log for number, log in enumerate(logs)}
    cluster = Canned({"configmap": {"data": {"Corefile": COREFILE}}}, logs=named)
    pods: Any = [Thing(pod(name)) for name in named]
    found = diagnosis.configuration(cluster, pods)  # type: ignore[arg-type]
    assert (found.verdict, seen in found.seen) == (verdict, True), found


def test_errors_are_those_since_the_configuration_that_runs() -> None:
    assert errors(REFUSES + RUNS + "[INFO] x\n[ERROR] y\n") == ("[ERROR] y",)
    assert errors(REFUSES) == (REFUSES.strip(),)


@pytest.mark.parametrize(
    ("role", "binding", "verdict", "seen"),
    [
        (ROLE, BOUND, OK, "endpointslices"),
        ({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}, BOUND, OK, ""),
        (
            {"rules": [{**ROLE["rules"][0], "apiGroups": [""]}]},
            BOUND,
            FAILS,
            "lacks endpointslices",
        ),
        (
            {"rules": [{**ROLE["rules"][0], "verbs": ["list"]}]},
            BOUND,
            FAILS,
            "lacks endpointslices",
        ),
        (ROLE, {"subjects": [{"name": "other"}]}, FAILS, "is bound to nobody called coredns"),
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


def test_what_the_pod_printed_is_read() -> None:
    conf = pod_resolv_conf("default")
    lines = (str(conf), "---", wire("NOERROR"), wire("SERVFAIL", framed=True), "")
    found = diagnosis.read_probe("\n".join(lines) + "\n", ("udp", "tcp", "outside"))
    assert found.conf.nameservers == conf.nameservers
    assert found.answers == {"udp": "NOERROR", "tcp": "SERVFAIL", "outside": diagnosis.NO_ANSWER}
    refused = diagnosis.read_probe(
        f"{conf}\n---\n\n{wire('NOERROR')}\nnonsense!\n", ("udp", "x", "y")
    )
    assert refused.answers == {"udp": diagnosis.NO_ANSWER, "x": "NOERROR", "y": "no DNS message"}


@pytest.mark.parametrize("output", ["", "nameserver 1.2.3.4\n", "a\n---\n\n"])
def test_what_no_probe_printed_is_told(output: str) -> None:
    with pytest.raises(EksnetError, match="the pod that asks printed"):
        diagnosis.read_probe(output, ("udp", "tcp"))


def test_the_first_that_fails_is_named_in_text_and_html() -> None:
    found = Diagnosis((
        diagnosis.answers(probe(), "udp"),
        diagnosis.ports({"spec": {"ports": PORTS[1:]}}),
        diagnosis.outside(probe(outside="<nothing>")),
    ))  # fmt: skip
    assert found.first == found.checks[1]
    assert found.headline == "Begin at 2, Service kube-dns: it has no port 53 for UDP"
    assert found.headline in repr(found)
    assert found.headline in found._repr_html_()
    assert "&lt;nothing&gt;" in found._repr_html_()
    assert list(found.to_frame()["verdict"]) == [OK, FAILS, FAILS]
    fine = Diagnosis((diagnosis.answers(probe(), "udp"), diagnosis.Check("x", CANNOT_TELL, "y")))
    assert (fine.first, fine.advice) == (None, "")
    assert fine.headline == "Nothing fails; 1 of the checks could not be made"


@pytest.mark.parametrize(("status", "verdict"), [(403, CANNOT_TELL), (404, FAILS)])
def test_what_cannot_be_read_is_told_and_what_is_gone_fails(
    status: int, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "ask_from_a_pod", lambda *_: probe())
    found = coredns.diagnose(Canned({}, status=status))  # type: ignore[arg-type]
    verdicts = {one.check: one.verdict for one in found.checks}
    assert verdicts["Service kube-dns"] == verdict
    assert verdicts["what CoreDNS may read"] == verdict
    assert verdicts["UDP 53 answers"] == OK


@pytest.mark.sandbox
class TestLive:
    """The real programs decide. Fault C takes two reloads: notebook 01 goes through it."""

    @pytest.mark.parametrize(
        ("fault", "first", "udp", "tcp"),
        [
            ("A", "CoreDNS runs", FAILS, FAILS),
            ("B", "its endpoints", FAILS, FAILS),
            ("D", "Service kube-dns", FAILS, OK),
        ],
    )
    def test_a_fault_is_found_and_taken_back(
        self, cluster: Any, fault: str, first: str, udp: str, tcp: str
    ) -> None:
        try:
            assert coredns.bring_fault(cluster, fault).name == fault
            found = coredns.diagnose(cluster)
            verdicts = {one.check: one.verdict for one in found.checks}
            assert found.first is not None
            assert found.first.check == first
            assert (verdicts["UDP 53 answers"], verdicts["TCP 53 answers"]) == (udp, tcp)
        finally:
            assert coredns.take_back_faults(cluster) == (fault,)
            cluster.rollout_status("deployment/coredns", "kube-system")
        # kube-proxy follows the API a moment later.
        assert until("all is well", lambda: coredns.diagnose(cluster).first is None, 60)

    def test_there_is_no_other_fault(self, cluster: Any) -> None:
        with pytest.raises(EksnetError, match="no fault 'E'"):
            coredns.bring_fault(cluster, "E")
