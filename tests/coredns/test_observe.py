import base64
import socket
import subprocess
import threading

import dns.message
import dns.rcode
import dns.rrset
import pytest

from eksnet.cluster import ApiError, Exec, Resource
from eksnet.coredns import (
    Answer,
    observe,
    running_configurations,
    wait_for_answer,
    wait_for_reload,
    wait_for_restart,
    witness_walk,
)
from eksnet.coredns.configuration import configuration_hash
from eksnet.coredns.observe import ask_each, parse_answers, query_command
from eksnet.errors import EksnetError


@pytest.fixture
def echo():
    """A server that sends each datagram back, once with `re:` before it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def answer():
            while (received := server.recvfrom(4096))[0] != b"end":
                server.sendto(b"re:" + received[0], received[1])

        thread = threading.Thread(target=answer)
        thread.start()
        address, port = server.getsockname()
        yield f"{address}/{port}"
        server.sendto(b"end", (address, port))
        thread.join()


def test_a_query_travels_whole_whatever_its_bytes(echo):
    # 10 is a newline and the length of the label `kubernetes`; 0 ends a text in C.
    queries = [bytes([0, 10, 37, 92, 10, 255]), b"kubernetes\n", b"\n"]
    said = subprocess.run(query_command(queries, echo), capture_output=True, check=True, timeout=30)
    answers = [base64.b64decode(line) for line in said.stdout.splitlines()]
    assert answers == [b"re:" + query for query in queries]


def wire(name, rcode, *records):
    """Return an answer as the command prints it: a line of base64."""
    answer = dns.message.make_response(dns.message.make_query(name, "A"))
    answer.set_rcode(rcode)
    answer.answer = [dns.rrset.from_text(name, *record) for record in records]
    return base64.b64encode(answer.to_wire()).decode()


def test_answers_are_read_whole():
    names = ["myapp.local.", "no.such.name."]
    lines = [
        wire(names[0], dns.rcode.NOERROR, (3600, "IN", "A", "10.43.0.2", "10.43.0.1")),
        wire(names[1], dns.rcode.NXDOMAIN),
    ]
    answers = parse_answers(names, "\n".join(lines) + "\n")
    assert list(answers) == [
        Answer("myapp.local.", "NOERROR", 3600, ("10.43.0.1", "10.43.0.2")),
        Answer("no.such.name.", "NXDOMAIN", None, ()),
    ]
    assert answers.rows[1] == ("no.such.name.", "NXDOMAIN", "", "")


def test_the_smallest_ttl_counts():
    line = wire(
        "www.myapp.local.", dns.rcode.NOERROR,
        (300, "IN", "CNAME", "myapp.local."), (20, "IN", "A", "10.43.0.1"),
    )  # fmt: skip
    assert parse_answers(["www.myapp.local."], line)[0].ttl == 20


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("", "no answer for a. within five seconds"),
        ("\n", "no answer for a. within five seconds"),
        ("bash: dd: command not found\n", "the answer for a. is 'bash: dd: command not found'"),
        ("AAAA\n", "the answer for a. is 'AAAA'"),
    ],
)
def test_no_answer_and_no_dns_are_told(output, message):
    with pytest.raises(EksnetError, match=message):
        parse_answers(["a."], output)


class Logs:
    """A cluster that has nothing but CoreDNS pods and their logs."""

    def __init__(self, **logs):
        self.logs_of = logs
        self.terminating = set()
        # How many times each pod that is starting has no log yet.
        self.starting = {}
        self.corefile, self.complaint = COREFILE, ""

    def get(self, kind, name, namespace):
        assert (kind, name, namespace) == ("configmap", "coredns", "kube-system")
        return Resource({"data": {"Corefile": self.corefile}})

    def list(self, kind, namespace, *, selector):
        assert (kind, namespace, selector) == ("pods", "kube-system", "k8s-app=kube-dns")
        return [Resource({"metadata": self._metadata(name)}) for name in self.logs_of]

    def _metadata(self, name):
        return {"name": name, **({"deletionTimestamp": "now"} if name in self.terminating else {})}

    def logs(self, pod, namespace):
        if pod in self.starting:
            self.starting[pod] -= 1
            if self.starting[pod] >= 0:
                raise ApiError("is waiting to start: ContainerCreating", "it", "look", status=400)
        return (
            "".join(
                f"[INFO] plugin/reload: Running configuration SHA512 = {digest}\n"
                for digest in self.logs_of[pod]
            )
            + self.complaint
        )


A, B, C = (letter * 128 for letter in "abc")


def test_the_last_configuration_of_each_pod_that_stays():
    cluster = Logs(one=[A, B], two=[A], old=[C])
    cluster.terminating = {"old"}
    assert running_configurations(cluster) == {"one": B, "two": A}


def test_a_pod_that_is_starting_is_waited_for():
    cluster = Logs(one=[A], two=[A])
    cluster.starting = {"two": 1}
    assert running_configurations(cluster) == {"one": A, "two": A}


def test_a_pod_that_does_not_start_is_named(monkeypatch):
    monkeypatch.setattr(observe, "_START_SECONDS", 0)
    cluster = Logs(one=["aa"], two=["aa"])
    cluster.starting = {"two": 99}
    with pytest.raises(
        EksnetError, match="two has no log: its container has not started"
    ) as raised:
        running_configurations(cluster)
    assert "describe pods" in raised.value.next_step


COREFILE = ".:53 {\n    reload\n}\n"
OLD, NEW, OTHER = "a" * 128, configuration_hash(COREFILE), "c" * 128
BEFORE = {"one": OLD, "two": OLD}


@pytest.mark.parametrize(
    ("before", "now", "says"),
    [
        (BEFORE, {"one": [OLD, NEW], "two": [OLD, NEW]}, "2 CoreDNS pods reloaded"),
        # The cell was run again: before the reload, and after it.
        (BEFORE, {"one": [OLD, OTHER, NEW], "two": [OLD, NEW]}, "2 CoreDNS pods reloaded"),
        ({"one": NEW}, {"one": [OLD, NEW]}, "1 CoreDNS pods run the Corefile of the ConfigMap"),
    ],
)
def test_a_reload_is_waited_for(before, now, says, capsys):
    wait_for_reload(Logs(**now), before, timeout=0)
    assert says in capsys.readouterr().out


@pytest.mark.parametrize(
    ("now", "message"),
    [
        ({"one": [OLD, NEW], "two": [OLD]}, "still waiting for CoreDNS to reload"),
        ({"one": [OLD, NEW], "two": [OTHER]}, "still waiting for CoreDNS to reload"),
        ({"one": [OLD, OTHER], "two": [OLD, OTHER]}, "still waiting for CoreDNS to reload"),
        ({"one": [NEW], "three": [NEW]}, "they were restarted, not reloaded"),
    ],
)
def test_what_is_no_reload(now, message):
    with pytest.raises(EksnetError, match=message):
        wait_for_reload(Logs(**now), BEFORE, timeout=0)


def test_a_corefile_that_is_refused_for_good_is_not_waited_for():
    cluster = Logs(one=[OLD])
    cluster.corefile = ".:53 {\n    reload\n    logg\n}\n"
    cluster.complaint = (
        "[ERROR] Restart failed: Corefile:3 - Error during parsing: Unknown directive 'logg'"
    )
    with pytest.raises(EksnetError, match=r"refused the Corefile: .*Unknown directive 'logg'"):
        wait_for_reload(cluster, {"one": OLD}, timeout=60)


@pytest.mark.parametrize(("now", "done"), [([OLD, OTHER], True), ([OLD], False)])
def test_a_text_from_elsewhere_is_waited_for_by_its_change(now, done):
    cluster = Logs(one=now)
    cluster.corefile = "import others\n"
    if done:
        wait_for_reload(cluster, {"one": OLD}, timeout=0)
    else:
        with pytest.raises(EksnetError, match="still waiting"):
            wait_for_reload(cluster, {"one": OLD}, timeout=0)


def test_a_restart_has_happened_when_the_old_pods_are_gone(capsys):
    wait_for_restart(Logs(three=["bb"]), {"one": "aa", "two": "aa"})
    assert "2 old CoreDNS pods have exited" in capsys.readouterr().out
    terminating = Logs(three=["bb"], two=["aa"])
    terminating.terminating = {"two"}
    with pytest.raises(EksnetError, match="still waiting for the old CoreDNS pods to exit"):
        wait_for_restart(terminating, {"one": "aa", "two": "aa"}, timeout=0)


class LateWitness:
    """A witness whose log shows the last query only some readings after the lookup has ended."""

    def __init__(self, readings):
        self.readings = readings
        self.queries = []
        self.left = 0

    def exec(self, pod, command, namespace):
        self.queries += [(kind, command[-1].rstrip(".")) for kind in ("A", "AAAA")]
        self.left = self.readings
        return Exec(command, "", "", 2)

    def logs(self, pod, namespace):
        shown = self.queries[:-1] if self.left else self.queries
        self.left = max(0, self.left - 1)
        return "\n".join(
            f'[INFO] 10.0.0.9:5000 - 7 "{kind} IN {name}. udp 40 false 512" NXDOMAIN '
            for kind, name in shown
        )


@pytest.mark.parametrize("readings", range(4))
def test_what_a_witness_logs_late_is_no_part_of_the_next_walk(readings, monkeypatch):
    monkeypatch.setattr(observe, "_POLL", 0)
    cluster = LateWitness(readings)
    walks = [witness_walk(cluster, "client", f"{name}.example", "here") for name in ("one", "two")]
    assert [walk.names for walk in walks] == [("one.example",), ("two.example",)]
    assert [walk.query_count for walk in walks] == [2, 2]


class ImpatientClient(LateWitness):
    """A resolver that sends a mark once more after its answer, during the next lookup."""

    def exec(self, pod, command, namespace):
        marks = [query for query in self.queries if query[1].startswith("mark-")]
        done = super().exec(pod, command, namespace)
        self.queries += marks[-1:]
        return done


def test_a_mark_that_was_sent_again_is_no_part_of_the_next_walk():
    cluster = ImpatientClient(0)
    walk = witness_walk(cluster, "client", "mark-up.example", "here")
    assert (walk.names, walk.query_count) == (("mark-up.example",), 2)


def test_what_was_asked_before_and_is_logged_late_is_no_part_of_the_walk(monkeypatch):
    monkeypatch.setattr(observe, "_POLL", 0)
    cluster = LateWitness(2)
    cluster.exec("client", ["getent", "before.example"], "here")
    walk = witness_walk(cluster, "client", "one.example", "here")
    assert (walk.names, walk.query_count) == (("one.example",), 2)


class Learning:
    """A CoreDNS that has heard of a pod after some lookups."""

    def __init__(self, after):
        self.left = after

    def exec(self, pod, command, namespace):
        assert (pod, command[-1], namespace) == ("op", "10-0-129-7.here.pod.cluster.local", "here")
        self.left -= 1
        if self.left >= 0:
            return Exec(command, "", "", 2)
        return Exec(command, "10.0.129.7      STREAM op\n", "", 0)


@pytest.mark.parametrize("after", range(3))
def test_a_name_is_waited_for_until_the_pods_resolver_finds_it(after, monkeypatch):
    monkeypatch.setattr(observe, "_POLL", 0)
    cluster = Learning(after)
    wait_for_answer(cluster, "op", "10-0-129-7.here.pod.cluster.local", "here")
    assert cluster.left == -1


def test_a_name_that_is_never_found_is_told(monkeypatch):
    monkeypatch.setattr(observe, "until", lambda what, holds, timeout, poll: holds())
    with pytest.raises(EksnetError, match=r"still waiting for an answer for 10-0-129-7"):
        wait_for_answer(Learning(9), "op", "10-0-129-7.here.pod.cluster.local", "here")


def test_names_and_types_are_asked_in_one_run_and_never_along_a_search_list() -> None:
    runs = []

    def carry(command: list[str]) -> str:
        *_, server, first, second = command
        queries = [dns.message.from_wire(base64.b64decode(one)) for one in (first, second)]
        runs.append((server, [str(query.question[0]) for query in queries]))
        return "\n".join(
            base64.b64encode(dns.message.make_response(query).to_wire()).decode()
            for query in queries
        )

    asked = [("web.shop", "A"), ("_http._tcp.web", "SRV")]
    answers = ask_each(asked, carry, "10.100.0.10/53")
    assert runs == [("10.100.0.10/53", ["web.shop. IN A", "_http._tcp.web. IN SRV"])]
    assert {one: (answer.name, answer.rcode) for one, answer in answers.items()} == {
        asked[0]: ("web.shop.", "NOERROR"),
        asked[1]: ("_http._tcp.web.", "NOERROR"),
    }
