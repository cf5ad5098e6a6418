"""The model of the widget annotation choices: lint while they are chosen, a plan on demand."""

import json
from pathlib import Path

import pytest
import yaml

from eksnet import widgets
from eksnet.errors import EksnetError, UnreachableError
from eksnet.loadbalancer import lint, planned
from eksnet.widgets import AnnotationChoices
from eksnet.widgets.annotation_choices import START, annotated, manifest

ANSWER = json.loads(
    (Path(__file__).parents[1] / "loadbalancer" / "answers" / "two_ingresses.json").read_text()
)
PLAN = planned.of_answer(ANSWER)
ALB = "alb.ingress.kubernetes.io/"
NLB = "service.beta.kubernetes.io/aws-load-balancer-"


def plans(model):
    return tuple(PLAN for _ in model.manifests)


def parts(model):
    return {part.caption: part for part in model.shown().parts}


@pytest.mark.parametrize(
    ("kind", "chosen", "expected"),
    [
        ("Ingress", "", {}),
        ("Ingress", "scheme: internal", {f"{ALB}scheme": "internal"}),
        ("Service", "scheme: internal", {f"{NLB}scheme": "internal"}),
        ("Ingress", f"{ALB}scheme: internal", {f"{ALB}scheme": "internal"}),
        ("Service", "a.example/b: c", {"a.example/b": "c"}),
        ("Ingress", "\n# none\n\n  group.order :  '10' \n", {f"{ALB}group.order": "10"}),
        ("Ingress", 'group.order: "10"', {f"{ALB}group.order": "10"}),
        ("Ingress", "listen-ports: '[{\"HTTP\": 80}]'", {f"{ALB}listen-ports": '[{"HTTP": 80}]'}),
        ("Ingress", "listen-ports: [{\"HTTP\": 80}]", {f"{ALB}listen-ports": '[{"HTTP": 80}]'}),
        ("Ingress", "scheme:", {f"{ALB}scheme": ""}),
    ],
)  # fmt: skip
def test_annotations_are_read_line_by_line(kind, chosen, expected):
    assert annotated(kind, chosen) == expected


@pytest.mark.parametrize("chosen", ["scheme", ": internal", "scheme: a\nscheme: b", "x" * 20_000])
def test_what_is_no_annotation_is_a_sentence(chosen):
    with pytest.raises(EksnetError) as caught:
        annotated("Ingress", chosen)
    model = AnnotationChoices(first=chosen)
    assert caught.value.seen in model.shown().sentence
    assert model.shown().parts == ()


@pytest.mark.parametrize("kind", ["Ingress", "Service"])
def test_the_manifest_has_them_as_texts(kind):
    chosen = {"a.example/number": "10", "a.example/json": '{"a": "b: #c"}', "a.example/word": "yes"}
    found = yaml.safe_load(manifest(kind, chosen, "shop", "orders"))
    assert (found["kind"], found["metadata"]["annotations"]) == (kind, chosen)
    assert (found["metadata"]["name"], found["metadata"]["namespace"]) == ("orders", "shop")


@pytest.mark.parametrize("kind", ["Ingress", "Service"])
def test_without_annotations_nothing_is_found(kind):
    model = AnnotationChoices(kind=kind, first="")
    assert model.shown().sentence.startswith("First choice: Nothing was found.")
    assert "annotations" not in yaml.safe_load(model.manifests[0])["metadata"]


def test_what_it_begins_with_is_sound():
    assert AnnotationChoices().first == START
    assert list(parts(AnnotationChoices())) == ["First choice: YAML"]


@pytest.mark.parametrize("release", ["3.3", "2.7"])
@pytest.mark.parametrize(
    "chosen", ["schema: internal", "target-type: IP", "use-regex-path-match: 'true'", START]
)
def test_the_findings_are_what_lint_says_of_this_yaml(chosen, release):
    model = AnnotationChoices(first=chosen, release=release)
    found = lint(parts(model)["First choice: YAML"].text, release)
    shown = [part.rows for name, part in parts(model).items() if name.endswith("findings")]
    assert shown == ([found] if found else [])


def test_two_choices_stand_side_by_side():
    model = AnnotationChoices(second="scheme: public\n")
    assert list(parts(model)) == [
        "First choice: YAML", "Second choice: findings", "Second choice: YAML",
    ]  # fmt: skip
    assert "First choice: Nothing was found. Second choice: 1 error" in model.shown().sentence
    # Each in a column of its own, however much there is to say of it.
    assert model.shown().columns == (1, 2)
    first, second = model.shown().live.split('<div class="eksnet-column">')[1:]
    assert ("First choice" in first, "Second choice" in first) == (True, False)
    assert "Second choice: findings" in second and "Second choice: YAML" in second


def test_another_kind_has_other_annotations():
    model = AnnotationChoices(first="nlb-target-type: ip")
    assert "findings" in str(parts(model))
    model.kind = "Service"
    assert list(parts(model)) == ["First choice: YAML"]


def test_without_a_cluster_it_says_what_it_cannot_show():
    model = AnnotationChoices()
    assert model.actions == {}
    assert "needs a cluster" in model.text
    model.witness = plans
    assert model.actions == {"look": "Plan"}
    assert "needs a cluster" not in model.text
    assert "press Plan" in model.text


def test_a_plan_is_a_picture_and_a_tree_for_each_choice():
    model = AnnotationChoices(second="scheme: internal", witness=plans)
    model.act("look")
    names = list(parts(model))
    assert [name for name in names if name.endswith("plan")] == [
        "First choice: plan", "Second choice: plan",
    ]  # fmt: skip
    assert [name for name in names if "Ingress" in name and name.startswith("Second")] == [
        "Second choice: Ingress app/web", "Second choice: Ingress app/bad",
    ]  # fmt: skip
    assert parts(model)["First choice: plan"].text == repr(PLAN)
    assert "First choice: Plan for lab: 1 refused; 9 added." in model.shown().sentence


def test_a_plan_belongs_to_its_annotations():
    model = AnnotationChoices(witness=plans)
    model.act("look")
    model.first = "scheme: internal"
    assert "The last plan was of other annotations." in model.shown().sentence
    assert "First choice: plan" not in parts(model)


def test_a_cluster_that_does_not_answer_is_a_sentence():
    def unreachable(model):
        raise UnreachableError("no answer", "a cluster that answers", "eksnet up")

    model = AnnotationChoices(witness=unreachable)
    model.act("look")
    assert model.shown().sentence.startswith("no answer")
    assert "First choice: YAML" in parts(model)


def test_a_release_that_is_none_is_a_sentence():
    assert "latest" in AnnotationChoices(release="latest").shown().sentence


def test_choices_are_told_by_their_number():
    model = AnnotationChoices(second="# none\nscheme: internal")
    assert model.spoken == (
        "kind Ingress, first choice 2 annotations, second choice 1 annotation, controller 3.3.0."
    )


def test_the_view_has_a_field_for_each_choice_and_plans_what_is_written():
    asked = []
    view = widgets.annotation_choices(
        "scheme: internal", kind="Service", plan=lambda text: asked.append(text) or PLAN
    )
    fields = view.box.children[1].children
    assert [type(one).__name__ for one in fields] == [
        "Dropdown", "Textarea", "Textarea", "Combobox",
    ]  # fmt: skip
    fields[1].value = "scheme: internet-facing"
    view.model.act("look")
    assert asked == [manifest("Service", {f"{NLB}scheme": "internet-facing"})]
    assert widgets.annotation_choices().model.actions == {}
