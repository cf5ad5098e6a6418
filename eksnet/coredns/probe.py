"""A short-lived pod that asks its nameserver, and what it was told and answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eksnet.coredns.installed import BASH_IMAGE
from eksnet.coredns.transport import TCP, UDP, Query, command
from eksnet.dns.resolvconf import ResolvConf
from eksnet.errors import EksnetError, UnreachableError

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

INSIDE, OUTSIDE = "kubernetes.default.svc.cluster.local", "example.com"
# Refused or silent: a node sends only so many refusals a second, so the difference tells nothing.
NO_ANSWER = "no answer"
_CONF_FIRST = "cat /etc/resolv.conf\necho ---\n"


@dataclass(frozen=True)
class Probe:
    """What a pod of its own was told and answered.

    Attributes:
        conf: The pod's resolv.conf.
        answers: What came for each query, by what was asked: its answer's code, or why none came.
            `udp`, `tcp` and `outside` ask the nameserver; `udp ADDRESS` and `tcp ADDRESS` a pod.
    """

    conf: ResolvConf
    answers: Mapping[str, str]


def ask_from_a_pod(
    cluster: Cluster, namespace: str | None = None, addresses: Sequence[str] = ()
) -> Probe:
    """Run a pod that prints its resolv.conf and asks its nameserver over UDP and TCP.

    Args:
        cluster: The cluster.
        namespace: Where the pod runs; the context's own namespace when None.
        addresses: Other servers to ask as well, over both.
    """
    asked = {
        UDP: Query(INSIDE, "A"),
        TCP: Query(INSIDE, "A", TCP),
        "outside": Query(OUTSIDE, "A"),
    }
    for one in addresses:
        asked |= {f"{how} {one}": Query(INSIDE, "A", how, f"{one}/53") for how in (UDP, TCP)}
    words = command(tuple(asked.values()), together=True, before=_CONF_FIRST)
    return parse_probe(cluster.run(BASH_IMAGE, words, namespace).output, asked)


def parse_probe(output: str, asked: Mapping[str, Query]) -> Probe:
    """Return what a probe's pod printed: its resolv.conf, and the code of each answer.

    Args:
        output: resolv.conf, a line of dashes, and a line for each query; see `Query.read`.
        asked: The queries, by what they are called.

    Raises:
        EksnetError: It is something else.
    """
    text, dashes, lines = output.partition("\n---\n")
    found = lines.splitlines()
    if not dashes or len(found) < len(asked):
        raise EksnetError(
            f"the test pod printed {output.strip()[:200]!r}",
            "its resolv.conf and the DNS answers",
            f"eksnet kubectl run look --rm -it --image={BASH_IMAGE} -- cat /etc/resolv.conf",
        )
    answered = zip(asked.items(), found, strict=False)
    codes = {name: _code(query, line) for (name, query), line in answered}
    return Probe(ResolvConf.parse(text), codes)


def _code(query: Query, line: str) -> str:
    """Return the code of an answer, or why there is none."""
    try:
        return query.read(line).rcode
    except UnreachableError:
        return NO_ANSWER
    except EksnetError:
        return "not a DNS message"
