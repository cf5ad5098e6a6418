"""What a plan says is what the real controller then does, and says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import controlled
import pytest
from controlled import NAMESPACE, ingress, text

from eksnet.cluster import Cluster
from eksnet.cluster.countdown import until
from eksnet.errors import EksnetError
from eksnet.loadbalancer import parts, plan
from eksnet.loadbalancer.controller import DEPLOYMENT
from eksnet.loadbalancer.differences import compare
from eksnet.loadbalancer.last_word import Word, last_word
from eksnet.loadbalancer.planned import Plan, Stack

pytestmark = pytest.mark.sandbox
HTTPS = '[{"HTTPS": 443}]'
NO_CERTIFICATE = (
    "arn:aws:acm:ap-northeast-2:111122223333:certificate/00000000-0000-0000-0000-000000000000"
)
BACKEND = {"service": {"name": "web", "port": {"number": 80}}}
PATHS = [{"path": "/", "pathType": "Prefix", "backend": BACKEND}]
HOST = [{"host": "nowhere.example.com", "http": {"paths": PATHS}}]
BUILD = "Failed build model due to "
# What the controller refuses when it builds its model, in its own words.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "one-zone": (
        ingress("one-zone", {"subnets": "subnet-00000000000000001"}),
        f"{BUILD}subnets count less than minimal required count: 1 < 2",
    ),
    "target-type": (
        ingress("target-type", {"target-type": "instanse"}),
        f"{BUILD}ingress: {NAMESPACE}/target-type: unknown targetType: instanse",
    ),
    "cluster-ip": (
        ingress("cluster-ip", {"target-type": "instance"}, service="inside"),
        f"{BUILD}ingress: {NAMESPACE}/cluster-ip: TargetGroup port is empty. When using Instance "
        "targets, your service be must of type 'NodePort' or 'LoadBalancer'",
    ),
    "port-name": (
        ingress("port-name", port="htpp"),
        f"{BUILD}ingress: {NAMESPACE}/port-name: unable to find port htpp on service "
        f"{NAMESPACE}/web",
    ),
    "no-certificate": (
        ingress("no-certificate", {"listen-ports": HTTPS}, HOST),
        f"{BUILD}ingress: {NAMESPACE}/no-certificate: no certificate found for host: "
        "nowhere.example.com",
    ),
    "no-group": (
        ingress("no-group", {"security-groups": "sg-00000000000000099"}),
        f"{BUILD}couldn't find all security groups: operation error EC2: DescribeSecurityGroups",
    ),
    "unknown-scheme": (
        ingress("unknown-scheme", {"scheme": "public"}),
        f"{BUILD}unknown scheme: public",
    ),
    "clash-a": (
        ingress("clash-a", {"group.name": "clash", "scheme": "internal"}),
        f"{BUILD}conflicting scheme: map[internal:{{}} internet-facing:{{}}]",
    ),
    "clash-b": (
        ingress("clash-b", {"group.name": "clash", "scheme": "internet-facing"}),
        f"{BUILD}conflicting scheme: map[internal:{{}} internet-facing:{{}}]",
    ),
}


@pytest.fixture(scope="module")
def controller(cluster: Cluster) -> Iterator[Cluster]:
    """The suite's cluster with the controller and an application."""
    with controlled.controller_on(cluster) as found:
        yield found


@pytest.fixture(scope="module")
def said(controller: Cluster) -> dict[str, str]:
    """What the plan said of each wrong manifest, before all were applied."""
    everything = text(*(manifest for manifest, _ in REFUSED.values()))
    found = plan(controller, everything)
    controller.apply(everything)
    return {
        one.name.partition("/")[2]: f"{one.reason} {without_id(one.message)}"
        for one in found.refused
    }


def without_id(message: str) -> str:
    """Leave out of an error of AWS what is another one in each answer."""
    return re.sub(r"RequestID: \S+,", "RequestID:", message)


@pytest.mark.parametrize("name", REFUSED)
def test_the_controller_refuses_it_in_the_plans_words(
    name: str, controller: Cluster, said: dict[str, str]
) -> None:
    reason, message = controlled.event(controller, "Ingress", name, ("FailedBuildModel",))
    assert said[name] == f"{reason} {without_id(message)}"
    assert REFUSED[name][1] in message


# What the controller does not even load: it sends no Event, and its log has the words.
UNLOADED = {
    "order": ("first", "failed to load Ingress group order for ingress: plan/order-a: failed to "
              "parse int32 annotation, alb.ingress.kubernetes.io/group.order: first: "
              'strconv.ParseInt: parsing "first": invalid syntax'),
    "range": ("1001", "explicit Ingress group order must be within [-1000:1000], Ingress: "
              "plan/range-a, order: 1001"),
}  # fmt: skip


@pytest.mark.parametrize("group", UNLOADED)
def test_the_log_says_what_the_plan_says_of_a_group_that_is_not_loaded(
    group: str, controller: Cluster
) -> None:
    order, words = UNLOADED[group]
    wrong = ingress(f"{group}-a", {"group.name": group, "group.order": order})
    other = ingress(f"{group}-b", {"group.name": group})
    alone = ingress(f"{group}-c", {"target-type": "ip"})
    found = plan(controller, text(wrong, other, alone))
    assert [(one.name, one.reason, one.logged, one.message) for one in found.refused] == [
        (f"{NAMESPACE}/{group}-{name}", "", True, words) for name in "ab"
    ]
    assert [one.id for one in found.stacks if one.planned] == [f"{NAMESPACE}/{group}-c"]
    controller.apply(text(wrong, other, alone))
    controlled.wait_for_address(controller, "ingress", f"{group}-c")
    said = last_word_of(controller, f"{group}-b", group)
    assert (said.where, said.fine, said.text) == ("log", False, words)
    for name in "ab":
        assert list(controller.events(f"ingress/{group}-{name}", NAMESPACE)) == []
    # In order again, both get their load balancer.
    controller.apply(text(ingress(f"{group}-a", {"group.name": group, "group.order": "1"})))
    for name in "ab":
        controlled.wait_for_address(controller, "ingress", f"{group}-{name}")


def last_word_of(cluster: Cluster, name: str, group: str) -> Word:
    """Wait until the controller has said something of an Ingress in a group."""
    about = cluster.get("ingress", name, NAMESPACE)
    pods = cluster.list("pods", "kube-system", selector=f"app.kubernetes.io/name={DEPLOYMENT}")
    said: list[Word] = []

    def heard() -> bool:
        said.extend(filter(None, [last_word(cluster, about, group, pods)]))
        return bool(said)

    assert until(f"a word of {name}", heard, 60)
    return said[-1]


def test_a_class_that_is_missing_is_refused_at_admission(controller: Cluster) -> None:
    manifest = text(ingress("no-class", ingress_class="lab"))
    (refused,) = plan(controller, manifest).refused
    assert refused.reason == ""
    assert refused.message.endswith(
        'admission webhook "vingress.elbv2.k8s.aws" denied the request: invalid ingress class: '
        'IngressClass.networking.k8s.io "lab" not found'
    )
    with pytest.raises(EksnetError) as raised:
        controller.apply(manifest)
    assert refused.message in str(raised.value)


# What AWS refuses when the controller deploys its model; a plan does not see it.
NOT_DEPLOYED = {
    "bad-arn": (
        ingress("bad-arn", {"listen-ports": HTTPS, "certificate-arn": NO_CERTIFICATE}),
        f"CertificateNotFound: Certificate '{NO_CERTIFICATE}' not found",
    ),
    # The controller looks for certificates by the hosts of rules, and here is none.
    "no-host": (
        ingress("no-host", {"listen-ports": HTTPS}),
        "ValidationError: A certificate must be specified for HTTPS listeners",
    ),
}


@pytest.mark.parametrize("name", NOT_DEPLOYED)
def test_what_aws_would_refuse_is_not_seen(name: str, controller: Cluster) -> None:
    manifest, words = NOT_DEPLOYED[name]
    assert plan(controller, text(manifest)).fine
    controller.apply(text(manifest))
    _, message = controlled.event(controller, "Ingress", name, ("FailedDeployModel",))
    assert words in message


@pytest.fixture
def certificate(controller: Cluster) -> Iterator[str]:
    """A certificate for the hosts of one domain."""
    acm = controller.aws("acm")
    arn: str = acm.request_certificate(DomainName="*.example.org")["CertificateArn"]
    yield arn
    controller.delete("ingress", "by-host", NAMESPACE)
    acm.delete_certificate(CertificateArn=arn)


def test_a_certificate_is_found_by_the_host_of_a_rule(
    controller: Cluster, certificate: str
) -> None:
    rules = [{"host": "shop.example.org", "http": {"paths": PATHS}}]
    manifest = text(ingress("by-host", {"listen-ports": HTTPS}, rules))
    before = plan(controller, manifest)
    planned = parts.walk(before.stacks[0].planned or ())
    assert [one["certificate"] for one in planned if one.kind == "listener"] == [certificate]
    controller.apply(manifest)
    controlled.wait_for_address(controller, "ingress", "by-host")
    made_as_planned(before, plan(controller, manifest))


def made_as_planned(before: Plan, after: Plan) -> None:
    """Check that what AWS has now is what was planned before."""
    there = {one.id: one for one in after.stacks}
    for stack in before.stacks:
        assert stack.planned is not None
        existing = there[stack.id].existing or ()
        assert list(map(str, compare(stack.planned, existing))) == []
        assert known_names(stack) <= {part["name"] for part in existing}
    assert list(map(str, after.changes)) == []


def known_names(stack: Stack) -> set[str]:
    """Return the names that were known before they were made."""
    found = {part["name"] for part in stack.planned or () if part.kind != "security group"}
    return {name for name in found if "known after apply" not in name}


def test_a_group_and_a_service_become_what_was_planned(controller: Cluster) -> None:
    service = controlled.balancer("front", {"nlb-target-type": "ip"})
    shared = {"group.name": "shared", "scheme": "internet-facing"}
    first = ingress("first", {**shared, "target-type": "ip", "group.order": "2"})
    second = ingress("second", {**shared, "healthcheck-path": "/healthz"}, port="admin")
    manifest = text(first, second, service)
    before = plan(controller, manifest)
    assert before.fine, before
    assert before.stack("shared").members == (f"{NAMESPACE}/second", f"{NAMESPACE}/first")
    controller.apply(manifest)
    for kind, name in (("ingress", "first"), ("ingress", "second"), ("service", "front")):
        controlled.wait_for_address(controller, kind, name)
    made_as_planned(before, plan(controller, manifest))
    # An annotation changes: the difference is told, then it is there.
    changed = manifest.replace("healthcheck-path: /healthz", "healthcheck-path: /up")
    (change,) = plan(controller, changed).changes
    assert (change.action, change.field) == ("changed", "health check")
    assert change.after.startswith("HTTP /up on traffic-port")


def test_one_member_leaves_and_the_group_is_smaller(controller: Cluster) -> None:
    manifest = text(ingress("first", {"target-type": "ip"}))
    found = plan(controller, manifest)
    assert {one.id for one in found.stacks} >= {f"{NAMESPACE}/first", "shared"}
    assert found.stack("shared").members == (f"{NAMESPACE}/second",)
    removed = [one.what for one in found.changes if one.action == "removed"]
    assert f"target group {NAMESPACE}/first-web:80" in removed


@pytest.fixture
def group(controller: Cluster) -> Iterator[dict[str, Any]]:
    """A target group that the controller does not know."""
    elbv2, ec2 = controller.aws("elbv2"), controller.aws("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    (made,) = elbv2.create_target_group(
        Name="own", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip"
    )["TargetGroups"]
    yield made
    elbv2.delete_target_group(TargetGroupArn=made["TargetGroupArn"])


def test_a_binding_gets_its_targets_and_rules(controller: Cluster, group: dict[str, Any]) -> None:
    source = {"ipBlock": {"cidr": "10.9.0.0/16"}}
    spec = {
        "targetGroupARN": group["TargetGroupArn"],
        "serviceRef": {"name": "web", "port": 80},
        "networking": {"ingress": [{"from": [source], "ports": [{"protocol": "TCP", "port": 9}]}]},
    }
    manifest = text(
        {
            "apiVersion": "elbv2.k8s.aws/v1beta1",
            "kind": "TargetGroupBinding",
            "metadata": {"name": "own", "namespace": NAMESPACE},
            "spec": spec,
        }
    )
    found = plan(controller, manifest)
    assert found.fine, found
    (binding,) = found.bindings
    # What the manifest does not say, the webhook has found out.
    assert binding["target type"] == "ip"
    assert len(binding.of_kind("target")) == 2
    (node,) = found.rules
    assert [str(one) for one in found.changes] == [
        f"added security group {node.part.name}, allow tcp 9 from 10.9.0.0/16"
    ]


def test_without_tags_subnets_are_found_by_their_routes(controller: Cluster) -> None:
    ec2, role = controller.aws("ec2"), "kubernetes.io/role/elb"
    manifest = text(ingress("routed", {"scheme": "internet-facing"}))
    tagged = ec2.describe_subnets(Filters=[{"Name": "tag-key", "Values": [role]}])["Subnets"]
    ids = [one["SubnetId"] for one in tagged]
    (table,) = ec2.describe_route_tables(
        Filters=[{"Name": "association.subnet-id", "Values": ids[:1]}]
    )["RouteTables"]
    (route,) = [one for one in table["Routes"] if one.get("GatewayId", "").startswith("igw")]
    anywhere = {"RouteTableId": table["RouteTableId"], "DestinationCidrBlock": "0.0.0.0/0"}
    ec2.delete_tags(Resources=ids, Tags=[{"Key": role}])
    try:
        found = plan(controller, manifest)
        assert {one.subnet.id for one in found.stacks[0].subnets if one.verdict == "taken"} == set(
            ids
        )
        assert "public: its routes lead to an internet gateway" in repr(found)
        controller.apply(manifest)
        controlled.wait_for_address(controller, "ingress", "routed")
        made_as_planned(found, plan(controller, manifest))
        controller.delete("ingress", "routed", NAMESPACE)
        ec2.delete_route(**anywhere)
        (refused,) = plan(controller, manifest).refused
        assert refused.message == (
            f"{BUILD}couldn't auto-discover subnets: unable to resolve at least one subnet. "
            "Evaluated 0 subnets: 0 are tagged for other clusters, and 0 have insufficient "
            "available IP addresses"
        )
        controller.apply(manifest)
        _, message = controlled.event(controller, "Ingress", "routed", ("FailedBuildModel",))
        assert message == refused.message
    finally:
        (now,) = ec2.describe_route_tables(RouteTableIds=[table["RouteTableId"]])["RouteTables"]
        if not any(one.get("GatewayId") == route["GatewayId"] for one in now["Routes"]):
            ec2.create_route(**anywhere, GatewayId=route["GatewayId"])
        ec2.create_tags(Resources=ids, Tags=[{"Key": role, "Value": "1"}])
