"""What the cluster room hands out: objects, events, and what became of a manifest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from eksnet.listing import Listing

Json = dict[str, Any]
Result = Literal["created", "configured", "unchanged", "deleted", "was not there"]


@dataclass(frozen=True)
class Resource(Mapping[str, Any]):
    """An object of the cluster, as it was when it was read; a mapping of its fields.

    Attributes:
        raw: The object as the API server gave it.
    """

    raw: Json = field(hash=False)

    def __getitem__(self, key: str) -> Any:
        return self.raw[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)

    @property
    def kind(self) -> str:
        """Its kind, such as Service."""
        return str(self.raw.get("kind", ""))

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.raw["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Its namespace; empty when its kind has none."""
        return str(self.raw["metadata"].get("namespace", ""))

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}>"

    def to_yaml(self) -> str:
        """Return it as YAML, without the bookkeeping of who manages which field."""
        metadata = {k: v for k, v in self.raw["metadata"].items() if k != "managedFields"}
        return yaml.safe_dump({**self.raw, "metadata": metadata}, sort_keys=False)


@dataclass(frozen=True)
class Applied:
    """What became of one object of a manifest.

    Attributes:
        kind: Its kind.
        name: Its name.
        namespace: Its namespace; empty when its kind has none.
        result: What happened to it.
    """

    kind: str
    name: str
    namespace: str
    result: Result


@dataclass(frozen=True)
class Event:
    """What a component of the cluster reported about an object.

    Attributes:
        type: Normal or Warning.
        reason: The reason in one word.
        object: What it is about, as kind/name.
        message: The message.
    """

    type: str
    reason: str
    object: str
    message: str


def applied(results: Iterable[Applied]) -> Listing[Applied]:
    """Show what became of a manifest's objects, in its order."""
    return Listing.of(
        results,
        {
            "kind": lambda one: one.kind,
            "name": lambda one: one.name,
            "namespace": lambda one: one.namespace,
            "result": lambda one: one.result,
        },
    )


def events(raw: Iterable[Json]) -> Listing[Event]:
    """Show events in the order in which they happened last, without their times."""
    return Listing.of(
        map(_event, sorted(raw, key=last_seen)),
        {
            "type": lambda one: one.type,
            "reason": lambda one: one.reason,
            "object": lambda one: one.object,
            "message": lambda one: one.message,
        },
    )


def _event(raw: Json) -> Event:
    about = raw.get("involvedObject") or raw.get("regarding") or {}
    what = f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"
    message = raw.get("message") or raw.get("note") or ""
    return Event(str(raw.get("type", "")), str(raw.get("reason", "")), what, str(message).strip())


def last_seen(raw: Json) -> tuple[str, str]:
    """Return when an event happened last, as the API writes a time, and its name."""
    series = raw.get("series") or {}
    times = (
        series.get("lastObservedTime"),
        raw.get("lastTimestamp"),
        raw.get("eventTime"),
        raw.get("firstTimestamp"),
        raw["metadata"].get("creationTimestamp"),
    )
    return next((str(time) for time in times if time), ""), str(raw["metadata"].get("name", ""))


# Columns that tell the time of day, or how long something has been there.
_PASSING = {"Age", "Last Seen", "First Seen", "Last Schedule", "Duration"}


def table(raw: Json, kind: str, *, wide: bool, namespaced: bool) -> Listing[Resource]:
    """Show a list as kubectl does, sorted by namespace and name, without columns of times.

    Args:
        raw: The API server's answer: a Table with whole objects.
        kind: The kind of the objects.
        wide: Whether the columns of `kubectl get -o wide` are shown too.
        namespaced: Whether the namespace is a column.
    """
    definitions = raw.get("columnDefinitions", [])
    shown = [
        index
        for index, column in enumerate(definitions)
        if column["name"] not in _PASSING and (wide or not column.get("priority"))
    ]
    entries = []
    for row in raw.get("rows") or ():
        resource = Resource({"kind": kind, **row["object"]})
        cells = tuple(_cell(row["cells"][index]) for index in shown)
        if namespaced:
            cells = (resource.namespace, *cells)
        entries.append((resource, cells))
    entries.sort(key=lambda entry: (entry[0].namespace, entry[0].name))
    columns = tuple(definitions[index]["name"].lower() for index in shown)
    return Listing(
        ("namespace", *columns) if namespaced else columns,
        tuple(cells for _, cells in entries),
        tuple(resource for resource, _ in entries),
    )


def _cell(value: object) -> str:
    # A pod's restarts are told with the time since the last one: "2 (5m ago)".
    return "" if value is None else re.sub(r" \(\S+ ago\)$", "", str(value))
