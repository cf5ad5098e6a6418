"""The operations for add-ons: answered from the records; what takes time is left to the worker."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from eksnet.sandbox.aws.eks import catalogue, resources
from eksnet.sandbox.aws.eks.model import EksError
from eksnet.sandbox.aws.eks.records import NO_MODE, Addon, Issue, Store, Update, Wanted
from eksnet.sandbox.aws.eks.service import Answer, Operations, Parameters, page
from eksnet.sandbox.aws.settings import ClusterFacts

# What a call may say and what would change nothing here: no add-on of the sandbox takes a role.
_NOT_HERE = ("serviceAccountRoleArn", "podIdentityAssociations", "namespaceConfig")


class Addons:
    """Answers the calls for add-ons and their updates."""

    def __init__(
        self,
        facts: ClusterFacts,
        store: Store,
        wake: Callable[[], None],
        replicas_missing: Callable[[Addon], str],
    ) -> None:
        """Prepare to answer.

        Args:
            facts: The cluster.
            store: Its records.
            wake: Called when work waits.
            replicas_missing: Says what is missing of an add-on's workload; empty for nothing.
        """
        self._facts = facts
        self._store = store
        self._wake = wake
        self._replicas_missing = replicas_missing

    @property
    def operations(self) -> Operations:
        """What it answers, by the names of the operations."""
        return {
            "DescribeAddonVersions": self.describe_addon_versions,
            "DescribeAddonConfiguration": self.describe_addon_configuration,
            "ListAddons": self.list_addons,
            "DescribeAddon": self.describe_addon,
            "CreateAddon": self.create_addon,
            "UpdateAddon": self.update_addon,
            "DeleteAddon": self.delete_addon,
            "ListUpdates": self.list_updates,
            "DescribeUpdate": self.describe_update,
        }

    # Add-ons: what there is.

    def describe_addon_versions(self, parameters: Parameters) -> Answer:
        """Answer DescribeAddonVersions."""
        wanted = parameters.get("addonName")
        cluster_version = parameters.get("kubernetesVersion", self._facts.version)
        known = [catalogue.addon(wanted)] if wanted else list(catalogue.addons().values())
        return page("addons", [_versions(one, cluster_version) for one in known], parameters)

    def describe_addon_configuration(self, parameters: Parameters) -> Answer:
        """Answer DescribeAddonConfiguration."""
        chosen = catalogue.addon(parameters["addonName"])
        version = parameters["addonVersion"]
        if version not in [one.name for one in chosen.versions]:
            raise EksError("InvalidParameterException", f"Addon version not found: {version}")
        schema = json.dumps(chosen.schema)
        return {
            "addonName": chosen.name,
            "addonVersion": version,
            "configurationSchema": schema,
            "podIdentityConfiguration": [],
        }

    # Add-ons: what the cluster has.

    def list_addons(self, parameters: Parameters) -> Answer:
        """Answer ListAddons."""
        return page("addons", sorted(self._store.records.addons), parameters)

    def describe_addon(self, parameters: Parameters) -> Answer:
        """Answer DescribeAddon."""
        addon = self._addon(parameters)
        if addon.status == "ACTIVE" and (missing := self._replicas_missing(addon)):
            issue = Issue("InsufficientNumberOfReplicas", missing)
            addon = replace(addon, status="DEGRADED", issues=(issue,))
        return {"addon": self._described(addon)}

    def create_addon(self, parameters: Parameters) -> Answer:
        """Answer CreateAddon; the worker applies it."""
        chosen = catalogue.addon(parameters["addonName"])
        wanted = self._wanted(chosen, parameters, None)
        now = datetime.now(UTC)
        mode = parameters.get("resolveConflicts", "NONE")
        addon = Addon(
            chosen.name, wanted, "CREATING", now, now, mode, tags=dict(parameters.get("tags", {}))
        )
        with self._store.changing() as draft:
            if chosen.name in draft[0].addons:
                raise EksError(
                    "ResourceInUseException",
                    "Addon already exists.",
                    clusterName=self._facts.name,
                    addonName=chosen.name,
                )
            draft[0] = draft[0].with_addon(addon)
        self._wake()
        return {"addon": self._described(addon)}

    def update_addon(self, parameters: Parameters) -> Answer:
        """Answer UpdateAddon; the worker applies it."""
        update = Update(str(uuid.uuid4()), parameters["addonName"], "InProgress", datetime.now(UTC))
        with self._store.changing() as draft:
            addon = self._free(parameters)
            wanted = self._wanted(catalogue.addon(addon.name), parameters, addon)
            update = replace(update, params=tuple(_asked(parameters)))
            updating = replace(
                addon,
                wanted=wanted,
                status="UPDATING",
                # The user guide says that an option that is left out overwrites; reports of real
                # clusters show a refusal. A guess: the refusal, which changes nothing.
                mode=parameters.get("resolveConflicts", "NONE"),
                update=update.id,
                issues=(),
                modified=update.created,
            )
            draft[0] = draft[0].with_addon(updating).with_update(update)
        self._wake()
        return {"update": _described_update(update)}

    def delete_addon(self, parameters: Parameters) -> Answer:
        """Answer DeleteAddon; the worker deletes, or only lets go of, the objects."""
        with self._store.changing() as draft:
            addon = replace(
                self._free(parameters),
                status="DELETING",
                mode=NO_MODE,
                preserve=parameters.get("preserve", False),
            )
            draft[0] = draft[0].with_addon(addon)
        self._wake()
        return {"addon": self._described(addon)}

    def list_updates(self, parameters: Parameters) -> Answer:
        """Answer ListUpdates, oldest first."""
        wanted = parameters.get("addonName")
        updates = self._store.records.updates.values()
        return page("updateIds", [one.id for one in updates if one.addon == wanted], parameters)

    def describe_update(self, parameters: Parameters) -> Answer:
        """Answer DescribeUpdate."""
        update = self._store.records.updates.get(parameters["updateId"])
        if update is None or update.addon != parameters.get("addonName"):
            raise EksError(
                "ResourceNotFoundException", f"No update found for ID: {parameters['updateId']}"
            )
        return {"update": _described_update(update)}

    def _addon(self, parameters: Parameters) -> Addon:
        name = parameters["addonName"]
        addon = self._store.records.addons.get(name)
        if addon is None:
            raise EksError(
                "ResourceNotFoundException",
                f"No addon: {name} found in cluster: {self._facts.name}",
                clusterName=self._facts.name,
                addonName=name,
            )
        return addon

    def _free(self, parameters: Parameters) -> Addon:
        """Return an add-on that nothing is being done to."""
        addon = self._addon(parameters)
        if addon.waits:
            raise EksError(
                "ResourceInUseException",
                f"Addon {addon.name} cannot be updated as it is currently in {addon.status} state",
                clusterName=self._facts.name,
                addonName=addon.name,
            )
        return addon

    def _wanted(
        self, chosen: catalogue.Addon, parameters: Parameters, present: Addon | None
    ) -> Wanted:
        """Return what a call asks for; what it leaves out of an update stays as it is."""
        for name in _NOT_HERE:
            if parameters.get(name):
                raise EksError("InvalidParameterException", f"{name} is not part of this sandbox")
        named = parameters.get("addonVersion") or (present.wanted.version if present else None)
        version = chosen.version(named, self._facts.version)
        before = present.wanted.configuration if present else ""
        configuration = parameters.get("configurationValues", before)
        catalogue.values(chosen, configuration)
        return Wanted(version, configuration)

    def _described(self, addon: Addon) -> Answer:
        issues = [_described_issue(issue, "code", "message") for issue in addon.issues]
        described = {
            "addonName": addon.name,
            "clusterName": self._facts.name,
            "status": addon.status,
            "addonVersion": addon.wanted.version,
            "health": {"issues": issues},
            "addonArn": resources.addon_arn(self._facts, addon),
            "createdAt": addon.created,
            "modifiedAt": addon.modified,
            "tags": addon.tags,
        }
        if addon.wanted.configuration:
            described["configurationValues"] = addon.wanted.configuration
        return described


def _asked(parameters: Parameters) -> list[tuple[str, str]]:
    names = {
        "addonVersion": "AddonVersion",
        "resolveConflicts": "ResolveConflicts",
        "configurationValues": "ConfigurationValues",
    }
    return [(kind, parameters[name]) for name, kind in names.items() if name in parameters]


def _versions(addon: catalogue.Addon, cluster_version: str) -> Answer:
    offered = addon.offered(cluster_version)
    return {
        "addonName": addon.name,
        "type": "networking",
        "publisher": "eks",
        "owner": "aws",
        "addonVersions": [
            {
                "addonVersion": version.name,
                "architecture": ["amd64", "arm64"],
                "requiresConfiguration": False,
                "requiresIamPermissions": False,
                "compatibilities": [
                    {
                        "clusterVersion": cluster_version,
                        "platformVersions": ["*"],
                        "defaultVersion": version is offered[0],
                    }
                ],
            }
            for version in offered
        ],
    }


def _described_update(update: Update) -> Answer:
    return {
        "id": update.id,
        "status": update.status,
        "type": "AddonUpdate",
        "params": [{"type": kind, "value": value} for kind, value in update.params],
        "createdAt": update.created,
        "errors": [_described_issue(e, "errorCode", "errorMessage") for e in update.errors],
    }


def _described_issue(issue: Issue, code: str, message: str) -> Answer:
    return {code: issue.code, message: issue.message, "resourceIds": list(issue.resources)}
