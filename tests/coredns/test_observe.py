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
    wait_until_forgotten,
    witness_walk,
)
from eksnet.coredns.configuration import configuration_hash
from eksnet.coredns.observe import ask_each
from eksnet.coredns.transport import TCP, Query, command, queries_for, read_answers
from eksnet.dns import Reply
from eksnet.errors import EksnetError, UnreachableError


@pytest.fixture
def echo():
    """A server that sends each datagram back, with `re:` before it, and each TCP message as it is.

    What came over UDP is in its list; `silent` is not answered.
    """
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.create_server(("127.0.0.1", 0)) as stream,
    ):
        server.bind(stream.getsockname())
        came = []

        def answer():
            while (received := server.recvfrom(4096))[0] != b"end":
                came.append(received[0])
                if b"silent" not in received[0]:
                    server.sendto(b"re:" + received[0], received[1])

        def answer_stream():
            while True:
                connection, _ = stream.accept()
                with connection:
                    if not (message := connection.recv(4096)):
                        return
                    connection.sendall(message)

        threads = [threading.Thread(target=one) for one in (answer, answer_stream)]
        for thread in threads:
            thread.start()
        address, port = server.getsockname()
        yield f"{address}/{port}", came
        server.sendto(b"end", (address, port))
        socket.create_connection((address, port)).close()
        for thread in threads:
            thread.join()


def carried(queries, **options):
    said = subprocess.run(command(queries, **options), capture_output=True, check=True, timeout=30)
    return [base64.b64decode(line) for line in said.stdout.splitlines()]


@pytest.mark.parametrize("together", [False, True])
def test_a_query_travels_whole_whatever_its_bytes(echo, together):
    # 10 is a newline and the length of the label `kubernetes`; 0 ends a text in C.
    server, came = echo
    names = ["kubernetes.default", r"\195\169\010\000%", "."]
    udp = [Query(name, "A", server=server) for name in names]
    tcp = Query("kubernetes", "PTR", TCP, server)
    assert b"\xc3\xa9\n\0%" in udp[1].wire
    assert carried([*udp, tcp], together=together) == [*(b"re:" + q.wire for q in udp), tcp.wire]
    assert sorted(came) == sorted(query.wire for query in udp)
    if not together:
        assert came == [query.wire for query in udp]


def test_what_is_asked_together_waits_once_for_those_that_nobody_answers(echo, monkeypatch):
    server, came = echo
    queries = [Query(f"{name}.example", "A", server=server) for name in ("silent", "silent", "a")]
    assert carried(queries, together=True) == [b"", b"", b"re:" + queries[2].wire]
    assert len(came) == 3


def test_what_comes_before_the_answers_is_printed_first(echo):
    words = command([Query("a", "A", server=echo[0])], before="echo first\n")
    said = subprocess.run(words, capture_output=True, check=True, text=True, timeout=30)
    assert said.stdout.splitlines()[0] == "first"
    assert len(said.stdout.splitlines()) == 2


def wire(query, rcode, *records):
    """Return an answer as the command prints it: a line of base64."""
    asked = dns.message.from_wire(query.wire[2:] if query.protocol == TCP else query.wire)
    answer = dns.message.make_response(asked)
    answer.set_rcode(rcode)
    answer.answer = [dns.rrset.from_text(name, *record) for name, *record in records]
    data = answer.to_wire()
    length = len(data).to_bytes(2, "big") if query.protocol == TCP else b""
    return base64.b64encode(length + data).decode()


def test_answers_are_read_whole():
    names = ["myapp.local.", "no.such.name."]
    queries = queries_for(names, "A")
    lines = [
        wire(queries[0], dns.rcode.NOERROR, (names[0], 3600, "IN", "A", "10.43.0.2", "10.43.0.1")),
        wire(queries[1], dns.rcode.NXDOMAIN),
    ]
    answers = read_answers(queries, "\n".join(lines) + "\n")
    assert list(answers) == [
        Answer("myapp.local.", "NOERROR", 3600, ("10.43.0.1", "10.43.0.2"), found=True),
        Answer("no.such.name.", "NXDOMAIN", None, ()),
    ]
    assert answers.rows[1] == ("no.such.name.", "NXDOMAIN", "", "")


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_the_smallest_ttl_counts(protocol):
    query = Query("www.myapp.local.", "A", protocol)
    line = wire(
        query, dns.rcode.NOERROR,
        ("www.myapp.local.", 300, "IN", "CNAME", "myapp.local."),
        ("myapp.local.", 20, "IN", "A", "10.43.0.1"),
    )  # fmt: skip
    answer = query.read(line)
    assert (answer.ttl, answer.rdata) == (20, ("10.43.0.1", "myapp.local."))
    assert answer.records.rows == (
        ("www.myapp.local", "CNAME", "myapp.local."),
        ("myapp.local", "A", "10.43.0.1"),
    )


ALIAS = ("a.", 300, "IN", "CNAME", "shop.example.com.")
ADDRESS = ("shop.example.com.", 300, "IN", "AAAA", "2001:db8::1")
NAME = ("a.", 300, "IN", "PTR", "db-0.my-db.")


@pytest.mark.parametrize(
    ("rdtype", "rcode", "records", "reply"),
    [
        ("A", "NOERROR", [("a.", 5, "IN", "A", "10.100.0.9")], Reply.ANSWER),
        ("AAAA", "NOERROR", [ALIAS, ADDRESS], Reply.ANSWER),
        ("A", "NOERROR", [ALIAS, ADDRESS], Reply.NODATA),
        ("PTR", "NOERROR", [NAME], Reply.ANSWER),
        # An alias that leads nowhere is neither an address nor a name.
        ("A", "NOERROR", [ALIAS], Reply.NODATA),
        ("PTR", "NOERROR", [ALIAS], Reply.NODATA),
        ("A", "NOERROR", [], Reply.NODATA),
        ("A", "NXDOMAIN", [], Reply.NXDOMAIN),
        ("A", "REFUSED", [], Reply.REFUSED),
        ("A", "SERVFAIL", [], Reply.SERVFAIL),
        ("A", "NOTIMP", [], Reply.SERVFAIL),
    ],
)
def test_what_an_answer_is_to_a_resolver(rdtype, rcode, records, reply):
    query = Query("a", rdtype)
    assert query.read(wire(query, dns.rcode.from_text(rcode), *records)).reply is reply


@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        ("", UnreachableError, "no answer for a. within 6 seconds"),
        ("\n", UnreachableError, "no answer for a. within 6 seconds"),
        ("bash: no dd\n", EksnetError, "the answer for a. is 'bash: no dd'"),
        ("AAAA\n", EksnetError, "the answer for a. is 'AAAA'"),
    ],
)
def test_no_answer_and_no_dns_are_told(output, error, message):
    with pytest.raises(error, match=message):
        read_answers([Query("a.", "A")], output)


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

    def __init__(self, readings, *options):
        self.readings = readings
        self.options = options
        self.queries = []
        self.left = 0

    def get(self, kind, name, namespace):
        options = [{"name": name} for name in self.options]
        return Resource({"spec": {"dnsConfig": {"options": options}} if options else {}})

    def exec(self, pod, command, namespace):
        kinds = ("A",) if "no-aaaa" in self.options else ("A", "AAAA")
        self.queries += [(kind, command[-1].rstrip(".")) for kind in kinds]
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


def test_a_mark_is_complete_with_what_the_pods_resolver_asks_of_it():
    walk = witness_walk(LateWitness(0, "no-aaaa"), "client", "one.example", "here")
    assert (walk.names, walk.query_count) == (("one.example",), 1)


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


@pytest.mark.parametrize("after", range(3))
def test_a_name_is_asked_until_no_cache_has_its_record(after, monkeypatch):
    monkeypatch.setattr(observe, "_POLL", 0)
    kept = Answer("x.example", "NOERROR", 9, ("10.0.0.9",), found=True)
    gone = Answer("x.example", "NXDOMAIN", None, ())
    answers = iter([*[kept] * after, gone])
    monkeypatch.setattr(observe, "ask", lambda _cluster, name: [next(answers)])
    assert wait_until_forgotten(None, "x.example") == gone
    assert list(answers) == []


def test_a_name_that_keeps_its_record_is_told(monkeypatch):
    kept = Answer("x.example", "NOERROR", 9, ("10.0.0.9",), found=True)
    monkeypatch.setattr(observe, "ask", lambda _cluster, name: [kept])
    monkeypatch.setattr(observe, "until", lambda what, holds, timeout, poll: holds())
    with pytest.raises(EksnetError, match=r"x\.example still has a record: 10\.0\.0\.9"):
        wait_until_forgotten(None, "x.example")


def test_names_and_types_are_asked_in_one_run_and_never_along_a_search_list() -> None:
    runs = []

    def carry(words: list[str]) -> str:
        *_, first, second = words
        read = [one.split("|") for one in (first, second)]
        queries = [dns.message.from_wire(base64.b64decode(wire)) for *_, wire in read]
        runs.append([(*one[:2], str(q.question[0])) for one, q in zip(read, queries, strict=True)])
        return "\n".join(
            base64.b64encode(dns.message.make_response(query).to_wire()).decode()
            for query in queries
        )

    asked = [("web.shop", "A"), ("_http._tcp.web", "SRV")]
    answers = ask_each(asked, carry, "10.100.0.10/53")
    assert runs == [
        [
            ("udp", "10.100.0.10/53", "web.shop. IN A"),
            ("udp", "10.100.0.10/53", "_http._tcp.web. IN SRV"),
        ]
    ]
    assert {one: (answer.name, answer.rcode) for one, answer in answers.items()} == {
        one: (one[0], "NOERROR") for one in asked
    }
    assert ask_each([], carry) == {}
    assert len(runs) == 1
