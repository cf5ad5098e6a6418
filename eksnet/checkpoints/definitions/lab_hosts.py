"""The checkpoints of 05_lab_hosts: an entry in the cluster's DNS."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
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
    then,
)
from eksnet.checkpoints.object_checks import last_change
from eksnet.coredns.configuration import logged_configurations, refusal
from eksnet.coredns.configuration import running as running_in
from eksnet.coredns.corefile import Corefile, CorefileError, Plugin, ServerBlock, read_corefile
from eksnet.coredns.editing import edit_command, set_plugin
from eksnet.coredns.hosts import (
    Hosts,
    answers_for,
    bare,
    hosts_from,
    hosts_of,
    late_entry,
    meant_for_hosts,
)
from eksnet.coredns.installed import CONFIGMAP, SYSTEM, log_of, logs_of_all, pods_not_terminating
from eksnet.coredns.transport import Answer
from eksnet.errors import EksnetError

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

NOTEBOOK = "05_lab_hosts"
ADDRESS, NAME, SECOND_NAME = "10.43.0.1", "myapp.local", "www.myapp.local"
_BOTH = f"{NAME} {SECOND_NAME}"
_ZONE = ".:53"


def _text(block: str) -> str:
    """Return the line that gives the block's text the notebook's name of it."""
    return f"hosts = {block!r}"


def _block(names: str) -> str:
    return f"hosts {{\n    {ADDRESS} {names}\n    fallthrough\n}}"


_SET = edit_command("coredns.set_plugin(text, hosts)")
_ADD = f"{_text(_block(NAME))}\n{_SET}"
_REMOVE = edit_command('coredns.remove_plugin(text, "hosts")')
_SHOW = 'print(cluster.get("configmap/coredns", namespace="kube-system")["data"]["Corefile"])'
_BY_HAND = edit_command('text.replace("<THE WRONG WORDS>", "<THE RIGHT ONES>")')
_BACKUP = 'cluster.backup("coredns", "kube-system")'
_RESTORE = 'cluster.restore("coredns", "kube-system")'
_RESTORED = 'cluster.saved("coredns", "kube-system", restored=True)["data"]["Corefile"]'
_RESTART = 'cluster.rollout_restart("deployment/coredns", "kube-system")'
_LOGS = "eksnet kubectl -n kube-system logs -l k8s-app=kube-dns --prefix --tail=20"

# The keys of the notebook's `observed`.
_TRIALS = ("without cache", "with cache 30")
# `hosts` says an hour; a fresh `cache 30` cuts it to 30, and asked again to what is left of them.
_POSSIBLE = {_TRIALS[0]: (3600,), _TRIALS[1]: range(1, 31)}
_TWO_TRIALS = f"for {NAME}, in a dict with the keys {' and '.join(map(repr, _TRIALS))}"
# What a server says of a name that no plugin of it may pass on.
_REFUSED = "SERVFAIL"


def _then_check(gather: str, checkpoint: str, takes: str) -> str:
    return f'{gather}\neksnet.checkpoint("{checkpoint}").check(prediction, {takes})'


# How each prediction gets what it is compared with, line by line.
_ANSWER = f'answer = cluster.run("busybox:1.36", "nslookup {NAME}")'
_WITHOUT = (
    f".:53 {{\n    forward . /etc/resolv.conf\n    hosts {{\n        {ADDRESS} {NAME}\n    }}\n}}"
)
_OTHERS = ("kubernetes.default.svc.cluster.local", "example.com")
_TWO_NAMES = f"for {NAME} and for a name that is not in its block, such as {_OTHERS[0]}"
_BROKEN = f"""\
without = {_WITHOUT!r}
broken = coredns.try_corefile(cluster, without, {", ".join(map(json.dumps, (NAME, *_OTHERS)))})"""
_OBSERVED = f"""\
with_it = {_WITHOUT.replace(NAME, f"{NAME}{chr(10)}        fallthrough")!r}
with_cache = with_it.replace("forward", "cache 30\\n    forward")
uncached = coredns.try_corefile(cluster, with_it, "{NAME}")
cached = coredns.try_corefile(cluster, with_cache, "{NAME}")
observed = {{"{_TRIALS[0]}": uncached[0].ttl, "{_TRIALS[1]}": cached[0].ttl}}"""
_CHECK_ANSWER = _then_check(_ANSWER, "hosts-02", "answer")
_CHECK_BROKEN = _then_check(_BROKEN, "hosts-04", "broken")
_CHECK_OBSERVED = _then_check(_OBSERVED, "hosts-05", "observed")

# The kubelet brings a ConfigMap within a minute or so, `reload` looks every 22.5 to 37.5 s.
_TAKEN_OVER = Wait("every CoreDNS pod to run the Corefile of the ConfigMap", deadline=150)


def _moved(block: str, out: str) -> str:
    """Return what puts a block in after what was to be it has gone: all that it said is in it."""
    return f"{_text(block)}\n{edit_command(f'coredns.set_plugin({out}, hosts)')}"


def _anew(cluster: Cluster, names: str = NAME) -> str:
    """Return what repairs a Corefile, whatever is wrong with it.

    That is the backup's text and the block in it. Where no backup waits, or one that has the same
    fault, it is an edit that nobody but the learner can write.
    """
    saved = cluster.saved(CONFIGMAP, SYSTEM)
    text = str((saved.get("data") or {}).get("Corefile")) if saved else ""
    try:
        found = hosts_of(read_corefile(set_plugin(text, _block(NAME))), _ZONE)
        # What CoreDNS takes cannot be told from here: the cluster ran on that text before.
        if found and not found.diverted(NAME):
            begin = "restore the backup, without the changes made since, and start again"
            return then(begin, _RESTORE, _BACKUP, _text(_block(names)), _SET)
    except EksnetError:
        pass
    return then(
        "look at the text, then write the edit yourself: replace the words in < >",
        _SHOW,
        _BY_HAND,
    )


def _corefile(cluster: Cluster) -> str:
    held = cluster.get("configmap", CONFIGMAP, SYSTEM).get("data") or {}
    return str(held.get("Corefile", ""))


def _hosts(cluster: Cluster) -> Hosts | Observation:
    """Return the block `hosts`, or what is to be said when it is not there."""
    try:
        tree = read_corefile(_corefile(cluster))
    except CorefileError as error:
        return failed(error.seen, error.expected, _anew(cluster))
    if found := hosts_of(tree, _ZONE):
        return _of_its_own(found)
    misplaced = (_misplaced(tree, server) for server in tree.blocks)
    return next(filter(None, misplaced), None) or _absent(tree)


def _of_its_own(hosts: Hosts) -> Hosts | Observation:
    if not hosts.plugin.snippet:
        return hosts
    return failed(
        f"the block hosts comes from the snippet {hosts.plugin.snippet}",
        f"hosts written in the server block {_ZONE}",
        then(
            "look at the text, then write it there yourself: replace the words in < >",
            _SHOW,
            _BY_HAND,
        ),
    )


def _absent(tree: Corefile) -> Observation:
    elsewhere = ", ".join(one.pattern for one in tree.imports)
    seen = "the Corefile has no block hosts"
    return not_started(
        f"{seen}, and what {elsewhere} holds cannot be seen" if elsewhere else seen,
        f"a block hosts with the line {ADDRESS} {NAME}",
        then("add it", _ADD),
    )


def _misplaced(tree: Corefile, server: ServerBlock) -> Observation | None:
    """Return what a server block holds that was to be the block `hosts`; None when nothing was."""
    expected = f"hosts inside the server block {_ZONE}, which answers for every name"
    place = f"the server block {' '.join(server.keys)}"
    if "hosts" in server.keys and server.opening and server.closing:
        block = f"hosts {tree.text[server.opening.start : server.closing.end]}"
        return failed(
            "a block hosts is outside the server blocks, so CoreDNS reads it as a server block",
            expected,
            then("move it there", _moved(_corrected(block, tree, server), _without(server))),
        )
    if uses := server.uses("hosts"):
        return failed(
            f"the block hosts is in {place}",
            expected,
            then("move it there", _moved(_own_text(uses[0], tree, server), _rest_of(server))),
        )
    for plugin in meant_for_hosts(server, frozenset({ADDRESS, NAME})):
        out = f"coredns.remove_plugin(text, {plugin.name!r}, {server.keys[0]!r})"
        return failed(
            f"{place} has a plugin {plugin.name}, which CoreDNS does not know",
            expected,
            then("make it hosts", _moved(_own_text(plugin, tree, server), out)),
        )
    return None


def _without(server: ServerBlock) -> str:
    return f"coredns.remove_server_block(text, {server.keys[0]!r})"


def _rest_of(server: ServerBlock) -> str:
    """Return the change that leaves a server block without its hosts.

    One that has nothing else goes. One for the name would answer NXDOMAIN: it becomes a comment.
    """
    if len(server.plugins) == 1:
        return _without(server)
    if any(answers_for(key, NAME) for key in server.keys):
        return f"coredns.comment_out(text, {server.keys[0]!r})"
    return f'coredns.remove_plugin(text, "hosts", {server.keys[0]!r})'


def _own_text(plugin: Plugin, tree: Corefile, server: ServerBlock) -> str:
    """Return what was to be a block hosts as one: a block by its lines, a line as one in it."""
    start, end = plugin.extent
    written = tree.text[start:end]
    if "{" in (token.text for token in plugin.tokens):
        return _corrected(f"hosts{written[len(plugin.name) :]}", tree, server)
    return _corrected(f"hosts {{\n{written}\n}}", tree, server)


def _corrected(block: str, tree: Corefile, server: ServerBlock) -> str:
    return hosts_from(block, tree, server).corrected(ADDRESS, [NAME])


def backup(cluster: Cluster) -> Observation:
    """Whether there is a backup from before the edit, not yet restored."""
    # Who may not read the ConfigMap cannot have backed it up.
    edited = NAME in _corefile(cluster)
    expected = "a backup of the ConfigMap coredns, made before the edit"
    hosts = _hosts(cluster) if edited else None
    block = hosts.corrected(ADDRESS, [NAME]) if isinstance(hosts, Hosts) else _block(NAME)
    again = (_REMOVE, _BACKUP, _text(block), _SET)
    waiting = cluster.saved(CONFIGMAP, SYSTEM)
    if waiting is None:
        used = cluster.saved(CONFIGMAP, SYSTEM, restored=True)
        seen = "the last backup is already restored" if used else "there is no backup"
        if edited:
            out = "remove the block, back up, and add the block again"
            return failed(f"{seen}, and the Corefile has {NAME}", expected, then(out, *again))
        return not_started(seen, expected, _BACKUP)
    if NAME in str((waiting.get("data") or {}).get("Corefile")):
        return failed(
            f"the Corefile in the backup already has {NAME}",
            expected,
            then("restore that backup, and make a new one without the block", _RESTORE, *again),
        )
    return passed("there is a backup from before the edit, not yet restored")


def entry(cluster: Cluster) -> Observation:
    """Whether the name stands in the block with its address, and with no other."""
    return _stands(cluster, NAME, NAME)


def second_name(cluster: Cluster) -> Observation:
    """Whether the second name stands in the block too, where CoreDNS takes it."""
    first = _stands(cluster, NAME, _BOTH)
    if first.state is not State.PASS:
        return first
    hosts = _hosts(cluster)
    others = _others(hosts) if isinstance(hosts, Hosts) else ""
    second = _stands(cluster, SECOND_NAME, _BOTH, absent=failed if others else not_started)
    if second.state is not State.PASS:
        seen = f"besides {NAME} the block has {others}, not {SECOND_NAME}"
        absent = others and isinstance(hosts, Hosts) and not hosts.addresses(SECOND_NAME)
        return replace(second, observed=seen) if absent else second
    if isinstance(hosts, Hosts) and late_entry(hosts.plugin):
        return _refused_entry(hosts, _BOTH)
    return second


def _others(hosts: Hosts) -> str:
    """Return the other names that the address has."""
    names = hosts.names_of(ADDRESS)
    return " ".join(name for name in names if name not in (NAME, SECOND_NAME))


def _stands(
    cluster: Cluster,
    name: str,
    names: str,
    absent: Callable[[str, str, str], Observation] = failed,
) -> Observation:
    """Whether a name stands in the block; the line that is to be there has these names."""
    hosts = _hosts(cluster)
    if isinstance(hosts, Observation):
        return hosts
    expected, correct = f"the line {ADDRESS} {names}", _correct(hosts, names)
    if addresses := hosts.addresses(name):
        if addresses != [ADDRESS]:
            return failed(f"{name} is {' and '.join(addresses)}", expected, correct)
        if diverted := hosts.diverted(name):
            asked = f"queries for it reach hosts in the server block {_ZONE}"
            return failed(diverted, asked, _undivert(cluster, hosts, name, names))
        return passed(f"{name} is {ADDRESS}")
    if any(line[0].lower() == name for line in hosts.lines):
        return failed(
            f"a line starts with {name}", "the address first, the names after it", correct
        )
    return absent(f"the block hosts has no line for {name}", expected, correct)


def _undivert(cluster: Cluster, hosts: Hosts, name: str, names: str) -> str:
    """Return what brings questions for a name to the block."""
    if key := hosts.elsewhere(name):
        out = edit_command(f"coredns.comment_out(text, {key!r})")
        return then("make that server block a comment", out)
    return _correct(hosts, names) if hosts.misses(name) else _anew(cluster, names)


def _correct(hosts: Hosts, names: str) -> str:
    """Return what corrects the block and leaves all else in it."""
    block = hosts.corrected(ADDRESS, names.split())
    return then("put this line into the block; the other lines stay", _text(block), _SET)


def fallthrough(cluster: Cluster) -> Observation:
    """Whether the block passes on what it does not know, and the entries stand before that."""
    hosts = _hosts(cluster)
    if isinstance(hosts, Observation):
        return hosts
    words = [line[0] for line in hosts.lines]
    expected = "a last line fallthrough: other names go on to the next plugin"
    if "fallthrough" not in words:
        return failed("the block hosts has no line fallthrough", expected, _correct(hosts, NAME))
    place = words.index("fallthrough")
    if zones := [zone for zone in hosts.lines[place][1:] if zone != "."]:
        return failed(f"only names in {', '.join(zones)} go on", expected, _correct(hosts, NAME))
    if late_entry(hosts.plugin):
        return _refused_entry(hosts, NAME)
    return passed("fallthrough is after the entries")


def _refused_entry(hosts: Hosts, names: str) -> Observation:
    return failed(
        "an entry is after fallthrough",
        "every entry before fallthrough: CoreDNS refuses an entry after it",
        _correct(hosts, names),
    )


def _crashes(pod: Resource) -> bool:
    states = (one.get("state") or {} for one in pod.get("status", {}).get("containerStatuses", ()))
    return any((one.get("waiting") or {}).get("reason") == "CrashLoopBackOff" for one in states)


def _refuses(changed: str, pod: Resource, log: str) -> bool:
    """Tell whether a pod refuses the ConfigMap's text for sure: it has never had an earlier one."""
    made = str(pod["metadata"].get("creationTimestamp", ""))
    return _crashes(pod) and bool(refusal(log)) and "" < changed < made


def running(cluster: Cluster) -> Observation:
    """Whether each CoreDNS pod logs the hash of the ConfigMap's Corefile as its last one."""
    return _running(cluster, f"wait for the reload, or {_RESTART}", NAME)


def _running(cluster: Cluster, advice: str, names: str) -> Observation:
    pods = pods_not_terminating(cluster)
    logs = [log_of(cluster, pod.name) for pod in pods]
    found = running_in(_corefile(cluster), logs)
    seen = f"{found.current} of {found.total} CoreDNS pods run the Corefile of the ConfigMap"
    if found.total and found.current == found.total:
        return passed(seen)
    if crashes := sum(map(_crashes, pods)):
        seen += f", {crashes} in CrashLoopBackOff"
    changed = last_change(cluster.get("configmap", CONFIGMAP, SYSTEM))
    if found.final or any(map(functools.partial(_refuses, changed), pods, logs)):
        refused = f"{seen}; CoreDNS refused it: {found.refused}"
        return failed(refused, "all of them", _refusal_step(cluster, names))
    if found.refused or crashes:
        said = f"; one refused a Corefile: {found.refused}" if found.refused else ""
        return not_yet(f"{seen}{said}", "all of them", _refusal_step(cluster, names))
    return not_yet(seen, "all of them", advice)


def _refusal_step(cluster: Cluster, names: str) -> str:
    """Return what to do about a refusal: a restart would end the pods that still answer."""
    log = f"`{_LOGS}` in a terminal shows the log of CoreDNS, which may be about an earlier text"
    if not names:
        return f"{log}; wait two minutes and check again"
    return f"{log}; if the Corefile still has it, do not restart, but {_anew(cluster, names)}"


def running_again(cluster: Cluster) -> Observation:
    """Whether each CoreDNS pod runs the Corefile that was restored."""
    seen = _running(cluster, f"wait for the reload, or {_RESTART}", "")
    if not seen.retryable or "CrashLoopBackOff" not in seen.observed:
        return seen
    # What was restored ran before, and a pod that crashes is started again ever more seldom.
    return replace(
        seen, next_step=then("start new pods, which read the restored Corefile", _RESTART)
    )


def reloaded(cluster: Cluster) -> Observation:
    """Whether each CoreDNS pod took the Corefile over while it ran."""
    # After a restart nobody could see any more that it reloads.
    advice = "wait for the reload, up to two minutes; do not restart CoreDNS"
    seen = _running(cluster, advice, _BOTH)
    if seen.state is not State.PASS:
        return seen
    histories = [logged_configurations(log) for log in logs_of_all(cluster)]
    began = sum(len(set(history)) == 1 for history in histories)
    if began:
        return failed(
            f"{began} of {len(histories)} CoreDNS pods started with this Corefile",
            "pods that reloaded it while they ran: their logs show an earlier hash",
            then(
                f"give {ADDRESS} another name, and do not restart CoreDNS",
                *_another_name(cluster),
            ),
        )
    return passed(f"{len(histories)} CoreDNS pods loaded it without a restart")


def _another_name(cluster: Cluster) -> tuple[str, str]:
    """Return what gives the address a name that the Corefile has not: else nothing would change."""
    text, hosts = _corefile(cluster), _hosts(cluster)
    names = [NAME, SECOND_NAME]
    names += [next(name for n in itertools.count(1) if (name := f"again-{n}.{NAME}") not in text)]
    if isinstance(hosts, Hosts):
        return _text(hosts.corrected(ADDRESS, names)), _SET
    return _text(_block(" ".join(names))), _SET


def restored(cluster: Cluster) -> Observation:
    """Whether the ConfigMap is as the backup held it, and the backup has been used."""
    now = _corefile(cluster)
    if waiting := cluster.saved(CONFIGMAP, SYSTEM):
        if (waiting.get("data") or {}).get("Corefile") == now:
            return not_started(
                "the Corefile is already the one in the backup, but the backup is not restored yet",
                "the backup restored: until then no new backup is made",
                _RESTORE,
            )
        return not_started(
            "the backup is not restored yet", "the Corefile from the backup", _RESTORE
        )
    used = cluster.saved(CONFIGMAP, SYSTEM, restored=True)
    if used is None:
        return not_started(
            "there was no backup", "the lab finished, and its backup restored", _BACKUP
        )
    if (used.get("data") or {}).get("Corefile") != now:
        return failed(
            "the Corefile was changed after the restore",
            "the restored Corefile",
            f"restore it again: {edit_command(_RESTORED)}",
        )
    return passed("its Corefile is the one in the backup")


def _first_to_see(cluster: Cluster, transcript: Any) -> Any:
    """Which plugin saw the query: only `hosts` knows the address of the block's entry."""
    stands = entry(cluster)
    if stands.state is not State.PASS:
        return stands
    expected = f"what nslookup {NAME} printed in a pod, with an address"
    if transcript is None:
        return not_started("no answer was passed to the check", expected, "")
    answers = str(transcript).partition("Name:")[2]
    name, *rest = answers.split() or [""]
    if bare(name) != NAME:
        # NXDOMAIN too: so a pod answers that does not run the entry yet.
        again = then("a few seconds after a restart", _CHECK_ANSWER)
        return not_started(
            f"the answer passed to the check has no address for {NAME}", expected, again
        )
    return "hosts" if ADDRESS in rest else "forward"


def _code_of_others(cluster: Cluster, answers: Any) -> Any:
    """The code that a trial without `fallthrough` gave for names that are not in its block."""
    hosts = _hosts(cluster)
    if isinstance(hosts, Observation):
        return hosts
    ours = hosts.names
    given = [one for one in answers if isinstance(one, Answer)] if _is_rows(answers) else []
    if not given:
        return _no_trial("no answers of a trial were passed to the check", _TWO_NAMES)
    others = [one for one in given if bare(one.name) not in ours]
    # Without an answer from its block the trial may have had no block at all.
    if not any(one.rdata for one in given if one not in others):
        return _no_trial(f"the trial gave no address for {NAME}", _TWO_NAMES)
    if not others:
        return _no_trial(f"the trial queried no name but {NAME}", _TWO_NAMES)
    passed_on = next((one for one in others if one.rcode != _REFUSED), None)
    if passed_on:
        return failed(
            f"the trial passed to the check gave {passed_on.rcode} for {passed_on.name}: its "
            f"hosts passed that name on",
            "a trial without `fallthrough`",
            "",
        )
    return _REFUSED


def _is_rows(answers: Any) -> bool:
    return isinstance(answers, Sequence) and not isinstance(answers, str)


def _ttls(cluster: Cluster, ttls: Any) -> Any:
    """The TTLs that the two trials gave."""
    hosts = _hosts(cluster)
    if isinstance(hosts, Observation):
        return hosts
    if ttls is None:
        return _no_trial("no answers of a trial were passed to the check", _TWO_TRIALS)
    if not isinstance(ttls, Mapping) or set(ttls) != set(_TRIALS):
        return _no_trial("the value passed to the check is not from the two trials", _TWO_TRIALS)
    seen = {trial: _ttl(ttls[trial]) for trial in _TRIALS}
    for trial, ttl in seen.items():
        if ttl is None:
            return _no_trial(f"the trial {trial} gave no record", _TWO_TRIALS)
        # Only the learner has the answers: numbers that no such trial gives are not of one.
        if ttl not in _POSSIBLE[trial]:
            return _no_trial(f"the trial {trial} cannot give the TTL {ttl}", _TWO_TRIALS)
    return seen


def _ttl(given: Any) -> int | None:
    """Return the TTL in what a trial returned: a number, an answer, or answers."""
    if _is_rows(given):
        given = next((one for one in given if getattr(one, "name", "") == NAME), None)
    if isinstance(given, Answer):
        given = given.ttl if bare(given.name) == NAME else None
    return given if isinstance(given, int) else None


def _no_trial(seen: str, wanted: str) -> Observation:
    return not_started(seen, f"what coredns.try_corefile returned {wanted}", "")


_BLOCK = f"""\
hosts = \"\"\"
hosts {{
    {ADDRESS} {NAME}
    fallthrough
}}
\"\"\"
cluster.edit_configmap(
    "coredns", "Corefile", lambda text: coredns.set_plugin(text, hosts), "kube-system"
)
"""
_ROLLOUT = f"""\
before = coredns.running_configurations(cluster)
{_RESTART}
cluster.rollout_status("deployment/coredns", "kube-system")
coredns.wait_for_restart(cluster, before)
"""

# The hashes in a form that can be compared by eye.
_HASHES = "print({pod: x[:8] for pod, x in coredns.running_configurations(cluster).items()})"
_SAVED = """\
saved = cluster.saved("coredns", "kube-system")
saved = saved or cluster.saved("coredns", "kube-system", restored=True)
print(saved["data"]["Corefile"] if saved else "there is no backup")"""
_EXTEND = f"""\
before = coredns.running_configurations(cluster)
{_text(_block(_BOTH))}
{_SET}
coredns.wait_for_reload(cluster, before)
"""

CHECKPOINTS = (
    Definition(
        id="hosts-01",
        notebook=NOTEBOOK,
        title="The entry",
        criteria=(
            Criterion("hosts-01.backup", "The ConfigMap was backed up before the edit", 1, backup),
            Criterion("hosts-01.entry", f"hosts in {_ZONE} resolves {NAME} to {ADDRESS}", 2, entry),
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
            f"Compare the content of the server block `{_ZONE}` with the goal: a block `hosts` "
            f"with the line `{ADDRESS} {NAME}`, and `fallthrough` as its last line. Then compare "
            "the hash that each CoreDNS pod logs with the one from before the edit."
            f"\n\n{_SHOW}\n{_HASHES}",
            "Back up, add the block, and wait until no pod is left that read the old text. "
            "`set_plugin` replaces an existing block `hosts`."
            f"\n\n{_BACKUP}\n{_ADD}\n{_ROLLOUT}",
        ),
        solution=f"{_BACKUP}\n{_BLOCK}{_ROLLOUT}",
    ),
    Definition(
        id="hosts-02",
        notebook=NOTEBOOK,
        title="The plugin that gets the query first",
        criteria=(
            Prediction(
                "hosts-02.plugin",
                "The plugin that you predicted",
                1,
                f"which plugin sees a query for {NAME} first, hosts or forward?",
                'prediction = "…"',
                _first_to_see,
                takes="answer",
                gather=_ANSWER,
                choices=("hosts", "forward"),
            ),
        ),
        hints=(
            "Look at the answer of `nslookup`: an address, or NXDOMAIN?",
            f"Compare the address with what the two plugins know: `{ADDRESS}` is in the block "
            f"`hosts`, and the resolver behind `forward` does not know the name.",
            'Set `prediction` to the plugin that can give this answer, "hosts" or "forward". '
            f"Then look up the name in a pod:\n\n{_CHECK_ANSWER}",
        ),
        solution=f'prediction = "hosts"\n{_CHECK_ANSWER}\n',
    ),
    Definition(
        id="hosts-03",
        notebook=NOTEBOOK,
        title="A second name, without a restart",
        criteria=(
            Criterion("hosts-03.name", f"{ADDRESS} is {SECOND_NAME} too", 1, second_name),
            Criterion(
                "hosts-03.reload",
                "Every CoreDNS pod reloaded this Corefile without a restart",
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
            f"two minutes, and no restart.\n\n{_SHOW}\n{_HASHES}",
            f"Save the hashes, add the block with both names, and wait for the reload. When the "
            f"edit says *unchanged*, there will be no reload.\n\n{_EXTEND}",
        ),
        solution=_EXTEND,
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
                "without fallthrough in the block hosts, which code comes back for a name that "
                "is not in it, NOERROR, NXDOMAIN or SERVFAIL?",
                'prediction = "…"',
                _code_of_others,
                takes="broken",
                gather=_BROKEN,
                choices=("NOERROR", "NXDOMAIN", "SERVFAIL"),
            ),
        ),
        hints=(
            "Look at what a trial without `fallthrough` answers for a name that is not in its "
            f"block, {_OTHERS[0]}:\n\n{_BROKEN}\nprint(broken)",
            "Compare the code of that name with your prediction: did `hosts` answer that the "
            "name does not exist, or that it failed?",
            "`without` is a Corefile whose block `hosts` has no line `fallthrough`, and `broken` "
            "holds the answers of a CoreDNS with it. `broken[1].rcode` is the code of the second "
            "name. "
            f"Put it into `prediction`, and check again:\n\n{_CHECK_BROKEN}",
        ),
        solution=f'prediction = "SERVFAIL"\n{_CHECK_BROKEN}\n',
    ),
    Definition(
        id="hosts-05",
        notebook=NOTEBOOK,
        title="The TTL of an answer",
        criteria=(
            Prediction(
                "hosts-05.ttl",
                "The TTLs that you predicted",
                1,
                f"which TTL does a client see for {NAME}, without the plugin cache, and with "
                "cache 30?",
                f'prediction = {{"{_TRIALS[0]}": "…", "{_TRIALS[1]}": "…"}}',
                _ttls,
                takes="observed",
                gather=_OBSERVED,
                units=("s", "sec", "second", "seconds"),
            ),
        ),
        hints=(
            "Look at the TTL in the answers of two trials, one without `cache` and one with it:"
            f"\n\n{_OBSERVED}\nprint(uncached, cached, sep='\\n')",
            "Compare the two: which plugin comes first in "
            '`eksnet.data.load_table("coredns_plugin_order")`, `cache` or `hosts`? What does '
            "the number after `cache` mean?",
            "`with_it` is a Corefile whose block `hosts` has the line `fallthrough`, `with_cache` "
            "the same with the line `cache 30`. `print(observed)` shows the TTL of each trial. "
            "Put both numbers into `prediction`, a dict with the keys "
            f"{' and '.join(f'`{key!r}`' for key in _TRIALS)}, "
            f"and check again:\n\n{_CHECK_OBSERVED}",
        ),
        solution=(
            f'prediction = {{"{_TRIALS[0]}": 3600, "{_TRIALS[1]}": 30}}\n{_CHECK_OBSERVED}\n'
        ),
    ),
    Definition(
        id="hosts-06",
        notebook=NOTEBOOK,
        title="The original state restored",
        criteria=(
            Criterion("hosts-06.restored", "The ConfigMap equals its backup", 1, restored),
            Criterion(
                "hosts-06.running",
                "Every CoreDNS pod runs it",
                1,
                running_again,
                needs=("hosts-06.restored",),
                wait=_TAKEN_OVER,
            ),
        ),
        hints=(
            "Look at the Corefile in the ConfigMap `coredns`, and at what the pods run.",
            "Compare the Corefile with the one in the backup, and the hashes that the pods log, "
            "which must be the same in all pods and equal to those from before the edit."
            f"\n\n{_SHOW}\n{_SAVED}\n{_HASHES}",
            "Restore, and wait until no pod is left that read the old text:\n\n"
            f"{_RESTORE}\n{_ROLLOUT}",
        ),
        solution=f"{_RESTORE}\n{_ROLLOUT}",
    ),
)
