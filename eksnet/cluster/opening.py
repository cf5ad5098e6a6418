"""From credentials and an address to an open cluster: its API server has answered."""

from __future__ import annotations

import contextlib
import functools
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from eksnet import inputs
from eksnet.aws import Account, ApiServer
from eksnet.aws.tokens import Tokens
from eksnet.cluster import guard, helm, kubeconfig
from eksnet.cluster.client import ApiError, Client
from eksnet.cluster.cluster import Cluster
from eksnet.cluster.credentials import configure, with_tokens
from eksnet.cluster.guard import Guard, Identity
from eksnet.cluster.kinds import Kinds
from eksnet.cluster.targets import Target
from eksnet.errors import RefusedError

_CLUSTER, _LOOK = "the API server of a Kubernetes cluster", "`kubectl config view`"


def open_context(
    target: Target,
    context: str,
    check: Guard | None = None,
    *,
    changes: str | None = None,
) -> Cluster:
    """Open the cluster of a context: of the files that KUBECONFIG names, else of ~/.kube/config.

    Args:
        target: What the reader calls it.
        context: The context's name.
        check: The guard; None takes that of named clusters.
        changes: The name of the cluster that may be changed, for that guard.

    Raises:
        EksnetError: No such context, or the API server does not answer.
    """
    files = kubeconfig.search_path()
    seen = kubeconfig.read(context, files)
    configuration = configure(files, context)

    def look() -> Identity:
        return _identity(_reader(configuration, target), kubeconfig.read(context, files))

    opened = _opened(
        target,
        configuration,
        seen,
        lambda identity: check or guard.NamedCluster(target, identity, look, changes),
    )
    opened.helm_program = functools.partial(helm.of_context, context)
    return opened


def open_eks(
    target: Target,
    account: Callable[[], Account],
    api: ApiServer,
    user: str,
    check: Callable[[Identity, Callable[[], Identity]], Guard],
) -> Cluster:
    """Open an EKS cluster: with tokens that this process makes, as `aws eks get-token` does.

    Args:
        target: What the reader calls it.
        account: Returns the AWS account whose keys sign the tokens, as they are then.
        api: Where its API server is.
        user: Who that is: the name of the key, of the user or of the role.
        check: Returns the guard for what was seen, and what looks again.

    Raises:
        EksnetError: The API server does not answer, or does not know the account's user.
    """
    tokens = Tokens(account)
    configuration = with_tokens(api.endpoint, b64decode(api.authority), tokens)
    authority = kubeconfig.digest(api.authority)
    seen = kubeconfig.Context(str(target), api.endpoint, authority, user, "default")

    def look() -> Identity:
        # Where it is and who asks was said once, and stays; another cluster there is another UID.
        return _identity(_reader(configuration, target, tokens.forget), seen)

    opened = _opened(target, configuration, seen, lambda it: check(it, look), tokens.forget)
    opened.account = account
    return opened


def _opened(
    target: Target,
    configuration: Any,
    seen: kubeconfig.Context,
    check: Callable[[Identity], Guard],
    sign_in_again: Callable[[], None] | None = None,
) -> Cluster:
    """Return the cluster behind a configuration, once its API server has answered."""
    reader = _reader(configuration, target, sign_in_again)
    with inputs.well_formed(f"the answer of {seen.server}", target, _CLUSTER, _LOOK):
        version = str(reader.get("/version")["gitVersion"])
        identity = _identity(reader, seen)
    client = Client(configuration, check(identity), target, sign_in_again)
    # From here on it has answered once: a cut of the connection may pass by.
    client.is_patient = target.kind != "sandbox"
    nodes = _nodes(reader)
    opened = Cluster(
        client, Kinds(client), target, identity, seen.namespace, version,
        None if nodes is None else len(nodes),
    )  # fmt: skip
    opened.compute = compute(nodes or ())
    return opened


def _reader(
    configuration: Any, target: Target, sign_in_again: Callable[[], None] | None = None
) -> Client:
    return Client(configuration, _refuse, target, sign_in_again)


def _identity(client: Client, context: kubeconfig.Context) -> Identity:
    identity = Identity(context.server, context.ca, context.user, "")
    try:
        namespace = client.get("/api/v1/namespaces/kube-system")
    except RefusedError:
        # Many may not read it; server, authority and user must do then.
        return identity
    return replace(identity, uid=str(namespace["metadata"]["uid"]))


def _nodes(client: Client) -> Sequence[Mapping[str, Any]] | None:
    with contextlib.suppress(ApiError):
        return tuple(client.get("/api/v1/nodes").get("items") or ())
    return None


def compute(nodes: Sequence[Mapping[str, Any]]) -> str:
    """Return what pods run on: `nodes`, `auto` for EKS Auto Mode, `fargate`.

    Where there are nodes of several kinds, the ordinary ones count: pods may come to them.

    Args:
        nodes: The nodes, as the API server returns them.
    """
    label = "eks.amazonaws.com/compute-type"
    kinds = {str((one["metadata"].get("labels") or {}).get(label, "")) for one in nodes}
    if kinds and kinds <= {"auto", "fargate"}:
        return "auto" if "auto" in kinds else "fargate"
    return "nodes"


def _refuse() -> None:
    raise AssertionError("this client is read-only")
