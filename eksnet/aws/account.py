"""One AWS account and what leads to it: the only place that makes AWS clients."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from eksnet.aws import refusals
from eksnet.errors import EksnetError

# What changes nothing, by the first word of the operation's name.
_READS = ("Describe", "List", "Get", "Search", "Lookup", "Simulate")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
# With its pauses, that outlasts a short cut of the network and most throttling.
_TRIES = 8
_CONNECT_SECONDS = 10

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Write:
    """An operation that could change something, before it is sent.

    Attributes:
        service: The service as boto3 calls it.
        operation: The operation, such as `UpdateAddon`.
        parameters: What it was called with.
    """

    service: str
    operation: str
    parameters: Json


# Called before each of them; returns the parameters that are sent, or raises, and nothing is sent.
BeforeWrite = Callable[[Write], Json]


@dataclass(frozen=True)
class ApiServer:
    """Where the API server of an EKS cluster is, as `describe_cluster` says.

    Attributes:
        endpoint: Its URL.
        authority: Its certificate authority: base64 of PEM.
    """

    endpoint: str
    authority: str


@dataclass(frozen=True)
class Account:
    """Where an account is reached and with which keys.

    Attributes:
        endpoint: The URL that stands for every AWS service; empty for AWS's own.
        region: The region.
        access_key: The access key's id.
        secret: The secret access key.
        cluster: The name of the EKS cluster that it is used for.
        session: The session token of temporary keys; empty for lasting ones.
        sts: The URL of STS where it is not the endpoint.
    """

    endpoint: str
    region: str
    access_key: str
    secret: str = field(repr=False)
    cluster: str
    session: str = field(default="", repr=False)
    sts: str = ""

    def __repr__(self) -> str:
        """Say where it is; never the secret."""
        return f"<Account {self.access_key} at {self.endpoint or self.sts}>"

    def client(self, service: str, before_write: BeforeWrite) -> Any:
        """Return a boto3 client for a service.

        Nothing of the learner's own AWS set-up is read: no variable, no profile, no file.

        Args:
            service: The service as boto3 calls it, such as `eks`.
            before_write: Called before each operation that could change anything.

        Raises:
            ValueError: boto3 knows no such service.
        """
        # No proxy stands between this computer and itself, whatever the environment says.
        settings = {"proxies": {}, "ignore_configured_endpoint_urls": True}
        return _client(
            _session_of_nobody(),
            service,
            before_write,
            settings | {"retries": {"mode": "standard"}},
            region_name=self.region,
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret,
            aws_session_token=self.session or None,
        )


@dataclass(frozen=True, repr=False)
class OwnAccount(Account):
    """An account as the learner's own AWS set-up leads to it, with the keys of the moment.

    Attributes:
        setup: The set-up, which renews temporary keys.
    """

    setup: OwnSetup | None = field(default=None, repr=False, compare=False)

    def client(self, service: str, before_write: BeforeWrite) -> Any:
        """Return a boto3 client for a service, whose keys are renewed; see `Account.client`."""
        assert self.setup is not None
        return self.setup.client(service, before_write)


class OwnSetup:
    """The learner's own AWS set-up: profiles, SSO and assumed roles, as boto3 has them."""

    def __init__(self, region: str = "") -> None:
        """Read it; nothing is asked yet.

        Args:
            region: The region; else that of AWS_REGION or of the set-up.

        Raises:
            EksnetError: There is no such profile, or no region.
        """
        import botocore.session

        self._session = botocore.session.Session()
        with _in_words():
            known = self._session.get_config_variable("region")
        self.region = region or os.environ.get("AWS_REGION") or known or ""
        if not self.region:
            raise EksnetError(
                "your AWS set-up names no region",
                "the region of the cluster",
                'eksnet.connect("eks:NAME@REGION"), or AWS_REGION',
            )
        # The tokens of a cluster are signed for the STS of its own region.
        self._session.set_config_variable("sts_regional_endpoints", "regional")
        self._session.register("creating-client-class", _own)

    def client(self, service: str, before_write: BeforeWrite) -> Any:
        """Return a boto3 client for a service; see `Account.client`.

        Args:
            service: The service as boto3 calls it.
            before_write: Called before each operation that could change anything.

        Raises:
            EksnetError: There are no credentials.
        """
        settings: dict[str, Any] = {
            "retries": {"mode": "standard", "total_max_attempts": _TRIES},
            "connect_timeout": _CONNECT_SECONDS,
        }
        if urlsplit(self.elsewhere).hostname in _LOOPBACK:
            settings["proxies"] = {}
        with _in_words():
            return _client(self._session, service, before_write, settings, region_name=self.region)

    def account(self, cluster: str) -> OwnAccount:
        """Return the account with the keys of the moment: those of a role end, and are renewed.

        Args:
            cluster: The name of the EKS cluster that it is used for.

        Raises:
            EksnetError: There are no keys, or they cannot be renewed.
        """
        import botocore.exceptions

        with _in_words():
            found = self._session.get_credentials()
            if found is None:
                raise botocore.exceptions.NoCredentialsError()
            keys = found.get_frozen_credentials()
        return OwnAccount(
            self.elsewhere, self.region, keys.access_key, keys.secret_key, cluster,
            session=keys.token or "", sts=self.sts, setup=self,
        )  # fmt: skip

    @cached_property
    def sts(self) -> str:
        """The URL of STS."""
        return self._url("sts")

    @cached_property
    def elsewhere(self) -> str:
        """The URL that stands for AWS in this set-up (AWS_ENDPOINT_URL); empty for AWS itself."""
        found = self._url("eks")
        return "" if found == self._url("eks", ignore_configured_endpoint_urls=True) else found

    def _url(self, service: str, **settings: Any) -> str:
        from botocore import UNSIGNED
        from botocore.config import Config

        client = self._session.create_client(
            service, self.region, config=Config(signature_version=UNSIGNED, **settings)
        )
        return str(client.meta.endpoint_url).rstrip("/")


def _client(
    session: Any, service: str, before_write: BeforeWrite, settings: dict[str, Any], **where: Any
) -> Any:
    """Return a client that asks before it writes, and whose errors are those of the course."""
    from botocore.config import Config

    client = session.create_client(service, config=Config(**settings), **where)

    def before(params: Json, model: Any, **_: Any) -> Json | None:
        if model.name.startswith(_READS):
            return None
        return before_write(Write(service, model.name, params))

    # The first event of a call, and of a URL that is signed in advance.
    client.meta.events.register("provide-client-params", before)
    return client


def _session_of_nobody() -> Any:
    """Return a session that reads neither the environment nor any file."""
    import botocore.session

    nowhere = (None, None, os.devnull, None)
    unset = (None, None, None, None)
    session = botocore.session.Session(
        session_vars={"config_file": nowhere, "credentials_file": nowhere, "profile": unset}
    )
    session.register("creating-client-class", _of_a_sandbox)
    return session


class _InWords:
    """What a client's class has besides: its errors are those of the course."""

    _of_the_learner: bool
    meta: Any

    def _make_api_call(self, operation: str, parameters: Any) -> Any:
        import botocore.exceptions

        try:
            return super()._make_api_call(operation, parameters)  # type: ignore[misc]
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            service = self.meta.service_model
            name = service.service_id.upper().removesuffix(" V2")
            found = refusals.told(
                error, _NAMES.get(name, name), self.meta.endpoint_url, own=self._of_the_learner
            )
            if found is None:
                raise
            raise found from None


_NAMES = {"ELASTIC LOAD BALANCING": "ELB"}


def _own(class_attributes: dict[str, Any], base_classes: list[type], **_: Any) -> None:
    class_attributes["_of_the_learner"] = True
    base_classes.insert(0, _InWords)


def _of_a_sandbox(class_attributes: dict[str, Any], base_classes: list[type], **_: Any) -> None:
    class_attributes["_of_the_learner"] = False
    base_classes.insert(0, _InWords)


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    """Turn what is wrong with the learner's own set-up into an error of the course."""
    import botocore.exceptions

    try:
        yield
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise refusals.told(error, "AWS", "its endpoint", own=True) or EksnetError(
            f"your AWS set-up cannot be used: {error}", "a set-up that the AWS CLI can use"
        ) from None


def failures() -> tuple[type[Exception], ...]:
    """Return what a call of a client can raise that is no error of the course."""
    import botocore.exceptions

    return (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)
