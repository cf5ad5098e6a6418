"""A Corefile that a learner hands in to a check, and what the check itself makes of it.

What a dry run showed is handed in by nobody: the check runs the text dry, so that it compares a
prediction with what CoreDNS does and not with what somebody wrote down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eksnet.checkpoints.criteria import Observation, not_started
from eksnet.coredns.corefile import CorefileError, read_corefile
from eksnet.listing import Listing

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

DryRunner = Callable[..., Any]
"""As `eksnet.dry_run`, which is in a room above this one."""


@dataclass(frozen=True)
class Trial:
    """What tries a Corefile for a check.

    Attributes:
        handed_in: What the learner gave as the Corefile; None for nothing.
        cluster: The cluster whose API the plugin `kubernetes` reads.
        dry_run: What starts CoreDNS with a text for a moment.
    """

    handed_in: Any
    cluster: Cluster
    dry_run: DryRunner

    def answers(self, corefile: str, *names: str) -> Listing[Any] | Observation:
        """Return what CoreDNS, with the Corefile that was handed in, answers to names.

        Args:
            corefile: The lesson's Corefile; to be handed in with the same words.
            names: The names that are asked for.

        Returns:
            The answers, or why there are none.

        Raises:
            EksnetError: It could not be tried.
        """
        expected = "the lesson's Corefile, as text"
        if not isinstance(self.handed_in, str):
            return not_started("no Corefile was handed in", expected, "")
        if _words(self.handed_in) != _words(corefile):
            return not_started("this is another Corefile than the lesson's", expected, "")
        run = self.dry_run(self.handed_in, *names, cluster=self.cluster)
        if len(run.answers) < len(names):
            return not_started(f"CoreDNS does not run with it: {run.refused}", expected, "")
        answers: Listing[Any] = run.answers
        return answers


def _words(corefile: str) -> list[tuple[tuple[str, ...], list[list[str]]]]:
    """Return the words of each server block; none of what CoreDNS's parser refuses."""
    try:
        blocks = read_corefile(corefile).blocks
    except CorefileError:
        return []
    return [
        (block.keys, [[token.text for token in plugin.tokens] for plugin in block.plugins])
        for block in blocks
    ]
