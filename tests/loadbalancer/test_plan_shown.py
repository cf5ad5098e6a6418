"""A plan as text, HTML, table and JSON, from an answer of the engine's program."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eksnet.loadbalancer import planned
from eksnet.loadbalancer.balancer_tree import balancer_tree
from eksnet.loadbalancer.planned import Plan

ANSWERS = Path(__file__).parent / "answers"
ROLE = "taken: it has the tag kubernetes.io/role/internal-elb=1"
TEXT = f"""\
Plan for lab: 1 refused; 9 added

  refused: Ingress app/bad: Warning FailedBuildModel: Failed build model due to ingress: app/bad: \
unknown targetType: ips
  Ingress app/web
+   load balancer k8s-app-web-f481f582ec: application, internal, ipv4
+     security groups: ManagedLBSecurityGroup, sg-(known after apply)
+     listener HTTP 80
+       default: answer 404 text/plain
+       rule 1: path-pattern /* → forward to app/web-web:80
+   target group app/web-web:80 (k8s-app-web-bb2b40556c): instance targets, HTTP HTTP1 30080
+     addresses: ipv4
+     health check: HTTP / on traffic-port, 200 wanted, every 15 s, 5 s each, 2 up, 2 down
      target i-0a:30080 node1 ap-northeast-2a
+   security group ManagedLBSecurityGroup (k8s-app-web-70e20ef51f)
+     allow tcp 80 from 0.0.0.0/0
    subnet subnet-a 10.0.0.0/24 ap-northeast-2a: {ROLE}
    subnet subnet-c 10.0.0.0/24 ap-northeast-2c: {ROLE}
  Ingress app/bad
    nothing is built
  security group sg-nodes of nodes and pods
+   allow tcp 30080 from sg-(known after apply)"""


@pytest.fixture
def answer() -> Any:
    return json.loads((ANSWERS / "two_ingresses.json").read_text())


@pytest.fixture
def plan(answer: Any) -> Plan:
    return planned.of_answer(answer)


def test_a_plan_as_text(plan: Plan) -> None:
    assert repr(plan) == TEXT
    assert not plan.fine


def test_a_plan_as_html(plan: Plan) -> None:
    html = plan._repr_html_()
    assert "listener HTTP 80" in html
    assert "tinted" not in html
    assert html.count("background-color") == TEXT.count("\n+")


def test_a_plan_in_a_notebook_begins_with_a_picture_of_what_is_built(plan: Plan) -> None:
    drawn = balancer_tree(plan.stack("app/web")).image
    html = plan._repr_html_()
    # The other one is refused: nothing of it could be drawn.
    assert html.startswith(drawn) and html.count("<img") == 1
    assert "target i-0a:30080" in html.removeprefix(drawn)


def test_many_load_balancers_are_not_all_drawn(plan: Plan) -> None:
    many = replace(plan, stacks=(plan.stack("app/web"),) * 20)
    assert many._repr_html_().count("<img") == planned._DRAWN
    assert many._repr_html_().count("target i-0a:30080") == 20


def test_a_plan_as_a_table(plan: Plan) -> None:
    frame = plan.to_frame()
    assert list(frame.columns) == ["action", "what", "field", "before", "after"]
    assert len(frame) == 9
    assert set(frame["action"]) == {"added"}


def test_a_plan_as_json(plan: Plan) -> None:
    found = json.loads(json.dumps(plan.to_json()))
    assert [one["id"] for one in found["stacks"]] == ["app/web", "app/bad"]
    web, bad = found["stacks"]
    assert [one["kind"] for one in web["planned"]] == [
        "load balancer", "target group", "security group",
    ]  # fmt: skip
    assert web["model"]["id"] == "app/web"
    assert (bad["planned"], bad["model"]) == (None, None)
    assert found["refused"][0]["reason"] == "FailedBuildModel"
    assert found["objects"][0] == {"kind": "Ingress", "name": "app/web", "action": "create"}


def test_a_stack_by_its_name(plan: Plan) -> None:
    assert plan.stack("app/web").members == ("app/web",)
    with pytest.raises(LookupError, match="2 load balancers: app/web, app/bad"):
        plan.stack()


def test_what_is_made_of_a_new_uid_is_not_known_yet(answer: Any) -> None:
    answer["new_services"] = ["app/web"]
    (balancer, group, _) = planned.of_answer(answer).stacks[0].planned or ()
    assert balancer["name"] == "k8s-app-web-f481f582ec"
    assert group["name"] == "k8s-app-web-(known after apply)"
    assert group["port"] == "(known after apply)"


@pytest.mark.parametrize(
    ("fresh", "kind", "why"),
    [
        (["app/web"], "ip", "none yet: Service app/web is not in the cluster"),
        ([], "ip", "none yet: Service app/web has no ready pod"),
        ([], "instance", "none yet: no node takes traffic for Service app/web"),
    ],
)
def test_why_there_are_no_targets_stands_in_text_and_picture(
    fresh: list[str], kind: str, why: str, answer: Any
) -> None:
    stack, name = answer["stacks"][0], "app/web-web:80"
    answer["new_services"] = fresh
    stack["targets"][name] = []
    bindings = stack["model"]["resources"]["K8S::ElasticLoadBalancingV2::TargetGroupBinding"]
    bindings[name]["spec"]["template"]["spec"]["targetType"] = kind
    plan = planned.of_answer(answer)
    assert f"     targets: {why}\n" in repr(plan)
    assert f"targets {why}" in balancer_tree(plan.stack("app/web")).spoken


def test_where_there_are_targets_nothing_more_is_said(plan: Plan) -> None:
    assert plan.stack("app/web").without == {}


def test_what_the_controller_only_logs_says_so(answer: Any) -> None:
    said = answer["refused"][0]
    said |= {"reason": "", "message": "failed to load Ingress group order", "logged": True}
    plan = planned.of_answer(answer)
    words = "no Event; the controller's log: failed to load Ingress group order"
    assert f"  refused: Ingress app/bad: {words}\n" in repr(plan)
    assert plan.to_json()["refused"][0]["logged"] is True


def test_without_a_controller_and_an_account_it_says_so(answer: Any) -> None:
    answer["controller"].update(deployment="", vpc="")
    for stack in answer["stacks"]:
        stack.update(model=None, existing=None)
    text = repr(planned.of_answer(answer))
    assert "note: the controller is not installed" in text
    assert "note: no AWS account is known" in text
    assert text.startswith("Plan for lab: 1 refused; what would change in AWS is not known\n")


def test_what_comes_from_outside_cannot_steer_a_terminal(answer: Any) -> None:
    answer["refused"][0]["message"] = "red \x1b[31m"
    assert "\x1b" not in repr(planned.of_answer(answer))
