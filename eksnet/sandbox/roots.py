"""A root of its own for each component of the control plane.

What the cluster's objects make a controller read, write or delete, it does in its own root. In
there are the program and a few files, read-only, and the directories that the component owns; no
/proc, through which another process's root could be reached, and no device but /dev/null.

A thread of the supervisor goes into the root, gives up every right and starts the program from
there: namespaces, root and capabilities are a thread's own, and its children have them too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from eksnet.sandbox import mounts, namespaces

T = TypeVar("T")

_SHUT = mounts.MS_NOSUID | mounts.MS_NODEV
_READ_ONLY = _SHUT | mounts.MS_RDONLY
_NO_PROGRAMS = _SHUT | mounts.MS_NOEXEC
# Whoever owns a device may change its mode, but not where its mount is read-only.
_DEVICE = mounts.MS_NOSUID | mounts.MS_NOEXEC | mounts.MS_RDONLY
# Keys, certificates and configuration: a component that wrote here would soon be stopped.
_SIZE = "size=4m"


@dataclass(frozen=True)
class Root:
    """What a component sees of the computer: what is named here, and /dev/null.

    The names are paths inside, such as `/bin/etcd`.

    Attributes:
        shown: Files and directories of the computer, read-only; missing ones are left out.
        copied: Files of the computer, as they are at the start, read-only.
        texts: Files with these texts, read-only.
        owned: Directories of the computer in which the component may write; made if missing.
    """

    shown: Mapping[str, Path] = field(default_factory=dict)
    copied: Mapping[str, Path] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    owned: Mapping[str, Path] = field(default_factory=dict)


def started_in(root: Root, stage: Path, start: Callable[[], T]) -> T:
    """Call a function that starts a process, so that the process is in the root, without a right.

    It is process 1 of a PID namespace, too, where it sees and reaches no other process.

    Args:
        root: What the process may see.
        stage: An empty directory of the computer, over which the root is built.
        start: Starts one process and returns; the computer's files are out of its reach.

    Raises:
        OSError: The root could not be built, or what the function raised.
    """

    def start_inside() -> T:
        namespaces.leave()
        _build(root, stage)
        mounts.pivot_root(stage)
        mounts.remount(Path("/"), _READ_ONLY | mounts.MS_NOEXEC)
        namespaces.give_up_rights()
        return start()

    # The thread has gone where nothing else of the supervisor may go, and ends there.
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(start_inside).result()


def _build(root: Root, stage: Path) -> None:
    """Assemble a root over a directory, in this thread's mount namespace alone."""
    stage.mkdir(parents=True, exist_ok=True)
    mounts.mount("tmpfs", stage, "tmpfs", _SHUT, f"mode=755,{_SIZE}")
    mounts.bind(Path("/dev/null"), _inside(stage, "/dev/null"), _DEVICE)
    for name, source in root.shown.items():
        if source.exists():
            mounts.bind(source, _inside(stage, name), _READ_ONLY)
    for name, source in root.owned.items():
        source.mkdir(parents=True, exist_ok=True, mode=0o700)
        mounts.bind(source, _inside(stage, name), _NO_PROGRAMS)
    texts = {name: text.encode() for name, text in root.texts.items()}
    copies = {name: source.read_bytes() for name, source in root.copied.items()}
    for name, content in {**texts, **copies}.items():
        place = _inside(stage, name)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def _inside(stage: Path, name: str) -> Path:
    return stage / name.removeprefix("/")
