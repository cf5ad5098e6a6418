"""An Ingress, a Service or a target group binding, and what stands around it, each looked up once.

`diagnosis` reads it. What may not be read raises where it is used.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eksnet.aws import refusals
from eksnet.endpoints import ready_endpoints
from eksnet.errors import EksnetError, NotFoundError
from eksnet.loadbalancer import controller, linting, observe
from eksnet.loadbalancer.last_word import Word, last_word
from eksnet.loadbalancer.linting import Context
from eksnet.loadbalancer.reading import Object
from eksnet.loadbalancer.releases import PINNED, Release, release_of

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

INGRESS, SERVICE, BINDING = "Ingress", "Service", "TargetGroupBinding"
_LABEL = f"app.kubernetes.io/name={controller.NAME}"
_AROUND = ("ingresses", "ingressclasses", "ingressclassparams")


@dataclass(frozen=True)
class Behind:
    """A Service that an object leads to.

    Attributes:
        name: Its name.
        port: Its port, as the object names it; empty where it names none.
        there: Whether it is in the namespace of the object.
        elsewhere: Other namespaces that have a Service of this name.
        ready: How many of its endpoints are ready.
        selects: The labels that it selects, as text.
    """

    name: str
    port: str
    there: bool = True
    elsewhere: tuple[str, ...] = ()
    ready: int = 0
    selects: str = ""


class Around:
    """An object, and what is looked up for it."""

    def __init__(self, cluster: Cluster, about: Resource) -> None:
        """Remember the object.

        Args:
            cluster: The cluster.
            about: The object.
        """
        self._cluster, self.about = cluster, about

    # The controller.

    @functools.cached_property
    def deployments(self) -> Sequence[Resource]:
        """The Deployments of the controller, in whichever namespace."""
        return self._cluster.list("deployments", all_namespaces=True, selector=_LABEL)

    @functools.cached_property
    def release(self) -> Release:
        """The release of the controller, as its image says; the engine's where that says none."""
        with contextlib.suppress(EksnetError, LookupError):
            containers = self.deployments[0]["spec"]["template"]["spec"]["containers"]
            return release_of(containers[0]["image"].partition("@")[0].rpartition(":")[2])
        return PINNED

    @functools.cached_property
    def word(self) -> Word | None:
        """What the controller said last of the object."""
        return self._word(self.about, self.group)

    @functools.cached_property
    def bound(self) -> tuple[tuple[str, Word | None], ...]:
        """The target group bindings of its Services, with what the controller said last of each."""
        names = {one.name for one in self.behind}
        found = self._cluster.list(observe.BINDINGS, self.about.namespace)
        return tuple(
            (one.name, self._word(one)) for one in found
            if one["spec"]["serviceRef"]["name"] in names
        )  # fmt: skip

    def _word(self, about: Resource, group: str = "") -> Word | None:
        return last_word(self._cluster, about, group, self._pods)

    @functools.cached_property
    def _pods(self) -> Sequence[Resource]:
        return self._cluster.list("pods", all_namespaces=True, selector=_LABEL)

    # What the object says, and what it names.

    @functools.cached_property
    def classes(self) -> dict[str, Resource]:
        """The IngressClasses by name."""
        return {one.name: one for one in self._cluster.list("ingressclasses")}

    @functools.cached_property
    def group(self) -> str:
        """The name of an Ingress' group; empty where it has none."""
        is_ingress = self.about.kind == INGRESS
        return self._context.group_of(self._context.objects[0]) if is_ingress else ""

    @functools.cached_property
    def findings(self) -> list[linting.Finding]:
        """What lint finds in the object, in the members of its group, and in its Services."""
        mine, *others = self._context.objects
        kept = [one for one in others if one.kind != INGRESS or self._is_member(one)]
        return linting.found_in(Context((mine, *kept), release=self.release))

    def _is_member(self, ingress: Object) -> bool:
        return bool(self.group) and self._context.group_of(ingress) == self.group

    @functools.cached_property
    def _context(self) -> Context:
        """The object first, then all that lint has to know of."""
        found = [one for kind in _AROUND for one in self._all(kind)]
        found += [one for _, one in self._services if one is not None]
        others = {_id(one): one for one in found}
        others.pop(_id(self.about), None)
        return Context((_as_written(self.about), *map(_as_written, others.values())))

    def _all(self, kind: str) -> Sequence[Resource]:
        try:
            return self._cluster.list(kind, all_namespaces=True)
        except NotFoundError:
            # The kinds of a controller that is not installed.
            return ()

    @functools.cached_property
    def _services(self) -> tuple[tuple[tuple[str, str], Resource | None], ...]:
        """The names and ports of the Services that it leads to, with the Services."""
        return tuple(
            (named, self._cluster.find("service", named[0], self.about.namespace))
            for named in dict.fromkeys(_named(self.about))
        )

    @functools.cached_property
    def behind(self) -> tuple[Behind, ...]:
        """The Services that it leads to; those of actions are left out."""
        return tuple(
            Behind(*named, there=False, elsewhere=self._elsewhere(named[0]))
            if found is None
            else Behind(*named, ready=self._ready(found), selects=_selects(found))
            for named, found in self._services
        )

    def _elsewhere(self, name: str) -> tuple[str, ...]:
        with contextlib.suppress(EksnetError):
            found = self._cluster.list("services", all_namespaces=True)
            return tuple(sorted(one.namespace for one in found if one.name == name))
        return ()

    def _ready(self, service: Resource) -> int:
        label = f"kubernetes.io/service-name={service.name}"
        found = self._cluster.list("endpointslices", service.namespace, selector=label)
        return len(ready_endpoints(found))

    # AWS.

    @property
    def host(self) -> str:
        """The DNS name in its status; empty where there is none."""
        return observe.hostname(self.about)

    @functools.cached_property
    def balancer(self) -> dict[str, Any] | None:
        """AWS' own description of its load balancer."""
        with self._in_words():
            return observe.balancer_of(self._cluster, self.host)

    @functools.cached_property
    def actions(self) -> list[str]:
        """What the rules of its load balancer do."""
        if self.balancer is None:
            return []
        with self._in_words():
            found = observe.rules_of(self._cluster, self.balancer["LoadBalancerArn"])
            return [one.action for one in found]

    @functools.cached_property
    def target_group(self) -> str:
        """The ARN of a binding's target group, when AWS has it; empty when it does not."""
        arn, elb = str(self.about["spec"].get("targetGroupARN", "")), self._cluster.aws("elbv2")
        with self._in_words():
            try:
                elb.describe_target_groups(TargetGroupArns=[arn])
            except elb.exceptions.TargetGroupNotFoundException:
                return ""
        return arn

    @functools.cached_property
    def targets(self) -> list[observe.Target]:
        """The targets of its Services."""
        with self._in_words():
            if self.about.kind == BINDING:
                arns = [self.target_group] if self.target_group else []
                return [
                    one for arn in arns
                    for one in observe.targets_of(self._cluster, TargetGroupArns=[arn])
                ]  # fmt: skip
            if self.balancer is None:
                return []
            arn = self.balancer["LoadBalancerArn"]
            found = list(observe.targets_of(self._cluster, LoadBalancerArn=arn))
        mine = {one.name for one in self.behind}
        return [one for one in found if one.service.rpartition(":")[0] in mine]

    def _in_words(self) -> contextlib.AbstractContextManager[None]:
        return refusals.in_words(self._cluster.aws("elbv2"), "Elastic Load Balancing")


def _named(about: Resource) -> Iterator[tuple[str, str]]:
    """Yield the Services that an object leads to, each with its port as it is written."""
    if about.kind == BINDING:
        named = about["spec"]["serviceRef"]
        yield str(named["name"]), str(named["port"])
    elif about.kind == SERVICE:
        yield about.name, ""
    else:
        for one in linting.backends(_as_written(about)):
            if one.service and not one.is_action:
                yield one.service, str(one.port)


def _selects(service: Resource) -> str:
    found = service["spec"].get("selector") or {}
    return ", ".join(f"{name}={value}" for name, value in found.items()) or "nothing"


def _id(one: Resource) -> tuple[str, str, str]:
    return one.kind, one.namespace, one.name


def _as_written(one: Resource) -> Object:
    """Return an object of the cluster as lint reads one."""
    title = f"{one.kind.lower()}/{one.name}"
    return Object(title, 1, {**one.raw, "kind": one.kind}, {})
