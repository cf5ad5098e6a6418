"""The learner's AWS keys of one sandbox: random, made once, readable by nobody else."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from eksnet.sandbox.paths import write_private

USER = "learner"


@dataclass(frozen=True)
class Keys:
    """An access key.

    Attributes:
        access_key: Its id, `AKIA` and 16 letters and digits.
        secret: The secret access key.
    """

    access_key: str
    secret: str


def user_id(keys: Keys) -> str:
    """Return the unique id of the user: AIDA and as many letters as the key has."""
    return "AIDA" + keys.access_key[4:]


def ensure(file: Path) -> Keys:
    """Return the keys in a file; make them if there is none."""
    if not file.exists():
        identifier = "AKIA" + base64.b32encode(secrets.token_bytes(10)).decode()
        made = Keys(identifier, base64.b64encode(secrets.token_bytes(30)).decode())
        write_private(file, json.dumps(asdict(made)))
    return read(file)


def read(file: Path) -> Keys:
    """Return the keys in a file."""
    return Keys(**json.loads(file.read_text()))
