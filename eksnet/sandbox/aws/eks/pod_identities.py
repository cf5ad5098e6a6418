"""The operations for Pod Identity associations: kept and told; no agent hands out their keys."""

from __future__ import annotations

import secrets
import string
from dataclasses import replace
from datetime import UTC, datetime

from eksnet.sandbox.aws.eks import resources
from eksnet.sandbox.aws.eks.model import EksError
from eksnet.sandbox.aws.eks.records import PodIdentity, Store
from eksnet.sandbox.aws.eks.service import Answer, Operations, Parameters, page
from eksnet.sandbox.aws.settings import ClusterFacts

# EKS's ids are `a-` and letters and digits.
_LETTERS = string.ascii_lowercase + string.digits
_ID_LENGTH = 17
# What the sandbox does not model is refused, so that nobody relies on it.
_UNKNOWN = ("targetRoleArn", "policy")


class PodIdentities:
    """Answers the calls for Pod Identity associations."""

    def __init__(self, facts: ClusterFacts, store: Store) -> None:
        """Prepare to answer.

        Args:
            facts: The cluster.
            store: Its records.
        """
        self._facts = facts
        self._store = store

    @property
    def operations(self) -> Operations:
        """What it answers, by the names of the operations."""
        return {
            "CreatePodIdentityAssociation": self.create,
            "DescribePodIdentityAssociation": self.describe,
            "ListPodIdentityAssociations": self.list,
            "UpdatePodIdentityAssociation": self.update,
            "DeletePodIdentityAssociation": self.delete,
        }

    def create(self, parameters: Parameters) -> Answer:
        """Answer CreatePodIdentityAssociation: one role for a service account."""
        _check(parameters)
        now = datetime.now(UTC)
        one = PodIdentity(
            "a-" + "".join(secrets.choice(_LETTERS) for _ in range(_ID_LENGTH)),
            parameters["namespace"],
            parameters["serviceAccount"],
            parameters["roleArn"],
            parameters.get("disableSessionTags", False),
            now,
            now,
            dict(parameters.get("tags", {})),
        )
        with self._store.changing() as draft:
            for other in draft[0].identities.values():
                if (other.namespace, other.account) == (one.namespace, one.account):
                    raise EksError(
                        "ResourceInUseException",
                        f"Association already exists: {other.id}",
                        clusterName=self._facts.name,
                    )
            draft[0] = draft[0].with_identity(one)
        return {"association": self._described(one)}

    def describe(self, parameters: Parameters) -> Answer:
        """Answer DescribePodIdentityAssociation."""
        return {"association": self._described(self._found(parameters))}

    def list(self, parameters: Parameters) -> Answer:
        """Answer ListPodIdentityAssociations."""
        wanted = {
            name: parameters[name] for name in ("namespace", "serviceAccount") if name in parameters
        }
        listed = (self._listed(one) for one in self._store.records.identities.values())
        found = [one for one in listed if wanted.items() <= one.items()]
        return page("associations", found, parameters)

    def update(self, parameters: Parameters) -> Answer:
        """Answer UpdatePodIdentityAssociation: what it does not name stays."""
        _check(parameters)
        with self._store.changing() as draft:
            one = self._found(parameters)
            changed = replace(
                one,
                role=parameters.get("roleArn", one.role),
                no_tags=parameters.get("disableSessionTags", one.no_tags),
                modified=datetime.now(UTC),
            )
            draft[0] = draft[0].with_identity(changed)
        return {"association": self._described(changed)}

    def delete(self, parameters: Parameters) -> Answer:
        """Answer DeletePodIdentityAssociation."""
        with self._store.changing() as draft:
            one = self._found(parameters)
            draft[0] = draft[0].without_identity(one.id)
        return {"association": self._described(one)}

    def _found(self, parameters: Parameters) -> PodIdentity:
        own_id = parameters["associationId"]
        one = self._store.records.identities.get(own_id)
        if one is None:
            raise EksError(
                "ResourceNotFoundException",
                f"No association found for id: {own_id}",
                clusterName=self._facts.name,
            )
        return one

    def _listed(self, one: PodIdentity) -> Answer:
        return {
            "clusterName": self._facts.name,
            "namespace": one.namespace,
            "serviceAccount": one.account,
            "associationArn": resources.identity_arn(self._facts, one),
            "associationId": one.id,
        }

    def _described(self, one: PodIdentity) -> Answer:
        return {
            **self._listed(one),
            "roleArn": one.role,
            "tags": one.tags,
            "createdAt": one.created,
            "modifiedAt": one.modified,
            "disableSessionTags": one.no_tags,
        }


def _check(parameters: Parameters) -> None:
    for name in _UNKNOWN:
        if name in parameters:
            raise EksError("InvalidParameterException", f"{name} is not part of this sandbox")
