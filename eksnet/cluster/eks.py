"""The learner's own EKS cluster: found through the AWS API, and said once what it is."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

from eksnet.aws import OwnSetup, described
from eksnet.aws.described import Described
from eksnet.cluster import guard, helm
from eksnet.cluster.client import ApiError
from eksnet.cluster.cluster import Cluster
from eksnet.cluster.guard import Guard, Identity, NamedCluster
from eksnet.cluster.opening import open_eks
from eksnet.cluster.targets import Target
from eksnet.errors import EksnetError, UnreachableError

# What was found for a target in this process: checks connect anew each time.
_found: dict[Target, tuple[OwnSetup, Described]] = {}
_told: set[Identity] = set()


def open_own(target: Target, changes: str | None) -> Cluster:
    """Open the cluster of a target `eks:NAME[@REGION]`, and print once what it is.

    Args:
        target: The target.
        changes: The name of the cluster that may be changed; else what EKSNET_CHANGES says.

    Raises:
        EksnetError: There are no credentials, no such cluster, no access to it, or no answer.
    """
    setup = _own_setup(target, changes)
    found = described.describe(setup, target.name)
    _found[target] = setup, found

    def check(seen: Identity, look: Callable[[], Identity]) -> Guard:
        return NamedCluster(target, seen, look, changes)

    opened = _open(target, setup, found, check)
    if opened.identity not in _told:
        _told.add(opened.identity)
        print(connected(found, described.addons(setup, target.name), setup.elsewhere))
    return opened


def open_read_only(target: Target) -> Cluster:
    """Open a cluster for reading only: where this process found it, if it did.

    Args:
        target: The target.

    Raises:
        EksnetError: As in `open_own`.
    """
    if target not in _found:
        setup = _own_setup(target, None)
        _found[target] = setup, described.describe(setup, target.name)
    return _open(target, *_found[target], lambda *_: guard.refuse_changes)


def connected(found: Described, addons: tuple[str, ...] | None, elsewhere: str) -> str:
    """Say what was connected to.

    Args:
        found: The cluster.
        addons: Its add-ons; None where they may not be listed.
        elsewhere: The URL that stands for AWS; empty for AWS itself.
    """
    listed = "not listed: no right to" if addons is None else ", ".join(addons) or "none"
    lines = [
        f"{found.name} in {found.region}, account {found.account}, as {found.caller}",
        f"Kubernetes {found.version}, platform version {found.platform}, EKS Auto Mode "
        f"{'on' if found.auto_mode else 'off'}; add-ons: {listed}",
    ]
    if elsewhere:
        lines.append(f"AWS_ENDPOINT_URL: {elsewhere} was asked, not AWS")
    return "\n".join(lines)


def _own_setup(target: Target, changes: str | None) -> OwnSetup:
    """Return the learner's AWS set-up, if it leads to AWS, or the name says that it need not."""
    setup = OwnSetup(target.region)
    said = changes or os.environ.get(guard.VARIABLE)
    if setup.elsewhere and said != target.name:
        raise EksnetError(
            f"your AWS set-up leads to {setup.elsewhere}, not to AWS (AWS_ENDPOINT_URL, or "
            f"endpoint_url of the profile): {target} would be the cluster of that name there",
            "the cluster's name, if you mean that one",
            f'eksnet.connect("{target}", changes="{target.name}"); else `unset AWS_ENDPOINT_URL`',
        )
    return setup


def _open(
    target: Target,
    setup: OwnSetup,
    found: Described,
    check: Callable[[Identity, Callable[[], Identity]], Guard],
) -> Cluster:
    account = functools.partial(setup.account, target.name)
    try:
        opened = open_eks(target, account, found.api, found.caller, check)
    except UnreachableError as error:
        raise _unreachable(error, found) from None
    except ApiError as error:
        raise (_without_entry(error, found) if error.status == 401 else error) from None
    if found.auto_mode and opened.compute != "nodes":
        opened.compute = "auto"
    opened.helm_program = lambda: helm.of_access(opened.access)
    _leave_from_the_sandbox(opened, setup.sts)
    return opened


def _leave_from_the_sandbox(opened: Cluster, sts: str) -> None:
    """Have connections from the internet begin in the sandbox, if it is what stands for AWS."""
    from eksnet.sandbox import internet, paths

    named = paths.paths()
    if sts == f"http://127.0.0.1:{paths.known_port(named, 'aws')}":
        opened.dial = functools.partial(internet.dial, name=named.state.name)
        opened.certificates_ca = named.certificates_ca


def _unreachable(error: UnreachableError, found: Described) -> EksnetError:
    if not found.public:
        return UnreachableError(
            f"{error.seen}; it has no public address (endpointPublicAccess is off)",
            "a computer in the cluster's VPC, or connected to it",
            f"connect from there; or `aws eks update-cluster-config --name {found.name} "
            f"--region {found.region} --resources-vpc-config endpointPublicAccess=true,"
            'publicAccessCidrs="YOUR-ADDRESS/32"`',
        )
    if found.allowed:
        return UnreachableError(
            f"{error.seen}; it lets in {', '.join(found.allowed)} alone (publicAccessCidrs)",
            "an address in these networks",
            "`curl https://checkip.amazonaws.com` shows yours; `aws eks update-cluster-config` "
            "adds it",
        )
    return error


def _without_entry(error: ApiError, found: Described) -> ApiError:
    return error.saying(
        f"the API server of {found.name} does not know {found.caller}: there is no access entry "
        "for it",
        "an access entry for this user or role",
        f"who administers the cluster runs `aws eks create-access-entry --cluster-name "
        f"{found.name} --region {found.region} --principal-arn {principal(found.caller)} "
        "--kubernetes-groups eksnet-learners`; docs/own-cluster.md has the role for that group",
    )


def principal(caller: str) -> str:
    """Return the ARN that an access entry names: that of the role, for a role's session.

    Args:
        caller: The ARN of a user, or of a role's session.
    """
    prefix, kind, rest = caller.partition(":assumed-role/")
    if not kind:
        return caller
    return f"{prefix.replace(':sts:', ':iam:')}:role/{rest.split('/')[0]}"
