"""Who signed a token, what EKS calls whom, and what access policies allow."""

import base64
import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from eksnet.aws import Account
from eksnet.aws.tokens import token
from eksnet.sandbox.aws.eks import access_policies, tokens
from eksnet.sandbox.aws.eks.access import generated
from eksnet.sandbox.aws.eks.access_policies import Asked, allows, arn, asked
from eksnet.sandbox.aws.eks.authenticator import Authenticator
from eksnet.sandbox.aws.eks.records import AccessEntry
from eksnet.sandbox.aws.eks.tokens import Identity, TokenError, presigned
from eksnet.sandbox.aws.principals import Principal
from eksnet.sandbox.aws.settings import ACCOUNT
from eksnet.sandbox.aws.signatures import Secret

LEARNER = f"arn:aws:iam::{ACCOUNT}:user/learner"
ORIGIN = "http://127.0.0.1:20123"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def ask(application, path, spec, method="POST"):
    """Send a review as the API server does; return its status line and the answer."""
    body = json.dumps({"apiVersion": "v1", "kind": "Review", "spec": spec}).encode()
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    seen = []
    answer = b"".join(application(environ, lambda status, _: seen.append(status)))
    return seen[0], json.loads(answer) if answer else None


def account_of(side, **changes):
    said = {
        "endpoint": side.url, "region": "ap-northeast-2", "access_key": side.keys.access_key,
        "secret": side.keys.secret, "cluster": "workbook",
    }  # fmt: skip
    return Account(**{**said, **changes})


def made(side, minutes=0, **changes):
    return token(account_of(side, **changes), datetime.now(UTC) + timedelta(minutes=minutes)).text


def review(side, text):
    status, answer = ask(side.side.authenticator, "/authenticate", {"token": text})
    assert status == "200 OK"
    return answer["status"]


def changed(text, old, new):
    encoded = text.removeprefix(tokens.PREFIX)
    url = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    assert old in url
    return encode(url.replace(old, new))


def encode(url):
    return tokens.PREFIX + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


# Tokens.


def test_the_learner_is_known_as_on_eks(side):
    status = review(side, made(side))
    assert status["authenticated"] is True
    user = status["user"]
    assert (user["username"], user["groups"]) == (LEARNER, [])
    principal = "AIDA" + side.keys.access_key[4:]
    assert user["uid"] == f"aws-iam-authenticator:{ACCOUNT}:{principal}"
    assert user["extra"] == {
        "accessKeyId": [side.keys.access_key],
        "arn": [LEARNER],
        "canonicalArn": [LEARNER],
        "principalId": [principal],
        "sessionName": [""],
        "sigs.k8s.io/aws-iam-authenticator/principalId": [principal],
    }


def test_the_same_bytes_are_accepted_again_within_their_time(side):
    text = made(side, minutes=-14)
    assert [review(side, text)["authenticated"] for _ in range(2)] == [True, True]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"minutes": -16}, "Signature expired"),
        ({"minutes": 6}, "Signature not yet current"),
        ({"cluster": "other"}, "does not match"),
        ({"secret": "wrong"}, "does not match"),
        ({"access_key": "AKIAUNKNOWN"}, "security token included in the request is invalid"),
        ({"endpoint": "http://192.0.2.1"}, "not an address of STS"),
        ({"endpoint": "https://sts.amazonaws.com.example.com"}, "not an address of STS"),
    ],
)
def test_another_token_is_refused(side, capfd, changes, reason):
    status = review(side, made(side, **changes))
    assert status["authenticated"] is False
    assert reason in status["error"]
    assert "access denied: " in capfd.readouterr().err


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/?Action", "/other?Action"),
        ("GetCallerIdentity", "GetSessionToken"),
        ("X-Amz-Expires=60", "X-Amz-Expires=61"),
        ("ap-northeast-2", "us-east-1"),
        ("127.0.0.1", "localhost"),
        ("host%3Bx-k8s-aws-id", "host"),
        ("X-Amz-Date=20", "X-Amz-Date=19"),
    ],
)
def test_a_token_that_was_changed_is_refused(side, old, new):
    assert review(side, changed(made(side), old, new))["authenticated"] is False


def test_no_token_of_another_kind_opens_the_cluster(side):
    for text in ("", "abc", "eyJhbGciOi.e30.x", "k8s-aws-v1.", "k8s-aws-v1.%%%", "k8s-aws-v1.é"):
        assert review(side, text)["authenticated"] is False


QUERY = (
    "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIA%2F20260301%2Fr%2Fsts%2Faws4_request&X-Amz-Date=20260301T000000Z"
    "&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Signature=00"
)


def test_what_a_token_holds():
    found = presigned(encode(f"{ORIGIN}/?{QUERY}"), [ORIGIN])
    assert (found.host, found.query, found.access_key) == ("127.0.0.1:20123", QUERY, "AKIA")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"http://192.0.2.1/?{QUERY}", "not an address of STS"),
        (f"https://127.0.0.1:20123/?{QUERY}", "not an address of STS"),
        (f"http://u@127.0.0.1:20123/?{QUERY}", "not an address of STS"),
        (f"{ORIGIN}?{QUERY}", "not an address of STS"),
        (f"{ORIGIN}/x?{QUERY}", "not an address of STS"),
        (f"{ORIGIN}/?{QUERY}#x", "not an address of STS"),
        ("http://[", "no URL"),
        (f"{ORIGIN}/?{QUERY}&X=1", "parameters too many: x"),
        (f"{ORIGIN}/?{QUERY}&action=GetCallerIdentity", "one twice"),
        (f"{ORIGIN}/?{QUERY.replace('GetCallerIdentity', 'AssumeRole')}", "AssumeRole"),
        (f"{ORIGIN}/?{QUERY.replace('%3Bx-k8s-aws-id', '')}", "x-k8s-aws-id is not signed"),
        (f"{ORIGIN}/?{QUERY.replace('Expires=60', 'Expires=901')}", "at most 900"),
        (f"{ORIGIN}/?{QUERY.replace('Expires=60', 'Expires=-1')}", "at most 900"),
        (f"{ORIGIN}/?{QUERY.replace('Expires=60', 'Expires=')}", "at most 900"),
        (f"{ORIGIN}/?{QUERY.replace('Credential=AKIA', 'C=AKIA')}", "x-amz-c"),
        (f"{ORIGIN}/?{QUERY}{'A' * 5000}", "at most 4096"),
    ],
)
def test_what_is_no_token(url, reason):
    with pytest.raises(TokenError, match=reason):
        presigned(encode(url), [ORIGIN])


# Names.


@pytest.mark.parametrize(
    ("principal", "username"),
    [
        (f"arn:aws:iam::{ACCOUNT}:user/ann", f"arn:aws:iam::{ACCOUNT}:user/ann"),
        (f"arn:aws:iam::{ACCOUNT}:user/team/ann", f"arn:aws:iam::{ACCOUNT}:user/team/ann"),
        (
            f"arn:aws:iam::{ACCOUNT}:role/ops",
            f"arn:aws:sts::{ACCOUNT}:assumed-role/ops/{{{{SessionName}}}}",
        ),
        (
            f"arn:aws:iam::{ACCOUNT}:role/teams/tooling/ops",
            f"arn:aws:sts::{ACCOUNT}:assumed-role/ops/{{{{SessionName}}}}",
        ),
    ],
)
def test_the_username_that_eks_gives(principal, username):
    assert generated(principal) == username


@pytest.mark.parametrize(
    ("template", "username"),
    [
        (
            "arn:aws:sts::1:assumed-role/ops/{{SessionName}}",
            "arn:aws:sts::1:assumed-role/ops/a-b.c",
        ),
        ("ops:{{SessionNameRaw}}", "ops:a@b.c"),
        ("{{Other}}", "{{Other}}"),
        ("plain", "plain"),
    ],
)
def test_a_username_takes_the_name_of_the_session(template, username):
    caller = Identity("arn:aws:sts::1:assumed-role/ops/a@b.c", "1", "AROAX", "a@b.c", "ASIA")
    assert tokens.username(template, caller) == username
    assert caller.canonical_arn == "arn:aws:iam::1:role/ops"


SESSION_ROLE = f"arn:aws:iam::{ACCOUNT}:role/teams/ops"


def of_a_session(kind="STANDARD", known=True):
    """Return the answer to a token of a role's session, whose access entry is of a type."""
    name = generated(SESSION_ROLE)
    role = AccessEntry(SESSION_ROLE, "AROAX", kind, name, ("ops",), NOW, NOW)
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/ops/me@home"
    session = Principal("role", ACCOUNT, "ops", SESSION_ROLE, arn, "AROAX:me@home", "me@home")
    callers = {"ASIAX": session} if known else {}
    authenticator = Authenticator(
        {"ASIAX": Secret("secret")}.get, callers.__getitem__, "workbook", [ORIGIN],
        lambda: [role], lambda: NOW,
    )  # fmt: skip
    text = token(Account(ORIGIN, "r", "ASIAX", "secret", "workbook"), NOW).text
    return authenticator.authenticate({"token": text})["status"]


def test_a_session_of_a_role_signs_in():
    user = of_a_session()["user"]
    assert user["username"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/ops/me-home"
    assert (user["uid"], user["groups"]) == (
        f"aws-iam-authenticator:{ACCOUNT}:AROAX", ["ops"],
    )  # fmt: skip
    assert user["extra"]["sessionName"] == ["me@home"]
    assert user["extra"]["canonicalArn"] == [f"arn:aws:iam::{ACCOUNT}:role/ops"]


def test_the_role_of_nodes_and_one_that_is_gone_do_not_sign_in():
    assert of_a_session("EC2_LINUX")["authenticated"] is False
    assert of_a_session(known=False)["authenticated"] is False


# What access policies allow.

ADMIN, CLUSTER_ADMIN, EDIT, VIEW = (
    arn(f"AmazonEKS{name}Policy") for name in ("Admin", "ClusterAdmin", "Edit", "View")
)
PODS, LOGS = Asked("list", "", "pods", "shop"), Asked("get", "", "pods/log", "shop")
SECRETS, WRITE = Asked("get", "", "secrets", "shop"), Asked("patch", "apps", "deployments", "shop")
ROLES, NODES = Asked("create", "rbac.authorization.k8s.io", "roles", "shop"), Asked(
    "list", "", "nodes"
)  # fmt: skip
EVERYWHERE, METRICS = Asked("list", "", "pods"), Asked("get", url="/metrics")


@pytest.mark.parametrize(
    ("policy", "namespaces", "allowed"),
    [
        (VIEW, (), [PODS, LOGS, EVERYWHERE]),
        (EDIT, (), [PODS, LOGS, SECRETS, WRITE, EVERYWHERE]),
        (ADMIN, (), [PODS, LOGS, SECRETS, WRITE, ROLES, EVERYWHERE]),
        (
            CLUSTER_ADMIN, (),
            [PODS, LOGS, SECRETS, WRITE, ROLES, NODES, EVERYWHERE, METRICS],
        ),
        (VIEW, ("shop",), [PODS, LOGS]),
        (CLUSTER_ADMIN, ("shop",), [PODS, LOGS, SECRETS, WRITE, ROLES]),
        (CLUSTER_ADMIN, ("sh*", "x"), [PODS, LOGS, SECRETS, WRITE, ROLES]),
        (CLUSTER_ADMIN, ("*",), [PODS, LOGS, SECRETS, WRITE, ROLES]),
        (CLUSTER_ADMIN, ("shops", "sho"), []),
        ("arn:aws:eks::aws:cluster-access-policy/None", (), []),
    ],
)  # fmt: skip
def test_what_a_policy_allows(policy, namespaces, allowed):
    everything = [PODS, LOGS, SECRETS, WRITE, ROLES, NODES, EVERYWHERE, METRICS]
    assert [one for one in everything if allows(policy, namespaces, one)] == allowed


def test_what_a_review_asks_for():
    said = {"verb": "get", "resource": "pods", "subresource": "log", "namespace": "shop"}
    assert asked({"resourceAttributes": said}) == LOGS
    assert asked({"nonResourceAttributes": {"verb": "get", "path": "/metrics"}}) == METRICS
    assert asked({}) == Asked("")


def test_the_four_policies():
    assert list(access_policies.policies()) == [ADMIN, CLUSTER_ADMIN, EDIT, VIEW]


def allowed(side, uid, **attributes):
    spec = {"user": "anybody", "uid": uid, "resourceAttributes": attributes}
    status, answer = ask(side.side.authenticator, "/authorize", spec)
    assert status == "200 OK"
    return answer["status"]["allowed"]


def test_policies_follow_whom_the_token_named_and_nobody_else(side):
    uid = review(side, made(side))["user"]["uid"]
    nodes = {"verb": "list", "resource": "nodes"}
    assert allowed(side, uid, **nodes)
    # As whoever impersonates a user is: with the name alone.
    for other in ("", uid.rpartition(":")[2], "aws-iam-authenticator:1:", f"{uid}x"):
        assert not allowed(side, other, **nodes)


@pytest.mark.parametrize(
    ("path", "method", "body"),
    [
        ("/authenticate", "GET", b'{"spec": {}}'),
        ("/metrics", "POST", b'{"spec": {}}'),
        ("/authenticate", "POST", b""),
        ("/authenticate", "POST", b"[]"),
        ("/authorize", "POST", b'{"spec": 1}'),
        ("/authorize", "POST", b'{"spec": {}}' + b" " * 2**16),
    ],
)
def test_what_is_no_review_is_refused(side, path, method, body):
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }  # fmt: skip
    seen = []
    assert b"".join(side.side.authenticator(environ, lambda s, _: seen.append(s))) == b""
    assert seen == ["400 Bad Request"]
