"""What a learner's function or text gives is checked before anything is sent to an API server."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from fake_api import FakeApi

from eksnet import kubeproxy
from eksnet.cluster import Cluster, faults
from eksnet.cluster.faults import Place
from eksnet.errors import EksnetError
from eksnet.sandbox.seed import MANIFESTS

SYSTEM = "kube-system"
COREDNS = f"/api/v1/namespaces/{SYSTEM}/configmaps/coredns"
PROXY = f"/api/v1/namespaces/{SYSTEM}/configmaps/kube-proxy-config"
NOTES = "/api/v1/namespaces/default/configmaps/notes"
INSTALLED = {
    one["metadata"]["name"]: one["data"]
    for file in sorted(MANIFESTS.glob("*.yaml"))
    for one in yaml.safe_load_all(file.read_text())
    if one["kind"] == "ConfigMap"
}
COREFILE = INSTALLED["coredns"]["Corefile"]
CONFIG = INSTALLED["kube-proxy-config"]["config"]
CONFIG_KEY = ("kube-proxy-config", "config")
HOSTS_ALONE = "hosts {\n    10.43.0.1 myapp.local\n}\n"

Do = Callable[[Cluster], object]


@pytest.fixture
def learner(api: FakeApi, fake: Cluster) -> Cluster:
    api.put(COREDNS, {"data": {"Corefile": COREFILE}})
    api.put(PROXY, {"data": {"config": CONFIG}})
    api.put(NOTES, {"data": {"text": "mine", "empty": ""}})
    return fake


def edit(change: object, name: str = "coredns", key: str = "Corefile") -> Do:
    return lambda cluster: cluster.edit_configmap(name, key, change, SYSTEM)  # type: ignore[arg-type]


def note(change: object, key: str = "text") -> Do:
    return lambda cluster: cluster.edit_configmap("notes", key, change)  # type: ignore[arg-type]


def patch(data: object) -> Do:
    return lambda cluster: cluster.patch("configmap", "coredns", {"data": data}, SYSTEM)


def merge(fields: object) -> Do:
    return lambda cluster: cluster.patch("service", "kube-dns", fields, SYSTEM)  # type: ignore[arg-type]


def put(data: object) -> Do:
    one = {"apiVersion": "v1", "kind": "ConfigMap", "data": data}
    metadata = {"metadata": {"name": "coredns", "namespace": SYSTEM}}
    return lambda cluster: cluster.replace({**one, **metadata})


def apply(corefile: object) -> Do:
    metadata = {"name": "coredns", "namespace": SYSTEM}
    one = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    first = '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "before"}}'
    manifest = f"{first}\n---\n{json.dumps({**one, 'data': {'Corefile': corefile}})}"
    return lambda cluster: cluster.apply(manifest)


# What a learner may give, and a part of what they are told.
REFUSED: dict[str, tuple[Do, str]] = {
    "a forgotten return": (edit(lambda text: None), "your function returned is None"),
    "a list of lines": (edit(lambda text: text.splitlines()), "is of type list"),
    "bytes": (edit(lambda text: text.encode()), "is of type bytes"),
    "no text": (edit(None), "the new text is None"),
    "a number": (edit(5), "is of type int"),
    "an empty text": (edit(""), "is empty"),
    "white space": (edit(lambda text: " \n"), "is empty"),
    "half a pair": (edit(lambda text: text + "\ud800"), "cannot be encoded in UTF-8"),
    "huge": (edit(lambda text: text + "# much\n" * 200_000), "would hold 1,4"),
    "the block instead of the whole": (edit(lambda text: HOSTS_ALONE), "has no plugin '10.43.0.1'"),
    "a misspelt plugin": (edit(lambda text: text.replace("errors", "error")), "'errors'?"),
    "an entry too late": (
        edit(lambda text: text.replace("loop", "hosts {\n fallthrough\n 10.0.0.1 a\n }")),
        "hosts has the entry '10.0.0.1' after fallthrough",
    ),
    "the word None": (edit(lambda text: str(None)), "no server block has the plugin kubernetes"),
    "no name": (edit(str.upper, name=""), "the ConfigMap's name is empty"),
    "no key": (edit("text", key=""), "the key is empty"),
    "another ConfigMap, None": (note(lambda text: None), "is None"),
    "another ConfigMap, empty": (note(""), "is empty"),
    "another ConfigMap, huge": (note("x" * 1_100_000), "would hold 1,100,"),
    "another mode": (
        edit(lambda text: text.replace("mode: iptables", "mode: iptable"), *CONFIG_KEY),
        "kube-proxy has no mode 'iptable'",
    ),
    "no YAML": (edit("mode: [", *CONFIG_KEY), "is not YAML"),
    "no fields": (edit("- a\n- b\n", *CONFIG_KEY), "its kind is None"),
    "the ConfigMap around it": (
        edit(json.dumps({"kind": "ConfigMap", "data": {"config": CONFIG}}), *CONFIG_KEY),
        "its kind is 'ConfigMap'",
    ),
    "another kind": (edit("kind: Pod\n", *CONFIG_KEY), "its kind is 'Pod'"),
    "a patch that takes the key": (patch({"Corefile": None}), "is empty"),
    "a patch that takes all": (patch(None), "is empty"),
    "a patch with an empty text": (patch({"Corefile": ""}), "is empty"),
    "a patch with a number": (patch({"Corefile": 5}), "is of type int"),
    "a patch with a wrong text": (patch({"Corefile": HOSTS_ALONE}), "has no plugin '10.43.0.1'"),
    "a patch with a list for the data": (patch(["Corefile"]), "is of type list"),
    "a huge patch": (patch({"other": "x" * 1_100_000}), "would hold 1,100,"),
    "a patch of None": (merge(None), "the patch is of type NoneType"),
    "a patch of text": (merge("spec"), "the patch is of type str"),
    "an empty patch": (merge({}), "the patch is empty"),
    "a patch with a set": (merge({"spec": {1, 2}}), "cannot be written as JSON"),
    "a patch with no number": (merge({"spec": float("nan")}), "cannot be written as JSON"),
    "an endless patch": (merge({"spec": "x" * 4_000_000}), "is 4,000,0"),
    "a manifest with a wrong text": (apply(HOSTS_ALONE), "has no plugin '10.43.0.1'"),
    "a manifest without a text": (apply(None), "is empty"),
    "a manifest with an empty text": (apply(""), "is empty"),
    "an object with a wrong text": (put({"Corefile": "None"}), "the plugin kubernetes"),
    "an object of None": (lambda cluster: cluster.replace(None), "is of type NoneType"),  # type: ignore[arg-type]
    "a manifest of None": (lambda cluster: cluster.apply(None), "is of type NoneType"),  # type: ignore[arg-type]
    "an empty manifest": (lambda cluster: cluster.apply(""), "has no object"),
    "a manifest of objects": (lambda cluster: cluster.apply([{}]), "is of type list"),  # type: ignore[arg-type]
    "a deletion of None": (lambda cluster: cluster.delete(None), "is of type NoneType"),  # type: ignore[arg-type]
    "a deletion of nothing": (lambda cluster: cluster.delete(""), "is not the name of an object"),
    "a backup of nothing": (lambda cluster: cluster.backup(""), "the ConfigMap's name is empty"),
    "a restore of nothing": (lambda cluster: cluster.restore(""), "the ConfigMap's name is empty"),
    "a restore of None": (lambda cluster: cluster.restore(None), "the ConfigMap's name is None"),  # type: ignore[arg-type]
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_not_do_is_refused_and_nothing_is_sent(
    what: str, api: FakeApi, learner: Cluster
) -> None:
    do, told = REFUSED[what]
    before = json.dumps(api.objects, sort_keys=True)
    with pytest.raises(EksnetError) as refused:
        do(learner)
    assert told in f"{refused.value.seen}; {refused.value.expected}"
    assert "Traceback" not in str(refused.value)
    assert api.writes == []
    assert json.dumps(api.objects, sort_keys=True) == before


def test_a_word_lets_a_corefile_pass_that_does_not_work(api: FakeApi, learner: Cluster) -> None:
    with pytest.raises(EksnetError) as refused:
        learner.edit_configmap("coredns", "Corefile", HOSTS_ALONE, SYSTEM)
    assert "`unchecked=True`" in refused.value.next_step
    edit = learner.edit_configmap("coredns", "Corefile", HOSTS_ALONE, SYSTEM, unchecked=True)
    assert edit.after == api.objects[COREDNS]["data"]["Corefile"] == HOSTS_ALONE
    learner.patch("configmap", "coredns", {"data": {"Corefile": "None"}}, SYSTEM, unchecked=True)
    assert api.objects[COREDNS]["data"]["Corefile"] == "None"


@pytest.mark.parametrize("change", [None, 5, lambda text: None])
def test_no_word_lets_what_is_no_text_pass(change: object, api: FakeApi, learner: Cluster) -> None:
    with pytest.raises(EksnetError):
        learner.edit_configmap("coredns", "Corefile", change, SYSTEM, unchecked=True)  # type: ignore[arg-type]
    assert api.writes == []


def test_an_error_in_the_function_is_the_learners_own(api: FakeApi, learner: Cluster) -> None:
    with pytest.raises(ZeroDivisionError):
        learner.edit_configmap("coredns", "Corefile", lambda text: str(1 / 0), SYSTEM)
    assert api.writes == []


def test_what_works_passes(api: FakeApi, learner: Cluster) -> None:
    learner.edit_configmap("coredns", "Corefile", lambda text: text.replace("30", "10"), SYSTEM)
    assert "cache 10" in api.objects[COREDNS]["data"]["Corefile"]
    learner.edit_configmap("notes", "empty", "")
    learner.edit_configmap("notes", "empty", "full")
    learner.edit_configmap("notes", "new", "")
    assert api.objects[NOTES]["data"] == {"text": "mine", "empty": "full", "new": ""}


def test_a_configmap_of_the_same_name_elsewhere_may_hold_anything(
    api: FakeApi, learner: Cluster
) -> None:
    api.put("/api/v1/namespaces/default/configmaps/coredns", {"data": {"Corefile": "old"}})
    assert learner.edit_configmap("coredns", "Corefile", "None").after == "None"


def test_a_backup_that_would_not_work_is_restored_on_a_word(api: FakeApi, learner: Cluster) -> None:
    learner.edit_configmap("coredns", "Corefile", HOSTS_ALONE, SYSTEM, unchecked=True)
    learner.backup("coredns", SYSTEM)
    learner.edit_configmap("coredns", "Corefile", COREFILE, SYSTEM)
    api.requests.clear()
    with pytest.raises(EksnetError, match=r"has no plugin '10\.43\.0\.1'"):
        learner.restore("coredns", SYSTEM)
    assert api.writes == []
    learner.restore("coredns", SYSTEM, unchecked=True)
    assert api.objects[COREDNS]["data"]["Corefile"] == HOSTS_ALONE


@pytest.mark.parametrize("data", ["text", {"Corefile": 5}, {"Corefile": None}, ["Corefile"]])
def test_a_backup_whose_text_is_none_is_refused(
    data: object, api: FakeApi, learner: Cluster
) -> None:
    path = learner.backup("coredns", SYSTEM).path
    path.write_text(json.dumps({**json.loads(path.read_text()), "data": data}))
    api.put(COREDNS, {"data": {"Corefile": "edited"}})
    for restore in (path, "coredns"):
        with pytest.raises(EksnetError, match="not a complete backup"):
            learner.restore(restore, SYSTEM)
    assert api.writes == []


def test_every_state_that_a_restore_replaces_is_kept(api: FakeApi, learner: Cluster) -> None:
    kept = []
    for number in (1, 2, 2, 3):
        learner.backup("coredns", SYSTEM)
        learner.edit_configmap("coredns", "Corefile", f"{COREFILE}# {number}\n", SYSTEM)
        replaced = learner.restore("coredns", SYSTEM).replaced
        assert replaced is not None
        kept.append(json.loads(replaced.read_text())["data"]["Corefile"][-2:-1])
    assert kept == ["1", "2", "2", "3"]
    # With what each edit replaced, in the order in which it was there.
    states = [one.content["data"]["Corefile"] for one in learner.snapshots.all()]
    edited = [f"{COREFILE}# {number}\n" for number in (1, 2, 2, 3)]
    assert states == [state for one in edited for state in (COREFILE, one)]


def test_a_backup_may_be_given_for_its_file(api: FakeApi, learner: Cluster) -> None:
    backup = learner.backup("coredns", SYSTEM)
    learner.edit_configmap("coredns", "Corefile", f"{COREFILE}# edited\n", SYSTEM)
    assert learner.restore(backup).changed
    assert isinstance(backup.path, Path)
    assert api.objects[COREDNS]["data"]["Corefile"] == COREFILE


@pytest.mark.parametrize("mode", ["iptable", "", None, "ipvs", 5])
def test_a_mode_that_kube_proxy_does_not_start_with_needs_a_word(
    mode: str, api: FakeApi, learner: Cluster
) -> None:
    learner.target = replace(learner.target, kind="sandbox")
    with pytest.raises(EksnetError, match="kube-proxy has no mode") as refused:
        kubeproxy.set_mode(learner, mode)
    assert "unchecked=True" in refused.value.next_step
    assert api.writes == []


def test_a_mode_is_written_once(api: FakeApi, learner: Cluster) -> None:
    learner.target = replace(learner.target, kind="sandbox")
    assert kubeproxy.set_mode(learner, "nftables").diff
    writes = len(api.writes)
    assert not kubeproxy.set_mode(learner, "nftables").diff
    assert len(api.writes) == writes
    kubeproxy.set_mode(learner, r"\1", unchecked=True)
    assert r"mode: \1" in api.objects[PROXY]["data"]["config"]


def test_a_fault_is_written_whatever_it_breaks(api: FakeApi, learner: Cluster) -> None:
    learner.target = replace(learner.target, kind="sandbox")
    place = Place("configmap", "coredns", SYSTEM)
    faults.inject(learner, "dns-C", place, {"data": {"Corefile": HOSTS_ALONE}})
    assert api.objects[COREDNS]["data"]["Corefile"] == HOSTS_ALONE
    faults.revert_all(learner, "dns")
    assert api.objects[COREDNS]["data"]["Corefile"] == COREFILE
