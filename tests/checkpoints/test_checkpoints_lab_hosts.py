"""The checkpoints of 05_lab_hosts on clusters that are right, and on those that are not."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fake_api import FakeApi
from lab_api import Check, refusing

from eksnet import coredns
from eksnet.checkpoints import State
from eksnet.cluster import connect
from eksnet.coredns import Answer, add_plugin
from eksnet.coredns.configuration import configuration_hash
from eksnet.coredns.corefile import read_corefile
from eksnet.listing import Listing

P, F, N, C = State.PASS, State.FAIL, State.NOT_STARTED, State.CANNOT_CHECK
UNTOUCHED = ".:53 {\n    errors\n    forward . /etc/resolv.conf\n    cache 30\n    reload\n}\n"
HOSTS = "hosts {\n    10.43.0.1 myapp.local\n    fallthrough\n}\n"
SOLVED = add_plugin(UNTOUCHED, HOSTS)
_MINE = """\
hosts {
    # by Kim
    10.0.0.7 mine.local # for the printer
    10.43.0.1 myapp.local
    ttl 60
    fallthrough
}
"""
# Without its last brace alone CoreDNS takes it: the one before closes the server block too.
UNCLOSED = SOLVED.removesuffix("}\n") + "    loop\n"
BOTH = SOLVED.replace("myapp.local", "myapp.local www.myapp.local")
CONFIGMAP = "/api/v1/namespaces/kube-system/configmaps/coredns"
PODS = "/api/v1/namespaces/kube-system/pods"
RESTARTED, RELOADED = "restarted", "reloaded"

Lab = Callable[..., None]


def put_lab(
    api: FakeApi, corefile: str = UNTOUCHED, *, runs: str = "", first: str = "", backup: str = ""
) -> None:
    """Make the ConfigMap and two CoreDNS pods.

    Args:
        api: The API server.
        corefile: The text of the ConfigMap.
        runs: What the pods run; the text of the ConfigMap when empty.
        first: What they ran when they started; the same when empty.
        backup: The text when the backup was made; no backup when empty.
    """
    if backup:
        api.put(CONFIGMAP, {"data": {"Corefile": backup}})
        connect("context:lab").backup("coredns", "kube-system")
    api.put(CONFIGMAP, {"data": {"Corefile": corefile}})
    for name in ("coredns-a", "coredns-b"):
        api.put(f"{PODS}/{name}", {"metadata": {"labels": {"k8s-app": "kube-dns"}}})
        ran = [first, runs or corefile] if first else [runs or corefile]
        api.logs[f"{PODS}/{name}"] = "".join(
            f"Running configuration SHA512 = {configuration_hash(text)}\n" for text in ran
        )


@pytest.fixture
def lab(api: FakeApi) -> Lab:
    """Puts a cluster into a state of the lab."""
    return functools.partial(put_lab, api)


def states(result: Any) -> list[State]:
    return [outcome.state for outcome in result.outcomes]


def seen(result: Any, number: int) -> str:
    return str(result.outcomes[number].observation.observed)


def answered(rcode: str) -> Listing[Answer]:
    answers = (
        Answer("myapp.local", "NOERROR", 3600, ("10.43.0.1",)),
        Answer("kubernetes.default.svc.cluster.local", rcode, None, ()),
    )
    return Listing((), (), answers)


def ttls(without: Any, cached: Any) -> dict[str, Any]:
    return {"without cache": without, "with cache 30": cached}


def nslookup(address: str) -> str:
    return f"Server:\t\t10.100.0.10\n\nName:\tmyapp.local\nAddress: {address}\n"


class TestTheEntry:
    def test_untouched(self, lab: Lab, checkpoint: Check) -> None:
        lab()
        assert states(checkpoint("hosts-01").check()) == [N, N, N, N]

    def test_solved(self, lab: Lab, checkpoint: Check) -> None:
        lab(SOLVED, backup=UNTOUCHED)
        assert states(checkpoint("hosts-01").require()) == [P, P, P, P]

    @pytest.mark.parametrize("key", [".", "dns://.:53", "example.org:53 .:53"])
    def test_other_ways_to_write_the_server_block(
        self, key: str, lab: Lab, checkpoint: Check
    ) -> None:
        lab(SOLVED.replace(".:53", key, 1), backup=UNTOUCHED)
        assert checkpoint("hosts-01").check().state is P

    @pytest.mark.parametrize(
        "corefile",
        [
            SOLVED + "app.local:53 otherapp.local {\n    errors\n}\n",
            SOLVED + "myapp.local:1053 tls://myapp.local {\n    errors\n}\n",
            SOLVED.replace("errors", "rewrite name other.local myapp.local"),
            SOLVED.replace("errors", "rewrite type ANY HINFO"),
            SOLVED.replace("hosts {", "hosts /etc/hosts . {"),
            SOLVED.replace("hosts {", "hosts /etc/hosts {"),
            SOLVED.replace("hosts {", "hosts /etc/hosts example.org local {"),
        ],
    )
    def test_what_leaves_the_name_alone(self, corefile: str, lab: Lab, checkpoint: Check) -> None:
        lab(corefile, backup=UNTOUCHED)
        assert states(checkpoint("hosts-01").check(wait=False)) == [P, P, P, P]

    @pytest.mark.parametrize(
        ("corefile", "number", "reason"),
        [
            (SOLVED.replace("10.43.0.1", "10.34.0.1"), 1, "myapp.local is 10.34.0.1"),
            (SOLVED.replace("myapp.local", "myap.local"), 1, "has no line for myapp.local"),
            (
                SOLVED.replace("10.43.0.1 myapp.local", "myapp.local 10.43.0.1"),
                1,
                "a line starts with myapp.local",
            ),
            (
                SOLVED.replace("fallthrough", "10.0.0.9 myapp.local\n fallthrough"),
                1,
                "myapp.local is 10.43.0.1 and 10.0.0.9",
            ),
            (
                UNTOUCHED + "example.org:53 {\n" + HOSTS + "}\n",
                1,
                "is in the server block example.org:53",
            ),
            (
                UNTOUCHED + HOSTS,
                1,
                "a block hosts is outside the server blocks, so CoreDNS reads it as a server block",
            ),
            (
                SOLVED.replace("hosts {", "host {"),
                1,
                "the server block .:53 has a plugin host, which CoreDNS does not know",
            ),
            (
                SOLVED.replace("hosts {", "entries {"),
                1,
                "the server block .:53 has a plugin entries, which CoreDNS does not know",
            ),
            (
                UNTOUCHED.replace("reload", "reload\n    10.43.0.1 myapp.local"),
                1,
                "the server block .:53 has a plugin 10.43.0.1, which CoreDNS does not know",
            ),
            (UNCLOSED, 1, "the server block .:53 is not closed"),
            (
                SOLVED + "myapp.local:53 {\n    forward . /etc/resolv.conf\n}\n",
                1,
                "the server block myapp.local:53 answers for myapp.local instead",
            ),
            (
                SOLVED + "dns://local. {\n    errors\n}\n",
                1,
                "the server block dns://local. answers for myapp.local instead",
            ),
            (
                SOLVED.replace("errors", "rewrite name myapp.local other.local"),
                1,
                "rewrite gives myapp.local another name before hosts sees it",
            ),
            (
                SOLVED.replace("errors", "rewrite stop {\n name regex (.*)\\.local\\. {1}.x\n }"),
                1,
                "rewrite gives myapp.local another name",
            ),
            (
                SOLVED.replace("hosts {", "hosts /etc/hosts example.org {"),
                1,
                "hosts answers only for example.org",
            ),
            (SOLVED.replace("    fallthrough\n", ""), 2, "has no line fallthrough"),
            (SOLVED.replace("fallthrough", "fallthrough a.test"), 2, "only names in a.test go on"),
            (
                SOLVED.replace("fallthrough", "").replace("hosts {", "hosts {\n fallthrough"),
                2,
                "an entry is after fallthrough",
            ),
        ],
    )
    def test_wrong(
        self, corefile: str, number: int, reason: str, lab: Lab, checkpoint: Check
    ) -> None:
        lab(corefile, runs=UNTOUCHED, backup=UNTOUCHED)
        result = checkpoint("hosts-01").check()
        assert (result.state, result.outcomes[number].state) == (F, F)
        assert reason in seen(result, number)

    @pytest.mark.parametrize(
        "corefile",
        [
            # A CoreDNS built with other plugins, and names that have nothing to do with the lab.
            UNTOUCHED.replace("errors", "k8s_gateway example.org"),
            UNTOUCHED.replace("errors", "rewrite name myapp.local other.local"),
        ],
    )
    def test_what_was_not_meant_to_be_hosts_is_no_failure(
        self, corefile: str, lab: Lab, checkpoint: Check
    ) -> None:
        lab(corefile)
        assert states(checkpoint("hosts-01").check())[1:] == [N, N, N]

    @pytest.mark.parametrize(
        "corefile",
        [
            SOLVED.replace("hosts {", "host {"),
            UNTOUCHED + "example.org:53 {\n    errors\n" + HOSTS + "}\n",
            UNTOUCHED + "myapp.local:53 {\n" + HOSTS + "}\n",
            UNTOUCHED + "myapp.local:53 {\n    errors\n" + HOSTS + "}\n",
            UNTOUCHED + HOSTS,
            SOLVED + "myapp.local:53 {\n    forward . /etc/resolv.conf\n}\n",
            SOLVED.replace("errors", "rewrite name myapp.local other.local"),
            SOLVED.replace("hosts {", "hosts /etc/hosts example.org {"),
            UNCLOSED,
        ],
    )
    def test_what_stands_wrong_is_repaired_by_the_next_step(
        self, corefile: str, api: FakeApi, lab: Lab, checkpoint: Check
    ) -> None:
        api.refuse = lambda _: None
        lab(corefile, runs=UNTOUCHED, backup=UNTOUCHED)
        step = checkpoint("hosts-01").check(wait=False).outcomes[1].observation.next_step
        code = step.partition(":\n")[2]
        exec(code, {"cluster": connect("context:lab"), "coredns": coredns})
        mended = api.objects[CONFIGMAP]["data"]["Corefile"]
        lab(mended)
        assert checkpoint("hosts-01").check().state is P
        # No server block is left that answers for the name with nothing.
        keys = [key for block in read_corefile(mended).blocks for key in block.keys]
        assert "myapp.local:53" not in keys

    @pytest.mark.parametrize("key", [".:53", "dns://."])
    @pytest.mark.parametrize(
        "change",
        [
            lambda text: text.replace("10.43.0.1", "10.34.0.1"),
            lambda text: text.replace("10.43.0.1 myapp.local", "10.43.0.1 also.local"),
            lambda text: text.replace("10.43.0.1 myapp.local", "myapp.local 10.43.0.1"),
            lambda text: text.replace("10.43.0.1 my", "10.43.0.9 myapp.local\n 10.43.0.1 my"),
            lambda text: text.replace("        fallthrough\n", ""),
            lambda text: text.replace("fallthrough", "fallthrough a.test"),
            lambda text: text.replace("hosts {", "hosts {\n fallthrough"),
            lambda text: text.replace("hosts {", "hosts /etc/hosts example.org {"),
            lambda text: text.replace("hosts {", "host {"),
            lambda text: UNTOUCHED + "example.org:53 {\n    log\n" + _MINE + "}\n",
            lambda text: UNTOUCHED + "myapp.local:53 {\n    log\n" + _MINE + "}\n",
            lambda text: UNTOUCHED + "myapp.local:53 {\n" + _MINE + "}\n",
            lambda text: UNTOUCHED + _MINE,
            lambda text: text + "myapp.local:53 {\n    log # {\n}\n",
        ],
    )
    def test_no_step_removes_what_the_learner_wrote(
        self, change: Callable[[str], str], key: str, api: FakeApi, lab: Lab, checkpoint: Check
    ) -> None:
        api.refuse = lambda _: None
        before = change(add_plugin(UNTOUCHED, _MINE)).replace(".:53", key, 1)
        lab(before, runs=UNTOUCHED, backup=UNTOUCHED)
        outcomes = checkpoint("hosts-01").check(wait=False).outcomes
        wrong = next(one.observation for one in outcomes if one.state is F)
        code = wrong.next_step.partition(":\n")[2]
        exec(code, {"cluster": connect("context:lab"), "coredns": coredns})
        after = api.objects[CONFIGMAP]["data"]["Corefile"]
        lab(after)
        assert states(checkpoint("hosts-01").check())[1:] == [P, P, P]
        for words in ("10.0.0.7 mine.local # for the printer", "# by Kim", "ttl 60"):
            assert words in after
        assert {"log", "also.local"} & set(before.split()) <= set(after.split())

    def test_the_block_in_a_snippet_is_the_learners_to_move(
        self, lab: Lab, checkpoint: Check
    ) -> None:
        lab(f"(mine) {{\n{HOSTS}}}\n" + UNTOUCHED.replace("errors", "import mine"))
        told = checkpoint("hosts-01").check().outcomes[1].observation
        assert (told.state, told.observed) == (F, "the block hosts comes from the snippet mine")
        assert 'text.replace("<THE WRONG WORDS>"' in told.next_step

    def test_a_file_that_may_hold_the_block_is_named(self, lab: Lab, checkpoint: Check) -> None:
        lab()
        text = UNTOUCHED.replace("errors", "import custom/*.override")
        lab(text, runs=UNTOUCHED)
        told = checkpoint("hosts-01").check().outcomes[1].observation
        assert told.state is N
        assert told.observed == (
            "the Corefile has no block hosts, and what custom/*.override holds cannot be seen"
        )

    def test_a_backup_with_the_entry_leads_back_too(self, lab: Lab, checkpoint: Check) -> None:
        lab(UNCLOSED, runs=UNTOUCHED, backup=SOLVED)
        step = checkpoint("hosts-01").check(wait=False).outcomes[1].observation.next_step
        assert "restore the backup, without the changes made since, and start again" in step

    @pytest.mark.parametrize("backup", ["", UNCLOSED])
    def test_what_only_the_learner_can_write_is_marked(
        self, backup: str, lab: Lab, checkpoint: Check
    ) -> None:
        lab(UNCLOSED, runs=UNTOUCHED, backup=backup)
        step = checkpoint("hosts-01").check(wait=False).outcomes[1].observation.next_step
        assert "replace the words in < >" in step
        assert 'text.replace("<THE WRONG WORDS>", "<THE RIGHT ONES>")' in step
        assert 'print(cluster.get("configmap/coredns"' in step

    def test_what_coredns_says_of_another_plugins_line_is_told(
        self, api: FakeApi, lab: Lab, checkpoint: Check
    ) -> None:
        lab(SOLVED.replace("errors", "health bad"), runs=SOLVED, backup=UNTOUCHED)
        lame = "plugin/health: unable to parse lameduck duration value: 'five'"
        api.logs[f"{PODS}/coredns-a"] += f"[ERROR] Restart failed: {lame}\n"
        api.logs[f"{PODS}/coredns-b"] = f"{lame}\n"
        crashing = [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]
        labels = {"labels": {"k8s-app": "kube-dns"}}
        status = {"containerStatuses": crashing}
        api.put(f"{PODS}/coredns-b", {"metadata": labels, "status": status})
        told = checkpoint("hosts-01").check(wait=False).outcomes[3].observation
        assert told.observed == (
            "0 of 2 CoreDNS pods run the Corefile of the ConfigMap, 1 in CrashLoopBackOff; "
            f"one refused a Corefile: {lame}"
        )
        assert "logs -l k8s-app=kube-dns" in told.next_step
        assert 'cluster.restore("coredns", "kube-system")' in told.next_step
        assert "rollout_restart" not in told.next_step

    @pytest.mark.parametrize(
        ("made", "logs", "retryable"),
        [
            ("2026-01-01T00:00:09Z", "plugin/health: bad value\n", False),
            # It may have had the text of before.
            ("2026-01-01T00:00:05Z", "plugin/health: bad value\n", True),
            # It crashes for another reason.
            ("2026-01-01T00:00:09Z", "panic\n", True),
        ],
    )
    def test_the_wait_ends_where_a_pod_can_have_refused_no_other_text(
        self, made: str, logs: str, retryable: bool, api: FakeApi, lab: Lab, checkpoint: Check
    ) -> None:
        lab(SOLVED, runs=UNTOUCHED, backup=UNTOUCHED)
        times = [{"time": "2026-01-01T00:00:01Z"}, {"time": "2026-01-01T00:00:05Z"}, {}]
        fields = {"metadata": {"managedFields": times}, "data": {"Corefile": SOLVED}}
        api.put(CONFIGMAP, fields)
        metadata = {"labels": {"k8s-app": "kube-dns"}, "creationTimestamp": made}
        crashing = [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]
        status = {"containerStatuses": crashing}
        api.put(f"{PODS}/coredns-c", {"metadata": metadata, "status": status})
        api.logs[f"{PODS}/coredns-c"] = logs
        told = checkpoint("hosts-01").check(wait=False).outcomes[3].observation
        assert (told.state, told.retryable) == (F, retryable)
        assert "1 in CrashLoopBackOff" in told.observed

    def test_a_pod_that_runs_something_else(
        self, api: FakeApi, lab: Lab, checkpoint: Check
    ) -> None:
        lab(SOLVED, backup=UNTOUCHED)
        old = f"Running configuration SHA512 = {configuration_hash(UNTOUCHED)}\n"
        refuses = "x:7 - Error during parsing: unknown property 'ttl'\n"
        api.logs[f"{PODS}/coredns-b"] = old + refuses
        result = checkpoint("hosts-01").check(wait=False)
        assert states(result) == [P, P, P, F]
        assert seen(result, 3) == (
            "1 of 2 CoreDNS pods run the Corefile of the ConfigMap; "
            "one refused a Corefile: line 7: unknown property 'ttl'"
        )
        del api.logs[f"{PODS}/coredns-b"]
        assert seen(checkpoint("hosts-01").check(wait=False), 3).startswith("1 of 2")

    def test_a_corefile_that_each_pod_has_refused_is_not_waited_for(
        self, api: FakeApi, lab: Lab, checkpoint: Check
    ) -> None:
        lab(SOLVED.replace("errors", "erors"), runs=UNTOUCHED, backup=UNTOUCHED)
        refuses = "[ERROR] Restart failed: x:2 - Error during parsing: Unknown directive 'erors'\n"
        for name in ("coredns-a", "coredns-b"):
            api.logs[f"{PODS}/{name}"] += refuses
        began = time.monotonic()
        result = checkpoint("hosts-01").check()
        assert states(result) == [P, P, P, F]
        assert "CoreDNS refused it: line 2: Unknown directive 'erors'" in seen(result, 3)
        assert time.monotonic() - began < 10

    def test_a_pod_that_is_being_taken_away_does_not_count(
        self, api: FakeApi, lab: Lab, checkpoint: Check
    ) -> None:
        lab(SOLVED, backup=UNTOUCHED)
        terminating = {"labels": {"k8s-app": "kube-dns"}, "deletionTimestamp": "now"}
        api.put(f"{PODS}/coredns-old", {"metadata": terminating})
        assert checkpoint("hosts-01").check().state is P

    def test_a_backup_from_after_the_edit(self, lab: Lab, checkpoint: Check) -> None:
        lab(SOLVED, backup=SOLVED)
        result = checkpoint("hosts-01").check()
        assert states(result) == [F, P, P, P]
        assert result.points == 5

    def test_each_next_step_leads_on(self, api: FakeApi, lab: Lab, checkpoint: Check) -> None:
        """Who edits first, and then does what each check says, gets there."""
        api.refuse = lambda _: None
        lab(add_plugin(UNTOUCHED, "hosts {\n fallthrough\n 10.43.0.1 myapp.local\n}"))
        result = checkpoint("hosts-01").check(wait=False)
        assert states(result) == [F, P, F, N]
        names: dict[str, Any] = {"cluster": connect("context:lab"), "coredns": coredns}
        exec(result.outcomes[0].observation.next_step.partition(":\n")[2], names)
        lab(api.objects[CONFIGMAP]["data"]["Corefile"])
        assert checkpoint("hosts-01").check().state is P

    def test_no_step_restarts_into_a_corefile_that_is_refused(
        self, lab: Lab, checkpoint: Check
    ) -> None:
        text = SOLVED.replace("fallthrough", "").replace("hosts {", "hosts {\n fallthrough")
        lab(text, runs=UNTOUCHED, backup=UNTOUCHED)
        assert "restart" not in repr(checkpoint("hosts-01").check(wait=False))

    def test_text_that_cannot_be_seen_is_no_failure(self, lab: Lab, checkpoint: Check) -> None:
        lab(SOLVED, backup=UNTOUCHED)
        lab("import others\n" + SOLVED, runs=SOLVED)
        assert states(checkpoint("hosts-01").check()) == [P, P, P, C]

    def test_without_reload_the_pods_do_not_tell(self, lab: Lab, checkpoint: Check) -> None:
        lab(SOLVED.replace("    reload\n", ""), backup=UNTOUCHED)
        assert states(checkpoint("hosts-01").check()) == [P, P, P, C]

    def test_a_configmap_without_corefile(self, api: FakeApi, lab: Lab, checkpoint: Check) -> None:
        lab()
        api.put(CONFIGMAP, {})
        assert checkpoint("hosts-01").check().state is N
        api.remove(CONFIGMAP)
        assert checkpoint("hosts-01").check().state is C


@pytest.mark.parametrize("status", [403, 429])
def test_logs_that_may_not_be_read_are_no_failure(
    status: int, api: FakeApi, lab: Lab, checkpoint: Check
) -> None:
    lab(BOTH, first=SOLVED, backup=UNTOUCHED)
    api.refuse = refusing("/log$", status)
    assert states(checkpoint("hosts-01").check()) == [P, P, P, C]
    assert states(checkpoint("hosts-03").check()) == [P, C]


class TestWhichPlugin:
    def test_untouched(self, lab: Lab, checkpoint: Check) -> None:
        lab()
        assert checkpoint("hosts-02").check("hosts", nslookup("10.43.0.1")).state is N

    def test_solved(self, lab: Lab, checkpoint: Check) -> None:
        lab(SOLVED)
        assert checkpoint("hosts-02").require("hosts", nslookup("10.43.0.1")).state is P

    @pytest.mark.parametrize(
        ("corefile", "prediction", "address", "reason"),
        [
            (SOLVED, "forward", "10.43.0.1", "hosts"),
            # The resolver behind forward knows the name too, and was asked first.
            (SOLVED, "hosts", "192.0.2.7", "forward"),
            (SOLVED.replace("10.43.0.1", "10.43.0.12"), "hosts", "10.43.0.12", "is 10.43.0.12"),
        ],
    )
    def test_wrong(
        self, corefile: str, prediction: str, address: str, reason: str, lab: Lab, checkpoint: Check
    ) -> None:
        lab(corefile)
        result = checkpoint("hosts-02").check(prediction, nslookup(address))
        assert result.state is F
        assert reason in seen(result, 0)

    @pytest.mark.parametrize(
        "answer",
        [
            "** server can't find myapp.local: NXDOMAIN\n",
            nslookup("10.43.0.1").replace("myapp.local", "nowhere.local"),
            "",
            "bla",
            ";; connection timed out; no servers could be reached\n",
        ],
        ids=["from before the edit", "another name", "empty", "anything", "timeout"],
    )
    @pytest.mark.parametrize("prediction", ["hosts", "forward"])
    def test_an_answer_that_tells_nothing_is_asked_for_again(
        self, prediction: str, answer: str, lab: Lab, checkpoint: Check
    ) -> None:
        lab(SOLVED)
        result = checkpoint("hosts-02").check(prediction, answer)
        assert result.state is N
        assert "nslookup myapp.local" in result.outcomes[0].observation.next_step

    @pytest.mark.parametrize(
        ("prediction", "said"), [("cache", "cache"), ("", "nothing"), (["hosts", "x"], "hosts x")]
    )
    def test_what_was_not_asked_for_is_no_failure(
        self, prediction: Any, said: str, lab: Lab, checkpoint: Check
    ) -> None:
        lab(SOLVED)
        result = checkpoint("hosts-02").check(prediction, nslookup("10.43.0.1"))
        told = result.outcomes[0].observation
        assert (result.state, told.predicted) == (N, said)
        assert told.expected == "hosts or forward"

    def test_no_answer_was_handed_in(self, lab: Lab, checkpoint: Check) -> None:
        lab(SOLVED)
        result = checkpoint("hosts-02").check("hosts")
        assert (result.state, seen(result, 0)) == (N, "no answer was passed to the check")


class TestTheReload:
    @pytest.mark.parametrize("corefile", [UNTOUCHED, SOLVED])
    def test_untouched(self, corefile: str, lab: Lab, checkpoint: Check) -> None:
        lab(corefile)
        assert states(checkpoint("hosts-03").check()) == [N, N]

    def test_solved(self, lab: Lab, checkpoint: Check) -> None:
        lab(BOTH, first=SOLVED)
        assert states(checkpoint("hosts-03").require()) == [P, P]

    @pytest.mark.parametrize(
        ("corefile", "fields", "expected", "reason"),
        [
            (BOTH, {}, [P, F], "2 of 2 CoreDNS pods started with this Corefile"),
            (BOTH, {"runs": SOLVED}, [P, F], "0 of 2 CoreDNS pods run the Corefile"),
            (
                SOLVED.replace("fallthrough", "10.0.0.9 www.myapp.local\n fallthrough"),
                {},
                [F, N],
                "www.myapp.local is 10.0.0.9",
            ),
            (
                UNTOUCHED.replace("reload", "hosts {\n 10.43.0.1 www.myapp.local\n}\n reload"),
                {},
                [F, N],
                "has no line for myapp.local",
            ),
            (
                BOTH.replace("fallthrough", "").replace("hosts {", "hosts {\n fallthrough"),
                {"runs": SOLVED},
                [F, N],
                "an entry is after fallthrough",
            ),
            (
                SOLVED.replace("fallthrough", "fallthrough\n 10.43.0.1 www.myapp.local"),
                {"runs": SOLVED},
                [F, N],
                "an entry is after fallthrough",
            ),
        ],
    )
    def test_wrong(
        self,
        corefile: str,
        fields: dict[str, str],
        expected: list[State],
        reason: str,
        lab: Lab,
        checkpoint: Check,
    ) -> None:
        lab(corefile, **fields)
        result = checkpoint("hosts-03").check(wait=False)
        assert states(result) == expected
        assert reason in seen(result, expected.index(F))

    @pytest.mark.parametrize("has", ["myapp.local", "www.myapp.local", "other.local"])
    def test_both_names_are_asked_for(self, has: str, lab: Lab, checkpoint: Check) -> None:
        lab(SOLVED.replace("myapp.local", has))
        told = checkpoint("hosts-03").check().outcomes[0].observation
        assert told.expected == "the line 10.43.0.1 myapp.local www.myapp.local"
        assert "10.43.0.1 myapp.local www.myapp.local" in told.next_step

    def test_each_needless_restart_is_told_a_name_that_is_not_there_yet(
        self, api: FakeApi, lab: Lab, checkpoint: Check
    ) -> None:
        api.refuse = lambda _: None
        text = BOTH
        for _ in range(3):
            lab(text)
            step = checkpoint("hosts-03").check(wait=False).outcomes[1].observation.next_step
            code = step.partition(":\n")[2]
            exec(code, {"cluster": connect("context:lab"), "coredns": coredns})
            before, text = text, api.objects[CONFIGMAP]["data"]["Corefile"]
            assert configuration_hash(text) != configuration_hash(before)
            lab(text, first=before)
            assert checkpoint("hosts-03").check(wait=False).state is P

    def test_a_misspelt_second_name_is_named(self, lab: Lab, checkpoint: Check) -> None:
        lab(BOTH.replace("www.", "ww."))
        result = checkpoint("hosts-03").check(wait=False)
        assert states(result) == [F, N]
        assert seen(result, 0) == (
            "besides myapp.local the block has ww.myapp.local, not www.myapp.local"
        )

    @pytest.mark.parametrize("option", ["ttl 60", "no_reverse", "reload 5s"])
    def test_settings_may_stand_after_fallthrough(
        self, option: str, lab: Lab, checkpoint: Check
    ) -> None:
        text = BOTH.replace("fallthrough", f"fallthrough\n {option}")
        lab(text, first=SOLVED)
        assert checkpoint("hosts-03").check().state is P


class TestTheTrials:
    @pytest.mark.parametrize(
        ("name", "prediction", "observed"),
        [
            ("hosts-04", "SERVFAIL", answered("SERVFAIL")),
            ("hosts-05", ttls(3600, "30s"), ttls(3600, 30)),
            ("hosts-05", [3600, 30], dict(reversed(ttls(3600, 30).items()))),
        ],
    )
    def test_both_ways(
        self, name: str, prediction: Any, observed: Any, lab: Lab, checkpoint: Check
    ) -> None:
        lab()
        assert checkpoint(name).check(prediction, observed).state is N
        lab(SOLVED)
        assert checkpoint(name).require(prediction, observed).state is P
        missing = checkpoint(name).check(prediction)
        assert (missing.state, seen(missing, 0)) == (
            N,
            "no answers of a trial were passed to the check",
        )

    @pytest.mark.parametrize(
        ("name", "prediction", "observed", "reason"),
        [
            ("hosts-04", "NXDOMAIN", answered("SERVFAIL"), "SERVFAIL"),
            ("hosts-05", ttls(3600, 3600), ttls(3600, 30), "with cache 30: 30"),
            ("hosts-05", ttls(30, 30), ttls(3600, 30), "without cache: 3600"),
            ("hosts-05", {"x": 30}, ttls(3600, 30), "your answer has no value for 'without cache'"),
        ],
    )
    def test_wrong(
        self,
        name: str,
        prediction: Any,
        observed: Any,
        reason: str,
        lab: Lab,
        checkpoint: Check,
    ) -> None:
        lab(SOLVED)
        result = checkpoint(name).check(prediction, observed)
        assert (result.state, seen(result, 0)) == (F, reason)

    @pytest.mark.parametrize("code", ["NOERROR", "NXDOMAIN"])
    @pytest.mark.parametrize("prediction", ["NOERROR", "NXDOMAIN", "SERVFAIL"])
    def test_a_trial_with_fallthrough_passes_with_no_prediction(
        self, prediction: str, code: str, lab: Lab, checkpoint: Check
    ) -> None:
        lab(SOLVED)
        result = checkpoint("hosts-04").check(prediction, answered(code))
        told = result.outcomes[0].observation
        assert (result.state, told.expected) == (F, "a trial without `fallthrough`")
        assert told.observed.startswith(
            f"the trial passed to the check gave {code} for kubernetes."
        )
        assert "broken = coredns.try_corefile(cluster, without" in told.next_step

    @pytest.mark.parametrize("number", [0, 1])
    def test_a_trial_shows_a_name_of_its_block_and_another(
        self, number: int, lab: Lab, checkpoint: Check
    ) -> None:
        lab(SOLVED)
        result = checkpoint("hosts-04").check("SERVFAIL", [answered("SERVFAIL")[number]])
        assert result.state is N
        assert ("gave no address for", "no name but")[1 - number] in seen(result, 0)

    def test_the_names_that_a_trial_needs_are_told(self, lab: Lab, checkpoint: Check) -> None:
        lab(SOLVED)
        trial = answered("SERVFAIL").items[:1]
        told = checkpoint("hosts-04").check("SERVFAIL", trial).outcomes[0].observation
        assert told.expected == (
            "what coredns.try_corefile returned for myapp.local and for a name that is not in its "
            "block, such as kubernetes.default.svc.cluster.local"
        )

    def test_what_the_trials_returned_may_be_handed_in_as_it_is(
        self, lab: Lab, checkpoint: Check
    ) -> None:
        lab(SOLVED)
        first, second = (
            Answer("myapp.local", "NOERROR", ttl, ("10.43.0.1",)) for ttl in (3600, 30)
        )
        for observed in (
            ttls(Listing((), (), (first,)), Listing((), (), (second,))),
            ttls(first, second),
        ):
            assert checkpoint("hosts-05").require(ttls(3600, 30), observed).state is P
        other = ttls(replace(first, name="example.com"), second)
        result = checkpoint("hosts-05").check(ttls(3600, 30), other)
        assert (result.state, seen(result, 0)) == (N, "the trial without cache gave no record")

    @pytest.mark.parametrize("name", ["hosts-02", "hosts-04", "hosts-05"])
    def test_the_printed_form_costs_nothing(self, name: str, lab: Lab, checkpoint: Check) -> None:
        lab(SOLVED)
        form = checkpoint(name).definition.criteria[0].form  # type: ignore[union-attr]
        names: dict[str, Any] = {}
        exec(form, names)
        observed = {
            "hosts-02": nslookup("10.43.0.1"),
            "hosts-04": answered("SERVFAIL"),
            "hosts-05": ttls(3600, 30),
        }
        result = checkpoint(name).check(names["prediction"], observed[name])
        told = result.outcomes[0].observation
        assert (result.state, told.observed) == (N, "the prediction is still empty")
        assert told.next_step.endswith(f"; its form:\n{form}")

    def test_a_bare_number_is_told_that_two_are_asked_for(
        self, lab: Lab, checkpoint: Check
    ) -> None:
        lab(SOLVED)
        result = checkpoint("hosts-05").check(30, ttls(3600, 30))
        told = result.outcomes[0].observation
        assert (result.state, told.expected) == (
            N, "a dict with the keys 'without cache' and 'with cache 30'",
        )  # fmt: skip
        assert 'prediction = {"without cache": "…", "with cache 30": "…"}' in told.next_step

    @pytest.mark.parametrize("name", ["hosts-02", "hosts-05"])
    def test_a_wrong_prediction_is_told_where_to_look(
        self, name: str, lab: Lab, checkpoint: Check
    ) -> None:
        lab(SOLVED)
        handed_in = {
            "hosts-02": ("forward", nslookup("10.43.0.1")),
            "hosts-05": (ttls(1, 1), ttls(3600, 30)),
        }
        told = checkpoint(name).check(*handed_in[name]).outcomes[0].observation
        assert told.next_step.startswith(f'eksnet.checkpoint("{name}").hint() says where to look')

    def test_names_are_compared_as_dns_does(self, lab: Lab, checkpoint: Check) -> None:
        lab(SOLVED)
        trial = [replace(one, name=f"{one.name.upper()}.") for one in answered("SERVFAIL")]
        assert checkpoint("hosts-04").require("servfail", trial).state is P

    @pytest.mark.parametrize(
        ("name", "observed"),
        [
            ("hosts-05", {}),
            ("hosts-05", {"a": 1}),
            ("hosts-05", [3600, 30]),
            ("hosts-05", 3600),
            ("hosts-05", ttls(3600, None)),
            ("hosts-05", ttls(0, 0)),
            ("hosts-05", ttls(30, 30)),
            ("hosts-05", ttls(3600, 3600)),
            ("hosts-05", ttls(3600, "30")),
            ("hosts-04", 3),
            ("hosts-04", "SERVFAIL"),
            ("hosts-04", ["SERVFAIL"]),
            ("hosts-04", object),
            ("hosts-04", []),
            ("hosts-04", answered("SERVFAIL").items[:1]),
        ],
        ids=repr,
    )
    def test_what_no_trial_gave_is_asked_for(
        self, name: str, observed: Any, lab: Lab, checkpoint: Check
    ) -> None:
        lab(SOLVED)
        prediction = observed if name == "hosts-05" else "SERVFAIL"
        result = checkpoint(name).check(prediction, observed)
        assert result.state is N
        assert f'checkpoint("{name}").check(' in result.outcomes[0].observation.next_step

    @pytest.mark.parametrize(
        ("corefile", "reason"),
        [
            (UNTOUCHED + "a:53 {\n" + HOSTS + "}\n", "is in the server block a:53"),
            (UNCLOSED, "the server block .:53 is not closed"),
        ],
    )
    @pytest.mark.parametrize("name", ["hosts-02", "hosts-04", "hosts-05"])
    def test_right_predictions_on_a_wrong_cluster(
        self, name: str, corefile: str, reason: str, lab: Lab, checkpoint: Check
    ) -> None:
        lab(corefile, runs=UNTOUCHED)
        handed_in = {
            "hosts-02": ("hosts", nslookup("10.43.0.1")),
            "hosts-04": ("SERVFAIL", answered("SERVFAIL")),
            "hosts-05": (ttls(3600, 30), ttls(3600, 30)),
        }
        result = checkpoint(name).check(*handed_in[name])
        assert result.state is F
        assert reason in seen(result, 0)

    @pytest.mark.parametrize("name", ["hosts-04", "hosts-05"])
    def test_the_cluster_has_to_be_the_labs(self, name: str, lab: Lab, checkpoint: Check) -> None:
        lab(UNTOUCHED + "a:53 {\n" + HOSTS + "}\n")
        observed = answered("SERVFAIL") if name == "hosts-04" else {"x": 1}
        result = checkpoint(name).check("SERVFAIL", observed)
        assert (result.state, seen(result, 0)) == (
            F, "the block hosts is in the server block a:53",
        )  # fmt: skip


class TestEverythingAsItWas:
    def test_untouched(self, lab: Lab, checkpoint: Check) -> None:
        lab()
        result = checkpoint("hosts-06").check()
        assert states(result) == [N, N]
        assert seen(result, 0) == "there was no backup"

    def test_before_the_restore(self, lab: Lab, checkpoint: Check) -> None:
        lab(SOLVED, backup=UNTOUCHED)
        result = checkpoint("hosts-06").check()
        assert states(result) == [N, N]
        assert seen(result, 0) == "the backup is not restored yet"

    def test_a_block_that_was_taken_out_by_hand(self, lab: Lab, checkpoint: Check) -> None:
        lab(UNTOUCHED, backup=UNTOUCHED)
        told = checkpoint("hosts-06").check().outcomes[0].observation
        assert told.observed == (
            "the Corefile is already the one in the backup, but the backup is not restored yet"
        )
        assert told.expected == "the backup restored: until then no new backup is made"
        assert told.next_step == 'cluster.restore("coredns", "kube-system")'

    def test_a_pod_that_crashes_after_the_restore(
        self, api: FakeApi, lab: Lab, checkpoint: Check
    ) -> None:
        self.restore(api, lab)
        lab(UNTOUCHED)
        api.logs[f"{PODS}/coredns-b"] = "plugin/health: bad value\n"
        crashing = [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]
        labels = {"labels": {"k8s-app": "kube-dns"}}
        status = {"containerStatuses": crashing}
        api.put(f"{PODS}/coredns-b", {"metadata": labels, "status": status})
        told = checkpoint("hosts-06").check(wait=False).outcomes[1].observation
        assert "1 in CrashLoopBackOff; one refused a Corefile: plugin/health" in told.observed
        assert told.next_step.endswith(
            'cluster.rollout_restart("deployment/coredns", "kube-system")'
        )

    def restore(self, api: FakeApi, lab: Lab) -> None:
        lab(SOLVED, backup=UNTOUCHED)
        refuse, api.refuse = api.refuse, lambda _: None
        connect("context:lab").restore("coredns", "kube-system")
        api.refuse = refuse

    def test_solved(self, api: FakeApi, lab: Lab, checkpoint: Check) -> None:
        self.restore(api, lab)
        lab(UNTOUCHED)
        assert states(checkpoint("hosts-06").require()) == [P, P]

    def test_pods_that_run_the_old_text(self, api: FakeApi, lab: Lab, checkpoint: Check) -> None:
        self.restore(api, lab)
        result = checkpoint("hosts-06").check(wait=False)
        assert states(result) == [P, F]
        assert seen(result, 1) == "0 of 2 CoreDNS pods run the Corefile of the ConfigMap"

    def test_a_change_after_the_restore(self, api: FakeApi, lab: Lab, checkpoint: Check) -> None:
        self.restore(api, lab)
        lab(BOTH)
        result = checkpoint("hosts-06").check()
        assert states(result) == [F, N]
        assert seen(result, 0) == "the Corefile was changed after the restore"
