"""What makes moto do a request a second time with the same result: its clock and its generator.

Everything random in moto comes from one generator, but for private keys, session tokens and serial
numbers. Here the latter two come from it too, and a private key is written down.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from moto.core import utils
from moto.ec2 import utils as ec2_utils
from moto.moto_api._internal import mock_random
from moto.sts import models as sts_models

# The number of bytes of a session token; os.urandom would make another one each time.
_TOKEN_BYTES = 200
_SERIAL_BITS = 159


class _Clock:
    """Tells a moment that was set, else the present one; in UTC without a zone, as moto has it."""

    def __init__(self) -> None:
        self.moment: datetime | None = None

    def __call__(self) -> datetime:
        return self.moment or datetime.now(UTC).replace(tzinfo=None)


class _Keys:
    """Makes private keys and remembers them, or hands out those that were made before."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self._before: deque[str] = deque()

    def begin(self, before: Sequence[str]) -> None:
        self.made = []
        self._before = deque(before)

    def key(self, make: Any) -> Any:
        if self._before:
            text = self._before.popleft()
            key = serialization.load_pem_private_key(text.encode(), password=None)
        else:
            key = make()
            text = key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ).decode()
        self.made.append(text)
        return key


_clock = _Clock()
_keys = _Keys()


@contextmanager
def repeatable(moment: datetime, seed: int, keys: Sequence[str] = ()) -> Iterator[list[str]]:
    """Have moto act as at a moment and with a seed.

    Args:
        moment: The moment, in UTC without a time zone.
        seed: The seed of what is random.
        keys: The private keys that an earlier time made.

    Yields:
        The private keys that are made, PEM.
    """
    mock_random.seed(seed)
    _clock.moment = moment
    _keys.begin(keys)
    try:
        yield _keys.made
    finally:
        _clock.moment = None
        mock_random.seed()


def now() -> datetime:
    """Return the moment at which moto acts, in UTC without a zone."""
    return _clock()


def session_token() -> str:
    """Return a session token of a role, from the one generator."""
    return "IQoJb3JpZ2luX2Vj" + mock_random.token_urlsafe(_TOKEN_BYTES)


class _Ed25519:
    """Stands where moto makes a key pair of this kind."""

    @staticmethod
    def generate() -> Any:
        return _keys.key(ed25519.Ed25519PrivateKey.generate)


def _install() -> None:
    """Have moto use the clock and the keys of this module."""
    clock = utils.utcnow
    # Each module has the name for itself; those that come later take it from the first of them.
    for name, module in list(sys.modules.items()):
        if name.startswith("moto.") and getattr(module, "utcnow", None) is clock:
            setattr(module, "utcnow", _clock)  # noqa: B010 (a name that most of them import)
    x509.random_serial_number = lambda: mock_random.getrandbits(_SERIAL_BITS)
    make_rsa = rsa.generate_private_key
    rsa.generate_private_key = lambda *words, **options: _keys.key(
        lambda: make_rsa(*words, **options)
    )
    setattr(ec2_utils, "Ed25519PrivateKey", _Ed25519)  # noqa: B010 (names that they import)
    setattr(sts_models, "random_session_token", session_token)  # noqa: B010


_install()
