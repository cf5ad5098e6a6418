"""How long the first packet takes through the rules, measured in this computer's own kernel.

The rules are the model's, in a network namespace of its own that is gone afterwards: no cluster is
asked. What is timed is a connection to the last of the Services whose endpoints refuse at once, so
nearly all of it is the way through the rules. Microseconds are this computer's; that the one mode
grows with the number of Services and the other does not is the kernel's.

All sizes are measured in turn, many times, and the quickest counts: what else the computer does
can only make a connection slower, and a slow minute of it then meets no size alone.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NoReturn

from eksnet import inputs
from eksnet.errors import EksnetError
from eksnet.kubeproxy.predict import predict
from eksnet.kubeproxy.rule_counts import MOST_SERVICES, example
from eksnet.kubeproxy.ruleset import Chain, Ruleset
from eksnet.kubeproxy.settings import MODES, Node, Settings
from eksnet.listing import Listing

_NODE = Node("node", ("10.0.128.10",))
# Where the example's pods are: here, so that the kernel refuses a connection by itself.
_PODS = "10.64.0.0/10"
# How many lines to begin with: a transaction has to fit into a socket's buffer, which only the
# computer's root may enlarge.
_AT_ONCE = 800
# What iptables-restore and nft say of a transaction that the socket does not take: EMSGSIZE in
# libc's words. They exit with 1 whatever is wrong. Source: nftables src/mnl.c.
_TOO_LONG = "Message too long"
_ROUNDS, _CONNECTIONS = 40, 100
# How many load their rules at the same time, each on a processor; then they measure in turn.
_LOADERS = 2
_PRIVATE = ("unshare", "--user", "--map-root-user", "--net", "--")
GROWS = 2.0
"""A mode grows if the largest number of Services takes more than so many times the smallest's.

From 10 Services to 5,000 the one mode takes more than ten times as long, the other hardly longer:
the bound is far from both, so that a busy computer does not change what is said.
"""


@dataclass(frozen=True)
class LookupTime:
    """One measurement.

    Attributes:
        mode: iptables or nftables.
        services: How many Services there are.
        microseconds: The time for one connection's first packet and its refusal: that of the
            quickest of many, which nothing else has held up.
    """

    mode: str
    services: int
    microseconds: float


@dataclass(frozen=True, repr=False)
class LookupTimes(Listing[LookupTime]):
    """The measurements; `widgets.curve` draws them."""

    def microseconds(self, mode: str) -> tuple[float, ...]:
        """Return a mode's times, from the smallest number of Services to the largest.

        Args:
            mode: The mode: iptables or nftables.
        """
        found = sorted((one.services, one.microseconds) for one in self if one.mode == mode)
        return tuple(microseconds for _, microseconds in found)

    def times(self, mode: str) -> float:
        """Return how many times as long the largest number of Services takes as the smallest.

        Args:
            mode: The mode: iptables or nftables.

        Raises:
            EksnetError: The mode was not measured.
        """
        inputs.one_of(mode, {one.mode for one in self}, "measurement of the mode")
        found = self.microseconds(mode)
        return found[-1] / found[0]

    @property
    def verdict(self) -> str:
        """A line for each mode: whether it grows with the number of Services, see `GROWS`."""
        modes = dict.fromkeys(one.mode for one in self)
        return "\n".join(f"{mode} {self._shape(mode)}" for mode in modes)

    def _shape(self, mode: str) -> str:
        sizes = [one.services for one in self if one.mode == mode]
        shape, bound = ("grows", "more than") if self.times(mode) > GROWS else ("stays", "at most")
        took = f"{bound} {GROWS:g} times as long as {min(sizes)}"
        return f"{shape}: {max(sizes)} Services take {took}"


def measure_lookup_time(sizes: Iterable[int], modes: Sequence[str] = MODES) -> LookupTimes:
    """Measure the first packet's way to the last of so many Services, in each mode.

    Args:
        sizes: Numbers of Services; to load 5,000 takes about ten seconds.
        modes: The modes.

    Raises:
        EksnetError: There is nothing to measure, a number or a mode is none, or this computer does
            not let a user have a network namespace with rules.
    """
    cases = [(mode, size) for mode, size in itertools.product(modes, sorted(sizes))]
    if not cases:
        raise EksnetError(
            "nothing to measure was given",
            "numbers of Services, and modes",
            "such as kubeproxy.measure_lookup_time([10, 1000])",
        )
    for mode, size in cases:
        inputs.one_of(mode, MODES, "mode")
        inputs.count(size, "the number of Services", 1, MOST_SERVICES)
    with contextlib.ExitStack() as ends:
        with ThreadPoolExecutor(_LOADERS) as pool:
            loaded = pool.map(lambda case: ends.enter_context(_Case(*case)), cases)
            started = dict(zip(cases, loaded, strict=True))
        quickest = dict.fromkeys(cases, float("inf"))
        for _ in range(_ROUNDS):
            for case, one in started.items():
                quickest[case] = min(quickest[case], one.measure())
    return LookupTimes.of(
        (LookupTime(*case, quickest[case]) for case in cases),
        {
            "mode": lambda one: one.mode,
            "services": lambda one: one.services,
            "microseconds": lambda one: f"{one.microseconds:.0f}",
        },
    )


class _Case:
    """A process with a network namespace and rules of its own, which measures when it is asked."""

    def __init__(self, mode: str, size: int) -> None:
        self._size = size
        program = f"from {__name__} import main; main({mode!r}, {size})"
        path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
        self._process = subprocess.Popen(
            [*_PRIVATE, sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PATH": path},
        )

    def __enter__(self) -> _Case:
        # It answers once its rules are loaded.
        self.measure()
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    def measure(self) -> float:
        """Return the time of the quickest of some connections, in microseconds."""
        assert self._process.stdin
        assert self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            print("measure", file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        return float(answer) if answer else self._failed()

    def _failed(self) -> NoReturn:
        assert self._process.stderr
        said = self._process.stderr.read().strip()[-300:]
        raise EksnetError(
            f"the rules of {self._size} Services cannot be measured: {said}",
            "a new network namespace, with iptables and nft",
            "eksnet up says what is missing on this computer",
        )


def main(mode: str, size: int) -> None:
    """Load rules into this process's own network namespace; measure for each line that comes in."""
    services, slices = example(size, 3)
    rules = predict(services, slices, _NODE, Settings(mode))
    _run(["ip", "link", "set", "lo", "up"])
    _run(["ip", "route", "add", "local", _PODS, "dev", "lo"])
    _run(["ip", "route", "add", "default", "dev", "lo"])
    load = _load_iptables if mode == "iptables" else _load_nftables
    load(rules)
    target = (services[-1]["spec"]["clusterIP"], 80)
    for _ in sys.stdin:
        print(min(_refusals(target)) * 1e6, flush=True)


def _refusals(target: tuple[str, int]) -> Iterator[float]:
    """Yield how long a connection takes to be refused, in seconds."""
    for _ in range(_CONNECTIONS):
        with socket.socket() as one:
            began = time.perf_counter()
            if one.connect_ex(target) == 0:
                raise EksnetError(
                    "a connection to an address without a listener was accepted",
                    "a refused connection",
                )
            yield time.perf_counter() - began


def _load_iptables(rules: Ruleset) -> None:
    """Load the table nat."""
    chains = [chain for chain in rules.chains.values() if chain.table == "nat"]
    names = {chain.name for chain in chains} | {
        word for chain in chains for rule in chain.rules for word in [rule.split()[-1]]
        if word.startswith("KUBE-")
    }  # fmt: skip
    lines = [f":{name} - [0:0]" for name in sorted(names) if name.startswith("KUBE-")]
    lines += [f"-A {chain.name} {rule}" for chain in chains for rule in chain.rules]

    def load(part: Sequence[str]) -> None:
        _run(["iptables-restore", "--noflush"], "\n".join(["*nat", *part, "COMMIT", ""]))

    _in_parts(load, lines)


def _load_nftables(rules: Ruleset) -> None:
    """Load kube-proxy's table.

    Before each transaction nft asks the kernel for all chains that are there. So a chain comes with
    its rules, and after those that it leads to; the elements come last.
    """
    table = "ip kube-proxy"
    lines = [f"add table {table}"]
    for (_, name), one in rules.sets.items():
        lines.append(f"add set {table} {name} {{ type ipv4_addr; }}")
        lines += [f"add element {table} {name} {{ {element} }}" for element in one.elements]
    for _, name in rules.maps:
        key = "inet_proto . inet_service" if name.endswith("nodeports") else (
            "ipv4_addr . inet_proto . inet_service"
        )  # fmt: skip
        lines.append(f"add map {table} {name} {{ type {key} : verdict; }}")
    for chain in _led_to_first({name: chain for (_, name), chain in rules.chains.items()}):
        hook = f"{{ type {chain.kind} hook {chain.hook} priority {chain.priority}; }}"
        lines.append(f"add chain {table} {chain.name} {hook if chain.hook else ''}")
        lines += [f"add rule {table} {chain.name} {rule}" for rule in chain.rules]
    for (_, name), elements in rules.maps.items():
        lines += [f"add element {table} {name} {{ {a} : {b} }}" for a, b in elements.items()]

    def load(part: Sequence[str]) -> None:
        _run(["nft", "-f", "/dev/stdin"], "\n".join([*part, ""]))

    _in_parts(load, lines)


def _led_to_first(chains: Mapping[str, Chain]) -> list[Chain]:
    """Return chains in an order in which each stands after those that its rules name."""
    ordered: dict[str, Chain] = {}

    def add(name: str) -> None:
        for rule in chains[name].rules:
            for word in rule.replace(",", " ").split():
                if word in chains and word not in ordered and word != name:
                    add(word)
        ordered[name] = chains[name]

    for name in chains:
        add(name)
    return list(ordered.values())


def _in_parts(load: Callable[[Sequence[str]], None], lines: Sequence[str]) -> None:
    """Load lines in order, in transactions that are halved until they fit."""
    size, at = _AT_ONCE, 0
    while at < len(lines):
        try:
            load(lines[at : at + size])
        except EksnetError as error:
            if _TOO_LONG not in str(error) or size == 1:
                raise
            size //= 2
        else:
            at += size


def _run(command: Sequence[str], text: str = "") -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EksnetError(f"{' '.join(command)}: {done.stderr.strip()[:300]}", "no error")
