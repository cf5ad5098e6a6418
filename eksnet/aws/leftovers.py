"""What of the course is in an AWS account: found by tags, and deleted.

Each kind has a row with what finds it and what deletes it, so that whatever a clean-up deletes is
what an audit finds. Whose a thing is, its tags say: the course's own, or those of the AWS Load
Balancer Controller of this cluster. What cannot carry a tag is told by what does: an interface by
its load balancer, a rule by the security group that it names, or by the controller's description.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from eksnet.aws import pages
from eksnet.aws.refusals import in_words
from eksnet.aws.tags import COURSE, RUN, of_list

Json = Mapping[str, Any]
Answer = TypeVar("Answer")

# The controller's tag with the cluster's name, and how it describes the rules that it adds to the
# security groups of nodes. Source: pkg/deploy/tracking and pkg/networking of the controller.
CONTROLLER = "elbv2.k8s.aws/cluster"
_BINDING = "elbv2.k8s.aws/targetGroupBinding"
_OWNED = "kubernetes.io/cluster/"
# What the description of a load balancer's interface begins with; then `app/NAME/ID`.
_ELB = "ELB "
# AWS describes the tags of so many things in one call, and filters by so many values.
_VALUES = 200
# All of them: by default ACM lists the certificates of one kind of key alone.
_KEYS = (
    "RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1",
)  # fmt: skip


@dataclass(frozen=True)
class Leftover:
    """Something of the course that is still there.

    Attributes:
        what: Its kind, such as `load balancer`.
        name: Its name.
        whose: The tag that says so, or what else does.
        id: What AWS knows it by: an ARN, an id, or for a role its name.
        parent: What is needed to delete it besides: what it belongs to, or its state.
        by_controller: Whether the controller has made it.
        run: The run that has made it, as far as a tag or label tells it.
    """

    what: str
    name: str
    whose: str
    id: str = ""
    parent: str = ""
    by_controller: bool = False
    run: str = ""


@dataclass(frozen=True)
class Owner:
    """Whose something is; neither the course's nor the controller's when it is not true.

    Attributes:
        whose: The tag that says so, or what else does.
        by_controller: Whether the controller has made it.
        run: The run that has made it, as far as a tag tells it.
    """

    whose: str = ""
    by_controller: bool = False
    run: str = ""

    def __bool__(self) -> bool:
        return bool(self.whose)

    def of(self, what: str, name: str, id: str, parent: str = "") -> Leftover:
        """Return something of this owner's; see `Leftover`."""
        return Leftover(what, name, self.whose, id, parent, self.by_controller, self.run)


_NOBODY = Owner()


@dataclass(frozen=True)
class Account:
    """An account, as far as whoever looks for what is left needs it.

    Attributes:
        client: Returns a boto3 client for a service.
        cluster: The cluster's name in EKS.
        controlled: Whether the controller's own tags count: not where somebody else has installed
            the controller of this cluster, whose load balancers are theirs.
    """

    client: Callable[[str], Any]
    cluster: str
    controlled: bool = True
    _seen: dict[str, Any] | None = field(default=None, repr=False, compare=False)

    def remembering(self) -> Account:
        """Return the account for one look at all kinds: what it has answered is not asked again."""
        return replace(self, _seen={})

    def forget(self) -> None:
        """Forget what was answered: it has changed."""
        if self._seen:
            self._seen.clear()

    def owner(self, tags: Mapping[str, str]) -> Owner:
        """Return whose something with these tags is."""
        own = [f"{key}={value}" for key, value in COURSE.items() if tags.get(key) == value]
        made = self.controlled and tags.get(CONTROLLER) == self.cluster
        said = [*own, *([f"{CONTROLLER}={self.cluster}"] if made else [])]
        return Owner(", ".join(said), CONTROLLER in tags, tags.get(RUN, "")) if said else _NOBODY

    @cached_property
    def described(self) -> Json:
        """The cluster, as EKS describes it."""
        found: Json = self.client("eks").describe_cluster(name=self.cluster)["cluster"]
        return found

    def pages(self, service: str, call: str, key: str, **arguments: Any) -> list[Json]:
        """Return what a call lists, of all pages."""

        def ask() -> list[Json]:
            return list(pages.listed(self.client(service), call, key, **arguments))

        return self._once(f"{service} {call} {sorted(arguments.items())}", ask)

    def tags(self, arns: Iterable[str]) -> dict[str, dict[str, str]]:
        """Return the tags of what load balancing knows by ARNs, as far as it is still there."""
        wanted = sorted(arns)
        return self._once(f"tags {wanted}", lambda: pages.tags_of(self.client("elbv2"), wanted))

    def _once(self, question: str, ask: Callable[[], Answer]) -> Answer:
        if self._seen is None:
            return ask()
        if question not in self._seen:
            self._seen[question] = ask()
        answer: Answer = self._seen[question]
        return answer


Find = Callable[[Account], Iterable[Leftover]]
Delete = Callable[[Account, Leftover], object]


@dataclass(frozen=True)
class Kind:
    """A kind of thing that the course makes in an account.

    Attributes:
        name: What a reader calls it.
        service: The service as its name is written.
        client: The service as boto3 calls it.
    """

    name: str
    service: str
    client: str
    _find: Find = field(repr=False)
    _delete: Delete = field(repr=False)

    @property
    def plural(self) -> str:
        """What a reader calls several of them."""
        return f"{self.name[:-1]}ies" if self.name.endswith("y") else f"{self.name}s"

    def find(self, account: Account) -> list[Leftover]:
        """Return what is there of it.

        Raises:
            EksnetError: AWS refused to tell.
        """
        client = account.client(self.client)
        with in_words(client, self.service):
            for _ in range(_LOOKS):
                # What is being deleted may be gone between two calls: then look again.
                try:
                    return list(self._find(account))
                except client.exceptions.ClientError as error:
                    if not _is_gone(error):
                        raise
                    account.forget()
            return list(self._find(account))

    def delete(self, account: Account, one: Leftover) -> str:
        """Delete one; return why not as long as something uses it, and nothing when it is gone.

        Raises:
            EksnetError: AWS refused, for another reason.
        """
        client = account.client(self.client)
        with in_words(client, self.service):
            try:
                self._delete(account, one)
            except client.exceptions.ClientError as error:
                told = error.response["Error"]
                if told["Code"] in _IN_USE:
                    return str(told["Message"])
                if not _is_gone(error):
                    raise
        return ""


# How AWS says that something else has to go first, or that something is gone.
_IN_USE = (
    "DependencyViolation", "ResourceInUse", "ResourceInUseException", "DeleteConflict",
    "InvalidParameterValue", "InvalidNetworkInterface.InUse",
)  # fmt: skip
_GONE = ("NotFound", "NoSuchEntity")
_LOOKS = 5


def _is_gone(error: Any) -> bool:
    return any(word in error.response["Error"]["Code"] for word in _GONE)


# Load balancing.


def _tagged(account: Account, found: Sequence[Json], arn: str) -> Iterator[tuple[Json, Owner]]:
    """Yield what carries a tag that counts, with its owner."""
    tags = account.tags({one[arn] for one in found})
    for one in found:
        if owner := account.owner(tags.get(one[arn], {})):
            yield one, owner


def _named(what: str, call: str, kind: str) -> Find:
    """Return what finds the things of a kind that have a name."""

    def find(account: Account) -> Iterator[Leftover]:
        found = account.pages("elbv2", call, f"{kind}s")
        for one, owner in _tagged(account, found, f"{kind}Arn"):
            yield owner.of(what, one[f"{kind}Name"], one[f"{kind}Arn"])

    return find


_load_balancers = _named("load balancer", "describe_load_balancers", "LoadBalancer")
_target_groups = _named("target group", "describe_target_groups", "TargetGroup")


def _all_listeners(account: Account) -> Iterator[tuple[str, Json]]:
    """Yield the listeners of all load balancers, each with its name: a tagged one may be there."""
    for balancer in account.pages("elbv2", "describe_load_balancers", "LoadBalancers"):
        of = {"LoadBalancerArn": balancer["LoadBalancerArn"]}
        for one in account.pages("elbv2", "describe_listeners", "Listeners", **of):
            name = f"{balancer['LoadBalancerName']} {one['Protocol']}:{one['Port']}"
            yield name, one


def _listeners(account: Account) -> Iterator[Leftover]:
    found = {one["ListenerArn"]: (name, one) for name, one in _all_listeners(account)}
    listed = [one for _, one in found.values()]
    for one, owner in _tagged(account, listed, "ListenerArn"):
        arn = one["ListenerArn"]
        yield owner.of("listener", found[arn][0], arn)


def _rules(account: Account) -> Iterator[Leftover]:
    found = {
        rule["RuleArn"]: (name, rule)
        for name, one in _all_listeners(account)
        for rule in account.pages(
            "elbv2", "describe_rules", "Rules", ListenerArn=one["ListenerArn"]
        )
        # The default rule goes with its listener, and cannot go without.
        if not rule["IsDefault"]
    }
    listed = [rule for _, rule in found.values()]
    for one, owner in _tagged(account, listed, "RuleArn"):
        name = f"{found[one['RuleArn']][0]} rule {one['Priority']}"
        yield owner.of("listener rule", name, one["RuleArn"])


def _elbv2(call: str, parameter: str) -> Delete:
    def delete(account: Account, one: Leftover) -> None:
        getattr(account.client("elbv2"), call)(**{parameter: one.id})

    return delete


# Networks.


def _interfaces(account: Account) -> Iterator[Leftover]:
    """Yield interfaces with a tag, those of load balancers, and what a deleted one has left."""
    vpc = [{"Name": "vpc-id", "Values": [account.described["resourcesVpcConfig"]["vpcId"]]}]
    balancers = {_path(one.id): one for one in _load_balancers(account)}
    groups = {one.id: one for one in _groups(account)}
    for one in account.pages(
        "ec2", "describe_network_interfaces", "NetworkInterfaces", Filters=vpc
    ):
        balancer = balancers.get(one.get("Description", "").removeprefix(_ELB))
        member = next((groups[g["GroupId"]] for g in one["Groups"] if g["GroupId"] in groups), None)
        owner = (
            account.owner(of_list(one.get("TagSet")))
            or _through(balancer, "its load balancer")
            or _through(member, "its security group")
        )
        if owner:
            name = one.get("Description") or one["NetworkInterfaceId"]
            yield owner.of("network interface", name, one["NetworkInterfaceId"], one["Status"])


def _path(arn: str) -> str:
    return arn.partition(":loadbalancer/")[2]


def _through(one: Leftover | None, said: str) -> Owner:
    """Return the owner of what belongs to something: that one's."""
    if one is None:
        return _NOBODY
    return Owner(f"{said} {one.name}", one.by_controller, one.run)


def _groups(account: Account) -> Iterator[Leftover]:
    for one in _with_tags(account, "describe_security_groups", "SecurityGroups"):
        if owner := account.owner(of_list(one["Tags"])):
            yield owner.of("security group", one["GroupName"], one["GroupId"])


def _with_tags(account: Account, call: str, key: str) -> Iterator[Json]:
    """Yield what EC2 lists with a tag that may count, each once."""
    wanted = [*COURSE.items(), (CONTROLLER, account.cluster)]
    seen: list[Json] = []
    for name, value in wanted:
        filters = [{"Name": f"tag:{name}", "Values": [value]}]
        for one in account.pages("ec2", call, key, Filters=filters):
            if one not in seen:
                seen.append(one)
                yield one


def _group_rules(account: Account) -> Iterator[Leftover]:
    """Yield rules in security groups of others: with a tag, from a group of ours, or described."""
    ours = {one.id: one for one in _groups(account)}
    described = account.described["resourcesVpcConfig"]
    vpc = [{"Name": "vpc-id", "Values": [described["vpcId"]]}]
    groups = {
        one["GroupId"]: one
        for one in account.pages("ec2", "describe_security_groups", "SecurityGroups", Filters=vpc)
    }
    nodes = {
        name
        for name, one in groups.items()
        if f"{_OWNED}{account.cluster}" in of_list(one.get("Tags"))
    } | {described.get("clusterSecurityGroupId")}
    others = sorted(groups.keys() - ours.keys())
    for start in range(0, len(others), _VALUES):
        some = [{"Name": "group-id", "Values": others[start : start + _VALUES]}]
        for rule in account.pages(
            "ec2", "describe_security_group_rules", "SecurityGroupRules", Filters=some
        ):
            if owner := _owner_of_rule(account, rule, ours, nodes):
                name = f"{groups[rule['GroupId']]['GroupName']} {_ports(rule)}"
                direction = "egress" if rule["IsEgress"] else "ingress"
                place = f"{direction} {rule['GroupId']}"
                yield owner.of("security group rule", name, rule["SecurityGroupRuleId"], place)


def _owner_of_rule(
    account: Account, rule: Json, ours: Mapping[str, Leftover], nodes: set[str]
) -> Owner:
    source = ours.get((rule.get("ReferencedGroupInfo") or {}).get("GroupId", ""))
    said = account.owner(of_list(rule.get("Tags"))) or _through(
        source, "it names the security group"
    )
    text = rule.get("Description") or ""
    described = account.controlled and rule["GroupId"] in nodes and text.startswith(_BINDING)
    return said or (Owner(text, by_controller=True) if described else _NOBODY)


def _ports(rule: Json) -> str:
    low, high = rule.get("FromPort", -1), rule.get("ToPort", -1)
    protocol = rule["IpProtocol"]
    if protocol == "-1":
        return "all"
    return f"{protocol} {low}" if low == high else f"{protocol} {low}-{high}"


def _addresses(account: Account) -> Iterator[Leftover]:
    filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in COURSE.items()]
    for one in account.client("ec2").describe_addresses(Filters=filters)["Addresses"]:
        owner = account.owner(of_list(one.get("Tags")))
        yield owner.of("public address", one["PublicIp"], one["AllocationId"])


def _delete_interface(account: Account, one: Leftover) -> None:
    """Delete an interface that nothing uses; one of a load balancer goes with it, by itself."""
    if one.parent != "in-use":
        account.client("ec2").delete_network_interface(NetworkInterfaceId=one.id)


def _delete_group(account: Account, one: Leftover) -> None:
    """Delete a security group; first its rules, by which two groups may name each other."""
    ec2 = account.client("ec2")
    of = [{"Name": "group-id", "Values": [one.id]}]
    for rule in account.pages(
        "ec2", "describe_security_group_rules", "SecurityGroupRules", Filters=of
    ):
        if rule.get("ReferencedGroupInfo"):
            _revoke(ec2, one.id, rule["SecurityGroupRuleId"], egress=rule["IsEgress"])
    ec2.delete_security_group(GroupId=one.id)


def _delete_rule(account: Account, one: Leftover) -> None:
    direction, _, group = one.parent.partition(" ")
    _revoke(account.client("ec2"), group, one.id, egress=direction == "egress")


def _revoke(ec2: Any, group: str, rule: str, *, egress: bool) -> None:
    revoke = ec2.revoke_security_group_egress if egress else ec2.revoke_security_group_ingress
    revoke(GroupId=group, SecurityGroupRuleIds=[rule])


def _release(account: Account, one: Leftover) -> None:
    account.client("ec2").release_address(AllocationId=one.id)


# Certificates.


def _certificates(account: Account) -> Iterator[Leftover]:
    acm = account.client("acm")
    for one in account.pages(
        "acm", "list_certificates", "CertificateSummaryList", Includes={"keyTypes": list(_KEYS)}
    ):
        arn = one["CertificateArn"]
        tags = acm.list_tags_for_certificate(CertificateArn=arn)["Tags"]
        if owner := account.owner(of_list(tags)):
            yield owner.of("certificate", one["DomainName"], arn)


def _delete_certificate(account: Account, one: Leftover) -> None:
    account.client("acm").delete_certificate(CertificateArn=one.id)


# Identities.


def _roles(account: Account) -> Iterator[Leftover]:
    for one in account.pages("iam", "list_roles", "Roles"):
        tags = account.client("iam").list_role_tags(RoleName=one["RoleName"])["Tags"]
        if owner := account.owner(of_list(tags)):
            yield owner.of("role", one["RoleName"], one["RoleName"])


def _policies(account: Account) -> Iterator[Leftover]:
    for one in account.pages("iam", "list_policies", "Policies", Scope="Local"):
        tags = account.client("iam").list_policy_tags(PolicyArn=one["Arn"])["Tags"]
        if owner := account.owner(of_list(tags)):
            yield owner.of("policy", one["PolicyName"], one["Arn"])


def _providers(account: Account) -> Iterator[Leftover]:
    iam = account.client("iam")
    for one in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]:
        arn = one["Arn"]
        tags = iam.list_open_id_connect_provider_tags(OpenIDConnectProviderArn=arn)["Tags"]
        if owner := account.owner(of_list(tags)):
            yield owner.of("OIDC provider", arn.partition(":oidc-provider/")[2], arn)


def _delete_role(account: Account, one: Leftover) -> None:
    iam, name = account.client("iam"), {"RoleName": one.id}
    for policy in account.pages("iam", "list_attached_role_policies", "AttachedPolicies", **name):
        iam.detach_role_policy(**name, PolicyArn=policy["PolicyArn"])
    for inline in iam.get_paginator("list_role_policies").paginate(**name):
        for policy_name in inline["PolicyNames"]:
            iam.delete_role_policy(**name, PolicyName=policy_name)
    iam.delete_role(**name)


def _delete_policy(account: Account, one: Leftover) -> None:
    iam, arn = account.client("iam"), {"PolicyArn": one.id}
    for version in account.pages("iam", "list_policy_versions", "Versions", **arn):
        if not version["IsDefaultVersion"]:
            iam.delete_policy_version(**arn, VersionId=version["VersionId"])
    iam.delete_policy(**arn)


def _delete_provider(account: Account, one: Leftover) -> None:
    account.client("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=one.id)


# What EKS knows of the cluster.


def _associations(account: Account) -> Iterator[Leftover]:
    eks, of = account.client("eks"), {"clusterName": account.cluster}
    for one in account.pages("eks", "list_pod_identity_associations", "associations", **of):
        name = {**of, "associationId": one["associationId"]}
        found = eks.describe_pod_identity_association(**name)["association"]
        if owner := account.owner(found.get("tags") or {}):
            account_of = f"{one['namespace']}/{one['serviceAccount']}"
            yield owner.of("Pod Identity association", account_of, one["associationId"])


def _addons(account: Account) -> Iterator[Leftover]:
    eks, of = account.client("eks"), {"clusterName": account.cluster}
    for name in pages.listed(eks, "list_addons", "addons", **of):
        found = eks.describe_addon(**of, addonName=name)["addon"]
        if owner := account.owner(found.get("tags") or {}):
            yield owner.of("add-on", name, name)


def _delete_association(account: Account, one: Leftover) -> None:
    account.client("eks").delete_pod_identity_association(
        clusterName=account.cluster, associationId=one.id
    )


def _delete_addon(account: Account, one: Leftover) -> None:
    """End the management of an add-on; what it has installed stays, as without the course."""
    account.client("eks").delete_addon(clusterName=account.cluster, addonName=one.id, preserve=True)


_ELB_NAME = ("Elastic Load Balancing", "elbv2")
LOAD_BALANCING = (
    Kind("load balancer", *_ELB_NAME, _load_balancers,
         _elbv2("delete_load_balancer", "LoadBalancerArn")),
    Kind("listener rule", *_ELB_NAME, _rules, _elbv2("delete_rule", "RuleArn")),
    Kind("listener", *_ELB_NAME, _listeners, _elbv2("delete_listener", "ListenerArn")),
    Kind("target group", *_ELB_NAME, _target_groups,
         _elbv2("delete_target_group", "TargetGroupArn")),
)  # fmt: skip
NETWORK = (
    Kind("network interface", "EC2", "ec2", _interfaces, _delete_interface),
    Kind("security group rule", "EC2", "ec2", _group_rules, _delete_rule),
    Kind("security group", "EC2", "ec2", _groups, _delete_group),
    Kind("public address", "EC2", "ec2", _addresses, _release),
    Kind("certificate", "ACM", "acm", _certificates, _delete_certificate),
)
IDENTITIES = (
    Kind("Pod Identity association", "EKS", "eks", _associations, _delete_association),
    Kind("add-on", "EKS", "eks", _addons, _delete_addon),
    Kind("role", "IAM", "iam", _roles, _delete_role),
    Kind("policy", "IAM", "iam", _policies, _delete_policy),
    Kind("OIDC provider", "IAM", "iam", _providers, _delete_provider),
)
# In the order in which they can be deleted.
KINDS = (*LOAD_BALANCING, *NETWORK, *IDENTITIES)
