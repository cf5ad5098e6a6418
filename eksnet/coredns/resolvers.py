"""For each resolver the program that looks a name up with it in a pod, and what that one found."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eksnet.dns.profiles import profile_called

if TYPE_CHECKING:
    from eksnet.cluster import Exec

# busybox names the server first; what it found comes behind each name.
_NSLOOKUP_FOUND = re.compile(r"^Name:.*\nAddress: (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Program:
    """A program that looks a name up.

    Attributes:
        image: An image that has it.
        stays: What keeps a container of the image running.
        command: From a name to the command that looks it up, once.
        found: From what the command gave to the types found: A, AAAA, both or none.
    """

    image: str
    stays: tuple[str, ...]
    command: Callable[[str], tuple[str, ...]]
    found: Callable[[Exec], frozenset[str]]


def program_of(profile: str) -> Program:
    """Return the program for a resolver.

    Raises:
        EksnetError: No such resolver.
    """
    return _PROGRAMS[profile_called(profile).name]


def _kinds(addresses: list[str]) -> frozenset[str]:
    return frozenset("AAAA" if ":" in address else "A" for address in addresses)


def _getent_found(done: Exec) -> frozenset[str]:
    return _kinds([line.split()[0] for line in done.stdout.splitlines()])


def _nslookup_found(done: Exec) -> frozenset[str]:
    return _kinds(_NSLOOKUP_FOUND.findall(done.stdout))


def _connect_found(done: Exec) -> frozenset[str]:
    # It says whether there was an address, and not which.
    return frozenset() if done.stderr.startswith("DNS:") else frozenset({"A", "AAAA"})


def _getent(name: str) -> tuple[str, ...]:
    return "getent", "ahosts", name


def _nslookup(name: str) -> tuple[str, ...]:
    return "nslookup", name


def _connect(name: str) -> tuple[str, ...]:
    # With TCP and UDP it looks the name up twice, before it connects and when it does. That nobody
    # answers SCTP there plays no part.
    return "/agnhost", "connect", f"{name}:80", "--protocol=sctp", "--timeout=1s"


_SLEEP = ("sleep", "infinity")
_PROGRAMS = {
    "glibc": Program("debian:12", _SLEEP, _getent, _getent_found),
    "musl": Program("alpine:3.22", _SLEEP, _getent, _getent_found),
    "go": Program(
        "registry.k8s.io/e2e-test-images/agnhost:2.53", ("/agnhost", "pause"), _connect,
        _connect_found,
    ),
    "busybox": Program("busybox:1.36", _SLEEP, _nslookup, _nslookup_found),
}  # fmt: skip
