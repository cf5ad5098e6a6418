"""Add-ons through boto3: what EKS answers, what it applies, what it undoes."""

import botocore.exceptions
import pytest

from eksnet import versions
from eksnet.sandbox.aws.eks import work
from eksnet.sandbox.aws.eks.ownership import ApplyError
from tests.sandbox.aws.conftest import configuration

COREDNS = {"clusterName": "workbook", "addonName": "coredns"}
NEWEST = f"{versions.COREDNS}-eksbuild.3"
COREFILE = {"kind": "ConfigMap", "field": ".data.Corefile"}


def refused(call, **parameters):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(**parameters)
    told = error.value.response["Error"]
    return told["Code"], told["Message"]


def installed(side, eks, **more):
    eks.create_addon(**COREDNS, **more)
    side.worker.work_once()
    return eks.describe_addon(**COREDNS)["addon"]


def updated(side, eks, **more):
    update = eks.update_addon(**COREDNS, **more)["update"]
    side.worker.work_once()
    return eks.describe_update(name="workbook", addonName="coredns", updateId=update["id"])[
        "update"
    ]


def corefile(side):
    return side.cluster.objects["ConfigMap", "coredns"]["data"]["Corefile"]


def test_the_cluster_is_described(eks):
    assert eks.list_clusters()["clusters"] == ["workbook"]
    cluster = eks.describe_cluster(name="workbook")["cluster"]
    assert (cluster["status"], cluster["version"]) == ("ACTIVE", "1.35")
    assert cluster["resourcesVpcConfig"]["clusterSecurityGroupId"].startswith("sg-")
    issuer = cluster["identity"]["oidc"]["issuer"]
    assert issuer == f"https://oidc.eks.ap-northeast-2.amazonaws.com/id/{'0' * 31}1"
    code, message = refused(eks.describe_cluster, name="other")
    assert (code, message) == ("ResourceNotFoundException", "No cluster found for name: other.")


def test_who_calls(side):
    arn = side.client("sts").get_caller_identity()["Arn"]
    assert arn == "arn:aws:iam::111122223333:user/learner"


@pytest.mark.parametrize(
    ("service", "call", "unknown", "wrong"),
    [
        ("eks", "list_clusters", "UnrecognizedClientException", "InvalidSignatureException"),
        ("sts", "get_caller_identity", "InvalidClientTokenId", "SignatureDoesNotMatch"),
        ("ec2", "describe_vpcs", "AuthFailure", "AuthFailure"),
        ("elbv2", "describe_load_balancers", "InvalidClientTokenId", "SignatureDoesNotMatch"),
        ("acm", "list_certificates", "UnrecognizedClientException", "InvalidSignatureException"),
    ],
)
def test_wrong_keys_are_refused_in_each_services_words(side, service, call, unknown, wrong):
    assert refused(getattr(side.client(service, key="AKIAUNKNOWN"), call))[0] == unknown
    assert refused(getattr(side.client(service, secret="wrong"), call))[0] == wrong


def test_versions_and_schema(eks):
    (addon,) = eks.describe_addon_versions(addonName="coredns")["addons"]
    versions = [one["addonVersion"] for one in addon["addonVersions"]]
    assert versions == [NEWEST]
    schema = eks.describe_addon_configuration(addonName="coredns", addonVersion=versions[0])
    assert '"corefile"' in schema["configurationSchema"]


def test_an_addon_is_created_described_listed_and_deleted(side, eks):
    created = eks.create_addon(**COREDNS)["addon"]
    assert created["status"] == "CREATING"
    assert refused(eks.delete_addon, **COREDNS)[0] == "ResourceInUseException"
    side.worker.work_once()
    addon = eks.describe_addon(**COREDNS)["addon"]
    assert (addon["status"], addon["addonVersion"]) == ("ACTIVE", NEWEST)
    assert eks.list_addons(clusterName="workbook")["addons"] == ["coredns"]
    assert refused(eks.create_addon, **COREDNS) == (
        "ResourceInUseException", "Addon already exists.",
    )  # fmt: skip
    eks.delete_addon(**COREDNS)
    side.worker.work_once()
    assert refused(eks.describe_addon, **COREDNS) == (
        "ResourceNotFoundException", "No addon: coredns found in cluster: workbook",
    )  # fmt: skip
    assert side.cluster.objects == {}


def test_deleting_with_preserve_leaves_the_software(side, eks):
    installed(side, eks)
    before = dict(side.cluster.objects)
    eks.delete_addon(**COREDNS, preserve=True)
    side.worker.work_once()
    assert eks.list_addons(clusterName="workbook")["addons"] == []
    assert side.cluster.objects == before


def test_a_deletion_that_the_api_server_refuses_is_told_and_may_be_asked_for_again(
    side, eks, monkeypatch
):
    installed(side, eks)

    def refuse(one):
        raise ApplyError(0, "no answer")

    with monkeypatch.context() as refusing:
        refusing.setattr(work, "REACH_LIMIT", 0)
        refusing.setattr(side.cluster, "delete", refuse)
        eks.delete_addon(**COREDNS)
        side.worker.work_once()
    addon = eks.describe_addon(**COREDNS)["addon"]
    assert addon["status"] == "DELETE_FAILED"
    assert addon["health"]["issues"][0]["code"] == "ClusterUnreachable"
    eks.delete_addon(**COREDNS)
    side.worker.work_once()
    assert eks.list_addons(clusterName="workbook")["addons"] == []
    assert side.cluster.objects == {}


def test_values_reach_the_objects(side, eks):
    values = configuration(
        replicaCount=3,
        corefile=". {\n}\n",
        resources={"limits": {"memory": "200Mi"}},
        podDisruptionBudget={"enabled": True, "minAvailable": 1},
        podAnnotations={"a": "b"},
        nodeSelector={"disk": "ssd"},
        computeType="Fargate",
    )
    addon = installed(side, eks, configurationValues=values)
    assert addon["configurationValues"] == values
    spec = side.cluster.objects["Deployment", "coredns"]["spec"]
    assert spec["replicas"] == 3
    assert spec["template"]["spec"]["nodeSelector"] == {"disk": "ssd"}
    assert spec["template"]["spec"]["containers"][0]["resources"] == {"limits": {"memory": "200Mi"}}
    assert spec["template"]["metadata"]["annotations"] == {
        "a": "b", "eks.amazonaws.com/compute-type": "fargate",
    }  # fmt: skip
    budget = side.cluster.objects["PodDisruptionBudget", "coredns"]["spec"]
    assert budget["minAvailable"] == 1 and "maxUnavailable" not in budget
    assert corefile(side) == ". {\n}\n"


def test_a_value_that_is_taken_back_takes_its_object_back(side, eks):
    installed(side, eks)
    disabled = configuration(podDisruptionBudget={"enabled": False})
    updated(side, eks, configurationValues=disabled)
    assert ("PodDisruptionBudget", "coredns") not in side.cluster.objects
    updated(side, eks, configurationValues="")
    assert ("PodDisruptionBudget", "coredns") in side.cluster.objects


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (
            '{"autoscaling": {"enabled": true}}',
            "$.autoscaling: is not defined in the schema and the schema does not allow "
            "additional properties",
        ),
        ('{"replicaCount": "two"}', "$.replicaCount: string found, integer expected"),
        ('{"autoScaling": {}}', "$.autoScaling.enabled: is missing but it is required"),
        (
            '{"autoScaling": {"enabled": true, "minReplicas": 1}}',
            "$.autoScaling.minReplicas: must have a minimum value of 2",
        ),
        (
            '{"autoScaling": {"enabled": true, "nodesPerReplica": 8}}',
            "$.autoScaling.nodesPerReplica: is not defined in the schema and the schema does not "
            "allow additional properties",
        ),
    ],
)
def test_values_that_the_schema_does_not_allow(side, eks, values, problem):
    code, message = refused(eks.create_addon, **COREDNS, configurationValues=values)
    assert code == "InvalidParameterException"
    assert message.endswith(f"Json schema validation failed with error: [{problem}]")
    assert eks.list_addons(clusterName="workbook")["addons"] == []


def test_yaml_is_accepted_and_what_is_neither_is_not(side, eks):
    installed(side, eks, configurationValues="replicaCount: 4\n")
    assert side.cluster.objects["Deployment", "coredns"]["spec"]["replicas"] == 4
    for text in ("[", "- a", "just text"):
        code, message = refused(eks.update_addon, **COREDNS, configurationValues=text)
        assert code == "InvalidParameterException" and "JSON or YAML" in message


@pytest.mark.parametrize("mode", ["NONE", "PRESERVE"])
def test_creating_does_not_overwrite_what_is_self_managed(side, eks, mode):
    side.cluster.conflicts = [COREFILE]
    addon = installed(side, eks, resolveConflicts=mode)
    (issue,) = addon["health"]["issues"]
    assert (addon["status"], issue["code"]) == ("CREATE_FAILED", "ConfigurationConflict")
    assert issue["message"].endswith("Conflicts:\nConfigMap coredns - .data.Corefile")
    assert side.cluster.objects == {}


def test_creating_with_overwrite_takes_over(side, eks):
    side.cluster.conflicts = [COREFILE]
    assert installed(side, eks, resolveConflicts="OVERWRITE")["status"] == "ACTIVE"
    assert "kubernetes cluster.local" in corefile(side)


@pytest.mark.parametrize("mode", [{"resolveConflicts": "NONE"}, {}])
def test_an_update_without_a_word_on_conflicts_stops_at_one(side, eks, mode):
    installed(side, eks)
    side.cluster.conflicts = [COREFILE]
    update = updated(side, eks, configurationValues=configuration(replicaCount=3), **mode)
    assert update["status"] == "Failed"
    assert update["errors"][0]["errorCode"] == "ConfigurationConflict"
    addon = eks.describe_addon(**COREDNS)["addon"]
    assert addon["status"] == "UPDATE_FAILED" and "configurationValues" not in addon
    assert side.cluster.objects["Deployment", "coredns"]["spec"]["replicas"] == 2


def test_an_update_that_preserves_leaves_the_field_and_changes_the_rest(side, eks):
    installed(side, eks)
    side.cluster.conflicts = [COREFILE]
    values = configuration(replicaCount=3)
    update = updated(side, eks, configurationValues=values, resolveConflicts="PRESERVE")
    assert update["status"] == "Successful"
    assert side.cluster.objects["Deployment", "coredns"]["spec"]["replicas"] == 3
    assert "Corefile" not in side.cluster.objects["ConfigMap", "coredns"]["data"]


def test_an_update_that_overwrites_takes_over(side, eks):
    installed(side, eks)
    side.cluster.conflicts = [COREFILE]
    assert updated(side, eks, resolveConflicts="OVERWRITE")["status"] == "Successful"
    assert "kubernetes cluster.local" in corefile(side)


def test_a_roll_out_that_hangs_is_undone(side, eks, monkeypatch):
    installed(side, eks)
    monkeypatch.setattr(work, "ROLL_LIMIT", 0)
    side.cluster.waits = "Deployment coredns: 1 of 3 pods available, 3 of them new"
    update = updated(side, eks, configurationValues=configuration(replicaCount=3))
    assert update["errors"][0]["errorCode"] == "InsufficientNumberOfReplicas"
    assert side.cluster.objects["Deployment", "coredns"]["spec"]["replicas"] == 2


@pytest.mark.parametrize(("mode", "kept"), [("PRESERVE", True), ("OVERWRITE", False)])
def test_what_is_undone_leaves_what_the_update_left(side, eks, monkeypatch, mode, kept):
    installed(side, eks)
    side.cluster.conflicts = [COREFILE]
    side.cluster.objects["ConfigMap", "coredns"]["data"]["Corefile"] = "by hand"
    monkeypatch.setattr(work, "ROLL_LIMIT", 0)
    side.cluster.waits = "Deployment coredns: 1 of 2 pods available, 2 of them new"
    values = configuration(replicaCount=3, nodeSelector={"no": "where"})
    update = updated(side, eks, configurationValues=values, resolveConflicts=mode)
    assert update["status"] == "Failed"
    assert side.cluster.objects["Deployment", "coredns"]["spec"]["replicas"] == 2
    # Who sends no Corefile leaves that which is there.
    assert (
        "kubernetes cluster.local" not in str(side.cluster.objects["ConfigMap", "coredns"])
    ) == (kept)


def test_an_addon_that_lacks_pods_is_degraded(side, eks):
    installed(side, eks)
    side.cluster.waits = "Deployment coredns: 0 of 2 pods available, 2 of them new"
    addon = eks.describe_addon(**COREDNS)["addon"]
    assert addon["status"] == "DEGRADED"
    assert addon["health"]["issues"][0]["code"] == "InsufficientNumberOfReplicas"
    side.cluster.waits = ""
    assert eks.describe_addon(**COREDNS)["addon"]["status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("status", "code"),
    [(0, "ClusterUnreachable"), (403, "AccessDenied"), (422, "AdmissionRequestDenied")],
)
def test_what_the_api_server_refuses_is_told(side, eks, monkeypatch, status, code):
    monkeypatch.setattr(work, "REACH_LIMIT", 0)
    side.cluster.status = status
    assert installed(side, eks)["health"]["issues"][0]["code"] == code


def test_two_updates_at_once(side, eks):
    installed(side, eks)
    eks.update_addon(**COREDNS)
    assert refused(eks.update_addon, **COREDNS)[0] == "ResourceInUseException"


def test_unknown_names(eks):
    wrong = {"clusterName": "workbook", "addonName": "nothing"}
    assert refused(eks.create_addon, **wrong)[0] == "InvalidParameterException"
    code, message = refused(eks.create_addon, **COREDNS, addonVersion="v9")
    assert code == "InvalidParameterException" and f"[{NEWEST}]" in message
    assert refused(eks.describe_addon, **wrong)[0] == "ResourceNotFoundException"


def test_an_update_goes_on_after_the_process_was_ended(side, eks):
    installed(side, eks)
    update = eks.update_addon(**COREDNS, configurationValues=configuration(replicaCount=5))
    side.stop()
    side.start()
    eks = side.client()
    assert eks.describe_addon(**COREDNS)["addon"]["status"] == "UPDATING"
    side.worker.work_once()
    found = eks.describe_update(
        name="workbook", addonName="coredns", updateId=update["update"]["id"]
    )
    assert found["update"]["status"] == "Successful"
    assert side.cluster.objects["Deployment", "coredns"]["spec"]["replicas"] == 5


# The process goes on as soon as it runs: the API server starts beside it and may answer later.
@pytest.mark.parametrize("away", [1, 3, 7])
def test_work_waits_for_an_api_server_that_does_not_answer_yet(side, eks, monkeypatch, away):
    monkeypatch.setattr(work, "_POLL", 0)
    side.cluster.away = away
    assert installed(side, eks)["status"] == "ACTIVE"
    side.cluster.away = away
    found = updated(side, eks, configurationValues=configuration(replicaCount=5))
    assert (found["status"], found["errors"]) == ("Successful", [])
    assert side.cluster.objects["Deployment", "coredns"]["spec"]["replicas"] == 5
    eks.delete_addon(**COREDNS)
    side.cluster.away = away
    side.worker.work_once()
    assert eks.list_addons(clusterName="workbook")["addons"] == []
    assert side.cluster.objects == {}


@pytest.mark.parametrize(
    "said",
    [
        {"serviceAccountRoleArn": "arn:aws:iam::111122223333:role/workbook-node"},
        {
            "podIdentityAssociations": [
                {"serviceAccount": "coredns", "roleArn": "arn:aws:iam::111122223333:role/a"}
            ]
        },
        {"namespaceConfig": {"namespace": "other"}},
    ],
    ids=lambda said: next(iter(said)),
)
def test_what_would_change_nothing_here_is_refused_by_name(eks, said):
    (name,) = said
    assert refused(eks.create_addon, **COREDNS, **said) == (
        "InvalidParameterException", f"{name} is not part of this sandbox",
    )  # fmt: skip
    assert eks.list_addons(clusterName="workbook")["addons"] == []


def test_a_body_of_two_megabytes_is_refused(eks):
    text = configuration(corefile="#" * 2 * 2**20)
    code, _ = refused(eks.create_addon, **COREDNS, configurationValues=text)
    assert code == "RequestEntityTooLarge"


def workload(side, name):
    return side.cluster.objects["DaemonSet", name]["spec"]["template"]["spec"]["containers"][0]


@pytest.mark.parametrize(
    ("addon", "daemonset", "image"),
    [("kube-proxy", "kube-proxy", "eks/kube-proxy"), ("vpc-cni", "aws-node", "amazon-k8s-cni")],
)
def test_the_other_two_addons_change_their_version(side, eks, addon, daemonset, image):
    own = {"clusterName": "workbook", "addonName": addon}
    (offered,) = eks.describe_addon_versions(addonName=addon)["addons"]
    newest, *older = [one["addonVersion"] for one in offered["addonVersions"]]
    registry = "602401143452.dkr.ecr.ap-northeast-2.amazonaws.com"
    eks.create_addon(**own)
    side.worker.work_once()
    assert eks.list_addons(clusterName="workbook")["addons"] == [addon]
    assert eks.describe_addon(**own)["addon"]["addonVersion"] == newest
    assert workload(side, daemonset)["image"] == f"{registry}/{image}:{newest}"
    update = eks.update_addon(**own, addonVersion=older[0])["update"]["id"]
    side.worker.work_once()
    told = eks.describe_update(name="workbook", addonName=addon, updateId=update)["update"]
    assert told["status"] == "Successful"
    assert workload(side, daemonset)["image"] == f"{registry}/{image}:{older[0]}"
    assert eks.describe_addon(**own)["addon"]["addonVersion"] == older[0]
    code, message = refused(eks.update_addon, **own, configurationValues='{"a": 1}')
    assert (code, "$.a: is not defined" in message) == ("InvalidParameterException", True)
    eks.delete_addon(**own)
    side.worker.work_once()
    assert side.cluster.objects == {}
