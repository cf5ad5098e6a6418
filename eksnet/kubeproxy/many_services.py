"""Real Services in growing numbers, and the rules that the real kube-proxy writes for them.

kube-proxy hands what has changed to the kernel in one message. Who is not the computer's own root
may send at most what a socket holds, usually 208 KiB, which is some 300 rules. So the Services
come and go in steps that fit, and each step is awaited on every node.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eksnet import inputs
from eksnet.cluster.countdown import until
from eksnet.cluster.faults import require_sandbox
from eksnet.errors import EksnetError
from eksnet.kubeproxy.observe import read_configuration, read_rules, wait_for_rules
from eksnet.kubeproxy.rule_counts import MOST_SERVICES, Counts, counts, example, predict_rule_counts
from eksnet.kubeproxy.settings import Node
from eksnet.listing import Listing

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

NAMESPACE = "many"
ENDPOINTS = 3
_PER_SERVICE = {"iptables": 1 + 3 * ENDPOINTS, "nftables": 1 + 2 * ENDPOINTS}
LARGEST = {"iptables": 150, "nftables": 400}
"""The most Services that were seen to go well in a sandbox; more are refused."""
# How many rules to let kube-proxy write at once.
_AT_ONCE = 220
_LEAVE_AT_ONCE = 50
_NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
_COLUMNS = (
    *("mode", "services", "rules predicted", "rules observed"),
    *("elements predicted", "elements observed"),
)
# What is sent is small: a few at a time keep the API server busy.
_SENDERS = 4


@dataclass(frozen=True)
class AddedRules:
    """The rules that so many Services add to a node.

    Attributes:
        mode: iptables or nftables.
        services: How many Services.
        predicted: Rules, and elements of sets and maps, as the model has them.
        observed: The same as the node has them.
    """

    mode: str
    services: int
    predicted: Counts
    observed: Counts


def count_added_rules(
    cluster: Cluster, sizes: Iterable[int], timeout: float = 60
) -> Listing[AddedRules]:
    """Apply Services with three endpoints each, and count what they add to the first node's rules.

    They are in the namespace `many`, have addresses of nobody, and are gone afterwards.

    Args:
        cluster: The cluster; only the sandbox.
        sizes: Numbers of Services, up to `LARGEST` of the mode.
        timeout: How long at most to wait for each step, in seconds.

    Raises:
        EksnetError: It is not the sandbox, a number is too large, or the rules did not come.
    """
    require_sandbox(cluster, "this number of Services would load every node")
    inputs.seconds(timeout)
    wanted = sorted(inputs.count(one, "the number of Services", 0, MOST_SERVICES) for one in sizes)
    settings = read_configuration(cluster)
    _refuse_too_many(settings.mode, wanted)
    predicted = predict_rule_counts([0, *wanted], ENDPOINTS, settings)
    try:
        many = _Many(cluster, settings.mode, timeout)
        observed = [many.go_to(size) for size in wanted]
        many.go_to(0)
    finally:
        # Its Services are gone. The namespace controller lets five seconds pass before it looks.
        cluster.delete(f"namespace/{NAMESPACE}", wait=False)
    none, *some = [(one.rules, one.elements) for one in predicted]
    found = tuple(
        AddedRules(settings.mode, size, _less(model, none), real)
        for size, model, real in zip(wanted, some, observed, strict=True)
    )
    return Listing(_COLUMNS, tuple(map(_row, found)), found)


def _row(one: AddedRules) -> tuple[str, ...]:
    pairs = zip(one.predicted, one.observed, strict=True)
    return one.mode, str(one.services), *(str(count) for pair in pairs for count in pair)


def _refuse_too_many(mode: str, sizes: Sequence[int]) -> None:
    if max(sizes, default=0) > LARGEST[mode]:
        raise EksnetError(
            f"{max(sizes)} Services in mode {mode}",
            f"at most {LARGEST[mode]}: with more, kube-proxy cannot send the rules to the kernel "
            f"here",
            "kubeproxy.predict_rule_counts predicts any number",
        )


def _less(counts: Counts, others: Counts) -> Counts:
    return counts[0] - others[0], counts[1] - others[1]


class _Many:
    """The Services in the namespace, and what they add to each node's rules."""

    def __init__(self, cluster: Cluster, mode: str, timeout: float) -> None:
        self._cluster, self._mode, self._timeout = cluster, mode, timeout
        self._texts = [
            "\n---\n".join(map(json.dumps, pair))
            for pair in zip(*example(LARGEST[mode], ENDPOINTS, NAMESPACE), strict=True)
        ]
        self._there = 0
        # What a run that was interrupted has left would be there before, and add nothing.
        cluster.delete(f"namespace/{NAMESPACE}")
        cluster.apply(json.dumps(_NAMESPACE))
        self._nodes = [Node.from_object(one) for one in cluster.list("nodes")]
        self._before = [counts(wait_for_rules(cluster, node)) for node in self._nodes]

    def go_to(self, size: int) -> Counts:
        """Apply or delete Services until there are so many; return what they add on a node."""
        while self._there < size:
            self._move(self._cluster.apply, min(size, self._there + self._room()))
        while self._there > size:
            self._move(self._leave, max(size, self._there - _LEAVE_AT_ONCE))
        return self._more()[0]

    def _leave(self, text: str) -> None:
        self._cluster.delete_manifest(text, wait=False)

    def _expected(self) -> int:
        return self._there * _PER_SERVICE[self._mode]

    def _room(self) -> int:
        """Return how many Services may come at once.

        In mode iptables the one rule that finds a Service is written anew for all of them.
        """
        if self._mode == "iptables":
            return (_AT_ONCE - self._there) // _PER_SERVICE[self._mode]
        return _AT_ONCE // _PER_SERVICE[self._mode]

    def _move(self, send: Callable[[str], object], to: int) -> None:
        first, last = sorted((self._there, to))
        with ThreadPoolExecutor(_SENDERS) as pool:
            list(pool.map(send, self._texts[first:last]))
        self._there = to
        rules = self._expected()
        if not until(
            f"the rules of {to} Services",
            lambda: all(more[0] == rules for more in self._more()),
            self._timeout,
            poll=0.2,
        ):
            raise EksnetError(
                f"after {self._timeout:.0f} s, {to} Services have added {self._more()} rules and "
                f"elements",
                f"{rules} rules on each node",
                "kubeproxy.switch_mode(cluster, MODE) restarts kube-proxy",
            )

    def _more(self) -> list[Counts]:
        now = [counts(read_rules(self._cluster, node)) for node in self._nodes]
        return [_less(one, before) for one, before in zip(now, self._before, strict=True)]
