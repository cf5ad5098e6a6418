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
