"""The kubeproxy room: Services and endpoints to rules, and the way of a packet through them.

Pure models, but for `observe`, which reads a live node, and `faults`, which break one on purpose.
"""

from __future__ import annotations

from eksnet.kubeproxy.dumps import parse_dump
from eksnet.kubeproxy.faults import inject_fault, revert_faults
from eksnet.kubeproxy.lookup_time import LookupTime, LookupTimes, measure_lookup_time
from eksnet.kubeproxy.many_services import count_added_rules
from eksnet.kubeproxy.observe import (
    last_words,
    predict_node,
    read_configuration,
    read_connections,
    read_node,
    read_rules,
    set_mode,
    switch_mode,
    wait_for_rules,
)
from eksnet.kubeproxy.packet import Connection, Packet, parse_conntrack
from eksnet.kubeproxy.predict import predict
from eksnet.kubeproxy.rule_counts import example, predict_rule_counts, rules_per_table
from eksnet.kubeproxy.ruleset import (
    Chain,
    Lines,
    Ruleset,
    differences,
)
from eksnet.kubeproxy.settings import Node, Settings, parse_settings
from eksnet.kubeproxy.shares import fair_share
from eksnet.kubeproxy.skew import version_skew
from eksnet.kubeproxy.walk import PacketWalk, PacketWalks, Step, packet_walk, packet_walks

__all__ = [
    "Chain",
    "Connection",
    "Lines",
    "LookupTime",
    "LookupTimes",
    "Node",
    "Packet",
    "PacketWalk",
    "PacketWalks",
    "Ruleset",
    "Settings",
    "Step",
    "count_added_rules",
    "differences",
    "example",
    "fair_share",
    "inject_fault",
    "last_words",
    "measure_lookup_time",
    "packet_walk",
    "packet_walks",
    "parse_conntrack",
    "parse_dump",
    "parse_settings",
    "predict",
    "predict_node",
    "predict_rule_counts",
    "read_configuration",
    "read_connections",
    "read_node",
    "read_rules",
    "revert_faults",
    "rules_per_table",
    "set_mode",
    "switch_mode",
    "version_skew",
    "wait_for_rules",
]
