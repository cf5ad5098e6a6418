"""Where a packed engine comes from: a file, a folder or a URL; its name, and its checksum."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import SplitResult, quote, unquote, urlsplit

from eksnet.errors import EksnetError

_NAME = re.compile(
    r"eksnet-[a-z]+-(?P<key>[0-9a-f]{12})-(?P<os>[a-z0-9]+)-(?P<arch>[a-z0-9]+)\.tar\.gz"
)
_TIMEOUT = 30.0
_CHUNK = 2**20
_OTHERS_WRITE = 0o002
_GROUP_WRITES = 0o020


@dataclass(frozen=True)
class Stream:
    """A packed file that is being read.

    Attributes:
        source: Where it comes from, as the reader may see it.
        file: Its bytes.
        size: How many there are to be; None where the server does not say.
        is_slow: Whether a reader wants to know how far it is.
    """

    source: str
    file: IO[bytes]
    size: int | None
    is_slow: bool = False

    def tenths(self, done: int) -> int:
        """Return how much of a slow way is done; for a file on this computer, always nothing."""
        return done * 10 // self.size if self.size and self.is_slow else 0

    def read(self) -> bytes:
        """Return the next bytes; none at the end.

        Raises:
            EksnetError: They do not come.
        """
        try:
            return self.file.read(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _unread(self.source, error) from None


def _unread(source: str, error: Exception) -> EksnetError:
    if isinstance(error, urllib.error.HTTPError):
        why = f"{error.code} {error.reason}"
    elif isinstance(error, urllib.error.URLError):
        why = str(error.reason)
    else:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return EksnetError(
        f"{source} cannot be read: {why}",
        "a packed engine",
        "check the path or the address and the network (HTTPS_PROXY), then the same command again",
    )


@dataclass(frozen=True)
class LocalFile:
    """A packed file on this computer."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @contextlib.contextmanager
    def open(self, sha256: str | None) -> Iterator[Stream]:
        """Open it; who has a checksum says so.

        Raises:
            EksnetError: It cannot be read, or somebody else could have written it and there is no
                checksum.
        """
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise _unread(str(self), error) from None
        with file:
            status = os.fstat(file.fileno())
            if sha256 is None and _is_from_elsewhere(status):
                raise _no_checksum(f"another user could have written {self.path}")
            yield Stream(str(self), file, status.st_size)


def _is_from_elsewhere(status: os.stat_result) -> bool:
    """Tell whether anybody but this user and root could have written a file."""
    # Where each user has a group of their own, it has the user's number.
    own_group = status.st_gid == status.st_uid
    others = _OTHERS_WRITE if own_group else _OTHERS_WRITE | _GROUP_WRITES
    return status.st_uid not in (0, os.geteuid()) or bool(status.st_mode & others)


@dataclass(frozen=True)
class RemoteFile:
    """A packed file on a web server."""

    url: str

    def __str__(self) -> str:
        # A signature, as object stores have it, is not for the screen.
        return urlsplit(self.url)._replace(query="").geturl()

    @contextlib.contextmanager
    def open(self, sha256: str | None) -> Iterator[Stream]:
        """Connect and read; only with a checksum.

        Raises:
            EksnetError: There is no checksum, or the server does not give the file.
        """
        if sha256 is None:
            raise _no_checksum(f"{self} is not on this computer")
        try:
            response = urllib.request.urlopen(self.url, timeout=_TIMEOUT)
        except (OSError, http.client.HTTPException) as error:
            raise _unread(str(self), error) from None
        with response:
            length = response.headers.get("Content-Length", "")
            yield Stream(str(self), response, int(length) if length.isdecimal() else None, True)


def _no_checksum(why: str) -> EksnetError:
    return EksnetError(
        f"{why}, and what is in it is going to run here",
        "the SHA-256 that `eksnet engine pack` printed where it was packed",
        "make lab ENGINE=… SHA256=…, or `eksnet engine unpack SOURCE --sha256 …`",
    )


def locate(source: str, name: str) -> LocalFile | RemoteFile:
    """Return the packed file that a learner means.

    Args:
        source: A path or a URL, of a file or of a folder with packed files.
        name: The name of the one file that fits here.

    Raises:
        EksnetError: There is none of that name.
    """
    if "://" not in source:
        return LocalFile(_in_folder(Path(source).expanduser(), name))
    parts = _parse_url(source)
    if parts.path.endswith("/") or not parts.path:
        parts = parts._replace(path=f"{parts.path or '/'}{quote(name)}")
    _check_name(PurePosixPath(unquote(parts.path)).name, name)
    return RemoteFile(parts.geturl())


def _parse_url(source: str) -> SplitResult:
    try:
        parts = urlsplit(source)
        fits = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    except ValueError:
        fits = False
    if not fits:
        raise EksnetError(
            "this URL cannot be fetched",
            "http:// or https:// and a host, without a password",
            "correct it, or fetch the file yourself and name the file",
        )
    return parts


def _in_folder(path: Path, name: str) -> Path:
    if not path.is_dir():
        _check_name(path.name, name)
        return path
    if (path / name).exists():
        return path / name
    others = sorted(one.name for one in path.iterdir() if _NAME.fullmatch(one.name))
    if len(others) == 1:
        _check_name(others[0], name)
    raise EksnetError(
        f"the folder {path} has no packed engine for this computer and this version of the course"
        + (f", but {', '.join(others)}" if others else ""),
        name,
        _BUILD,
    )


_BUILD = "get the file with that name; without ENGINE, `make lab` builds the engine here"


def _check_name(found: str, name: str) -> None:
    """Refuse a file by its name.

    Raises:
        EksnetError: It is another engine's, another computer's, or no packed engine's.
    """
    if found == name:
        return
    theirs, ours = _NAME.fullmatch(found), _NAME.fullmatch(name)
    if theirs is None or ours is None:
        why = f"{found!r} is not the name of a packed engine"
    elif theirs["os"] != ours["os"] or theirs["arch"] != ours["arch"]:
        computer = f"{ours['os']} on {ours['arch']}"
        why = f"{found} is for {theirs['os']} on {theirs['arch']}; this computer has {computer}"
    else:
        why = (
            f"{found} is the engine of another version of the course (its key is {theirs['key']};"
            f" this version's is {ours['key']})"
        )
    raise EksnetError(why, name, _BUILD)


def parse_sha256(text: str | None) -> str | None:
    """Return a checksum in one form; None where none was given.

    Raises:
        EksnetError: It is not a SHA-256.
    """
    if not text:
        return None
    found = text.strip().lower().removeprefix("sha256:")
    if not re.fullmatch("[0-9a-f]{64}", found):
        raise EksnetError(
            f"{text!r} is not a SHA-256",
            "64 hexadecimal digits",
            "copy what `eksnet engine pack` printed where it was packed",
        )
    return found


def copy(
    source: LocalFile | RemoteFile,
    target: Path,
    sha256: str | None,
    progress: Callable[[str], None],
) -> None:
    """Copy a packed file to where nobody else can write, and compare it with its checksum.

    Args:
        source: The file.
        target: Where to.
        sha256: What its SHA-256 is; None for a file of one's own.
        progress: Called with each tenth of what is fetched from elsewhere.

    Raises:
        EksnetError: It cannot be read as a whole, or it is another file.
        OSError: It cannot be written.
    """
    digest = hashlib.sha256()
    done = 0
    with source.open(sha256) as stream, target.open("wb") as file:
        while chunk := stream.read():
            digest.update(chunk)
            file.write(chunk)
            done += len(chunk)
            if stream.tenths(done) - stream.tenths(done - len(chunk)):
                progress(f"fetching the packed engine: {stream.tenths(done) * 10} %")
    if stream.size is not None and done != stream.size:
        raise EksnetError(
            f"{source} was cut off after {done} of {stream.size} bytes",
            "the whole file",
            "the same command again",
        )
    if sha256 is not None and digest.hexdigest() != sha256:
        raise EksnetError(
            f"{source} has the SHA-256 {digest.hexdigest()}",
            sha256,
            "nothing of it was used: get the file anew, or ask who packed it for the checksum",
        )
