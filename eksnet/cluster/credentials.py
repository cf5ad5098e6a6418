"""A context's credentials for the official client: in files that do not outlive this process.

On Linux they are in memory. Elsewhere they are files that only their owner can read; those of a
process that was killed are deleted by the next one that connects.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from eksnet import inputs
from eksnet.errors import EksnetError

_CREDENTIALS = ("ssl_ca_cert", "cert_file", "key_file")
_PREFIX = "eksnet-credentials"


def configure(kubeconfig: str, context: str) -> Any:
    """Load a context's credentials into a configuration of the official client.

    Args:
        kubeconfig: Kubeconfig files, joined by the path separator.
        context: The context's name.

    Raises:
        EksnetError: The credentials cannot be read.
    """
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, load_kube_config

    configuration = Configuration()
    try:
        with tempfile.TemporaryDirectory(prefix="eksnet-") as directory:
            # Not persisted: a renewed token stays in this process, the learner's files as they are.
            load_kube_config(  # type: ignore[no-untyped-call]
                kubeconfig, context, configuration, persist_config=False, temp_file_path=directory
            )
            _hold(configuration, Path(directory))
    except (ConfigException, OSError, *inputs.ODD) as error:
        # The official client takes an entry for what it should be, and stumbles where it is not.
        raise EksnetError(
            f"the credentials of context {context!r} cannot be read: {error}",
            "a context whose certificates and programs exist",
            f"`kubectl --context {context} get namespace kube-system`",
        ) from None
    return _without_proxy(configuration)


def with_tokens(server: str, authority: bytes, tokens: Callable[[], str]) -> Any:
    """Return a configuration of the official client that signs in with bearer tokens.

    Args:
        server: The API server's URL.
        authority: Its certificate authority, as PEM.
        tokens: Returns a token that lasts; asked before each request.
    """
    from kubernetes.client import Configuration

    configuration: Any = Configuration()
    configuration.host = server
    configuration.ssl_ca_cert = _copy(authority)

    def renew(own: Any) -> None:
        own.api_key["BearerToken"] = f"Bearer {tokens()}"

    renew(configuration)
    configuration.refresh_api_key_hook = renew
    return _without_proxy(configuration)


def _without_proxy(configuration: Any) -> Any:
    """Return a configuration by which no proxy stands between this computer and itself."""
    if urlsplit(configuration.host).hostname in ("127.0.0.1", "localhost", "::1"):
        # Its WebSockets read the environment once more, unless a proxy is named here; no host uses
        # this one.
        configuration.proxy, configuration.no_proxy = configuration.host, "*"
    return configuration


def _hold(configuration: Any, directory: Path) -> None:
    """Replace the credentials that the official client wrote to a directory by our own copies.

    It deletes its own when Python ends in order; a notebook's kernel is often killed, and each
    would leave a private key behind.
    """
    files = {name: Path(getattr(configuration, name) or "") for name in _CREDENTIALS}
    held = {
        name: _copy(file.read_bytes()) for name, file in files.items() if file.parent == directory
    }
    renew = configuration.refresh_api_key_hook

    def name_them() -> None:
        for name, file in held.items():
            setattr(configuration, name, file)
        if renew:
            configuration.refresh_api_key_hook = renew_and_name_them

    def renew_and_name_them(_: Any) -> None:
        renew(configuration)  # It names its own files again, and itself as the hook.
        name_them()

    name_them()


def kept(name: str, content: str) -> str:
    """Return the path of a file that other programs of this user read, for as long as this process.

    Args:
        name: The file's name; what it held before is replaced.
        content: What it holds.
    """
    path = Path(_directory(os.getpid()).name) / name
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w") as file:
        file.write(content)
    return str(path)


@functools.cache
def _copy(content: bytes) -> str:
    """Return the path of a file that no other user reads and that goes with this process."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("credentials")
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        return f"/proc/self/fd/{descriptor}"
    descriptor, path = tempfile.mkstemp(dir=_directory(os.getpid()).name)
    with open(descriptor, "wb") as file:
        file.write(content)
    return path


@functools.cache
def _directory(pid: int) -> tempfile.TemporaryDirectory[str]:
    """Return a process's own directory for credentials; it is deleted when Python ends in order."""
    base = Path(tempfile.gettempdir())
    for left in base.glob(f"{_PREFIX}-{os.getuid()}-*"):
        if not _is_running(left.name.split("-")[3]):
            shutil.rmtree(left, ignore_errors=True)
    return tempfile.TemporaryDirectory(prefix=f"{_PREFIX}-{os.getuid()}-{pid}-", dir=base)


def _is_running(pid: str) -> bool:
    with contextlib.suppress(OSError, ValueError):
        os.kill(int(pid), 0)
        return True
    return False
