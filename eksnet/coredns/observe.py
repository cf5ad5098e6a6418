"""What CoreDNS really does on a live cluster: answers with their TTL, reloads, and walks."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from eksnet.cluster.countdown import until
from eksnet.coredns.configuration import logged_configurations, refusal, running
from eksnet.coredns.installed import (
    BASH_IMAGE,
    CONFIGMAP,
    SYSTEM,
    all_pods,
    log_if_any,
    log_of,
    logs_of_all,
    pods_not_terminating,
)
from eksnet.coredns.querylog import LoggedQuery, observed_walk, parse_query_log
from eksnet.coredns.resolvers import program_of
from eksnet.coredns.transport import Answer, Query, command, queries_for, read_answers
from eksnet.dns.records import Record
from eksnet.dns.resolvconf import ResolvConf
from eksnet.dns.walk import Walk, check_asked, check_name, search_walk
from eksnet.errors import EksnetError
from eksnet.listing import Listing

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

_POLL = 0.5
_START_SECONDS = 60
# On EKS, CoreDNS keeps a record of the cluster for 5 s, and its denial, too; each look takes a pod.
_HEARD = 15
# The names that mark a walk's beginning and its end.
_MARK = re.compile(r"mark-[0-9a-f]{8}")


def ask(cluster: Cluster, *names: str, rdtype: str = "A", server: str = "") -> Listing[Answer]:
    """Ask the cluster's DNS from a pod, one name after the other, and read the whole answers.

    The queries are made and the answers read here; a pod of its own carries the packets, to the
    nameserver of its resolv.conf if no other is named. Names are asked as they are, never along a
    search list.

    Args:
        cluster: The cluster.
        names: The names, asked in this order.
        rdtype: The record type.
        server: Another server to ask, as ADDRESS/PORT.

    Raises:
        EksnetError: A name or the type cannot be asked, or a query got no answer within six
            seconds.
    """
    queries = queries_for(names, rdtype, server)
    run = cluster.run(BASH_IMAGE, command(queries))
    return read_answers(queries, run.output)


def wait_until_forgotten(cluster: Cluster, name: str, timeout: float = 150) -> Answer:
    """Ask until the cluster's DNS has no record of a name any more, and return that answer.

    A cache may keep an answer for as long as its TTL after the record is gone.

    Args:
        cluster: The cluster.
        name: The name.
        timeout: How long at most, in seconds.

    Raises:
        EksnetError: It still has one, or the name cannot be asked.
    """
    answers: list[Answer] = []

    def forgotten() -> bool:
        answers[:] = ask(cluster, name)
        return not answers[0].found

    if not until(f"the DNS to forget {name}", forgotten, timeout, _POLL):
        raise EksnetError(
            f"after {timeout:g} s, {name} still has a record: {', '.join(answers[0].rdata)}",
            "an answer without a record",
            f'coredns.ask(cluster, "{name}")[0].ttl says how long it may be kept',
        )
    return answers[0]


def ask_each(
    asked: Iterable[tuple[str, str]], run: Callable[[list[str]], str], server: str = ""
) -> dict[tuple[str, str], Answer]:
    """Ask for names and types at once, in one run of the command, each name as it is.

    Args:
        asked: Names, as `Query` has them, and record types.
        run: Runs the command in a pod and returns what it printed.
        server: Another server than that of the pod's resolv.conf, as ADDRESS/PORT.

    Raises:
        EksnetError: As `ask` does.
    """
    queries = [Query(name, rdtype, server=server) for name, rdtype in dict.fromkeys(asked)]
    output = run(command(queries, together=True)) if queries else ""
    answers = read_answers(queries, output)
    return {(query.name, query.rdtype): one for query, one in zip(queries, answers, strict=True)}


def running_configurations(cluster: Cluster) -> dict[str, str]:
    """Return, for each CoreDNS pod, the SHA-512 of the configuration that it says it runs.

    The plugin `reload` logs it at the start and after each change. A pod that is only just starting
    is waited for.

    Args:
        cluster: The cluster.

    Raises:
        EksnetError: A pod's container has not started in time.
    """
    found: dict[str, str | None] = {}

    def all_tell() -> bool:
        found.clear()
        pods = pods_not_terminating(cluster)
        found.update({pod.name: log_if_any(cluster, pod.name) for pod in pods})
        return None not in found.values()

    if not until("the CoreDNS pods to start", all_tell, _START_SECONDS):
        silent = ", ".join(sorted(name for name, log in found.items() if log is None))
        raise EksnetError(
            f"after {_START_SECONDS} s {silent} has no log: its container has not started",
            "a log of every CoreDNS pod",
            "eksnet kubectl -n kube-system describe pods -l k8s-app=kube-dns",
        )
    return {name: _last_configuration(log or "") for name, log in found.items()}


def _last_configuration(log: str) -> str:
    hashes = logged_configurations(log)
    return hashes[-1] if hashes else ""


def wait_for_reload(cluster: Cluster, before: dict[str, str], timeout: float = 150) -> None:
    """Wait until every CoreDNS pod runs the Corefile of the ConfigMap, without a restart.

    Run again after the reload it waits for nothing.

    Args:
        cluster: The cluster.
        before: What `running_configurations` returned before the change.
        timeout: How long at most, in seconds: the kubelet brings the ConfigMap within a minute or
            so, `reload` looks every 22.5 to 37.5 s.

    Raises:
        EksnetError: Not all run it in time, CoreDNS has refused it, or a pod is not one of those
            from before.
    """
    corefile = str((cluster.get("configmap", CONFIGMAP, SYSTEM).get("data") or {}).get("Corefile"))
    last: dict[str, str] = {}

    def all_run_it() -> bool:
        logs = {pod.name: log_of(cluster, pod.name) for pod in pods_not_terminating(cluster)}
        if logs.keys() != before.keys():
            raise EksnetError(
                "the CoreDNS pods are new: they were restarted, not reloaded",
                f"the pods {', '.join(sorted(before))}",
                "call `running_configurations` again and repeat the change",
            )
        last.update({name: _last_configuration(log) for name, log in logs.items()})
        return _all_run(corefile, list(logs.values()), last, before)

    _wait("CoreDNS to reload", all_run_it, timeout)
    if last == before:
        print(f"{len(last)} CoreDNS pods run the Corefile of the ConfigMap: unchanged")
    else:
        print(f"{len(last)} CoreDNS pods reloaded and run the same configuration")


def wait_for_configuration(
    cluster: Cluster, pod: str, namespace: str, timeout: float = 150
) -> None:
    """Wait until a CoreDNS of the course's own runs the Corefile of its ConfigMap, by its log.

    Args:
        cluster: The cluster.
        pod: The pod, whose ConfigMap has the same name; see `start_server`.
        namespace: Its namespace.
        timeout: How long at most, in seconds; see `wait_for_reload`.

    Raises:
        EksnetError: It does not run it in time, or has refused it.
    """
    data = cluster.get("configmap", pod, namespace).get("data") or {}
    corefile = str(data.get("Corefile"))

    def runs_it() -> bool:
        found = running(corefile, [log_of(cluster, pod, namespace)])
        if found.refused and not found.current:
            raise EksnetError(
                f"CoreDNS refused the Corefile: {found.refused}",
                "a Corefile that CoreDNS accepts",
                "fix the ConfigMap; the pod runs the previous Corefile until it restarts",
            )
        return found.current == found.total

    _wait(f"{pod} to run the Corefile of its ConfigMap", runs_it, timeout)
    print(f"{pod} runs the Corefile of its ConfigMap")


def wait_for_refusal(cluster: Cluster, timeout: float = 150) -> None:
    """Wait until every CoreDNS pod has seen a Corefile that it does not take.

    Args:
        cluster: The cluster.
        timeout: How long at most, in seconds; see `wait_for_reload`.

    Raises:
        EksnetError: Not all of them have refused one in time.
    """

    def all_refused() -> bool:
        logs = logs_of_all(cluster)
        return bool(logs) and all(map(refusal, logs))

    _wait("CoreDNS to refuse the Corefile", all_refused, timeout)
    print(f"{len(logs_of_all(cluster))} CoreDNS pods refused it and run the Corefile from before")


def _all_run(
    corefile: str, logs: Sequence[str], now: dict[str, str], before: dict[str, str]
) -> bool:
    """Tell whether every pod runs a Corefile, by its hash.

    Raises:
        EksnetError: It was refused for good.
    """
    try:
        found = running(corefile, logs)
    except EksnetError:
        # It takes text from elsewhere: then another configuration, the same in all, has to do.
        return len(set(now.values())) == 1 and all(now[pod] != before[pod] for pod in now)
    if found.final:
        raise EksnetError(
            f"CoreDNS refused the Corefile: {found.refused}",
            "a Corefile that CoreDNS accepts",
            "fix the ConfigMap; the pods run the previous Corefile until they restart",
        )
    return found.current == found.total


def wait_for_restart(cluster: Cluster, before: Collection[str], timeout: float = 120) -> None:
    """Wait until none of the CoreDNS pods from before a restart is left.

    A rollout is done as soon as the new pods are ready. The old ones still answer then, for the
    seconds of `lameduck` and until kube-proxy has taken them out on every node.

    Args:
        cluster: The cluster.
        before: The names of the pods from before, such as `running_configurations` returns.
        timeout: How long at most, in seconds.

    Raises:
        EksnetError: Some were still there.
    """

    def all_gone() -> bool:
        return not {pod.name for pod in all_pods(cluster)} & set(before)

    _wait("the old CoreDNS pods to exit", all_gone, timeout)
    print(f"{len(before)} old CoreDNS pods have exited")


def witness_walk(
    cluster: Cluster,
    pod: str,
    name: str,
    namespace: str,
    *,
    profile: str = "glibc",
    witness: str = "witness",
    witness_namespace: str = "witness",
) -> Walk:
    """Look a name up in a pod whose nameserver is the witness, and return what was asked.

    Before and after it, a name that nothing else uses is looked up as a mark: once the witness has
    logged all its queries, all before them counts as logged. A line is written after its answer has
    been sent, and so perhaps after the lookup's end.

    Args:
        cluster: The cluster.
        pod: The pod that looks up; no other may use the witness meanwhile.
        name: The name, as a program would give it.
        namespace: The pod's namespace.
        profile: The resolver that looks up; the pod's image has to have its program: Debian for
            glibc (`getent ahosts`), Alpine for musl (the same), agnhost for go (`connect`), busybox
            for its own `nslookup`.
        witness: The pod that runs the witness's CoreDNS, with the plugin `log`.
        witness_namespace: Its namespace.

    Raises:
        EksnetError: The witness did not log the lookup within 30 seconds; there is no such
            resolver, or the name is none that can be asked.
    """
    program = program_of(profile)
    check_name(name)
    conf = _options_of(cluster, pod, namespace)

    def logged_to_a_mark() -> list[LoggedQuery]:
        mark = f"mark-{secrets.token_hex(4)}"
        marking = {
            (one.name, one.rdtype) for one in search_walk(f"{mark}.", conf, (), profile).questions
        }
        cluster.exec(pod, program.command(f"{mark}."), namespace)
        logged: list[LoggedQuery] = []

        def has_all() -> bool:
            logged[:] = parse_query_log(cluster.logs(witness, witness_namespace))
            return {(one.name, one.rdtype) for one in logged} >= marking

        _wait("the witness's log", has_all, 30)
        return logged

    before = logged_to_a_mark()
    done = cluster.exec(pod, program.command(name), namespace)
    logged = logged_to_a_mark()[len(before) :]
    # An earlier mark, too: a resolver that is answered late sends it again.
    asked = (one for one in logged if not _MARK.fullmatch(one.name))
    return observed_walk(asked, program.found(done))


def _options_of(cluster: Cluster, pod: str, namespace: str) -> ResolvConf:
    """Return the options that a pod's resolver was given: `no-aaaa` is one of them."""
    found = cluster.get("pod", pod, namespace)["spec"].get("dnsConfig") or {}
    options = found.get("options") or ()
    return ResolvConf(options=tuple(str(one.get("name")) for one in options))


def wait_for_answer(
    cluster: Cluster, pod: str, name: str, namespace: str, *, profile: str = "glibc"
) -> None:
    """Wait until a pod's resolver finds a name.

    A CoreDNS hears of a new pod from the API, perhaps after everybody else; once one with `pods
    verified` answers the pod's own record, it knows the pod.

    Args:
        cluster: The cluster.
        pod: The pod that looks up.
        name: The name, as a program would give it.
        namespace: The pod's namespace.
        profile: The resolver; see `witness_walk`.

    Raises:
        EksnetError: It was not found within 30 seconds, or cannot be asked.
    """
    program = program_of(profile)
    check_asked(name, profile)

    def is_found() -> bool:
        return bool(program.found(cluster.exec(pod, program.command(name), namespace)))

    _wait(f"an answer for {name}", is_found, 30)


def confirm(cluster: Cluster, records: Sequence[Record]) -> Listing[Record]:
    """Query the cluster's DNS for each record, and compare the answer with it.

    CoreDNS learns of new objects a moment later, and may still return the previous answer: a
    different answer is queried again for 15 seconds, longer than EKS's CoreDNS caches it.

    Args:
        cluster: The cluster.
        records: The records, as `eksnet.dns.records` predicts them; several may have one name.

    Raises:
        EksnetError: As `ask` does.
    """
    expected: dict[tuple[str, str], set[str]] = {}
    for one in records:
        expected.setdefault((one.name, one.rdtype), set()).add(one.value)
    answered: dict[tuple[str, str], set[str]] = {}

    def is_told() -> bool:
        wrong = [one for one, values in expected.items() if answered.get(one) != values]
        answered.update(_ask_all(cluster, wrong))
        return answered == expected

    until("CoreDNS to answer with the records", is_told, _HEARD)

    def confirmed(one: Record) -> str:
        asked = one.name, one.rdtype
        return "O" if answered[asked] == expected[asked] else "X"

    return Listing.of(
        records,
        {
            "rdtype": lambda one: one.rdtype,
            "name": lambda one: one.name,
            "confirmed": confirmed,
        },
    )


def _ask_all(
    cluster: Cluster, asked: Iterable[tuple[str, str]]
) -> Iterator[tuple[tuple[str, str], set[str]]]:
    """Ask for each name and type, and give the values that were answered."""
    answers = ask_each(sorted(asked), lambda command: cluster.run(BASH_IMAGE, command).output)
    for one, answer in answers.items():
        yield one, {value.rstrip(".") for value in answer.rdata}


def _wait(what: str, holds: Callable[[], bool], timeout: float) -> None:
    """Look until something holds; logs cannot be watched for a condition, only read again."""
    if not until(what, holds, timeout, _POLL):
        raise EksnetError(f"still waiting for {what} after {timeout:.0f} s")
