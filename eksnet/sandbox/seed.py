"""The seed: a copy of etcd's data in which kube-system's pods are bound and not yet started.

Every fresh cluster begins as this copy, so that its start is not spent on making the same objects
again. It is taken once for an identity, during that identity's first start: the kubelets have not
been started then, so no container, address or status is in it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

from eksnet.sandbox.paths import Paths

MANIFESTS = Path(__file__).with_name("manifests")
# etcd reserves 64 MB for its log; nearly all of it is holes.
_COPY = 'cp --recursive --sparse=always --reflink=auto "$1" "$2" && mv -T "$2" "$3"'


def key(*facts: str) -> str:
    """Return what a seed depends on, as one word: the facts and kube-system's manifests."""
    digest = hashlib.sha256()
    for text in (*facts, *(file.read_text() for file in sorted(MANIFESTS.glob("*.yaml")))):
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def restore(paths: Paths, wanted: str) -> bool:
    """Restore the snapshot into a fresh cluster; leave a cluster that is there as it is.

    Args:
        paths: The sandbox's paths.
        wanted: The key that the seed must have.

    Returns:
        Whether the cluster has the seed's objects: False means that they are still to be made.
    """
    if _is_filled(paths.etcd):
        return True
    if not (paths.seed / wanted).exists():
        return False
    _copy(paths.seed / wanted, paths.etcd)
    return True


def snapshot(paths: Paths, made: str, etcd: int) -> None:
    """Take a snapshot of the data of an etcd that is running.

    It is stopped for the moment of the copy. What its files hold then is what a killed etcd
    leaves, and etcd goes on from that.

    Args:
        paths: The sandbox's paths.
        made: The key of what was made.
        etcd: The pid of etcd.
    """
    shutil.rmtree(paths.seed, ignore_errors=True)
    os.kill(etcd, signal.SIGSTOP)
    try:
        _copy(paths.etcd, paths.seed / made)
    finally:
        os.kill(etcd, signal.SIGCONT)


def _is_filled(directory: Path) -> bool:
    return directory.exists() and any(directory.iterdir())


def _copy(source: Path, target: Path) -> None:
    """Copy a directory so that it is there whole or not at all.

    Raises:
        RuntimeError: It could not be copied.
    """
    draft = target.with_name(f".{target.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.parent.mkdir(parents=True, exist_ok=True)
    command = ["sh", "-c", _COPY, "sh", *map(str, (source, draft, target))]
    said = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False).stderr
    # No word on the exit code: the supervisor collects every process that ends, this one too.
    if not _is_filled(target):
        raise RuntimeError(f"{source} was not copied: {said.strip()}")
