"""What EKS tells besides: node groups, versions, Pod Identity associations; the rest by name."""

import threading
from datetime import UTC, datetime

import pytest

from eksnet import versions
from eksnet.sandbox.aws.eks.clusters import Clusters
from eksnet.sandbox.aws.eks.records import Answered, Records, Store
from eksnet.sandbox.aws.settings import ACCOUNT
from tests.sandbox.aws.test_addons import refused

HERE = {"clusterName": "workbook"}
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"


def test_the_node_group(side, eks):
    assert eks.list_nodegroups(**HERE)["nodegroups"] == ["workbook"]
    group = eks.describe_nodegroup(**HERE, nodegroupName="workbook")["nodegroup"]
    assert (group["status"], group["instanceTypes"], group["version"]) == (
        "ACTIVE", ["m5.large"], "1.35",
    )  # fmt: skip
    assert group["subnets"] == list(side.settings.cluster.subnet_ids[-2:])
    assert group["nodeRole"] == f"arn:aws:iam::{ACCOUNT}:role/workbook-node"
    (scaling,) = group["resources"]["autoScalingGroups"]
    assert scaling["name"] == f"eks-workbook-{group['nodegroupArn'].rpartition('/')[2]}"
    assert refused(eks.describe_nodegroup, **HERE, nodegroupName="other") == (
        "ResourceNotFoundException", "No node group found for name: other.",
    )  # fmt: skip


def test_a_cluster_with_a_node_group_stays(eks):
    with pytest.raises(eks.exceptions.ResourceInUseException) as told:
        eks.delete_cluster(name="workbook")
    answer = told.value.response
    assert answer["Error"]["Message"] == "Cluster has nodegroups attached"
    assert (answer["clusterName"], answer["nodegroupName"]) == ("workbook", "workbook")
    assert eks.describe_cluster(name="workbook")["cluster"]["status"] == "ACTIVE"
    assert refused(eks.delete_cluster, name="other")[0] == "ResourceNotFoundException"


def test_the_versions_of_clusters(eks):
    listed = eks.describe_cluster_versions()["clusterVersions"]
    assert [one["clusterVersion"] for one in listed] == ["1.36", "1.35", "1.34", "1.33"]
    (own,) = eks.describe_cluster_versions(defaultOnly=True)["clusterVersions"]
    assert (own["clusterVersion"], own["kubernetesPatchVersion"]) == (
        "1.35", versions.KUBERNETES.removeprefix("v"),
    )  # fmt: skip
    dates = ("releaseDate", "endOfStandardSupportDate", "endOfExtendedSupportDate")
    assert [own[name].astimezone(UTC).strftime("%Y-%m-%d") for name in dates] == [
        "2026-01-27", "2027-03-27", "2028-03-27",
    ]  # fmt: skip
    (one,) = eks.describe_cluster_versions(clusterVersions=["1.33"])["clusterVersions"]
    assert one["releaseDate"].astimezone(UTC).strftime("%Y-%m-%d") == "2025-05-29"
    told = refused(eks.describe_cluster_versions, versionStatus="OLD")
    assert told[0] == "InvalidParameterException"


@pytest.mark.parametrize(
    ("day", "extended"),
    [("2026-07-28", []), ("2026-07-29", ["1.33"]), ("2027-01-01", ["1.34", "1.33"])],
)
def test_what_support_a_version_has_depends_on_the_day(side, day, extended):
    now = datetime.fromisoformat(day).replace(tzinfo=UTC)
    clusters = Clusters(side.settings.cluster, lambda: now)
    for asked in ({"versionStatus": "EXTENDED_SUPPORT"}, {"status": "extended-support"}):
        found = clusters.versions(asked)["clusterVersions"]
        assert [one["clusterVersion"] for one in found] == extended


def test_a_pod_identity_association_is_kept(side, eks):
    created = eks.create_pod_identity_association(
        **HERE, namespace="shop", serviceAccount="web", roleArn=ROLE, tags={"a": "b"}
    )["association"]
    own = {**HERE, "associationId": created["associationId"]}
    assert created["associationArn"].endswith(
        f":podidentityassociation/workbook/{own['associationId']}"
    )
    assert refused(
        eks.create_pod_identity_association, **HERE, namespace="shop", serviceAccount="web",
        roleArn=ROLE,
    )[0] == "ResourceInUseException"  # fmt: skip
    changed = eks.update_pod_identity_association(**own, roleArn=f"{ROLE}-2")["association"]
    assert (changed["roleArn"], changed["tags"]) == (f"{ROLE}-2", {"a": "b"})
    side.stop()
    side.start()
    eks = side.client()
    assert eks.describe_pod_identity_association(**own)["association"]["roleArn"] == f"{ROLE}-2"
    for filters, count in (({}, 1), ({"namespace": "shop"}, 1), ({"serviceAccount": "x"}, 0)):
        listed = eks.list_pod_identity_associations(**HERE, **filters)["associations"]
        assert len(listed) == count
    eks.delete_pod_identity_association(**own)
    assert refused(eks.describe_pod_identity_association, **own)[0] == "ResourceNotFoundException"


def test_what_an_association_cannot_have_here(eks):
    told = refused(
        eks.create_pod_identity_association, **HERE, namespace="shop", serviceAccount="web",
        roleArn=ROLE, targetRoleArn=ROLE,
    )  # fmt: skip
    assert told == ("InvalidParameterException", "targetRoleArn is not part of this sandbox")


@pytest.mark.parametrize(
    ("call", "parameters"),
    [
        (
            "update_cluster_config",
            {"name": "workbook", "accessConfig": {"authenticationMode": "API"}},
        ),
        ("update_nodegroup_config", {**HERE, "nodegroupName": "workbook"}),
        (
            "create_fargate_profile",
            {**HERE, "fargateProfileName": "x", "podExecutionRoleArn": ROLE},
        ),
        ("delete_nodegroup", {**HERE, "nodegroupName": "workbook"}),
        ("list_insights", HERE),
        ("list_fargate_profiles", HERE),
    ],
)
def test_what_is_not_answered_is_refused_by_its_name(eks, call, parameters):
    code, message = refused(getattr(eks, call), **parameters)
    name = "".join(word.capitalize() for word in call.split("_"))
    assert (code, message) == ("InvalidRequestException", f"{name} is not part of this sandbox")


CLUSTER_ROLE = f"arn:aws:iam::{ACCOUNT}:role/workbook-cluster"
ADDON, ENTRY = {"addonName": "coredns"}, {"principalArn": CLUSTER_ROLE}
ASSOCIATION = {"namespace": "shop", "serviceAccount": "web", "roleArn": ROLE}


@pytest.mark.parametrize(
    ("call", "member", "parameters", "other"),
    [
        ("create_addon", "addon", ADDON, {"resolveConflicts": "OVERWRITE"}),
        ("update_addon", "update", ADDON, {"resolveConflicts": "OVERWRITE"}),
        ("create_access_entry", "accessEntry", ENTRY, {"username": "other"}),
        ("update_access_entry", "accessEntry", ENTRY, {"username": "other"}),
        ("create_pod_identity_association", "association", ASSOCIATION, {"tags": {"a": "b"}}),
    ],
)
def test_a_call_that_is_sent_again_gets_the_first_answer(
    side, eks, call, member, parameters, other
):
    if call == "update_addon":
        eks.create_addon(**HERE, **ADDON)
        side.worker.work_once()
    if call == "update_access_entry":
        eks.create_access_entry(**HERE, **ENTRY)
    named = {**HERE, **parameters, "clientRequestToken": "t1"}
    first = getattr(eks, call)(**named)[member]
    side.stop()
    side.start()
    kept = side.records.read_text()
    eks = side.client()
    assert getattr(eks, call)(**named)[member] == first
    assert side.records.read_text() == kept
    code, message = refused(getattr(eks, call), **named, **other)
    assert code == "InvalidParameterException" and "t1 was used for another request" in message


def test_a_refusal_is_not_kept(side, eks):
    named = {**HERE, **ADDON, "clientRequestToken": "t1"}
    assert refused(eks.update_addon, **named)[0] == "ResourceNotFoundException"
    eks.create_addon(**HERE, **ADDON)
    side.worker.work_once()
    assert eks.update_addon(**named)["update"]["status"] == "InProgress"


def test_of_the_answers_the_last_hundred_are_kept():
    records = Records()
    for number in range(101):
        records = records.with_answer(f"t{number}", Answered("CreateAddon", {}, {}))
    assert list(records.answers) == [f"t{number}" for number in range(1, 101)]


def test_who_is_told_of_a_change_sees_it_when_it_is_kept(tmp_path):
    store, seen, asked = Store(tmp_path / "eks.json"), [], threading.Event()

    def look():
        asked.set()
        seen.append(list(store.settled.answers))

    looking = threading.Thread(target=look)
    with store.changing() as outer:
        with store.changing() as draft:
            draft[0] = draft[0].with_answer("t", Answered("CreateAddon", {}, {}))
        looking.start()
        asked.wait()
        assert outer is draft and not store.records.answers
    looking.join()
    assert seen == [["t"]]
