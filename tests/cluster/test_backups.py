from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fake_api import FakeApi, kubeconfig

import eksnet
from eksnet.cluster import Backup, Cluster, Restored
from eksnet.errors import EksnetError

PATH = "/api/v1/namespaces/kube-system/configmaps/coredns"
COREFILE = ".:53 {\n  health\n  ready\n  kubernetes cluster.local\n}\n"
GOOD = {"data": {"Corefile": COREFILE, "empty": ""}, "binaryData": {"b": "AAE="}}
EDITED = {"data": {"Corefile": f"{COREFILE}# edited\n"}}


@pytest.fixture
def coredns(api: FakeApi) -> FakeApi:
    api.put(PATH, {"metadata": {"labels": {"k8s-app": "kube-dns"}}, **GOOD})
    return api


def content(api: FakeApi) -> dict[str, object]:
    return {key: api.objects[PATH].get(key) for key in ("data", "binaryData")}


def shown(result: Backup | Restored) -> str:
    """What a notebook shows of it, without the markup."""
    return re.sub(r"<[^>]*>", "", result._repr_html_())


def test_a_backup_is_exact_and_private(fake: Cluster, coredns: FakeApi) -> None:
    backup = fake.backup("coredns", "kube-system")
    record = json.loads(Path(backup).read_text())
    assert {key: record[key] for key in GOOD} == GOOD
    assert record["cluster"]["uid"] == fake.identity.uid
    assert backup.path.stat().st_mode & 0o777 == 0o600
    assert repr(backup) == "ConfigMap coredns in kube-system is backed up"
    assert shown(backup) == f"✓ saved {backup!r}"


def test_a_restore_puts_back_exactly_what_was_there(fake: Cluster, coredns: FakeApi) -> None:
    fake.backup("coredns", "kube-system")
    coredns.put(PATH, EDITED)
    restored = fake.restore("coredns", "kube-system")
    assert content(coredns) == GOOD
    assert repr(restored) == "ConfigMap coredns in kube-system is restored"
    assert shown(restored) == f"✓ restored {restored!r}"


def test_what_a_restore_replaces_is_kept(fake: Cluster, coredns: FakeApi) -> None:
    fake.backup("coredns", "kube-system")
    coredns.put(PATH, EDITED)
    replaced = fake.restore("coredns", "kube-system").replaced
    assert replaced is not None
    assert json.loads(replaced.read_text())["data"] == EDITED["data"]
    fake.restore(replaced)
    assert content(coredns)["data"] == EDITED["data"]


def test_the_first_backup_is_kept_after_an_edit(fake: Cluster, coredns: FakeApi) -> None:
    assert not fake.backup("coredns", "kube-system").edited_since
    assert not fake.backup("coredns", "kube-system").edited_since
    coredns.put(PATH, EDITED)
    again = fake.backup("coredns", "kube-system")
    assert again.edited_since
    assert "not replaced: the ConfigMap was edited since then" in repr(again)
    fake.restore("coredns", "kube-system")
    assert content(coredns) == GOOD


def test_after_a_restore_the_next_backup_is_a_new_one(fake: Cluster, coredns: FakeApi) -> None:
    fake.backup("coredns", "kube-system")
    fake.restore("coredns", "kube-system")
    upgraded = {"data": {"Corefile": f"{COREFILE}# a newer default\n"}}
    coredns.put(PATH, upgraded)
    fake.backup("coredns", "kube-system")
    coredns.put(PATH, EDITED)
    fake.restore("coredns", "kube-system")
    assert content(coredns)["data"] == upgraded["data"]


def test_a_second_restore_changes_nothing(fake: Cluster, coredns: FakeApi) -> None:
    fake.backup("coredns", "kube-system")
    coredns.put(PATH, EDITED)
    fake.restore("coredns", "kube-system")
    coredns.requests.clear()
    again = fake.restore("coredns", "kube-system")
    assert repr(again) == "ConfigMap coredns in kube-system is unchanged"
    assert shown(again) == f"○ unchanged {again!r}"
    assert coredns.writes == []


def test_a_used_backup_does_not_undo_a_later_change(fake: Cluster, coredns: FakeApi) -> None:
    fake.backup("coredns", "kube-system")
    fake.restore("coredns", "kube-system")
    coredns.put(PATH, EDITED)
    with pytest.raises(EksnetError, match="is already restored"):
        fake.restore("coredns", "kube-system")
    assert content(coredns)["data"] == EDITED["data"]


def test_a_configmap_that_was_deleted_comes_back(fake: Cluster, coredns: FakeApi) -> None:
    fake.backup("coredns", "kube-system")
    coredns.remove(PATH)
    fake.restore("coredns", "kube-system")
    assert content(coredns) == GOOD
    assert coredns.objects[PATH]["metadata"]["labels"] == {"k8s-app": "kube-dns"}


def test_a_backup_of_another_cluster_is_refused(
    fake: Cluster, coredns: FakeApi, config: Path
) -> None:
    backup = fake.backup("coredns", "kube-system")
    coredns.put(PATH, EDITED)
    coredns.remove("/api/v1/namespaces/kube-system")
    coredns.put("/api/v1/namespaces/kube-system", {})
    other = eksnet.connect("context:lab", changes="lab")
    with pytest.raises(EksnetError, match="there is no backup"):
        other.restore("coredns", "kube-system")
    with pytest.raises(EksnetError, match="is a backup of another cluster"):
        other.restore(backup.path)
    assert content(coredns)["data"] == EDITED["data"]


def test_another_user_of_the_cluster_may_restore(
    fake: Cluster, coredns: FakeApi, config: Path
) -> None:
    backup = fake.backup("coredns", "kube-system")
    coredns.put(PATH, EDITED)
    config.write_text(kubeconfig(coredns.url, token="t2"))
    eksnet.connect("context:lab", changes="lab").restore(backup.path)
    assert content(coredns) == GOOD


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"format": "other"}'])
def test_a_file_that_is_no_backup_is_refused(
    text: str, fake: Cluster, coredns: FakeApi, tmp_path: Path
) -> None:
    file = tmp_path / "backup.json"
    file.write_text(text)
    with pytest.raises(EksnetError, match="not a complete backup"):
        fake.restore(file)
    assert coredns.writes == []


def test_without_a_backup_there_is_nothing_to_restore(fake: Cluster, coredns: FakeApi) -> None:
    with pytest.raises(EksnetError, match="there is no backup") as caught:
        fake.restore("coredns", "kube-system")
    assert "cluster.backup" in caught.value.next_step
