"""The checkpoints of the lab of target group bindings, on accounts that a test makes."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from fake_api import FakeApi
from lab_api import Check
from test_checkpoints_lab_ingress import NODES, PODS, SERVICES, FakeElb, target

from eksnet.checkpoints import State

BINDINGS = "/apis/elbv2.k8s.aws/v1beta1/namespaces/app-ns/targetgroupbindings"
BALANCER, WEB, INSTANCES = "arn:balancer", "arn:web", "arn:nodes"
GROUP = "sg-front"
PODS_OF_WEB = ("10.0.0.0", "10.0.0.1")
HEALTHY = ("healthy", "healthy")
ITSELF = {"client": "answered", "web-a": "no answer"}
FITS = {
    "second binding": "refused", "unknown ARN": "refused", "another VPC": "refused",
    "another target type": "accepted",
}  # fmt: skip


class Account(FakeElb):
    """An account with several target groups, of which some can be asked for."""

    def get_paginator(self, operation: str) -> Any:
        def paginate(TargetGroupArns: Any = (), **_: str) -> Iterator[dict[str, Any]]:  # noqa: N803
            found = self.ask(operation)
            if not TargetGroupArns:
                yield found
                return
            groups = found["TargetGroups"]
            yield {
                "TargetGroups": [one for one in groups if one["TargetGroupArn"] in TargetGroupArns]
            }

        return SimpleNamespace(paginate=paginate)


def put_empty(api: FakeApi) -> None:
    """Put an account there in which nobody has made anything."""
    empty = {"describe_load_balancers": {"LoadBalancers": []},
             "describe_target_groups": {"TargetGroups": []}}  # fmt: skip
    api.elbv2 = Account(api, empty)  # type: ignore[attr-defined]


def networking(group: str = GROUP, port: Any = 8080) -> dict[str, Any]:
    """Return rules of a binding that open a port to a security group."""
    ports = [{"protocol": "TCP", **({} if port is None else {"port": port})}]
    return {"ingress": [{"from": [{"securityGroup": {"groupID": group}}], "ports": ports}]}


def put_balancer(
    api: FakeApi,
    *,
    kind: str = "network",
    groups: tuple[str, ...] = (GROUP,),
    target_type: str = "ip",
    protocol: str = "TCP",
    forwards: str = WEB,
    listens: int = 80,
    preserves: bool = False,
    targets: tuple[str, ...] = PODS_OF_WEB,
    states: tuple[str, ...] = HEALTHY,
) -> None:
    """Put the account of 09 there: the load balancer and both target groups.

    Args:
        api: The API server.
        kind: The type of the load balancer.
        groups: Its security groups.
        target_type: The type of the target group `eksnet-web`.
        protocol: Its protocol.
        forwards: The ARN to which the listener forwards.
        listens: The listener's port.
        preserves: Whether targets see their client's address.
        targets: The ids of the targets of every group.
        states: Their states.
    """
    value = "true" if preserves else "false"
    api.elbv2 = Account(  # type: ignore[attr-defined]
        api,
        {
            "describe_load_balancers": {
                "LoadBalancers": [
                    {"LoadBalancerArn": "arn:other", "LoadBalancerName": "other"},
                    {
                        "LoadBalancerArn": BALANCER,
                        "LoadBalancerName": "eksnet-nlb",
                        "Type": kind,
                        "SecurityGroups": list(groups),
                    },
                ]
            },
            "describe_target_groups": {
                "TargetGroups": [
                    {
                        "TargetGroupArn": WEB, "TargetGroupName": "eksnet-web",
                        "TargetType": target_type, "Protocol": protocol,
                    },
                    {
                        "TargetGroupArn": INSTANCES, "TargetGroupName": "eksnet-nodes",
                        "TargetType": "instance", "Protocol": "TCP",
                    },
                ]
            },
            "describe_target_group_attributes": {
                "Attributes": [{"Key": "preserve_client_ip.enabled", "Value": value}]
            },
            "describe_listeners": {
                "Listeners": [
                    {
                        "Port": listens,
                        "DefaultActions": [{"Type": "forward", "TargetGroupArn": forwards}],
                    }
                ]
            },
            "describe_target_health": {
                "TargetHealthDescriptions": [
                    target(*each) for each in zip(targets, states, strict=False)
                ]
            },
        },
    )  # fmt: skip


def put_binding(
    api: FakeApi,
    *,
    arn: str = WEB,
    service: str = "web",
    port: Any = 80,
    opened: dict[str, Any] | None = None,
    second: str = "",
    **account: Any,
) -> None:
    """Put the binding `web` there, with the account; see `put_balancer`.

    Args:
        api: The API server.
        arn: The target group that it binds.
        service: The Service that it names.
        port: The port that it names.
        opened: Its `spec.networking`; as it should be when None, none when empty.
        second: The target type of the binding `instances`; there is none when empty.
        account: As `put_balancer` takes it.
    """
    put_balancer(api, **account)
    rules = networking() if opened is None else opened
    named = {"name": service, "port": port}
    spec = {"targetGroupARN": arn, "serviceRef": named, "targetType": "ip"}
    api.put(f"{BINDINGS}/web", {"spec": {**spec, **({"networking": rules} if rules else {})}})
    if second:
        reference = {"name": "web", "port": 80}
        spec = {"targetGroupARN": INSTANCES, "serviceRef": reference, "targetType": second}
        api.put(f"{BINDINGS}/instances", {"spec": spec})
    api.put(f"{SERVICES}/web", {"spec": {"ports": [{"name": "http", "port": 80}]}})
    for number, name in enumerate(("web-a", "web-b")):
        api.put(f"{PODS}/{name}", {"status": {"podIP": f"10.0.0.{number}"}})
    for name, instance in zip(("one", "two"), NODES, strict=True):
        api.put(f"/api/v1/nodes/{name}", {"spec": {"providerID": f"aws:///zone/{instance}"}})


@pytest.mark.parametrize(
    ("opened", "passes"),
    [
        (networking(), True),
        (networking(port=None), True),
        ({"ingress": [{"from": [{"securityGroup": {"groupID": GROUP}}]}]}, True),
        (networking(port="http"), False),
        (networking(group="sg-other"), False),
        ({"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/16"}}]}]}, False),
    ],
)
def test_which_rules_let_the_load_balancer_in(
    opened: dict[str, Any], passes: bool, api: FakeApi, checkpoint: Check
) -> None:
    put_binding(api, opened=opened)
    found = checkpoint("binding-02").check(wait=False)
    assert (found.state is State.PASS) is passes, repr(found)
