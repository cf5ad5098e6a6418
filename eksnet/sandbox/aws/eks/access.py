"""Access entries: the IAM users and roles that may use the cluster, their names and policies.

The rules are those of the EKS user guide, "Create access entries" and "Associate access policies
with access entries". The words of most refusals were seen in reports of real clusters;
docs/fidelity.md says which are guesses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from eksnet.sandbox.aws.eks import access_policies, resources
from eksnet.sandbox.aws.eks.model import EksError
from eksnet.sandbox.aws.eks.records import AccessEntry, AccessPolicy, Store
from eksnet.sandbox.aws.eks.service import Answer, Operations, Parameters, page
from eksnet.sandbox.aws.settings import ClusterFacts

STANDARD = "STANDARD"
_ADMIN = access_policies.arn("AmazonEKSClusterAdminPolicy")
_PRINCIPAL = re.compile(r"arn:aws:iam::(?P<account>\d{12}):(?P<kind>user|role)/(?P<name>.+)")
_SERVICE_ROLE = "aws-service-role/"
_RESERVED = ("system:", "eks:", "aws:", "amazon:", "iam:")
_NAMESPACE = re.compile(r"[a-z0-9*]([-a-z0-9*]{0,61}[a-z0-9*])?")

# Finds the unique id of a user or role by its ARN; None where there is none.
PrincipalIds = Callable[[str], str | None]


def first_entries(facts: ClusterFacts, creator: str, creator_id: str) -> dict[str, AccessEntry]:
    """Return the access entries of a fresh cluster: its creator's, and its nodes' role.

    Args:
        facts: The cluster.
        creator: The ARN of who created it.
        creator_id: The creator's unique id.
    """
    at = datetime.fromisoformat(facts.created)
    admin = AccessPolicy(_ADMIN, (), at, at)
    role, node = facts.node_role, "system:node:{{EC2PrivateDNSName}}"
    entries = (
        AccessEntry(creator, creator_id, STANDARD, generated(creator), (), at, at, (admin,)),
        # The id of nobody: the sandbox's nodes sign in with certificates.
        AccessEntry(role, "", "EC2_LINUX", node, ("system:nodes",), at, at),
    )
    return {entry.principal: entry for entry in entries}


def generated(principal: str) -> str:
    """Return the username that EKS gives to a user or role for which none was said."""
    found = _PRINCIPAL.fullmatch(principal)
    if found is None or found["kind"] == "user":
        return principal
    name = found["name"].rpartition("/")[2]
    return f"arn:aws:sts::{found['account']}:assumed-role/{name}/{{{{SessionName}}}}"


class AccessEntries:
    """Answers the calls for access entries and their policies."""

    def __init__(self, facts: ClusterFacts, store: Store, principal_id: PrincipalIds) -> None:
        """Prepare to answer.

        Args:
            facts: The cluster.
            store: Its records.
            principal_id: Finds the unique id of a user or role.
        """
        self._facts = facts
        self._store = store
        self._principal_id = principal_id

    @property
    def operations(self) -> Operations:
        """What it answers, by the names of the operations."""
        return {
            "CreateAccessEntry": self.create,
            "DescribeAccessEntry": self.describe,
            "ListAccessEntries": self.list,
            "UpdateAccessEntry": self.update,
            "DeleteAccessEntry": self.delete,
            "AssociateAccessPolicy": self.associate,
            "DisassociateAccessPolicy": self.disassociate,
            "ListAssociatedAccessPolicies": self.list_associated,
            "ListAccessPolicies": self.list_policies,
        }

    # Entries.

    def create(self, parameters: Parameters) -> Answer:
        """Answer CreateAccessEntry."""
        principal = parameters["principalArn"]
        kind = parameters.get("type", STANDARD)
        if kind != STANDARD:
            raise _invalid(f"access entries of type {kind} are not part of this sandbox")
        now = datetime.now(UTC)
        entry = AccessEntry(
            principal,
            self._known(principal),
            kind,
            _username(parameters.get("username") or generated(principal)),
            _groups(parameters.get("kubernetesGroups", ())),
            now,
            now,
            tags=dict(parameters.get("tags", {})),
        )
        with self._store.changing() as draft:
            if principal in draft[0].entries:
                raise EksError(
                    "ResourceInUseException",
                    "The specified access entry resource is already in use on this cluster.",
                    clusterName=self._facts.name,
                )
            draft[0] = draft[0].with_entry(entry)
        return {"accessEntry": self._described(entry)}

    def _known(self, principal: str) -> str:
        """Return the unique id of a user or role that there is."""
        found = _PRINCIPAL.fullmatch(principal)
        if found and found["kind"] == "role" and found["name"].startswith(_SERVICE_ROLE):
            raise _invalid(
                "The caller is not allowed to modify access entries with a principalArn value "
                "of a Service Linked Role"
            )
        principal_id = self._principal_id(principal) if found else None
        if principal_id is None:
            raise _invalid("The specified principalArn is invalid: invalid principal.")
        return principal_id

    def describe(self, parameters: Parameters) -> Answer:
        """Answer DescribeAccessEntry."""
        return {"accessEntry": self._described(self._entry(parameters))}

    def list(self, parameters: Parameters) -> Answer:
        """Answer ListAccessEntries."""
        wanted = parameters.get("associatedPolicyArn")
        entries = self._store.records.entries.values()
        found = (
            entry.principal
            for entry in entries
            if wanted is None or any(one.arn == wanted for one in entry.policies)
        )
        return page("accessEntries", sorted(found), parameters)

    def update(self, parameters: Parameters) -> Answer:
        """Answer UpdateAccessEntry: what it does not name stays."""
        with self._store.changing() as draft:
            entry = self._standard(parameters)
            changed = replace(
                entry,
                username=_username(parameters.get("username", entry.username)),
                groups=_groups(parameters.get("kubernetesGroups", entry.groups)),
                modified=datetime.now(UTC),
            )
            draft[0] = draft[0].with_entry(changed)
        return {"accessEntry": self._described(changed)}

    def delete(self, parameters: Parameters) -> Answer:
        """Answer DeleteAccessEntry; who signs in is told apart by it from then on."""
        with self._store.changing() as draft:
            draft[0] = draft[0].without_entry(self._entry(parameters).principal)
        return {}

    # Policies.

    def list_policies(self, parameters: Parameters) -> Answer:
        """Answer ListAccessPolicies."""
        policies = [
            {"name": arn.rpartition("/")[2], "arn": arn} for arn in access_policies.policies()
        ]
        return page("accessPolicies", policies, parameters)

    def list_associated(self, parameters: Parameters) -> Answer:
        """Answer ListAssociatedAccessPolicies."""
        entry = self._entry(parameters)
        listed = page(
            "associatedAccessPolicies", list(map(_associated, entry.policies)), parameters
        )
        return {"clusterName": self._facts.name, "principalArn": entry.principal, **listed}

    def associate(self, parameters: Parameters) -> Answer:
        """Answer AssociateAccessPolicy: once more for the same policy changes its scope."""
        arn = parameters["policyArn"]
        if arn not in access_policies.policies():
            raise _invalid(
                f"The specified policyArn is invalid: {arn}. "
                "You can view the access policies with 'list-access-policies'."
            )
        namespaces = _scope(parameters["accessScope"])
        now = datetime.now(UTC)
        with self._store.changing() as draft:
            entry = self._standard(parameters)
            before = {one.arn: one for one in entry.policies}
            since = before[arn].associated if arn in before else now
            policy = AccessPolicy(arn, namespaces, since, now)
            policies = tuple({**before, arn: policy}.values())
            draft[0] = draft[0].with_entry(replace(entry, policies=policies))
        return {
            "clusterName": self._facts.name,
            "principalArn": entry.principal,
            "associatedAccessPolicy": _associated(policy),
        }

    def disassociate(self, parameters: Parameters) -> Answer:
        """Answer DisassociateAccessPolicy."""
        arn = parameters["policyArn"]
        with self._store.changing() as draft:
            entry = self._entry(parameters)
            policies = tuple(one for one in entry.policies if one.arn != arn)
            if len(policies) == len(entry.policies):
                raise EksError(
                    "ResourceNotFoundException",
                    f"The specified policyArn is not associated with the access entry: {arn}",
                )
            draft[0] = draft[0].with_entry(replace(entry, policies=policies))
        return {}

    def _entry(self, parameters: Parameters) -> AccessEntry:
        entry = self._store.records.entries.get(parameters["principalArn"])
        if entry is None:
            raise EksError(
                "ResourceNotFoundException",
                "The specified principalArn could not be found. You can view your available "
                "access entries with 'list-access-entries'.",
            )
        return entry

    def _standard(self, parameters: Parameters) -> AccessEntry:
        """Return an entry that a caller may change: those of nodes are EKS's own."""
        entry = self._entry(parameters)
        if entry.type != STANDARD:
            raise EksError(
                "InvalidRequestException",
                f"An access entry of type {entry.type} takes neither groups nor access policies",
            )
        return entry

    def _described(self, entry: AccessEntry) -> Answer:
        return {
            "clusterName": self._facts.name,
            "principalArn": entry.principal,
            "kubernetesGroups": list(entry.groups),
            "accessEntryArn": resources.entry_arn(self._facts, entry),
            "createdAt": entry.created,
            "modifiedAt": entry.modified,
            "tags": entry.tags,
            "username": entry.username,
            "type": entry.type,
        }


def _associated(policy: AccessPolicy) -> Answer:
    kind = "namespace" if policy.namespaces else "cluster"
    return {
        "policyArn": policy.arn,
        "accessScope": {"type": kind, "namespaces": list(policy.namespaces)},
        "associatedAt": policy.associated,
        "modifiedAt": policy.modified,
    }


def _username(text: str) -> str:
    for prefix in _RESERVED:
        if text.startswith(prefix):
            raise _invalid(f"The username must not begin with {prefix}")
    before, session, _ = text.partition("{{SessionName")
    if session and ":" not in before:
        raise _invalid("The username must have a colon before {{SessionName}}")
    return text


def _groups(names: Iterable[str]) -> tuple[str, ...]:
    for name in names:
        if name.startswith("system:"):
            raise _invalid(
                f"The kubernetes group name {name} is invalid, it cannot start with system:"
            )
    return tuple(names)


def _scope(scope: Parameters) -> tuple[str, ...]:
    """Return the namespaces of a scope; none for the cluster."""
    namespaces = tuple(scope.get("namespaces", ()))
    if (scope.get("type") == "namespace") != bool(namespaces):
        raise _invalid("An access scope of type namespace, and no other, has namespaces")
    for name in namespaces:
        if not _NAMESPACE.fullmatch(name):
            raise _invalid(f"{name!r} is not the name of a namespace")
    return namespaces


def _invalid(message: str) -> EksError:
    return EksError("InvalidParameterException", message)
