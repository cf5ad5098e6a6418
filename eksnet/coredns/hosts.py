"""The plugin `hosts`: what its block says, what keeps questions from it, and how to correct it.

Source: plugin/hosts/setup.go (hostsParse) and hostsfile.go of CoreDNS 1.14.3.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eksnet import inputs
from eksnet.coredns.corefile import Corefile, Plugin, ServerBlock, address, read_plugins
from eksnet.coredns.plugins import known_plugins
from eksnet.coredns.zones import covers, renames

OPTIONS = frozenset({"fallthrough", "no_reverse", "reload", "ttl"})
"""What else than entries its block may hold."""

Lines = tuple[tuple[str, ...], ...]
_INDENT = "    "


@dataclass(frozen=True)
class Hosts:
    """A block `hosts`.

    Attributes:
        text: The text in which it stands.
        plugin: The use of the plugin.
        server: The server block that it is in.
        others: The other server blocks.
    """

    text: str
    plugin: Plugin
    server: ServerBlock
    others: tuple[ServerBlock, ...] = ()

    @property
    def zones(self) -> tuple[str, ...]:
        """The zones for which it answers, after its file; empty for those of the server block."""
        return self.plugin.lines[0][2:]

    @property
    def lines(self) -> Lines:
        """The lines inside it."""
        return self.plugin.lines[1:]

    @property
    def names(self) -> frozenset[str]:
        """Every name that it knows."""
        return frozenset(name for line in self.lines for name in _names(line))

    def addresses(self, name: str) -> list[str]:
        """The addresses of a name."""
        return [line[0] for line in self.lines if name in _names(line)]

    def names_of(self, address: str) -> list[str]:
        """The names of an address, in their order."""
        return [name for line in self.lines if line[0] == address for name in _names(line)]

    def elsewhere(self, name: str) -> str:
        """Return the key of a server block that answers for a name; empty for none."""
        keys = (key for other in self.others for key in other.keys)
        return next((key for key in keys if answers_for(key, name)), "")

    def misses(self, name: str) -> bool:
        """Tell whether the zones that it names leave a name out."""
        return bool(self.zones) and not any(covers(zone, name) for zone in self.zones)

    def diverted(self, name: str) -> str:
        """Return what keeps questions for a name from it; empty when they come to it."""
        if key := self.elsewhere(name):
            return f"the server block {key} answers for {name} instead"
        if any(renames(line, name) for line in self.server.lines("rewrite")):
            return f"rewrite gives {name} another name before hosts sees it"
        if self.misses(name):
            return f"hosts answers only for {' '.join(self.zones)}"
        return ""

    def corrected(self, address: str, names: Sequence[str]) -> str:
        """Return its lines with an address for names, and `fallthrough` as its last line.

        All else that it says stays, its comments too. A line that no entry is, or that has nothing
        but these names for another address, becomes a comment.
        """
        head = list(self.plugin.lines[0])
        if self.misses(names[0]):
            head.append(names[0])
        body: list[str] = []
        entry = [address, *names]
        for words, line, comment in _written(self.text, self.plugin):
            kept = [word for word in words[1:] if bare(word) not in names]
            if not words or (words[0] in OPTIONS and words[0] != "fallthrough"):
                body.append(line)
            elif words[0] == address:
                entry += kept
                body += [comment] if comment else []
            elif words[0] == "fallthrough":
                body += [comment] if comment else []
            elif not inputs.is_address(words[0]) or not kept:
                body.append(f"# {line}")
            else:
                body.append(line if len(kept) == len(words) - 1 else " ".join([words[0], *kept]))
        lines = [*body, " ".join(dict.fromkeys(entry)), "fallthrough"]
        return "\n".join([f"{' '.join(head)} {{", *(_INDENT + line for line in lines), "}"])


def hosts_of(tree: Corefile, zone: str) -> Hosts | None:
    """Return the block `hosts` of the server block for a zone; None when there is none."""
    for server in tree.blocks:
        if server.serves(zone) and (uses := server.uses("hosts")):
            others = tuple(other for other in tree.blocks if other is not server)
            return Hosts(tree.text, uses[0], server, others)
    return None


def hosts_from(text: str, tree: Corefile, server: ServerBlock) -> Hosts:
    """Return the block `hosts` that lines of a Corefile were to be.

    Args:
        text: The lines, with `hosts` as their first word.
        tree: The Corefile.
        server: The server block that they are in.
    """
    return Hosts(text, read_plugins(text, tree)[0], server)


def meant_for_hosts(server: ServerBlock, words: frozenset[str]) -> Iterator[Plugin]:
    """Yield the uses of plugins that CoreDNS does not know and that were to be `hosts`.

    Args:
        server: The server block.
        words: Names and addresses that give it away.
    """
    for plugin in server.plugins:
        if plugin.name not in known_plugins():
            said = {bare(word) for line in plugin.lines for word in line}
            if _looks_like_hosts(plugin.name) or said & words:
                yield plugin


def late_entry(plugin: Plugin) -> str:
    """Return the first word of an entry after `fallthrough`, where CoreDNS refuses it; or empty."""
    passed_on = False
    for words in plugin.lines[1:]:
        if passed_on and words[0] not in OPTIONS:
            return words[0]
        passed_on = passed_on or words[0] == "fallthrough"
    return ""


def answers_for(key: str, name: str) -> bool:
    """Tell whether a server block with a key answers DNS for a name on port 53."""
    scheme, zone, port = address(key)
    return (scheme, port) == ("dns", "53") and covers(zone, name)


def bare(name: str) -> str:
    """Return a name as names are compared."""
    return name.lower().rstrip(".")


def _looks_like_hosts(name: str) -> bool:
    return bool(difflib.get_close_matches(name.lower(), ["hosts"]))


def _names(line: tuple[str, ...]) -> list[str]:
    return [bare(word) for word in line[1:]]


def _written(text: str, plugin: Plugin) -> Iterator[tuple[list[str], str, str]]:
    """Yield the lines inside a block as they are written: the words, the line, and its comment."""
    own = [token for token in plugin.tokens if not token.via]
    if len(own) < 2 or own[-1].text != "}":
        return
    opening = next(token for token in own if token.text == "{")
    place = opening.end
    for line in text[opening.end : own[-1].start].split("\n"):
        inside = [one for one in own if place <= one.start < place + len(line)]
        last = inside[-1].end - place if inside else 0
        place += len(line) + 1
        if line.strip():
            yield [one.text for one in inside], line.strip(), line[last:].strip() if inside else ""
