"""What the API server asks its webhooks, and the answers, as JSON over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Start = Callable[..., object]


def read(environ: Mapping[str, Any], longest: int) -> dict[str, Any] | None:
    """Return the review that a request holds; None when it holds none.

    Args:
        environ: The request, as a WSGI server has it.
        longest: How many bytes it may have.
    """
    length = environ.get("CONTENT_LENGTH") or "0"
    if environ["REQUEST_METHOD"] != "POST" or not length.isdecimal() or int(length) > longest:
        return None
    try:
        review = json.loads(environ["wsgi.input"].read(int(length)))
    except ValueError:
        return None
    return review if isinstance(review, dict) else None


def respond(start: Start, review: Mapping[str, Any] | None) -> Iterable[bytes]:
    """Send a review back; None refuses what was no review.

    Args:
        start: Begins the answer, as WSGI has it.
        review: The answer.
    """
    if review is None:
        start("400 Bad Request", [("Content-Length", "0")])
        return [b""]
    body = json.dumps(review).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start("200 OK", headers)
    return [body]
