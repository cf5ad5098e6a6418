"""The sandbox's AWS account: its state at the start, and what requests have made of it since.

Light to load. What answers for it (`emulator`) is loaded at the first request that needs it; until
somebody has changed IAM or assumed a role, the learner's key is the only one, and known without it.
"""

from __future__ import annotations

import secrets
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eksnet.sandbox.aws import keys, policies
from eksnet.sandbox.aws.elb import fresh
from eksnet.sandbox.aws.elb.desired import DesiredFile
from eksnet.sandbox.aws.journal import Entry, Journal, Sent
from eksnet.sandbox.aws.operations import Operation
from eksnet.sandbox.aws.principals import Grants, Principal
from eksnet.sandbox.aws.refusals import Answer
from eksnet.sandbox.aws.settings import Settings
from eksnet.sandbox.aws.signatures import Secret
from eksnet.sandbox.aws.web_identity import Provider

if TYPE_CHECKING:
    from eksnet.sandbox.aws.directory import Directory
    from eksnet.sandbox.aws.emulator import Emulator

# What the policy AdministratorAccess says.
_ALL = '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}'
_SEED_BITS = 64
# The services that make users, roles and keys.
_IDENTITIES = ("iam", "sts")
# The services on whose state the data plane of load balancers depends.
_CARRYING = ("elasticloadbalancing", "ec2", "acm")
# What shows the addresses of network interfaces, where the pods' have to be the present ones.
_SHOWS_ADDRESSES = ("DescribeInstances", "DescribeNetworkInterfaces")
# The addresses of each node's pods, by the node's name; None when they are not known now.
PodAddresses = Callable[[], Mapping[str, Sequence[str]] | None]


class Account:
    """Users, roles and keys, and the services that are not EKS."""

    def __init__(
        self,
        settings: Settings,
        pod_addresses: PodAddresses,
        now: Callable[[], datetime] = lambda: datetime.now(UTC).replace(tzinfo=None),
    ) -> None:
        """Prepare; what answers is not loaded yet.

        Args:
            settings: What the process is told.
            pod_addresses: Returns the present addresses of pods by their node's name.
            now: Tells the time, in UTC without a time zone.
        """
        self._settings = settings
        self._pod_addresses = pod_addresses
        self._now = now
        self._learner = keys.read(Path(settings.keys))
        self._journal = Journal(Path(settings.journal))
        self._desired = DesiredFile(Path(settings.desired))
        # moto is made for one thread, and what it does has to be repeated in the same order.
        self._lock = threading.RLock()
        self._loaded: tuple[Emulator, Directory] | None = None

    def load_changes(self) -> None:
        """Load what answers, if there is something that others wait for.

        Nobody can sign in before it is known who there is, and the data plane of load balancers
        learns what is wanted. Of a fresh account the latter is known without loading anything.
        """
        with self._lock:
            if any(map(self._journal.has, _CARRYING)):
                self._tell(self._emulator.desired())
                return
            self._tell(fresh.desired(self._settings.cluster))
            if not self._untouched:
                self._load()

    # Who somebody is.

    def secret(self, access_key: str) -> Secret | None:
        """Return what belongs to an access key; None for an unknown one."""
        if self._untouched:
            known = access_key == self._learner.access_key
            return Secret(self._learner.secret) if known else None
        with self._lock:
            return self._directory.secret(access_key)

    def principal(self, access_key: str) -> Principal:
        """Return the user or role that a valid access key belongs to.

        Args:
            access_key: One for which `secret` has found something.

        Raises:
            KeyError: There is no such key.
        """
        if self._untouched:
            facts = self._settings.cluster
            arn = f"arn:aws:iam::{facts.account}:user/{keys.USER}"
            user_id = keys.user_id(self._learner)
            return Principal("user", facts.account, keys.USER, arn, arn, user_id)
        with self._lock:
            return self._directory.principal(access_key)

    def grants(self, principal: Principal, access_key: str) -> Grants:
        """Return what the policies of a key's owner say.

        Raises:
            PolicyError: One of them cannot be read here.
        """
        if self._untouched:
            return Grants(policies.parse(_ALL))
        with self._lock:
            return self._directory.grants(principal, access_key)

    def identity(self, arn: str) -> tuple[Principal, Grants] | None:
        """Return a user or role by its own ARN, with what its policies say; None without one.

        Raises:
            PolicyError: One of them cannot be read here.
        """
        with self._lock:
            found = self._directory.identity(arn)
            return None if found is None else (found, self._directory.grants(found, ""))

    @property
    def _untouched(self) -> bool:
        """Whether the account's users, roles and keys are those of the start."""
        return not any(map(self._journal.has, _IDENTITIES))

    # What is there.

    def principal_id(self, arn: str) -> str | None:
        """Return the unique id of a user or role by its ARN; None when there is none."""
        learner = f"arn:aws:iam::{self._settings.cluster.account}:user/{keys.USER}"
        if arn == learner and self._untouched:
            return keys.user_id(self._learner)
        with self._lock:
            return self._directory.principal_id(arn)

    def trust(self, role: str) -> str | None:
        """Return the trust policy of a role by its ARN; None when there is no such role."""
        with self._lock:
            found = self._directory.role(role)
            return found.assume_role_policy_document if found else None

    def provider(self, issuer: str) -> Provider | None:
        """Return the OpenID Connect provider of an issuer's URL; None when there is none."""
        if self._untouched:
            return None
        with self._lock:
            return self._directory.provider(issuer)

    def longest_session(self, role: str) -> int:
        """Return for how many seconds a session of a role may last, by the role's ARN."""
        with self._lock:
            return int(self._directory.role(role).max_session_duration)

    def tags(self, arn: str) -> Mapping[str, str]:
        """Return the tags of a resource; none when it does not exist."""
        with self._lock:
            return self._directory.tags(arn)

    def arn(self, kind: str, name: str) -> str | None:
        """Return the ARN of what IAM calls by a name; None when there is none."""
        with self._lock:
            return self._directory.arn(kind, name)

    def knows(self, service: str, operation: str) -> bool:
        """Tell whether a service has an operation here."""
        with self._lock:
            return self._emulator.knows(service, operation)

    # What is done.

    def answer(self, sent: Sent, operation: Operation) -> Answer:
        """Return a service's answer; a change is in the journal before.

        Args:
            sent: The request.
            operation: What it asks for.

        Raises:
            OSError: The journal cannot be written, and nothing was changed.
        """
        shows = operation.name in _SHOWS_ADDRESSES
        # Outside of the lock: the API server may ask who somebody is before it answers.
        pods = self._pod_addresses() if shows else None
        with self._lock:
            emulator = self._emulator
            if pods is not None:
                self._place_pods(emulator, pods)
            if operation.reads:
                return emulator.answer(sent)
            moment, seed = self._now(), secrets.randbits(_SEED_BITS)
            try:
                answer, made = emulator.repeatable(sent, moment, seed)
                # A private key in an answer is written another way each time.
                digest = "" if made else emulator.digest(answer)
                self._journal.append(Entry(sent, moment, seed, made, digest))
            except BaseException:
                # What was done of it is not in the journal: back to what is.
                self._loaded = None
                raise
            if operation.service in _CARRYING:
                self._tell(emulator.desired())
            return answer

    def _tell(self, desired: Mapping[str, Any]) -> None:
        """Tell the data plane of load balancers what is wanted of it now."""
        try:
            self._desired.write(desired)
        except OSError as error:
            # What was answered stands; the next change tells of this one too.
            print(f"the load balancers are not told: {error}", file=sys.stderr, flush=True)

    def _place_pods(self, emulator: Emulator, pods: Mapping[str, Sequence[str]]) -> None:
        from eksnet.sandbox.aws import start_state

        start_state.place_pods(emulator, pods)

    @property
    def _emulator(self) -> Emulator:
        return self._load()[0]

    @property
    def _directory(self) -> Directory:
        return self._load()[1]

    def _load(self) -> tuple[Emulator, Directory]:
        """Return what answers: made at the first call, from the start on and by the journal."""
        if self._loaded is None:
            from eksnet.sandbox.aws import start_state
            from eksnet.sandbox.aws.directory import Directory
            from eksnet.sandbox.aws.emulator import Emulator

            told = self._settings
            emulator = Emulator(told.cluster.region, Path(told.pki), Path(told.observed))
            start_state.create(emulator, self._settings, self._learner)
            for entry in self._journal.entries():
                answer, _ = emulator.repeatable(entry.sent, entry.moment, entry.seed, entry.keys)
                if entry.digest and emulator.digest(answer) != entry.digest:
                    what = f"{entry.sent.service}, {entry.moment}"
                    print(f"another answer than before: {what}", file=sys.stderr, flush=True)
            self._loaded = emulator, Directory(emulator)
        return self._loaded
