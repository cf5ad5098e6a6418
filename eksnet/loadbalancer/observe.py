"""What AWS has for an Ingress, a Service or a TargetGroupBinding, in tables for a reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eksnet import inputs
from eksnet.aws.pages import listed, tags_of
from eksnet.cluster import DeadlineError
from eksnet.cluster.countdown import until
from eksnet.errors import EksnetError
from eksnet.listing import Listing
from eksnet.loadbalancer.planning import plan

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

BINDINGS = "targetgroupbindings.elbv2.k8s.aws"
HEALTHY = "healthy"
# What has a load balancer, or a target group, in AWS.
_KINDS = {
    "ingress": "Ingress", "service": "Service", "targetgroupbinding": "TargetGroupBinding",
}  # fmt: skip
# Of an Application Load Balancer and of a target group, with the quotas that AWS gives at first.
_MOST_TARGETS = 1000
_CLUSTER_TAG = "elbv2.k8s.aws/cluster"

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """A rule of a listener.

    Attributes:
        port: The listener's port.
        priority: A number, or `default`.
        conditions: When it applies; empty for always.
        action: What happens then; a target group is named by its Service and that one's port.
    """

    port: int
    priority: str
    conditions: str
    action: str


@dataclass(frozen=True)
class Target:
    """A target of a load balancer.

    Attributes:
        service: The Service and its port, as `web:80`.
        name: The pod or the node.
        port: The target's port.
        zone: Its availability zone; empty where AWS does not say it.
        state: The state of its health: initial, healthy, unhealthy, unused or draining.
        reason: The reason code; empty when it is healthy.
    """

    service: str
    name: str
    port: int
    zone: str
    state: str
    reason: str


class ReplacedError(EksnetError):
    """A status names a load balancer that AWS no longer has: the controller makes another one."""


def hostname(ingress: Json) -> str:
    """Return the DNS name in an Ingress' status; empty when there is none.

    Raises:
        EksnetError: It is no Ingress.
    """
    with inputs.well_formed("the Ingress", ingress):
        status: Json = ingress.get("status") or {}
        found: list[Json] = (status.get("loadBalancer") or {}).get("ingress") or []
        return str(found[0].get("hostname") or "") if found else ""


def provisioned(ingress: Json) -> bool:
    """Tell whether the controller has written a DNS name into an Ingress' status.

    It is a condition of `Cluster.wait`.
    """
    return bool(hostname(ingress))


def load_balancer(cluster: Cluster, what: str, namespace: str | None = None) -> dict[str, Any]:
    """Return AWS' own description of the load balancer of an Ingress or a Service.

    Args:
        cluster: The cluster.
        what: The Ingress' name, or `service/` and the name of a Service of type LoadBalancer.
        namespace: Its namespace; the context's own when None.

    Raises:
        EksnetError: It or its load balancer is not there.
    """
    kind, name = _named(what)
    host = hostname(cluster.get(kind, name, namespace))
    if host and (found := balancer_of(cluster, host)):
        return found
    expected = "one that the AWS Load Balancer Controller has reconciled"
    says_why = f'cluster.events("{kind}/{name}", namespace=…) says why'
    if host:
        raise ReplacedError(f"there is no load balancer {host}", expected, says_why)
    raise EksnetError(f"the {_KINDS[kind]} {name} has no load balancer", expected, says_why)


def balancer_of(cluster: Cluster, host: str) -> dict[str, Any] | None:
    """Return AWS' own description of the load balancer with a DNS name; None where there is none.

    Args:
        cluster: The cluster.
        host: The DNS name.
    """
    found = _pages(cluster, "describe_load_balancers", "LoadBalancers")
    return next((one for one in found if one["DNSName"].lower() == host.lower()), None)


def rules(cluster: Cluster, ingress: str, namespace: str | None = None) -> Listing[Rule]:
    """Return the rules of an Ingress' load balancer, in the order in which it tries them.

    Args:
        cluster: The cluster.
        ingress: The Ingress' name.
        namespace: Its namespace; the context's own when None.

    Raises:
        EksnetError: The Ingress or its load balancer is not there.
    """
    balancer = load_balancer(cluster, ingress, namespace)
    return Listing.of(
        rules_of(cluster, balancer["LoadBalancerArn"]),
        {
            "port": lambda one: one.port,
            "priority": lambda one: one.priority,
            "if": lambda one: one.conditions,
            "then": lambda one: one.action,
        },
    )


def targets(cluster: Cluster, what: str, namespace: str | None = None) -> Listing[Target]:
    """Return the targets of a load balancer or a binding and their health, by Service and name.

    Args:
        cluster: The cluster.
        what: The name of an Ingress, or `service/NAME`, or `targetgroupbinding/NAME`.
        namespace: Its namespace; the context's own when None.

    Raises:
        EksnetError: It, its load balancer or its target group is not there.
    """
    return Listing.of(
        sorted(
            targets_of(cluster, **_of(cluster, what, namespace)),
            key=lambda one: (one.service, one.name, one.port),
        ),
        {
            "service": lambda one: one.service,
            "target": lambda one: one.name,
            "port": lambda one: one.port,
            "zone": lambda one: one.zone,
            "state": lambda one: one.state,
            "reason": lambda one: one.reason,
        },
    )


def wait_for_targets(
    cluster: Cluster,
    what: str,
    namespace: str | None = None,
    *,
    count: int,
    state: str = HEALTHY,
    draining: int = 0,
    timeout: float = 120,
) -> Listing[Target]:
    """Wait until there are so many targets, all of them in one state; return them.

    A load balancer that the controller is replacing is waited for too.

    Args:
        cluster: The cluster.
        what: As `targets` takes it.
        namespace: Its namespace; the context's own when None.
        count: How many targets there are then.
        state: Their state.
        draining: How many more are being deregistered.
        timeout: How long at most, in seconds.

    Raises:
        DeadlineError: It did not come to that.
        EksnetError: As `targets` raises it, or no load balancer has so many.
    """
    inputs.count(count, "the number of targets", 0, _MOST_TARGETS)
    inputs.count(draining, "the number of draining targets", 0, _MOST_TARGETS)
    found: Listing[Target] | None = None
    gone: ReplacedError | None = None
    wanted = sorted([state] * count + ["draining"] * draining)

    def there() -> bool:
        nonlocal found, gone
        try:
            found, gone = targets(cluster, what, namespace), None
        except ReplacedError as error:
            found, gone = None, error
            return False
        return sorted(one.state for one in found) == wanted

    title = f"{count} {state} targets" + (f" and {draining} draining" if draining else "")
    if not until(title, there, timeout) or found is None:
        if gone:
            raise gone
        seen = "; ".join(f"{one.name} {one.state} {one.reason}".strip() for one in found or ())
        raise DeadlineError(
            f"after {timeout:g} s the targets are: {seen or 'none'}",
            title.replace(f"{count} {state} targets", f"{count} targets that are {state}"),
            "the reason code of a target says what its last health check found",
        )
    return found


def wait_until_as_planned(cluster: Cluster, *manifests: str, timeout: float = 120) -> None:
    """Wait until AWS has what the controller plans for manifests: it has nothing left to do.

    Args:
        cluster: The cluster.
        manifests: Their text, as it was applied.
        timeout: How long at most, in seconds.

    Raises:
        DeadlineError: It still differs, or the controller refuses them.
    """
    left = "nothing is known yet"

    def done() -> bool:
        nonlocal left
        found = plan(cluster, *manifests)
        left = "; ".join(map(str, (*found.refused, *found.changes)[:1]))
        return not left

    if not until("the controller", done, timeout, poll=1):
        raise DeadlineError(
            f"after {timeout:g} s this is left to do: {left}",
            "a load balancer that is as planned",
            "the events of the Ingress say what the controller does",
        )
    print("the load balancer is as planned")


def made_in_aws(cluster: Cluster) -> dict[str, int]:
    """Return how many load balancers, target groups and security groups the controller has made.

    It finds them by the controller's own tag with the cluster's name.

    Args:
        cluster: The cluster.
    """
    tag = {"Name": f"tag:{_CLUSTER_TAG}", "Values": [cluster.eks_name]}
    groups = listed(cluster.aws("ec2"), "describe_security_groups", "SecurityGroups", Filters=[tag])
    return {
        "load balancers": _own(cluster, "describe_load_balancers", "LoadBalancer"),
        "target groups": _own(cluster, "describe_target_groups", "TargetGroup"),
        "security groups": len(list(groups)),
    }


# From AWS.


def _pages(cluster: Cluster, call: str, key: str, **arguments: Any) -> Iterator[dict[str, Any]]:
    return listed(cluster.aws("elbv2"), call, key, **arguments)


def _own(cluster: Cluster, call: str, kind: str) -> int:
    """Return how many there are with the cluster's tag."""
    arns = [one[f"{kind}Arn"] for one in _pages(cluster, call, f"{kind}s")]
    found = tags_of(cluster.aws("elbv2"), arns).values()
    return sum(one.get(_CLUSTER_TAG) == cluster.eks_name for one in found)


def _bindings(cluster: Cluster) -> dict[str, tuple[str, str]]:
    """Return for the ARN of each bound target group its Service with the port, and namespace."""
    return {
        one["spec"].get("targetGroupARN", ""): (
            f"{one['spec']['serviceRef']['name']}:{one['spec']['serviceRef']['port']}",
            str(one.namespace),
        )
        for one in cluster.list(BINDINGS, all_namespaces=True)
    }


def rules_of(cluster: Cluster, balancer: str) -> Iterator[Rule]:
    """Yield the rules of a load balancer by port, in the order in which it tries them.

    Args:
        cluster: The cluster.
        balancer: The load balancer's ARN.
    """
    services = {arn: service for arn, (service, _) in _bindings(cluster).items()}
    listeners = _pages(cluster, "describe_listeners", "Listeners", LoadBalancerArn=balancer)
    for listener in sorted(listeners, key=lambda one: int(one["Port"])):
        found = cluster.aws("elbv2").describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
        for one in sorted(found, key=_priority):
            conditions = " and ".join(map(_condition, one["Conditions"]))
            action = _action(one["Actions"][-1], services)
            yield Rule(int(listener["Port"]), one["Priority"], conditions, action)


def _priority(rule: Json) -> float:
    return int(rule["Priority"]) if rule["Priority"].isdecimal() else float("inf")


def _condition(one: Json) -> str:
    """Return a condition as text: its field, and the values of which one has to match."""
    inside: Json = next((value for key, value in one.items() if key.endswith("Config")), {})
    values = inside.get("Values") or one.get("Values") or ()
    shown = [
        f"{each.get('Key', '*')}={each['Value']}" if isinstance(each, dict) else str(each)
        for each in values
    ]
    name = inside.get("HttpHeaderName")
    return f"{one['Field']}{f' {name}' if name else ''} {' or '.join(shown)}"


def _action(one: Json, services: Mapping[str, str]) -> str:
    if one["Type"] == "forward":
        groups = (one.get("ForwardConfig") or {}).get("TargetGroups") or (one,)
        return "forward to " + ", ".join(
            services.get(each["TargetGroupArn"], "another target group") for each in groups
        )
    if one["Type"] == "redirect":
        to = one["RedirectConfig"]
        return f"redirect {to['StatusCode'].removeprefix('HTTP_')} to {_location(to)}"
    if one["Type"] == "fixed-response":
        return f"answer {one['FixedResponseConfig']['StatusCode']}"
    return str(one["Type"])


def _location(to: Json) -> str:
    host, path = to.get("Host", "#{host}"), to.get("Path", "/#{path}")
    return f"{to.get('Protocol', '#{protocol}').lower()}://{host}:{to.get('Port', '#{port}')}{path}"


def _named(what: str) -> tuple[str, str]:
    """Return kind and name of what has a load balancer; a name alone is an Ingress'."""
    text = inputs.text(what, "the object", "such as web, or service/web")
    kind, slash, name = text.partition("/")
    if not slash:
        return "ingress", text
    if kind not in _KINDS:
        raise EksnetError(
            f"{kind!r} has no load balancer", f"one of {', '.join(_KINDS)}", f"ingress/{name}"
        )
    return kind, name


def _of(cluster: Cluster, what: str, namespace: str | None) -> dict[str, Any]:
    """Return which target groups those of a load balancer or a binding are, as AWS takes it."""
    kind, name = _named(what)
    if kind == "targetgroupbinding":
        found = cluster.get(kind, name, namespace)
        return {"TargetGroupArns": [str(found["spec"]["targetGroupARN"])]}
    return {"LoadBalancerArn": load_balancer(cluster, what, namespace)["LoadBalancerArn"]}


def targets_of(cluster: Cluster, **of: Any) -> Iterator[Target]:
    """Yield the targets of target groups.

    Args:
        cluster: The cluster.
        of: Which ones, as DescribeTargetGroups takes it.
    """
    bindings = _bindings(cluster)
    nodes = {
        str((one.get("spec") or {}).get("providerID", "")).rpartition("/")[2]: one.name
        for one in cluster.list("nodes")
    }
    for group in _pages(cluster, "describe_target_groups", "TargetGroups", **of):
        arn = group["TargetGroupArn"]
        service, namespace = bindings.get(arn, ("unknown", ""))
        names = {**nodes, **_pods(cluster, namespace)}
        health = cluster.aws("elbv2").describe_target_health(TargetGroupArn=arn)
        for one in health["TargetHealthDescriptions"]:
            target, found = one["Target"], one["TargetHealth"]
            yield Target(
                service,
                names.get(target["Id"], "no longer there"),
                int(target.get("Port", 0)),
                target.get("AvailabilityZone", ""),
                found["State"],
                found.get("Reason", ""),
            )


def _pods(cluster: Cluster, namespace: str) -> dict[str, str]:
    """Return the names of a namespace's pods by their addresses."""
    if not namespace:
        return {}
    return {one["status"].get("podIP", ""): one.name for one in cluster.list("pods", namespace)}
