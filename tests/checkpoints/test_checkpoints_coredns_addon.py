"""The checkpoints of 02a_coredns_addon on clusters that are right, and on those that are not."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import botocore.exceptions
import pytest
from fake_api import FakeApi, Request
from lab_api import Check
from test_checkpoints_lab_hosts import CONFIGMAP, PODS, UNTOUCHED

from eksnet.checkpoints import State

P, F, N = State.PASS, State.FAIL, State.NOT_STARTED
RUNS = f"[INFO] plugin/reload: Running configuration SHA512 = {'a' * 128}\n"
LASTING = UNTOUCHED.replace("cache 30", "cache 60")
MISSPELT = UNTOUCHED.replace("cache", "cahce")
MODES = ("NONE", "PRESERVE", "OVERWRITE")
FATES = {"NONE": "refused", "PRESERVE": "kept", "OVERWRITE": "reset"}
REFUSAL = "[ERROR] Restart failed: /etc/coredns/Corefile:4 - Error during parsing: Unknown "
REFUSAL += "directive 'cahce'\n"


class NoAddonError(Exception):
    """There is no such add-on."""


class FakeEks:
    """EKS's answers about the add-on coredns; what the API server refuses, it refuses too."""

    # The names under which a boto3 client has its errors.
    exceptions = SimpleNamespace(
        ResourceNotFoundException=NoAddonError, ClientError=botocore.exceptions.ClientError
    )

    def __init__(self, api: FakeApi, status: str, values: dict[str, Any], tried: tuple[str, ...]):
        self.api, self.status, self.values, self.tried = api, status, values, tried

    def _ask(self, operation: str) -> None:
        refused = self.api.refuse(Request("GET", f"/eks/{operation}", {}, b""))
        if refused:
            error = {"Error": {"Code": str(refused[0]), "Message": "no"}}
            raise botocore.exceptions.ClientError(error, operation)

    def describe_addon(self, **_: str) -> dict[str, Any]:
        self._ask("DescribeAddon")
        if self.status == "self-managed":
            raise self.exceptions.ResourceNotFoundException
        found = {"status": self.status, "addonVersion": "v1", "health": {"issues": []}}
        values = {"configurationValues": json.dumps(self.values)} if self.values else {}
        return {"addon": {**found, **values}}

    def list_updates(self, **_: str) -> dict[str, Any]:
        self._ask("ListUpdates")
        return {"updateIds": list(self.tried)}

    def describe_update(self, updateId: str, **_: str) -> dict[str, Any]:  # noqa: N803
        self._ask("DescribeUpdate")
        return {"update": {"params": [{"type": "ResolveConflicts", "value": updateId}]}}


def put_addon(
    api: FakeApi,
    *,
    status: str = "ACTIVE",
    value: str = "",
    values: dict[str, Any] | None = None,
    corefile: str = "",
    owner: str = "eks",
    tried: tuple[str, ...] = (),
    logs: str = "",
    ready: bool = True,
) -> None:
    """Make the add-on, the ConfigMap and two CoreDNS pods.

    Args:
        api: The API server.
        status: The add-on's status, or `self-managed`.
        value: Its configuration value `corefile`; none when empty.
        values: Its other configuration values.
        corefile: The text of the ConfigMap; that of the value, or EKS's, when empty.
        owner: Who owns that text.
        tried: The modes of the updates.
        logs: What the pods have logged last.
        ready: Whether their containers are ready.
    """
    held = {**({"corefile": value} if value else {}), **(values or {})}
    api.eks = FakeEks(api, status, held, tried)  # type: ignore[attr-defined]
    text = corefile or value or UNTOUCHED
    fields = [{"manager": owner, "operation": "Apply", "fieldsV1": {"f:data": {"f:Corefile": {}}}}]
    api.put(CONFIGMAP, {"data": {"Corefile": text}, "metadata": {"managedFields": fields}})
    for name in ("coredns-a", "coredns-b"):
        container = {"name": "coredns", "ready": ready}
        status_of_pod = {"containerStatuses": [container]}
        labels = {"metadata": {"labels": {"k8s-app": "kube-dns"}}}
        api.put(f"{PODS}/{name}", {**labels, "status": status_of_pod})
        api.logs[f"{PODS}/{name}"] = RUNS + logs


@pytest.mark.parametrize(
    ("prediction", "state"),
    [(FATES, P), ({**FATES, "NONE": "kept"}, F), (..., N)],
)
def test_a_prediction_is_compared_with_what_was_observed(
    api: FakeApi, checkpoint: Check, prediction: Any, state: State
) -> None:
    put_addon(api, tried=MODES)
    assert checkpoint("addon-01").check(prediction, FATES).state is state


def test_a_mode_that_was_not_tried_is_named(api: FakeApi, checkpoint: Check) -> None:
    put_addon(api, tried=("NONE", "OVERWRITE"))
    (outcome,) = checkpoint("addon-01").check(FATES, FATES).outcomes
    assert outcome.state is N and "PRESERVE" in outcome.observation.observed


def test_the_refused_word_is_the_one_of_the_log(api: FakeApi, checkpoint: Check) -> None:
    put_addon(api, corefile=MISSPELT, logs=REFUSAL)
    assert checkpoint("addon-03").check("cahce").state is P
    assert checkpoint("addon-03").check("cache").state is F
