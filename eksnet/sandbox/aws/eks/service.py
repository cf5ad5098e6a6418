"""EKS's operations on the sandbox's one cluster."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from eksnet.sandbox.aws.eks import catalogue
from eksnet.sandbox.aws.eks.model import Call, EksError
from eksnet.sandbox.aws.eks.records import NO_MODE, Addon, Issue, Store, Update, Wanted
from eksnet.sandbox.aws.principals import Principal
from eksnet.sandbox.aws.settings import ClusterFacts

Answer = dict[str, Any]


class Service:
    """Answers EKS's calls from the records; what takes time it leaves to the worker."""

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

    def answer(self, call: Call, principal: Principal) -> Answer:
        """Return the members of an operation's output.

        Args:
            call: The operation with its parameters.
            principal: Who asks; IAM has allowed it.

        Raises:
            EksError: EKS would refuse the call, or the sandbox does not know the operation.
        """
        operation = _OPERATIONS.get(call.operation)
        if operation is None:
            raise EksError(
                "InvalidRequestException", f"{call.operation} is not part of this sandbox"
            )
        return operation(self, call.parameters)

    def _check_cluster(self, name: str) -> None:
        if name != self._facts.name:
            raise EksError(
                "ResourceNotFoundException", f"No cluster found for name: {name}.", clusterName=name
            )

    # Clusters.

    def list_clusters(self, _: Mapping[str, Any]) -> Answer:
        """Answer ListClusters."""
        return {"clusters": [self._facts.name]}

    def describe_cluster(self, parameters: Mapping[str, Any]) -> Answer:
        """Answer DescribeCluster."""
        self._check_cluster(parameters["name"])
        facts = self._facts
        cluster = {
            "name": facts.name,
            "arn": facts.arn("cluster"),
            "createdAt": datetime.fromisoformat(facts.created),
            "version": facts.version,
            "endpoint": facts.endpoint,
            "certificateAuthority": {"data": facts.ca},
            "status": "ACTIVE",
            "roleArn": f"arn:aws:iam::{facts.account}:role/{facts.name}-cluster",
            "resourcesVpcConfig": {
                "subnetIds": list(facts.subnet_ids),
                "securityGroupIds": [],
                "clusterSecurityGroupId": facts.security_group_id,
                "vpcId": facts.vpc_id,
                "endpointPublicAccess": True,
                "endpointPrivateAccess": True,
                "publicAccessCidrs": ["127.0.0.1/32"],
            },
            "kubernetesNetworkConfig": {
                "serviceIpv4Cidr": facts.services,
                "ipFamily": "ipv4",
            },
            "accessConfig": {"authenticationMode": "API"},
            # Which platform version a cluster of today has was found nowhere: a guess.
            "platformVersion": "eks.1",
            "tags": {},
        }
        return {"cluster": cluster}

    # Add-ons: what there is.

    def describe_addon_versions(self, parameters: Mapping[str, Any]) -> Answer:
        """Answer DescribeAddonVersions."""
        wanted = parameters.get("addonName")
        cluster_version = parameters.get("kubernetesVersion", self._facts.version)
        known = [catalogue.addon(wanted)] if wanted else list(catalogue.addons().values())
        return {"addons": [_versions(one, cluster_version) for one in known]}

    def describe_addon_configuration(self, parameters: Mapping[str, Any]) -> Answer:
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

    def list_addons(self, parameters: Mapping[str, Any]) -> Answer:
        """Answer ListAddons."""
        self._check_cluster(parameters["clusterName"])
        return {"addons": sorted(self._store.records.addons)}

    def describe_addon(self, parameters: Mapping[str, Any]) -> Answer:
        """Answer DescribeAddon."""
        addon = self._addon(parameters)
        if addon.status == "ACTIVE" and (missing := self._replicas_missing(addon)):
            issue = Issue("InsufficientNumberOfReplicas", missing)
            addon = replace(addon, status="DEGRADED", issues=(issue,))
        return {"addon": self._described(addon)}

    def create_addon(self, parameters: Mapping[str, Any]) -> Answer:
        """Answer CreateAddon; the worker applies it."""
        self._check_cluster(parameters["clusterName"])
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

    def update_addon(self, parameters: Mapping[str, Any]) -> Answer:
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

    def delete_addon(self, parameters: Mapping[str, Any]) -> Answer:
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

    def list_updates(self, parameters: Mapping[str, Any]) -> Answer:
        """Answer ListUpdates, oldest first."""
        self._check_cluster(parameters["name"])
        wanted = parameters.get("addonName")
        updates = self._store.records.updates.values()
        return {"updateIds": [one.id for one in updates if one.addon == wanted]}

    def describe_update(self, parameters: Mapping[str, Any]) -> Answer:
        """Answer DescribeUpdate."""
        self._check_cluster(parameters["name"])
        update = self._store.records.updates.get(parameters["updateId"])
        if update is None or update.addon != parameters.get("addonName"):
            raise EksError(
                "ResourceNotFoundException", f"No update found for ID: {parameters['updateId']}"
            )
        return {"update": _described_update(update)}

    def _addon(self, parameters: Mapping[str, Any]) -> Addon:
        self._check_cluster(parameters["clusterName"])
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

    def _free(self, parameters: Mapping[str, Any]) -> Addon:
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
        self, chosen: catalogue.Addon, parameters: Mapping[str, Any], present: Addon | None
    ) -> Wanted:
        """Return what a call asks for; what it leaves out of an update stays as it is."""
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
            "addonArn": self._facts.arn("addon", addon.name, str(_uuid(addon.name))),
            "createdAt": addon.created,
            "modifiedAt": addon.modified,
            "tags": addon.tags,
        }
        if addon.wanted.configuration:
            described["configurationValues"] = addon.wanted.configuration
        return described


def _uuid(name: str) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_URL, name)


def _asked(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
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


_OPERATIONS: Mapping[str, Callable[[Service, Mapping[str, Any]], Answer]] = {
    "ListClusters": Service.list_clusters,
    "DescribeCluster": Service.describe_cluster,
    "DescribeAddonVersions": Service.describe_addon_versions,
    "DescribeAddonConfiguration": Service.describe_addon_configuration,
    "ListAddons": Service.list_addons,
    "DescribeAddon": Service.describe_addon,
    "CreateAddon": Service.create_addon,
    "UpdateAddon": Service.update_addon,
    "DeleteAddon": Service.delete_addon,
    "ListUpdates": Service.list_updates,
    "DescribeUpdate": Service.describe_update,
}
