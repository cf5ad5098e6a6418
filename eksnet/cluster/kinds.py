"""Kinds: what a cluster's API calls a thing, and where it is served."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

from eksnet.cluster.client import Client, Json
from eksnet.errors import NotFoundError

_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True)
class Kind:
    """A kind of object that a cluster serves.

    Attributes:
        group: Its API group; empty for the core group.
        version: Its version in the group.
        name: Its name in manifests, such as ConfigMap.
        plural: Its name in paths, such as configmaps.
        namespaced: Whether its objects live in namespaces.
        aliases: Its other names: singular and short ones.
    """

    group: str
    version: str
    name: str
    plural: str
    namespaced: bool
    aliases: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """The apiVersion of a manifest."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def is_called(self, name: str) -> bool:
        """Tell whether kubectl would take the name for this kind, as in `deploy.apps`."""
        wanted, _, group = name.lower().partition(".")
        names = (self.plural, self.name.lower(), *self.aliases)
        return wanted in names and group in ("", self.group)

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the path of the collection, of an object, or of a part of it."""
        path = f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"
        if self.namespaced and namespace:
            path += f"/namespaces/{quote(namespace, safe='')}"
        path += f"/{self.plural}"
        for part in (name, subresource):
            path += f"/{quote(part, safe='')}" if part else ""
        return path


POD = Kind("", "v1", "Pod", "pods", True)
EVENT = Kind("", "v1", "Event", "events", True)
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", True)
ENDPOINT_SLICE = Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", True)
REVIEW = Kind(
    "authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", False
)


class UnknownKindError(NotFoundError):
    """The cluster has no kind of that name."""


class Kinds:
    """The kinds that a cluster serves, asked for when first needed."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: tuple[Kind, ...] = ()

    def called(self, name: str) -> Kind:
        """Return the kind of a name such as `deployment`, `deploy` or `ingresses.networking…`.

        Raises:
            UnknownKindError: The cluster serves no such kind.
        """
        return self._find(lambda kind: kind.is_called(name), name)

    def of(self, api_version: str, name: str) -> Kind:
        """Return the kind of a manifest.

        Raises:
            UnknownKindError: The cluster serves no such kind.
        """
        wanted = (api_version, name)
        return self._find(
            lambda kind: (kind.api_version, kind.name) == wanted, f"{name} of {api_version}"
        )

    def namespaced(self) -> tuple[Kind, ...]:
        """Return every kind whose objects live in namespaces."""
        return tuple(kind for kind in self._served() if kind.namespaced)

    def _find(self, fits: Callable[[Kind], bool], what: str) -> Kind:
        # Definitions may have come since the last look, so a miss is looked up once more.
        for fresh in (False, True):
            if fresh or not self._known:
                self._known = tuple(self._served())
            for kind in self._known:
                if fits(kind):
                    return kind
        raise UnknownKindError(
            f"{self._client.target} has no kind {what}",
            "a kind of Kubernetes or of an installed controller",
            f"`{self._client.kubectl} api-resources` lists them; check apiVersion and kind",
        )

    def _served(self) -> Iterator[Kind]:
        for path in ("/api", "/apis"):
            for group in self._client.get(path, accept=_DISCOVERY).get("items") or ():
                for version in group["versions"]:
                    for resource in version.get("resources") or ():
                        yield _kind(group["metadata"].get("name", ""), version["version"], resource)


def _kind(group: str, version: str, resource: Json) -> Kind:
    return Kind(
        group,
        version,
        str((resource.get("responseKind") or {}).get("kind", "")),
        resource["resource"],
        resource["scope"] == "Namespaced",
        (resource.get("singularResource", ""), *(resource.get("shortNames") or ())),
    )
