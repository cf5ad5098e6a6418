"""The annotations that the load balancer controller reads: to be browsed, searched and compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from eksnet import inputs
from eksnet.errors import EksnetError
from eksnet.listing import Listing
from eksnet.loadbalancer.catalogues import (
    NEWEST,
    VERSIONS,
    Annotation,
    Correction,
    known,
    matching,
    meant,
    pattern,
)

_SHOWN = {
    "annotation": "name", "type": "type", "default": "default", "on": "on", "in a group": "merge",
    "since": "since",
}  # fmt: skip
_COMPARED = ("type", "default", "on", "merge", "deprecated")


@dataclass(frozen=True)
class Change:
    """What differs between two versions.

    Attributes:
        name: The annotation.
        change: `added`, `removed` or `changed`.
        column: What has changed; empty for a whole annotation.
        before: What the older version says.
        after: What the newer version says.
    """

    name: str
    change: str
    column: str
    before: str
    after: str


def catalogue(version: str = NEWEST) -> Listing[Annotation]:
    """Return the annotations of a version, in the order of its guide.

    Args:
        version: `2.7` or `3.3`.

    Raises:
        EksnetError: There is no catalogue of it.
    """
    return _listed(known(version))


def find(name: str, version: str = NEWEST) -> Annotation:
    """Return an annotation.

    Args:
        name: The key; without its prefix, if that is clear. What stands for `${…}` may be anything.
        version: `2.7` or `3.3`.

    Raises:
        EksnetError: The version has none of that name; the message says which is meant.
    """
    inputs.text(name, "the annotation", "a name such as scheme")
    found = matching(name, version) or next(
        (one for one in known(version) if one.short == name or pattern(one.short).fullmatch(name)),
        None,
    )
    if found is None:
        raise EksnetError(
            f"version {version} of the controller reads no annotation {inputs.shown(name)}",
            meant(name, version) or "one of loadbalancer.annotations.catalogue()",
            "loadbalancer.annotations.search(WORD) lists those with a word",
        )
    return found


def search(words: str, version: str = NEWEST) -> Listing[Annotation]:
    """Return the annotations with all of some words in their name, type, default or section.

    Args:
        words: Words, with blanks between them; upper and lower case are the same.
        version: `2.7` or `3.3`.

    Raises:
        EksnetError: No word is given, or there is no catalogue of the version.
    """
    inputs.text(words, "the words", "search('health check')")
    wanted = words.lower().split()
    found = [one for one in known(version) if all(word in _searched(one) for word in wanted)]
    return _listed(tuple(found))


def compare(older: str = VERSIONS[0], newer: str = NEWEST) -> Listing[Change]:
    """Return what differs between the catalogues of two versions, by name.

    Args:
        older: The version to begin with.
        newer: The version to compare it with.

    Raises:
        EksnetError: There is no catalogue of one of them.
    """
    before = {one.name: one for one in known(older)}
    after = {one.name: one for one in known(newer)}
    changes = [
        change for name in sorted(before.keys() | after.keys())
        for change in _changes(name, before.get(name), after.get(name))
    ]  # fmt: skip
    columns = ("name", "change", "column", "before", "after")
    rows = tuple(tuple(str(getattr(one, column)) for column in columns) for one in changes)
    return Listing(("annotation", *columns[1:]), rows, tuple(changes))


def corrections(version: str = NEWEST) -> Listing[tuple[Annotation, Correction]]:
    """Return where the guide of a version is wrong or says less than the code.

    Args:
        version: `2.7` or `3.3`.

    Raises:
        EksnetError: There is no catalogue of it.
    """
    pairs = [(one, wrong) for one in known(version) for wrong in one.corrections]
    return Listing.of(
        pairs,
        {
            "annotation": lambda pair: pair[0].name,
            "column": lambda pair: pair[1].column,
            "guide": lambda pair: pair[1].guide,
            "controller": lambda pair: pair[1].controller,
            "source": lambda pair: pair[1].source,
        },
    )


def _listed(found: tuple[Annotation, ...]) -> Listing[Annotation]:
    rows = tuple(tuple(str(getattr(one, field)) for field in _SHOWN.values()) for one in found)
    return Listing(tuple(_SHOWN), rows, found)


def _searched(one: Annotation) -> str:
    return f"{one.name} {one.type} {one.default} {one.section} {one.on} {one.merge}".lower()


def _changes(name: str, before: Annotation | None, after: Annotation | None) -> Iterator[Change]:
    if before is None:
        yield Change(name, "added", "", "", f"since {after.since}" if after else "")
    elif after is None:
        yield Change(name, "removed", "", "", "")
    else:
        for column in _COMPARED:
            old, new = getattr(before, column), getattr(after, column)
            if old != new:
                yield Change(name, "changed", column, old, new)
