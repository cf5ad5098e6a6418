"""What EKS tells besides: node groups, versions, Pod Identity associations; the rest by name."""

from datetime import UTC, datetime

import pytest

from eksnet import versions
from eksnet.sandbox.aws.eks.clusters import Clusters
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
        ("delete_cluster", {"name": "workbook"}),
        ("list_insights", HERE),
        ("list_fargate_profiles", HERE),
    ],
)
def test_what_is_not_answered_is_refused_by_its_name(eks, call, parameters):
    code, message = refused(getattr(eks, call), **parameters)
    name = "".join(word.capitalize() for word in call.split("_"))
    assert (code, message) == ("InvalidRequestException", f"{name} is not part of this sandbox")
