"""The dns room: resolv.conf and the walk that resolvers make through its search list.

Pure models: text and numbers in, frozen dataclasses out. No cluster, no widgets. What is done about
DNS on a live cluster is the room coredns.
"""

from __future__ import annotations

from eksnet.dns.profiles import PROFILES, Question
from eksnet.dns.records import Record, dashed, records
from eksnet.dns.replies import Reply, autopath, given_answers, marks
from eksnet.dns.resolvconf import (
    CLUSTER_DOMAIN,
    KUBE_DNS,
    POLICIES,
    REGION,
    ResolvConf,
    pod_resolv_conf,
)
from eksnet.dns.walk import (
    Attempt,
    Walk,
    candidates,
    compare,
    first_difference,
    remedies,
    search_walk,
    walk_of_questions,
)

__all__ = [
    "CLUSTER_DOMAIN",
    "KUBE_DNS",
    "POLICIES",
    "PROFILES",
    "REGION",
    "Attempt",
    "Question",
    "Record",
    "Reply",
    "ResolvConf",
    "Walk",
    "autopath",
    "candidates",
    "compare",
    "dashed",
    "first_difference",
    "given_answers",
    "marks",
    "pod_resolv_conf",
    "records",
    "remedies",
    "search_walk",
    "walk_of_questions",
]
