"""`eksnet rollback`: the list, what would change, and putting back."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "cluster"))
from typer.testing import CliRunner

import eksnet
from eksnet import cli
from eksnet.aws import Account
from eksnet.coredns import addon
from eksnet.course import rollback
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
