"""The process of the AWS side. Run as `python -m eksnet.sandbox.aws.server SETTINGS`.

It runs inside the sandbox, in a root of its own, and listens at the VPC's address for AWS alone. It
starts while the cluster does, so it loads the services at the first request that needs them.
"""

from __future__ import annotations

import ssl
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from werkzeug.serving import WSGIRequestHandler, make_server

from eksnet.sandbox.aws import charts, keys, published
from eksnet.sandbox.aws.account import Account
from eksnet.sandbox.aws.eks.access import AccessEntries, first_entries
from eksnet.sandbox.aws.eks.authenticator import Authenticator
from eksnet.sandbox.aws.eks.pod_identity_webhook import PodIdentityWebhook
from eksnet.sandbox.aws.eks.records import Addon, Records, Store, Wanted
from eksnet.sandbox.aws.eks.resources import Resources
from eksnet.sandbox.aws.eks.reviews import Start
from eksnet.sandbox.aws.front import Front
from eksnet.sandbox.aws.kubernetes import Cluster
from eksnet.sandbox.aws.settings import (
    AUTHENTICATOR_ADDRESS,
    AUTHENTICATOR_PORT,
    ISSUER_KEY,
    MUTATE,
    Settings,
    issuer,
)
from eksnet.sandbox.aws.web_identity import Issuer

if TYPE_CHECKING:
    from eksnet.sandbox.aws.eks.autoscaler import Autoscaler
    from eksnet.sandbox.aws.eks.ownership import Object
    from eksnet.sandbox.aws.eks.service import Service
    from eksnet.sandbox.aws.eks.work import Worker

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


def _in_background(run: Callable[[], None]) -> None:
    threading.Thread(target=run, daemon=True).start()


class Side:
    """All parts of the process; those that are heavy are made when they are needed first.

    Attributes:
        account: Users, roles, keys and the services that are not EKS.
        front: Answers the calls of AWS.
        authenticator: Tells the API server who somebody is, and what access policies allow.
        pod_identity: Gives pods the roles of their service accounts.
    """

    def __init__(
        self, settings: Settings, begin: Callable[[Callable[[], None]], None] = _in_background
    ) -> None:
        """Prepare to serve.

        Args:
            settings: What the process is told.
            begin: Has something run beside all else.
        """
        facts = settings.cluster
        self._settings, self._begin = settings, begin
        self._cluster = Cluster(Path(settings.pki), settings.api_server)
        self.account = Account(settings, self._cluster.pod_addresses)
        arn = f"arn:aws:iam::{facts.account}:user/{keys.USER}"
        user_id = keys.user_id(keys.read(Path(settings.keys)))
        self._store = Store(
            Path(settings.records), Records(entries=first_entries(facts, arn, user_id))
        )
        self._autoscaled = Path(settings.records).with_name("autoscaler.json")
        self._lock = threading.Lock()
        pki = Path(settings.pki)
        issues = Issuer(issuer(facts.region), pki / ISSUER_KEY)
        repository = charts.documents(Path(settings.charts))
        self.front = Front(
            lambda: self.eks,
            Resources(facts, self._store),
            self.account,
            facts.region,
            issues,
            {**published.of_issuer(issues), **repository},
        )
        self.authenticator = Authenticator(
            self.account.secret,
            self.account.principal,
            facts.name,
            settings.origins,
            lambda: self._store.records.entries.values(),
        )
        endpoint = f"http://{settings.address}:{settings.port}"
        self.pod_identity = PodIdentityWebhook(
            self._cluster.annotations, facts.region, endpoint.removesuffix(":80")
        )

    def webhooks(self, environ: Mapping[str, Any], start: Start) -> Iterable[bytes]:
        """Answer the API server: a WSGI application."""
        application = self.pod_identity if environ["PATH_INFO"] == MUTATE else self.authenticator
        return application(environ, start)

    def go_on(self) -> None:
        """Go on with what an earlier process began, if there is something."""
        if self._store.records.addons or self._autoscaled.exists():
            self.worker.wake()

    @property
    def eks(self) -> Service:
        """What answers EKS's calls."""
        with self._lock:
            return self._eks[0]

    @property
    def worker(self) -> Worker:
        """What does what EKS does after its answers."""
        with self._lock:
            return self._eks[1]

    @property
    def autoscaler(self) -> Autoscaler:
        """What sets the replicas of CoreDNS while the add-on asks for it."""
        with self._lock:
            return self._eks[2]

    @cached_property
    def _eks(self) -> tuple[Service, Worker, Autoscaler]:
        from eksnet.sandbox.aws.eks.addons import Addons
        from eksnet.sandbox.aws.eks.autoscaler import Autoscaler
        from eksnet.sandbox.aws.eks.clusters import PLATFORM, Clusters
        from eksnet.sandbox.aws.eks.nodegroups import NodeGroups
        from eksnet.sandbox.aws.eks.pod_identities import PodIdentities
        from eksnet.sandbox.aws.eks.service import Service
        from eksnet.sandbox.aws.eks.work import Worker

        facts, store = self._settings.cluster, self._store

        def render(name: str, wanted: Wanted) -> list[Object]:
            return rendered(facts.region, name, wanted)

        def missing(addon: Addon) -> str:
            return self._cluster.replicas_missing(render(addon.name, addon.wanted))

        worker = Worker(store, self._cluster, render)
        autoscaler = Autoscaler(store, self._cluster, PLATFORM, self._autoscaled)

        def wake() -> None:
            worker.wake()
            autoscaler.wake()

        service = Service(
            facts.name,
            store,
            Clusters(facts).operations,
            Addons(facts, store, wake, missing).operations,
            AccessEntries(facts, store, self.account.principal_id).operations,
            NodeGroups(facts).operations,
            PodIdentities(facts, store).operations,
        )
        for run in (worker.run, autoscaler.run):
            self._begin(run)
        return service, worker, autoscaler


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
    objects = documents(*_FILES[name])
    if name == "coredns":
        return rendering.coredns(objects, region, wanted.version, values)
    return rendering.of_version(name, objects, region, wanted.version)


def main() -> None:
    """Serve until the supervisor ends the process."""
    settings = Settings.from_json(Path(sys.argv[1]).read_text())
    side = Side(settings)
    # Before the front listens: who sees that one answer, can sign in. Where users, roles or keys
    # were changed, that needs all of them; the API server gives up on a webhook after 30 seconds.
    webhooks = make_server(
        AUTHENTICATOR_ADDRESS, AUTHENTICATOR_PORT, side.webhooks, threaded=True,
        request_handler=_Quiet, ssl_context=tls(Path(settings.pki)),
    )  # fmt: skip
    threading.Thread(target=webhooks.serve_forever, daemon=True).start()
    side.account.load_changes()
    server = make_server(
        settings.address, settings.port, side.front, threaded=True, request_handler=_Quiet
    )
    side.go_on()
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
