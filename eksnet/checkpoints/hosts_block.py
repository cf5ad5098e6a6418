"""What 05_lab_hosts asks of the ConfigMap: a block `hosts`, its backup and its restore."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from eksnet.checkpoints.criteria import Observation, State, failed, not_started, passed, then
from eksnet.coredns.corefile import Corefile, CorefileError, Plugin, ServerBlock, read_corefile
from eksnet.coredns.editing import edit_command, set_plugin
from eksnet.coredns.hosts import (
    Hosts,
    answers_for,
    hosts_from,
    hosts_of,
    late_entry,
    meant_for_hosts,
)
from eksnet.coredns.installed import CONFIGMAP, SYSTEM
from eksnet.errors import EksnetError

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

ADDRESS, NAME, SECOND_NAME = "10.43.0.1", "myapp.local", "www.myapp.local"
BOTH_NAMES = f"{NAME} {SECOND_NAME}"
ZONE = ".:53"


def assignment(block: str) -> str:
    """Return the line that gives the block's text the notebook's name of it."""
    return f"hosts = {block!r}"


def block_of(names: str) -> str:
    """Return the block that the lesson asks for, in which the address has these names."""
    return f"hosts {{\n    {ADDRESS} {names}\n    fallthrough\n}}"


SET = edit_command("coredns.set_plugin(text, hosts)")
ADD = f"{assignment(block_of(NAME))}\n{SET}"
_REMOVE = edit_command('coredns.remove_plugin(text, "hosts")')
SHOW = 'print(cluster.get("configmap/coredns", namespace="kube-system")["data"]["Corefile"])'
_BY_HAND = edit_command('text.replace("<THE WRONG WORDS>", "<THE RIGHT ONES>")')
BACKUP = 'cluster.backup("coredns", "kube-system")'
RESTORE = 'cluster.restore("coredns", "kube-system")'
_RESTORED = 'cluster.saved("coredns", "kube-system", restored=True)["data"]["Corefile"]'


def _moved(block: str, out: str) -> str:
    """Return what puts a block in after what was to be it has gone: all that it said is in it."""
    return f"{assignment(block)}\n{edit_command(f'coredns.set_plugin({out}, hosts)')}"


def anew(cluster: Cluster, names: str = NAME) -> str:
    """Return what repairs a Corefile, whatever is wrong with it.

    That is the backup's text and the block in it. Where no backup waits, or one that has the same
    fault, it is an edit that nobody but the learner can write.
    """
    saved = cluster.saved(CONFIGMAP, SYSTEM)
    text = str((saved.get("data") or {}).get("Corefile")) if saved else ""
    try:
        found = hosts_of(read_corefile(set_plugin(text, block_of(NAME))), ZONE)
        # What CoreDNS takes cannot be told from here: the cluster ran on that text before.
        if found and not found.diverted(NAME):
            begin = "restore the backup, without the changes made since, and start again"
            return then(begin, RESTORE, BACKUP, assignment(block_of(names)), SET)
    except EksnetError:
        pass
    return then(
        "look at the text, then write the edit yourself: replace the words in < >",
        SHOW,
        _BY_HAND,
    )


def corefile_of(cluster: Cluster) -> str:
    """Return the text that the ConfigMap has now."""
    held = cluster.get("configmap", CONFIGMAP, SYSTEM).get("data") or {}
    return str(held.get("Corefile", ""))


def hosts_in(cluster: Cluster) -> Hosts | Observation:
    """Return the block `hosts`, or what is to be said when it is not there."""
    try:
        tree = read_corefile(corefile_of(cluster))
    except CorefileError as error:
        return failed(error.seen, error.expected, anew(cluster))
    if found := hosts_of(tree, ZONE):
        return _of_its_own(found)
    misplaced = (_misplaced(tree, server) for server in tree.blocks)
    return next(filter(None, misplaced), None) or _absent(tree)


def _of_its_own(hosts: Hosts) -> Hosts | Observation:
    if not hosts.plugin.snippet:
        return hosts
    return failed(
        f"the block hosts comes from the snippet {hosts.plugin.snippet}",
        f"hosts written in the server block {ZONE}",
        then(
            "look at the text, then write it there yourself: replace the words in < >",
            SHOW,
            _BY_HAND,
        ),
    )


def _absent(tree: Corefile) -> Observation:
    elsewhere = ", ".join(one.pattern for one in tree.imports)
    seen = "the Corefile has no block hosts"
    return not_started(
        f"{seen}, and what {elsewhere} holds cannot be seen" if elsewhere else seen,
        f"a block hosts with the line {ADDRESS} {NAME}",
        then("add it", ADD),
    )


def _misplaced(tree: Corefile, server: ServerBlock) -> Observation | None:
    """Return what a server block holds that was to be the block `hosts`; None when nothing was."""
    expected = f"hosts inside the server block {ZONE}, which answers for every name"
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
    edited = NAME in corefile_of(cluster)
    expected = "a backup of the ConfigMap coredns, made before the edit"
    hosts = hosts_in(cluster) if edited else None
    block = hosts.corrected(ADDRESS, [NAME]) if isinstance(hosts, Hosts) else block_of(NAME)
    again = (_REMOVE, BACKUP, assignment(block), SET)
    waiting = cluster.saved(CONFIGMAP, SYSTEM)
    if waiting is None:
        used = cluster.saved(CONFIGMAP, SYSTEM, restored=True)
        seen = "the last backup is already restored" if used else "there is no backup"
        if edited:
            out = "remove the block, back up, and add the block again"
            return failed(f"{seen}, and the Corefile has {NAME}", expected, then(out, *again))
        return not_started(seen, expected, BACKUP)
    if NAME in str((waiting.get("data") or {}).get("Corefile")):
        return failed(
            f"the Corefile in the backup already has {NAME}",
            expected,
            then("restore that backup, and make a new one without the block", RESTORE, *again),
        )
    return passed("there is a backup from before the edit, not yet restored")


def entry(cluster: Cluster) -> Observation:
    """Whether the name stands in the block with its address, and with no other."""
    return _stands(cluster, NAME, NAME)


def second_name(cluster: Cluster) -> Observation:
    """Whether the second name stands in the block too, where CoreDNS takes it."""
    first = _stands(cluster, NAME, BOTH_NAMES)
    if first.state is not State.PASS:
        return first
    hosts = hosts_in(cluster)
    others = _others(hosts) if isinstance(hosts, Hosts) else ""
    second = _stands(cluster, SECOND_NAME, BOTH_NAMES, absent=failed if others else not_started)
    if second.state is not State.PASS:
        seen = f"besides {NAME} the block has {others}, not {SECOND_NAME}"
        absent = others and isinstance(hosts, Hosts) and not hosts.addresses(SECOND_NAME)
        return replace(second, observed=seen) if absent else second
    if isinstance(hosts, Hosts) and late_entry(hosts.plugin):
        return _refused_entry(hosts, BOTH_NAMES)
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
    hosts = hosts_in(cluster)
    if isinstance(hosts, Observation):
        return hosts
    expected, correct = f"the line {ADDRESS} {names}", _correct(hosts, names)
    if addresses := hosts.addresses(name):
        if addresses != [ADDRESS]:
            return failed(f"{name} is {' and '.join(addresses)}", expected, correct)
        if diverted := hosts.diverted(name):
            asked = f"queries for it reach hosts in the server block {ZONE}"
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
    return _correct(hosts, names) if hosts.misses(name) else anew(cluster, names)


def _correct(hosts: Hosts, names: str) -> str:
    """Return what corrects the block and leaves all else in it."""
    block = hosts.corrected(ADDRESS, names.split())
    return then("put this line into the block; the other lines stay", assignment(block), SET)


def fallthrough(cluster: Cluster) -> Observation:
    """Whether the block passes on what it does not know, and the entries stand before that."""
    hosts = hosts_in(cluster)
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


def restored(cluster: Cluster) -> Observation:
    """Whether the ConfigMap is as the backup held it, and the backup has been used."""
    now = corefile_of(cluster)
    if waiting := cluster.saved(CONFIGMAP, SYSTEM):
        if (waiting.get("data") or {}).get("Corefile") == now:
            return not_started(
                "the Corefile is already the one in the backup, but the backup is not restored yet",
                "the backup restored: until then no new backup is made",
                RESTORE,
            )
        return not_started(
            "the backup is not restored yet", "the Corefile from the backup", RESTORE
        )
    used = cluster.saved(CONFIGMAP, SYSTEM, restored=True)
    if used is None:
        return not_started(
            "there was no backup", "the lab finished, and its backup restored", BACKUP
        )
    if (used.get("data") or {}).get("Corefile") != now:
        return failed(
            "the Corefile was changed after the restore",
            "the restored Corefile",
            f"restore it again: {edit_command(_RESTORED)}",
        )
    return passed("its Corefile is the one in the backup")
