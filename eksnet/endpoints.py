"""Which endpoints of EndpointSlices count: one function for each meaning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Object = Mapping[str, Any]


def endpoint_is_ready(endpoint: Object) -> bool:
    """Tell whether an endpoint is ready: that nothing is said of it means so, says the API.

    Those of a Service with publishNotReadyAddresses are: the controller marks them so.

    Args:
        endpoint: An element of an EndpointSlice's `endpoints`.

    Example:
        >>> [endpoint_is_ready({"conditions": {"ready": said}}) for said in (True, None, False)]
        [True, True, False]
        >>> endpoint_is_ready({})
        True
    """
    return (endpoint.get("conditions") or {}).get("ready") is not False


def ready_endpoints(slices: Iterable[Object]) -> list[Object]:
    """Return the endpoints that are ready, in slices with a port and in those without.

    Args:
        slices: EndpointSlices, as the API server returns them.
    """
    found = (endpoint for one in slices for endpoint in one.get("endpoints") or ())
    return [endpoint for endpoint in found if endpoint_is_ready(endpoint)]


def usable_endpoints(slices: Iterable[Object]) -> list[Object]:
    """Return the endpoints that a connection can be sent to: ready, with an address and a port.

    A Service whose targetPort names no port of its pods has slices without any port.

    Args:
        slices: EndpointSlices, as the API server returns them.
    """
    with_ports = [one for one in slices if one.get("ports")]
    return [endpoint for endpoint in ready_endpoints(with_ports) if endpoint.get("addresses")]
