"""What is wrong with manifests for the load balancer controller: findings by rules, from the text.

An `error` is what the API server, the controller or AWS refuses, or what the controller passes
over without a word. A `warning` is what they take, and what gives something else than is meant.
`docs/manifest-rules.md` has a section for each rule, whose examples are the tests of the rule.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eksnet.display import Mark, Tone
from eksnet.errors import EksnetError
from eksnet.listing import Listing
from eksnet.loadbalancer import reading, values
from eksnet.loadbalancer.catalogues import INGRESS, SERVICE, Annotation, is_read, matching
from eksnet.loadbalancer.reading import Object, Unreadable, mapping, sequence, text
from eksnet.loadbalancer.releases import PINNED, Release, release_of

ERROR, WARNING = "error", "warning"
ALB_CONTROLLER = "ingress.k8s.aws/alb"
CLASS_ANNOTATION = "kubernetes.io/ingress.class"
OF_SERVICE = f"{SERVICE}aws-load-balancer-"
VARIABLE = re.compile(r"\$\{[A-Z_][A-Z0-9_]*\}|\$[A-Z_][A-Z0-9_]+")
"""A variable of the shell, as people name them."""
_TONES = {ERROR: Tone.BAD, WARNING: Tone.UNKNOWN}


@dataclass(frozen=True)
class Finding:
    """Something that a rule found.

    Attributes:
        rule: The rule's id.
        severity: `error` or `warning`.
        file: Where it was read.
        line: The line, from 1; 0 where it is about the whole file.
        object: The kind and name of the object; empty where it is about the file.
        seen: What was found.
        fix: What to do about it.
    """

    rule: str
    severity: str
    file: str
    line: int
    object: str
    seen: str
    fix: str


@dataclass(frozen=True)
class Backend:
    """What a path of an Ingress leads to.

    Attributes:
        host: The rule's host; empty for all.
        path: The path.
        path_type: Exact, Prefix or ImplementationSpecific.
        service: The name of the Service, or of the action.
        port: The name or the number of its port.
    """

    host: str
    path: str
    path_type: str
    service: str
    port: str | int

    @property
    def is_action(self) -> bool:
        """Whether an annotation says what is done."""
        return self.port == "use-annotation"


@dataclass(frozen=True, eq=False)
class Context:
    """The objects of all files, and for which release they are meant.

    Attributes:
        objects: The objects.
        unreadable: What is no object.
        release: The release of the controller.
    """

    objects: tuple[Object, ...]
    unreadable: tuple[Unreadable, ...] = ()
    release: Release = PINNED

    @functools.cached_property
    def by_kind(self) -> dict[str, list[Object]]:
        """The objects by their kind."""
        found: dict[str, list[Object]] = {}
        for one in self.objects:
            found.setdefault(one.kind, []).append(one)
        return found

    def of(self, kind: str) -> list[Object]:
        """Return the objects of a kind."""
        return self.by_kind.get(kind, [])

    @functools.cached_property
    def read(self) -> list[tuple[Object, str, str, Annotation]]:
        """The annotations of Ingresses and Services that the release reads, with their texts."""
        return [
            (one, key, value, found)
            for one in (*self.of("Ingress"), *self.of("Service"))
            for key, value in one.annotations.items()
            if key.startswith((INGRESS, SERVICE)) and isinstance(value, str)
            if (found := matching(key)) and is_read(found, self.release)
        ]

    @functools.cached_property
    def services(self) -> dict[str, Object]:
        """The Services by namespace and name."""
        return {one.key: one for one in self.of("Service")}

    @functools.cached_property
    def namespaces_of(self) -> dict[str, list[str]]:
        """The namespaces that have a Service of a name."""
        found: dict[str, list[str]] = {}
        for one in self.of("Service"):
            found.setdefault(one.name, []).append(one.namespace)
        return found

    @functools.cached_property
    def classes(self) -> dict[str, Object]:
        """The IngressClasses by name."""
        return {one.name: one for one in self.of("IngressClass")}

    @functools.cached_property
    def class_parameters(self) -> dict[str, Object]:
        """The IngressClassParams by name."""
        return {one.name: one for one in self.of("IngressClassParams")}

    @functools.cached_property
    def default_class(self) -> str:
        """The IngressClass that holds for Ingresses without one; empty where none does."""
        key = "ingressclass.kubernetes.io/is-default-class"
        found = (one.name for one in self.of("IngressClass") if one.annotations.get(key) == "true")
        return next(found, "")

    @functools.cached_property
    def albs(self) -> list[Object]:
        """The Ingresses that are meant for the controller."""
        return [one for one in self.of("Ingress") if self._is_alb(one)]

    def _is_alb(self, ingress: Object) -> bool:
        name = class_of(ingress) or self.default_class
        if name in self.classes:
            return self.classes[name].spec.get("controller") == ALB_CONTROLLER
        return name == "alb" or any(key.startswith(INGRESS) for key in ingress.annotations)

    @functools.cached_property
    def groups(self) -> dict[str, list[Object]]:
        """The members of each group that has a name; without a class an Ingress is in none."""
        found: dict[str, list[Object]] = {}
        for one in self.albs:
            if (class_of(one) or self.default_class) and (name := self.group_of(one)):
                found.setdefault(name, []).append(one)
        return found

    def group_of(self, ingress: Object) -> str:
        """Return the name of an Ingress's group; empty where it is alone."""
        parameters = self.parameters_of(ingress)
        named = mapping(parameters.get("group")).get("name")
        return text(named) or text(ingress.annotations.get(f"{INGRESS}group.name"))

    def parameters_of(self, ingress: Object) -> dict[Any, Any]:
        """Return what the IngressClassParams of its class say, where the files have them."""
        found = self.classes.get(class_of(ingress) or self.default_class)
        reference = mapping(found.spec.get("parameters")) if found else {}
        parameters = self.class_parameters.get(text(reference.get("name")))
        return parameters.spec if parameters else {}


def class_of(ingress: Object) -> str:
    """Return the class that an Ingress names; the old annotation counts first."""
    annotation = text(ingress.annotations.get(CLASS_ANNOTATION))
    return annotation or text(ingress.spec.get("ingressClassName"))


def backends(ingress: Object) -> Iterator[Backend]:
    """Yield what the paths of an Ingress lead to; its default backend has no path."""
    if default := mapping(ingress.spec.get("defaultBackend")):
        yield _backend("", "", "", default)
    for rule in map(mapping, sequence(ingress.spec.get("rules"))):
        for path in map(mapping, sequence(mapping(rule.get("http")).get("paths"))):
            kind = text(path.get("pathType")) or "ImplementationSpecific"
            host, where = text(rule.get("host")), text(path.get("path"))
            yield _backend(host, where, kind, mapping(path.get("backend")))


def _backend(host: str, path: str, kind: str, backend: dict[Any, Any]) -> Backend:
    service = mapping(backend.get("service"))
    port = mapping(service.get("port"))
    number = port.get("number")
    known = number if isinstance(number, int) else ""
    return Backend(host, path, kind, text(service.get("name")), text(port.get("name")) or known)


def listen_ports(ingress: Object) -> dict[int, str]:
    """Return the protocols of an Ingress's listeners by port; empty where they are not clear."""
    from eksnet.loadbalancer import json_values

    written = ingress.annotations.get(f"{INGRESS}listen-ports")
    if written is None:
        has_certificate = f"{INGRESS}certificate-arn" in ingress.annotations
        return {443: "HTTPS"} if has_certificate else {80: "HTTP"}
    value, why = values.from_json(text(written))
    if why or any(json_values.problems("listen-ports", value)):
        return {}
    return json_values.listen_ports(value)


Found = tuple[Object | Unreadable, int, str, str]
"""What it is about, a line, what was seen there, and what to do."""


def at(one: Object, key: str, seen: str, fix: str) -> Found:
    """Return something found at an annotation."""
    return one, one.line_of(key), seen, fix


def short(key: str) -> str:
    """Return an annotation's key without its prefix."""
    return key.partition("/")[2]


@dataclass(frozen=True)
class Rule:
    """A rule.

    Attributes:
        id: Its name; it stays.
        severity: `error` where something refuses or ignores what the rule finds, else `warning`.
        title: What it finds, in a few words.
        find: Yields what it finds.
    """

    id: str
    severity: str
    title: str
    find: Callable[[Context], Iterator[Found]]


def lint(manifest: str | Path | Iterable[str | Path], controller: str = "") -> Listing[Finding]:
    """Return what is wrong with manifests, by file and line.

    Args:
        manifest: The text of manifests; or a Path of a file or a folder; or several of these, which
            are looked at together.
        controller: The release of the controller, such as `2.7`; empty for that of the engine.

    Raises:
        EksnetError: A file cannot be read, or the release is not known.
    """
    sources = [manifest] if isinstance(manifest, str | Path) else manifest
    texts: list[tuple[str, str]] = []
    for one in sources:
        if isinstance(one, Path):
            texts.extend(reading.below(str(one)))
        elif isinstance(one, str):
            texts.append((f"manifest {len(texts) + 1}", one))
        else:
            raise EksnetError(f"a manifest is of type {type(one).__name__}", "a text or a Path")
    return lint_texts(texts, controller)


def lint_texts(texts: Iterable[tuple[str, str]], controller: str = "") -> Listing[Finding]:
    """Return what is wrong with texts that stand in files.

    Args:
        texts: The files' names and their texts.
        controller: The release of the controller; empty for that of the engine.

    Raises:
        EksnetError: The release is not known.
    """
    release = release_of(controller) if controller else PINNED
    objects: list[Object] = []
    unreadable: list[Unreadable] = []
    for file, content in texts:
        for one in reading.read(file, content):
            (objects if isinstance(one, Object) else unreadable).append(one)  # type: ignore[arg-type]
    return listed(found_in(Context(tuple(objects), tuple(unreadable), release)))


def found_in(context: Context) -> list[Finding]:
    """Return what the rules find, by rule."""
    return [
        Finding(rule.id, rule.severity, about.file, line, _title(about), seen, fix)
        for rule in _rules()
        for about, line, seen, fix in rule.find(context)
    ]


def _title(about: Object | Unreadable) -> str:
    return about.title if isinstance(about, Object) else ""


@functools.cache
def _rules() -> tuple[Rule, ...]:
    from eksnet.loadbalancer.lint_rules import RULES

    return RULES


def listed(findings: list[Finding]) -> Listing[Finding]:
    """Return findings by file and line; at one line an error before a warning."""
    findings.sort(key=lambda one: (one.file, one.line, one.severity, one.rule, one.seen))
    several = len({one.file for one in findings}) > 1
    return Listing.of(
        findings,
        {
            **({"file": lambda one: one.file} if several else {}),
            "line": lambda one: one.line or "-",
            "severity": lambda one: Mark(one.severity, _TONES[one.severity]),
            "object": lambda one: one.object,
            "finding": lambda one: one.seen,
            "fix": lambda one: one.fix,
            "rule": lambda one: one.rule,
        },
    )


def summary(findings: Collection[Finding]) -> str:
    """Return in a sentence what was found."""
    errors = sum(one.severity == ERROR for one in findings)
    warnings = len(findings) - errors
    if not findings:
        return "Nothing was found."
    return f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}."
