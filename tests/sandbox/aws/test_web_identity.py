"""Roles for who has a token of a service account: AssumeRoleWithWebIdentity, through boto3."""

import base64
import hashlib
import http.client
import json
import time
from datetime import UTC, datetime
from urllib.parse import urlencode, urlsplit

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from eksnet.sandbox.aws import web_identity
from eksnet.sandbox.aws.operations import Operation
from eksnet.sandbox.aws.settings import ISSUER_KEY, issuer
from eksnet.sandbox.aws.web_identity import Issuer, Provider, WebIdentityError
from tests.sandbox.aws.test_iam import ACCOUNT, allow, policy, refused

REGION = "ap-northeast-2"
ISSUER = issuer(REGION)
NAME = ISSUER.removeprefix("https://")
PROVIDER = f"{ACCOUNT}:oidc-provider/{NAME}"
AUDIENCE, SUBJECT = "sts.amazonaws.com", "system:serviceaccount:shop:web"
ROLE = f"{ACCOUNT}:role/web"
DENIED = ("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
NOT_VALIDATED = (
    "InvalidIdentityToken",
    "The web identity token that was passed could not be validated by AWS. Get a new identity "
    "token from the identity provider and then retry the request.",
)
# Two keys for all tests: making one takes longer than any of them.
KEY, OTHER = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))

PUBLIC = KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
HELD = Provider(PROVIDER, (AUDIENCE,))
CALL = {"RoleArn": ROLE, "RoleSessionName": "pod", "WebIdentityToken": "x"}


def encoded(content):
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def key_id(key):
    der = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded(hashlib.sha256(der).digest())


def token(key=KEY, header=None, **claims):
    """Return a token as the API server makes one, or one with other claims."""
    head = {"alg": "RS256", "kid": key_id(KEY)} | (header or {})
    body = {
        "iss": ISSUER, "sub": SUBJECT, "aud": [AUDIENCE], "exp": int(time.time()) + 600,
    } | claims  # fmt: skip
    signed = f"{encoded(head)}.{encoded(body)}"
    return f"{signed}.{encoded(key.sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"


def trusting(statement=None, **condition):
    """Return a trust policy for tokens with the right subject and audience, or another one."""
    usual = {"StringEquals": {f"{NAME}:sub": SUBJECT, f"{NAME}:aud": AUDIENCE}}
    return policy(
        {
            "Effect": "Allow",
            "Principal": {"Federated": PROVIDER},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": condition or usual,
        }
        | (statement or {})
    )


@pytest.fixture
def federated(side, tmp_path):
    """The AWS side with the cluster's key, a provider, and a role that trusts one account."""
    (tmp_path / ISSUER_KEY).write_bytes(PUBLIC)
    iam = side.client("iam")
    iam.create_open_id_connect_provider(Url=ISSUER, ClientIDList=[AUDIENCE])
    iam.create_role(RoleName="web", AssumeRolePolicyDocument=trusting())
    document = policy(allow("ec2:DescribeVpcs"))
    iam.put_role_policy(RoleName="web", PolicyName="own", PolicyDocument=document)
    return side


def sts(side):
    """Return a client as a pod has it, without any key."""
    return boto3.client(
        "sts", endpoint_url=side.url, region_name=REGION,
        config=Config(signature_version=UNSIGNED, retries={"max_attempts": 0}),
    )  # fmt: skip


def assume(side, text=None, role=ROLE, **more):
    return sts(side).assume_role_with_web_identity(
        RoleArn=role, RoleSessionName="pod", WebIdentityToken=text or token(), **more
    )


def session(side, **more):
    got = assume(side, **more)["Credentials"]
    words = got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"]
    return lambda service: side.client(service, *words)


def denied(side, text=None, role=ROLE, **more):
    return refused(
        sts(side).assume_role_with_web_identity,
        RoleArn=role, RoleSessionName="pod", WebIdentityToken=text or token(), **more,
    )  # fmt: skip


def test_who_has_the_token_is_the_role(federated):
    clients = session(federated)
    told = clients("sts").get_caller_identity()
    assert told["Arn"] == "arn:aws:sts::111122223333:assumed-role/web/pod"
    assert clients("ec2").describe_vpcs()["Vpcs"]
    code, message = refused(clients("ec2").describe_subnets)
    assert code == "UnauthorizedOperation" and "assumed-role/web/pod" in message


def test_the_answer_names_whom_the_credentials_are_for(federated):
    told = assume(federated)
    assert told["SubjectFromWebIdentityToken"] == SUBJECT
    assert (told["Audience"], told["Provider"]) == (AUDIENCE, PROVIDER)
    role = federated.client("iam").get_role(RoleName="web")["Role"]["RoleId"]
    assert told["AssumedRoleUser"] == {
        "AssumedRoleId": f"{role}:pod", "Arn": "arn:aws:sts::111122223333:assumed-role/web/pod",
    }  # fmt: skip
    left = told["Credentials"]["Expiration"].timestamp() - time.time()
    assert 3500 < left <= 3600


def test_the_credentials_end_in_time(federated):
    got = assume(federated, DurationSeconds=900)["Credentials"]
    assert 800 < got["Expiration"].timestamp() - time.time() <= 900
    words = got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"]
    later = got["Expiration"]
    federated.side.front._now = lambda: later
    code, _ = refused(federated.client("sts", *words).get_caller_identity)
    assert code == "ExpiredToken"


def test_after_a_restart_they_are_the_same_and_the_token_is_in_no_file(federated, tmp_path):
    text = token()
    clients = session(federated, text=text)
    before = clients("sts").get_caller_identity()["UserId"]
    federated.stop()
    federated.start()
    assert session_user(federated, clients) == before
    assert text.split(".")[2] not in (tmp_path / "account.jsonl").read_text()


def session_user(side, clients):
    old = clients("sts")._request_signer._credentials
    return side.client("sts", old.access_key, old.secret_key, old.token).get_caller_identity()[
        "UserId"
    ]


NO_KEY = (
    "InvalidIdentityToken",
    "Couldn't retrieve verification key from your identity provider,  please reference "
    "AssumeRoleWithWebIdentity documentation for requirements",
)
NO_JWT = (
    "InvalidIdentityToken",
    "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access "
    "Token)",
)


def of_another_kind():
    key = ec.generate_private_key(ec.SECP256R1())
    head = {"alg": "ES256", "kid": key_id(KEY)}
    body = {"iss": ISSUER, "sub": SUBJECT, "aud": [AUDIENCE], "exp": 2**33}
    signed = f"{encoded(head)}.{encoded(body)}"
    return f"{signed}.{encoded(key.sign(signed.encode(), ec.ECDSA(SHA256())))}"


def unsigned():
    head, body, _ = token(header={"alg": "none"}).split(".")
    return f"{head}.{body}."


def with_other_claims():
    head, _, signature = token().split(".")
    body = {"iss": ISSUER, "sub": "admin", "aud": AUDIENCE, "exp": 2**33}
    return f"{head}.{encoded(body)}.{signature}"


TOKENS = {
    "the signature of another key": (lambda: token(OTHER), NOT_VALIDATED),
    "other claims under the signature": (with_other_claims, NOT_VALIDATED),
    "no signature": (unsigned, NOT_VALIDATED),
    "another algorithm": (of_another_kind, NOT_VALIDATED),
    "a key that the issuer does not have": (
        lambda: token(OTHER, header={"kid": key_id(OTHER)}), NO_KEY,
    ),
    "a provider of an issuer whose keys nobody can fetch here": (
        lambda: token(iss="https://accounts.example.com"), NO_KEY,
    ),
    "no JWT": (lambda: "k8s-aws-v1.x", NO_JWT),
    "a JWT without an end": (lambda: f"{encoded({})}.{encoded({})}.", NO_JWT),
    "a JWT of nonsense": (lambda: "e.e.e", NO_JWT),
    "a JWT that is a list": (lambda: f"{encoded([])}.{encoded([])}.", NO_JWT),
    "an endless one": (lambda: token() + "A" * 20_000, NO_JWT),
    "an audience that is not the provider's": (
        lambda: token(aud=["https://kubernetes.default.svc"]),
        ("InvalidIdentityToken", "Incorrect token audience"),
    ),
}  # fmt: skip


@pytest.fixture
def issues(tmp_path):
    """The cluster's issuer by itself."""
    (tmp_path / ISSUER_KEY).write_bytes(PUBLIC)
    return Issuer(ISSUER, tmp_path / ISSUER_KEY)


def held(issues, text, provider=HELD):
    web_identity.verify(web_identity.read(text), provider, issues, datetime.now(UTC))


def test_a_good_token_holds(issues):
    held(issues, token())
    held(issues, token(aud=AUDIENCE))
    held(issues, token(aud=["other", AUDIENCE]))


@pytest.mark.parametrize(("text", "told"), TOKENS.values(), ids=TOKENS)
def test_a_token_that_does_not_hold(issues, text, told):
    with pytest.raises(WebIdentityError) as error:
        held(issues, text())
    assert (error.value.code, str(error.value)) == told


def test_a_token_of_no_provider(issues):
    with pytest.raises(WebIdentityError, match=f"found in your account for {ISSUER}") as error:
        held(issues, token(), None)
    assert error.value.code == "InvalidIdentityToken"


@pytest.mark.parametrize(
    "bad", [lambda: token(OTHER), lambda: token(sub="system:serviceaccount:shop:other")]
)
def test_nobody_gets_credentials_for_what_does_not_hold(federated, bad):
    code, _ = denied(federated, bad())
    assert code in ("InvalidIdentityToken", "AccessDenied")
    assert federated.side.account._directory._emulator.backend("sts").assumed_roles == []


def test_an_expired_token(federated):
    ended = int(time.time()) - 5
    code, message = denied(federated, token(exp=ended))
    assert code == "ExpiredTokenException"
    assert message.startswith("Token expired: current date/time ")
    assert message.endswith(f" must be before the expiration date/time {ended}")


def test_without_a_provider_nobody_is_believed(federated):
    federated.client("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=PROVIDER)
    assert denied(federated) == (
        "InvalidIdentityToken", f"No OpenIDConnect provider found in your account for {ISSUER}",
    )  # fmt: skip


def test_a_fresh_account_has_no_provider_and_loads_nothing_to_say_so(side):
    code, _ = denied(side)
    assert code == "InvalidIdentityToken"
    assert side.side.account._loaded is None


TRUSTS = {
    "no condition": (trusting({"Condition": {}}), True),
    "the audience alone": (trusting(StringEquals={f"{NAME}:aud": AUDIENCE}), True),
    "a pattern": (trusting(StringLike={f"{NAME}:sub": "system:serviceaccount:shop:*"}), True),
    "any account in another namespace": (
        trusting(StringLike={f"{NAME}:sub": "system:serviceaccount:kube-system:*"}), False,
    ),
    "a pattern that is compared as a text": (
        trusting(StringEquals={f"{NAME}:sub": "system:serviceaccount:shop:*"}), False,
    ),
    "another audience": (trusting(StringEquals={f"{NAME}:aud": "other"}), False),
    "another cluster's issuer": (
        trusting(StringEquals={f"{NAME[:-1]}2:sub": SUBJECT}), False,
    ),
    "another provider": (
        trusting({"Principal": {"Federated": PROVIDER[:-1] + "2"}}), False,
    ),
    "everybody as a provider": (trusting({"Principal": {"Federated": "*"}}), False),
    "the account": (trusting({"Principal": {"AWS": "111122223333"}}), False),
    "a service": (trusting({"Principal": {"Service": "ec2.amazonaws.com"}}), False),
    "another action": (trusting({"Action": "sts:AssumeRole"}), False),
    "a deny": (trusting({"Effect": "Deny"}), False),
    "a condition that is not known here": (
        trusting(IpAddress={"aws:SourceIp": "10.0.0.0/8"}), False,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("trust", "allows"), TRUSTS.values(), ids=TRUSTS)
def test_the_roles_trust_decides(trust, allows):
    call = Operation("sts", "AssumeRoleWithWebIdentity", CALL)

    def authorize():
        web_identity.authorize(call, web_identity.read(token()), HELD, trust, REGION)

    if allows:
        authorize()
        return
    with pytest.raises(WebIdentityError) as error:
        authorize()
    assert (error.value.code, str(error.value), error.value.status) == (*DENIED, 403)


def test_a_changed_trust_counts_at_once(federated):
    assert session(federated)("sts").get_caller_identity()
    wrong = trusting(StringEquals={f"{NAME}:sub": "system:serviceaccount:kube-system:web"})
    federated.client("iam").update_assume_role_policy(RoleName="web", PolicyDocument=wrong)
    assert denied(federated) == DENIED


def test_a_role_that_is_not_there_is_told_like_one_that_may_not_be_assumed(federated):
    assert denied(federated, role=f"{ACCOUNT}:role/missing") == DENIED


def test_a_users_policies_let_nobody_in_through_a_provider(federated):
    """The trust policy names a provider: AssumeRole with a key is another thing."""
    call = federated.client("sts").assume_role
    code, message = refused(call, RoleArn=ROLE, RoleSessionName="lesson")
    assert code == "AccessDenied" and "sts:AssumeRole on resource" in message


def test_a_sessions_policy_limits_it(federated):
    clients = session(federated, Policy=policy(allow("ec2:DescribeSubnets")))
    code, _ = refused(clients("ec2").describe_vpcs)
    assert code == "UnauthorizedOperation"


@pytest.mark.parametrize(
    ("sent", "part"),
    [
        ({"RoleArn": ""}, "Value null at 'roleArn'"),
        ({"RoleSessionName": ""}, "Value null at 'roleSessionName'"),
        ({"WebIdentityToken": ""}, "Value null at 'webIdentityToken'"),
        ({"RoleSessionName": "a b"}, "Value 'a b' at 'roleSessionName'"),
        ({"DurationSeconds": "899"}, "Value '899' at 'durationSeconds'"),
        ({"DurationSeconds": "43201"}, "less than or equal to 43200"),
    ],
)
def test_parameters_that_aws_refuses(sent, part):
    with pytest.raises(WebIdentityError) as error:
        web_identity.check(Operation("sts", "AssumeRoleWithWebIdentity", CALL | sent))
    assert error.value.code == "ValidationError" and part in str(error.value)


def test_a_session_is_not_longer_than_its_role_lets_it_be(federated):
    status, text = post(federated, DurationSeconds="3601")
    assert (status, "<Code>ValidationError</Code>" in text) == (400, True)
    assert "exceeds the MaxSessionDuration set for this role" in text


def post(side, **sent):
    call = {
        "Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": ROLE,
        "RoleSessionName": "pod", "WebIdentityToken": token(), **sent,
    }  # fmt: skip
    connection = http.client.HTTPConnection(urlsplit(side.url).netloc, timeout=30)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/", urlencode(call), form)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


@pytest.mark.parametrize("more", [{"PolicyArns.member.1.arn": "x"}, {"ProviderId": "graph.x"}])
def test_what_is_not_modelled_is_refused_by_its_name(federated, more):
    status, text = post(federated, **more)
    assert (status, "<Code>InvalidAction</Code>" in text) == (400, True)


@pytest.mark.parametrize("action", ["AssumeRole", "GetCallerIdentity", "AssumeRoleWithSAML"])
def test_nothing_else_is_let_in_without_a_signature(federated, action):
    status, text = post(federated, Action=action)
    assert (status, "MissingAuthenticationToken" in text) == (403, True)


def test_a_second_action_beside_it_lets_nothing_else_in(federated):
    """The last value of a name counts, as for every other call: it is still this one."""
    connection = http.client.HTTPConnection(urlsplit(federated.url).netloc, timeout=30)
    body = "Action=AssumeRoleWithWebIdentity&Action=CreateUser&UserName=x&Version=2010-05-08"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/", body, form)
    answer = connection.getresponse()
    assert (answer.status, b"InvalidAction" in answer.read()) == (400, True)
    names = [one["UserName"] for one in federated.client("iam").list_users()["Users"]]
    assert names == ["learner"]


# The providers in IAM.


def test_a_provider_is_a_resource_for_iam(federated):
    iam = federated.client("iam")
    document = policy(allow("iam:*OpenIDConnectProvider", f"{ACCOUNT}:oidc-provider/own.example"))
    iam.create_user(UserName="student")
    iam.put_user_policy(UserName="student", PolicyName="own", PolicyDocument=document)
    key = iam.create_access_key(UserName="student")["AccessKey"]
    own = federated.client("iam", key["AccessKeyId"], key["SecretAccessKey"])
    made = own.create_open_id_connect_provider(Url="https://own.example", ClientIDList=["a"])
    arn = made["OpenIDConnectProviderArn"]
    assert own.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)["ClientIDList"] == ["a"]
    code, message = refused(
        own.create_open_id_connect_provider, Url="https://other.example", ClientIDList=["a"]
    )
    assert code == "AccessDenied" and "oidc-provider/other.example" in message
    code, _ = refused(own.delete_open_id_connect_provider, OpenIDConnectProviderArn=PROVIDER)
    assert code == "AccessDenied"


# The issuer's documents.


def get(side, path, method="GET"):
    connection = http.client.HTTPConnection(urlsplit(side.url).netloc, timeout=30)
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.getheader("Content-Type"), answer.read()


def test_anybody_can_verify_a_token_with_what_the_issuer_publishes(federated):
    path = urlsplit(ISSUER).path
    status, kind, body = get(federated, f"{path}/.well-known/openid-configuration")
    document = json.loads(body)
    assert (status, kind, document["issuer"]) == (200, "application/json", ISSUER)
    assert document["id_token_signing_alg_values_supported"] == ["RS256"]
    keys = urlsplit(document["jwks_uri"])
    assert keys.netloc == urlsplit(ISSUER).netloc
    _, _, body = get(federated, keys.path)
    (key,) = json.loads(body)["keys"]
    n, e = (
        int.from_bytes(base64.urlsafe_b64decode(key[name] + "==")) for name in ("n", "e")
    )  # fmt: skip
    head, claims, signature = token().split(".")
    assert json.loads(base64.urlsafe_b64decode(head + "=="))["kid"] == key["kid"]
    rsa.RSAPublicNumbers(e, n).public_key().verify(
        base64.urlsafe_b64decode(signature + "=="), f"{head}.{claims}".encode(),
        padding.PKCS1v15(), SHA256(),
    )  # fmt: skip


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_the_documents_can_only_be_read(federated, method):
    status, _, body = get(federated, f"{urlsplit(ISSUER).path}/keys", method)
    assert (status, b"MissingAuthenticationToken" in body) == (403, True)
