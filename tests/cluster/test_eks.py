"""A target `eks:`: found with the learner's own AWS set-up, and each thing that can be wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from fake_api import FakeApi, failure
from fake_aws import ACCOUNT, ROLE, SESSION, USER, Call, FakeAws, Refusal
from test_guard import READING, WRITING, fill

import eksnet
from eksnet.cluster import connect_read_only, eks, waits
from eksnet.errors import EksnetError, NotFoundError, RefusedError, UnreachableError

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAADA", "AWS_SECRET_ACCESS_KEY": "secret"}
MANIFEST = "{apiVersion: v1, kind: ConfigMap, metadata: {name: new}}"


@pytest.fixture
def aws(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    """A learner with keys in the environment, whose AWS is the small one."""
    server = FakeAws(api.url)
    home = tmp_path / "home"
    (home / ".aws").mkdir(parents=True)
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    named = {"HOME": str(home), "AWS_ENDPOINT_URL": server.url, "EKSNET_CHANGES": "prod"}
    # None of the computer's own roles.
    for name, value in {**KEYS, **named, "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(eks, "_found", {})
    monkeypatch.setattr(eks, "_told", set())
    monkeypatch.setattr(waits, "PATIENCE", 0.0)
    yield server
    server.close()


def connect() -> eksnet.cluster.Cluster:
    return eksnet.connect("eks:prod@eu-west-1")


def told(aws: FakeAws, addons: str = "coredns, kube-proxy", mode: str = "off") -> str:
    return (
        f"prod in eu-west-1, account {ACCOUNT}, as {USER}\n"
        f"Kubernetes 1.35, platform version eks.7, EKS Auto Mode {mode}; add-ons: {addons}\n"
        f"AWS_ENDPOINT_URL: {aws.url} was asked, not AWS\n"
    )


def test_what_was_connected_to_is_said_once(
    aws: FakeAws, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = connect()
    assert capsys.readouterr().out == told(aws)
    connect()
    connect_read_only()
    assert capsys.readouterr().out == ""
    assert repr(cluster) == "<Cluster prod: Kubernetes v1.35.4, 2 nodes>"
    assert (cluster.eks_name, cluster.region, cluster.compute) == ("prod", "eu-west-1", "nodes")


def test_auto_mode_and_addons_that_may_not_be_listed_are_said(
    aws: FakeAws, capsys: pytest.CaptureFixture[str]
) -> None:
    aws.cluster["computeConfig"] = {"enabled": True}
    aws.refuse = refusing("addons", (403, "AccessDeniedException", "no"))
    connect()
    assert capsys.readouterr().out == told(aws, "not listed: no right to", "on")


@pytest.mark.parametrize(
    ("kinds", "compute"),
    [
        (["", ""], "nodes"), (["auto", "auto"], "auto"), (["fargate", "fargate"], "fargate"),
        (["auto", ""], "nodes"), (["fargate", "auto"], "auto"),
    ],
)  # fmt: skip
def test_what_pods_run_on_is_read_from_the_nodes(
    kinds: list[str], compute: str, aws: FakeAws, api: FakeApi
) -> None:
    for name in list(api.objects):
        if name.startswith("/api/v1/nodes/"):
            api.remove(name)
    for number, kind in enumerate(kinds):
        labels = {"eks.amazonaws.com/compute-type": kind} if kind else {}
        api.put(f"/api/v1/nodes/n{number}", {"metadata": {"labels": labels}})
    assert connect().compute == compute


def refusing(what: str, refusal: Refusal) -> Callable[[Call], Refusal | None]:
    return lambda call: refusal if what in str(call) else None


# Where AWS itself is not asked.


def test_another_endpoint_has_to_be_confirmed(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EKSNET_CHANGES")
    with pytest.raises(EksnetError, match=f"leads to {aws.url}, not to AWS") as caught:
        connect()
    assert 'changes="prod"' in caught.value.next_step
    assert aws.calls == []
    with pytest.raises(EksnetError, match="not to AWS"):
        connect_read_only("eks:prod@eu-west-1")
    assert eksnet.connect("eks:prod@eu-west-1", changes="prod").eks_name == "prod"


def test_an_endpoint_of_the_profile_has_to_be_confirmed_too(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EKSNET_CHANGES")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    profile(f"[default]\nregion = eu-west-1\nendpoint_url = {aws.url}\n")
    with pytest.raises(EksnetError, match="endpoint_url of the profile"):
        eksnet.connect("eks:prod")


def profile(text: str) -> None:
    Path("~/.aws/config").expanduser().write_text(text)


# The learner's own set-up.


def test_the_region_is_that_of_the_target_else_of_the_set_up(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EksnetError, match="names no region") as caught:
        eksnet.connect("eks:prod")
    assert "eks:NAME@REGION" in caught.value.next_step
    profile("[default]\nregion = eu-north-1\n")
    eksnet.connect("eks:prod")
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    eksnet.connect("eks:prod")
    connect()
    assert [call.region for call in aws.calls if "GetCaller" in str(call)] == [
        "eu-north-1", "eu-west-3", "eu-west-1",
    ]  # fmt: skip


def a_role(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name)
    Path("~/.aws/credentials").expanduser().write_text(
        "[ada]\naws_access_key_id = AKIAADA\naws_secret_access_key = secret\n"
    )
    profile(f"[profile teacher]\nrole_arn = {ROLE}\nsource_profile = ada\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_PROFILE", "teacher")


def test_a_profile_with_a_role_signs_with_the_roles_keys(
    aws: FakeAws, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_role(monkeypatch)
    eksnet.connect("eks:prod")
    keys = {(str(call), call.key, call.session) for call in aws.calls}
    assert ("sts:AssumeRole", "AKIAADA", "") in keys
    assert ("eks:GET /clusters/prod", "ASIA1", "session 1") in keys
    said = signed(api.requests[-1].headers["authorization"])
    assert said["X-Amz-Credential"][0].startswith("ASIA1/")
    assert said["X-Amz-Security-Token"] == ["session 1"]


def signed(header: str) -> dict[str, list[str]]:
    """Return what the URL in a token says."""
    text = header.removeprefix("Bearer k8s-aws-v1.")
    url = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    return parse_qs(urlsplit(url).query)


def test_the_keys_of_a_role_are_renewed_and_so_are_the_tokens(
    aws: FakeAws, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    # botocore renews keys a quarter of an hour before they end.
    aws.lasts = timedelta(minutes=5)
    a_role(monkeypatch)
    cluster = eksnet.connect("eks:prod")
    monkeypatch.setattr("eksnet.aws.tokens._RENEWED", timedelta(hours=1))
    cluster.get("namespace/kube-system")
    first = signed(api.requests[-1].headers["authorization"])["X-Amz-Credential"][0]
    cluster.get("namespace/kube-system")
    second = signed(api.requests[-1].headers["authorization"])["X-Amz-Credential"][0]
    cluster.aws("eks").list_clusters()
    assert len({first, second, aws.calls[-1].key}) == 3


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("", "Unable to locate credentials"),
        ("[default]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = none\n", "none"),
        (
            "[default]\nsso_start_url = https://x.awsapps.com/start\nsso_region = eu-west-1\n"
            "sso_account_id = 111122223333\nsso_role_name = r\n",
            "SSO",
        ),
        ("[default]\ncredential_process = false\n", "custom-process"),
    ],
    ids=["nothing", "no-source", "sso-not-signed-in", "process"],
)
def test_credentials_that_cannot_be_had_are_told(
    text: str, seen: str, aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in KEYS:
        monkeypatch.delenv(name)
    profile(text)
    with pytest.raises(EksnetError, match=seen) as caught:
        connect()
    assert "AWS has no credentials for you" in caught.value.seen
    assert "aws sso login" in caught.value.next_step


def test_a_profile_that_is_not_there_is_told(aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "typo")
    with pytest.raises(EksnetError, match=r"profile \(typo\) could not be found"):
        connect()


# What AWS refuses.

EXPIRED = "The security token included in the request is expired"
LATE = "Signature expired: 20260301T000000Z is now earlier than 20260301T003000Z"


@pytest.mark.parametrize(
    ("call", "refusal", "seen", "next_step"),
    [
        ("sts", (403, "ExpiredToken", EXPIRED), "credentials have expired", "aws sso login"),
        ("GET", (403, "ExpiredTokenException", EXPIRED), "have expired: EKS says", "aws sso login"),
        ("sts", (403, "InvalidClientTokenId", "invalid"), "does not know your", "AWS_PROFILE"),
        ("GET", (403, "UnrecognizedClientException", "x"), "does not know your", "AWS_PROFILE"),
        ("sts", (403, "SignatureDoesNotMatch", LATE), "clock of this computer", "clock"),
        ("GET", (403, "InvalidSignatureException", LATE), "clock of this computer", "clock"),
        ("GET", (403, "InvalidSignatureException", "another"), "does not know your", "AWS_PROFILE"),
        ("GET", (403, "AccessDeniedException", "no right"), "EKS refused: no right", "own-cluster"),
    ],
)
def test_what_aws_refuses_is_told(
    call: str, refusal: Refusal, seen: str, next_step: str, aws: FakeAws
) -> None:
    aws.refuse = refusing(call, refusal)
    with pytest.raises(EksnetError, match=seen) as caught:
        connect()
    assert next_step in caught.value.next_step


def test_a_wrong_clock_is_told_with_how_wrong_it_is() -> None:
    from eksnet.aws import refusals

    then = datetime.now(UTC) - timedelta(minutes=20)
    date = then.strftime("%a, %d %b %Y %H:%M:%S GMT")
    error = {"Code": "SignatureDoesNotMatch", "Message": LATE}
    response = {"Error": error, "ResponseMetadata": {"HTTPHeaders": {"date": date}}}
    found = refusals._refused(response, "STS")
    assert found is not None and "clock of this computer is 20 minutes fast" in found.seen


def test_a_denied_call_is_a_refusal_wherever_it_comes(aws: FakeAws) -> None:
    cluster = connect()
    aws.refuse = refusing("GET /clusters", (403, "AccessDeniedException", "not you"))
    with pytest.raises(RefusedError, match="EKS refused: not you"):
        cluster.aws("eks").list_clusters()


def test_throttling_is_waited_for(aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", soon)
    refused = iter([True] * 6)
    aws.refuse = lambda call: (
        (429, "ThrottlingException", "Rate exceeded") if next(refused, False) else None
    )
    assert connect().eks_name == "prod"


def test_throttling_that_does_not_end_is_told(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", soon)
    aws.refuse = refusing("sts", (400, "Throttling", "Rate exceeded"))
    with pytest.raises(EksnetError, match="STS takes no more calls for now: Rate exceeded"):
        connect()
    assert len(aws.calls) == 8


def soon(*_: object, **__: object) -> float:
    return 0.0


def test_an_aws_that_does_not_answer_is_told(aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", soon)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(UnreachableError, match=r"STS did not answer at http://127.0.0.1:1"):
        connect()


# The cluster.


def test_a_cluster_that_is_not_there_is_told_with_those_that_are(aws: FakeAws) -> None:
    with pytest.raises(NotFoundError, match="no EKS cluster 'other' in eu-west-1") as caught:
        eksnet.connect("eks:other@eu-west-1", changes="other")
    assert caught.value.expected == "one of these clusters: prod"


def test_a_cluster_that_is_being_created_is_told(aws: FakeAws) -> None:
    aws.cluster |= {"status": "CREATING", "endpoint": None}
    with pytest.raises(EksnetError, match="prod is CREATING, and has no API server") as caught:
        connect()
    assert "aws eks wait cluster-active" in caught.value.next_step


@pytest.mark.parametrize(("caller", "named"), [(USER, USER), (SESSION, ROLE)])
def test_without_an_access_entry_the_error_names_whom_to_give_one(
    caller: str, named: str, aws: FakeAws, api: FakeApi
) -> None:
    aws.caller = caller
    api.refuse = lambda request: (401, failure(401, "Unauthorized", "Unauthorized"))
    with pytest.raises(EksnetError, match="there is no access entry for it") as caught:
        connect()
    assert f"--principal-arn {named} " in caught.value.next_step
    # Once more with a new token, and not again.
    assert len(api.requests) == 2


@pytest.mark.parametrize(
    ("network", "seen", "next_step"),
    [
        ({"endpointPublicAccess": False}, "has no public address", "endpointPublicAccess=true"),
        ({"publicAccessCidrs": ["192.0.2.0/24"]}, "lets in 192.0.2.0/24 alone", "checkip"),
        ({"publicAccessCidrs": ["0.0.0.0/0"]}, "did not answer: Connection refused", "kubectl"),
    ],
)
def test_an_api_server_that_cannot_be_reached_is_told(
    network: dict[str, object], seen: str, next_step: str, aws: FakeAws
) -> None:
    aws.cluster |= {"endpoint": "http://127.0.0.1:1", "resourcesVpcConfig": network}
    with pytest.raises(UnreachableError, match=seen) as caught:
        connect()
    assert next_step in caught.value.next_step


# Changes.


@pytest.mark.parametrize("name", sorted(WRITING))
def test_no_writing_method_writes_to_a_cluster_that_was_not_named(
    name: str, aws: FakeAws, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(api, "eks:prod@eu-west-1")
    cluster = connect()
    monkeypatch.delenv("EKSNET_CHANGES")
    with pytest.raises(EksnetError, match="its name was not given"):
        WRITING[name](cluster)
    assert api.writes == []


def test_the_name_of_the_cluster_is_enough_to_write(aws: FakeAws, api: FakeApi) -> None:
    connect().apply(MANIFEST)
    assert [str(write) for write in api.writes] == [
        "PATCH /api/v1/namespaces/default/configmaps/new"
    ]


def test_another_cluster_behind_the_same_address_is_refused(aws: FakeAws, api: FakeApi) -> None:
    cluster = connect()
    api.remove("/api/v1/namespaces/kube-system")
    api.put("/api/v1/namespaces/kube-system", {})
    with pytest.raises(EksnetError, match="another UID of kube-system"):
        cluster.apply(MANIFEST)
    assert api.writes == []


def test_what_changes_aws_passes_the_guard_too(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = connect()
    monkeypatch.delenv("EKSNET_CHANGES")
    aws.calls.clear()
    with pytest.raises(EksnetError, match="its name was not given"):
        cluster.aws("eks").create_addon(clusterName="prod", addonName="coredns")
    with pytest.raises(EksnetError, match="connection is read-only"):
        connect_read_only().aws("eks").delete_addon(clusterName="prod", addonName="coredns")
    assert aws.calls == []


@pytest.mark.parametrize("name", sorted(READING))
def test_reading_needs_no_name(name: str, aws: FakeAws, api: FakeApi) -> None:
    fill(api, "eks:prod@eu-west-1")
    READING[name](connect())
    assert api.writes == []


# In the middle of a run.


def test_a_token_that_is_refused_is_made_anew(aws: FakeAws, api: FakeApi) -> None:
    cluster = connect()
    before = api.requests[-1].headers["authorization"]
    moment = datetime.now(UTC) + timedelta(minutes=1)
    cluster_tokens(cluster)._now = lambda: moment
    api.refuse = lambda request: (
        (401, failure(401, "Unauthorized", "Unauthorized"))
        if request.headers["authorization"] == before
        else None
    )
    cluster.apply(MANIFEST)
    (write,) = api.writes
    assert write.headers["authorization"] != before


def cluster_tokens(cluster: eksnet.cluster.Cluster) -> eksnet.aws.tokens.Tokens:
    return cluster._client._sign_in_again.__self__  # type: ignore[union-attr]


def test_a_busy_api_server_is_waited_for(
    aws: FakeAws, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("eksnet.cluster.waits.time.sleep", pauses.append)
    cluster = connect()
    busy, api.retry_after = iter(range(3)), "2"
    api.refuse = lambda request: (
        (429, failure(429, "TooManyRequests", "try again"))
        if next(busy, None) is not None
        else None
    )
    assert cluster.apply(MANIFEST)[0].result == "created"
    assert pauses == [2.0] * 3


def test_an_api_server_that_stays_busy_is_told(
    aws: FakeAws, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eksnet.cluster.waits.time.sleep", lambda _: None)
    cluster = connect()
    api.retry_after = "1"
    api.refuse = lambda request: (429, failure(429, "TooManyRequests", "try again"))
    with pytest.raises(EksnetError, match="says: try again") as caught:
        cluster.apply(MANIFEST)
    assert "repeat the call" in caught.value.next_step
    api.refuse = lambda request: None
    assert cluster.apply(MANIFEST)[0].result == "created"


def test_credentials_that_end_in_the_middle_stop_with_a_clear_word(
    aws: FakeAws, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.lasts = timedelta(minutes=5)
    a_role(monkeypatch)
    cluster = eksnet.connect("eks:prod")
    aws.refuse = refusing("AssumeRole", (403, "ExpiredToken", EXPIRED))
    api.refuse = lambda request: (401, failure(401, "Unauthorized", "Unauthorized"))
    with pytest.raises(EksnetError, match="AWS credentials have expired"):
        cluster.apply(MANIFEST)
    aws.refuse, api.refuse = lambda call: None, lambda request: None
    assert cluster.apply(MANIFEST)[0].result == "created"


def test_helm_gets_the_address_and_a_token_of_now(
    aws: FakeAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "helm"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\ncat "$KUBECONFIG"\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    cluster = connect()
    said = json.loads(cluster.helm("list").stdout)
    assert said["clusters"][0]["cluster"]["server"] == cluster.identity.server
    assert said["users"][0]["user"]["token"].startswith("k8s-aws-v1.")
