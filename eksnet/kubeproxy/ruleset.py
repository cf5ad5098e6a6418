"""A node's rules: chains in the order of their rules, and the sets and maps that they look into.

A rule is its text, as `iptables-save` or `nft list ruleset` prints it, without counters. What
kube-proxy would write and what a node really has come in this one form and can be compared.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from eksnet.kubeproxy import services
from eksnet.listing import Listing

Name = tuple[str, str]

# kube-proxy walks through a hash table of Services: here the order of its rules is open.
_UNORDERED = {
    "KUBE-SERVICES",
    "KUBE-NODEPORTS",
    "KUBE-EXTERNAL-SERVICES",
    "KUBE-PROXY-FIREWALL",
}
_NFT_TABLE = "kube-proxy"


@dataclass(frozen=True)
class Chain:
    """A list of rules that a packet meets from the first to the last.

    Attributes:
        table: The table it is in.
        name: Its name.
        rules: The rules' texts.
        hook: Where packets enter it (prerouting, input, forward, output, postrouting); empty for a
            chain that only other chains lead to.
        kind: filter, nat or route, when it has a hook.
        priority: Lower ones at the same hook come first.
        policy: What happens at its end, accept or drop, when it has a hook.
    """

    table: str
    name: str
    rules: tuple[str, ...] = ()
    hook: str = ""
    kind: str = ""
    priority: int = 0
    policy: str = ""


@dataclass(frozen=True)
class NamedSet:
    """A set of nftables.

    Attributes:
        elements: What is in it.
        timeout: After how many seconds an element leaves it; 0 for never.
    """

    elements: tuple[str, ...] = ()
    timeout: int = 0


@dataclass(frozen=True)
class Line:
    """One rule, or one element of a map, and where it is.

    Attributes:
        table: The table.
        chain: The chain; for an element, the map's name after an @.
        text: The rule, or `key : verdict`.
    """

    table: str
    chain: str
    text: str


@dataclass(frozen=True, repr=False)
class Lines(Listing[Line]):
    """Rules in the order of their chains."""

    @property
    def mode(self) -> str:
        """The mode that they were written in: nftables has a table of its own."""
        tables = {one.table for one in self.items}
        return "nftables" if tables == {_NFT_TABLE} else "iptables"

    @property
    def endpoint_chains(self) -> frozenset[str]:
        """The chains among them that lead to one endpoint each."""
        return frozenset(one.chain for one in self.items if _is_endpoint_chain(one.chain))


def lines(found: Iterable[Line]) -> Lines:
    """Show lines as a table."""
    return Lines.of(
        found,
        {
            "table": lambda one: one.table,
            "chain": lambda one: one.chain,
            "rule": lambda one: one.text,
        },
    )


@dataclass(frozen=True, repr=False)
class Ruleset:
    """All the rules of a node, predicted or read.

    Attributes:
        mode: iptables or nftables.
        chains: The chains by table and name.
        sets: The sets by table and name; mode nftables only.
        maps: Verdicts by key, by table and name; mode nftables only.
    """

    mode: str
    chains: Mapping[Name, Chain] = field(hash=False)
    sets: Mapping[Name, NamedSet] = field(default_factory=dict, hash=False)
    maps: Mapping[Name, Mapping[str, str]] = field(default_factory=dict, hash=False)

    def __repr__(self) -> str:
        rules = sum(self.counts().values())
        elements = sum(map(len, self.maps.values()))
        text = f"<Ruleset {self.mode}: {rules} rules in {len(self.chains)} chains"
        return text + (f", {elements} map elements>" if self.maps else ">")

    def _repr_html_(self) -> str:
        return self.lines()._repr_html_()

    def to_frame(self):  # type: ignore[no-untyped-def]
        """Return every line as a data frame of text: table, chain, rule."""
        return self.lines().to_frame()

    def counts(self) -> dict[str, int]:
        """Return how many rules each table has."""
        found: dict[str, int] = {}
        for chain in self.chains.values():
            found[chain.table] = found.get(chain.table, 0) + len(chain.rules)
        return found

    @functools.cached_property
    def bases(self) -> Mapping[str, tuple[Chain, ...]]:
        """The chains that packets enter at each hook, in the order in which they do."""
        found: dict[str, tuple[Chain, ...]] = {}
        for chain in sorted(self.chains.values(), key=lambda chain: chain.priority):
            if chain.hook:
                found[chain.hook] = (*found.get(chain.hook, ()), chain)
        return found

    def lines(self) -> Lines:
        """Return every rule and every element of a map."""
        return lines(self._lines())

    def chain(self, name: str) -> Lines:
        """Return the rules of a chain, of every table that has it.

        Args:
            name: The chain's name.
        """
        return lines(line for line in self._lines() if line.chain == name)

    def owned(self) -> Ruleset:
        """Return kube-proxy's own part: others write rules too, and the kubelet leaves hints."""
        keep = _owned_by_iptables if self.mode == "iptables" else _owned_by_nftables
        chains = {
            name: Chain(**{**vars(chain), "rules": rules})
            for name, chain in self.chains.items()
            if (rules := tuple(rule for rule in chain.rules if keep(chain, rule)))
        }
        return Ruleset(
            self.mode,
            chains,
            {name: one for name, one in self.sets.items() if name[0] == _NFT_TABLE},
            {name: one for name, one in self.maps.items() if name[0] == _NFT_TABLE},
        )

    def about(self, service: services.Object) -> Lines:
        """Return the rules of one Service: what leads to its chains, and what they hold.

        They stand in the order in which a packet meets them.

        Args:
            service: The Service, as the API server returns it.
        """
        ports = list(services.service_ports(service))
        roots = frozenset().union(*(services.chain_names(port, self.mode) for port in ports))
        labels = {f'"{port.name}' for port in ports}
        reached = self._reached(roots)

        def is_its(line: Line) -> bool:
            leads = any(name in roots for name in line.text.split())
            named = any(f'{label}"' in line.text or f"{label} " in line.text for label in labels)
            return line.chain in reached or leads or named or self._has_key(line, ports)

        chosen = " ".join(rule for root in sorted(roots) for rule in self._rules_of.get(root, ()))

        def place(line: Line) -> tuple[int, int]:
            if line.chain in roots:
                return (1, 0)
            return (2, chosen.find(line.chain)) if line.chain in reached else (0, 0)

        return lines(sorted(filter(is_its, self._lines()), key=place))

    def _has_key(self, line: Line, ports: Collection[services.ServicePort]) -> bool:
        """Tell whether a map's element is for one of the ports, whatever its verdict."""
        if not line.chain.startswith("@"):
            return False
        key = line.text.partition(" : ")[0]
        return any(
            key in (f"{ip} . {port.protocol} . {port.port}", f"{port.protocol} . {port.node_port}")
            for port in ports
            for ip in (port.cluster_ip, *port.external_ips, *port.load_balancer_ips)
        )

    def _reached(self, roots: frozenset[str]) -> frozenset[str]:
        """Return the chains that are led to from some chains, without those that all share."""
        reached, ahead = set(roots), list(roots)
        while ahead:
            name = ahead.pop()
            for word in (w for rule in self._rules_of.get(name, ()) for w in rule.split()):
                word = word.rstrip(",")
                if word not in reached and _is_endpoint_chain(word):
                    reached.add(word)
                    ahead.append(word)
        return frozenset(reached)

    @functools.cached_property
    def _rules_of(self) -> dict[str, tuple[str, ...]]:
        return {chain.name: chain.rules for chain in self.chains.values()}

    def _lines(self) -> Iterator[Line]:
        for (table, name), elements in sorted(self.maps.items()):
            for key, verdict in sorted(elements.items()):
                yield Line(table, f"@{name}", f"{key} : {verdict}")
        for chain in self.chains.values():
            for rule in chain.rules:
                yield Line(chain.table, chain.name, rule)


def _is_endpoint_chain(word: str) -> bool:
    return word.startswith(("KUBE-SEP-", "endpoint-"))


def _owned_by_iptables(chain: Chain, rule: str) -> bool:
    # Built-in chains have others' jumps too; nfacct and the like stay.
    return chain.table in ("nat", "filter") and (
        chain.name.startswith("KUBE-") or " -j KUBE-" in f" {rule}"
    )


def _owned_by_nftables(chain: Chain, rule: str) -> bool:
    return chain.table == _NFT_TABLE


@dataclass(frozen=True, repr=False)
class Differences(Listing[Line]):
    """Lines that only one of two rulesets has."""

    def __bool__(self) -> bool:
        return bool(self.items)


def differences(predicted: Ruleset, observed: Ruleset) -> Differences:
    """Return what only one of two rulesets has, in kube-proxy's own part of them.

    The order of rules counts wherever kube-proxy gives one; counters never do, and what a set of
    session affinity holds does not either: that is not written by kube-proxy. Whether there are
    counters of nfacct is the kernel's affair, so where only one side has them they do not count.

    Args:
        predicted: The rules that were predicted.
        observed: The rules that a node has.
    """
    sides = (predicted.owned(), observed.owned())
    if len({_counts(side) for side in sides}) > 1:
        sides = (_uncounted(sides[0]), _uncounted(sides[1]))
    ours, theirs = map(_comparable, sides)
    found = [("predicted only", line) for line in _missing(ours, theirs)]
    found += [("observed only", line) for line in _missing(theirs, ours)]
    rows = tuple((side, line.table, line.chain, line.text) for side, line in found)
    return Differences(("side", "table", "chain", "rule"), rows, tuple(line for _, line in found))


_COUNTER = re.compile(r"-m nfacct --nfacct-name \S+ ")


def _counts(ruleset: Ruleset) -> bool:
    return any("nfacct" in rule for chain in ruleset.chains.values() for rule in chain.rules)


def _uncounted(ruleset: Ruleset) -> Ruleset:
    """Return a ruleset as a kernel without nfacct has it."""
    chains = {}
    for name, chain in ruleset.chains.items():
        # The NodePort's rule for localhost is there to count: the next one does the same.
        kept = (rule for rule in chain.rules if "localhost_nps_accepted" not in rule)
        chains[name] = replace(chain, rules=tuple(_COUNTER.sub("", rule) for rule in kept))
    return replace(ruleset, chains=chains)


_Comparable = dict[Name, tuple[str, ...]]


def _comparable(ruleset: Ruleset) -> _Comparable:
    """Return everything as lines by place, sorted where the order is open."""
    found: _Comparable = {}
    for place, chain in ruleset.chains.items():
        free = chain.hook or chain.name in _UNORDERED
        head = (f"{chain.hook} {chain.kind} {chain.priority} {chain.policy}",) if chain.hook else ()
        found[place] = (*head, *(sorted(chain.rules) if free else chain.rules))
    for (table, name), one in ruleset.sets.items():
        passing = name.startswith("affinity-")
        found[table, f"@{name}"] = (
            f"timeout {one.timeout}",
            *(() if passing else sorted(one.elements)),
        )
    for (table, name), elements in ruleset.maps.items():
        found[table, f"@{name}"] = tuple(sorted(f"{k} : {v}" for k, v in elements.items()))
    return found


def _missing(here: _Comparable, there: _Comparable) -> Iterator[Line]:
    for (table, name), rules in here.items():
        others = there.get((table, name), ())
        if rules == others:
            continue
        only = [rule for rule in rules if rule not in others]
        # The same rules in another order: then each of them counts.
        only = only or (list(rules) if set(rules) == set(others) else [])
        yield from (Line(table, name, rule) for rule in only)
