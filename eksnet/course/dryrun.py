"""A dry run of a Corefile: the engine's real CoreDNS, started for a moment, and what it answers.

Nothing that a cluster runs is touched. The plugin `kubernetes` reads the cluster's API, and only
reads it. What a query is forwarded to is not asked: nothing outside of the dry run is.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from eksnet import inputs
from eksnet.coredns.configuration import logged_configurations, refusal
from eksnet.coredns.corefile import Corefile, CorefileError, read_corefile
from eksnet.coredns.instrument import Instrumented, instrument, server_for
from eksnet.coredns.releases import PINNED, order_of
from eksnet.coredns.transport import queries_for
from eksnet.errors import EksnetError
from eksnet.listing import Listing
from eksnet.sandbox import dryrun, lifecycle
from eksnet.sandbox.dryrun import Job, Outcome, Question, Reply

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

_FAILURES = ("SERVFAIL", "")
NO_CLUSTER = "no cluster is up: what the plugin kubernetes would answer was not tried"


@dataclass(frozen=True)
class Tried:
    """What became of one query.

    Attributes:
        name: The name that was asked.
        rdtype: The record type.
        rcode: The answer's code; empty for no answer.
        rdata: The records of the answer, without their names, sorted.
        path: The plugins that the question met, by CoreDNS's own trace, in order; empty where it
            cannot be told.
        upstream: The server to which it was forwarded, which was not asked; empty for none.
        owner: The name of the answer's first record; empty for none.
    """

    name: str
    rdtype: str
    rcode: str
    rdata: tuple[str, ...]
    path: tuple[str, ...]
    upstream: str
    owner: str = ""

    @property
    def plugin(self) -> str:
        """The plugin that answered, or failed: the last one that was asked; empty if unknown."""
        return self.path[-1] if self.path else ""

    @property
    def failed(self) -> bool:
        """Whether a client would get nothing out of it."""
        return self.rcode in _FAILURES

    @property
    def outcome(self) -> str:
        """What came back, in words."""
        if self.upstream and self.plugin in ("forward", ""):
            return f"forwarded to {self.upstream}"
        if self.owner and self.owner != self.name.lower().rstrip("."):
            return f"{self.rcode} for {self.owner}"
        return self.rcode or "no answer"


@dataclass(frozen=True)
class DryRun:
    """What CoreDNS made of a Corefile.

    Attributes:
        refused: Why it did not start, or ended; empty when it ran.
        line: The line of the Corefile that it named; 0 for none.
        answers: What became of the queries.
        remarks: What could not be tried.
        configuration: The SHA-512 of the configuration that it logged, where no name was asked;
            empty without `reload`. To ask, a line is added.
    """

    refused: str
    line: int
    answers: Listing[Tried]
    remarks: tuple[str, ...] = ()
    configuration: str = ""

    @property
    def sound(self) -> bool:
        """Whether CoreDNS ran, and each query was answered."""
        return not self.refused and not any(one.failed for one in self.answers)

    def to_json(self) -> dict[str, object]:
        """Return it as JSON has it."""
        answers = [{**asdict(one), "plugin": one.plugin} for one in self.answers]
        found = {"sound": self.sound, "refused": self.refused, "line": self.line}
        return {**found, "answers": answers, "remarks": list(self.remarks)}

    def __repr__(self) -> str:
        parts = [f"CoreDNS refuses it: {self.refused}"] if self.refused else [repr(self.answers)]
        return "\n".join([*parts, *self.remarks])


def dry_run(
    corefile: str,
    *names: str,
    cluster: Cluster | None = None,
    environment: Mapping[str, str] | None = None,
) -> DryRun:
    """Start the engine's CoreDNS with a Corefile, ask it, and say which plugin answered.

    Args:
        corefile: The Corefile's text.
        names: What to ask: NAME, or NAME/TYPE; in this order, each as it is.
        cluster: The cluster whose API the plugin `kubernetes` reads; None for none.
        environment: The variables of CoreDNS's process; None for none.

    Raises:
        EksnetError: A name or a type cannot be asked, the program is not built, or this computer
            lets no namespaces be made.
    """
    asked = [_split(one) for one in names]
    queries = [queries_for([name], rdtype)[0].wire for name, rdtype in asked]
    variables = _variables(environment)
    inputs.sendable(corefile, "the Corefile")
    try:
        tree = read_corefile(corefile, variables)
    except CorefileError:
        tree = Corefile(corefile, (), {}, (), ())
    ready = instrument(tree, f"127.0.0.1:{dryrun.TRACE_PORT}")
    questions, where = _questions(tree, asked, queries)
    text = ready.text if questions else corefile
    job = Job(
        text, questions, ready.addresses, ready.upstreams,
        order_of(PINNED), variables,
    )  # fmt: skip
    outcome = dryrun.run(job, cluster.read_as_it_is if cluster else None)
    return _told(outcome, asked, where, _remarks(tree, cluster, ready))


def _variables(environment: Mapping[str, str] | None) -> dict[str, str]:
    """Return the variables of a process, each of which can be one."""
    found = inputs.mapping(environment, "the environment", 'such as {"TTL": "30"}')
    for name, value in found.items():
        inputs.text(name, "a variable's name")
        if not isinstance(value, str):
            raise EksnetError(f"the variable {name} is {inputs.shown(value)}", "a text")
        inputs.sendable(value, "a variable's value")
        if "=" in name:
            raise EksnetError(f"a variable is called {inputs.shown(name)}", "a name without =")
    return dict(found)


def needs_cluster(corefile: str) -> bool:
    """Tell whether a Corefile has the plugin `kubernetes`."""
    try:
        tree = read_corefile(corefile, {})
    except CorefileError:
        return False
    return any(block.uses("kubernetes") for block in tree.blocks)


def cluster_if_up() -> Cluster | None:
    """Return the cluster that `connect` would open, for reading; None for a sandbox that is down.

    Raises:
        EksnetError: It does not answer.
    """
    from eksnet.cluster import connect_read_only, targets

    if targets.chosen(None).kind == "sandbox" and lifecycle.status().phase == "down":
        return None
    return connect_read_only()


def _split(asked: str) -> tuple[str, str]:
    name, _, rdtype = inputs.text(asked, "the query", "such as kubernetes.default").partition("/")
    return name, rdtype or "A"


def _questions(
    tree: Corefile, asked: Sequence[tuple[str, str]], queries: Sequence[bytes]
) -> tuple[tuple[Question, ...], list[int]]:
    """Return the queries that some server block takes, and which of those asked they are."""
    found, where = [], []
    for place, ((name, _), wire) in enumerate(zip(asked, queries, strict=True)):
        if server := server_for(tree, name):
            found.append(Question(base64.b64encode(wire).decode(), server))
            where.append(place)
    return tuple(found), where


def _remarks(tree: Corefile, cluster: Cluster | None, ready: Instrumented) -> tuple[str, ...]:
    found = []
    if cluster is None and any(block.uses("kubernetes") for block in tree.blocks):
        found.append(f"{NO_CLUSTER} (`eksnet up` starts one)")
    if not ready.is_traced:
        found.append("which plugin answered is not known: the Corefile has a trace of its own")
    return tuple(found)


def _told(
    outcome: Outcome, asked: Sequence[tuple[str, str]], where: list[int], remarks: tuple[str, ...]
) -> DryRun:
    replies = dict(zip(where, outcome.replies, strict=False))
    tried = [_tried(*one, replies.get(place)) for place, one in enumerate(asked)]
    refused, line = _why(outcome)
    answers = [] if refused and not outcome.started else tried
    rows = tuple(
        (one.name, one.rdtype, one.outcome, " ".join(one.rdata), one.plugin or "-")
        for one in answers
    )
    columns = ("name", "type", "outcome", "answer", "plugin")
    hashes = logged_configurations(outcome.log) if not asked else ()
    listing = Listing(columns, rows, tuple(answers))
    return DryRun(refused, line, listing, remarks, hashes[-1] if hashes else "")


def _why(outcome: Outcome) -> tuple[str, int]:
    if outcome.started and outcome.running:
        return "", 0
    lines = [line for line in outcome.log.splitlines() if line.strip()]
    loops = next((line for line in lines if "Loop (" in line), "")
    seen = loops.partition("] ")[2] or refusal(outcome.log) or (lines[-1] if lines else "no word")
    words = seen.split(":", 1)
    number = words[0].removeprefix("line ")
    return seen, int(number) if words[0].startswith("line ") and number.isdigit() else 0


def _tried(name: str, rdtype: str, reply: Reply | None) -> Tried:
    if reply is None or not reply.wire:
        path, upstream = (reply.path, reply.upstream) if reply else ((), "")
        return Tried(name, rdtype, "", (), path, upstream)
    import dns.exception
    import dns.message
    import dns.rcode

    try:
        message = dns.message.from_wire(base64.b64decode(reply.wire))
    except dns.exception.DNSException as error:
        raise EksnetError(f"the answer for {name} cannot be read: {error}") from None
    rdata = sorted(str(one) for rrset in message.answer for one in rrset)
    owners = [rrset.name.to_text(omit_final_dot=True).lower() for rrset in message.answer]
    rcode = dns.rcode.to_text(message.rcode())
    owner = owners[0] if owners else ""
    return Tried(name, rdtype, rcode, tuple(rdata), reply.path, reply.upstream, owner)
