"""Pods with roles: the webhook, the token and the credentials, on the suite's sandbox."""

import base64
import json
import urllib.request

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config

import eksnet
from eksnet.loadbalancer import controller, uninstall_controller
from eksnet.sandbox.aws.access import access
from eksnet.sandbox.aws.settings import ACCOUNT, issuer
from eksnet.sandbox.vpc import plan
from tests.sandbox.aws.test_iam import allow, policy

pytestmark = pytest.mark.sandbox
SPACE, NAME = "roles", "web"
SUBJECT = f"system:serviceaccount:{SPACE}:{NAME}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/{NAME}"
MOUNTED = "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"
MANIFEST = f"""
{{apiVersion: v1, kind: Namespace, metadata: {{name: {SPACE}}}}}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  {{name: {NAME}, namespace: {SPACE}, annotations: {{eks.amazonaws.com/role-arn: "{ROLE}"}}}}
"""
# An SDK's call from inside the pod, with what every image here has: no key, no signature.
CALL = (
    "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=pod"
    "&RoleArn=$AWS_ROLE_ARN&WebIdentityToken=$(cat $AWS_WEB_IDENTITY_TOKEN_FILE)"
)
ASSUME = f'wget -q -O- --post-data "{CALL}" "$AWS_ENDPOINT_URL"'


@pytest.fixture
def cluster(live_sandbox):
    found = eksnet.connect("sandbox")
    if controller.has_identities(found):
        # Left by another test's lesson: the provider of these tests has the same issuer.
        uninstall_controller(found)
    iam = found.aws("iam")
    found.apply(MANIFEST)
    provider = iam.create_open_id_connect_provider(
        Url=controller.issuer(found), ClientIDList=[controller.AUDIENCE]
    )["OpenIDConnectProviderArn"]
    trust = controller.trust_policy(found, SUBJECT)
    iam.create_role(RoleName=NAME, AssumeRolePolicyDocument=trust)
    document = policy(allow("ec2:DescribeVpcs"))
    iam.put_role_policy(RoleName=NAME, PolicyName="own", PolicyDocument=document)
    yield found
    found.delete(f"namespace/{SPACE}")
    iam.delete_role_policy(RoleName=NAME, PolicyName="own")
    iam.delete_role(RoleName=NAME)
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=provider)


def run(cluster, command, account=NAME):
    spec = {"serviceAccountName": account}
    return cluster.run("busybox:1.36", ["sh", "-c", command], SPACE, spec=spec).output


def part(token, number):
    return json.loads(base64.urlsafe_b64decode(token.split(".")[number] + "=="))


def clients(answer):
    """Return what makes clients with the credentials of STS's answer."""
    import xml.etree.ElementTree as ElementTree

    found = {one.tag.partition("}")[2]: one.text for one in ElementTree.fromstring(answer).iter()}
    return lambda service: boto3.client(
        service, endpoint_url=access().endpoint, region_name="ap-northeast-2",
        aws_access_key_id=found["AccessKeyId"], aws_secret_access_key=found["SecretAccessKey"],
        aws_session_token=found["SessionToken"],
    )  # fmt: skip


def test_a_pod_calls_aws_as_its_role(cluster):
    answer = run(cluster, ASSUME)
    assert f"<SubjectFromWebIdentityToken>{SUBJECT}<" in answer
    own = clients(answer)
    told = own("sts").get_caller_identity()
    assert told["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{NAME}/pod"
    assert own("ec2").describe_vpcs()["Vpcs"]
    with pytest.raises(Exception, match="not authorized to perform: ec2:DescribeSubnets"):
        own("ec2").describe_subnets()


def test_the_pod_has_what_eks_gives_it(cluster):
    lines = run(cluster, "env").splitlines()
    said = dict(line.split("=", 1) for line in lines if line.startswith("AWS_"))
    assert said == {
        "AWS_DEFAULT_REGION": "ap-northeast-2",
        "AWS_ENDPOINT_URL": f"http://{plan().aws}",
        "AWS_ENDPOINT_URL_STS": f"http://{plan().aws}",
        "AWS_REGION": "ap-northeast-2",
        "AWS_ROLE_ARN": ROLE,
        "AWS_STS_REGIONAL_ENDPOINTS": "regional",
        "AWS_WEB_IDENTITY_TOKEN_FILE": MOUNTED,
    }
    claims = json.loads(
        base64.urlsafe_b64decode(run(cluster, f"cat {MOUNTED}").split(".")[1] + "==")
    )
    assert (claims["sub"], claims["aud"]) == (SUBJECT, ["sts.amazonaws.com"])
    assert claims["iss"] == issuer("ap-northeast-2")
    assert claims["exp"] - claims["iat"] == 86400


def test_other_pods_are_as_they_were(cluster):
    assert "AWS_" not in run(cluster, "env", account="default")


def test_the_token_of_another_account_is_not_enough(cluster):
    cluster.apply(MANIFEST.replace(f"name: {NAME}, namespace", "name: other, namespace"))
    answer = run(cluster, f"{ASSUME} || wget --post-data x $AWS_ENDPOINT_URL", account="other")
    assert "403" in answer and "AccessKeyId" not in answer


def test_with_the_token_an_sdk_without_keys_gets_in(cluster):
    sts = boto3.client(
        "sts", endpoint_url=access().endpoint, region_name="ap-northeast-2",
        config=Config(signature_version=UNSIGNED),
    )  # fmt: skip
    text = run(cluster, f"cat {MOUNTED}").strip()
    got = sts.assume_role_with_web_identity(
        RoleArn=ROLE, RoleSessionName="laptop", WebIdentityToken=text, DurationSeconds=900
    )
    assert got["AssumedRoleUser"]["Arn"].endswith("assumed-role/web/laptop")
    head, body, signature = text.split(".")
    forged = f"{head}.{body}.{signature[::-1]}"
    with pytest.raises(Exception, match="InvalidIdentityToken"):
        sts.assume_role_with_web_identity(
            RoleArn=ROLE, RoleSessionName="laptop", WebIdentityToken=forged
        )


def test_the_issuers_keys_are_those_of_the_cluster(cluster):
    head = part(run(cluster, f"cat {MOUNTED}"), 0)
    path = issuer("ap-northeast-2").partition("amazonaws.com")[2]
    with urllib.request.urlopen(f"{access().endpoint}{path}/keys", timeout=30) as answer:
        (key,) = json.load(answer)["keys"]
    assert (head["kid"], head["alg"]) == (key["kid"], key["alg"])


def test_a_webhook_that_was_deleted_comes_back_with_the_next_lesson(cluster):
    eksnet.begin(cluster, "05_lab_hosts")
    cluster.delete("mutatingwebhookconfiguration/pod-identity-webhook")
    assert "AWS_" not in run(cluster, "env")
    (left,) = eksnet.begin(cluster, "05_lab_hosts").left
    assert (left.what, left.done) == ("the webhook for roles of pods", "created")
    assert "AWS_ROLE_ARN" in run(cluster, "env")
