"""How another program reaches a cluster and the AWS account that it is in."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eksnet.aws import Account
from eksnet.cluster import targets
from eksnet.errors import EksnetError


@dataclass(frozen=True)
class Access:
    """Where the API server and AWS are, and with what they are asked.

    Attributes:
        server: The API server's URL.
        authority: Its certificate authority, as PEM; empty for those of the computer.
        token: A bearer token; empty for none.
        certificate: A client certificate, as PEM; empty for none.
        key: Its key, as PEM.
        insecure: Whether the API server's certificate is not checked.
        namespace: Where objects go that name no namespace.
        account: The AWS account; None where none is known.
    """

    server: str
    authority: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    insecure: bool = False
    namespace: str = "default"
    account: Account | None = None

    @classmethod
    def of(cls, configuration: Any, namespace: str, account: Account | None) -> Access:
        """Return the access that a configuration of the official client has.

        Args:
            configuration: The configuration, with credentials that last.
            namespace: Where objects go that name no namespace.
            account: The AWS account; None where none is known.
        """
        token = str(
            configuration.api_key.get("authorization", configuration.api_key.get("BearerToken", ""))
        )
        return cls(
            str(configuration.host),
            _content(configuration.ssl_ca_cert),
            token.removeprefix("Bearer ").strip(),
            _content(configuration.cert_file),
            _content(configuration.key_file),
            not configuration.verify_ssl,
            namespace,
            account,
        )

    def kubeconfig(self) -> str:
        """Return a kubeconfig that holds the credentials themselves, for a program's one call."""
        cluster = {
            "server": self.server,
            "certificate-authority-data": base64.b64encode(self.authority.encode()).decode(),
        }
        context = {"cluster": "eks", "user": "own", "namespace": self.namespace}
        # JSON is YAML too.
        return json.dumps({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "eks", "cluster": cluster}],
            "users": [{"name": "own", "user": {"token": self.token}}],
            "contexts": [{"name": "eks", "context": context}],
            "current-context": "eks",
        })  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return what the engine's programs read: the secrets go to their standard input alone."""
        names = ("server", "authority", "token", "certificate", "key", "insecure")
        account = self.account
        aws = None if account is None else {
            "endpoint": account.endpoint, "region": account.region,
            "access_key": account.access_key, "secret": account.secret,
            "session": account.session,
        }  # fmt: skip
        return {
            "cluster": {name: getattr(self, name) for name in names},
            "aws": aws,
            "name": account.cluster if account else "",
        }


def access_read_only(target: str | None = None) -> Access:
    """Return how another program reaches a cluster; nothing is started.

    For the sandbox nothing is asked and nothing heavy is loaded, so it takes no time.

    Args:
        target: As `connect` takes it.

    Raises:
        EksnetError: The sandbox is down, or the context's cluster does not answer.
    """
    if targets.chosen(target).kind != "sandbox":
        from eksnet.cluster.connecting import connect_read_only

        return connect_read_only(target).access
    from eksnet.aws.tokens import Tokens
    from eksnet.sandbox import locks, paths
    from eksnet.sandbox.aws.access import access

    named = paths.paths()
    if not locks.is_alive(named):
        raise sandbox_is_down()
    found = access(named.state.name)
    account = sandbox_account(named.state.name)
    token = Tokens(lambda: account)()
    authority = found.authority.read_text()
    return Access(found.api_server, authority, token=token, account=account)


def sandbox_is_down() -> EksnetError:
    """Return what is said where a sandbox has to be up."""
    return EksnetError("the sandbox is down", "a sandbox that is up", "`eksnet up`")


def sandbox_account(name: str) -> Account:
    """Return a sandbox's own AWS account.

    Args:
        name: The sandbox.
    """
    from eksnet.sandbox.aws import keys
    from eksnet.sandbox.aws.access import access

    found = access(name)
    own = keys.read(found.keys)
    return Account(found.endpoint, found.region, own.access_key, own.secret, found.cluster)


def _content(file: str | None) -> str:
    return Path(file).read_text() if file else ""
