"""What a request asks of IAM: actions, their resources and the condition context; pure.

The resources are those of the *Service Authorization Reference*: what is created, and what the
request names. EC2's `Describe…` and what lists a whole account have none. Tags that are set at a
creation ask for a second action (`ec2:CreateTags` with the key `ec2:CreateAction`), as on AWS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from eksnet.sandbox.aws.operations import Operation
from eksnet.sandbox.aws.policies import Asked, Values
from eksnet.sandbox.aws.principals import Principal

# The prefix of a service's actions, where it is not its name in a signature's scope.
_PREFIXES = {"tagging": "tag"}

# EC2: the kind in an ARN by the beginning of an id; images and snapshots belong to no account.
_EC2_KINDS: Mapping[str, str] = {
    "acl": "network-acl",
    "ami": "image",
    "dopt": "dhcp-options",
    "eigw": "egress-only-internet-gateway",
    "eipalloc": "elastic-ip",
    "eni": "network-interface",
    "i": "instance",
    "igw": "internet-gateway",
    "key": "key-pair",
    "lt": "launch-template",
    "nat": "natgateway",
    "pcx": "vpc-peering-connection",
    "pl": "prefix-list",
    "rtb": "route-table",
    "sg": "security-group",
    "sgr": "security-group-rule",
    "snap": "snapshot",
    "subnet": "subnet",
    "tgw": "transit-gateway",
    "vol": "volume",
    "vpc": "vpc",
    "vpce": "vpc-endpoint",
}
_OWNERLESS = ("image", "snapshot")
_EC2_ID = re.compile(rf"({'|'.join(_EC2_KINDS)})-[0-9a-f]{{8,17}}")
# Parameters that name other resources than those that the action is about.
_EC2_ASIDE = re.compile(r"(Filter|IpPermissions|Tag|TagSpecification)\..*|.*IpPermissions\..*")
_EC2_CREATES: Mapping[str, str] = {
    "AllocateAddress": "elastic-ip",
    "CreateDhcpOptions": "dhcp-options",
    "CreateImage": "image",
    "CreateInternetGateway": "internet-gateway",
    "CreateKeyPair": "key-pair",
    "CreateLaunchTemplate": "launch-template",
    "CreateNatGateway": "natgateway",
    "CreateNetworkAcl": "network-acl",
    "CreateNetworkInterface": "network-interface",
    "CreateRouteTable": "route-table",
    "CreateSecurityGroup": "security-group",
    "CreateSnapshot": "snapshot",
    "CreateSubnet": "subnet",
    "CreateVolume": "volume",
    "CreateVpc": "vpc",
    "CreateVpcEndpoint": "vpc-endpoint",
    "CreateVpcPeeringConnection": "vpc-peering-connection",
    "ImportKeyPair": "key-pair",
    "RunInstances": "instance",
}
# What is created below what a request names: only the tags that it sets are about its own ARN.
_ELB_BELOW: Mapping[str, tuple[str, str]] = {
    "CreateListener": ("loadbalancer", "listener"),
    "CreateRule": ("listener", "listener-rule"),
}
_ELB_PARENTS = {"CreateListener": "LoadBalancer", "CreateRule": "Listener"}
_ELB_ARN = re.compile(
    r"(LoadBalancer|Listener|Rule|TargetGroup|TrustStore|Resource)Arns?(\.\d+)?"
    r"|RulePriorities\.\d+\.RuleArn"
)
_ELB_KINDS = {"application": "app", "network": "net", "gateway": "gwy", "": "app"}
# IAM: the kind in an ARN by the parameter that names it; the first that is there counts.
_IAM_KINDS: Mapping[str, str] = {
    "InstanceProfileName": "instance-profile",
    "GroupName": "group",
    "RoleName": "role",
    "UserName": "user",
}
_CREATES_PROVIDER = "CreateOpenIDConnectProvider"
# What IAM and EKS call by a name or by ids in the path.
_IAM_OWN = ("GetUser", "CreateAccessKey", "ListAccessKeys", "DeleteAccessKey", "UpdateAccessKey")
_EKS_KINDS: Mapping[str, str] = {
    "addonName": "addon",
    "nodegroupName": "nodegroup",
    "principalArn": "access-entry",
    "associationId": "podidentityassociation",
    "fargateProfileName": "fargateprofile",
}
# The parts of a principal's ARN that are in the ARN of its access entry: its path is not.
_PRINCIPAL = re.compile(r"arn:aws:iam::(?P<account>\d+):(?P<kind>user|role)/(.+/)?(?P<name>[^/]+)")
# The action that tags at a creation ask for, beside the creation itself.
_TAGGING: Mapping[str, str] = {
    "ec2": "ec2:CreateTags",
    "elasticloadbalancing": "elasticloadbalancing:AddTags",
    "iam": "iam:Tag",
}
# The key of a service's own that carries the creation, for that action.
_CREATE_ACTION = {
    "ec2": "ec2:createaction",
    "elasticloadbalancing": "elasticloadbalancing:createaction",
}
# Keys of single actions, by the parameter that has their value.
_OWN_KEYS: Mapping[str, str] = {
    "iam:awsservicename": "AWSServiceName",
    "iam:policyarn": "PolicyArn",
    "sts:externalid": "ExternalId",
    "sts:rolesessionname": "RoleSessionName",
}
# The services whose resource tags have a key of their own beside `aws:ResourceTag`.
_OWN_TAGS = ("ec2", "elasticloadbalancing", "iam")


@dataclass(frozen=True)
class Context:
    """What is known beside the request itself.

    Attributes:
        account: The account's id.
        region: The region.
        principal: Who asks.
        tags: Returns the tags of a resource.
        named: Returns the ARN of what IAM calls by a kind and a name; None when it is not there.
        of_cluster: Returns the ARN of what EKS calls by a cluster, a kind and a name; None when
            it is not there.
    """

    account: str
    region: str
    principal: Principal
    tags: Callable[[str], Mapping[str, str]]
    named: Callable[[str, str], str | None]
    of_cluster: Callable[[str, str, str], str | None]

    def arn(self, service: str, resource: str, *, everywhere: bool = False) -> str:
        """Return an ARN; IAM's and Route 53's have no region."""
        return f"arn:aws:{service}:{'' if everywhere else self.region}:{self.account}:{resource}"


def asked(operation: Operation, context: Context) -> tuple[Asked, ...]:
    """Return all that has to be allowed for an operation.

    Args:
        operation: The operation.
        context: Who asks, and what is there.
    """
    return tuple(_asked(operation, context))


def _asked(operation: Operation, context: Context) -> Iterator[Asked]:
    service = operation.service
    action = f"{_PREFIXES.get(service, service)}:{operation.name}"
    created = tuple(_CREATED[service](operation, context)) if service in _CREATED else ()
    named = tuple(_NAMED[service](operation, context)) if service in _NAMED else ()
    tags = operation.tags()
    common = principal_keys(context.principal, context.region) | _own_keys(operation)
    tagged = created or (named if tags else ())
    for resource in (*created, *named) or ("*",):
        keys = common | (_request_tags(tags) if resource in tagged or resource == "*" else {})
        yield Asked(action, resource, keys | _resource_tags(service, resource, context))
    below = created or tuple(_elb_below(operation))
    if tags and below and service in _TAGGING:
        yield from _tagging(operation, below, common | _request_tags(tags))
    yield from _passed_roles(operation, context, common)


def _tagging(operation: Operation, created: Values, keys: Mapping[str, Values]) -> Iterator[Asked]:
    action = _TAGGING[operation.service]
    if operation.service == "iam":
        action += operation.name.removeprefix("Create")
    own = _CREATE_ACTION.get(operation.service)
    keys = {**keys, **({own: (operation.name,)} if own else {})}
    for resource in created:
        yield Asked(action, resource, keys)


def _passed_roles(
    operation: Operation, context: Context, common: Mapping[str, Values]
) -> Iterator[Asked]:
    """Yield `iam:PassRole` for each role that a request hands to a service."""
    if operation.service == "eks":
        for role in operation.values("roleArn|serviceAccountRoleArn|nodeRole"):
            to = {"iam:passedtoservice": ("eks.amazonaws.com",)}
            yield Asked("iam:PassRole", role, {**common, **to})
    if operation.name == "AddRoleToInstanceProfile":
        role = operation.parameters.get("RoleName", "")
        arn = context.named("role", role) or context.arn("iam", f"role/{role}", everywhere=True)
        yield Asked("iam:PassRole", arn, common)


# The resources, by service.


def _ec2_created(operation: Operation, context: Context) -> Iterator[str]:
    if kind := _EC2_CREATES.get(operation.name):
        yield _ec2_arn(kind, "*", context)


def _ec2_named(operation: Operation, context: Context) -> Iterator[str]:
    if operation.name.startswith("Describe"):
        return
    for name, value in operation.parameters.items():
        found = _EC2_ID.fullmatch(value)
        if found and not _EC2_ASIDE.fullmatch(name):
            yield _ec2_arn(_EC2_KINDS[found[1]], value, context)


def _ec2_arn(kind: str, name: str, context: Context) -> str:
    owner = "" if kind in _OWNERLESS else context.account
    return f"arn:aws:ec2:{context.region}:{owner}:{kind}/{name}"


def _elb_created(operation: Operation, context: Context) -> Iterator[str]:
    sent = operation.parameters
    if operation.name == "CreateLoadBalancer":
        kind = _ELB_KINDS.get(sent.get("Type", ""), "app")
        resource = f"loadbalancer/{kind}/{sent.get('Name', '*')}/*"
        yield context.arn("elasticloadbalancing", resource)
    elif operation.name == "CreateTargetGroup":
        yield context.arn("elasticloadbalancing", f"targetgroup/{sent.get('Name', '*')}/*")


def _elb_below(operation: Operation) -> Iterator[str]:
    """Yield the ARN of what is created below what a request names: a listener or a rule."""
    for name, (above, below) in _ELB_BELOW.items():
        if operation.name == name:
            parent = operation.parameters.get(f"{_ELB_PARENTS[name]}Arn", "")
            yield parent.replace(f":{above}/", f":{below}/") + "/*"


def _elb_named(operation: Operation, _: Context) -> Iterator[str]:
    if operation.name.startswith("Describe"):
        return
    for name, value in operation.parameters.items():
        if _ELB_ARN.fullmatch(name):
            yield value


def _iam_created(operation: Operation, context: Context) -> Iterator[str]:
    kind = re.fullmatch(r"Create(User|Role|Group|Policy|InstanceProfile)", operation.name)
    if kind:
        words = {"InstanceProfile": "instance-profile"}.get(kind[1], kind[1].lower())
        name = operation.parameters.get(f"{kind[1]}Name", "*")
        path = operation.parameters.get("Path", "/")
        yield context.arn("iam", f"{words}{path}{name}", everywhere=True)
    elif operation.name == _CREATES_PROVIDER:
        url = operation.parameters.get("Url", "*").removeprefix("https://")
        yield context.arn("iam", f"oidc-provider/{url}", everywhere=True)
    elif operation.name == "CreateServiceLinkedRole":
        service = operation.parameters.get("AWSServiceName", "*")
        yield context.arn("iam", f"role/aws-service-role/{service}/*", everywhere=True)


def _iam_named(operation: Operation, context: Context) -> Iterator[str]:
    if re.fullmatch(r"Create(User|Role|Group|Policy|InstanceProfile)", operation.name):
        return
    sent = operation.parameters
    if arn := sent.get("OpenIDConnectProviderArn") or sent.get("PolicySourceArn"):
        yield arn
        return
    for parameter, kind in _IAM_KINDS.items():
        if name := sent.get(parameter):
            missing = context.arn("iam", f"{kind}/{name}", everywhere=True)
            yield context.named(kind, name) or missing
            return
    if arn := sent.get("PolicyArn"):
        yield arn
    elif operation.name in _IAM_OWN:
        yield context.principal.identity


def _eks_named(operation: Operation, context: Context) -> Iterator[str]:
    sent = operation.parameters
    cluster = sent.get("clusterName") or sent.get("name")
    if not cluster:
        if arn := sent.get("resourceArn"):
            yield arn
        return
    about = next((p for p in _EKS_KINDS if sent.get(p)), None)
    if about is None or operation.name.startswith("Create"):
        yield context.arn("eks", f"cluster/{cluster}")
    else:
        kind, name = _EKS_KINDS[about], sent[about]
        missing = context.arn("eks", f"{kind}/{cluster}/{_eks_missing(kind, name)}")
        yield context.of_cluster(cluster, kind, name) or missing


def _eks_missing(kind: str, name: str) -> str:
    """Return the end of an ARN that a resource would have if it were there."""
    if kind == "podidentityassociation":
        return name
    if principal := _PRINCIPAL.fullmatch(name):
        return "{kind}/{account}/{name}/*".format_map(principal.groupdict())
    return f"{name}/*"


def _sts_named(operation: Operation, _: Context) -> Iterator[str]:
    if arn := operation.parameters.get("RoleArn"):
        yield arn


def _acm_named(operation: Operation, _: Context) -> Iterator[str]:
    if arn := operation.parameters.get("CertificateArn"):
        yield arn


def _route53_named(operation: Operation, _: Context) -> Iterator[str]:
    kinds = {"Id": "hostedzone", "HostedZoneId": "hostedzone", "HealthCheckId": "healthcheck"}
    for parameter, kind in kinds.items():
        if name := operation.parameters.get(parameter):
            found = "change" if operation.name == "GetChange" else kind
            yield f"arn:aws:route53:::{found}/{name}"


_Resources = Callable[[Operation, Context], Iterator[str]]
_CREATED: Mapping[str, _Resources] = {
    "ec2": _ec2_created,
    "elasticloadbalancing": _elb_created,
    "iam": _iam_created,
}
_NAMED: Mapping[str, _Resources] = {
    "acm": _acm_named,
    "ec2": _ec2_named,
    "eks": _eks_named,
    "elasticloadbalancing": _elb_named,
    "iam": _iam_named,
    "route53": _route53_named,
    "sts": _sts_named,
}


# The condition context.


def principal_keys(who: Principal, region: str) -> dict[str, Values]:
    """Return the keys of the condition context that tell who asks, and where.

    Args:
        who: Who asks.
        region: The region.
    """
    keys: dict[str, Values] = {
        "aws:principalaccount": (who.account,),
        "aws:principalarn": (who.identity,),
        "aws:principaltype": ("User" if who.kind == "user" else "AssumedRole",),
        "aws:requestedregion": (region,),
        "aws:securetransport": ("false",),
        "aws:userid": (who.user_id,),
        "ec2:region": (region,),
    }
    if who.kind == "user":
        keys["aws:username"] = (who.name,)
    return keys | {f"aws:principaltag/{k}".lower(): (v,) for k, v in who.tags.items()}


def _own_keys(operation: Operation) -> dict[str, Values]:
    """Return the keys of single actions."""
    sent, prefix = operation.parameters, f"{operation.service}:"
    found = {key: sent.get(name) for key, name in _OWN_KEYS.items() if key.startswith(prefix)}
    return {key: (value,) for key, value in found.items() if value is not None}


def _request_tags(tags: Mapping[str, str]) -> dict[str, Values]:
    if not tags:
        return {}
    keys: dict[str, Values] = {f"aws:requesttag/{k}".lower(): (v,) for k, v in tags.items()}
    return {**keys, "aws:tagkeys": tuple(tags)}


def _resource_tags(service: str, resource: str, context: Context) -> dict[str, Values]:
    if resource.endswith("*"):
        return {}
    tags = context.tags(resource)
    prefixes = ["aws", *([service] if service in _OWN_TAGS else [])]
    return {f"{p}:resourcetag/{k}".lower(): (v,) for p in prefixes for k, v in tags.items()}
