"""The shell lines by which kubectl, Helm and AWS tools work on the sandbox, and their undo."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from eksnet.errors import EksnetError
from eksnet.sandbox import helm, locks
from eksnet.sandbox import paths as sandbox_paths
from eksnet.sandbox.aws import keys
from eksnet.sandbox.aws.access import access

# Holds what a shell had before; the lines that bring it back.
UNDO = "EKSNET_UNDO"
# What would lead to another account or another place: variables of one service, another profile.
_GONE = (
    "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN",
    "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT",
)  # fmt: skip
_OF_A_SERVICE = "AWS_ENDPOINT_URL_"
_PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
_PAST_PROXIES = ("no_proxy", "NO_PROXY")

Variables = Mapping[str, str | None]


def variables(present: Mapping[str, str], name: str | None = None) -> dict[str, str | None]:
    """Return the variables by which a shell's programs work on a sandbox; None takes one away.

    Args:
        present: The shell's variables.
        name: The sandbox's name; see `eksnet.sandbox.paths.paths`.

    Raises:
        EksnetError: The sandbox is not up.
    """
    paths = sandbox_paths.paths(name)
    if not locks.is_alive(paths):
        raise EksnetError(
            f"the sandbox {paths.state.name} is down",
            "a running cluster",
            '`eksnet up`, then eval "$(eksnet env)"',
        )
    found, own = access(name), keys.read(access(name).keys)
    wanted: dict[str, str | None] = {
        # `aws eks update-kubeconfig` writes into the first file, which is the learner's.
        "KUBECONFIG": f"{paths.own_kubeconfig}:{paths.kubeconfig}",
        "AWS_ENDPOINT_URL": found.endpoint,
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
        "AWS_REGION": found.region,
        "AWS_DEFAULT_REGION": found.region,
        "AWS_ACCESS_KEY_ID": own.access_key,
        "AWS_SECRET_ACCESS_KEY": own.secret,
    }
    wanted |= helm.variables(paths)
    wanted |= dict.fromkeys((*_GONE, *helm.GONE))
    wanted |= dict.fromkeys(one for one in present if one.startswith(_OF_A_SERVICE))
    if any(present.get(proxy) for proxy in _PROXIES):
        wanted |= {one: _with_loopback(present.get(one, "")) for one in _PAST_PROXIES}
    return wanted


def _with_loopback(hosts: str) -> str:
    return hosts if "127.0.0.1" in hosts.split(",") else f"{hosts},127.0.0.1".lstrip(",")


def lines(wanted: Variables, present: Mapping[str, str]) -> str:
    """Return the shell lines that give a shell variables, and keep what it had.

    Args:
        wanted: The variables; None takes one away.
        present: The shell's variables.
    """
    before = {name: present.get(name) for name in wanted}
    # Run again, they keep what was there before the first time.
    kept = present.get(UNDO) or _set(before)
    return _set({**wanted, UNDO: kept})


def undo_lines(present: Mapping[str, str]) -> str:
    """Return the shell lines that bring back what a shell had before `lines`.

    Raises:
        EksnetError: The shell never had them.
    """
    if not present.get(UNDO):
        raise EksnetError(
            "this shell has no variables of the sandbox",
            "a shell in which the lines of `eksnet env` were run",
            'eval "$(eksnet env)"',
        )
    return f"{present[UNDO]}\nunset {UNDO};"


def _set(wanted: Variables) -> str:
    # Each ends with a semicolon: without quotes around $(…), a shell makes one line of all.
    return "\n".join(
        f"unset {name};" if value is None else f"export {name}={shlex.quote(value)};"
        for name, value in wanted.items()
    )


def aws_cli_remedy(present: Mapping[str, str]) -> str:
    """Return how to get the AWS CLI where there is none; empty where there is one.

    In an environment of its own, because it wants a botocore of its own.

    Args:
        present: The shell's variables.
    """
    import shutil

    from eksnet.bootstrap import Computer, find_uv

    if shutil.which("aws", path=present.get("PATH", "")):
        return ""
    found = find_uv(Computer(path=present.get("PATH", ""))) or "uv"
    uv = found if not Path(found).is_absolute() else shlex.quote(found)
    return f"The AWS CLI is missing: `{uv} tool install awscli` installs it for your user."
