"""The checkpoints of 09_lab_target_group_binding: a load balancer by hand, and its bindings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eksnet import loadbalancer
from eksnet.checkpoints.criteria import (
    Criterion,
    Definition,
    Observation,
    Prediction,
    Wait,
    failed,
    not_started,
    not_yet,
    passed,
)
from eksnet.errors import NotFoundError
from eksnet.loadbalancer import by_hand
from eksnet.loadbalancer.by_hand import BALANCER, GROUPS

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

NOTEBOOK = "09_lab_target_group_binding"
NAMESPACE, SERVICE = "app-ns", "web"
WEB, NODES = GROUPS
# The bindings of the two target groups.
BINDING, SECOND = "web", "instances"
CONTAINER_PORT = 8080
PRESERVE = "preserve_client_ip.enabled"
ASKED = ("client", "web-a")
TRIED = ("second binding", "unknown ARN", "another VPC", "another target type")
_NO_BINDING = "there is no TargetGroupBinding {} in app-ns"
_LOOK = f'loadbalancer.targets(cluster, "targetgroupbinding/{BINDING}", "{NAMESPACE}")'
_EVENTS = f'cluster.events("targetgroupbinding/{{}}", namespace="{NAMESPACE}")'
_DESCRIBE = 'cluster.aws("elbv2").{}()'
_TARGETS = Wait("the health checks of the targets", deadline=90)
_REGISTERED = Wait("the controller to register targets", deadline=60)


def _balancer(cluster: Cluster) -> dict[str, Any] | None:
    _service(cluster)
    return by_hand.balancer(cluster)


def _target_group(cluster: Cluster, name: str) -> dict[str, Any] | None:
    _service(cluster)
    return by_hand.target_group(cluster, name)


def _service(cluster: Cluster) -> Resource | None:
    # Whoever may not look into the cluster cannot be told about its load balancers either.
    return cluster.find(f"service/{SERVICE}", namespace=NAMESPACE)


def made(cluster: Cluster) -> Observation:
    """Whether there is a Network Load Balancer with a security group."""
    expected = f"a Network Load Balancer {BALANCER} with a security group"
    found = _balancer(cluster)
    if found is None:
        return not_started(
            f"there is no load balancer {BALANCER}", expected, "run the cell that creates it"
        )
    if found["Type"] != "network":
        return failed(f"its type is {found['Type']}", expected, 'create it with Type="network"')
    if not found.get("SecurityGroups"):
        step = "delete it, and create it with SecurityGroups: a group cannot be added later"
        return failed("it has no security group", expected, step)
    return passed("it is one, and has a security group")


def group(cluster: Cluster) -> Observation:
    """Whether there is a target group for addresses of pods."""
    expected = f"a target group {WEB} with the type ip and the protocol TCP"
    found = _target_group(cluster, WEB)
    if found is None:
        return not_started(f"there is no target group {WEB}", expected, "run its cell")
    seen = f"{found['TargetType']} and {found['Protocol']}"
    if seen != "ip and TCP":
        step = "delete it and create it again: neither can be changed"
        return failed(f"its type and protocol are {seen}", expected, step)
    return passed("its targets are addresses, its protocol is TCP")


def listener(cluster: Cluster) -> Observation:
    """Whether the load balancer's port 80 forwards to the target group."""
    expected = f"a listener on port 80 that forwards to {WEB}"
    found, to = _balancer(cluster), _target_group(cluster, WEB)
    if found is None or to is None:
        return not_started("the load balancer or the target group is missing", expected, "")
    elb = cluster.aws("elbv2")
    listeners = elb.describe_listeners(LoadBalancerArn=found["LoadBalancerArn"])["Listeners"]
    actions = [one["DefaultActions"][0] for one in listeners if one["Port"] == 80]
    if not actions:
        return failed("it has no listener on port 80", expected, "run the cell that creates it")
    if actions[0].get("TargetGroupArn") != to["TargetGroupArn"]:
        step = _DESCRIBE.format("describe_target_groups") + " shows the ARNs"
        return failed("its listener forwards to another target group", expected, step)
    return passed(f"its listener on port 80 forwards to {WEB}")


def _binding(cluster: Cluster, name: str = BINDING) -> Resource | None:
    _service(cluster)
    try:
        return cluster.find(f"targetgroupbinding/{name}", namespace=NAMESPACE)
    except NotFoundError:
        # The kind is the controller's.
        return None


def bound(cluster: Cluster) -> Observation:
    """Whether the target group is bound to the Service."""
    expected = f"a TargetGroupBinding {BINDING} of {WEB} and the Service {SERVICE}"
    found, to = _binding(cluster), _target_group(cluster, WEB)
    if found is None:
        return not_started(_NO_BINDING.format(BINDING), expected, "apply it")
    if to is None or found["spec"].get("targetGroupARN") != to["TargetGroupArn"]:
        step = "delete it and apply it again: its target group cannot be changed"
        return failed("it binds another target group", expected, step)
    named = found["spec"]["serviceRef"]["name"]
    if named != SERVICE:
        return failed(f"it binds the Service {named}", expected, "apply it with the Service web")
    return passed(f"it binds {WEB} to the Service {SERVICE}")


def networking(cluster: Cluster) -> Observation:
    """Whether the binding opens the pods' port to the load balancer."""
    expected = f"a rule in spec.networking for the security group of {BALANCER} and the pods' port"
    found, front = _binding(cluster), _balancer(cluster)
    if found is None or front is None:
        return not_started("there is no binding, or no load balancer", expected, "apply it")
    rules = (found["spec"].get("networking") or {}).get("ingress") or ()
    if not rules:
        step = "apply the binding with spec.networking"
        return failed("it has no spec.networking: nothing opens the pods", expected, step)
    groups = set(front.get("SecurityGroups") or ())
    if not any(_opens(rule, groups) for rule in rules):
        step = f"compare the group and the port ({CONTAINER_PORT}, where the pods listen)"
        return failed("its rules open another port, or for another source", expected, step)
    return passed("it opens the pods' port to the load balancer")


def _opens(rule: dict[str, Any], groups: set[str]) -> bool:
    named = {(one.get("securityGroup") or {}).get("groupID") for one in rule.get("from") or ()}
    ports = [one.get("port") for one in rule.get("ports") or ()]
    # Without a port, or without ports, all of them are opened.
    opened = not ports or any(one in (None, CONTAINER_PORT) for one in ports)
    return bool(named & groups) and opened


def healthy(cluster: Cluster) -> Observation:
    """Whether every target of the binding is healthy."""
    expected = "every target healthy"
    if _binding(cluster) is None:
        return not_started(_NO_BINDING.format(BINDING), expected, "apply it")
    found = loadbalancer.targets(cluster, f"targetgroupbinding/{BINDING}", NAMESPACE)
    if not found:
        step = f"read the events: {_EVENTS.format(BINDING)}"
        return not_yet("the target group has no target", expected, step)
    wrong = [one for one in found if one.state != loadbalancer.HEALTHY]
    if wrong:
        reason = f" ({wrong[0].reason})" if wrong[0].reason else ""
        seen = f"{len(wrong)} of {len(found)} targets are {wrong[0].state}{reason}"
        return not_yet(seen, expected, _LOOK)
    return passed(f"{len(found)} of {len(found)} targets are healthy")


def itself(cluster: Cluster, observed: Any) -> Any:
    """Who gets an answer, while the target group keeps the client's address."""
    expected = f"the target group {WEB} with {PRESERVE} on"
    found = _target_group(cluster, WEB)
    if found is None:
        return not_started(f"there is no target group {WEB}", expected, "")
    arn = found["TargetGroupArn"]
    said = cluster.aws("elbv2").describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
    if {"Key": PRESERVE, "Value": "true"} not in said:
        return not_started(f"{PRESERVE} is off", expected, "")
    if not isinstance(observed, dict) or set(observed) != set(ASKED):
        return not_started("nothing was observed yet", "what client and web-a get", "")
    return {name: observed[name] for name in ASKED}


def tried(cluster: Cluster, observed: Any) -> Any:
    """Which of four bindings are refused; the one that is not is there."""
    expected = f"the binding {SECOND}, which is accepted"
    if _binding(cluster, SECOND) is None:
        return not_started(_NO_BINDING.format(SECOND), expected, "")
    if not isinstance(observed, dict) or set(observed) != set(TRIED):
        return not_started("nothing was observed yet", "what became of each of the four", "")
    return {name: observed[name] for name in TRIED}


def target_type(cluster: Cluster) -> Observation:
    """Whether the second binding has the type of its target group."""
    expected = f"the type of the target group {NODES}, instance"
    found, to = _binding(cluster, SECOND), _target_group(cluster, NODES)
    if found is None or to is None:
        return not_started(f"there is no binding {SECOND}, or no {NODES}", expected, "apply it")
    said = found["spec"].get("targetType", "not set")
    if said != to["TargetType"]:
        step = f'cluster.delete("targetgroupbinding/{SECOND}", namespace="{NAMESPACE}"), then '
        return failed(
            f"its type is {said}, and the target group's {to['TargetType']}",
            expected,
            f"{step}apply it without targetType",
        )
    return passed(f"both have the type {said}")


def nodes(cluster: Cluster) -> Observation:
    """Whether the nodes are the second binding's targets."""
    expected = "a target for each node"
    if _binding(cluster, SECOND) is None:
        return not_started(_NO_BINDING.format(SECOND), expected, "apply it")
    known = {one.name for one in cluster.list("nodes")}
    found = loadbalancer.targets(cluster, f"targetgroupbinding/{SECOND}", NAMESPACE)
    here = known & {one.name for one in found}
    if here != known:
        step = f"read the events: {_EVENTS.format(SECOND)}"
        return not_yet(f"{len(here)} of {len(known)} nodes are targets", expected, step)
    return passed(f"{len(here)} of {len(known)} nodes are targets")


def without_port(cluster: Cluster, observed: Any) -> Any:
    """How many targets are left, while the binding names a port that the Service does not have."""
    expected = f"the binding {BINDING} with a port that the Service does not have"
    found = _binding(cluster)
    service = _service(cluster)
    if found is None or service is None:
        return not_started("there is no binding, or no Service", expected, "")
    ports = service["spec"].get("ports") or ()
    known = {one.get("name") for one in ports} | {one.get("port") for one in ports}
    if found["spec"]["serviceRef"]["port"] in known:
        return not_started("the Service has the port that it names", expected, "")
    if not isinstance(observed, int):
        return not_started("nothing was observed yet", "a number of targets", "")
    return observed


_OBSERVE_ITSELF = """\
(name,) = [
    one["DNSName"] for one in cluster.aws("elbv2").describe_load_balancers()["LoadBalancers"]
    if one["LoadBalancerName"] == "eksnet-nlb"
]
zone = cluster.get("node", cluster.get("pod/web-a", namespace="app-ns")["spec"]["nodeName"])
zone = zone["metadata"]["labels"]["topology.kubernetes.io/zone"]
ask = f"timeout 5 wget -qO- http://{zone}.{name}/cgi-bin/who"
replies = {pod: cluster.exec(pod, ask, "app-ns") for pod in ("client", "web-a")}
observed = {
    pod: "no answer" if reply.exit_code else "answered" for pod, reply in replies.items()
}"""
_OBSERVE_TRIED = """\
groups = cluster.aws("elbv2").describe_target_groups()["TargetGroups"]
arns = {one["TargetGroupName"]: one["TargetGroupArn"] for one in groups}
nodes = arns["eksnet-nodes"]
bindings = {
    "second binding": ("second", arns["eksnet-web"], ""),
    "unknown ARN": ("unknown", nodes.replace("eksnet-nodes", "eksnet-none"), ""),
    "another VPC": ("elsewhere", nodes, "vpcID: vpc-0123456789abcdef0"),
    "another target type": ("instances", nodes, "targetType: ip"),
}
observed = {}
for what, (name, arn, more) in bindings.items():
    try:
        cluster.apply(f'''
apiVersion: elbv2.k8s.aws/v1beta1
kind: TargetGroupBinding
metadata: {{name: {name}, namespace: app-ns}}
spec: {{targetGroupARN: "{arn}", serviceRef: {{name: web, port: 80}}, {more}}}
''')
        observed[what] = "accepted"
    except eksnet.EksnetError:
        observed[what] = "refused"
"""
_OBSERVE_TARGETS = f"observed = len({_LOOK})"

CHECKPOINTS = (
    Definition(
        id="binding-01",
        notebook=NOTEBOOK,
        title="A load balancer by hand",
        criteria=(
            Criterion("binding-01.balancer", "A Network Load Balancer is there", 1, made),
            Criterion("binding-01.group", "A target group takes addresses", 1, group),
            Criterion(
                "binding-01.listener",
                "The listener forwards to it",
                1,
                listener,
                needs=("binding-01.balancer", "binding-01.group"),
            ),
        ),
        hints=(
            "Look at the load balancer, its listeners and the target groups, as AWS describes "
            "them.",
            "Compare the ARN in the listener's default action with the target group's.",
            f"`{_DESCRIBE.format('describe_load_balancers')}`",
        ),
        solution="""\
# Run the cells of the section *By hand* once more: what is there with the same settings stays.
# What has other settings has to be deleted before:
loadbalancer.delete_by_hand(cluster)
""",
    ),
    Definition(
        id="binding-02",
        notebook=NOTEBOOK,
        title="A binding with healthy targets",
        criteria=(
            Criterion("binding-02.binding", "The target group is bound", 1, bound),
            Criterion(
                "binding-02.networking",
                "The binding lets the load balancer in",
                1,
                networking,
                needs=("binding-02.binding",),
            ),
            Criterion(
                "binding-02.targets",
                "Its targets are healthy",
                1,
                healthy,
                needs=("binding-02.networking",),
                wait=_TARGETS,
            ),
        ),
        hints=(
            "Look at the state and the reason code of the targets.",
            "Compare `spec.networking` with the security group of the load balancer, and with the "
            "port on which the pods listen.",
            f"`{_LOOK}`",
        ),
        solution="""\
(found,) = [
    one for one in cluster.aws("elbv2").describe_load_balancers()["LoadBalancers"]
    if one["LoadBalancerName"] == "eksnet-nlb"
]
source = {"securityGroup": {"groupID": found["SecurityGroups"][0]}}
rule = {"from": [source], "ports": [{"protocol": "TCP", "port": 8080}]}
networking = {"spec": {"networking": {"ingress": [rule]}}}
cluster.patch("targetgroupbinding", "web", networking, "app-ns")
""",
    ),
    Definition(
        id="binding-03",
        notebook=NOTEBOOK,
        title="A target that reaches itself",
        criteria=(
            Prediction(
                "binding-03.answers",
                "Who gets an answer, as you predicted",
                1,
                "The target group keeps the client's address, and web-a is the only target in its "
                "zone. Who gets an answer through that zone's address?",
                'prediction = {"client": ..., "web-a": ...}  # "answered" or "no answer"',
                itself,
                takes="observed",
                gather=_OBSERVE_ITSELF,
            ),
        ),
        hints=(
            "Look at the addresses in a packet that web-a sends, when it arrives at its target.",
            "Compare its source with the address of the target.",
            '`prediction = {"client": ..., "web-a": ...}`: one of them is the target itself.',
        ),
        solution="""\
prediction = {"client": "answered", "web-a": "no answer"}
""",
    ),
    Definition(
        id="binding-04",
        notebook=NOTEBOOK,
        title="Bindings that do not fit",
        criteria=(
            Prediction(
                "binding-04.refused",
                "Which bindings are refused, as you predicted",
                1,
                "Each of four bindings has something wrong. Which are refused when they are "
                "applied?",
                'prediction = {"second binding": ..., "unknown ARN": ..., "another VPC": ..., '
                '"another target type": ...}  # "refused" or "accepted"',
                tried,
                takes="observed",
                gather=_OBSERVE_TRIED,
            ),
        ),
        hints=(
            "Look at what the webhook says of each binding that it refuses.",
            "Compare what it asks AWS for with what is wrong in each binding.",
            '`cluster.list("targetgroupbindings", "app-ns")`: what is there was accepted.',
        ),
        solution="""\
prediction = {
    "second binding": "refused",
    "unknown ARN": "refused",
    "another VPC": "refused",
    "another target type": "accepted",
}
""",
    ),
    Definition(
        id="binding-05",
        notebook=NOTEBOOK,
        title="The target type",
        criteria=(
            Criterion("binding-05.type", "The binding has its group's type", 1, target_type),
            Criterion(
                "binding-05.targets",
                "The nodes are its targets",
                1,
                nodes,
                needs=("binding-05.type",),
                wait=_REGISTERED,
            ),
        ),
        hints=(
            "Look at the events of the binding `instances`.",
            "Compare `spec.targetType` with the type of the target group, and the type of the "
            "Service with what a node needs.",
            f"`{_EVENTS.format(SECOND)}`",
        ),
        solution="""\
cluster.delete("targetgroupbinding/instances", namespace="app-ns")
(found,) = [
    one for one in cluster.aws("elbv2").describe_target_groups()["TargetGroups"]
    if one["TargetGroupName"] == "eksnet-nodes"
]
arn = found["TargetGroupArn"]
cluster.apply(f\"\"\"
apiVersion: elbv2.k8s.aws/v1beta1
kind: TargetGroupBinding
metadata: {{name: instances, namespace: app-ns}}
spec: {{targetGroupARN: "{arn}", serviceRef: {{name: web, port: 80}}}}
\"\"\")
cluster.patch("service", "web", {"spec": {"type": "NodePort"}}, "app-ns")
""",
    ),
    Definition(
        id="binding-06",
        notebook=NOTEBOOK,
        title="A port that the Service does not have",
        criteria=(
            Prediction(
                "binding-06.targets",
                "The number of targets that you predicted",
                1,
                "The binding names a port that the Service does not have. How many targets are "
                "left?",
                "prediction = ...  # a number",
                without_port,
                takes="observed",
                gather=_OBSERVE_TARGETS,
            ),
        ),
        hints=(
            "Look at the events of the binding `web`: there are two that contradict each other.",
            "Compare the number of targets with the number of pods.",
            f"`{_LOOK}`",
        ),
        solution="""\
prediction = 0
""",
    ),
)
