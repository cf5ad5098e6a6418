"""`eksnet rollback`: the list, what would change, and putting back."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "cluster"))
from typer.testing import CliRunner

import eksnet
from eksnet import cli
from eksnet.aws import Account, leftovers
from eksnet.coredns import addon
from eksnet.course import rollback
from eksnet.errors import EksnetError
from eksnet.loadbalancer import controller
from tests.doctor.conftest import api, eks, lab, side  # noqa: F401

COREDNS = "/api/v1/namespaces/kube-system/configmaps/coredns"
FIRST, SECOND = ".:53 {\n    errors\n}\n", ".:53 {\n    errors\n    health\n}\n"


@pytest.fixture
def changed(api, monkeypatch):  # noqa: F811
    """A cluster whose Corefile was edited."""
    monkeypatch.setenv("EKSNET_CHANGES", "lab")
    api.put(COREDNS, {"data": {"Corefile": FIRST}})
    found = eksnet.connect("context:lab")
    found.edit_configmap("coredns", "Corefile", SECOND, "kube-system", unchecked=True)
    return api


def run(*words):
    return CliRunner().invoke(cli.app, ["rollback", *words])


def test_the_list(changed):
    done = run("--json")
    (one,) = json.loads(done.stdout)
    assert done.exit_code == 0
    assert (one["number"], one["name"], one["before"]) == (1, "coredns", "an edit")
    assert one["content"]["data"]["Corefile"] == FIRST
    assert "an edit" in run().stdout


def test_nothing_is_listed_where_nothing_was_changed(api):  # noqa: F811
    assert run().stdout == "Nothing risky was changed so far.\n"


def test_what_would_change_is_shown_and_nothing_is_done_without_a_yes(changed):
    done = run("1")
    assert done.exit_code == 2
    assert "-      health" in done.stdout
    assert "--yes" in done.stderr
    assert changed.objects[COREDNS]["data"]["Corefile"] == SECOND


def test_a_yes_puts_it_back_and_a_second_one_changes_nothing(changed):
    done = run("1", "--yes")
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (
        0, "ConfigMap coredns in kube-system is restored",
    )  # fmt: skip
    assert changed.objects[COREDNS]["data"]["Corefile"] == FIRST
    again = run("1", "--yes")
    assert again.exit_code == 0
    assert "is as it was" in again.stdout
    # What it replaced can come back, too.
    run("2", "--yes")
    assert changed.objects[COREDNS]["data"]["Corefile"] == SECOND


def test_a_cluster_that_was_not_named_is_not_changed(changed, monkeypatch):
    monkeypatch.delenv("EKSNET_CHANGES")
    monkeypatch.setattr(eksnet.cluster.guard, "_named", set())
    done = run("1", "--yes")
    assert done.exit_code == 2
    assert "its name was not given" in done.stderr
    assert changed.objects[COREDNS]["data"]["Corefile"] == SECOND


def test_a_number_that_is_none(changed):
    done = run("9")
    assert done.exit_code == 2
    assert "there is no snapshot 9" in done.stderr


# The add-on: EKS as the sandbox has it.

VALUES = {"autoScaling": {"enabled": True, "minReplicas": 3}}


@pytest.fixture
def managed(eks, side, monkeypatch):  # noqa: F811
    """A cluster of one's own, whose add-on is worked on at once."""
    monkeypatch.setenv("EKSNET_CHANGES", "lab")

    def until(what, done, timeout, **more):
        side.worker.work_once()
        return done()

    monkeypatch.setattr(addon.countdown, "until", until)

    def account():
        return Account(
            side.url, "ap-northeast-2", side.keys.access_key, side.keys.secret, "workbook"
        )

    def connected(*_, **__):
        found = eksnet.cluster.connect("context:lab")
        found.account = account
        return found

    monkeypatch.setattr(rollback, "connect", connected)
    monkeypatch.setattr(rollback, "connect_read_only", connected)
    return connected()


def test_the_values_of_the_add_on_come_back(managed):
    addon.install(managed)
    addon.update(managed, VALUES)
    addon.update(managed, {})
    kept = [one.content for one in managed.snapshots.all()]
    version = addon.describe(managed)[0].version
    assert [json.loads(one["values"] or "{}") for one in kept] == [{}, {}, VALUES]
    assert [one["version"] for one in kept] == ["", version, version]
    rollback.put_back(rollback.planned(3))
    assert addon.describe(managed)[0].configuration == VALUES
    # Before its installation it was self-managed.
    rollback.put_back(rollback.planned(1))
    assert addon.describe(managed)[0].status == "self-managed"


def test_a_learners_own_calls_keep_the_add_on_too(managed, side):  # noqa: F811
    client, where = managed.aws("eks"), {"clusterName": "workbook", "addonName": "coredns"}
    client.create_addon(**where, tags={"eksnet": "course"})
    side.worker.work_once()
    version = addon.describe(managed)[0].version
    client.update_addon(**where, configurationValues=json.dumps(VALUES))
    side.worker.work_once()
    client.delete_addon(**where, preserve=True)
    found = managed.snapshots.all()
    assert [(one.before, one.content["version"]) for one in found] == [
        ("its installation", ""), ("an update", version), ("its removal", version),
    ]  # fmt: skip
    assert json.loads(found[2].content["values"]) == VALUES


@pytest.mark.parametrize("where", [
    {"clusterName": "workbook", "addonName": "kube-proxy"},
    {"clusterName": "another", "addonName": "coredns"},
])  # fmt: skip
def test_what_is_about_something_else_keeps_nothing(managed, where):
    client = managed.aws("eks")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.update_addon(**where, configurationValues="{}")
    assert list(managed.snapshots.all()) == []


def test_a_change_that_the_guard_refuses_keeps_nothing(managed, monkeypatch):
    monkeypatch.delenv("EKSNET_CHANGES")
    with pytest.raises(EksnetError, match="its name was not given"):
        managed.aws("eks").delete_addon(clusterName="workbook", addonName="coredns")
    assert list(managed.snapshots.all()) == []


def test_an_add_on_that_cannot_be_kept_is_not_changed(managed, side, monkeypatch):  # noqa: F811
    addon.install(managed)
    managed.snapshots.directory.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(managed.snapshots.directory)
    managed.snapshots.directory.write_text("a file")
    with pytest.raises(EksnetError, match="no snapshot can be kept"):
        managed.aws("eks").delete_addon(clusterName="workbook", addonName="coredns")
    assert addon.describe(managed)[0].status == "ACTIVE"


# What is made in the account.


def test_what_is_made_with_the_courses_tag_says_its_run(managed, side):  # noqa: F811
    managed.begin_lesson("09_lab_target_group_binding")
    pairs = [{"Key": "eksnet", "Value": "course"}]
    elb, iam = managed.aws("elbv2"), managed.aws("iam")
    words = {"Protocol": "TCP", "Port": 80, "VpcId": side.settings.cluster.vpc_id}
    made = elb.create_target_group(Name="web", **words, Tags=pairs)["TargetGroups"][0]
    elb.create_target_group(Name="theirs", **words)
    controller._ensure_policy(managed)
    wanted = {
        "eksnet": "course", "eksnet-run": managed.current_run.id,
        "eksnet-lesson": "09_lab_target_group_binding",
    }  # fmt: skip
    (told,) = elb.describe_tags(ResourceArns=[made["TargetGroupArn"]])["TagDescriptions"]
    assert {one["Key"]: one["Value"] for one in told["Tags"]} == wanted
    (policy,) = iam.list_policies(Scope="Local", PathPrefix="/")["Policies"]
    of_policy = iam.list_policy_tags(PolicyArn=policy["Arn"])["Tags"]
    assert {one["Key"]: one["Value"] for one in of_policy} == wanted
    account = leftovers.Account(managed.aws, "workbook")
    found = {one.name: one.run for kind in leftovers.KINDS for one in kind.find(account)}
    assert found == {"web": managed.run_id, controller.POLICY: managed.run_id}


def test_the_controller_is_told_the_run(managed):
    words = controller.helm_command(managed).split()
    assert "defaultTags.eksnet=course" in words
    assert f"defaultTags.eksnet-run={managed.run_id}" in words
    assert not any("eksnet-lesson" in one for one in words)
