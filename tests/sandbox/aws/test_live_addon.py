"""The AWS side on the suite's sandbox: the real API server decides who owns a field."""

import os
import signal
import stat
import urllib.error
import urllib.request

import botocore.exceptions
import faults
import pytest

from eksnet import coredns
from eksnet.cluster import connect
from eksnet.cluster.countdown import until
from eksnet.errors import UnreachableError
from eksnet.sandbox import lifecycle, paths
from eksnet.sandbox.aws.access import access

pytestmark = pytest.mark.sandbox
CONFIGMAP, DEPLOYMENT, SYSTEM = "configmap/coredns", "deployment/coredns", "kube-system"


@pytest.fixture
def fresh(live_sandbox):
    """A fresh cluster: CoreDNS is self-managed, and all of it belongs to EKS."""
    lifecycle.reset()
    yield connect("sandbox")
    lifecycle.reset()


def owners(cluster, what, field):
    return [one.manager for one in cluster.owners(what, namespace=SYSTEM, below=field)]


def corefile(cluster):
    return cluster.get(CONFIGMAP, namespace=SYSTEM)["data"]["Corefile"]


def replicas(cluster):
    return cluster.get(DEPLOYMENT, namespace=SYSTEM)["spec"]["replicas"]


def change(text):
    return text.replace("cache 30", "cache 60")


def test_each_mode_on_a_change_by_hand(fresh):
    assert owners(fresh, CONFIGMAP, ".data.Corefile") == ["eks"]
    assert coredns.addon.install(fresh)[0].status == "ACTIVE"
    fresh.edit_configmap("coredns", "Corefile", change, SYSTEM)
    assert owners(fresh, CONFIGMAP, ".data.Corefile") == ["eksnet-edit"]

    three = {"replicaCount": 3}
    (refused,) = coredns.addon.update(fresh, three, "NONE")
    assert refused.errors == (("ConfigurationConflict", refused.errors[0][1]),)
    assert refused.errors[0][1].endswith("ConfigMap coredns - .data.Corefile")
    assert ("cache 60" in corefile(fresh), replicas(fresh)) == (True, 2)

    assert coredns.addon.update(fresh, three, "PRESERVE")[0].status == "Successful"
    assert ("cache 60" in corefile(fresh), replicas(fresh)) == (True, 3)
    assert owners(fresh, CONFIGMAP, ".data.Corefile") == ["eksnet-edit"]

    assert coredns.addon.update(fresh, three, "OVERWRITE")[0].status == "Successful"
    assert ("cache 60" in corefile(fresh), replicas(fresh)) == (False, 3)
    assert owners(fresh, CONFIGMAP, ".data.Corefile") == ["eks"]

    coredns.addon.remove(fresh, preserve=True)
    assert coredns.addon.describe(fresh)[0].status == "self-managed"
    assert replicas(fresh) == 3


def test_a_reset_takes_values_and_changes_by_hand_back_and_needs_no_add_on(fresh):
    coredns.addon.reset(fresh)
    coredns.addon.install(fresh)
    coredns.addon.update(fresh, {"replicaCount": 3})
    fresh.edit_configmap("coredns", "Corefile", change, SYSTEM)
    for _ in range(2):
        coredns.addon.reset(fresh)
        assert ("cache 60" in corefile(fresh), replicas(fresh)) == (False, 2)
        assert owners(fresh, CONFIGMAP, ".data.Corefile") == ["eks"]
        assert not coredns.addon.describe(fresh)[0].configuration


def test_creating_does_not_take_over_what_somebody_changed(fresh):
    fresh.edit_configmap("coredns", "Corefile", change, SYSTEM)
    (found,) = coredns.addon.install(fresh)
    assert (found.status, found.issues[0][0]) == ("CREATE_FAILED", "ConfigurationConflict")
    assert "cache 60" in corefile(fresh)


def test_an_answered_write_outlives_the_process_and_the_sandbox(fresh):
    coredns.addon.install(fresh)
    eks = fresh.aws("eks")
    asked = eks.update_addon(
        clusterName=fresh.eks_name, addonName="coredns", resolveConflicts="OVERWRITE",
        configurationValues='{"replicaCount": 3}',
    )["update"]["id"]  # fmt: skip
    os.kill(faults.component_pid("aws"), signal.SIGKILL)

    def ended():
        try:
            found = eks.describe_update(name=fresh.eks_name, addonName="coredns", updateId=asked)[
                "update"
            ]
        except (UnreachableError, botocore.exceptions.ClientError):
            return False  # the process is being started again
        return found["status"] == "Successful"

    assert until("the update", ended, 120)
    assert replicas(fresh) == 3
    lifecycle.down()
    lifecycle.up()
    cluster = connect("sandbox")
    assert coredns.addon.describe(cluster)[0].configuration == {"replicaCount": 3}


def test_work_that_down_interrupts_is_done_after_up(fresh):
    coredns.addon.install(fresh)
    named = {"clusterName": fresh.eks_name, "addonName": "coredns"}

    def interrupted():
        lifecycle.down()
        lifecycle.up()
        return connect("sandbox")

    asked = fresh.aws("eks").update_addon(
        **named, resolveConflicts="OVERWRITE", configurationValues='{"replicaCount": 3}'
    )["update"]["id"]
    cluster = interrupted()
    eks = cluster.aws("eks")

    def update():
        return eks.describe_update(name=fresh.eks_name, addonName="coredns", updateId=asked)[
            "update"
        ]

    assert until("the update", lambda: update()["status"] != "InProgress", 120)
    assert (update()["status"], update()["errors"]) == ("Successful", [])
    assert replicas(cluster) == 3
    eks.delete_addon(**named, preserve=True)
    cluster = interrupted()
    eks = cluster.aws("eks")
    listed = eks.list_addons
    assert until("the deletion", lambda: not listed(clusterName=fresh.eks_name)["addons"], 120)
    assert replicas(cluster) == 3


def pods(cluster):
    return {one.name for one in cluster.list("pods", SYSTEM, selector="k8s-app=kube-dns")}


def test_a_corefile_that_coredns_refuses_changes_the_configmap_and_no_pod(fresh):
    coredns.addon.install(fresh)
    before, broken = pods(fresh), corefile(fresh).replace("cache", "cahce")
    (done,) = coredns.addon.update(fresh, {"corefile": broken}, "OVERWRITE")
    assert (done.status, done.errors) == ("Successful", ())
    assert corefile(fresh) == broken
    coredns.wait_for_refusal(fresh)
    assert pods(fresh) == before
    assert coredns.addon.describe(fresh)[0].status == "ACTIVE"
    (answer,) = coredns.ask(fresh, "kubernetes.default.svc.cluster.local")
    assert answer.rcode == "NOERROR"


@pytest.mark.soak
def test_with_new_pods_in_the_same_update_it_fails_and_is_undone(fresh):
    coredns.addon.install(fresh)
    before, text = pods(fresh), corefile(fresh)
    values = {"corefile": text.replace("cache", "cahce"), "podAnnotations": {"example.com/a": "b"}}
    (done,) = coredns.addon.update(fresh, values, "OVERWRITE")
    assert done.status == "Failed"
    assert corefile(fresh) == text
    fresh.rollout_status("deployment/coredns", SYSTEM)
    # One may be missing at a time: the other one never ended, so the DNS answered all along.
    assert len(pods(fresh) & before) == 1
    (answer,) = coredns.ask(fresh, "kubernetes.default.svc.cluster.local")
    assert answer.rcode == "NOERROR"


def test_nobody_gets_in_without_the_keys(cluster):
    found = access()
    assert stat.S_IMODE(found.keys.stat().st_mode) == 0o600
    for path in ("/", "/clusters", "/clusters/workbook/addons", "/moto-api/reset"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{found.endpoint}{path}", timeout=10)
        assert refused.value.code == 403


def test_pods_reach_it_and_are_refused_all_the_same(cluster):
    run = cluster.run("busybox:1.36", "wget -S -O- http://10.0.0.11/clusters || true")
    assert "403 Forbidden" in run.output


def test_its_state_goes_with_a_reset(fresh):
    coredns.addon.install(fresh)
    assert (paths.paths().aws / "eks.json").exists()
    lifecycle.reset()
    assert coredns.addon.describe(connect("sandbox"))[0].status == "self-managed"
