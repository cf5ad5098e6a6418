"""What anybody may read from the AWS side without a signature, as from a web server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from eksnet.sandbox.aws.refusals import Answer
from eksnet.sandbox.aws.signatures import Request
from eksnet.sandbox.aws.web_identity import Issuer


@dataclass(frozen=True)
class Document:
    """One document.

    Attributes:
        kind: Its media type.
        content: Returns it; OSError when it is not there.
    """

    kind: str
    content: Callable[[], bytes]


Documents = Mapping[str, Document]


def of_issuer(issuer: Issuer) -> Documents:
    """Return the documents by which anybody can verify an issuer's tokens, by their paths."""
    path = urlsplit(issuer.url).path
    kind = "application/json"
    return {
        f"{path}/.well-known/openid-configuration": Document(kind, issuer.configuration),
        f"{path}/keys": Document(kind, issuer.keys),
    }


def answer(request: Request, documents: Documents) -> Answer | None:
    """Return a document that a request asks for; None when it asks for something else.

    Args:
        request: The request.
        documents: The documents by their paths.
    """
    found = documents.get(request.path)
    if found is None or request.method != "GET" or request.query:
        return None
    try:
        return Answer(200, (("Content-Type", found.kind),), found.content())
    except OSError:
        return Answer(404, (("Content-Type", "text/plain"),), b"It is not there.\n")
