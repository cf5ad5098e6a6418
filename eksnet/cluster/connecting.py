"""`connect` and `connect_read_only`: from a target's name to the cluster that all notebooks use."""

from __future__ import annotations

import functools

from eksnet.aws import ApiServer
from eksnet.cluster import eks, guard, targets
from eksnet.cluster.access import sandbox_account, sandbox_is_down
from eksnet.cluster.cluster import Cluster
from eksnet.cluster.guard import Guard
from eksnet.cluster.helm import Helm
from eksnet.cluster.opening import open_context, open_eks
from eksnet.cluster.targets import Target
from eksnet.errors import EksnetError

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
        _latest = eks.open_own(wanted, changes)
    return _latest


def connect_read_only(target: str | None = None) -> Cluster:
    """Connect for reading only: nothing is started, and every change is refused.

    Args:
        target: As `connect` takes it; else what this process connected to last, else what
            `connect` would take.

    Raises:
        EksnetError: It does not answer, the sandbox is not up, or the target has come to mean
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
    if wanted.kind == "context":
        found = open_context(wanted, wanted.name, guard.refuse_changes)
    else:
        found = eks.open_read_only(wanted)
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
    # Asked anew each time: after a start the AWS services may be at another port.
    account = functools.partial(sandbox_account, name)
    opened = open_eks(target, account, api, account().access_key, lambda *_: check)
    opened.dial = functools.partial(internet.dial, name=name)
    opened.certificates_ca = paths.paths(name).certificates_ca
    opened.helm_program = functools.partial(_sandbox_helm, name)
    return opened


def _sandbox_helm(name: str) -> Helm:
    """Return the engine's Helm, with the sandbox's chart repository."""
    from eksnet.sandbox import lifecycle

    return Helm(*lifecycle.helm(name))
