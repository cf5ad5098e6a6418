"""The controller's log, read for one load balancer."""

import json
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import gomodules
import pytest

from eksnet import loadbalancer
from eksnet.loadbalancer.done import done

STACK = "app-ns/web"


def line(message, at="2026-11-30T16:00:01Z", stack=STACK, name="80", **more):
    return json.dumps({"level": "info", "ts": at, "msg": message, "stackID": stack,
                       "resourceID": name, **more})  # fmt: skip


def told(*lines, since=None):
    after = datetime.fromisoformat(since) if since else None
    return [(one.action, one.what, one.name) for one in done("\n".join(lines), STACK, after)]


LOG = (
    line("creating targetGroup", name="app-ns/web-web:80"),
    line("created targetGroup", name="app-ns/web-web:80", arn="arn:x"),
    line("created loadBalancer", name="LoadBalancer"),
    line("created listener"),
    line("created listener rule", name="80:1"),
)
SEEN = [
    ("created", "targetGroup", "app-ns/web-web:80"),
    ("created", "loadBalancer", "LoadBalancer"),
    ("created", "listener", "80"),
    ("created", "listener rule", "80:1"),
]


def test_what_was_done_is_told_in_the_logs_order():
    assert told(*LOG) == SEEN


def test_another_load_balancer_is_left_out():
    assert told(line("created listener", stack="app-ns/other")) == []


def test_what_was_before_is_left_out():
    old = line("deleted loadBalancer", at="2026-11-30T15:00:00Z", name="LoadBalancer")
    assert told(old, *LOG, since="2026-11-30T16:00:01Z") == SEEN
    assert told(old)[0][0] == "deleted"


@pytest.mark.parametrize(
    "odd",
    ["", "not JSON", "[]", "null", '"text"', "{", '{"msg": 1, "stackID": "app-ns/web"}',
     line("created listener", at="yesterday"), line("created listener", at="2026-11-30T16:00:00"),
     json.dumps({"msg": "registered targets", "arn": "x"}), "[" * 100_000],
)  # fmt: skip
def test_other_lines_are_passed_over(odd):
    assert told(odd, *LOG) == SEEN


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("target_group_manager.go", "created targetGroup"),
        ("load_balancer_manager.go", "created loadBalancer"),
        ("listener_manager.go", "created listener"),
        ("listener_rule_manager.go", "created listener rule"),
        ("listener_rule_manager.go", "deleted listener rule"),
        ("target_group_binding_manager.go", "created targetGroupBinding"),
    ],
)
def test_the_controllers_source_has_these_words(file, message):
    source = Path(gomodules.directory("sigs.k8s.io/aws-load-balancer-controller"))
    assert f'Info("{message}",' in (source / "pkg/deploy/elbv2" / file).read_text()


class FakeCluster:
    """An Ingress and two pods of the controller, the second of which works."""

    def __init__(self, group=None, stack=STACK):
        self.annotations = {"alb.ingress.kubernetes.io/group.name": group} if group else {}
        self.logs_of = {"a": line("created listener", stack="x"), "b": "\n".join(
            one.replace(STACK + '", "resourceID', stack + '", "resourceID') for one in LOG
        )}  # fmt: skip

    def get(self, kind, name, namespace):
        assert (kind, namespace) == ("ingress", "app-ns")
        return {"metadata": {"name": name, "namespace": namespace, "annotations": self.annotations,
                             "creationTimestamp": "2026-11-30T16:00:00Z"}}  # fmt: skip

    def list(self, kind, namespace, *, selector):
        assert (kind, namespace) == ("pods", "kube-system")
        assert selector == "app.kubernetes.io/name=aws-load-balancer-controller"
        return [SimpleNamespace(name=name) for name in self.logs_of]

    def logs(self, pod, namespace):
        assert namespace == "kube-system"
        return self.logs_of[pod]


@pytest.mark.parametrize("group", [None, "front"])
def test_the_logs_of_all_pods_are_read_for_the_ingress_or_its_group(group):
    cluster = FakeCluster(group, group or STACK)
    found = loadbalancer.controller_log(cluster, "web", "app-ns")
    assert found.columns == ("action", "what", "name")
    assert [tuple(row) for row in found.rows] == SEEN
