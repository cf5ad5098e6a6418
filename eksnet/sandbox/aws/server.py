"""The process of the AWS side. Run as `python -m eksnet.sandbox.aws.server SETTINGS`.

It runs inside the sandbox, in a root of its own, and listens at the VPC's address for AWS alone. It
starts while the cluster does, so it loads the services at the first request that needs them.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from werkzeug.serving import WSGIRequestHandler, make_server

from eksnet.sandbox.aws.account import Account
from eksnet.sandbox.aws.eks.records import Addon, Store, Wanted
from eksnet.sandbox.aws.front import Front
from eksnet.sandbox.aws.kubernetes import Cluster
from eksnet.sandbox.aws.settings import Settings

if TYPE_CHECKING:
    from eksnet.sandbox.aws.eks.ownership import Object
    from eksnet.sandbox.aws.eks.service import Service
    from eksnet.sandbox.aws.eks.work import Worker

_MANIFESTS = Path(__file__).parents[1] / "manifests"
# The manifest of kube-system that an add-on stands for.
_FILES = {"coredns": "10-coredns.yaml", "kube-proxy": "20-kube-proxy.yaml"}


class _Quiet(WSGIRequestHandler):
    """A handler that writes no line for each request, and answers in HTTP/1.1."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write nothing: a lesson polls."""


def _in_background(worker: Worker) -> None:
    threading.Thread(target=worker.run, daemon=True).start()


class Side:
    """All parts of the process, each made when it is needed first.

    Attributes:
        account: Users, roles, keys and the services that are not EKS.
        front: The application.
    """

    def __init__(
        self, settings: Settings, begin: Callable[[Worker], None] = _in_background
    ) -> None:
        """Prepare to serve; nothing heavy is loaded.

        Args:
            settings: What the process is told.
            begin: Has the worker run once it is made.
        """
        self._settings = settings
        self._begin = begin
        self._cluster = Cluster(Path(settings.pki), settings.api_server)
        self._store = Store(Path(settings.records))
        self._lock = threading.Lock()
        self.account = Account(settings, self._cluster.pod_addresses)
        self.front = Front(lambda: self.eks[0], self.account, settings.cluster.region)

    def go_on(self) -> None:
        """Go on with what an earlier process left half-done, if there is something."""
        if any(addon.waits for addon in self._store.records.addons.values()):
            self.eks[1].wake()

    @property
    def eks(self) -> tuple[Service, Worker]:
        """What answers EKS's calls, and the worker behind it."""
        with self._lock:
            return self._eks

    @cached_property
    def _eks(self) -> tuple[Service, Worker]:
        from eksnet.sandbox.aws.eks.service import Service
        from eksnet.sandbox.aws.eks.work import Worker

        facts = self._settings.cluster

        def render(name: str, wanted: Wanted) -> list[Object]:
            return rendered(facts.region, name, wanted)

        def missing(addon: Addon) -> str:
            return self._cluster.replicas_missing(render(addon.name, addon.wanted))

        worker = Worker(self._store, self._cluster, render)
        self._begin(worker)
        return Service(facts, self._store, worker.wake, missing), worker


def rendered(region: str, name: str, wanted: Wanted) -> list[Object]:
    """Return the objects of an add-on.

    Args:
        region: The region of its images.
        name: The add-on.
        wanted: Its version and configuration.
    """
    from eksnet.sandbox.api import documents
    from eksnet.sandbox.aws.eks import catalogue, rendering

    values = catalogue.values(catalogue.addon(name), wanted.configuration)
    objects = list(documents(_MANIFESTS, _FILES[name]))
    if name == "coredns":
        return rendering.coredns(objects, region, wanted.version, values)
    return objects


def main() -> None:
    """Serve until the supervisor ends the process."""
    settings = Settings.from_json(Path(sys.argv[1]).read_text())
    side = Side(settings)
    server = make_server(
        settings.address, settings.port, side.front, threaded=True, request_handler=_Quiet
    )
    side.go_on()
    server.serve_forever()


if __name__ == "__main__":
    main()
