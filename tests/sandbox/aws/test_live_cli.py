"""The AWS CLI and kubectl, unmodified, in a shell that ran `eksnet env`."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from eksnet.sandbox import build, paths
from eksnet.sandbox.aws.settings import ACCOUNT

pytestmark = pytest.mark.sandbox
# In an environment of its own, kept between runs: it wants a botocore of its own.
AWS_CLI = "1.46.3"
ELSEWHERE = {
    "AWS_PROFILE": "company", "AWS_SESSION_TOKEN": "token", "AWS_ACCESS_KEY_ID": "AKIAREAL",
    "AWS_SECRET_ACCESS_KEY": "real", "AWS_ENDPOINT_URL_STS": "http://192.0.2.1",
    "AWS_DEFAULT_REGION": "us-east-1", "AWS_CONFIG_FILE": "/dev/null",
}  # fmt: skip
CLUSTER_ARN = f"arn:aws:eks:ap-northeast-2:{ACCOUNT}:cluster/workbook"


@pytest.fixture(scope="session")
def aws_cli():
    """The directory with the AWS CLI of this version."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = cache / "eksnet" / "tests" / f"awscli-{AWS_CLI}"
    if not (home / "bin" / "aws").exists():
        uv = shutil.which("uv")
        assert uv
        own = {
            **os.environ, "UV_TOOL_DIR": str(home / "tools"), "UV_TOOL_BIN_DIR": str(home / "bin")
        }  # fmt: skip
        subprocess.run(
            [uv, "tool", "install", "--quiet", f"awscli=={AWS_CLI}"], env=own, check=True
        )
    return home / "bin"


@pytest.fixture
def shell(live_sandbox, aws_cli, tmp_path):
    """A learner's shell, with an AWS account of its own before; returns what a script prints."""
    own = paths.paths().own_kubeconfig
    programs = f"{aws_cli}:{build.program('kubectl').parent}:{os.environ['PATH']}"

    def run(script, code=0):
        done = subprocess.run(
            ["sh", "-c", f'eval "$({sys.executable} -m eksnet.cli env)"; {script}'],
            env={**os.environ, **ELSEWHERE, "PATH": programs, "HOME": str(tmp_path)},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + (done.stderr if code else "")

    yield run
    own.unlink(missing_ok=True)


def test_who_i_am_and_what_the_cluster_is(shell):
    said = json.loads(shell("aws sts get-caller-identity"))
    assert said["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/learner"
    cluster = json.loads(shell("aws eks describe-cluster --name workbook"))["cluster"]
    assert (cluster["arn"], cluster["status"]) == (CLUSTER_ARN, "ACTIVE")
    listed = json.loads(shell("aws eks list-access-policies"))["accessPolicies"]
    assert len(listed) == 4
    told = shell("aws eks describe-cluster --name other", code=255)
    assert "No cluster found for name: other." in told


def test_its_kubeconfig_opens_the_cluster_and_leaves_ours_alone(shell, live_sandbox):
    before = live_sandbox.kubeconfig.read_bytes()
    said = shell(
        "aws eks update-kubeconfig --name workbook && kubectl config current-context && "
        "kubectl auth whoami -o jsonpath='{.status.userInfo.username}' && echo && "
        "kubectl get nodes --output=name"
    ).splitlines()
    assert said[1:3] == [CLUSTER_ARN, f"arn:aws:iam::{ACCOUNT}:user/learner"]
    assert len(said[3:]) == 2
    assert live_sandbox.kubeconfig.read_bytes() == before
    own = paths.paths().own_kubeconfig.read_text()
    assert "get-token" in own and "workbook" in own


def test_its_token_opens_the_cluster_and_another_clusters_does_not(shell, live_sandbox):
    script = (
        "token=$(aws eks get-token --cluster-name {} --query status.token --output text); "
        "kubectl --kubeconfig {} --token $token get namespace kube-system --output=name"
    )
    bare = json.loads(live_sandbox.kubeconfig.read_text())
    bare["users"] = [{"name": "learner", "user": {}}]
    file = live_sandbox.kubeconfig.with_name("bare.kubeconfig")
    file.write_text(json.dumps(bare))
    try:
        assert shell(script.format("workbook", file)).strip() == "namespace/kube-system"
        assert "must be logged in" in shell(script.format("other", file), code=1)
    finally:
        file.unlink()


def test_the_undo_gives_the_shell_back(shell):
    undo = f'eval "$({sys.executable} -m eksnet.cli env --undo)"'
    said = shell(f"{undo}; echo $AWS_PROFILE $AWS_ACCESS_KEY_ID $AWS_DEFAULT_REGION; env")
    assert said.splitlines()[0] == "company AKIAREAL us-east-1"
    assert "EKSNET_UNDO" not in said and "AWS_ENDPOINT_URL=" not in said


# Other users and roles than the learner.

ANN, OPS = f"arn:aws:iam::{ACCOUNT}:user/team/ann", f"arn:aws:iam::{ACCOUNT}:role/team/ops"
HERE = {"clusterName": "workbook"}
VIEW = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
MAY = {"Effect": "Allow", "Action": ["eks:DescribeCluster", "sts:AssumeRole"], "Resource": "*"}
TRUST = {"Effect": "Allow", "Principal": {"AWS": ANN}, "Action": "sts:AssumeRole"}


def document(statement):
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


@pytest.fixture
def iam(cluster):
    """IAM with a user ann, who may assume a role ops; both gone afterwards, with their entries."""
    iam, eks = cluster.aws("iam"), cluster.aws("eks")
    iam.create_user(UserName="ann", Path="/team/")
    iam.put_user_policy(UserName="ann", PolicyName="may", PolicyDocument=document(MAY))
    iam.create_role(RoleName="ops", Path="/team/", AssumeRolePolicyDocument=document(TRUST))
    yield iam
    for principal in {ANN, OPS} & set(eks.list_access_entries(**HERE)["accessEntries"]):
        eks.delete_access_entry(**HERE, principalArn=principal)
    remove_ann(iam)
    iam.delete_role(RoleName="ops")


def remove_ann(iam):
    for key in iam.list_access_keys(UserName="ann")["AccessKeyMetadata"]:
        iam.delete_access_key(UserName="ann", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="ann", PolicyName="may")
    iam.delete_user(UserName="ann")


def keys_of_ann(iam):
    """Return the lines that give a shell a new access key of ann."""
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    return (
        f"export AWS_ACCESS_KEY_ID={key['AccessKeyId']}"
        f" AWS_SECRET_ACCESS_KEY={key['SecretAccessKey']}; "
    )


WHOAMI = "kubectl auth whoami -o jsonpath='{.status.userInfo.username}'"
LISTS = "kubectl get pods --output=name -n "


def test_a_user_with_an_entry_may_what_its_policies_say(shell, iam, cluster):
    eks, ann = cluster.aws("eks"), keys_of_ann(iam)
    ready = f"{ann} aws eks update-kubeconfig --name workbook >/dev/null; "
    assert "must be logged in" in shell(f"{ready} {WHOAMI}", code=1)
    eks.create_access_entry(**HERE, principalArn=ANN)
    eks.associate_access_policy(
        **HERE, principalArn=ANN, policyArn=VIEW,
        accessScope={"type": "namespace", "namespaces": ["kube-*"]},
    )  # fmt: skip
    # The API server may still believe what it was told a moment ago: another key is another token.
    ready = f"{keys_of_ann(iam)} aws eks update-kubeconfig --name workbook >/dev/null; "
    assert shell(f"{ready} {WHOAMI}") == ANN
    assert "pod/coredns-" in shell(f"{ready} {LISTS} kube-system")
    assert "pods is forbidden" in shell(f"{ready} {LISTS} default", code=1)
    told = shell(f"{ready} kubectl delete pods --all -n kube-system", code=1)
    assert "cannot deletecollection" in told or "cannot delete" in told
    assert "AccessDeniedException" in shell(f"{ready} aws eks list-clusters", code=255)


def test_a_session_of_a_role_is_named_as_on_eks(shell, iam, cluster):
    eks, ann = cluster.aws("eks"), keys_of_ann(iam)
    eks.create_access_entry(**HERE, principalArn=OPS, kubernetesGroups=["ops"])
    script = (
        f"{ann} aws eks update-kubeconfig --name workbook --role-arn {OPS} >/dev/null; "
        "kubectl auth whoami -o json"
    )
    user = json.loads(shell(script))["status"]["userInfo"]
    assert user["username"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/ops/EKSGetTokenAuth"
    assert user["groups"] == ["ops", "system:authenticated"]
    assert user["extra"]["canonicalArn"] == [f"arn:aws:iam::{ACCOUNT}:role/ops"]


def test_another_user_of_the_same_name_is_somebody_else(shell, iam, cluster):
    cluster.aws("eks").create_access_entry(**HERE, principalArn=ANN)
    asks = f"aws eks update-kubeconfig --name workbook >/dev/null; {WHOAMI}"
    assert shell(keys_of_ann(iam) + asks) == ANN
    remove_ann(iam)
    iam.create_user(UserName="ann", Path="/team/")
    iam.put_user_policy(UserName="ann", PolicyName="may", PolicyDocument=document(MAY))
    assert "must be logged in" in shell(keys_of_ann(iam) + asks, code=1)


def test_a_principal_that_iam_does_not_know_gets_no_entry(cluster):
    eks = cluster.aws("eks")
    with pytest.raises(eks.exceptions.InvalidParameterException, match="invalid principal"):
        eks.create_access_entry(**HERE, principalArn=f"{ANN}-nobody")
