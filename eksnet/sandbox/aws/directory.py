"""IAM's users, roles, keys and policies, as moto holds them; heavy, as `emulator` is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from eksnet.sandbox.aws import policies
from eksnet.sandbox.aws.emulator import Emulator
from eksnet.sandbox.aws.principals import Grants, Principal
from eksnet.sandbox.aws.settings import ACCOUNT
from eksnet.sandbox.aws.signatures import Secret
from eksnet.sandbox.aws.web_identity import Provider


class Directory:
    """Reads the account's IAM; changes nothing."""

    def __init__(self, emulator: Emulator) -> None:
        """Read from an emulator."""
        self._emulator = emulator

    @property
    def _iam(self) -> Any:
        return self._emulator.backend("iam")

    def secret(self, access_key: str) -> Secret | None:
        """Return what belongs to an access key; None for one that is unknown or inactive."""
        if session := self._session(access_key):
            expires = session.expiration.replace(tzinfo=UTC)
            return Secret(session.secret_access_key, session.session_token, expires)
        for user in self._iam.users.values():
            for key in user.access_keys:
                if key.access_key_id == access_key and key.status == "Active":
                    return Secret(key.secret_access_key)
        return None

    def principal(self, access_key: str) -> Principal:
        """Return the user or role that an active access key belongs to.

        Raises:
            KeyError: There is no such key, or its role is gone.
        """
        if session := self._session(access_key):
            role = self.role(session.role_arn)
            if role is None:
                raise KeyError(access_key)
            return Principal(
                "role", ACCOUNT, role.name, role.arn, session.arn,
                f"{role.id}:{session.session_name}", session.session_name, _tags(role.tags),
            )  # fmt: skip
        for user in self._iam.users.values():
            if any(key.access_key_id == access_key for key in user.access_keys):
                return Principal(
                    "user", ACCOUNT, user.name, user.arn, user.arn, user.id,
                    tags=_tags(user.tags),
                )  # fmt: skip
        raise KeyError(access_key)

    def identity(self, arn: str) -> Principal | None:
        """Return a user or role by its own ARN; None when there is none."""
        if role := self.role(arn):
            return Principal(
                "role", ACCOUNT, role.name, arn, arn, role.id, tags=_tags(role.tags)
            )  # fmt: skip
        for user in self._iam.users.values():
            if user.arn == arn:
                return Principal("user", ACCOUNT, user.name, arn, arn, user.id,
                                 tags=_tags(user.tags))  # fmt: skip
        return None

    def grants(self, principal: Principal, access_key: str) -> Grants:
        """Return what a principal's policies say.

        Raises:
            PolicyError: One of them cannot be read here.
        """
        if principal.kind == "role":
            owner = self.role(principal.identity)
            documents = list(owner.policies.values())
            attached = list(owner.managed_policies.values())
        else:
            owner = self._iam.users[principal.name]
            holders = [owner, *self._iam.get_groups_for_user(principal.name)]
            documents = [text for holder in holders for text in holder.policies.values()]
            attached = [one for holder in holders for one in holder.managed_policies.values()]
        documents += map(_document, attached)
        limits = [_document(self._iam.managed_policies[arn]) for arn in self._boundary(owner)]
        session = self._session(access_key)
        if session is not None and session.policy:
            limits.append(session.policy)
        return Grants(
            tuple(one for document in documents for one in policies.parse(document)),
            tuple(map(policies.parse, limits)),
        )

    def _boundary(self, owner: Any) -> list[str]:
        arn = getattr(owner, "permissions_boundary_arn", None)
        return [arn] if arn else []

    def principal_id(self, arn: str) -> str | None:
        """Return the unique id of a user or role by its ARN; None when there is none."""
        owners = (*self._iam.users.values(), *self._iam.roles.values())
        return next((one.id for one in owners if one.arn == arn), None)

    def role(self, arn: str) -> Any:
        """Return moto's role of an ARN; None when there is none."""
        return next((role for role in self._iam.roles.values() if role.arn == arn), None)

    def provider(self, issuer: str) -> Provider | None:
        """Return the OpenID Connect provider of an issuer's URL; None when there is none."""
        for one in self._iam.open_id_providers.values():
            if f"https://{one.url}" == issuer:
                return Provider(one.arn, tuple(one.client_id_list))
        return None

    def arn(self, kind: str, name: str) -> str | None:
        """Return the ARN of a user, role, group or instance profile, with its path; None without.

        Args:
            kind: `user`, `role`, `group` or `instance-profile`.
            name: Its name.
        """
        held = {
            "user": self._iam.users,
            "role": self._iam.roles,
            "group": self._iam.groups,
            "instance-profile": self._iam.instance_profiles,
        }[kind]
        return next((one.arn for one in held.values() if one.name == name), None)

    def tags(self, arn: str) -> Mapping[str, str]:
        """Return the tags of a resource; none when it does not exist."""
        service, resource = arn.split(":")[2], arn.split(":", 5)[5]
        kind, _, name = resource.partition("/")
        if service == "ec2":
            found: Mapping[str, str] = self._emulator.backend("ec2").tags.get(name, {})
            return found
        if service == "elasticloadbalancing":
            balancing = self._emulator.backend("elasticloadbalancing")
            return dict(balancing.tagging_service.get_tag_dict_for_resource(arn))
        if service == "acm":
            held = self._emulator.backend("acm")._certificates.get(arn)
            return dict(held.tags.items()) if held else {}
        if service == "iam" and kind in ("user", "role"):
            owners = self._iam.users if kind == "user" else self._iam.roles
            owner = next((one for one in owners.values() if one.arn == arn), None)
            return _tags(owner.tags) if owner else {}
        return {}

    def _session(self, access_key: str) -> Any:
        return self._emulator.backend("sts").get_assumed_role_from_access_key(access_key)


def _document(policy: Any) -> str:
    """Return the text of a managed policy's default version."""
    text = next(one.document for one in policy.versions if one.is_default)
    return text if isinstance(text, str) else json.dumps(text)


def _tags(listed: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in listed or ()}
