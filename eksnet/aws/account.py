"""One AWS account and what leads to it: the only place that makes AWS clients."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# What changes nothing, by the first word of the operation's name.
_READS = ("Describe", "List", "Get", "Search", "Lookup", "Simulate")


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
        endpoint: The URL that stands for every AWS service.
        region: The region.
        access_key: The access key's id.
        secret: The secret access key.
        cluster: The name of the EKS cluster that it is used for.
    """

    endpoint: str
    region: str
    access_key: str
    secret: str
    cluster: str

    def __repr__(self) -> str:
        """Say where it is; never the secret."""
        return f"<Account {self.access_key} at {self.endpoint}>"

    def client(self, service: str, guard: Callable[[], None]) -> Any:
        """Return a boto3 client for a service.

        Nothing of the learner's own AWS set-up is read: no variable, no profile, no file.

        Args:
            service: The service as boto3 calls it, such as `eks`.
            guard: Called before each operation that could change anything; it may raise.

        Raises:
            ValueError: boto3 knows no such service.
        """
        client = _session().create_client(
            service,
            region_name=self.region,
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret,
            config=_configuration(),
        )

        def before(model: Any, **_: Any) -> None:
            if not model.name.startswith(_READS):
                guard()

        client.meta.events.register("before-call", before)
        return client


def _session() -> Any:
    """Return a session that reads neither the environment nor any file."""
    import botocore.session

    nowhere = (None, None, os.devnull, None)
    unset = (None, None, None, None)
    return botocore.session.Session(
        session_vars={"config_file": nowhere, "credentials_file": nowhere, "profile": unset}
    )


def _configuration() -> Any:
    from botocore.config import Config

    # No proxy stands between this computer and itself, whatever the environment says.
    return Config(proxies={}, ignore_configured_endpoint_urls=True, retries={"mode": "standard"})
