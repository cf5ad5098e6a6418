"""What AWS refuses, as an error of the course in AWS's own words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from eksnet.errors import EksnetError


@contextlib.contextmanager
def in_words(
    client: Any, service: str, remedies: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Turn what a service refuses into an error of the course.

    Args:
        client: The boto3 client that is asked inside.
        service: The service as its name is written, such as `EKS`.
        remedies: The next step for an error code.

    Raises:
        EksnetError: The service refused.
    """
    try:
        yield
    except client.exceptions.ClientError as error:
        told = error.response["Error"]
        raise EksnetError(
            f"{service} refused: {told['Message']}",
            f"a call that {service} takes",
            (remedies or {}).get(told["Code"], ""),
        ) from None
