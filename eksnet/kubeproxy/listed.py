"""What people paste from a terminal: `iptables -S` and `nft list ruleset`, read as the saved forms.

`iptables -S` names no table. The chains that have a policy tell it: no two tables that kube-proxy
or a network plugin writes into have the same ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from eksnet.errors import EksnetError
from eksnet.kubeproxy.ruleset import Chain, Name, NamedSet, Ruleset

# iptables -S.

_TABLES = {
    frozenset({"INPUT", "FORWARD", "OUTPUT"}): "filter",
    frozenset({"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}): "nat",
    # Before Linux 2.6.34 nat had no INPUT.
    frozenset({"PREROUTING", "OUTPUT", "POSTROUTING"}): "nat",
    frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}): "mangle",
    frozenset({"PREROUTING", "OUTPUT"}): "raw",
}
_COUNTED = re.compile(r" -c \d+ \d+")
_AGAIN = "paste all that `iptables -S` prints, or better `iptables-save`, which has all tables"


def is_iptables_list(line: str) -> bool:
    """Tell whether a text that begins with a line is what `iptables -S` prints."""
    return line.startswith(("-P ", "-N ", "-A "))


def saved_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of what `iptables -S` printed, each with its number, as iptables-save's.

    Args:
        text: What it printed: for one table, or for several ones, one after the other.

    Raises:
        EksnetError: The chains with a policy are those of no table.
    """
    numbered = [
        (number, line.strip())
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.strip().startswith("#")
    ]
    for block in _blocks(numbered):
        first = block[0][0]
        yield first, f"*{_table(block)}"
        for number, line in block:
            yield number, _saved(_COUNTED.sub("", line))
        yield block[-1][0], "COMMIT"


def _blocks(numbered: Sequence[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    """Yield the lines of each table.

    Policies come first: one after another line, or of a chain that has one, begins a new table.
    """
    block: list[tuple[int, str]] = []
    for number, line in numbered:
        if line.startswith("-P "):
            chain = line.split()[1]
            chains = [one.split()[1] for _, one in block if one.startswith("-P ")]
            if chain in chains or len(chains) < len(block):
                yield block
                block = []
        block.append((number, line))
    yield block


def _table(block: Sequence[tuple[int, str]]) -> str:
    policies = frozenset(line.split()[1] for _, line in block if line.startswith("-P "))
    if policies in _TABLES:
        return _TABLES[policies]
    raise EksnetError(
        f"line {block[0][0]}: the chains with a policy are {', '.join(sorted(policies)) or 'none'}",
        "all lines of `iptables -S`, or of `iptables -t nat -S`: their policies tell the table",
        _AGAIN,
    )


def _saved(line: str) -> str:
    kind, _, rest = line.partition(" ")
    if kind == "-P":
        return f":{rest} [0:0]"
    return f":{rest} - [0:0]" if kind == "-N" else line


# nft list ruleset.

_HEAD = re.compile(r"(?P<kind>[a-z][a-z0-9 ]*?) (?P<name>[^\s=]+) \{(?: # handle \d+)?")
_TABLE = re.compile(r"table (?P<family>\S+) (?P<name>\S+) \{(?: # handle \d+)?")
_HOOK = re.compile(
    r"type (?P<kind>\w+) hook (?P<hook>\w+)(?: device \S+)? priority (?P<priority>[^;]+);"
    r"(?: policy (?P<policy>\w+);)?"
)
_PRIORITIES = {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50,
               "srcnat": 100}  # fmt: skip
_OFFSET = re.compile(r"(?P<name>[a-z]+)(?: (?P<sign>[+-]) (?P<by>\d+))?")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(\d+)(ms|[dhms])")
_ASIDE = re.compile(r"\s+(?:counter packets \d+ bytes \d+|# handle \d+)(?=\s|$)")
_ELEMENTS_ASIDE = re.compile(
    r' (?:timeout|expires) \S+| counter packets \d+ bytes \d+| comment "[^"]*"'
)
_QUOTED = re.compile(r'"[^"]*"')
_LEAD = re.compile(r"\b(?:jump|goto) ([^\s,}]+)")
_MARK = re.compile(r"\b(?:meta )?mark (?P<operator>or|and|xor) (?P<value>0x[0-9a-f]+)")
_SIGNS = {"or": "|", "and": "&", "xor": "^"}
_OF_IPTABLES = re.compile(r"\bxt (?:match|target)\b")
_OWN = "kube-proxy"


def is_nft_list(line: str) -> bool:
    """Tell whether a text that begins with a line is what `nft list ruleset` prints."""
    return _TABLE.fullmatch(line) is not None


@dataclass
class _Block:
    """A block with its name and the lines in it; what is in braces on one line is a line."""

    head: str
    number: int
    lines: list[tuple[int, str]] = field(default_factory=list)
    inner: list[_Block] = field(default_factory=list)


def parse_nft_list(text: str) -> Ruleset:
    """Return the IPv4 rules in what `nft list ruleset` printed.

    Args:
        text: What it printed, with or without handles and counters.

    Raises:
        EksnetError: It is not whole, or is not what nft prints; the message names the line. Or the
            node's rules are iptables', of which nft shows a part alone.
    """
    listing = _Listing()
    for table in _read(text):
        found = _TABLE.fullmatch(table.head)
        if found is None:
            raise _odd(table.number, table.head)
        if found["family"] in ("ip", "inet"):
            own = found["family"] == "ip"
            listing.take(found["name"] if own else f"inet {found['name']}", table)
    return listing.ruleset()


def _read(text: str) -> list[_Block]:
    """Return the blocks of a text: tables, with chains, sets and maps in them."""
    top = _Block("", 0)
    open_, number = [top], 0
    for number, line in _whole_lines(text):
        if line == "}":
            open_.pop()
            if not open_:
                raise _odd(number, line)
        elif _begins_block(line):
            block = _Block(line, number)
            open_[-1].inner.append(block)
            open_.append(block)
        elif len(open_) > 1:
            open_[-1].lines.append((number, line))
        else:
            raise _odd(number, line)
    if len(open_) > 1:
        raise _ends_inside(number, open_[-1].head)
    return top.inner


def _whole_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that say something; what goes on until its brace is closed is one line."""
    waiting, number = "", 0
    for number, raw in enumerate(text.splitlines(), start=1):
        line = f"{waiting} {raw.strip()}".strip()
        if not line or line.startswith("#"):
            continue
        bare = _QUOTED.sub("", line)
        waiting = line if bare.count("{") > bare.count("}") and not _begins_block(line) else ""
        if not waiting:
            yield number, line
    if waiting:
        raise _ends_inside(number, waiting[:60])


def _begins_block(line: str) -> bool:
    return _HEAD.fullmatch(line) is not None


def _ends_inside(number: int, what: str) -> EksnetError:
    return EksnetError(f"line {number}: the text ends inside {what}", "`}` at its end", _WHOLE)


_WHOLE = "paste all that `nft list ruleset` prints, run as root on the node"


def _odd(number: int, line: str) -> EksnetError:
    return EksnetError(f"line {number} is {line[:60]!r}", "a line as nft prints it", _WHOLE)


class _Listing:
    """What the blocks have said so far."""

    def __init__(self) -> None:
        self._chains: dict[Name, Chain] = {}
        self._sets: dict[Name, NamedSet] = {}
        self._maps: dict[Name, Mapping[str, str]] = {}
        self._leads: dict[Name, int] = {}
        self._of_iptables = 0

    def take(self, table: str, block: _Block) -> None:
        """Take a table."""
        for one in block.inner:
            head = _HEAD.fullmatch(_ASIDE.sub("", one.head))
            kind, name = (head["kind"], head["name"]) if head else ("", "")
            if kind == "chain":
                self._chains[table, name] = self._chain(table, name, one)
            elif kind == "set":
                self._sets[table, name] = _set(one)
            elif kind == "map":
                self._maps[table, name] = dict(_pairs(one))
                for verdict in self._maps[table, name].values():
                    self._note(table, verdict, one.number)

    def _chain(self, table: str, name: str, block: _Block) -> Chain:
        hook: re.Match[str] | None = None
        rules = []
        for number, line in block.lines:
            if found := _HOOK.fullmatch(line):
                hook = found
            elif not line.startswith("comment "):
                rules.append(_rule(line))
                self._note(table, line, number)
        if hook is None:
            return Chain(table, name, tuple(rules))
        priority = _priority(hook["priority"].strip(), block.number)
        return Chain(
            table, name, tuple(rules), hook["hook"], hook["kind"], priority,
            hook["policy"] or "accept",
        )  # fmt: skip

    def _note(self, table: str, text: str, number: int) -> None:
        """Note where a rule or a verdict leads, and whether it is a rule of iptables."""
        bare = _QUOTED.sub("", text)
        for target in _LEAD.findall(bare):
            self._leads.setdefault((table, target), number)
        if _OF_IPTABLES.search(bare) and not self._of_iptables:
            self._of_iptables = number

    def ruleset(self) -> Ruleset:
        """Return the rules.

        Raises:
            EksnetError: They are iptables', there are none, or one leads nowhere.
        """
        if self._of_iptables and not any(table == _OWN for table, _ in self._chains):
            raise EksnetError(
                f"line {self._of_iptables} is a rule of iptables, but there is no table {_OWN}: "
                "kube-proxy on this node is in mode iptables",
                "the dump of iptables: nft shows only a part of these rules",
                "paste the output of `iptables-save`",
            )
        if not self._chains:
            raise EksnetError("the text has no chain for IPv4", "at least one table", _WHOLE)
        for (table, target), number in self._leads.items():
            if (table, target) not in self._chains:
                raise EksnetError(
                    f"line {number} leads to {target}, but the table {table} has no such chain",
                    "the text of the complete table",
                    _WHOLE,
                )
        return Ruleset("nftables", self._chains, self._sets, self._maps)


def _rule(line: str) -> str:
    """Return a rule without its counter and handle, with marks as newer versions of nft write."""
    return _MARK.sub(
        lambda found: f"meta mark {_SIGNS[found['operator']]} {int(found['value'], 16):#010x}",
        _ASIDE.sub("", f" {line}").strip(),
    )


def _priority(text: str, number: int) -> int:
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    found = _OFFSET.fullmatch(text)
    if found is None or found["name"] not in _PRIORITIES:
        raise _odd(number, f"priority {text}")
    by = int(found["by"] or 0)
    return _PRIORITIES[found["name"]] + (-by if found["sign"] == "-" else by)


def _set(block: _Block) -> NamedSet:
    elements = tuple(_ELEMENTS_ASIDE.sub("", one) for one in _elements(block))
    return NamedSet(elements, _timeout(block))


def _timeout(block: _Block) -> int:
    for _, line in block.lines:
        if line.startswith("timeout "):
            parts = _DURATION.findall(line)
            return sum(int(number) * _SECONDS.get(unit, 0) for number, unit in parts)
    return 0


def _pairs(block: _Block) -> Iterator[tuple[str, str]]:
    for one in _elements(block):
        key, _, value = _ELEMENTS_ASIDE.sub("", one).partition(" : ")
        yield key.strip(), value.strip()


def _elements(block: _Block) -> Iterator[str]:
    for _, line in block.lines:
        if line.startswith("elements = {"):
            inside = line.removeprefix("elements = {").strip().removesuffix("}")
            yield from filter(None, (one.strip() for one in inside.split(",")))
