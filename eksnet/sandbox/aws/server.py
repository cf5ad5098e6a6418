"""The process of the AWS side. Run as `python -m eksnet.sandbox.aws.server SETTINGS`.

It runs inside the sandbox, in a root of its own, and listens at the VPC's address for AWS alone.
"""

from __future__ import annotations

import ssl
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from werkzeug.serving import WSGIRequestHandler, make_server

from eksnet.sandbox.api import documents
from eksnet.sandbox.aws import keys
from eksnet.sandbox.aws.eks import catalogue, rendering
from eksnet.sandbox.aws.eks.access import AccessEntries, first_entries
from eksnet.sandbox.aws.eks.addons import Addons
from eksnet.sandbox.aws.eks.authenticator import Authenticator
from eksnet.sandbox.aws.eks.autoscaler import Autoscaler
from eksnet.sandbox.aws.eks.clusters import PLATFORM, Clusters
from eksnet.sandbox.aws.eks.nodegroups import NodeGroups
from eksnet.sandbox.aws.eks.ownership import Object
from eksnet.sandbox.aws.eks.pod_identities import PodIdentities
from eksnet.sandbox.aws.eks.records import Addon, Records, Store, Wanted
from eksnet.sandbox.aws.eks.service import Service
from eksnet.sandbox.aws.eks.work import Worker
from eksnet.sandbox.aws.front import Caller, Front
from eksnet.sandbox.aws.kubernetes import Cluster
from eksnet.sandbox.aws.settings import AUTHENTICATOR_ADDRESS, AUTHENTICATOR_PORT, Settings
from eksnet.sandbox.aws.signatures import Secret

_SYSTEM = Path(__file__).parents[1] / "manifests"
# What an add-on installs: for two of them, what kube-system has from the start.
_FILES = {
    "coredns": (_SYSTEM, "10-coredns.yaml"),
    "kube-proxy": (_SYSTEM, "20-kube-proxy.yaml"),
    "vpc-cni": (Path(__file__).with_name("eks"), "aws-node.yaml"),
}


class _Quiet(WSGIRequestHandler):
    """A handler that writes no line for each request, and answers in HTTP/1.1."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write nothing: a lesson polls."""


@dataclass(frozen=True)
class Side:
    """The AWS side, ready to run.

    Attributes:
        front: Answers the calls of AWS.
        authenticator: Answers the API server.
        worker: Does what EKS does after its answers.
        autoscaler: Sets the replicas of CoreDNS while the add-on asks for it.
    """

    front: Front
    authenticator: Authenticator
    worker: Worker
    autoscaler: Autoscaler


def assembled(settings: Settings) -> Side:
    """Return the AWS side that settings describe."""
    facts = settings.cluster
    cluster = Cluster(Path(settings.pki), settings.api_server)
    learner = keys.read(Path(settings.keys))
    # An IAM user's unique id is AIDA and as many letters as its keys have.
    arn, user_id = f"arn:aws:iam::{facts.account}:user/{keys.USER}", "AIDA" + learner.access_key[4:]
    store = Store(Path(settings.records), Records(entries=first_entries(facts, arn, user_id)))

    def render(name: str, wanted: Wanted) -> list[Object]:
        return rendered(facts.region, name, wanted)

    worker = Worker(store, cluster, render)

    kept = Path(settings.records).with_name("autoscaler.json")
    autoscaler = Autoscaler(store, cluster, PLATFORM, kept)

    def wake() -> None:
        worker.wake()
        autoscaler.wake()

    def missing(addon: Addon) -> str:
        return cluster.replicas_missing(render(addon.name, addon.wanted))

    secrets = {learner.access_key: Secret(learner.secret)}
    caller = Caller(facts.account, user_id, arn)
    service = Service(
        facts.name,
        Clusters(facts).operations,
        Addons(facts, store, wake, missing).operations,
        AccessEntries(facts, store, {arn: user_id}.get).operations,
        NodeGroups(facts).operations,
        PodIdentities(facts, store).operations,
    )
    callers = {learner.access_key: caller}
    front = Front(service, secrets.get, callers)
    authenticator = Authenticator(
        secrets.get, callers.__getitem__, facts.name, settings.origins,
        lambda: store.records.entries.values(),
    )  # fmt: skip
    return Side(front, authenticator, worker, autoscaler)


def rendered(region: str, name: str, wanted: Wanted) -> list[Object]:
    """Return the objects of an add-on.

    Args:
        region: The region of its images.
        name: The add-on.
        wanted: Its version and configuration.
    """
    values = catalogue.values(catalogue.addon(name), wanted.configuration)
    objects = documents(*_FILES[name])
    if name == "coredns":
        return rendering.coredns(objects, region, wanted.version, values)
    return rendering.of_version(name, objects, region, wanted.version)


def main() -> None:
    """Serve until the supervisor ends the process."""
    settings = Settings.from_json(Path(sys.argv[1]).read_text())
    side = assembled(settings)
    for run in (side.worker.run, side.autoscaler.run):
        threading.Thread(target=run, daemon=True).start()
    # Before the front listens: who sees that one answer, can sign in.
    webhooks = make_server(
        AUTHENTICATOR_ADDRESS, AUTHENTICATOR_PORT, side.authenticator, threaded=True,
        request_handler=_Quiet, ssl_context=tls(Path(settings.pki)),
    )  # fmt: skip
    threading.Thread(target=webhooks.serve_forever, daemon=True).start()
    server = make_server(
        settings.address, settings.port, side.front, threaded=True, request_handler=_Quiet
    )
    server.serve_forever()


def tls(pki: Path) -> ssl.SSLContext:
    """Return how the authenticator speaks: to those alone who show a certificate of the cluster.

    Args:
        pki: The directory of the certificates.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "authenticator.crt", pki / "authenticator.key")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


if __name__ == "__main__":
    main()
