"""The coredns room: the Corefile, CoreDNS's query log, and the observations that need a cluster."""

from __future__ import annotations

from eksnet.coredns import addon, autoscaling, memory, replicas
from eksnet.coredns.configuration import configuration_hash
from eksnet.coredns.diagnosis import diagnose
from eksnet.coredns.editing import (
    add_plugin,
    comment_out,
    extend_plugin,
    imports,
    plugins,
    remove_plugin,
    remove_server_block,
    set_plugin,
)
from eksnet.coredns.faults import inject_fault, revert_faults
from eksnet.coredns.installed import IMAGE
from eksnet.coredns.linting import Finding, lint
from eksnet.coredns.memory_growth import measure_memory
from eksnet.coredns.observe import (
    ask,
    confirm,
    running_configurations,
    wait_for_answer,
    wait_for_configuration,
    wait_for_refusal,
    wait_for_reload,
    wait_for_restart,
    wait_until_forgotten,
    witness_walk,
)
from eksnet.coredns.querylog import LoggedQuery, observed_walk, parse_query_log
from eksnet.coredns.releases import plugin_order
from eksnet.coredns.transport import Answer
from eksnet.coredns.trial import try_corefile
from eksnet.coredns.witness import look_up, start_client, start_server
from eksnet.diagnosis import Check, Diagnosis

__all__ = [
    "IMAGE",
    "Answer",
    "Check",
    "Diagnosis",
    "Finding",
    "LoggedQuery",
    "add_plugin",
    "addon",
    "ask",
    "autoscaling",
    "comment_out",
    "configuration_hash",
    "confirm",
    "diagnose",
    "extend_plugin",
    "imports",
    "inject_fault",
    "lint",
    "look_up",
    "measure_memory",
    "memory",
    "observed_walk",
    "parse_query_log",
    "plugin_order",
    "plugins",
    "remove_plugin",
    "remove_server_block",
    "replicas",
    "revert_faults",
    "running_configurations",
    "set_plugin",
    "start_client",
    "start_server",
    "try_corefile",
    "wait_for_answer",
    "wait_for_configuration",
    "wait_for_refusal",
    "wait_for_reload",
    "wait_for_restart",
    "wait_until_forgotten",
    "witness_walk",
]
