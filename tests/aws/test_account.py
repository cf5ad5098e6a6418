"""AWS clients of a cluster: to its own account alone, and past its guard."""

import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import eksnet
from eksnet.aws import Account, tags
from eksnet.errors import UnreachableError

ELSEWHERE = "AKIAREALLOOKINGKEY00"


class Listener(HTTPServer):
    """Answers every call with an empty object and remembers who asked."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, self.headers["Authorization"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_DELETE = do_GET  # noqa: N815 (the names that http.server calls)

    def log_message(self, *_):
        pass


@pytest.fixture
def listener():
    server = Listener()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def account(listener):
    endpoint = f"http://127.0.0.1:{listener.server_port}"
    return Account(endpoint, "ap-northeast-2", "AKIASANDBOX000000000", "secret", "workbook")


@pytest.fixture
def learners_own(tmp_path, monkeypatch):
    """A learner with AWS set up in every way that boto3 knows."""
    for name in ("credentials", "config"):
        (tmp_path / name).write_text(
            f"[default]\naws_access_key_id = {ELSEWHERE}\naws_secret_access_key = x\n"
            "region = us-east-1\nendpoint_url = http://192.0.2.1\n"
        )
    for name, value in {
        "AWS_ACCESS_KEY_ID": ELSEWHERE,
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_SESSION_TOKEN": "token",
        "AWS_PROFILE": "company",
        "AWS_DEFAULT_PROFILE": "company",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://192.0.2.1",
        "AWS_ENDPOINT_URL_EKS": "http://192.0.2.1",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "HTTP_PROXY": "http://192.0.2.1:3128",
        "http_proxy": "http://192.0.2.1:3128",
    }.items():
        monkeypatch.setenv(name, value)


def free(write):
    return write.parameters


def refuse(write):
    raise PermissionError("not named")


def test_the_learners_own_account_is_never_used(account, listener, learners_own):
    account.client("eks", free).list_clusters()
    ((_, _, authorization),) = listener.seen
    assert "Credential=AKIASANDBOX000000000/" in authorization
    assert "/ap-northeast-2/eks/" in authorization


def test_reading_passes_and_changing_asks_the_guard(account, listener):
    client = account.client("eks", refuse)
    client.list_clusters()
    with pytest.raises(PermissionError, match="not named"):
        client.create_addon(clusterName="workbook", addonName="coredns")
    assert [method for method, _, _ in listener.seen] == ["GET"]


# What the first word of an operation that only reads can be.
READING = {"Describe", "Get", "List", "Lookup", "Search", "Simulate"}


@pytest.mark.parametrize("service", ["acm", "ec2", "eks", "elbv2", "iam", "sts"])
def test_every_operation_but_those_that_read_asks_the_guard(account, service):
    client = account.client(service, refuse)
    model = client.meta.service_model
    passed = set()
    for name in model.operation_names:
        event = f"provide-client-params.{model.service_id.hyphenize()}.{name}"
        try:
            client.meta.events.emit(event, params={}, model=model.operation_model(name), context={})
        except PermissionError:
            continue
        passed.add(name)
    assert {re.match("[A-Z][a-z]+", name)[0] for name in passed} <= READING
    assert len(passed) < len(model.operation_names)


def test_what_is_sent_is_what_the_guard_returns(account, listener):
    asked = []

    def door(write):
        asked.append((write.service, write.operation, write.parameters))
        return {**write.parameters, "addonName": "other"}

    client = account.client("eks", door)
    client.describe_addon(clusterName="workbook", addonName="coredns")
    client.delete_addon(clusterName="workbook", addonName="coredns")
    sent = {"clusterName": "workbook", "addonName": "coredns"}
    assert asked == [("eks", "DeleteAddon", sent)]
    assert [path for _, path, _ in listener.seen] == [
        "/clusters/workbook/addons/coredns", "/clusters/workbook/addons/other",
    ]  # fmt: skip


def test_a_url_that_is_signed_in_advance_asks_the_guard_too(account):
    client = account.client("ec2", refuse)
    client.generate_presigned_url("describe_vpcs")
    with pytest.raises(PermissionError, match="not named"):
        client.generate_presigned_url("delete_vpc", {"VpcId": "vpc-1"})


MARKS = {"eksnet": "course", "eksnet-run": "run-1"}
PAIRS = [{"Key": "eksnet", "Value": "course"}]
ALL = [*PAIRS, {"Key": "eksnet-run", "Value": "run-1"}]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"Tags": PAIRS}, {"Tags": ALL}),
        ({"tags": {"eksnet": "course", "a": "b"}}, {"tags": {**MARKS, "a": "b"}}),
        (
            {"TagSpecifications": [{"ResourceType": "vpc", "Tags": PAIRS}], "Name": "x"},
            {"TagSpecifications": [{"ResourceType": "vpc", "Tags": ALL}], "Name": "x"},
        ),
        # Of another run, or not the course's: it stays so.
        ({"tags": {**MARKS, "eksnet-run": "run-2"}}, {"tags": {**MARKS, "eksnet-run": "run-2"}}),
        (
            {"Tags": [{"Key": "eksnet", "Value": "no"}]},
            {"Tags": [{"Key": "eksnet", "Value": "no"}]},
        ),
        ({"Tags": []}, {"Tags": []}),
        ({"Name": "x"}, {"Name": "x"}),
        # In no form of tags: boto3 says what is wrong.
        ({"Tags": "eksnet"}, {"Tags": "eksnet"}),
        ({"Tags": [1]}, {"Tags": [1]}),
        ({"Tags": [{"key": "eksnet"}]}, {"Tags": [{"key": "eksnet"}]}),
        ({"tags": None, "TagSpecifications": 1}, {"tags": None, "TagSpecifications": 1}),
        ({"TagSpecifications": [None]}, {"TagSpecifications": [None]}),
    ],
)
def test_what_has_the_courses_tag_gets_all_marks(given, sent):
    assert tags.marked(given, lambda: MARKS) == sent


def test_the_secret_is_not_shown(account):
    assert "secret" not in repr(account)
    role = Account("", "r", "ASIA", "secret", "c", session="token", sts="https://sts")
    assert repr(role) == "<Account ASIA at https://sts>"


def test_an_endpoint_that_nobody_serves_is_told(account, listener):
    listener.server_close()
    with pytest.raises(UnreachableError, match=r"EKS did not answer at http://127.0.0.1:1"):
        Account("http://127.0.0.1:1", "r", "k", "s", "c").client("eks", free).list_clusters()


def test_clients_are_made_in_one_place_alone():
    package = Path(eksnet.__file__).parent
    own_side = package / "sandbox" / "aws"
    makers = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if not path.is_relative_to(own_side)
        and re.search(r"\b(import|from) (boto3|botocore)\b", path.read_text())
    }
    assert makers == {"aws/account.py"}
