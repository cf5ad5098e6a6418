"""Editing a key of a ConfigMap, with the difference to show for it.

What a learner's function or text gives is checked before anything is sent.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from eksnet.cluster.client import Client
from eksnet.cluster.kinds import CONFIG_MAP
from eksnet.display import Shown, diff, diff_coloured
from eksnet.errors import EksnetError

Check = Callable[[str], str | None]
# What a text has to pass before it is written, by namespace, name and key of a ConfigMap. What it
# means is known to the rooms above this one: they hand their checks in. A check returns what is
# to be said of a text that it lets pass, or nothing.
Checks = Mapping[tuple[str, str, str], Check]

_NOTHING: Mapping[str, str] = {}
_LARGEST = 1_048_576
_ALL_THE_SAME = "`unchecked=True` in the call skips this check"


@dataclass(frozen=True, repr=False)
class Edit(Shown):
    """What an edit changed.

    Attributes:
        namespace: The ConfigMap's namespace.
        name: Its name.
        key: The key that was edited.
        before: The key's text before.
        after: The key's text now.
        remark: What may be wrong with it all the same; empty for nothing.
    """

    namespace: str
    name: str
    key: str
    before: str
    after: str
    remark: str = ""

    @property
    def diff(self) -> str:
        """The difference as unified diff; empty when nothing changed."""
        lines = difflib.unified_diff(
            self.before.splitlines(), self.after.splitlines(), "before", "after", lineterm=""
        )
        return "\n".join(lines)

    def _text(self, *, colours: bool) -> str:
        text = self.diff or f"{self.key} of ConfigMap {self.name}: unchanged"
        shown = diff_coloured(text) if colours else text
        return f"{shown}\nnote: {self.remark}" if self.remark else shown

    def _repr_html_(self) -> str:
        return diff(repr(self))


def edit_configmap(
    client: Client,
    checks: Checks,
    name: str,
    key: str,
    change: str | Callable[[str], str],
    namespace: str,
    *,
    unchecked: bool,
) -> Edit:
    """Change a key of a ConfigMap; see `Cluster.edit_configmap`."""
    path = CONFIG_MAP.path(namespace, text_of(name, "the ConfigMap's name"))
    current = client.get(path)
    data = current.get("data") or {}
    if callable(change) and key not in data:
        raise EksnetError(
            f"ConfigMap {name} in {namespace} has no key {key!r}",
            f"one of {', '.join(sorted(data)) or 'none'}",
            "pass the text itself to create a new key",
        )
    before = data.get(key, "")
    after = change(before) if callable(change) else change
    _refuse_no_text(
        after, "the value that your function returned" if callable(change) else "the new text"
    )
    changed = {**data, text_of(key, "the key"): after}
    remark = refuse_unfit(checks, namespace, name, {key: after}, before=data, unchecked=unchecked)
    refuse_huge(changed)
    if key not in data or after != before:
        # The resource version travels along: a change of somebody else's meanwhile is a conflict.
        client.send("PUT", path, {**current, "data": changed}, {"fieldManager": "eksnet-edit"})
    return Edit(namespace, name, key, before, after, remark if after != before else "")


def refuse_unfit(
    checks: Checks,
    namespace: str,
    name: str,
    data: Mapping[str, object] | None,
    *,
    before: Mapping[str, str] = _NOTHING,
    unchecked: bool,
) -> str:
    """Let only texts pass that those who read a ConfigMap can use.

    Args:
        checks: What each key has to pass.
        namespace: The ConfigMap's namespace.
        name: Its name.
        data: The keys that are to be written, with their texts; None takes a key away, and None
            for the whole takes all of them.
        before: The keys as they are, when that is known.
        unchecked: Whether the learner has said that it shall be written all the same.

    Returns:
        What is to be said of those that pass; empty for nothing.

    Raises:
        EksnetError: A text is none, is empty where there was something, or does not pass.
    """
    watched = {key: check for (*place, key), check in checks.items() if place == [namespace, name]}
    written = dict.fromkeys(watched) if data is None else data
    remarks = []
    for key, text in written.items():
        if unchecked or not (key in watched or before.get(key, "").strip()):
            continue
        where = f"{key} of ConfigMap {name} in {namespace}"
        if text is None or (isinstance(text, str) and not text.strip()):
            raise EksnetError(
                f"the new {where} is empty; nothing was changed",
                "a non-empty text",
                f"return the complete text; {_ALL_THE_SAME}",
            )
        if key in watched:
            _refuse_no_text(text, where)
            remarks.append(_pass(watched[key], str(text), where))
    return "; ".join(filter(None, remarks))


def _pass(check: Check, text: str, where: str) -> str:
    try:
        return check(text) or ""
    except EksnetError as error:
        raise EksnetError(
            f"{where}: {error.seen}; nothing was changed",
            error.expected,
            "; ".join(filter(None, (error.next_step, _ALL_THE_SAME))),
        ) from None


def text_of(value: object, what: str) -> str:
    """Return a text that says something.

    Raises:
        EksnetError: It is no text, or an empty one.
    """
    _refuse_no_text(value, what)
    if not str(value).strip():
        raise EksnetError(f"{what} is empty", "a text")
    return str(value)


def _refuse_no_text(value: object, what: str) -> None:
    if value is None:
        raise EksnetError(
            f"{what} is None; nothing was changed",
            "the complete new text",
            "a function needs `return`; a lambda returns its expression",
        )
    if not isinstance(value, str):
        raise EksnetError(
            f"{what} is of type {type(value).__name__}; nothing was changed", "text (str)"
        )
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise EksnetError(
            f"{what} cannot be encoded in UTF-8, at character {error.start}; nothing was changed",
            "valid Unicode text",
        ) from None


def refuse_huge(data: Mapping[str, object]) -> None:
    """Let only pass what fits into a ConfigMap.

    Raises:
        EksnetError: It is longer.
    """
    # Half a surrogate pair is refused where a request is sent, for every kind of object.
    texts = (str(text) for item in data.items() for text in item)
    size = sum(len(text.encode(errors="surrogatepass")) for text in texts)
    if size > _LARGEST:
        raise EksnetError(
            f"the ConfigMap would hold {size:,} bytes; nothing was changed",
            f"{_LARGEST:,} bytes at most, says Kubernetes",
        )
