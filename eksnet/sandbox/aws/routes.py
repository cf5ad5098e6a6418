"""Where a REST service's operations stand in paths, by botocore's model; heavy, loaded late."""

from __future__ import annotations

import re
from functools import cache

import botocore.session


@cache
def routes(service: str) -> tuple[tuple[str, re.Pattern[str], str], ...]:
    """Return method, path and name of each operation; the longest fixed paths come first."""
    model = botocore.session.get_session().get_service_model(service)
    found = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        path = http["requestUri"].partition("?")[0].rstrip("/")
        pattern = re.sub(r"\\\{(\w+)(?:\\\+)?\\\}", r"(?P<\1>[^/]+)", re.escape(path))
        found.append((http["method"], re.compile(pattern), name))
    return tuple(sorted(found, key=lambda route: route[1].pattern.count("(?P")))
