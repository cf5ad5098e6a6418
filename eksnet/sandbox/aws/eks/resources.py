"""The ARNs and tags of what belongs to the cluster: told by EKS's answers, asked for by IAM."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping

from eksnet.sandbox.aws.eks.records import AccessEntry, Addon, PodIdentity, Store
from eksnet.sandbox.aws.settings import ClusterFacts
from eksnet.sandbox.vpc import NODE_GROUP


def addon_arn(facts: ClusterFacts, addon: Addon) -> str:
    """Return the ARN of an add-on."""
    return facts.arn("addon", addon.name, _uuid(addon.name))


def node_group_id(facts: ClusterFacts) -> str:
    """Return the id of the node group, which its Auto Scaling group is named after as well."""
    return _uuid(f"{facts.name} {NODE_GROUP} {facts.created}")


def node_group_arn(facts: ClusterFacts) -> str:
    """Return the ARN of the one node group."""
    return facts.arn("nodegroup", NODE_GROUP, node_group_id(facts))


def entry_arn(facts: ClusterFacts, entry: AccessEntry) -> str:
    """Return the ARN of an access entry."""
    kind, _, name = entry.principal.rpartition(":")[2].partition("/")
    own = _uuid(f"{entry.principal} {entry.created}")
    return facts.arn("access-entry", kind, facts.account, name.rpartition("/")[2], own)


def identity_arn(facts: ClusterFacts, one: PodIdentity) -> str:
    """Return the ARN of a Pod Identity association."""
    return facts.arn("podidentityassociation", one.id)


class Resources:
    """Finds what belongs to the cluster as of now."""

    def __init__(self, facts: ClusterFacts, store: Store) -> None:
        """Prepare to find.

        Args:
            facts: The cluster.
            store: Its records.
        """
        self._facts = facts
        self._store = store

    def arn(self, cluster: str, kind: str, name: str) -> str | None:
        """Return the ARN of a resource; None when it is not there.

        Args:
            cluster: The cluster that it is looked for in.
            kind: The kind, as ARNs have it.
            name: What a call names it by: for an access entry the ARN of its principal.
        """
        if cluster != self._facts.name:
            return None
        found = {(is_kind, called): arn for is_kind, called, arn, _ in self._all()}
        return found.get((kind, name))

    def tags(self, arn: str) -> Mapping[str, str]:
        """Return the tags of a resource by its ARN; none when it is not there."""
        return next((tags for _, _, found, tags in self._all() if found == arn), {})

    def _all(self) -> Iterator[tuple[str, str, str, Mapping[str, str]]]:
        """Yield the kind, the name, the ARN and the tags of each resource."""
        facts, records = self._facts, self._store.records
        yield "nodegroup", NODE_GROUP, node_group_arn(facts), {}
        for addon in records.addons.values():
            yield "addon", addon.name, addon_arn(facts, addon), addon.tags
        for entry in records.entries.values():
            yield "access-entry", entry.principal, entry_arn(facts, entry), entry.tags
        for one in records.identities.values():
            yield "podidentityassociation", one.id, identity_arn(facts, one), one.tags


def _uuid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))
