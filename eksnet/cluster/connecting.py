"""`connect` and `connect_read_only`: from a target's name to the cluster that all notebooks use."""

from __future__ import annotations

import contextlib
import functools
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from eksnet import inputs
from eksnet.aws import Account, ApiServer
from eksnet.aws.tokens import Tokens
from eksnet.cluster import guard, helm, kubeconfig, targets
from eksnet.cluster.access import sandbox_account, sandbox_is_down
from eksnet.cluster.client import ApiError, Client
from eksnet.cluster.cluster import Cluster
from eksnet.cluster.credentials import configure, with_tokens
from eksnet.cluster.guard import Guard, Identity
from eksnet.cluster.helm import Helm
from eksnet.cluster.kinds import Kinds
from eksnet.cluster.targets import Target
from eksnet.errors import EksnetError, RefusedError

_CLUSTER, _LOOK = "the API server of a Kubernetes cluster", "`kubectl config view`"
# What `connect` opened last in this process: what `connect_read_only` opens when nothing is named.
_latest: Cluster | None = None


def connect(target: str | None = None, *, changes: str | None = None) -> Cluster:
    """Connect to a cluster.

    Args:
        target: `sandbox`, `context:NAME` or `eks:NAME[@REGION]`; else what EKSNET_TARGET says,
            else the sandbox, which is started when it is not up.
        changes: The name of the cluster that may be changed; else what EKSNET_CHANGES says. The
            sandbox needs none.

    Raises:
        EksnetError: No such target, it does not answer, or `changes` names another cluster.
    """
    global _latest
    wanted = targets.chosen(target)
    if changes is not None:
        guard.check_name(wanted, changes)
    if wanted.kind == "sandbox":
        from eksnet.sandbox import lifecycle

        running = lifecycle.ensure_up()
        _latest = _open_sandbox(wanted, running.name, guard.allow_changes)
    elif wanted.kind == "context":
        _latest = open_context(wanted, wanted.name, changes=changes)
    else:
        raise _not_yet(wanted)
    return _latest


def connect_read_only(target: str | None = None) -> Cluster:
    """Connect for reading only: nothing is started, and every change is refused.

    Args:
        target: As `connect` takes it; else what this process connected to last, else what
            `connect` would take.

    Raises:
        EksnetError: It does not answer, the sandbox is not up, or the context has come to mean
            another cluster since `connect`.
    """
    known = None if target else _latest
    wanted = known.target if known else targets.chosen(target)
    if wanted.kind == "sandbox":
        from eksnet.sandbox import lifecycle

        state = lifecycle.status()
        # In every other phase the API server may answer, and it is told when it does not.
        if state.phase == "down":
            raise sandbox_is_down()
        return _open_sandbox(wanted, state.name, guard.refuse_changes)
    if wanted.kind != "context":
        raise _not_yet(wanted)
    found = open_context(wanted, wanted.name, guard.refuse_changes)
    if known and not found.identity.is_same_cluster(known.identity):
        raise EksnetError(
            f"{wanted} points to another cluster since eksnet.connect()",
            f"the API server {known.identity.server} of that time",
            f'look at `kubectl config view`; if it is correct, run eksnet.connect("{wanted}")',
        )
    return found


def _open_sandbox(target: Target, name: str, check: Guard) -> Cluster:
    """Open a sandbox's cluster with tokens of its own AWS account."""
    from eksnet.sandbox import internet, paths
    from eksnet.sandbox.aws.access import access

    found = access(name)
    api = ApiServer(found.api_server, found.authority_data)
    opened = open_eks(target, sandbox_account(name), api, check)
    # Asked anew each time: after a start the AWS services may be at another port.
    opened.account = functools.partial(sandbox_account, name)
    opened.dial = functools.partial(internet.dial, name=name)
    opened.certificates_ca = paths.paths(name).certificates_ca
    opened.helm_program = functools.partial(_sandbox_helm, name)
    return opened


def _sandbox_helm(name: str) -> Helm:
    """Return the engine's Helm, with the sandbox's chart repository."""
    from eksnet.sandbox import lifecycle

    return Helm(*lifecycle.helm(name))


def _not_yet(wanted: Target) -> EksnetError:
    return EksnetError(
        f"{wanted} is not supported yet: targets of the form eks:NAME come later",
        "`sandbox` or `context:NAME`",
        f"`aws eks update-kubeconfig --name {wanted.name} --alias {wanted.name}`, "
        f'then eksnet.connect("context:{wanted.name}")',
    )


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


def open_eks(target: Target, account: Account, api: ApiServer, check: Guard) -> Cluster:
    """Open an EKS cluster: with tokens that this process makes, as `aws eks get-token` does.

    Args:
        target: What the reader calls it.
        account: The AWS account whose keys sign the tokens.
        api: Where its API server is.
        check: The guard.

    Raises:
        EksnetError: The API server does not answer, or does not know the account's user.
    """
    configuration = with_tokens(api.endpoint, b64decode(api.authority), Tokens(account))
    seen = kubeconfig.Context(
        str(target), api.endpoint, kubeconfig.digest(api.authority), account.access_key, "default"
    )
    return _opened(target, configuration, seen, lambda _: check)


def _opened(
    target: Target,
    configuration: Any,
    seen: kubeconfig.Context,
    check: Callable[[Identity], Guard],
) -> Cluster:
    """Return the cluster behind a configuration, once its API server has answered."""
    reader = _reader(configuration, target)
    with inputs.well_formed(f"the answer of {seen.server}", target, _CLUSTER, _LOOK):
        version = str(reader.get("/version")["gitVersion"])
        identity = _identity(reader, seen)
    client = Client(configuration, check(identity), target)
    return Cluster(client, Kinds(client), target, identity, seen.namespace, version, _nodes(reader))


def _reader(configuration: Any, target: Target) -> Client:
    return Client(configuration, _refuse, target)


def _identity(client: Client, context: kubeconfig.Context) -> Identity:
    identity = Identity(context.server, context.ca, context.user, "")
    try:
        namespace = client.get("/api/v1/namespaces/kube-system")
    except RefusedError:
        # Many may not read it; server, authority and user must do then.
        return identity
    return replace(identity, uid=str(namespace["metadata"]["uid"]))


def _nodes(client: Client) -> int | None:
    with contextlib.suppress(ApiError):
        return len(client.get("/api/v1/nodes").get("items") or ())
    return None


def _refuse() -> None:
    raise AssertionError("this client is read-only")
