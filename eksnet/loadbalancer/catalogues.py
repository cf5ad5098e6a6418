"""The catalogues of the controller's annotations, as lint and the notebooks ask them.

The tables in `data/` are made of the controller's guide and constants by
`tests/data/controller_annotations.py`. Where the code does something else than the guide says,
`controller_annotation_notes.csv` has both and the function; an `Annotation` has what the code does.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eksnet import data, inputs
from eksnet.display import Shown
from eksnet.listing import Listing
from eksnet.loadbalancer.releases import PINNED, Release, release_of

if TYPE_CHECKING:
    import pandas as pd

INGRESS, SERVICE = "alb.ingress.kubernetes.io/", "service.beta.kubernetes.io/"
VERSIONS = ("2.7", "3.3")
"""The versions with a catalogue: that of the course document's links, and the engine's."""
NEWEST = VERSIONS[-1]
_TYPES = frozenset({"string", "boolean", "integer", "stringList", "stringMap", "json", ""})
# A place for a name in an annotation, such as ${action-name}; the last one may have dots in it.
_PLACE = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True)
class Correction:
    """Where the guide says one thing and the controller's code does another.

    Attributes:
        column: What it is about: the `annotation` itself, its `type`, `default` or `merge`.
        guide: What the guide says; empty where it says nothing.
        controller: What the code does.
        source: The file of the controller's source and the function.
    """

    column: str
    guide: str
    controller: str
    source: str


@dataclass(frozen=True, repr=False)
class Annotation(Shown):
    """An annotation that the controller reads.

    Attributes:
        name: The whole key; `${…}` stands for a name or a port.
        type: boolean, integer, string, stringList, stringMap, json, or the words that it takes,
            with ` | ` between them.
        default: What holds without it; empty where nothing does.
        on: The kinds that it may stand on: `Ingress`, `Service`, or both.
        merge: How members of a group may differ: `Exclusive`, `Merge`, or empty where each
            Ingress has its own.
        section: The guide's heading above its explanation.
        since: The first release that reads it.
        deprecated: What to use in its place; empty where it is not deprecated.
        in_table: Whether the guide's table has it.
        corrections: Where the guide's table is wrong or says less.
    """

    name: str
    type: str
    default: str
    on: str
    merge: str
    section: str
    since: str
    deprecated: str
    in_table: bool
    corrections: tuple[Correction, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """The words that it takes as its value; empty where its type is another one."""
        alone = self.type not in _TYPES
        return tuple(self.type.split(" | ")) if alone else ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that it may stand on."""
        return tuple(self.on.split(", "))

    @functools.cached_property
    def short(self) -> str:
        """The key without its prefix."""
        return self.name.partition("/")[2]

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "type", self.type or "not documented"
        yield "default", self.default or "none"
        yield "on", self.on
        yield "in a group", self.merge or "each Ingress has its own"
        yield "since", self.since
        yield "section", self.section or "none"
        if self.deprecated:
            yield "deprecated", f"use {self.deprecated}"
        for one in self.corrections:
            said = one.guide or "nothing"
            yield f"guide, {one.column}", f"{said}; but see {one.source.split()[-1]}"

    def _listing(self) -> Listing[tuple[str, str]]:
        return Listing.of(self._facts(), {self.name: lambda one: one[0], "": lambda one: one[1]})

    def _text(self, *, colours: bool) -> str:
        return self._listing()._text(colours=colours)

    def _repr_html_(self) -> str:
        return self._listing()._repr_html_()

    def to_frame(self) -> pd.DataFrame:
        """Return its facts as a data frame of text: a row for each."""
        return self._listing().to_frame()


@functools.cache
def known(version: str) -> tuple[Annotation, ...]:
    """Return the annotations of a version; see `catalogue`."""
    inputs.one_of(version, VERSIONS, "catalogue of version", "such as 3.3")
    table = data.rows(f"controller_annotations_v{version}")
    notes: dict[str, list[dict[str, str]]] = {}
    for note in data.rows("controller_annotation_notes"):
        notes.setdefault(note["annotation"], []).append(note)
    found = [_made(row, notes.get(row["annotation"], [])) for row in table]
    # A catalogue of an older version has none that came later.
    newest = release_of(version)
    extra = [
        _undocumented(name) for name in notes if name not in {row["annotation"] for row in table}
    ]
    return (*found, *(one for one in extra if one and release_of(one.since) <= newest))


def _made(row: dict[str, str], notes: list[dict[str, str]]) -> Annotation:
    wrong = tuple(
        Correction(note["column"], note["guide"], note["controller"], note["source"])
        for note in notes
        if row[note["column"]] == note["guide"]
    )
    right = row | {one.column: one.controller for one in wrong}
    return Annotation(
        right["annotation"], right["type"], right["default"], right["location"], right["merge"],
        right["section"], since(row["annotation"]), right["deprecated"],
        right["in_table"] == "yes", wrong,
    )  # fmt: skip


# What only the code has: where it may stand and since when is not in any table.
_UNDOCUMENTED = {
    f"{SERVICE}aws-load-balancer-target-group-attributes.${{port}}": ("stringMap", "2.14.0"),
}


def _undocumented(name: str) -> Annotation | None:
    if name not in _UNDOCUMENTED:
        return None
    kind, first = _UNDOCUMENTED[name]
    note = next(
        one for one in data.rows("controller_annotation_notes") if one["annotation"] == name
    )
    wrong = Correction("annotation", "", name, note["source"])
    return Annotation(name, kind, "", "Service", "", "", first, "", False, (wrong,))


def matching(key: str, version: str = NEWEST) -> Annotation | None:
    """Return the annotation of a version that a key is; None where it is none."""
    exact, patterns = _index(version)
    if key in exact:
        return exact[key]
    return next((one for pattern, one in patterns if pattern.fullmatch(key)), None)


@functools.cache
def _index(
    version: str,
) -> tuple[dict[str, Annotation], tuple[tuple[re.Pattern[str], Annotation], ...]]:
    plain = {one.name: one for one in known(version) if "${" not in one.name}
    open_ = [one for one in known(version) if "${" in one.name]
    return plain, tuple((pattern(one.name), one) for one in open_)


def pattern(name: str) -> re.Pattern[str]:
    """Return what keys an annotation's name stands for."""
    parts = re.split(r"\$\{[^}]*\}", name)
    return re.compile(".+".join(map(re.escape, parts)))


def since(name: str, value: str = "") -> str:
    """Return the first release that reads an annotation, or one of the words that it takes.

    Args:
        name: The annotation as the guide has it, or a key.
        value: A word that is its value; empty for the annotation itself.

    Returns:
        The release; empty where no release does.
    """
    return _releases().get((_without_places(name), value), "")


@functools.cache
def _releases() -> dict[tuple[str, str], str]:
    table = data.rows("controller_annotation_releases")
    return {(row["annotation"], row["value"]): row["since"] for row in table}


def _without_places(name: str) -> str:
    return _PLACE.sub("", name).rstrip(".-")


def is_read(one: Annotation, release: Release = PINNED) -> bool:
    """Tell whether a release reads an annotation."""
    return release_of(one.since) <= release


def meant(name: str, version: str = NEWEST) -> str:
    """Return which annotation somebody means who wrote another name, as a question."""
    return _meant(name[:_LONGEST], version)


# Comparing takes a time that grows with the square of the length.
_LONGEST = 120


@functools.lru_cache(maxsize=10_000)
def _meant(name: str, version: str) -> str:
    names = {one.name.partition("${")[0]: one for one in known(version)}
    prefix = next((one for one in (INGRESS, SERVICE) if name.startswith(one)), "")
    if prefix:
        names = {key: one for key, one in names.items() if key.startswith(prefix)}
    rest = {key.partition("/")[2]: one for key, one in names.items()}
    near = difflib.get_close_matches(name.rpartition("/")[2], sorted(rest), 1, 0.75)
    return f"did you mean {rest[near[0]].name}?" if near else ""
