"""A sandbox's state on disk, made ready for a start: identity and layout version."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from eksnet import versions
from eksnet.errors import EksnetError
from eksnet.sandbox import pki
from eksnet.sandbox.aws import keys
from eksnet.sandbox.paths import Paths, write_private
from eksnet.sandbox.vpc import Vpc

# Raised when a later eksnet can no longer read what an earlier one wrote.
LAYOUT = f"4 kubernetes-{versions.MAJOR}.{versions.MINOR}"

# etcd alone reserves 64 MiB at its start, and twice as much while it goes on to its next log.
_FULL = 256 * 2**20


def prepare(paths: Paths, vpc: Vpc) -> None:
    """Make what a start needs and is not there yet; what is there stays.

    Raises:
        EksnetError: The state was written by a version that this one cannot continue.
    """
    paths.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    paths.state.chmod(0o700)
    check_version(paths)
    remove(paths.trash)
    for directory in (paths.run, paths.logs, paths.cluster):
        directory.mkdir(exist_ok=True)
    write_identity(paths, vpc)
    write_private(paths.version, LAYOUT + "\n")


def no_room(paths: Paths) -> str:
    """Return what to say when the disk is as good as full; empty when it is not."""
    place = next(p for p in (paths.state, *paths.state.parents) if p.exists())
    free = shutil.disk_usage(place).free
    return f"no space left for {paths.state}: {free // 2**20} MiB" if free < _FULL else ""


def check_room(paths: Paths) -> None:
    """Refuse a start that would run into a full disk.

    Raises:
        EksnetError: There is too little space.
    """
    if seen := no_room(paths):
        raise EksnetError(
            seen,
            f"{_FULL // 2**20} MiB at least",
            "free some space, or set XDG_STATE_HOME to a larger disk; then `eksnet up`",
        )


def check_version(paths: Paths) -> None:
    """Refuse state that another version of eksnet left."""
    if paths.version.exists():
        found = paths.version.read_text().strip()
    elif paths.cluster.exists() and any(paths.cluster.iterdir()):
        found = "no version file"
    else:
        return
    if found != LAYOUT:
        raise EksnetError(
            f"the sandbox's state in {paths.state} was written by another version ({found})",
            LAYOUT,
            "`eksnet reset` starts a fresh cluster; the content of the old one is deleted",
        )


def forget_cluster(paths: Paths) -> None:
    """Remove the cluster; its identity stays, unless another version of eksnet made it."""
    if paths.version.exists() and paths.version.read_text().strip() != LAYOUT:
        discard(paths, paths.identity)
    discard(paths, paths.cluster)
    paths.version.unlink(missing_ok=True)


def discard(paths: Paths, part: Path) -> None:
    """Delete a part of the state: to whoever looks it is there whole or not at all.

    What was cut off in the middle of it is deleted by the next one.

    Raises:
        OSError: It cannot be deleted.
    """
    remove(paths.trash)
    if part.is_dir() and not part.is_symlink():
        paths.trash.mkdir()
        part.rename(paths.trash / part.name)
        remove(paths.trash)
    else:
        part.unlink(missing_ok=True)


def remove(directory: Path) -> None:
    """Delete a directory tree, also where containers took the right to write away.

    A link is deleted and never followed: a container may have made one that leads to a file of
    the learner's.

    Raises:
        OSError: Something in it belongs to somebody else.
    """
    try:
        shutil.rmtree(directory)
    except FileNotFoundError:
        return
    except PermissionError:
        _allow_deleting(directory)
        shutil.rmtree(directory)


def _allow_deleting(directory: Path) -> None:
    """Give the owner of directories the right to delete what is in them."""
    directory.chmod(0o700)
    for place, names, _ in os.walk(directory):
        for child in (Path(place, name) for name in names):
            # What changes the mode of a link changes the mode of what it leads to.
            if not child.is_symlink():
                child.chmod(0o700)


def write_identity(paths: Paths, vpc: Vpc) -> None:
    """Write certificates and the components' own kubeconfigs."""
    directory = paths.identity
    pki.ensure(directory, vpc)
    keys.ensure(paths.aws_keys)
    inside = f"https://{vpc.api_server}"
    for user in ("controller-manager", "scheduler", *(node.short for node in vpc.nodes)):
        write_private(directory / f"{user}.kubeconfig", pki.kubeconfig(directory, user, inside))
    for node in vpc.nodes:
        disk = directory / "nodes" / node.short
        for source, target in (
            ("ca.crt", "ca.crt"),
            (f"{node.short}.crt", "kubelet.crt"),
            (f"{node.short}.key", "kubelet.key"),
        ):
            write_private(disk / target, (directory / source).read_bytes())
