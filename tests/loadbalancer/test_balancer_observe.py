"""What AWS has for an Ingress, as tables: from AWS's own answers, without a cluster."""

from types import SimpleNamespace

import pytest

from eksnet.cluster import DeadlineError
from eksnet.errors import EksnetError
from eksnet.loadbalancer import observe
from eksnet.loadbalancer.observe import hostname, provisioned, rules, targets, wait_for_targets

HOST = "k8s-web.elb"
FORWARD = {"Type": "forward", "TargetGroupArn": "arn:group"}


class Object(dict):
    """An object of the cluster."""

    @property
    def name(self):
        return self["metadata"]["name"]

    @property
    def namespace(self):
        return self["metadata"].get("namespace", "")


def named(name, **fields):
    return Object(metadata={"name": name, "namespace": "app-ns"}, **fields)


class Elb:
    """An account with one load balancer."""

    def __init__(self, found_rules=(), health=()):
        self.answers = {
            "describe_load_balancers": {
                "LoadBalancers": [{"DNSName": HOST, "LoadBalancerArn": "arn:balancer"}]
            },
            "describe_listeners": {"Listeners": [{"Port": 80, "ListenerArn": "arn:80"}]},
            "describe_rules": {"Rules": list(found_rules)},
            "describe_target_groups": {"TargetGroups": [{"TargetGroupArn": "arn:group"}]},
            "describe_target_health": {"TargetHealthDescriptions": list(health)},
        }

    def __getattr__(self, call):
        return lambda **_: self.answers[call]

    def get_paginator(self, call):
        return SimpleNamespace(paginate=lambda **_: [self.answers[call]])


class Cluster:
    """A cluster with the Ingress `web`, a binding, two pods and a node."""

    def __init__(self, elb, host=HOST):
        self.elb, self.host = elb, host

    def aws(self, _service):
        return self.elb

    def get(self, kind, name, _namespace):
        if kind == "targetgroupbinding":
            return named(name, spec={"targetGroupARN": "arn:group"})
        found = [{"hostname": self.host}] if self.host else []
        return named(name, status={"loadBalancer": {"ingress": found}})

    def list(self, kind, _namespace=None, **_):
        spec = {"targetGroupARN": "arn:group", "serviceRef": {"name": "web", "port": 80}}
        return {
            observe.BINDINGS: [named("k8s-web", spec=spec)],
            "pods": [named("web-a", status={"podIP": "10.0.0.1"})],
            "nodes": [named("node-a", spec={"providerID": "aws:///zone/i-1"})],
        }[kind]


def rule(priority, *conditions, action=FORWARD):
    return {"Priority": priority, "Conditions": list(conditions), "Actions": [action]}


def condition(field, **config):
    return {"Field": field, f"{field.title().replace('-', '')}Config": config}


def health(target, state, reason=None):
    told = {"State": state, **({"Reason": reason} if reason else {})}
    return {"Target": {"Id": target, "Port": 8080}, "TargetHealth": told}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, ""),
        ({"loadBalancer": {}}, ""),
        ({"loadBalancer": {"ingress": []}}, ""),
        ({"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}, ""),
        ({"loadBalancer": {"ingress": [{"hostname": HOST}]}}, HOST),
    ],
)
def test_the_name_in_a_status(status, expected):
    ingress = {"status": status}
    assert (hostname(ingress), provisioned(ingress)) == (expected, bool(expected))


@pytest.mark.parametrize(
    ("found", "conditions", "action"),
    [
        (rule("1", condition("path-pattern", Values=["/", "/*"])), "path-pattern / or /*",
         "forward to web:80"),
        (rule("2", condition("host-header", Values=["a.example"]),
              condition("path-pattern", Values=["/*"])),
         "host-header a.example and path-pattern /*", "forward to web:80"),
        (rule("3", condition("http-header", HttpHeaderName="X-Test", Values=["yes"])),
         "http-header X-Test yes", "forward to web:80"),
        (rule("4", condition("query-string", Values=[{"Key": "v", "Value": "2"}, {"Value": "x"}])),
         "query-string v=2 or *=x", "forward to web:80"),
        (rule("default", action={"Type": "fixed-response",
                                 "FixedResponseConfig": {"StatusCode": "404"}}),
         "", "answer 404"),
        (rule("default", action={"Type": "redirect", "RedirectConfig": {
            "StatusCode": "HTTP_301", "Protocol": "HTTPS", "Port": "443", "Host": "#{host}",
            "Path": "/#{path}"}}),
         "", "redirect 301 to https://#{host}:443/#{path}"),
        (rule("5", action={"Type": "forward", "TargetGroupArn": "arn:other"}), "",
         "forward to another target group"),
    ],
)  # fmt: skip
def test_a_rule_is_said_in_words(found, conditions, action):
    (told,) = rules(Cluster(Elb([found])), "web", "app-ns")
    assert (told.port, told.priority) == (80, found["Priority"])
    assert (told.conditions, told.action) == (conditions, action)


def test_rules_stand_in_the_order_in_which_they_are_tried():
    found = [rule("default"), rule("10"), rule("9")]
    told = rules(Cluster(Elb(found)), "web", "app-ns")
    assert [one.priority for one in told] == ["9", "10", "default"]


@pytest.mark.parametrize(
    "what", ["web", "ingress/web", "service/web", "targetgroupbinding/k8s-web"]
)
def test_targets_are_those_of_what_has_a_load_balancer(what):
    (told,) = targets(Cluster(Elb(health=[health("10.0.0.1", "healthy")])), what, "app-ns")
    assert (told.service, told.name, told.state) == ("web:80", "web-a", "healthy")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("pod/web", "'pod' has no load balancer"),
        ("service/web", "the Service web has no load balancer"),
        ("web", "the Ingress web has no load balancer"),
    ],
)
def test_what_has_no_load_balancer_is_said(what, said):
    with pytest.raises(EksnetError, match=said):
        targets(Cluster(Elb(), host=""), what, "app-ns")


def test_targets_that_drain_are_counted_apart():
    both = Cluster(Elb(health=[health("10.0.0.1", "healthy"), health("10.0.0.9", "draining")]))
    found = wait_for_targets(both, "web", "app-ns", count=1, draining=1, timeout=0)
    assert [one.state for one in found] == ["draining", "healthy"]
    with pytest.raises(DeadlineError) as error:
        wait_for_targets(both, "web", "app-ns", count=1, timeout=0)
    assert error.value.expected == "1 targets that are healthy"


def test_a_load_balancer_that_is_being_replaced_is_waited_for(monkeypatch):
    cluster, hosts = Cluster(Elb(health=[health("10.0.0.1", "healthy")])), ["gone.elb", HOST]
    monkeypatch.setattr(observe, "hostname", lambda _: hosts.pop(0) if hosts else HOST)
    (told,) = wait_for_targets(cluster, "web", "app-ns", count=1, timeout=5)
    assert (told.state, hosts) == ("healthy", [])
    with pytest.raises(EksnetError, match=r"no load balancer gone\.elb"):
        monkeypatch.setattr(observe, "hostname", lambda _: "gone.elb")
        wait_for_targets(cluster, "web", "app-ns", count=1, timeout=0.1)


def test_targets_have_the_names_of_pods_and_nodes():
    found = [
        health("i-1", "unhealthy", "Target.Timeout"), health("10.0.0.1", "healthy"),
        health("10.0.0.9", "draining"),
    ]  # fmt: skip
    told = targets(Cluster(Elb(health=found)), "web", "app-ns")
    assert [(one.name, one.state, one.reason) for one in told] == [
        ("no longer there", "draining", ""),
        ("node-a", "unhealthy", "Target.Timeout"),
        ("web-a", "healthy", ""),
    ]


@pytest.mark.parametrize(
    ("host", "seen"),
    [("", "the Ingress web has no load balancer"), ("gone.elb", "no load balancer gone.elb")],
)
def test_what_is_not_there_is_said(host, seen):
    with pytest.raises(EksnetError, match=seen):
        targets(Cluster(Elb(), host), "web", "app-ns")


@pytest.mark.parametrize(
    ("found", "count", "seen"),
    [
        ([health("10.0.0.1", "healthy")], 1, ""),
        ([health("10.0.0.1", "healthy")], 2, "web-a healthy"),
        ([health("10.0.0.1", "unhealthy", "Target.Timeout")], 1, "unhealthy Target.Timeout"),
        ([], 1, "the targets are: none"),
    ],
)
def test_targets_are_waited_for_until_all_have_the_state(found, count, seen):
    cluster = Cluster(Elb(health=found))
    if not seen:
        (told,) = wait_for_targets(cluster, "web", "app-ns", count=count, timeout=0.1)
        assert told.state == "healthy"
        return
    with pytest.raises(DeadlineError, match=seen):
        wait_for_targets(cluster, "web", "app-ns", count=count, timeout=0.1)
