"""The checkpoints of 05_lab_hosts: an entry in the cluster's DNS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eksnet.checkpoints.criteria import (
    Criterion,
    Definition,
    Observation,
    Prediction,
    State,
    Wait,
    failed,
    not_started,
    not_yet,
    passed,
)
from eksnet.coredns.configuration import (
    CorefileError,
    ServerBlock,
    logged_configurations,
    read_corefile,
)
from eksnet.coredns.configuration import running as running_in
from eksnet.coredns.observe import Answer, log_of, staying
from eksnet.coredns.zones import covers, renames

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

NOTEBOOK = "05_lab_hosts"
ADDRESS, NAME, SECOND_NAME = "10.43.0.1", "myapp.local", "www.myapp.local"
_ZONE = ".:53"
_SAME_ZONE = {".", _ZONE, "dns://.", f"dns://{_ZONE}"}
_CONFIGMAP, _NAMESPACE = "coredns", "kube-system"


def _edit(change: str) -> str:
    return f'cluster.edit_configmap("coredns", "Corefile", {change}, "kube-system")'


# `hosts` is the notebook's name of the block's text.
_ADD = _edit("lambda text: coredns.add_plugin(text, hosts)")
_REPLACE = _edit("lambda text: coredns.replace_plugin(text, hosts)")
_REMOVE = _edit('lambda text: coredns.remove_plugin(text, "hosts")')
_CHANGE = _edit('lambda text: text.replace("OLD", "NEW")')
_CORRECT = f"correct the text in hosts, then {_REPLACE}"
_BACKUP = 'cluster.backup("coredns", "kube-system")'
_RESTORE = 'cluster.restore("coredns", "kube-system")'
_RESTORED = 'cluster.saved("coredns", "kube-system", restored=True)["data"]["Corefile"]'
_ASK = f'ask again: answer = cluster.run("busybox:1.36", "nslookup {NAME}")'
_LEAVE = f"leave {NAME} to the block hosts in {_ZONE}: {_CHANGE}"
_RESTART = 'cluster.rollout_restart("deployment/coredns", "kube-system")'

# The keys of the notebook's `observed`.
_TRIALS = ("without cache", "with cache 30")

Lines = tuple[tuple[str, ...], ...]
# The kubelet brings a ConfigMap within a minute or so, `reload` looks every 30 s, give or take 15.
_TAKEN_OVER = Wait("every CoreDNS pod to run the Corefile of the ConfigMap", deadline=150)


def _remove_from(zone: str) -> str:
    return _edit(f'lambda text: coredns.remove_plugin(text, "hosts", "{zone}")')


def _corefile(cluster: Cluster) -> str:
    data = cluster.get("configmap", _CONFIGMAP, _NAMESPACE).get("data") or {}
    return str(data.get("Corefile", ""))


@dataclass(frozen=True)
class _Hosts:
    """The block `hosts` of the server block for every name.

    Attributes:
        server: That server block.
        others: The other server blocks.
    """

    server: ServerBlock
    others: tuple[ServerBlock, ...]

    @property
    def zones(self) -> tuple[str, ...]:
        """The zones for which it answers, after its file; empty for those of the server block."""
        return self.server.lines("hosts")[0][2:]

    @property
    def lines(self) -> Lines:
        """The lines inside it."""
        return self.server.lines("hosts")[1:]

    def addresses(self, name: str) -> list[str]:
        """The addresses of a name."""
        return [line[0] for line in self.lines if name in _names(line)]

    def diverted(self, name: str) -> str:
        """Return what keeps questions for a name from it; empty when they come to it."""
        for key in (key for other in self.others for key in other.keys):
            if (zone := _zone(key)) and covers(zone, name):
                return f"the server block {key} answers for {name} in its place"
        if any(renames(line, name) for line in self.server.lines("rewrite")):
            return f"rewrite gives {name} another name before hosts sees it"
        if self.zones and not any(covers(zone, name) for zone in self.zones):
            return f"hosts answers for {' '.join(self.zones)} alone"
        return ""


def _zone(key: str) -> str:
    """Return the zone of a server block's key that answers DNS on port 53; empty for another."""
    zone, colon, port = key.removeprefix("dns://").partition(":")
    return "" if colon and port != "53" else zone


def _hosts(cluster: Cluster) -> _Hosts | Observation:
    """Return the block `hosts`, or what is to be said when it is not there."""
    try:
        blocks = read_corefile(_corefile(cluster))
    except CorefileError as error:
        return failed(error.seen, error.expected, "mend the braces: " + _CHANGE)
    for block in blocks:
        if _SAME_ZONE.intersection(block.keys) and "hosts" in block.plugins:
            return _Hosts(block, tuple(other for other in blocks if other is not block))
    for block in blocks:
        if "hosts" in block.plugins:
            return failed(
                f"the block hosts stands in the server block {' '.join(block.keys)}",
                f"hosts inside the server block {_ZONE}, which answers for every name",
                f"move it there: {_remove_from(block.keys[0])}, then {_ADD}",
            )
    return not_started(
        "the Corefile has no block hosts",
        f"a block hosts with the line {ADDRESS} {NAME}",
        f'write the block as a text: hosts = "…", then {_ADD}',
    )


def backup(cluster: Cluster) -> Observation:
    """Whether a backup from before the edit waits for its restore."""
    # Who may not read the ConfigMap cannot have backed it up.
    edited = NAME in _corefile(cluster)
    expected = "a backup of the ConfigMap coredns, made before the edit"
    again = f"take the block out: {_REMOVE}, back up: {_BACKUP}, and put it in again: {_ADD}"
    waiting = cluster.saved(_CONFIGMAP, _NAMESPACE)
    if waiting is None:
        used = cluster.saved(_CONFIGMAP, _NAMESPACE, restored=True)
        seen = "the last backup has been restored already" if used else "there is no backup"
        if edited:
            return failed(f"{seen}, and the Corefile has {NAME}", expected, again)
        return not_started(seen, expected, _BACKUP)
    if NAME in str((waiting.get("data") or {}).get("Corefile")):
        return failed(
            f"the backup holds a Corefile that has {NAME} already",
            expected,
            f"have done with that backup: {_RESTORE}, then {again}",
        )
    return passed("a backup from before the edit waits for its restore")


def entry(cluster: Cluster) -> Observation:
    """Whether the name stands in the block with its address, and with no other."""
    return _stands(cluster, NAME)


def second_name(cluster: Cluster) -> Observation:
    """Whether the second name stands in the block too."""
    first = entry(cluster)
    if first.state is not State.PASS:
        return first
    return _stands(cluster, SECOND_NAME, absent=not_started)


def _stands(
    cluster: Cluster, name: str, absent: Callable[[str, str, str], Observation] = failed
) -> Observation:
    hosts = _hosts(cluster)
    if isinstance(hosts, Observation):
        return hosts
    expected = f"the line {ADDRESS} {name}"
    if addresses := hosts.addresses(name):
        if addresses != [ADDRESS]:
            return failed(f"{name} is {' and '.join(addresses)}", expected, _CORRECT)
        if diverted := hosts.diverted(name):
            return failed(diverted, f"the server block {_ZONE} and its hosts asked for it", _LEAVE)
        return passed(f"{name} is {ADDRESS}")
    if any(line[0].lower() == name for line in hosts.lines):
        return failed(
            f"a line begins with {name}", "the address first, the names after it", _CORRECT
        )
    return absent(f"the block hosts has no line for {name}", expected, _CORRECT)


def _names(line: tuple[str, ...]) -> list[str]:
    return [word.lower().rstrip(".") for word in line[1:]]


def fallthrough(cluster: Cluster) -> Observation:
    """Whether the block passes on what it does not know, and the entries stand before that."""
    hosts = _hosts(cluster)
    if isinstance(hosts, Observation):
        return hosts
    words = [line[0] for line in hosts.lines]
    expected = "a last line fallthrough, so that names that hosts does not know go on"
    if "fallthrough" not in words:
        return failed("the block hosts has no line fallthrough", expected, _CORRECT)
    place = words.index("fallthrough")
    if zones := [zone for zone in hosts.lines[place][1:] if zone != "."]:
        return failed(f"only names in {', '.join(zones)} go on", expected, _CORRECT)
    if any(ADDRESS in line for line in hosts.lines[place + 1 :]):
        return failed(
            "an entry stands after fallthrough",
            "every entry before it; CoreDNS refuses one that comes after",
            _CORRECT,
        )
    return passed("fallthrough stands after the entries")


def _logs(cluster: Cluster) -> list[str]:
    pods = staying(cluster.list("pods", _NAMESPACE, selector="k8s-app=kube-dns"))
    return [log_of(cluster, pod.name, _NAMESPACE) for pod in pods]


def running(cluster: Cluster, advice: str = f"wait for the reload, or {_RESTART}") -> Observation:
    """Whether each CoreDNS pod logs the hash of the ConfigMap's Corefile as its last one."""
    found = running_in(_corefile(cluster), _logs(cluster))
    seen = f"{found.current} of {found.of} CoreDNS pods run the Corefile of the ConfigMap"
    if found.of and found.current == found.of:
        return passed(seen)
    if found.refused:
        return not_yet(
            f"{seen}; one has refused a Corefile, {found.refused}",
            "all of them",
            f"if the Corefile still says that, correct it: {_CHANGE}; then wait for the reload",
        )
    return not_yet(seen, "all of them", advice)


def reloaded(cluster: Cluster) -> Observation:
    """Whether each CoreDNS pod took the Corefile over while it ran."""
    # After a restart nobody could see any more that it reloads.
    seen = running(cluster, "wait for the reload, up to two minutes, and restart nothing")
    if seen.state is not State.PASS:
        return seen
    histories = [logged_configurations(log) for log in _logs(cluster)]
    began = sum(len(set(history)) == 1 for history in histories)
    if began:
        return failed(
            f"{began} of {len(histories)} CoreDNS pods have run nothing else since they started",
            "pods that took it over while they ran: an earlier hash stands in their logs",
            f"give {ADDRESS} a third name, such as again.{NAME}, and restart nothing: {_CORRECT}",
        )
    return passed(f"{len(histories)} CoreDNS pods took it over without a restart")


def restored(cluster: Cluster) -> Observation:
    """Whether the ConfigMap is as the backup held it, and the backup has been used."""
    now = _corefile(cluster)
    if cluster.saved(_CONFIGMAP, _NAMESPACE):
        return not_started("the backup waits for its restore", "the Corefile of before", _RESTORE)
    used = cluster.saved(_CONFIGMAP, _NAMESPACE, restored=True)
    if used is None:
        return not_started("there was no backup", "the lab done, and its backup restored", _BACKUP)
    if (used.get("data") or {}).get("Corefile") != now:
        return failed(
            "the Corefile has been changed since the restore",
            "the Corefile that was restored",
            f"put it back: {_edit(_RESTORED)}",
        )
    return passed("its Corefile is that of the backup")


def _first_to_see(cluster: Cluster, transcript: Any) -> Any:
    """Which plugin saw the query: only `hosts` knows the address of the block's entry."""
    stands = entry(cluster)
    if stands.state is not State.PASS:
        return stands
    expected = f"what nslookup {NAME} printed in a pod, with an address"
    if transcript is None:
        return not_started("no answer was handed in", expected, _check("hosts-02", "answer"))
    answers = str(transcript).partition("Name:")[2]
    name, *rest = answers.split() or [""]
    if name.rstrip(".").lower() != NAME:
        # NXDOMAIN too: so a pod answers that does not run the entry yet.
        return not_started(
            f"the answer that was handed in has no address for {NAME}", expected, _ASK
        )
    return "hosts" if ADDRESS in rest else "forward"


def _code_of_others(cluster: Cluster, answers: Any) -> Any:
    """The code that a trial gave for a name that is not in its block."""
    hosts = _hosts(cluster)
    if isinstance(hosts, Observation):
        return hosts
    ours = {name for line in hosts.lines for name in _names(line)}
    given = [one for one in answers if isinstance(one, Answer)] if _is_rows(answers) else []
    if not given:
        return _no_trial("no trial's answers were handed in", "hosts-04", "broken")
    codes = [one.rcode for one in given if one.name not in ours]
    return (
        codes[0]
        if codes
        else _no_trial(f"the trial asked for no other name than {NAME}", "hosts-04", "broken")
    )


def _is_rows(answers: Any) -> bool:
    return isinstance(answers, Sequence) and not isinstance(answers, str)


def _ttls(cluster: Cluster, ttls: Any) -> Any:
    """The TTLs that the two trials gave."""
    hosts = _hosts(cluster)
    if isinstance(hosts, Observation):
        return hosts
    if ttls is None:
        return _no_trial("no trial's answers were handed in", "hosts-05", "observed")
    if not isinstance(ttls, Mapping) or set(ttls) != set(_TRIALS):
        return _no_trial("what was handed in is not of the two trials", "hosts-05", "observed")
    silent = [trial for trial in _TRIALS if ttls[trial] is None]
    if silent:
        return _no_trial(f"the trial {silent[0]} gave no record", "hosts-05", "observed")
    return {trial: ttls[trial] for trial in _TRIALS}


def _no_trial(seen: str, checkpoint: str, name: str) -> Observation:
    wanted = f", as {' and '.join(map(repr, _TRIALS))}" if checkpoint == "hosts-05" else ""
    expected = f"what coredns.try_corefile returned{wanted}"
    return not_started(seen, expected, _check(checkpoint, name))


def _check(checkpoint: str, observed: str) -> str:
    return f'eksnet.checkpoint("{checkpoint}").check(prediction, {observed})'


_TEXT = f"hosts {{\n    {ADDRESS} {NAME}\n    fallthrough\n}}"
_BLOCK = f"""\
hosts = \"\"\"
hosts {{
    {ADDRESS} {NAME}
    fallthrough
}}
\"\"\"
cluster.edit_configmap(
    "coredns", "Corefile", lambda text: coredns.add_plugin(text, hosts), "kube-system"
)
"""
_ROLLOUT = f"""\
before = coredns.running_configurations(cluster)
{_RESTART}
cluster.rollout_status("deployment/coredns", "kube-system")
coredns.wait_for_restart(cluster, before)
"""

CHECKPOINTS = (
    Definition(
        id="hosts-01",
        notebook=NOTEBOOK,
        title="The entry",
        criteria=(
            Criterion("hosts-01.backup", "The ConfigMap was backed up before the edit", 1, backup),
            Criterion("hosts-01.entry", f"hosts in {_ZONE} knows {NAME} as {ADDRESS}", 2, entry),
            Criterion(
                "hosts-01.fallthrough",
                "hosts passes on the names that it does not know",
                1,
                fallthrough,
                needs=("hosts-01.entry",),
            ),
            Criterion(
                "hosts-01.running",
                "Every CoreDNS pod runs this Corefile",
                2,
                running,
                needs=("hosts-01.entry", "hosts-01.fallthrough"),
                wait=_TAKEN_OVER,
            ),
        ),
        hints=(
            "Look at the ConfigMap `coredns` in `kube-system`: its key `Corefile` is what CoreDNS "
            "reads. Back it up first.",
            f"Compare the server block `{_ZONE}` with that of the section *Edit the Corefile*: a "
            f"block `hosts` with the line `{ADDRESS} {NAME}`, and `fallthrough` as its last line. "
            "Then compare the hash that each CoreDNS pod logs with the one from before.",
            f"`{_BACKUP}`, then `hosts = {_TEXT!r}`, `{_ADD}`, and `{_RESTART}`. "
            f"A block that is there already is replaced: `{_REPLACE}`.",
        ),
        solution=f"{_BACKUP}\n{_BLOCK}{_ROLLOUT}",
    ),
    Definition(
        id="hosts-02",
        notebook=NOTEBOOK,
        title="Which plugin sees the query first?",
        criteria=(
            Prediction(
                "hosts-02.plugin",
                "The plugin that you predicted",
                1,
                _first_to_see,
                takes="answer",
                choices=("hosts", "forward"),
            ),
        ),
        hints=(
            "Look at the answer of `nslookup`: an address, or NXDOMAIN?",
            f"Compare the address with what the two plugins know: `{ADDRESS}` stands in the block "
            "`hosts`, and the resolver behind `forward` has never heard of the name.",
            f'`answer = cluster.run("busybox:1.36", "nslookup {NAME}")` asks. Put the plugin that '
            'can have given this answer into `prediction`, "hosts" or "forward", run its cell, and '
            f"check again: `{_check('hosts-02', 'answer')}`",
        ),
        solution='prediction = "hosts"\n',
    ),
    Definition(
        id="hosts-03",
        notebook=NOTEBOOK,
        title="A second name, without a restart",
        criteria=(
            Criterion("hosts-03.name", f"{ADDRESS} is {SECOND_NAME} too", 1, second_name),
            Criterion(
                "hosts-03.reload",
                "Every CoreDNS pod took this Corefile over while it ran",
                2,
                reloaded,
                needs=("hosts-03.name",),
                wait=_TAKEN_OVER,
            ),
        ),
        hints=(
            "Look at the line of the block `hosts`, and at the log of each CoreDNS pod.",
            f"Compare the line with `{ADDRESS} {NAME} {SECOND_NAME}`, and the names of the pods "
            "with those from before: the same pods have to log a second hash. That takes up to "
            "two minutes, and no restart.",
            "`before = coredns.running_configurations(cluster)`, then "
            f"`{_CHANGE}`, where OLD is `{ADDRESS} {NAME}` and NEW is the same with "
            f"`{SECOND_NAME}` after it, then `coredns.wait_for_reload(cluster, before)`.",
        ),
        solution=f"""\
before = coredns.running_configurations(cluster)
cluster.edit_configmap(
    "coredns", "Corefile",
    lambda text: text.replace("{ADDRESS} {NAME}", "{ADDRESS} {NAME} {SECOND_NAME}"),
    "kube-system",
)
coredns.wait_for_reload(cluster, before)
""",
    ),
    Definition(
        id="hosts-04",
        notebook=NOTEBOOK,
        title="Without fallthrough",
        criteria=(
            Prediction(
                "hosts-04.code",
                "The code that you predicted",
                1,
                _code_of_others,
                takes="broken",
                choices=("NOERROR", "NXDOMAIN", "SERVFAIL"),
            ),
        ),
        hints=(
            "Look at the second row of the trial without `fallthrough`.",
            "Compare its code with your prediction: did `hosts` say that there is no such name, "
            "or that it could not tell?",
            "`broken = coredns.try_corefile(cluster, without, *names)` is the trial. Put the code "
            "of that row into `prediction`, run its cell, and check again: "
            f"`{_check('hosts-04', 'broken')}`",
        ),
        solution='prediction = "SERVFAIL"\n',
    ),
    Definition(
        id="hosts-05",
        notebook=NOTEBOOK,
        title="How long an answer is kept",
        criteria=(
            Prediction(
                "hosts-05.ttl",
                "The TTLs that you predicted",
                1,
                _ttls,
                takes="observed",
                units=("s", "sec", "second", "seconds"),
            ),
        ),
        hints=(
            "Look at the TTL in the answers of the two trials.",
            "Compare the two: which plugin comes first in the table of the plugin order, `cache` "
            "or `hosts`, and what does the number behind `cache` say?",
            f'`coredns.try_corefile(cluster, with_it, "{NAME}")[0].ttl` is the one without '
            "`cache`, `with_cache` in place of `with_it` gives the other. Put both into "
            "`prediction`, a dict with the keys of `observed`, run its cell, and check again: "
            f"`{_check('hosts-05', 'observed')}`",
        ),
        solution='prediction = {"without cache": 3600, "with cache 30": 30}\n',
    ),
    Definition(
        id="hosts-06",
        notebook=NOTEBOOK,
        title="Everything as it was",
        criteria=(
            Criterion("hosts-06.restored", "The ConfigMap is as it was backed up", 1, restored),
            Criterion(
                "hosts-06.running",
                "Every CoreDNS pod runs it",
                1,
                running,
                needs=("hosts-06.restored",),
                wait=_TAKEN_OVER,
            ),
        ),
        hints=(
            "Look at the Corefile in the ConfigMap `coredns`, and at what the pods run.",
            "Compare the Corefile with the one that you saw at the start, and the hashes that the "
            "pods log with those that you remembered.",
            f"`{_RESTORE}`, then `{_RESTART}`.",
        ),
        solution=f"{_RESTORE}\n{_ROLLOUT}",
    ),
)
