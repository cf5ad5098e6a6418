"""Records what a process asks AWS and the API server: a line of JSON for each call.

Python loads this at its start where the directory is on its path; EKSNET_RECORDED names the file.
"""

from __future__ import annotations

import json
import os
from typing import Any

FILE = os.environ.get("EKSNET_RECORDED", "")


def note(**call: Any) -> None:
    """Append a call: a line at once, because several processes write."""
    with open(FILE, "a", encoding="utf-8") as file:
        file.write(json.dumps(call) + "\n")


def record_api() -> None:
    """Record the requests of the package's client to the API server, exec and attach too."""
    from eksnet.cluster.client import Client

    ask, open_channel = Client._request, Client.open_channel

    def asked(self: Client, method: str, path: str, query: Any = (), **more: Any) -> Any:
        note(method=method, path=path, watch="watch" in dict(query))
        return ask(self, method, path, query, **more)

    def opened(self: Client, path: str, query: Any) -> Any:
        # The API server takes it for a GET, and RBAC for the creation of the subresource too.
        note(method="POST", path=path, watch=False)
        return open_channel(self, path, query)

    Client._request, Client.open_channel = asked, opened  # type: ignore[method-assign]


def record_aws() -> None:
    """Record the calls of every AWS client."""
    from botocore.client import BaseClient

    call = BaseClient._make_api_call

    def called(self: Any, operation: str, parameters: Any) -> Any:
        model = self.meta.service_model
        note(service=model.signing_name, operation=operation)
        return call(self, operation, parameters)

    BaseClient._make_api_call = called


if FILE:
    record_api()
    record_aws()
