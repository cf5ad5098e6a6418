"""What EKS remembers of a cluster, kept in one file: add-ons, updates, and who may use it."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eksnet.sandbox.paths import write_private

NO_MODE = ""
# How many answers are kept for calls that are sent again. How long EKS keeps them was found
# nowhere.
_ANSWERS_KEPT = 100


@dataclass(frozen=True)
class Wanted:
    """What an add-on is to be.

    Attributes:
        version: The add-on's version.
        configuration: Its configuration values as they were given; empty for none.
    """

    version: str
    configuration: str = ""


@dataclass(frozen=True)
class Issue:
    """What keeps an add-on or an update from being well.

    Attributes:
        code: A code of EKS's model, such as `ConfigurationConflict`.
        message: What EKS says of it.
        resources: What it is about.
    """

    code: str
    message: str
    resources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Addon:
    """An add-on of the cluster.

    Attributes:
        name: Its name.
        wanted: What it is to be.
        status: A status of EKS's model, such as `ACTIVE`.
        created: When it was created.
        modified: When it was changed last.
        mode: How the work that waits resolves conflicts.
        update: The id of the update that waits; empty when none does.
        preserve: Whether a deletion that waits leaves the objects.
        applied: What was applied last with success.
        issues: What is wrong.
        tags: The learner's tags.
    """

    name: str
    wanted: Wanted
    status: str
    created: datetime
    modified: datetime
    mode: str = NO_MODE
    update: str = ""
    preserve: bool = False
    applied: Wanted | None = None
    issues: tuple[Issue, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def waits(self) -> bool:
        """Whether something is to be done for it."""
        return self.status in ("CREATING", "UPDATING", "DELETING")


@dataclass(frozen=True)
class Update:
    """An update of an add-on.

    Attributes:
        id: Its id, a UUID.
        addon: The add-on's name.
        status: `InProgress`, `Failed` or `Successful`.
        created: When it was asked for.
        params: What was asked for, by the names of EKS's model.
        errors: Why it failed.
    """

    id: str
    addon: str
    status: str
    created: datetime
    params: tuple[tuple[str, str], ...] = ()
    errors: tuple[Issue, ...] = ()


@dataclass(frozen=True)
class AccessPolicy:
    """An access policy that is associated with an access entry.

    Attributes:
        arn: The policy's ARN.
        namespaces: The namespaces of its scope; none for the cluster.
        associated: When it was associated.
        modified: When its scope was changed last.
    """

    arn: str
    namespaces: tuple[str, ...]
    associated: datetime
    modified: datetime


@dataclass(frozen=True)
class AccessEntry:
    """An access entry: who an IAM user or role is in the cluster.

    Attributes:
        principal: The ARN of the user or role.
        principal_id: Its unique id: another user of the same name is somebody else.
        type: A type of access entries, such as `STANDARD`.
        username: The Kubernetes username, in which `{{SessionName}}` may stand.
        groups: The Kubernetes groups.
        created: When it was created.
        modified: When it was changed last.
        policies: The associated access policies.
        tags: The learner's tags.
    """

    principal: str
    principal_id: str
    type: str
    username: str
    groups: tuple[str, ...]
    created: datetime
    modified: datetime
    policies: tuple[AccessPolicy, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PodIdentity:
    """A Pod Identity association: which IAM role a service account is to have.

    Attributes:
        id: Its id, `a-` and letters and digits.
        namespace: The service account's namespace.
        account: The service account's name.
        role: The role's ARN.
        no_tags: Whether its sessions are to have no tags.
        created: When it was created.
        modified: When it was changed last.
        tags: The learner's tags.
    """

    id: str
    namespace: str
    account: str
    role: str
    no_tags: bool
    created: datetime
    modified: datetime
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answered:
    """A call that changed something, for whoever sends it again because no answer arrived.

    Attributes:
        operation: The operation's name.
        parameters: Its parameters.
        answer: The answer, as JSON has it.
    """

    operation: str
    parameters: dict[str, Any]
    answer: dict[str, Any]


@dataclass(frozen=True)
class Records:
    """All of it, as of one moment.

    Access entries are by the ARN of their principal, answers by `clientRequestToken`.
    """

    addons: dict[str, Addon] = field(default_factory=dict)
    updates: dict[str, Update] = field(default_factory=dict)
    entries: dict[str, AccessEntry] = field(default_factory=dict)
    identities: dict[str, PodIdentity] = field(default_factory=dict)
    answers: dict[str, Answered] = field(default_factory=dict)

    def with_answer(self, token: str, answered: Answered) -> Records:
        """Return these records with an answer; the oldest are forgotten."""
        answers = [*self.answers.items(), (token, answered)][-_ANSWERS_KEPT:]
        return dataclasses.replace(self, answers=dict(answers))

    def with_addon(self, addon: Addon) -> Records:
        """Return these records with an add-on, new or in place of what it was."""
        return dataclasses.replace(self, addons={**self.addons, addon.name: addon})

    def without_addon(self, name: str) -> Records:
        """Return these records without an add-on; its updates go with it."""
        return dataclasses.replace(
            self,
            addons={key: one for key, one in self.addons.items() if key != name},
            updates={key: one for key, one in self.updates.items() if one.addon != name},
        )

    def with_update(self, update: Update) -> Records:
        """Return these records with an update, new or in place of what it was."""
        return dataclasses.replace(self, updates={**self.updates, update.id: update})

    def with_entry(self, entry: AccessEntry) -> Records:
        """Return these records with an access entry, new or in place of what it was."""
        return dataclasses.replace(self, entries={**self.entries, entry.principal: entry})

    def with_identity(self, one: PodIdentity) -> Records:
        """Return these records with a Pod Identity association, new or in place of what it was."""
        return dataclasses.replace(self, identities={**self.identities, one.id: one})

    def without_identity(self, own_id: str) -> Records:
        """Return these records without a Pod Identity association."""
        kept = {key: one for key, one in self.identities.items() if key != own_id}
        return dataclasses.replace(self, identities=kept)

    def without_entry(self, principal: str) -> Records:
        """Return these records without an access entry."""
        kept = {key: one for key, one in self.entries.items() if key != principal}
        return dataclasses.replace(self, entries=kept)


_NOTHING = Records()


class Store:
    """The records, written to disk before whoever changed them hears of it."""

    def __init__(self, file: Path, first: Records = _NOTHING) -> None:
        """Read what an earlier process left.

        Args:
            file: Where the records are kept.
            first: The records of a fresh cluster; of what a file of an earlier version does not
                have, these too.
        """
        self._file = file
        self._lock = threading.RLock()
        self._draft: list[Records] | None = None
        left = json.loads(file.read_text()) if file.exists() else {}
        self._records = from_json({**to_json(first), **left})

    @property
    def records(self) -> Records:
        """The records as they are now."""
        return self._records

    @property
    def settled(self) -> Records:
        """The records once nobody is changing them: for who is told of a change during it."""
        with self._lock:
            return self._records

    @contextmanager
    def changing(self) -> Iterator[list[Records]]:
        """Hold the records for a change: the list's one item becomes what is kept.

        An exception leaves them as they were, on disk too. A change within another one is part of
        that one.
        """
        with self._lock:
            if self._draft is not None:
                yield self._draft
                return
            self._draft = draft = [self._records]
            try:
                yield draft
            finally:
                self._draft = None
            (changed,) = draft
            if changed != self._records:
                write_private(self._file, json.dumps(to_json(changed), indent=1))
                _sync(self._file)
                self._records = changed


def _sync(file: Path) -> None:
    """Have the disk hold a file and its name: an answer that was given outlives a power cut."""
    for path in (file, file.parent):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def to_json(records: Records) -> dict[str, Any]:
    """Return records as what JSON can hold."""
    text = json.dumps(dataclasses.asdict(records), default=datetime.isoformat)
    written: dict[str, Any] = json.loads(text)
    return written


def from_json(read: dict[str, Any]) -> Records:
    """Return the records that `to_json` wrote."""
    return Records(
        {name: _addon(one) for name, one in read["addons"].items()},
        {key: _update(one) for key, one in read["updates"].items()},
        {key: _entry(one) for key, one in read["entries"].items()},
        {key: _identity(one) for key, one in read["identities"].items()},
        {token: Answered(**one) for token, one in read["answers"].items()},
    )


def _addon(read: dict[str, Any]) -> Addon:
    applied = read["applied"]
    return Addon(
        **{
            **read,
            "wanted": Wanted(**read["wanted"]),
            "applied": Wanted(**applied) if applied else None,
            "created": _moment(read["created"]),
            "modified": _moment(read["modified"]),
            "issues": _issues(read["issues"]),
        }
    )


def _update(read: dict[str, Any]) -> Update:
    params = tuple((name, value) for name, value in read["params"])
    created, errors = _moment(read["created"]), _issues(read["errors"])
    return Update(**{**read, "created": created, "params": params, "errors": errors})


def _entry(read: dict[str, Any]) -> AccessEntry:
    return AccessEntry(
        **{
            **read,
            "created": _moment(read["created"]),
            "modified": _moment(read["modified"]),
            "groups": tuple(read["groups"]),
            "policies": tuple(map(_policy, read["policies"])),
        }
    )


def _policy(read: dict[str, Any]) -> AccessPolicy:
    associated, modified = _moment(read["associated"]), _moment(read["modified"])
    return AccessPolicy(read["arn"], tuple(read["namespaces"]), associated, modified)


def _identity(read: dict[str, Any]) -> PodIdentity:
    created, modified = _moment(read["created"]), _moment(read["modified"])
    return PodIdentity(**{**read, "created": created, "modified": modified})


def _issues(read: list[dict[str, Any]]) -> tuple[Issue, ...]:
    return tuple(Issue(i["code"], i["message"], tuple(i["resources"])) for i in read)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
