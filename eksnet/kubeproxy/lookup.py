"""How long the first packet takes through the rules, measured in this computer's own kernel.

The rules are the model's, in a network namespace of its own that is gone afterwards: no cluster is
asked. What is timed is a connection to the last of the Services whose endpoints refuse at once, so
nearly all of it is the way through the rules. Microseconds are this computer's; that the one mode
grows with the number of Services and the other does not is the kernel's.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from eksnet.errors import EksnetError
from eksnet.kubeproxy.growth import example
from eksnet.kubeproxy.predict import predict
from eksnet.kubeproxy.ruleset import Ruleset
from eksnet.kubeproxy.settings import MODES, Node, Settings
from eksnet.listing import Listing

_NODE = Node("node", ("10.0.128.10",))
# Where the example's pods are: here, so that the kernel refuses a connection by itself.
_PODS = "10.64.0.0/10"
# Outside of the first user namespace, a transaction has to fit into a socket's buffer.
_AT_ONCE = 200
_CONNECTIONS = 1000
_PRIVATE = ("unshare", "--user", "--map-root-user", "--net", "--")
_BAR = 40


@dataclass(frozen=True)
class Lookup:
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
class Lookups(Listing[Lookup]):
    """The measurements, shown as a curve of bars."""

    def times(self, mode: str) -> float:
        """Return how many times as long the largest number of Services takes as the smallest."""
        found = sorted((one for one in self if one.mode == mode), key=lambda one: one.services)
        return found[-1].microseconds / found[0].microseconds


def measure_lookup(sizes: Iterable[int], modes: Sequence[str] = MODES) -> Lookups:
    """Measure the first packet's way to the last of so many Services, in each mode.

    Args:
        sizes: Numbers of Services; 5,000 take about half a minute.
        modes: The modes.

    Raises:
        EksnetError: This computer does not let a user have a network namespace with rules.
    """
    found = tuple(
        Lookup(mode, size, _measured(mode, size)) for mode in modes for size in sorted(sizes)
    )
    longest = max(one.microseconds for one in found)
    rows = tuple(
        (
            one.mode,
            str(one.services),
            f"{one.microseconds:.0f}",
            "#" * max(1, round(_BAR * one.microseconds / longest)),
        )
        for one in found
    )
    return Lookups(("mode", "services", "microseconds", "curve"), rows, found)


def _measured(mode: str, size: int) -> float:
    program = f"from {__name__} import main; print(main({mode!r}, {size}))"
    command = [*_PRIVATE, sys.executable, "-c", program]
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
    run = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path}
    )
    if run.returncode:
        raise EksnetError(
            f"the rules of {size} Services could not be measured: {run.stderr.strip()[-300:]}",
            "a network namespace of one's own, with iptables and nft",
            "eksnet up says what this computer lacks",
        )
    return float(run.stdout)


def main(mode: str, size: int) -> float:
    """Load the rules into this process's own network namespace and measure, in microseconds."""
    services, slices = example(size, 3)
    rules = predict(services, slices, _NODE, Settings(mode))
    _run(["ip", "link", "set", "lo", "up"])
    _run(["ip", "route", "add", "local", _PODS, "dev", "lo"])
    _run(["ip", "route", "add", "default", "dev", "lo"])
    load = _load_iptables if mode == "iptables" else _load_nftables
    load(rules)
    target = (services[-1]["spec"]["clusterIP"], 80)
    return min(_refusals(target)) * 1e6


def _refusals(target: tuple[str, int]) -> Iterator[float]:
    """Yield how long a connection takes to be refused, in seconds."""
    for _ in range(_CONNECTIONS):
        with socket.socket() as one:
            began = time.perf_counter()
            if one.connect_ex(target) == 0:
                raise EksnetError("a connection to nobody was taken", "a refusal")
            yield time.perf_counter() - began


def _load_iptables(rules: Ruleset) -> None:
    """Load the table nat, a few lines at a time."""
    chains = [chain for chain in rules.chains.values() if chain.table == "nat"]
    names = {chain.name for chain in chains} | {
        word for chain in chains for rule in chain.rules for word in [rule.split()[-1]]
        if word.startswith("KUBE-")
    }  # fmt: skip
    lines = [f":{name} - [0:0]" for name in sorted(names) if name.startswith("KUBE-")]
    lines += [f"-A {chain.name} {rule}" for chain in chains for rule in chain.rules]
    for at in range(0, len(lines), _AT_ONCE):
        text = "\n".join(["*nat", *lines[at : at + _AT_ONCE], "COMMIT", ""])
        _run(["iptables-restore", "--noflush"], text)


def _load_nftables(rules: Ruleset) -> None:
    """Load kube-proxy's table, a few commands at a time."""
    table = "ip kube-proxy"
    lines = [f"add table {table}"]
    for (_, name), one in rules.sets.items():
        lines.append(f"add set {table} {name} {{ type ipv4_addr; }}")
        lines += [f"add element {table} {name} {{ {element} }}" for element in one.elements]
    for (_, name), chain in rules.chains.items():
        hook = f"{{ type {chain.kind} hook {chain.hook} priority {chain.priority}; }}"
        lines.append(f"add chain {table} {name} {hook if chain.hook else ''}")
    for (_, name), elements in rules.maps.items():
        key = "inet_proto . inet_service" if name.endswith("nodeports") else (
            "ipv4_addr . inet_proto . inet_service"
        )  # fmt: skip
        lines.append(f"add map {table} {name} {{ type {key} : verdict; }}")
        lines += [f"add element {table} {name} {{ {a} : {b} }}" for a, b in elements.items()]
    for (_, name), chain in rules.chains.items():
        lines += [f"add rule {table} {name} {rule}" for rule in chain.rules]
    for at in range(0, len(lines), _AT_ONCE):
        _run(["nft", "-f", "/dev/stdin"], "\n".join(lines[at : at + _AT_ONCE]) + "\n")


def _run(command: Sequence[str], text: str = "") -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EksnetError(f"{' '.join(command)}: {done.stderr.strip()[:300]}", "no error")
