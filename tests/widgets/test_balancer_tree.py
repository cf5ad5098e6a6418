"""The picture of a planned load balancer: its boxes are the parts of the plan, in order."""

import json
from pathlib import Path

import pytest

from eksnet import widgets
from eksnet.loadbalancer import planned
from eksnet.loadbalancer.balancer_tree import boxes
from eksnet.loadbalancer.parts import Part
from eksnet.loadbalancer.planned import Stack, Target

ANSWER = json.loads(
    (Path(__file__).parents[1] / "loadbalancer" / "answers" / "two_ingresses.json").read_text()
)
GROUP = Part("target group", "a/web:80", (("target type", "ip"), ("protocol", "HTTP"),
                                          ("port", "8080")))  # fmt: skip


def rule(priority, condition, action):
    return Part("rule", condition, (("priority", str(priority)), ("action", action)))


def stack(*rules, default="answer 404", targets=1, groups=(GROUP,)):
    """Return a load balancer with one listener."""
    listener = Part("listener", "80", (("protocol", "HTTP"), ("default", default)), rules)
    balancer = Part("load balancer", "LoadBalancer", (("type", "application"),),
                    (Part("subnet", "s"), listener))  # fmt: skip
    of = tuple(Target(f"10.0.0.{n}", 8080, f"a/web-{n}", "z") for n in range(targets))
    return Stack(
        "a/web", "ingress", ("a/web",), (balancer, *groups), (), {"a/web:80": of},
        without={} if targets else {"a/web:80": "none yet: Service a/web has no ready pod"},
    )  # fmt: skip


def told(found):
    return [(one.depth, one.what, one.words) for one in boxes(found)]


def test_each_part_stands_below_what_it_hangs_on():
    assert told(stack(rule(1, "path-pattern /*", "forward to a/web:80"))) == [
        (0, "load balancer", "application"),
        (1, "listener", "HTTP 80"),
        (2, "rule 1", "path-pattern /* → forward to a/web:80"),
        (3, "target group", "a/web:80: ip, HTTP 8080"),
        (4, "target", "a/web-0, port 8080"),
        (2, "default", "answer 404"),
    ]


def test_the_targets_of_a_group_are_shown_once():
    twice = stack(rule(1, "/a", "forward to a/web:80"), rule(2, "/b", "forward to a/web:80"))
    found = [what for _, what, _ in told(twice)]
    assert (found.count("target group"), found.count("target")) == (2, 1)


def test_a_default_and_several_groups_lead_to_theirs():
    other = Part("target group", "a/web:8", GROUP.fields)
    action = "forward to a/web:80 (weight 1), a/web:8 (weight 2)"
    found = told(stack(default=action, groups=(GROUP, other)))
    names = [words.partition(": ")[0] for _, what, words in found if what == "target group"]
    assert names == ["a/web:80", "a/web:8"]


@pytest.mark.parametrize(("targets", "last"), [
    (0, ("targets", "none yet: Service a/web has no ready pod")),
    (6, ("target", "a/web-5, port 8080")), (7, ("target", "1 more")),
])  # fmt: skip
def test_many_targets_are_counted_and_none_are_said(targets, last):
    found = told(stack(default="forward to a/web:80", targets=targets))
    assert [one[1:] for one in found if one[1] in ("target", "targets")][-1] == last


def test_a_plan_of_the_engines_program_is_drawn():
    web, bad = planned.of_answer(ANSWER).stacks
    picture = widgets.balancer_tree(web)
    assert "listener HTTP 80" in picture.spoken
    assert picture.twin.rows.items == boxes(web)
    assert len([one for one in picture.drawn if "<rect" in one]) == len(boxes(web))
    assert widgets.balancer_tree(bad).spoken == "Ingress app/bad: nothing is built."
