"""For each resolver the program that looks a name up with it in a pod, and what that one found."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eksnet.coredns.installed import BASH_IMAGE
from eksnet.dns.profiles import profile_called

if TYPE_CHECKING:
    from eksnet.cluster import Exec

# busybox names the server first; what it found comes behind each name.
_NSLOOKUP_FOUND = re.compile(r"^name:\s*(\S+)\naddress: (\S+)$", re.MULTILINE)
_NSLOOKUP_ALIAS = re.compile(r"^(\S+)\s+canonical name = (\S+)$", re.MULTILINE)
_NSLOOKUP_POINTER = re.compile(r"^(\S+)\s+name = \S+$", re.MULTILINE)

Found = frozenset[str] | frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Program:
    """A program that looks a name up.

    Attributes:
        image: An image that has it.
        idle_command: What keeps a container of the image running.
        command: From a name to the command that looks it up, once.
        found: From what the command gave to the types found: A, AAAA, both or none, PTR for an
            address; with the name that has them where the program says it.
    """

    image: str
    idle_command: tuple[str, ...]
    command: Callable[[str], tuple[str, ...]]
    found: Callable[[Exec], Found]


def program_of(profile: str) -> Program:
    """Return the program for a resolver.

    Raises:
        EksnetError: No such resolver.
    """
    return _PROGRAMS[profile_called(profile).name]


def _type_of(address: str) -> str:
    return "AAAA" if ":" in address else "A"


def _getent_found(done: Exec) -> frozenset[str]:
    return frozenset(_type_of(line.split()[0]) for line in done.stdout.splitlines())


def _nslookup_found(done: Exec) -> frozenset[tuple[str, str]]:
    """Return (name, type) of what was found, also for aliases: busybox asks many names at once."""
    said = done.stdout.lower()
    found = {(name, _type_of(address)) for name, address in _NSLOOKUP_FOUND.findall(said)}
    found |= {(name, "PTR") for name in _NSLOOKUP_POINTER.findall(said)}
    aliases = _NSLOOKUP_ALIAS.findall(said)
    for _ in aliases:
        found |= {(alias, rdtype) for alias, to in aliases for name, rdtype in found if name == to}
    return frozenset(found)


def _connect_found(done: Exec) -> frozenset[str]:
    # It says whether there was an address, and not which.
    return frozenset() if done.stderr.startswith("DNS:") else frozenset({"A", "AAAA"})


def _getent(name: str) -> tuple[str, ...]:
    return "getent", "ahosts", name


def _getent_utf8(name: str) -> tuple[str, ...]:
    # Without a locale that has them, glibc makes no query of a name with letters beyond ASCII.
    return "env", "LC_ALL=C.UTF-8", *_getent(name)


def _nslookup(name: str) -> tuple[str, ...]:
    return "nslookup", name


def _connect(name: str) -> tuple[str, ...]:
    # With TCP and UDP it looks the name up twice, before it connects and when it does. That nobody
    # answers SCTP there plays no part.
    return "/agnhost", "connect", f"{name}:80", "--protocol=sctp", "--timeout=1s"


_SLEEP = ("sleep", "infinity")
_PROGRAMS = {
    "glibc": Program(BASH_IMAGE, _SLEEP, _getent_utf8, _getent_found),
    "musl": Program("alpine:3.22", _SLEEP, _getent, _getent_found),
    "go": Program(
        "registry.k8s.io/e2e-test-images/agnhost:2.53", ("/agnhost", "pause"), _connect,
        _connect_found,
    ),
    "busybox": Program("busybox:1.36", _SLEEP, _nslookup, _nslookup_found),
}  # fmt: skip
