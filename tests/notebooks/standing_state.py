"""What is in a cluster and in its AWS account, without what passes: two of these are compared.

It does not ask the course what is whose: all that is there counts.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from eksnet import coredns
from eksnet.cluster import faults
from eksnet.cluster.pods import not_terminating
from eksnet.loadbalancer import controller

# The places beside namespaces.
CLUSTER, AWS = "", "AWS"
# How the controller names what it makes: with a digest.
_OF_CONTROLLER = re.compile(r"k8s-[\w-]+")
# What is outside of namespaces, by name.
CLUSTER_WIDE = (
    "nodes", "clusterroles", "clusterrolebindings", "customresourcedefinitions", "ingressclasses",
    "mutatingwebhookconfigurations", "validatingwebhookconfigurations", "persistentvolumes",
    "storageclasses", "priorityclasses",
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A kind of thing in an account, and how all of it is listed.

    Attributes:
        name: What it is called here.
        service: The service as boto3 calls it.
        call: The call that lists it.
        key: Where the answer has it.
        of_one: Its name.
        content: What of it counts, asked for with a boto3 client where the list does not have it.
        arguments: The call's arguments.
    """

    name: str
    service: str
    call: str
    key: str
    of_one: Callable[[Any], str]
    content: Callable[[Any, Any], Any] = lambda _client, _one: ""
    arguments: dict[str, str] = field(default_factory=dict)


def _role(iam, one):
    attached = iam.list_attached_role_policies(RoleName=one["RoleName"])["AttachedPolicies"]
    return one["AssumeRolePolicyDocument"], sorted(policy["PolicyName"] for policy in attached)


def _group(_ec2, one):
    return one["IpPermissions"], one["IpPermissionsEgress"], one.get("Tags")


def _interface(_ec2, one):
    return sorted(group["GroupName"] for group in one["Groups"])


ACCOUNT = (
    Kind("load balancer", "elbv2", "describe_load_balancers", "LoadBalancers",
         lambda one: one["LoadBalancerName"]),
    Kind("target group", "elbv2", "describe_target_groups", "TargetGroups",
         lambda one: one["TargetGroupName"]),
    Kind("network interface", "ec2", "describe_network_interfaces", "NetworkInterfaces",
         lambda one: f"{one.get('Description')} {one['AvailabilityZone']}", _interface),
    Kind("security group", "ec2", "describe_security_groups", "SecurityGroups",
         lambda one: one["GroupName"], _group),
    Kind("subnet", "ec2", "describe_subnets", "Subnets",
         lambda one: one["SubnetId"], lambda _, one: one.get("Tags")),
    Kind("public address", "ec2", "describe_addresses", "Addresses",
         lambda one: one["PublicIp"]),
    Kind("certificate", "acm", "list_certificates", "CertificateSummaryList",
         lambda one: one["DomainName"]),
    Kind("role", "iam", "list_roles", "Roles", lambda one: one["RoleName"], _role),
    Kind("policy", "iam", "list_policies", "Policies", lambda one: one["PolicyName"],
         lambda _, one: one["DefaultVersionId"], {"Scope": "Local"}),
    Kind("OIDC provider", "iam", "list_open_id_connect_providers", "OpenIDConnectProviderList",
         lambda one: one["Arn"]),
    Kind("Pod Identity association", "eks", "list_pod_identity_associations", "associations",
         lambda one: f"{one['namespace']}/{one['serviceAccount']}"),
    Kind("access entry", "eks", "list_access_entries", "accessEntries", str),
)  # fmt: skip


def state(cluster):
    """Return what is there, by its place, kind and name.

    Args:
        cluster: The cluster.
    """
    return {**_in_namespaces(cluster), **_cluster_wide(cluster), **_in_account(cluster)}


def _in_namespaces(cluster):
    there = {one.name for one in not_terminating(cluster.list("namespaces"))}
    found = {(CLUSTER, "namespace", name): "" for name in there}
    for one in cluster.objects_in(""):
        # The record of faults stays, with none in it.
        if one.namespace in there and one.name != faults.RECORD:
            found[one.namespace, one.kind, one.name] = _fields(one)
    return found


def _fields(one):
    fields = {key: value for key, value in one.items() if key not in ("metadata", "status")}
    template = (fields.get("spec") or {}).get("template") or {}
    template.pop("metadata", None)
    # What is another one with each installation of the controller.
    if one.kind == "Deployment" and one.name == controller.DEPLOYMENT:
        # With the learner's run among its default tags, which ends with a clean-up.
        for container in template["spec"]["containers"]:
            container["args"] = [word for word in container["args"] if "eksnet-run=" not in word]
    if one.kind == "Secret":
        fields["data"] = sorted(fields.get("data") or ())
    if one.kind == "Service" and one.name == controller.WEBHOOK:
        for handed_out in ("clusterIP", "clusterIPs"):
            fields["spec"].pop(handed_out)
    return fields


def _cluster_wide(cluster):
    found = {(CLUSTER, kind, one.name): "" for kind in CLUSTER_WIDE for one in cluster.list(kind)}
    found |= {(CLUSTER, "fault", one.key): "" for one in faults.injected(cluster)}
    # An Ingress without its finalizer leaves what was made for it, and is not seen itself.
    found |= {(CLUSTER, "finalizer", one.kind): "" for one in controller.managed(cluster)}
    running = sorted(set(coredns.running_configurations(cluster).values()))
    found[CLUSTER, "what runs", "coredns"] = running
    found[CLUSTER, "backup", "coredns"] = _backup(cluster)
    return found


def _backup(cluster):
    """Return what a restore would change CoreDNS' ConfigMap to; None where it changes nothing."""
    saved = cluster.saved("coredns", "kube-system")
    if saved is None:
        return None
    there = cluster.get("configmap/coredns", namespace="kube-system")
    return None if saved["data"] == there["data"] else saved["data"]


def _in_account(cluster):
    found = {}
    for kind in ACCOUNT:
        client = cluster.aws(kind.service)
        for one in _listed(client, kind, cluster):
            # An id of what is made anew is another one each time.
            name = re.sub(r"^(ELB \S+/)\w+", r"\1", kind.of_one(one))
            found[AWS, kind.name, name] = kind.content(client, one)
    return {**found, **_listeners(cluster), **_addons(cluster)}


def _addons(cluster):
    eks, of = cluster.aws("eks"), {"clusterName": cluster.eks_name}
    found = {}
    for name in eks.list_addons(**of)["addons"]:
        one = eks.describe_addon(addonName=name, **of)["addon"]
        found[AWS, "add-on", name] = (one["addonVersion"], one.get("configurationValues"))
    return found


def _listeners(cluster):
    elb = cluster.aws("elbv2")
    return {
        (AWS, "listener", f"{balancer['LoadBalancerName']} {one['Port']}"): ""
        for balancer in elb.describe_load_balancers()["LoadBalancers"]
        for one in elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    }


def _listed(client, kind, cluster):
    of = {"clusterName": cluster.eks_name} if kind.service == "eks" else {}
    if not client.can_paginate(kind.call):
        yield from getattr(client, kind.call)(**of, **kind.arguments)[kind.key]
        return
    for page in client.get_paginator(kind.call).paginate(**of, **kind.arguments):
        yield from page[kind.key]


def left(before, now):
    """Return what is not as before, by place, kind and name.

    Of a new namespace that is its name alone, and of what the controller names its kind alone.

    Args:
        before: What there was.
        now: What there is.
    """
    known = {CLUSTER, AWS, *(name for _, kind, name in before if kind == "namespace")}
    return frozenset(
        (place, kind, _OF_CONTROLLER.sub("k8s-", name))
        for place, kind, name in before.keys() | now.keys()
        if place in known and before.get((place, kind, name)) != now.get((place, kind, name))
    )
