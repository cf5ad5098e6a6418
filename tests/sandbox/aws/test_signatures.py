"""Who signed a request: botocore's own signers decide what is right."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from eksnet.sandbox.aws.signatures import (
    Fault,
    Request,
    Secret,
    SignatureError,
    Signer,
    verify,
)

KEY, SECRET = "AKIAEXAMPLE000000000", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
HOST = "http://127.0.0.1:8080"


def signed(method="GET", path="/", body=b"", *, service="eks", key=KEY, secret=SECRET, token=None):
    request = AWSRequest(method, HOST + path, data=body, headers={"Host": "127.0.0.1:8080"})
    SigV4Auth(Credentials(key, secret, token), service, "ap-northeast-2").add_auth(request)
    return received(request.prepare(), body)


def presigned(path="/?Action=GetCallerIdentity&Version=2011-06-15", service="sts", seconds=60):
    request = AWSRequest("GET", HOST + path, headers={"x-k8s-aws-id": "workbook"})
    SigV4QueryAuth(Credentials(KEY, SECRET), service, "ap-northeast-2", seconds).add_auth(request)
    return received(request.prepare(), b"")


def received(prepared, body):
    parts = urlsplit(prepared.url)
    headers = {name.lower(): str(value) for name, value in prepared.headers.items()}
    headers = {n: v[2:-1] if v.startswith("b'") else v for n, v in headers.items()}
    headers.setdefault("host", "127.0.0.1:8080")
    return Request(prepared.method, parts.path, parts.query, headers, body)


def changed(request, **changes):
    return Request(**{**vars(request), **changes})


def secrets(known=None):
    return {KEY: known or Secret(SECRET)}.get


def fault(request, known=None, now=None):
    with pytest.raises(SignatureError) as refused:
        verify(request, secrets(known), now or datetime.now(UTC))
    return refused.value.fault


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/clusters", b""),
        ("GET", "/clusters?maxResults=5&include=a%20b&include=c%2Bd", b""),
        ("POST", "/clusters/c%201/addons", b'{"addonName":"coredns"}'),
        ("GET", "/clusters/c/access-entries/arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx", b""),
        ("DELETE", "/clusters/c/addons/coredns?preserve=true", b""),
        ("POST", "/", b"Action=DescribeVpcs&Version=2016-11-15"),
        ("GET", "/a//b/%E2%82%AC?x=&y", b""),
        ("GET", "/a/./b/../c/", b""),
        ("GET", "//", b""),
    ],
)
def test_what_botocore_signs_is_accepted(method, path, body):
    signer = verify(signed(method, path, body), secrets(), datetime.now(UTC))
    assert signer == Signer(KEY, "ap-northeast-2", "eks")


def test_a_presigned_call_is_accepted_and_may_be_repeated():
    request = presigned()
    for _ in range(2):
        assert verify(request, secrets(), datetime.now(UTC)).service == "sts"


def test_temporary_credentials_need_their_token():
    now = datetime.now(UTC)
    temporary = Secret(SECRET, "token", now + timedelta(hours=1))
    assert verify(signed(token="token"), secrets(temporary), now).access_key == KEY
    assert fault(signed(token="another"), temporary) is Fault.UNKNOWN_TOKEN
    assert fault(signed(), temporary) is Fault.UNKNOWN_TOKEN
    assert fault(signed(token="token")) is Fault.UNKNOWN_TOKEN
    ended = Secret(SECRET, "token", now - timedelta(seconds=1))
    assert fault(signed(token="token"), ended) is Fault.EXPIRED_TOKEN


def test_nobody_gets_in_unsigned():
    assert fault(Request("GET", "/clusters")) is Fault.UNSIGNED
    assert fault(changed(signed(), headers={"host": "x"})) is Fault.UNSIGNED


def test_a_key_that_nobody_has():
    assert fault(signed(key="AKIAUNKNOWN")) is Fault.UNKNOWN_KEY


@pytest.mark.parametrize(
    "change",
    [
        {"method": "DELETE"},
        {"path": "/clusters/other"},
        {"query": "maxResults=9"},
    ],
)
def test_what_was_changed_on_the_way_is_refused(change):
    assert fault(changed(signed(path="/clusters"), **change)) is Fault.WRONG_SIGNATURE


def test_a_wrong_secret_is_refused():
    assert fault(signed(secret="wrong")) is Fault.WRONG_SIGNATURE


def test_a_changed_body_is_refused_with_and_without_its_digest():
    request = signed("POST", "/clusters/c/addons", b"{}")
    assert fault(changed(request, body=b'{"a":1}')) is Fault.WRONG_SIGNATURE
    claimed = {**request.headers, "x-amz-content-sha256": "0" * 64}
    assert fault(changed(request, headers=claimed)) is Fault.WRONG_SIGNATURE


@pytest.mark.parametrize("name", ["host", "x-k8s-aws-id"])
def test_a_changed_signed_header_is_refused(name):
    request = presigned()
    assert fault(changed(request, headers={**request.headers, name: "x"})) is Fault.WRONG_SIGNATURE


def test_a_header_of_aws_that_was_added_is_refused():
    request = signed()
    added = {**request.headers, "x-amz-target": "Another.Operation"}
    assert fault(changed(request, headers=added)) is Fault.WRONG_SIGNATURE


@pytest.mark.parametrize(
    ("minutes", "expected"), [(-20, Fault.EARLY), (-4, None), (4, None), (6, Fault.EXPIRED)]
)
def test_a_clock_may_differ_by_five_minutes(minutes, expected):
    now = datetime.now(UTC) + timedelta(minutes=minutes)
    request = signed()
    if expected:
        assert fault(request, now=now) is expected
    else:
        assert verify(request, secrets(), now).access_key == KEY


@pytest.mark.parametrize(("minutes", "accepted"), [(1, True), (14, True), (16, False)])
def test_a_token_lasts_fifteen_minutes_whatever_it_says(minutes, accepted):
    now = datetime.now(UTC) + timedelta(minutes=minutes)
    if accepted:
        assert verify(presigned(), secrets(), now).service == "sts"
    else:
        assert fault(presigned(), now=now) is Fault.EXPIRED


def test_another_presigned_call_lasts_as_long_as_it_says():
    request = presigned("/clusters", "eks", 60)
    assert verify(request, secrets(), datetime.now(UTC)).service == "eks"
    assert fault(request, now=datetime.now(UTC) + timedelta(minutes=2)) is Fault.EXPIRED


@pytest.mark.parametrize(
    ("piece", "other", "expected"),
    [
        ("aws4_request", "aws5_request", Fault.WRONG_SCOPE),
        ("SignedHeaders=host", "SignedHeaders=x", Fault.INCOMPLETE),
        ("Signature=", "Sig=", Fault.INCOMPLETE),
        (f"Credential={KEY}/", "Credential=", Fault.INCOMPLETE),
    ],
)
def test_half_an_authorization_is_refused(piece, other, expected):
    request = signed()
    header = request.headers["authorization"].replace(piece, other)
    assert fault(changed(request, headers={**request.headers, "authorization": header})) is expected


@pytest.mark.parametrize("date", ["", "2026-11-30", "20261330T000000Z", "x" * 1000])
def test_a_date_that_is_none_is_refused(date):
    request = signed()
    headers = {**request.headers, "x-amz-date": date}
    assert fault(changed(request, headers=headers)) is Fault.INCOMPLETE


@pytest.mark.parametrize("seconds", ["", "-1", "604801", "9" * 400, "1.5", "²"])
def test_a_lifetime_that_is_none_is_refused(seconds):
    request = presigned("/clusters", "eks", 60)
    query = request.query.replace("X-Amz-Expires=60", f"X-Amz-Expires={seconds}")
    assert fault(changed(request, query=query)) is Fault.INCOMPLETE
