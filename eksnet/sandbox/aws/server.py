"""The process of the AWS side. Run as `python -m eksnet.sandbox.aws.server SETTINGS`.

It runs inside the sandbox, in a root of its own, and listens at the VPC's address for AWS alone.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from werkzeug.serving import WSGIRequestHandler, make_server

from eksnet.sandbox.api import documents
from eksnet.sandbox.aws import keys
from eksnet.sandbox.aws.eks import catalogue, rendering
from eksnet.sandbox.aws.eks.autoscaler import Autoscaler
from eksnet.sandbox.aws.eks.ownership import Object
from eksnet.sandbox.aws.eks.records import Addon, Store, Wanted
from eksnet.sandbox.aws.eks.service import PLATFORM, Service
from eksnet.sandbox.aws.eks.work import Worker
from eksnet.sandbox.aws.front import Caller, Front
from eksnet.sandbox.aws.kubernetes import Cluster
from eksnet.sandbox.aws.settings import Settings
from eksnet.sandbox.aws.signatures import Secret

_MANIFESTS = Path(__file__).parents[1] / "manifests"
# The manifest of kube-system that an add-on stands for.
_FILES = {"coredns": "10-coredns.yaml", "kube-proxy": "20-kube-proxy.yaml"}


class _Quiet(WSGIRequestHandler):
    """A handler that writes no line for each request, and answers in HTTP/1.1."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write nothing: a lesson polls."""


def front(settings: Settings) -> tuple[Front, Worker, Autoscaler]:
    """Return the application, and the two workers behind it, ready to run."""
    facts = settings.cluster
    cluster = Cluster(Path(settings.pki), settings.api_server)
    store = Store(Path(settings.records))

    def render(name: str, wanted: Wanted) -> list[Object]:
        return rendered(facts.region, name, wanted)

    worker = Worker(store, cluster, render)

    def missing(addon: Addon) -> str:
        return cluster.replicas_missing(render(addon.name, addon.wanted))

    learner = keys.read(Path(settings.keys))
    secrets = {learner.access_key: Secret(learner.secret)}
    arn = f"arn:aws:iam::{facts.account}:user/{keys.USER}"
    # An IAM user's unique id is AIDA and as many letters as its keys have.
    caller = Caller(facts.account, "AIDA" + learner.access_key[4:], arn)
    kept = Path(settings.records).with_name("autoscaler.json")
    autoscaler = Autoscaler(store, cluster, PLATFORM, kept)

    def wake() -> None:
        worker.wake()
        autoscaler.wake()

    service = Service(facts, store, wake, missing)
    return Front(service, secrets.get, {learner.access_key: caller}), worker, autoscaler


def rendered(region: str, name: str, wanted: Wanted) -> list[Object]:
    """Return the objects of an add-on.

    Args:
        region: The region of its images.
        name: The add-on.
        wanted: Its version and configuration.
    """
    values = catalogue.values(catalogue.addon(name), wanted.configuration)
    objects = list(documents(_MANIFESTS, _FILES[name]))
    if name == "coredns":
        return rendering.coredns(objects, region, wanted.version, values)
    return objects


def main() -> None:
    """Serve until the supervisor ends the process."""
    settings = Settings.from_json(Path(sys.argv[1]).read_text())
    application, worker, autoscaler = front(settings)
    for run in (worker.run, autoscaler.run):
        threading.Thread(target=run, daemon=True).start()
    server = make_server(
        settings.address, settings.port, application, threaded=True, request_handler=_Quiet
    )
    server.serve_forever()


if __name__ == "__main__":
    main()
