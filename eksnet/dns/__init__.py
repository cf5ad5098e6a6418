"""The dns room: resolv.conf and the walk that resolvers make through its search list.

Pure models: text and numbers in, frozen dataclasses out. No cluster, no widgets. What is done about
DNS on a live cluster is the room coredns; `diagnose` and the faults can be called by this name too.
"""

from __future__ import annotations

from typing import Any

from eksnet.dns.profiles import PROFILES, Profile, Question
from eksnet.dns.records import Record, dashed, records
from eksnet.dns.replies import Answers, Reply, autopath, given_answers, marks
from eksnet.dns.resolvconf import POLICIES, ResolvConf, pod_resolv_conf
from eksnet.dns.walk import (
    Attempt,
    Walk,
    candidates,
    compare,
    remedies,
    search_walk,
    walk_of_questions,
)

__all__ = [
    "POLICIES",
    "PROFILES",
    "Answers",
    "Attempt",
    "Profile",
    "Question",
    "Record",
    "Reply",
    "ResolvConf",
    "Walk",
    "autopath",
    "candidates",
    "compare",
    "dashed",
    "given_answers",
    "marks",
    "pod_resolv_conf",
    "records",
    "remedies",
    "search_walk",
    "walk_of_questions",
]

_ON_A_CLUSTER = ("bring_fault", "diagnose", "take_back_faults")


def __getattr__(name: str) -> Any:
    """Return what is done on a live cluster; loaded only then, for it builds on this room."""
    if name not in _ON_A_CLUSTER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from eksnet import coredns

    return getattr(coredns, name)


def __dir__() -> list[str]:
    return sorted((*__all__, *_ON_A_CLUSTER))
