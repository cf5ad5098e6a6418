"""The widget *annotation choices*: annotations that are checked as they are chosen, and planned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import yaml
from traitlets import Enum, Unicode

from eksnet import inputs
from eksnet.errors import EksnetError
from eksnet.listing import Listing
from eksnet.loadbalancer.balancer_tree import balancer_tree
from eksnet.loadbalancer.catalogues import INGRESS, VERSIONS
from eksnet.loadbalancer.linting import OF_SERVICE, Finding, lint, summary
from eksnet.loadbalancer.planned import Plan
from eksnet.loadbalancer.releases import PINNED, written
from eksnet.panel import Panel, Table, Text
from eksnet.widgets.model import Model

KINDS = ("Ingress", "Service")
START = "scheme: internet-facing\ntarget-type: ip\n"
NAMES = ("First choice", "Second choice")
_PREFIXES = dict(zip(KINDS, (INGRESS, OF_SERVICE), strict=True))
_RELEASE = written(PINNED)
_MOST = 10_000
_NO_PLAN = (
    "What the controller would make of it is not shown: that needs a cluster, and the widget has "
    "none."
)
_NOT_YET = "What the controller would make of it: press Plan."


class AnnotationChoices(Model):
    """Two choices of annotations for one object, what lint says of them, and what is planned.

    Attributes:
        kind: Whether they stand on an Ingress or on a Service.
        first: Annotations, one in a line: KEY: VALUE, with or without the key's prefix.
        second: Others, to be compared; nothing is shown of an empty one.
        release: The release of the controller for which they are checked.
        namespace: Where the object is.
        name: The name of the object, and of the Service behind an Ingress.
    """

    title: ClassVar[str] = "Annotation choices"
    controls: ClassVar[tuple[str, ...]] = ("kind", "first", "second", "release")

    kind = Enum(KINDS, KINDS[0]).tag(label="kind")
    first = Unicode(START).tag(label="first choice", wide=True, lines=6)
    second = Unicode("").tag(label="second choice", wide=True, lines=6)
    release = Unicode(_RELEASE).tag(label="controller", suggestions=(*VERSIONS, _RELEASE))
    namespace = Unicode("app-ns")
    name = Unicode("web")

    @property
    def actions(self) -> Mapping[str, str]:
        """The button, where there is a cluster to ask."""
        return {name: "Plan" for name in super().actions}

    @property
    def waiting(self) -> str:
        """What is being done."""
        return "Asking the controller's own code …"

    @property
    def choices(self) -> tuple[str, ...]:
        """The choices that are made: the second one only if there is anything in it."""
        return (self.first, self.second) if self.second.strip() else (self.first,)

    @property
    def manifests(self) -> tuple[str, ...]:
        """The YAML of each choice.

        Raises:
            EksnetError: A line is no annotation.
        """
        return tuple(
            manifest(self.kind, annotated(self.kind, one), self.namespace, self.name)
            for one in self.choices
        )

    def check_observable(self) -> None:
        """Look whether there is something to plan.

        Raises:
            EksnetError: A line is no annotation.
        """
        _ = self.manifests

    @property
    def findings(self) -> tuple[Listing[Finding], ...]:
        """What lint says of each choice.

        Raises:
            EksnetError: The release is not known, or a line is no annotation.
        """
        return tuple(lint(one, self.release.strip() or _RELEASE) for one in self.manifests)

    def panel(self) -> Panel:
        """Return a column for each choice: the findings, the plan if there is one, the YAML."""
        plans = self.seen or (None,) * len(self.choices)
        each = tuple(zip(NAMES, self.findings, plans, self.manifests, strict=False))
        columns = [tuple(_parts(*one)) for one in each]
        said = [f"{name}: {summary(findings)}" for name, findings, _, _ in each]
        return Panel(
            " ".join((*said, *self._planned())),
            tuple(part for column in columns for part in column),
            tuple(map(len, columns)),
        )

    def _planned(self) -> tuple[str, ...]:
        if self.seen is not None:
            return tuple(
                f"{name}: {_first_line(plan)}."
                for name, plan in zip(NAMES, self.seen, strict=False)
            )
        return (_NOT_YET,) if self.witness else (_NO_PLAN,)

    @property
    def told(self) -> Listing[str]:
        """The settings in words: of a choice, how many annotations it has."""
        rows = tuple(
            (label, _counted(getattr(self, name)) if name in ("first", "second") else value)
            for name, (label, value) in zip(self.controls, self.settings.rows, strict=True)
        )
        return Listing(self.settings.columns, rows, self.controls)

    @property
    def elsewhere(self) -> str:
        """That the last plan was of other annotations, when of these there is none."""
        if not self.observed or self.settings.rows in self.observed:
            return ""
        return "The last plan was of other annotations."


def annotated(kind: str, chosen: str) -> dict[str, str]:
    """Return annotations by their whole keys.

    Args:
        kind: Ingress or Service: it gives the prefix of a key that has none.
        chosen: One in each line: KEY: VALUE. Empty lines and those that begin with # are left out.

    Raises:
        EksnetError: A line is no annotation, a key comes twice, or it is too long for a widget.
    """
    inputs.count(len(chosen), "the length of the annotations", 0, _MOST)
    found: dict[str, str] = {}
    for number, line in enumerate(chosen.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, colon, value = (one.strip() for one in line.partition(":"))
        if not colon or not key:
            raise EksnetError(
                f"line {number} is {inputs.shown(line)}", "KEY: VALUE, such as target-type: ip"
            )
        whole = key if "/" in key else _PREFIXES[kind] + key
        if whole in found:
            raise EksnetError(f"line {number} has {key} again", "each annotation once")
        found[whole] = _unquoted(value)
    return found


def _unquoted(value: str) -> str:
    """Return a value without the quotes in which YAML would have it."""
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def manifest(
    kind: str, chosen: Mapping[str, str], namespace: str = "app-ns", name: str = "web"
) -> str:
    """Return the YAML of an Ingress or of a Service with annotations.

    Args:
        kind: Ingress or Service.
        chosen: The annotations by their whole keys.
        namespace: Where it is.
        name: Its name; that of the Service behind an Ingress, too.
    """
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    if chosen:
        metadata["annotations"] = dict(chosen)
    found: dict[str, Any]
    if kind == "Service":
        found = {
            "apiVersion": "v1", "kind": kind, "metadata": metadata,
            "spec": {
                "type": "LoadBalancer", "selector": {"app": name},
                "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
            },
        }  # fmt: skip
    else:
        backend = {"service": {"name": name, "port": {"number": 80}}}
        path = {"path": "/", "pathType": "Prefix", "backend": backend}
        found = {
            "apiVersion": "networking.k8s.io/v1", "kind": kind, "metadata": metadata,
            "spec": {"ingressClassName": "alb", "rules": [{"http": {"paths": [path]}}]},
        }  # fmt: skip
    return yaml.safe_dump(found, sort_keys=False, width=_MOST, allow_unicode=True)


def _parts(name: str, findings: Listing[Finding], plan: Plan | None, text: str) -> Iterator[Any]:
    if findings:
        yield Table(f"{name}: findings", findings)
    if plan is not None:
        for stack in plan.stacks:
            yield balancer_tree(stack, title=f"{name}: {stack.title}")
        yield Text(f"{name}: plan", repr(plan))
    yield Text(f"{name}: YAML", text)


def _first_line(plan: Plan) -> str:
    return repr(plan).partition("\n")[0]


def _counted(chosen: str) -> str:
    lines = [one for one in chosen.splitlines() if one.strip() and not one.lstrip().startswith("#")]
    return f"{len(lines)} annotation{'s' * (len(lines) != 1)}"
