"""What every checkpoint is held to, on clusters that are right, wrong and out of reach.

Whoever adds a checkpoint adds its line to `CASES`.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import test_checkpoints_cleanup as cleaned
import test_checkpoints_coredns_addon as addon
import test_checkpoints_coredns_scaling as scaling
import test_checkpoints_corefile as corefile
import test_checkpoints_dns_records as shelf
import test_checkpoints_dns_troubleshooting as trouble
import test_checkpoints_install_controller as balancing
import test_checkpoints_kube_proxy as shop
import test_checkpoints_lab_binding as bound
import test_checkpoints_lab_cname as named
import test_checkpoints_lab_hosts as lab
import test_checkpoints_lab_ingress as balanced
import test_checkpoints_name_resolution as stage
import test_checkpoints_setup as network
from fake_api import FakeApi, Refusal, Request, failure
from lab_api import Check, forbid, write_kubeconfig
from test_definitions import whole

import eksnet
from eksnet.checkpoints import Checkpoint, CheckpointError, Result, State, definitions
from eksnet.checkpoints.criteria import Prediction
from eksnet.checkpoints.results import needed
from eksnet.cluster import connect, connect_read_only

P, F, N, C = State.PASS, State.FAIL, State.NOT_STARTED, State.CANNOT_CHECK

# Puts a cluster into a state, and returns what is handed in to `check`.
Make = Callable[[FakeApi], tuple[Any, ...]]


@dataclass(frozen=True)
class Case:
    """The clusters of one checkpoint.

    Attributes:
        untouched: Nobody has begun.
        solved: Everything is right.
        wrong: Clusters that are wrong, each with a part of what is then said.
    """

    untouched: Make
    solved: Make
    wrong: tuple[tuple[Make, str], ...]


def made(put: Callable[..., None], *handed_in: Any, **fields: Any) -> Make:
    """Return what makes a cluster."""

    def make(api: FakeApi) -> tuple[Any, ...]:
        put(api, **fields)
        return handed_in

    return make


def nothing(*handed_in: Any) -> Make:
    """Return what makes a cluster that holds nothing of the course."""
    return lambda _: handed_in


def walked(name: str, *handed_in: Any, search: Sequence[str] = stage.SEARCH) -> Make:
    """Return what makes a stage on which op-pod-1 has looked a name up."""
    walk = stage.walk_of(name, search)

    def make(api: FakeApi) -> tuple[Any, ...]:
        stage.put_stage(api, search=search)
        api.logs[stage.WITNESS] = "".join(
            f'[INFO] 10.0.145.7:4 - 7 "{kind} IN {one.name}. udp 50" '
            f"{'NOERROR' if one.answered else 'NXDOMAIN'} qr 0.1s\n"
            for one in walk
            for kind in ("A", "AAAA")
        )
        return tuple(walk if one is WALK else one for one in handed_in)

    return make


def restored(**after: Any) -> Make:
    """Return what makes a cluster whose backup was restored, and what came after."""

    def make(api: FakeApi) -> tuple[Any, ...]:
        lab.put_lab(api, lab.SOLVED, backup=lab.UNTOUCHED)
        refuse, api.refuse = api.refuse, lambda _: None
        connect("context:lab").restore("coredns", "kube-system")
        api.refuse = refuse
        lab.put_lab(api, **after)
        return ()

    return make


# Stands for the walk that the stage was made with.
WALK = object()
NAME, LONG_NAME = "my-service", "my-service.app-ns"
SHORT = stage.by_hand(stage.walk_of(NAME))
LATE = lab.BOTH.replace("fallthrough", "").replace("hosts {", "hosts {\n fallthrough")
ELSEWHERE = lab.UNTOUCHED + "a:53 {\n" + lab.HOSTS + "}\n"
FOUND = lab.nslookup("10.43.0.1")
TWELVE = lab.SOLVED.replace("10.43.0.1", "10.43.0.12")
WBE = {"app": "wbe"}
ALB = "alb.ingress.kubernetes.io/"
OLDER = {"schema": "no", "target-type": "yes", "multi-cluster-target-group": "no"}
MISSPELT = {f"{ALB}{key}": "a" for key in OLDER}
PERMITTED = {
    "delete a load balancer": "no",
    "delete a security group": "no",
    "open a port of a security group": "yes",
    "register a target": "yes",
}


def hosts(*handed_in: Any, **fields: Any) -> Make:
    return made(lab.put_lab, *handed_in, **fields)


def proxy(*handed_in: Any, **fields: Any) -> Make:
    return made(shop.put_shop, *handed_in, **{"injected": "ABCD", **fields})


def managed(*handed_in: Any, **fields: Any) -> Make:
    return made(addon.put_addon, *handed_in, **fields)


def growing(*handed_in: Any, **fields: Any) -> Make:
    return made(scaling.put_memory, *handed_in, **fields)


def scaled(*handed_in: Any, **fields: Any) -> Make:
    return made(scaling.put_scaled, *handed_in, **{"scaling": scaling.BOUNDS, **fields})


def ingress(*handed_in: Any, **fields: Any) -> Make:
    return made(balanced.put_ingress, *handed_in, **fields)


def cname(*handed_in: Any, **fields: Any) -> Make:
    return made(named.put_cname, *handed_in, **fields)


def binding(*handed_in: Any, **fields: Any) -> Make:
    return made(bound.put_binding, *handed_in, **fields)


def unmade(*handed_in: Any) -> Make:
    return made(bound.put_empty, *handed_in)


def served(**fields: Any) -> Make:
    return made(balanced.put_faulty, **fields)


def faulty(fault: str, **fields: Any) -> Make:
    return made(trouble.put_dns, injected=fault, **fields)


def installed(*handed_in: Any, **fields: Any) -> Make:
    return made(balancing.put_controller, *handed_in, **fields)


def left(*handed_in: Any, **fields: Any) -> Make:
    return made(cleaned.put_left, *handed_in, **fields)


def vpc(*handed_in: Any, **fields: Any) -> Make:
    return made(network.put_setup, *handed_in, **fields)


CASES = {
    "setup-01": Case(
        vpc(network.PLACES, nodes=None),
        vpc(network.PLACES),
        (
            (vpc(network.PLACES, nodes="public"), "nodes: public"),
            (vpc({**network.PLACES, "NAT gateway": "private"}), "NAT gateway: public"),
        ),
    ),
    "setup-02": Case(
        vpc(begun=False),
        vpc(),
        (
            (vpc(zones=("zone-a",)), "1 zones have a public subnet"),
            (vpc(hostnames=False), "enableDnsHostnames is off"),
            (vpc(ready=(True, False)), "1 of 2 nodes are not Ready"),
            (vpc(node_zones=("zone-a", "zone-a")), "all nodes are in 1 zone"),
        ),
    ),
    "cleanup-01": Case(
        nothing(cleaned.STUCK, None),
        nothing(cleaned.STUCK, cleaned.STUCK),
        (
            (nothing({**cleaned.STUCK, "Ingress": "goes"}, cleaned.STUCK), "Ingress: stays"),
            (
                nothing({**cleaned.STUCK, "load balancer": "goes"}, cleaned.STUCK),
                "load balancer: stays",
            ),
        ),
    ),
    "cleanup-02": Case(
        left(cleaned=False),
        left(),
        (
            (left(installed=True), "there is serviceaccount/"),
            (left(ingress=True), "1 have one: Ingress"),
            (left(role="x"), "there is left: 1 role"),
            (left(namespace="app-ns"), "1 have it: Namespace"),
        ),
    ),
    "records-01": Case(
        nothing(shelf.RIGHT, shelf.TOLD),
        made(shelf.put_shelf, shelf.RIGHT, shelf.TOLD),
        (
            (made(shelf.put_shelf, shelf.RIGHT, shelf.DEAF), "SRV: 1"),
            (made(shelf.put_shelf, shelf.RIGHT, shelf.OTHERS), "belong to other objects"),
        ),
    ),
    "resolv-01": Case(
        nothing(),
        made(shelf.put_quick),
        (
            (made(shelf.put_quick, dnsPolicy="Default"), "its DNS policy is Default"),
            (made(shelf.put_quick, dnsConfig=None), "its dnsConfig has no option ndots"),
        ),
    ),
    "dns-01": Case(
        nothing(),
        made(stage.put_stage),
        (
            (made(stage.put_stage, service="ops-ns"), "my-service is in ops-ns"),
            (made(stage.put_stage, nameserver="10.100.0.10"), "its nameserver is not the witness"),
        ),
    ),
    "dns-02": Case(
        nothing(SHORT),
        walked(NAME, SHORT),
        (
            (walked(NAME, SHORT, search=stage.SEARCH[:3]), "row 4: my-service"),
            (walked(NAME, SHORT, search=stage.SEARCH[1:]), "row 1: my-service.svc.cluster.local"),
        ),
    ),
    "dns-03": Case(
        nothing(stage.LONG),
        walked(LONG_NAME, stage.LONG),
        (
            (walked(LONG_NAME, stage.LONG, search=stage.SEARCH[1:]), f"row 1: {stage.SERVICE}"),
            (
                walked(LONG_NAME, stage.LONG, search=stage.SEARCH[2:]),
                "row 1: my-service.app-ns.cluster.local",
            ),
        ),
    ),
    "dns-04": Case(
        nothing(10, stage.walk_of(stage.OUTSIDE)),
        walked(stage.OUTSIDE, 10, WALK),
        (
            (walked(stage.OUTSIDE, 10, WALK, search=stage.SEARCH[1:]), "8"),
            (walked(stage.OUTSIDE, 10, WALK, search=[*stage.SEARCH, "corp.example"]), "12"),
        ),
    ),
    "trouble-01": Case(
        faulty(""),
        faulty("A"),
        (
            (faulty("A", replicas=0, endpoints=0), "asks for 0 pods"),
            (faulty("A", ready=1), "1 of 2 pods are Ready"),
        ),
    ),
    "trouble-02": Case(
        faulty(""),
        faulty("B"),
        (
            (faulty("B", labels={"k8s-app": "kube-dsn"}, endpoints=0), "k8s-app=kube-dsn"),
            (faulty("B", endpoints=1), "1, and 2 pods of CoreDNS are Ready"),
        ),
    ),
    "trouble-03": Case(
        faulty(""),
        faulty("C"),
        (
            (faulty("C", **trouble.BROKEN["C"]), "Unknown directive 'logg'"),
            (faulty("C", runs="a {\n}\n"), "0 of 2 pods run it"),
        ),
    ),
    "trouble-04": Case(
        faulty(""),
        faulty("D"),
        (
            (faulty("D", ports=trouble.PORTS[1:]), "no port 53 for UDP"),
            (faulty("D", ports=trouble.PORTS[:1]), "no port 53 for TCP"),
        ),
    ),
    "scaling-01": Case(
        nothing(),
        growing(),
        (
            (growing(resources=(*scaling.RESOURCES, "pods")), "it may read Pods"),
            (growing(resources=("services",)), "it may not read endpointslices, namespaces"),
            (growing(corefile=scaling.COREFILE.replace("insecure", "verified")), "no line"),
            (growing(ready=False), "is not Ready"),
        ),
    ),
    "scaling-02": Case(
        nothing("less", None),
        growing("less", scaling.SLOW),
        (
            (growing("more", scaling.SLOW), "less"),
            (growing("less", scaling.FAST), "more"),
            (growing("less", scaling.SLOW, pod=False), "is gone"),
        ),
    ),
    "scaling-03": Case(
        nothing(scaling.QUERIES, None),
        nothing(scaling.QUERIES, scaling.LOOKUPS),
        (
            (nothing({**scaling.QUERIES, "kubernetes": 1}, scaling.LOOKUPS), "kubernetes: 2"),
            (
                nothing({**scaling.QUERIES, "www.example.com": 2}, scaling.LOOKUPS),
                "www.example.com: 10",
            ),
        ),
    ),
    "scaling-04": Case(
        scaled(status="self-managed", scaling=None),
        scaled(),
        (
            (scaled(status="UPDATE_FAILED"), "the add-on is UPDATE_FAILED"),
            (scaled(scaling={**scaling.BOUNDS, "enabled": False}), "enabled is false"),
            (scaled(scaling={"enabled": True}), "there are no bounds"),
            (scaled(scaling={"enabled": True, "minReplicas": 2}), "minReplicas: 2"),
        ),
    ),
    "scaling-05": Case(
        scaled(10, None),
        scaled(10, scaling.grown(), replicas=10, fleet=38),
        (
            (scaled(3, scaling.grown(), replicas=10, fleet=38), "10"),
            (scaled(10, scaling.grown(), replicas=6, fleet=38), "has 6 replicas now"),
        ),
    ),
    "scaling-06": Case(
        scaled([10, 5, 2], None),
        scaled([10, 7, 2], scaling.shrunk(10, 7, 2)),
        (
            (scaled([10, 6, 2], scaling.shrunk(10, 7, 2)), "row 2: 7"),
            (scaled([10, 7, 2], scaling.shrunk(10, 7, 2), replicas=10), "has 10 replicas now"),
        ),
    ),
    "proxy-01": Case(
        nothing(),
        proxy(),
        (
            (proxy(selector=WBE), "its selector is app: wbe"),
            (proxy(ready=2), "2 endpoints are Ready"),
        ),
    ),
    "proxy-02": Case(
        nothing(10, shop.RULES),
        proxy(10, shop.RULES),
        (
            (proxy(10, shop.RULES, selector=WBE, ready=0), "0 endpoints are Ready"),
            (proxy(10, shop.RULES, ports=[]), "the Service finds no port there"),
        ),
    ),
    "proxy-03": Case(
        proxy(injected=""),
        proxy(),
        (
            (proxy(selector=WBE, ready=0), "its selector is app: wbe"),
            (proxy(ready=0), "0 endpoints are Ready"),
        ),
    ),
    "proxy-04": Case(
        proxy(injected=""),
        proxy(),
        (
            (proxy(ports=[]), "3 addresses are Ready, but the Service finds no port"),
            (proxy(ports=[{"port": 80}]), "the endpoints' port is 80"),
        ),
    ),
    "proxy-05": Case(
        proxy(injected=""),
        proxy(),
        (
            (proxy(policy="Local"), "on 1 of 2 nodes front has no endpoint"),
            (proxy(nodes=()), "front has no endpoint that is Ready"),
        ),
    ),
    "proxy-06": Case(
        proxy(injected=""),
        proxy(),
        (
            (proxy(mode="mode: iptable"), "the mode is iptable"),
            (proxy(newest=1), "1 of 2 pods run the newest template"),
        ),
    ),
    "proxy-07": Case(
        proxy(),
        proxy(mode=shop.NFTABLES),
        (
            (proxy(mode=shop.NFTABLES, started=[shop.BEFORE]), "started before the mode"),
            (proxy(mode=shop.NFTABLES, newest=1), "1 of 2 pods run the newest template"),
        ),
    ),
    "proxy-08": Case(
        nothing(8, shop.NFT_RULES),
        proxy(8, shop.NFT_RULES),
        (
            (proxy(8, shop.NFT_RULES, selector=WBE, ready=0), "0 endpoints are Ready"),
            (proxy(8, shop.NFT_RULES, ports=[]), "the Service finds no port there"),
        ),
    ),
    "hosts-01": Case(
        hosts(),
        hosts(corefile=lab.SOLVED, backup=lab.UNTOUCHED),
        (
            (hosts(corefile=TWELVE, backup=lab.UNTOUCHED), "myapp.local is 10.43.0.12"),
            (hosts(corefile=LATE, backup=lab.UNTOUCHED), "an entry is after fallthrough"),
        ),
    ),
    "hosts-02": Case(
        hosts("hosts", FOUND),
        hosts("hosts", FOUND, corefile=lab.SOLVED),
        (
            (hosts("hosts", FOUND, corefile=ELSEWHERE), "is in the server block a:53"),
            (
                hosts("hosts", lab.nslookup("10.43.0.12"), corefile=TWELVE),
                "myapp.local is 10.43.0.12",
            ),
        ),
    ),
    "hosts-03": Case(
        hosts(),
        hosts(corefile=lab.BOTH, first=lab.SOLVED),
        (
            (hosts(corefile=lab.BOTH), "CoreDNS pods started with this Corefile"),
            (hosts(corefile=LATE, runs=lab.SOLVED), "an entry is after fallthrough"),
        ),
    ),
    "hosts-04": Case(
        hosts("SERVFAIL", lab.answered("SERVFAIL")),
        hosts("SERVFAIL", lab.answered("SERVFAIL"), corefile=lab.SOLVED),
        (
            (
                hosts("SERVFAIL", lab.answered("SERVFAIL"), corefile=ELSEWHERE),
                "is in the server block a:53",
            ),
            (
                hosts("NOERROR", lab.answered("NOERROR"), corefile=lab.SOLVED),
                "its hosts passed that name on",
            ),
        ),
    ),
    "addon-01": Case(
        managed({"NONE": "kept"}, None),
        managed(addon.FATES, addon.FATES, tried=addon.MODES),
        (
            (
                managed({**addon.FATES, "NONE": "kept"}, addon.FATES, tried=addon.MODES),
                "NONE: refused",
            ),
            (
                managed({**addon.FATES, "PRESERVE": "reset"}, addon.FATES, tried=addon.MODES),
                "PRESERVE: kept",
            ),
        ),
    ),
    "addon-02": Case(
        managed(status="self-managed"),
        managed(value=addon.LASTING),
        (
            (managed(status="UPDATE_FAILED"), "the add-on is UPDATE_FAILED"),
            (managed(value=lab.UNTOUCHED), "has no line `cache 60`"),
            (
                managed(value=addon.LASTING, corefile=lab.UNTOUCHED),
                "the ConfigMap has another text",
            ),
            (managed(value=addon.LASTING, owner="kubectl-edit"), "kubectl-edit owns"),
        ),
    ),
    "addon-03": Case(
        managed("cahce"),
        managed("cahce", corefile=addon.MISSPELT, logs=addon.REFUSAL),
        (
            (managed("cache", corefile=addon.MISSPELT, logs=addon.REFUSAL), "cahce"),
            (
                managed("cahce", corefile=addon.MISSPELT, logs=addon.REFUSAL, ready=False),
                "2 of 2 CoreDNS pods do not run",
            ),
        ),
    ),
    "corefile-01": Case(
        nothing(corefile.PLUGINS, None),
        nothing(corefile.PLUGINS, corefile.ORDER),
        (
            (nothing(corefile.GUESSED, corefile.ORDER), "api.shop.example: template"),
            (
                nothing({**corefile.PLUGINS, "old.example": "hosts"}, corefile.ORDER),
                "old.example: template",
            ),
        ),
    ),
    "corefile-02": Case(
        nothing(),
        made(corefile.put_trial),
        (
            (made(corefile.put_trial, text=corefile.FORGOTTEN), "hosts has no fallthrough"),
            (
                made(corefile.put_trial, text=corefile.SOUND.replace("    loop\n", "")),
                "a loop is not noticed",
            ),
            (made(corefile.put_trial, runs=corefile.FORGOTTEN), "its log has another hash"),
        ),
    ),
    "corefile-03": Case(
        nothing("api.new.example", None),
        nothing("api.new.example", corefile.MOVED),
        (
            (nothing("api.old.example", corefile.MOVED), "api.new.example"),
            # There is one right answer: what differs is the wrong one, which is told beside it.
            (nothing("{1}.new.example", corefile.MOVED), "{1}.new.example"),
        ),
    ),
    "hosts-05": Case(
        hosts(lab.ttls(3600, 30), lab.ttls(3600, 30)),
        hosts(lab.ttls(3600, 30), lab.ttls(3600, 30), corefile=lab.SOLVED),
        (
            (
                hosts(lab.ttls(3600, 30), lab.ttls(3600, 30), corefile=ELSEWHERE),
                "is in the server block a:53",
            ),
            (
                hosts(lab.ttls(60, 30), lab.ttls(3600, 30), corefile=lab.SOLVED),
                "without cache: 3600",
            ),
        ),
    ),
    "hosts-06": Case(
        hosts(),
        restored(),
        (
            (restored(corefile=lab.BOTH), "was changed after the restore"),
            (restored(runs=lab.SOLVED), "0 of 2 CoreDNS pods run the Corefile"),
        ),
    ),
    "controller-01": Case(
        made(balancing.put_nothing),
        made(balancing.put_role),
        (
            (made(balancing.put_role, role=balancing.trusting("other")), "it trusts other"),
            (made(balancing.put_role, policies=()), "does not have it"),
            (made(balancing.put_role, audiences=("other",)), "its audiences are other"),
            (made(balancing.put_role, annotation=""), "it names no role"),
        ),
    ),
    "controller-02": Case(
        made(balancing.put_nothing),
        installed(),
        (
            (installed(replicas=0, ready=0, endpoints=0), "asks for 0 pods"),
            (installed(ready=1), "1 of 2 pods are Ready"),
            (installed(args=("--aws-region=a",)), "the value vpcId is not set"),
            (installed(tokens=False), "2 of 2 pods have no token"),
            (installed(endpoints=0), "it has no ready endpoint"),
        ),
    ),
    "controller-03": Case(
        installed("event", None),
        installed("event", balancing.DENIED),
        (
            (installed("crash", balancing.DENIED), "event"),
            (installed("event", balancing.DENIED, ready=1), "1 of 2 pods are Ready"),
        ),
    ),
    "controller-04": Case(
        nothing(balancing.KINDS),
        installed(balancing.KINDS),
        (
            (installed({**balancing.KINDS, "Ingress": "created"}), "Ingress: refused"),
            (installed(balancing.KINDS, webhooks=()), "Service: created"),
        ),
    ),
    "balancer-01": Case(
        nothing(),
        ingress(),
        (
            (ingress(finalizers=()), "its finalizers are none"),
            (ingress(finalizers=("other/resources",)), "its finalizers are other/resources"),
            (ingress(host=""), "its status has no DNS name"),
            (ingress(patterns=()), "the rules are: none"),
            (ingress(states=("healthy", "initial")), "1 of 2 targets are initial"),
        ),
    ),
    "balancer-02": Case(
        made(balancing.put_nothing, PERMITTED),
        made(balancing.put_role, PERMITTED),
        (
            (
                made(balancing.put_role, {**PERMITTED, "register a target": "no"}),
                "register a target: yes",
            ),
            (
                made(balancing.put_role, {**PERMITTED, "delete a load balancer": "yes"}),
                "delete a load balancer: no",
            ),
        ),
    ),
    "annotations-01": Case(
        nothing(OLDER),
        ingress(OLDER, annotations=MISSPELT),
        (
            (
                ingress({**OLDER, "schema": "yes"}, annotations=MISSPELT),
                "schema: no",
            ),
            (
                ingress({**OLDER, "multi-cluster-target-group": "yes"}, annotations=MISSPELT),
                "multi-cluster-target-group: no",
            ),
        ),
    ),
    "annotations-02": Case(
        nothing(),
        ingress(annotations={f"{ALB}scheme": "internet-facing"}),
        (
            (ingress(annotations={f"{ALB}schema": "internet-facing"}), "reads no annotation"),
            (ingress(annotations={f"{ALB}scheme": "public"}), "scheme is 'public'"),
            (
                ingress(annotations={f"{ALB}scheme": "internal"}, scheme="internal"),
                "it is internal",
            ),
            (ingress(host=""), "its status has no DNS name"),
        ),
    ),
    "binding-01": Case(
        unmade(),
        binding(),
        (
            (binding(groups=()), "it has no security group"),
            (binding(kind="application"), "its type is application"),
            (binding(target_type="instance"), "its type and protocol are instance and TCP"),
            (binding(forwards=bound.INSTANCES), "its listener forwards to another target group"),
            (binding(listens=8080), "it has no listener on port 80"),
        ),
    ),
    "binding-02": Case(
        unmade(),
        binding(),
        (
            (binding(arn=bound.INSTANCES), "it binds another target group"),
            (binding(service="shop"), "it binds the Service shop"),
            (binding(opened={}), "it has no spec.networking"),
            (binding(opened=bound.networking(port=80)), "its rules open another port"),
            (
                binding(states=("healthy", "unhealthy")),
                "1 of 2 targets are unhealthy (Target.Timeout)",
            ),
            (binding(targets=()), "the target group has no target"),
        ),
    ),
    "binding-03": Case(
        unmade(bound.ITSELF, bound.ITSELF),
        binding(bound.ITSELF, bound.ITSELF, preserves=True),
        (
            (
                binding({**bound.ITSELF, "web-a": "answered"}, bound.ITSELF, preserves=True),
                "web-a: no answer",
            ),
            (
                binding({**bound.ITSELF, "client": "no answer"}, bound.ITSELF, preserves=True),
                "client: answered",
            ),
        ),
    ),
    "binding-04": Case(
        unmade(bound.FITS, bound.FITS),
        binding(bound.FITS, bound.FITS, second="ip"),
        (
            (
                binding({**bound.FITS, "second binding": "accepted"}, bound.FITS, second="ip"),
                "second binding: refused",
            ),
            (
                binding(dict.fromkeys(bound.FITS, "refused"), bound.FITS, second="ip"),
                "another target type: accepted",
            ),
        ),
    ),
    "binding-05": Case(
        unmade(),
        binding(second="instance", targets=balanced.NODES),
        (
            (binding(second="ip"), "its type is ip, and the target group's instance"),
            (binding(second="instance", targets=()), "0 of 2 nodes are targets"),
            (
                binding(second="instance", targets=balanced.NODES, states=("healthy",)),
                "1 of 2 nodes are targets",
            ),
        ),
    ),
    "binding-06": Case(
        unmade(0, 0),
        binding(0, 0, port=8080),
        (
            (binding(2, 0, port=8080), "0"),
            (binding(0, 2, port=8080), "2"),
        ),
    ),
    "cname-01": Case(
        cname(),
        cname(text=named.SOLVED, backup=lab.UNTOUCHED),
        (
            (cname(text=named.SOLVED), "there is no backup that is not restored"),
            (cname(text=named.SOLVED, backup=named.SOLVED), "in the backup already has"),
            (
                cname(text=named.corefile(named.OLD_HOST), backup=lab.UNTOUCHED),
                "leads to another name",
            ),
            (
                cname(
                    text=named.corefile(rule="name suffix working.dot.com"), backup=lab.UNTOUCHED
                ),
                "the rule is suffix working.dot.com",
            ),
            (
                cname(
                    text=named.corefile(more=f"answer name {named.HOST} working.dot.com"),
                    backup=lab.UNTOUCHED,
                ),
                "has a line answer",
            ),
            (
                cname(text=named.SOLVED, backup=lab.UNTOUCHED, runs=lab.UNTOUCHED),
                "0 of 2 CoreDNS pods run the Corefile",
            ),
        ),
    ),
    "cname-02": Case(
        nothing(named.STATUSES, named.STATUSES),
        cname(named.STATUSES, named.STATUSES),
        (
            (
                cname(dict.fromkeys(named.STATUSES, 200), named.STATUSES),
                "working.dot.com: 404",
            ),
            (
                cname(dict.fromkeys(named.STATUSES, 404), named.STATUSES),
                "shop.dot.com: 200",
            ),
        ),
    ),
    "cname-03": Case(
        cname(),
        cname(hosts=named.BOTH),
        (
            (cname(hosts=("working.dot.com",)), "there is no rule for shop.dot.com"),
            (cname(hosts=named.BOTH, listens=named.BOTH[:1]), "no rule of the listener has it"),
        ),
    ),
    "cname-04": Case(
        cname(text=named.SOLVED),
        cname(text=named.SOLVED, group="front"),
        (
            (cname(text=named.SOLVED, group="back"), "its group is back"),
            (cname(text=named.corefile(named.OLD_HOST), group="front"), "leads to another name"),
            (
                cname(text=named.SOLVED, group="front", runs=lab.UNTOUCHED),
                "0 of 2 CoreDNS pods run the Corefile",
            ),
        ),
    ),
    "ingress-01": Case(
        nothing(),
        ingress(),
        (
            (ingress(ingress_class="nginx"), "its class is nginx"),
            (ingress(host=""), "its status has no DNS name"),
            (
                ingress(states=("healthy", "unhealthy")),
                "1 of 2 targets are unhealthy (Target.Timeout)",
            ),
            (ingress(states=()), "the load balancer has no target"),
        ),
    ),
    "ingress-02": Case(
        nothing(balanced.STATUSES, balanced.STATUSES),
        ingress(balanced.STATUSES, balanced.STATUSES, path_type="ImplementationSpecific"),
        (
            (
                ingress(
                    {**balanced.STATUSES, "/?page=2": 404},
                    balanced.STATUSES,
                    path_type="ImplementationSpecific",
                ),
                "/?page=2: 200",
            ),
            (
                ingress(
                    dict.fromkeys(balanced.STATUSES, 200),
                    balanced.STATUSES,
                    path_type="ImplementationSpecific",
                ),
                "/index.html: 404",
            ),
        ),
    ),
    "ingress-03": Case(
        nothing(),
        ingress(service_type="NodePort", targets=balanced.NODES),
        (
            (ingress(), "its type is ClusterIP"),
            (ingress(service_type="NodePort"), "its targets are pods"),
            (
                ingress(service_type="NodePort", targets=balanced.NODES, states=("healthy",)),
                "1 of 2 nodes are targets",
            ),
        ),
    ),
    "ingress-04": Case(
        nothing(),
        ingress(second=balanced.HOST, patterns=("/cgi-bin", "/*")),
        (
            (ingress(second="other.elb"), "each has a load balancer of its own"),
            (
                ingress(second=balanced.HOST, patterns=("/*", "/cgi-bin")),
                "the rule for /* comes first",
            ),
        ),
    ),
    "ingress-05": Case(
        nothing(),
        served(),
        (
            (served(listeners=(80,)), "it listens on: 80"),
            (served(plain="forward"), "on port 80: forward to web:80"),
        ),
    ),
    "ingress-06": Case(
        nothing(),
        served(),
        (
            (served(gated=False), "2 of 2 pods have none"),
            (served(stops=False), "its containers stop at once"),
        ),
    ),
    "ingress-07": Case(
        served(injected=""),
        served(),
        (
            (served(port="htpp"), "the Service web has no port htpp"),
            (served(port=8080), "the Service web has no port 8080"),
        ),
    ),
    "ingress-08": Case(
        served(injected=""),
        served(),
        (
            (served(states=("unhealthy", "unhealthy")), "2 of 2 targets are unhealthy"),
            (served(states=()), "the load balancer has no target"),
        ),
    ),
    "ingress-09": Case(
        served(injected=""),
        served(),
        (
            (served(backend="reports"), "there is no Service reports in app-ns"),
            (served(states=("initial", "healthy")), "1 of 2 targets are initial"),
        ),
    ),
    "ingress-10": Case(
        served(injected=""),
        served(),
        (
            (
                served(schemes=("internet-facing", "internal")),
                "their schemes are internal and internet-facing",
            ),
            (served(schemes=("internal", "internet-facing")), "their schemes are internal"),
        ),
    ),
    "ingress-11": Case(
        served(injected=""),
        served(),
        (
            (served(listeners=(80,)), "it listens on: 80"),
            (served(listeners=()), "it listens on: none"),
        ),
    ),
}
EVERY = [definition.id for definition in definitions.every()]
WRONG = [(name, number) for name in EVERY for number in range(len(CASES[name].wrong))]

each = pytest.mark.parametrize("name", EVERY)
each_wrong = pytest.mark.parametrize(("name", "number"), WRONG)


def checked(checkpoint: Check, name: str, handed_in: tuple[Any, ...]) -> Result:
    return checkpoint(name).check(*handed_in, wait=False)


def states(result: Result) -> set[State]:
    return {outcome.state for outcome in result.outcomes}


def test_every_checkpoint_has_two_wrong_clusters_and_they_differ() -> None:
    assert sorted(CASES) == sorted(EVERY)
    for name, case in CASES.items():
        assert len({said for _, said in case.wrong}) >= 2, name


@each
def test_on_an_untouched_cluster_nothing_is_earned(
    name: str, api: FakeApi, checkpoint: Check
) -> None:
    result = checked(checkpoint, name, CASES[name].untouched(api))
    assert states(result) <= {N, F}
    assert result.points == 0


@each
def test_on_a_solved_cluster_it_passes(name: str, api: FakeApi, checkpoint: Check) -> None:
    result = checkpoint(name).require(*CASES[name].solved(api))
    assert states(result) == {P}
    assert result.points == definitions.find(name).points


@each_wrong
def test_on_a_wrong_cluster_it_fails_with_the_reason(
    name: str, number: int, api: FakeApi, checkpoint: Check
) -> None:
    make, reason = CASES[name].wrong[number]
    result = checked(checkpoint, name, make(api))
    assert result.state is F
    said = [one.observation for one in result.outcomes if one.state is F]
    assert reason in said[0].observed or reason == said[0].predicted
    for one in said:
        assert one.expected or one.predicted
        assert one.next_step


def undefined(step: str) -> set[str]:
    """Return the rooms and the cluster where a next step uses them and nothing defines them."""
    used = set(re.findall(r"\b(cluster|coredns|dns|kubeproxy)\.\w+\(", step))
    return used - set(re.findall(r"\w+", needed(step)))


@each_wrong
def test_what_comes_next_can_be_run_as_it_is_printed(
    name: str, number: int, api: FakeApi, checkpoint: Check
) -> None:
    make, _ = CASES[name].wrong[number]
    for result in (
        checked(checkpoint, name, CASES[name].untouched(api)),
        checked(checkpoint, name, ()),
        checked(checkpoint, name, make(api)),
    ):
        steps = " ".join(one.observation.next_step for one in result.outcomes)
        assert result.needed.endswith(needed(steps))
        assert undefined(steps) == set()
        # The block's text is named before it is used.
        assert "text, hosts)" not in steps or steps.index("hosts = ") < steps.index("text, hosts)")


def refusal(status: int) -> Callable[[Request], Refusal]:
    return lambda _: (status, failure(status, "Reason", f"status {status}"))


@each
@pytest.mark.parametrize(
    "refuse",
    [forbid, *map(refusal, (401, 429, 500, 503))],
    ids=["may read nothing", "no credentials", "throttled", "error", "unavailable"],
)
def test_what_the_api_refuses_is_neither_right_nor_wrong(
    refuse: Callable[[Request], Any], name: str, api: FakeApi, checkpoint: Check
) -> None:
    case = CASES[name]
    for make in (case.untouched, case.solved, case.wrong[0][0]):
        handed_in = make(api)
        before, api.refuse = api.refuse, refuse
        result = checkpoint(name).check(*handed_in)
        api.refuse = before
        assert states(result) == {C}
        assert (result.points, result.unchecked) == (0, result.possible)


@each
def test_out_of_reach_is_neither_right_nor_wrong(
    name: str, api: FakeApi, checkpoint: Check, tmp_path: Path
) -> None:
    handed_in = CASES[name].solved(api)
    for wrong in ("context:nope", "eks:lab", "somewhere"):
        assert states(eksnet.checkpoint(name, wrong).check(*handed_in)) == {C}
    # A port that is taken, and on which nobody listens.
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]
        write_kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{port}")
        assert states(checkpoint(name).check(*handed_in)) == {C}


@each
def test_looking_twice_says_the_same_and_writes_nothing(
    name: str, api: FakeApi, checkpoint: Check, capfd: pytest.CaptureFixture[str]
) -> None:
    case = CASES[name]
    for make in (case.untouched, case.solved, case.wrong[0][0]):
        handed_in = make(api)
        written = len(api.writes)
        first, second = (checked(checkpoint, name, handed_in) for _ in range(2))
        assert repr(first) == repr(second)
        assert first._repr_html_() == second._repr_html_()
        assert len(api.writes) == written
    assert capfd.readouterr() == ("", "")


@each
@pytest.mark.parametrize("handed_in", [object(), {"a", "b"}, b"x", float("nan"), [[]], {1: {2: 3}}])
def test_no_answer_makes_a_check_raise(
    handed_in: Any, name: str, api: FakeApi, checkpoint: Check
) -> None:
    CASES[name].solved(api)
    result = checkpoint(name).check(handed_in, handed_in, wait=False)
    predicts = result.note == ""
    assert result.state in (F, N, C) if predicts else result.state is P


def test_the_example_of_the_guide_works(api: FakeApi) -> None:
    guide = Path(definitions.__file__).parents[3] / "docs" / "contributing.md"
    example, clusters = re.findall(r"```python\n(.*?)```", guide.read_text(), re.DOTALL)
    module: dict[str, Any] = {}
    exec(example, module)
    (definition,) = module["CHECKPOINTS"]
    whole(definition)
    names: dict[str, Any] = {**globals(), "CASES": {}}
    exec(clusters, names)
    case: Case = names["CASES"][definition.id]
    assert len(case.wrong) == 2
    seen = []
    for make in (case.untouched, case.solved, *(make for make, _ in case.wrong)):
        make(api)
        seen.append(Checkpoint(definition, connect_read_only).check())
    assert [result.state for result in seen] == [N, P, F, F]
    for result, (_, reason) in zip(seen[2:], case.wrong, strict=True):
        assert reason in result.outcomes[0].observation.observed


PREDICTIONS = [
    one.id
    for one in definitions.every()
    if any(isinstance(criterion, Prediction) for criterion in one.criteria)
]


@pytest.mark.parametrize("name", PREDICTIONS)
@pytest.mark.parametrize(
    "empty", [..., [...], [("a", ...)], {"A": 4, "SRV": ...}, {"a": 3600, "b": "…"}, "..."]
)
def test_an_empty_prediction_is_not_wrong_and_says_what_to_do(
    empty: Any, name: str, api: FakeApi, checkpoint: Check
) -> None:
    _, *observed = CASES[name].solved(api)
    result = checkpoint(name).check(empty, *observed)
    assert (states(result), result.points) == ({N}, 0)
    said = result.outcomes[0].observation
    assert said.observed == "the prediction is still empty"
    form = next(one.form for one in definitions.find(name).criteria if isinstance(one, Prediction))
    assert said.next_step == (
        f"write it in the cell above, run that cell, then run this one again; its form:\n{form}"
    )
    with pytest.raises(CheckpointError, match="NOT_STARTED"):
        checkpoint(name).require(empty, *observed)
