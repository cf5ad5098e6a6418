"""The API server of these tests: its kubeconfig, and what it refuses."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import yaml
from fake_api import Refusal, Request, failure

from eksnet.checkpoints import Checkpoint

Check = Callable[[str], Checkpoint]


def write_kubeconfig(file: Path, url: str, user: dict[str, object] | None = None) -> None:
    file.write_text(
        yaml.safe_dump(
            {
                "contexts": [{"name": "lab", "context": {"cluster": "c", "user": "learner"}}],
                "clusters": [{"name": "c", "cluster": {"server": url}}],
                "users": [{"name": "learner", "user": user or {"token": "a-secret-of-mine"}}],
            }
        )
    )


def no_writes(request: Request) -> tuple[int, dict[str, object]] | None:
    return (405, failure(405, "MethodNotAllowed", "read only")) if request.writes else None


def refusing(pattern: str, status: int = 403) -> Callable[[Request], Refusal | None]:
    """Answer with a refusal where a path has a pattern, and refuse every write."""

    def refuse(request: Request) -> Refusal | None:
        if re.search(pattern, request.path):
            return status, failure(status, "No", f"{request.path} is refused")
        return no_writes(request)

    return refuse


def forbid(request: Request) -> tuple[int, dict[str, object]] | None:
    """Answer as to a token that may read nothing."""
    if request.path == "/version":
        return None
    return 403, failure(403, "Forbidden", f"{request.path} is forbidden")
