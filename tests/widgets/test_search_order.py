"""The model of the widget search order: what it adds to eksnet.dns."""

import demo
import pytest

from eksnet import dns, widgets
from eksnet.dns.walk import walk
from eksnet.widgets import SearchOrder

SERVICE = "my-service.app-ns.svc.cluster.local"


def order(**traits):
    return SearchOrder(name="my-service.app-ns", namespace="ops-ns", exists=SERVICE, **traits)


def tables(model):
    return [part for part in model.panel().parts if isinstance(part, widgets.Table)]


@pytest.mark.parametrize("profile", list(dns.PROFILES))
@pytest.mark.parametrize("name", ["my-service", "my-service.app-ns", "a.b.c.d.e.f", "example.com."])
@pytest.mark.parametrize("region", ["ap-northeast-2", "us-east-1", ""])
def test_the_table_is_the_walk_of_the_dns_room(name, region, profile):
    conf = dns.pod_resolv_conf("ops-ns", region=region or None)
    walk = dns.search_walk(name, conf, {SERVICE}, profile)
    model = SearchOrder(
        name=name, namespace="ops-ns", region=region, profile=profile, exists=SERVICE
    )
    assert [table.rows for table in tables(model)] == [walk]
    assert f"{walk.query_count} queries" in model.shown().sentence
    assert repr(conf) in model.text


def test_the_sentence_tells_the_outcome():
    assert order().shown().sentence == f"2 names, 4 queries; answered: {SERVICE}."
    assert SearchOrder(name="x", ndots=1).shown().sentence == "5 names, 10 queries; answered: none."
    assert SearchOrder(name="x.").shown().sentence == "1 name, 2 queries; answered: none."


def test_ndots_is_the_policys_until_it_is_set():
    assert order().conf == dns.pod_resolv_conf("ops-ns")
    set_to_one = order(ndots=1)
    assert set_to_one.conf.ndots == 1
    assert dns.ResolvConf.parse(repr(set_to_one.conf)) == set_to_one.conf
    assert set_to_one.predicted.names[0] == "my-service.app-ns"


@pytest.mark.parametrize(
    ("policy", "file", "names"),
    [
        ("ClusterFirst", repr(dns.pod_resolv_conf("ops-ns")), 2),
        ("ClusterFirstWithHostNet", repr(dns.pod_resolv_conf("ops-ns")), 2),
        ("Default", "search ap-northeast-2.compute.internal\nnameserver 10.0.0.2", 2),
        ("None", "nameserver 10.100.0.10", 1),
    ],
)
def test_the_policy_decides_what_the_pod_is_told(policy, file, names):
    model = order(policy=policy)
    assert (repr(model.conf), len(model.predicted)) == (file, names)
    assert file in model.text
    assert order(policy=policy, ndots=3).conf.options == ("ndots:3",)


@pytest.mark.parametrize("field", ["name", "namespace"])
@pytest.mark.parametrize("text", ["", "  ", "two words"])
def test_a_field_that_is_no_word_is_asked_for_again(field, text):
    model = order()
    setattr(model, field, text)
    assert f"fill in the field {field!r}" in model.shown().sentence
    assert model.shown().parts == ()


def test_blanks_around_a_word_count_for_nothing():
    spaced = SearchOrder(name=" my-service.app-ns ", namespace=" ops-ns", exists=f" {SERVICE} ")
    assert spaced.predicted == order().predicted


def test_what_is_observed_stands_beside_what_is_predicted():
    model = order()
    model.remember(model.predicted)
    assert [table.caption.split(":")[0] for table in tables(model)] == ["Predicted", "Observed"]
    assert model.shown().sentence.endswith("The observation matches the prediction.")


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        ([(SERVICE, True)], 1),
        ([("my-service.app-ns.ops-ns.svc.cluster.local", False), (SERVICE, False)], 2),
        ([("my-service.app-ns.ops-ns.svc.cluster.local", False)], 2),
        ([("my-service.app-ns.ops-ns.svc.cluster.local", False), (SERVICE, True), ("x", True)], 3),
    ],
)
def test_the_sentence_says_where_the_observation_parts_from_the_prediction(rows, place):
    model = order()
    model.remember(walk(rows))
    assert model.shown().sentence.endswith(f"The observation differs from row {place}.")


def test_an_observation_belongs_to_the_settings_it_was_made_with():
    model = order(witness=lambda model: model.predicted)
    model.act("look")
    assert len(tables(model)) == 2
    model.name = "other"
    assert len(tables(model)) == 1
    model.name = "my-service.app-ns"
    assert len(tables(model)) == 2


def test_the_witness_is_asked_about_these_settings_and_its_wait_is_told():
    told = []

    def witness(asked):
        told.append((asked.name, asked.namespace, model.shown().sentence.split("\n")[0]))
        return asked.predicted

    model = order(witness=witness)
    model.act("look")
    note = "Looking up my-service.app-ns and reading the witness's log …"
    assert told == [("my-service.app-ns", "ops-ns", note)]
    assert "Looking up" not in model.shown().sentence


def test_a_witness_that_fails_is_told():
    def witness(model):
        raise TimeoutError("no log")

    model = order(witness=witness)
    model.act("look")
    assert model.shown().sentence.startswith("TimeoutError: no log")
    assert len(tables(model)) == 1


def test_without_a_witness_there_is_nothing_to_press():
    assert order().actions == {}
    assert order(witness=lambda model: model.predicted).actions == {"look": "Observe"}


def test_every_policy_that_a_pod_can_have_can_be_chosen():
    assert SearchOrder.policy.values == dns.POLICIES


def test_what_the_witness_saw_otherwise_is_shown_beside_the_prediction():
    model = SearchOrder(name="otherwise", witness=demo.witness)
    model.act("look")
    assert model.shown().sentence.endswith("The observation differs from row 2.")
    assert [len(table.rows) for table in tables(model)] == [5, 1]


def test_why_the_witness_saw_nothing_is_said_in_words():
    model = SearchOrder(name="unseen", witness=demo.witness)
    model.act("look")
    note = "the witness is gone\n  expected: a pod witness\n  next:     apply it again\n"
    assert model.shown().sentence.startswith(note)
    assert "Observed" not in model.shown().sentence
    model.name = "seen"
    model.act("look")
    assert model.shown().sentence.endswith("The observation matches the prediction.")


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("region", "us-east-1", "with region us-east-1 nothing can be observed here"),
        ("policy", "None", "with dnsPolicy None nothing can be observed here"),
        ("profile", "musl", "with resolver musl nothing can be observed here"),
    ],
)
def test_what_the_witness_does_not_heed_is_not_observed_as_something_else(setting, value, words):
    asked = []
    model = order(witness=lambda model: asked.append(model.name) or model.predicted)
    start = getattr(model, setting)
    setattr(model, setting, value)
    model.act("look")
    assert (model.shown().sentence.startswith(words), asked) == (True, [])
    assert f"choose {start} again" in model.shown().sentence
    setattr(model, setting, start)
    model.act("look")
    assert asked == ["my-service.app-ns"]


def test_a_witness_says_what_it_heeds():
    view = widgets.search_order(observed=demo.witness, observes=("name", "profile"))
    view.model.profile = "musl"
    view.model.act("look")
    assert "The observation matches the prediction." in view.text
