"""The controller's model and AWS's answers become the same parts, and what differs is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eksnet.loadbalancer import parts
from eksnet.loadbalancer.differences import Change, compare
from eksnet.loadbalancer.parts import Part

ANSWERS = Path(__file__).parent / "answers"
# From the controller's log, and what AWS says after its deployment.
MODEL = json.loads((ANSWERS / "model.json").read_text())
EXISTING = json.loads((ANSWERS / "existing.json").read_text())


def test_a_model_and_its_deployment_are_the_same() -> None:
    assert compare(parts.planned(MODEL), parts.existing(EXISTING)) == ()


def test_nothing_is_there_yet() -> None:
    nothing = {"load_balancers": [], "target_groups": [], "security_groups": []}
    found = compare(parts.planned(MODEL), parts.existing(nothing))
    listener = "load balancer, listener 80"
    rule = "host-header shop.example.com and path-pattern /a or /a/*"
    assert found == tuple(
        Change("added", what)
        for what in (
            "load balancer", "load balancer, subnet subnet-a", "load balancer, subnet subnet-c",
            listener, f"{listener}, rule {rule}", "target group app/web-web:80",
            "security group ManagedLBSecurityGroup",
            "security group ManagedLBSecurityGroup, allow tcp 80 from 0.0.0.0/0",
            "security group ManagedLBSecurityGroup, allow tcp 80 from ::/0",
        )
    )  # fmt: skip
    removed = compare((), parts.existing(EXISTING))
    assert sorted(one.what for one in removed) == sorted(one.what for one in found)
    assert {one.action for one in removed} == {"removed"}


def changed(path: str, value: object) -> dict:
    """Return the model with another value at a place: kind of resource, name, fields."""

    def put(into: object, keys: list[str]) -> object:
        key, *rest = keys
        if isinstance(into, list):
            place = int(key)
            return [*into[:place], put(into[place], rest) if rest else value, *into[place + 1 :]]
        assert isinstance(into, dict)
        return {**into, key: put(into.get(key, {}), rest) if rest else value}

    kind, key, *fields = path.split(" ")
    made = put(MODEL, ["resources", f"AWS::{kind}", key, "spec", *fields])
    assert isinstance(made, dict)
    return made


ELB = "ElasticLoadBalancingV2::"
CHECK = "HTTP {} on traffic-port, 200 wanted, every 15 s, 5 s each, 2 up, 2 down"
CHANGES = [
    (
        f"{ELB}LoadBalancer LoadBalancer scheme",
        "internet-facing",
        "replaced",
        "load balancer",
        "scheme",
        "internal",
        "internet-facing",
    ),
    (
        f"{ELB}LoadBalancer LoadBalancer loadBalancerAttributes 0 value",
        "60",
        "changed",
        "load balancer",
        "idle_timeout.timeout_seconds",
        "30",
        "60",
    ),
    (
        f"{ELB}LoadBalancer LoadBalancer tags",
        {},
        "changed",
        "load balancer",
        "tags",
        "team=net",
        "",
    ),
    (
        f"{ELB}Listener 80 sslPolicy",
        "ELBSecurityPolicy-2016-08",
        "changed",
        "load balancer, listener 80",
        "ssl policy",
        "",
        "ELBSecurityPolicy-2016-08",
    ),
    (
        f"{ELB}Listener 80 defaultActions 0 fixedResponseConfig statusCode",
        "503",
        "changed",
        "load balancer, listener 80",
        "default",
        "answer 404 text/plain",
        "answer 503 text/plain",
    ),
    (
        f"{ELB}TargetGroup app/web-web:80 targetType",
        "instance",
        "replaced",
        "target group app/web-web:80",
        "target type",
        "ip",
        "instance",
    ),
    (
        f"{ELB}TargetGroup app/web-web:80 healthCheckConfig path",
        "/up",
        "changed",
        "target group app/web-web:80",
        "health check",
        CHECK.format("/"),
        CHECK.format("/up"),
    ),
]


@pytest.mark.parametrize("case", CHANGES, ids=lambda case: case[0].split(":")[-1])
def test_what_changes_is_told(case: tuple) -> None:
    path, value, *wanted = case
    assert compare(parts.planned(changed(path, value)), parts.existing(EXISTING)) == (
        Change(*wanted),
    )


def test_a_rule_that_moves_is_not_another_one() -> None:
    model = changed(f"{ELB}ListenerRule 80:1 priority", 3)
    (change,) = compare(parts.planned(model), parts.existing(EXISTING))
    assert (change.action, change.field, change.before, change.after) == (
        "changed",
        "priority",
        "1",
        "3",
    )


@pytest.mark.parametrize(
    ("planned", "existing", "same"),
    [
        ("a, sg-(known after apply)", "a, sg-1", True),
        ("a, sg-(known after apply)", "sg-1, a", True),
        ("a, sg-(known after apply)", "sg-1, sg-2", False),
        ("a, sg-(known after apply)", "a", False),
        ("(known after apply)", "31000", True),
        ("a", "b", False),
    ],
)
def test_what_is_known_later_only_can_be_anything(planned: str, existing: str, same: bool) -> None:
    old, new = (Part("load balancer", "x", (("groups", one),)) for one in (existing, planned))
    assert (compare((new,), (old,)) == ()) is same


def test_attributes_that_no_manifest_names_are_left_as_they_are() -> None:
    model = changed(f"{ELB}LoadBalancer LoadBalancer loadBalancerAttributes", [])
    assert compare(parts.planned(model), parts.existing(EXISTING)) == ()


ACTIONS = [
    (
        {
            "type": "redirect",
            "redirectConfig": {"port": "443", "protocol": "HTTPS", "statusCode": "HTTP_301"},
        },
        {
            "Type": "redirect",
            "Order": 1,
            "RedirectConfig": {
                "Protocol": "HTTPS",
                "Port": "443",
                "Host": "#{host}",
                "Path": "/#{path}",
                "Query": "#{query}",
                "StatusCode": "HTTP_301",
            },
        },
        "redirect to HTTPS://#{host}:443/#{path}?#{query} (301)",
    ),
    (
        {
            "type": "fixed-response",
            "fixedResponseConfig": {
                "contentType": "text/plain",
                "statusCode": "503",
                "messageBody": "later",
            },
        },
        {
            "Type": "fixed-response",
            "FixedResponseConfig": {
                "StatusCode": "503",
                "ContentType": "text/plain",
                "MessageBody": "later",
            },
        },
        "answer 503 text/plain: later",
    ),
    (
        {
            "type": "forward",
            "forwardConfig": {
                "targetGroups": [
                    {"targetGroupARN": "a", "weight": 80},
                    {"targetGroupARN": "b", "weight": 0},
                ],
                "targetGroupStickinessConfig": {"enabled": True, "durationSeconds": 60},
            },
        },
        {
            "Type": "forward",
            "ForwardConfig": {
                "TargetGroups": [
                    {"TargetGroupArn": "a", "Weight": 80},
                    {"TargetGroupArn": "b", "Weight": 0},
                ],
                "TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 60},
            },
        },
        "forward to a (weight 80), b (weight 0), sticky for 60 s",
    ),
]
CONDITIONS = [
    (
        {
            "field": "http-header",
            "httpHeaderConfig": {"httpHeaderName": "X-Team", "values": ["b", "a"]},
        },
        {
            "Field": "http-header",
            "HttpHeaderConfig": {"HttpHeaderName": "X-Team", "Values": ["a", "b"]},
        },
        "http-header X-Team a or b",
    ),
    (
        {
            "field": "query-string",
            "queryStringConfig": {"values": [{"key": "v", "value": "1"}, {"value": "x"}]},
        },
        {
            "Field": "query-string",
            "QueryStringConfig": {
                "Values": [{"Key": "v", "Value": "1"}, {"Key": None, "Value": "x"}]
            },
        },
        "query-string *=x or v=1",
    ),
    (
        {"field": "source-ip", "sourceIPConfig": {"values": ["10.0.0.0/8"]}},
        {"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}},
        "source-ip 10.0.0.0/8",
    ),
    (
        {"field": "http-request-method", "httpRequestMethodConfig": {"values": ["GET"]}},
        {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["GET"]}},
        "http-request-method GET",
    ),
]


@pytest.mark.parametrize(("model", "aws", "text"), ACTIONS)
def test_an_action_is_the_same_in_both_shapes(model: dict, aws: dict, text: str) -> None:
    assert [_default(model), _default(aws)] == [text, text]


@pytest.mark.parametrize(("model", "aws", "text"), CONDITIONS)
def test_a_condition_is_the_same_in_both_shapes(model: dict, aws: dict, text: str) -> None:
    assert [_rule(model).name, _rule(aws).name] == [text, text]


def _listener(action: dict, rules: list) -> Part:
    spec = {"Port": 80, "Protocol": "HTTP", "DefaultActions": [action]}
    listener = {"Listener": spec, "Certificates": None, "Rules": rules}
    balancer = {
        "LoadBalancer": {"LoadBalancerName": "k8s", "Type": "application"},
        "Attributes": None, "Tags": {}, "Listeners": [listener],
    }  # fmt: skip
    nothing = {"target_groups": [], "security_groups": []}
    (found,) = parts.existing({"load_balancers": [balancer], **nothing})
    return found.of_kind("listener")[0]


def _default(action: dict) -> str:
    return _listener(action, [])["default"]


def _rule(condition: dict) -> Part:
    action = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
    rule = {"Priority": "1", "Conditions": [condition], "Actions": [action]}
    return _listener(action, [rule]).of_kind("rule")[0]


@pytest.mark.parametrize("named", [["a", "b"], ["a", "b", "a", "b"], ["a", "b", "b"]])
def test_certificates_that_two_members_name_are_added_once_and_the_default_one_too(
    named: list[str],
) -> None:
    spec = {"Port": 443, "Protocol": "HTTPS", "DefaultActions": [], "SslPolicy": "p"}
    model = {**spec, "Certificates": [{"CertificateARN": one} for one in named]}
    planned = parts._planned_listener("443", parts._low(model), {})
    # As the controller's `buildSDKCertificates` has it: all but the first are added to the
    # listener, and AWS tells the default one a second time when it is among them.
    told = [{"CertificateArn": "a", "IsDefault": True}]
    told += [{"CertificateArn": one, "IsDefault": False} for one in sorted(set(named[1:]))]
    existing = {
        "Listener": {**spec, "Certificates": [{"CertificateArn": "a"}]},
        "Certificates": told,
        "Rules": [],
    }
    assert planned == parts._existing_listener(existing, str)
