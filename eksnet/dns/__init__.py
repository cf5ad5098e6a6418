"""The dns room: resolv.conf and the walk that resolvers make through its search list.

Pure models: text and numbers in, frozen dataclasses out. No cluster, no widgets.
"""

from __future__ import annotations

from eksnet.dns.resolvconf import ResolvConf, pod_resolv_conf
from eksnet.dns.walk import PROFILES, Query, Walk, candidates, search_walk

__all__ = [
    "PROFILES",
    "Query",
    "ResolvConf",
    "Walk",
    "candidates",
    "pod_resolv_conf",
    "search_walk",
]
