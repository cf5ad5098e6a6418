"""Nothing is read or changed without a signature that holds: every service, through the front."""

import http.client
import json
import sys
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import botocore.exceptions
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.sandbox.aws.test_addons import refused

REGION = "ap-northeast-2"
FORM = "application/x-www-form-urlencoded; charset=utf-8"
JSON = "application/x-amz-json-1.1"
# For each service a request that would change something: method, path, body, type and target.
CHANGES = {
    "ec2": ("POST", "/", "Action=CreateVpc&Version=2016-11-15&CidrBlock=10.1.0.0%2F16", FORM, ""),
    "elasticloadbalancing": (
        "POST", "/",
        "Action=CreateTargetGroup&Version=2015-12-01&Name=t&Protocol=HTTP&Port=80"
        "&VpcId=vpc-00000000000000001",
        FORM, "",
    ),
    "iam": ("POST", "/", "Action=CreateUser&Version=2010-05-08&UserName=x", FORM, ""),
    "sts": (
        "POST", "/",
        "Action=AssumeRole&Version=2011-06-15&RoleSessionName=x"
        "&RoleArn=arn:aws:iam::111122223333:role/workbook-node",
        FORM, "",
    ),
    "acm": (
        "POST", "/", '{"DomainName": "a.example.com"}', JSON,
        "CertificateManager.RequestCertificate",
    ),
    "route53": (
        "POST", "/2013-04-01/hostedzone",
        '<CreateHostedZoneRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/">'
        "<Name>example.com</Name><CallerReference>1</CallerReference></CreateHostedZoneRequest>",
        "text/xml", "",
    ),
    "tagging": (
        "POST", "/", '{"ResourceARNList": ["arn:aws:ec2:ap-northeast-2:111122223333:vpc/vpc-1"]}',
        JSON, "ResourceGroupsTaggingAPI_20170126.TagResources",
    ),
    "eks": (
        "POST", "/clusters/workbook/addons", '{"addonName": "coredns"}', "application/json", "",
    ),
}  # fmt: skip
UNKNOWN_KEY = {
    "ec2": "AuthFailure", "eks": "UnrecognizedClientException",
    "acm": "UnrecognizedClientException", "tagging": "UnrecognizedClientException",
    "iam": "InvalidClientTokenId", "sts": "InvalidClientTokenId",
    "elasticloadbalancing": "InvalidClientTokenId", "route53": "InvalidClientTokenId",
}  # fmt: skip
BAD_SIGNATURE = {
    "ec2": "AuthFailure", "eks": "InvalidSignatureException", "acm": "InvalidSignatureException",
    "tagging": "InvalidSignatureException", "iam": "SignatureDoesNotMatch",
    "sts": "SignatureDoesNotMatch", "elasticloadbalancing": "SignatureDoesNotMatch",
    "route53": "SignatureDoesNotMatch",
}  # fmt: skip
EXPIRED = {**BAD_SIGNATURE, "ec2": "RequestExpired"}
UNSIGNED = {
    service: "MissingAuthenticationTokenException" if "Exception" in code else code
    for service, code in UNKNOWN_KEY.items()
} | dict.fromkeys(("iam", "sts", "elasticloadbalancing", "route53"), "MissingAuthenticationToken")


def signed(side, service, *, key=None, secret=None, region=REGION, host=None):
    """Return a request that would change something, signed by botocore itself."""
    method, path, body, kind, target = CHANGES[service]
    headers = {"Host": host or urlsplit(side.url).netloc, "Content-Type": kind}
    if target:
        headers["X-Amz-Target"] = target
    request = AWSRequest(method, side.url + path, data=body, headers=headers)
    credentials = Credentials(key or side.keys.access_key, secret or side.keys.secret)
    SigV4Auth(credentials, service, region).add_auth(request)
    return request


def send(side, request, *, method=None, path=None, body=None, headers=None):
    connection = http.client.HTTPConnection(urlsplit(side.url).netloc, timeout=30)
    sent = {**dict(request.headers.items()), **(headers or {})}
    sent = {name: value for name, value in sent.items() if value is not None}
    connection.request(
        method or request.method, path or urlsplit(request.url).path,
        request.data if body is None else body, sent,
    )  # fmt: skip
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def unchanged(side):
    """Assert that the account is that of the start: nothing is in the journal or the records."""
    for file in (side.settings.journal, side.settings.records):
        try:
            with open(file) as opened:
                assert opened.read() == ""
        except FileNotFoundError:
            pass


@pytest.mark.parametrize("service", CHANGES)
def test_the_requests_are_good_when_nobody_touches_them(side, service):
    status, text = send(side, signed(side, service))
    if service == "sts":  # its role trusts EC2 alone
        assert (status, "AccessDenied" in text) == (403, True)
    elif service == "tagging":
        assert status == 200
    else:
        assert status in (200, 201), text


@pytest.mark.parametrize("service", CHANGES)
@pytest.mark.parametrize(
    "change",
    [
        {"body": "Action=CreateUser&UserName=other&Version=2010-05-08"},
        {"path": "/other"},
        {"path": "/?Action=DeleteVpc"},
        {"headers": {"Host": "ec2.us-east-1.amazonaws.com"}},
        {"headers": {"Content-Type": "text/plain"}},
        {"headers": {"X-Amz-Target": "CertificateManager.DeleteCertificate"}},
        {"headers": {"X-Amz-Security-Token": "another"}},
        {"method": "PUT"},
    ],
    ids=str,
)
def test_a_changed_request_changes_nothing(side, service, change):
    status, text = send(side, signed(side, service), **change)
    assert (status in (400, 403) and BAD_SIGNATURE[service] in text) or UNKNOWN_KEY[service] in text
    unchanged(side)


@pytest.mark.parametrize("service", CHANGES)
def test_an_unsigned_request_changes_nothing(side, service):
    status, text = send(side, signed(side, service), headers={"Authorization": None})
    # Nobody says which service it is for: the answer has EKS's form.
    assert status == 403 and "MissingAuthenticationTokenException" in text
    unchanged(side)


@pytest.mark.parametrize("service", CHANGES)
def test_an_unknown_key_and_a_wrong_secret_change_nothing(side, service):
    for options, codes in (
        ({"key": "AKIAUNKNOWN000000000"}, UNKNOWN_KEY),
        ({"secret": "wrong"}, BAD_SIGNATURE),
        ({"region": "eu-west-1"}, BAD_SIGNATURE),
    ):
        status, text = send(side, signed(side, service, **options))
        assert status in (400, 403) and codes[service] in text
    unchanged(side)


@pytest.mark.parametrize("service", CHANGES)
@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_clock_that_is_twenty_minutes_off_changes_nothing(side, service, minutes):
    request = signed(side, service)
    skewed = datetime.now(UTC) + timedelta(minutes=minutes)
    side.side.front._now = lambda: skewed
    status, text = send(side, request)
    assert status in (400, 403) and EXPIRED[service] in text
    unchanged(side)


def test_a_request_that_is_repeated_within_its_time_is_accepted(side):
    request = signed(side, "ec2")
    assert [send(side, request)[0] for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(
    "path",
    ["/moto-api/reset", "/moto-api/data.json", "/moto-api/reset-auth", "/latest/meta-data/iam/"],
)
@pytest.mark.parametrize("service", ["ec2", "iam", "route53", "eks"])
def test_motos_own_paths_are_nobodys(side, service, path):
    side.client("iam").create_user(UserName="kept")
    connection = http.client.HTTPConnection(urlsplit(side.url).netloc, timeout=30)
    connection.request("POST", path, b"")
    assert connection.getresponse().status == 403
    request = AWSRequest("POST", side.url + path, headers={"Host": urlsplit(side.url).netloc})
    SigV4Auth(Credentials(side.keys.access_key, side.keys.secret), service, REGION).add_auth(
        request
    )
    connection = http.client.HTTPConnection(urlsplit(side.url).netloc, timeout=30)
    connection.request("POST", path, b"", dict(request.headers.items()))
    assert connection.getresponse().status in (400, 404)
    assert len(side.client("iam").list_users()["Users"]) == 2


@pytest.mark.parametrize(
    ("service", "code"),
    [
        ("ec2", "InvalidAction"), ("iam", "InvalidAction"), ("sts", "InvalidAction"),
        ("elasticloadbalancing", "InvalidAction"), ("acm", "UnknownOperationException"),
        ("tagging", "UnknownOperationException"),
    ],
)  # fmt: skip
def test_an_unknown_action_is_refused_by_name(side, service, code, monkeypatch):
    method, path, _, kind, target = CHANGES[service]
    body = "Action=BrewCoffee" if kind == FORM else "{}"
    target = target and f"{target.partition('.')[0]}.BrewCoffee"
    monkeypatch.setitem(CHANGES, service, (method, path, body, kind, target))
    status, text = send(side, signed(side, service))
    assert status == 400 and code in text and "BrewCoffee" in text
    unchanged(side)


@pytest.mark.parametrize(
    ("service", "call", "parameters"),
    [
        ("ec2", "create_key_pair", {"KeyName": "x" * 2 * 2**20}),
        ("iam", "create_user", {"UserName": "x" * 2 * 2**20}),
        ("acm", "list_certificates", {"NextToken": "x" * 2 * 2**20}),
    ],
)
def test_a_body_that_is_too_large_is_refused_in_the_services_form(side, service, call, parameters):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        getattr(side.client(service), call)(**parameters)
    assert error.value.response["Error"]["Code"] == "RequestEntityTooLarge"
    unchanged(side)


@pytest.mark.parametrize(
    ("name", "call"), [("lambda", "list_functions"), ("dynamodb", "list_tables")]
)
def test_a_service_that_is_not_here_is_refused_by_name(side, name, call):
    with pytest.raises(botocore.exceptions.ClientError, match=f"{name} is not part of this"):
        getattr(side.client(name), call)()


def test_the_classic_load_balancers_are_not_here(side):
    with pytest.raises(botocore.exceptions.ClientError, match="not part of this sandbox"):
        side.client("elb").describe_load_balancers()


def test_a_mistake_of_the_sandbox_is_told_in_the_services_form(side, monkeypatch, capsys):
    def fail(*_):
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(side.side.account, "answer", fail)
    with pytest.raises(botocore.exceptions.ClientError, match="eksnet logs aws") as error:
        side.client("ec2").describe_vpcs()
    assert error.value.response["Error"]["Code"] == "InternalFailure"
    assert "broken on purpose" in capsys.readouterr().err


def test_tags_are_found_through_the_tagging_api(side):
    ec2 = side.client("ec2")
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    ec2.create_tags(Resources=[vpc["VpcId"]], Tags=[{"Key": "team", "Value": "a"}])
    found = side.client("resourcegroupstaggingapi").get_resources(
        TagFilters=[{"Key": "team", "Values": ["a"]}]
    )["ResourceTagMappingList"]
    assert [one["ResourceARN"].rpartition("/")[2] for one in found] == [vpc["VpcId"]]
    assert json.dumps(found)


def test_who_has_no_valid_key_loads_nothing_that_takes_long(side, monkeypatch):
    side.client("ec2").create_vpc(CidrBlock="10.1.0.0/16")
    side.stop()
    side.start()
    monkeypatch.setitem(sys.modules, "eksnet.sandbox.aws.emulator", None)
    for service, call, code in (
        ("eks", "list_clusters", "UnrecognizedClientException"),
        ("sts", "get_caller_identity", "InvalidClientTokenId"),
        ("ec2", "describe_vpcs", "AuthFailure"),
        ("iam", "list_users", "InvalidClientTokenId"),
    ):
        assert refused(getattr(side.client(service, key="AKIAUNKNOWN"), call))[0] == code
    # It would have been seen.
    assert refused(side.client("ec2").describe_vpcs)[0] == "InternalFailure"
