"""Tokens are what botocore's own signer makes, and are renewed in time."""

import base64
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from eksnet.aws import Account
from eksnet.aws.tokens import Tokens, token

NOW = datetime(2026, 3, 1, 23, 59, 30, tzinfo=UTC)
SANDBOX = Account(
    "http://127.0.0.1:20123", "ap-northeast-2", "AKIAEXAMPLE", "a/se+cret", "workbook"
)
STS = "https://sts.us-east-1.amazonaws.com"
REAL = Account("", "us-east-1", "AKIAREAL", "secret", "my_c-1", sts=STS)
ROLE = Account("", "us-east-1", "ASIAROLE", "secret", "my_c-1", session="a/b+c==", sts=STS)


def url_in(text):
    encoded = text.removeprefix("k8s-aws-v1.")
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()


@pytest.mark.parametrize("account", [SANDBOX, REAL, ROLE], ids=["sandbox", "real", "role"])
def test_a_token_is_what_botocore_signs(account, monkeypatch):
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda **_: NOW)
    request = AWSRequest(
        "GET",
        f"{account.sts or account.endpoint}/?Action=GetCallerIdentity&Version=2011-06-15",
        headers={"x-k8s-aws-id": account.cluster},
    )
    credentials = Credentials(account.access_key, account.secret, account.session or None)
    botocore.auth.SigV4QueryAuth(credentials, "sts", account.region, 60).add_auth(request)
    assert parameters(url_in(token(account, NOW).text)) == parameters(request.url)


def parameters(url):
    """Return a URL without the order of its parameters."""
    place, _, query = url.partition("?")
    return place, sorted(query.split("&"))


def test_a_token_is_used_until_its_last_minutes():
    moment = NOW
    tokens = Tokens(lambda: SANDBOX, lambda: moment)
    first = tokens()
    moment = NOW + timedelta(minutes=9)
    assert tokens() == first
    moment = NOW + timedelta(minutes=11)
    assert parse_qs(urlsplit(url_in(tokens())).query)["X-Amz-Date"] == ["20260302T001030Z"]


def test_the_program_of_the_kubeconfig_prints_one(tmp_path):
    keys = tmp_path / "aws.json"
    keys.write_text(json.dumps({"access_key": "AKIAEXAMPLE", "secret": "secret"}))
    words = ["--keys", keys, "--endpoint", "http://127.0.0.1:1", "--region", "r"]
    command = [sys.executable, "-I", "-m", "eksnet.aws.get_token", *words, "--cluster-name", "c"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    credential = json.loads(said.stdout)
    assert credential["kind"] == "ExecCredential"
    assert "AKIAEXAMPLE" in url_in(credential["status"]["token"])
    ends = datetime.fromisoformat(credential["status"]["expirationTimestamp"])
    assert timedelta(minutes=13) < ends - datetime.now(UTC) <= timedelta(minutes=14)


def test_without_keys_the_program_says_what_to_do(tmp_path):
    words = ["--keys", tmp_path / "none", "--endpoint", "http://x", "--region", "r"]
    command = [sys.executable, "-I", "-m", "eksnet.aws.get_token", *words, "--cluster-name", "c"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 2
    assert "eksnet up" in said.stderr and "Traceback" not in said.stderr
