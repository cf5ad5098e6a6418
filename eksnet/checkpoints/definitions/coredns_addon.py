"""The checkpoints of 02a_coredns_addon: who owns a field, what lasts, what breaks at a restart."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from eksnet.checkpoints.criteria import (
    Criterion,
    Definition,
    Observation,
    Prediction,
    failed,
    not_started,
    passed,
)
from eksnet.coredns import addon
from eksnet.coredns.configuration import refusal
from eksnet.coredns.diagnosis import RUNS_ITS_COREFILE
from eksnet.coredns.installed import CONFIGMAP, SYSTEM, logs_of_all, pods_not_terminating

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

NOTEBOOK = "02a_coredns_addon"
_FIELD = ".data.Corefile"
_INSTALL = "coredns.addon.install(cluster)"
_READ = 'corefile = cluster.get("configmap/coredns", namespace="kube-system")["data"]["Corefile"]'
_LASTS = f"""\
{_READ}
coredns.addon.update(cluster, {{"corefile": corefile}}, "OVERWRITE")"""
_OBSERVED = """\
cluster.edit_configmap(
    "coredns", "Corefile", lambda text: text.replace("cache 30", "cache 60"), "kube-system"
)
observed = {}
for mode in ("NONE", "PRESERVE", "OVERWRITE"):
    update = coredns.addon.update(cluster, {"replicaCount": 3}, mode)[0]
    corefile = cluster.get("configmap/coredns", namespace="kube-system")["data"]["Corefile"]
    kept = "kept" if "cache 60" in corefile else "reset"
    observed[mode] = "refused" if update.status == "Failed" else kept"""
# How the parser and the set-up of a plugin name what they do not take.
_NAMED = re.compile(r"[Uu]nknown (?:directive|property) '?\"?([^'\"\s]+)")
_BREAK = """\
cluster.edit_configmap(
    "coredns", "Corefile", lambda text: text.replace("cache", "cahce"), "kube-system",
    unchecked=True,
)"""


def modes(cluster: Cluster, observed: Any) -> Any:
    """What became of the hand-made change in each mode; that each was tried is in EKS's records."""
    _configmap(cluster)
    if not isinstance(observed, dict):
        return not_started("nothing was observed yet", "one result for each mode", "")
    eks, where = cluster.aws("eks"), {"addonName": addon.NAME}
    tried = set()
    for update in eks.list_updates(name=cluster.eks_name, **where)["updateIds"]:
        found = eks.describe_update(name=cluster.eks_name, updateId=update, **where)["update"]
        tried |= {one["value"] for one in found["params"] if one["type"] == "ResolveConflicts"}
    missing = [mode for mode in addon.MODES if mode not in tried or mode not in observed]
    if missing:
        return not_started(
            f"no update with {missing[0]} was observed", "an update in each of the three modes", ""
        )
    return {mode: observed[mode] for mode in addon.MODES}


def _configmap(cluster: Cluster) -> Resource | None:
    """Return the ConfigMap; who may not read it cannot be checked, whatever EKS would say."""
    return cluster.find(f"configmap/{CONFIGMAP}", namespace=SYSTEM)


def is_addon(cluster: Cluster) -> Observation:
    """Whether CoreDNS is an add-on of EKS, and ACTIVE."""
    _configmap(cluster)
    found = addon.describe(cluster)[0]
    if found.status == "self-managed":
        return not_started("CoreDNS is self-managed", "an EKS add-on", _INSTALL)
    if found.status != "ACTIVE":
        return failed(f"the add-on is {found.status}", "ACTIVE", _LASTS)
    return passed("the add-on is ACTIVE")


def has_corefile(cluster: Cluster) -> Observation:
    """Whether the add-on's configuration values hold the Corefile of the ConfigMap."""
    values = addon.describe(cluster)[0].configuration or {}
    configmap = _configmap(cluster)
    text = (configmap.get("data") or {}).get("Corefile") if configmap else None
    if "corefile" not in values:
        return not_started("the configuration values have no corefile", "your Corefile", _LASTS)
    if values["corefile"] != text:
        return failed("the ConfigMap has another text", "the text of the value corefile", _LASTS)
    return passed("the ConfigMap has the text of the value corefile")


def is_changed(cluster: Cluster) -> Observation:
    """Whether the add-on's Corefile keeps answers for 60 seconds."""
    values = addon.describe(cluster)[0].configuration or {}
    lines = [line.split() for line in str(values.get("corefile", "")).splitlines()]
    if ["cache", "60"] not in lines:
        return failed("the value corefile has no line `cache 60`", "`cache 60`", _LASTS)
    return passed("the value corefile has the line `cache 60`")


def owner(cluster: Cluster) -> Observation:
    """Whether the Corefile belongs to EKS."""
    found = cluster.owners(f"configmap/{CONFIGMAP}", namespace=SYSTEM, below=_FIELD)
    managers = sorted({one.manager for one in found})
    if "eks" not in managers:
        return failed(f"{', '.join(managers) or 'nobody'} owns {_FIELD}", "eks", _LASTS)
    return passed(f"eks owns {_FIELD}")


def refused_word(cluster: Cluster, _: Any) -> Any:
    """The word of the Corefile that CoreDNS does not take, as its logs name it."""
    if down := _not_running(cluster):
        remedy = 'coredns.addon.update(cluster, {}, "OVERWRITE")'
        return failed(down, "a wrong Corefile that no pod has started with yet", remedy)
    said = {refusal(log) for log in logs_of_all(cluster)} - {""}
    words = {found[1] for text in said if (found := _NAMED.search(text))}
    if not words:
        return not_started("no CoreDNS pod has refused a Corefile", "one that reload refused", "")
    return min(words)


def _not_running(cluster: Cluster) -> str:
    """Say how many CoreDNS pods do not run; nothing when all do."""
    pods = pods_not_terminating(cluster)
    statuses = [one for pod in pods for one in pod["status"].get("containerStatuses") or ()]
    down = sum(not one.get("ready") for one in statuses)
    return f"{down} of {len(statuses)} CoreDNS pods do not run" if down else ""


CHECKPOINTS = (
    Definition(
        id="addon-01",
        notebook=NOTEBOOK,
        title="What an update does to a change by hand",
        criteria=(
            Prediction(
                "addon-01.modes",
                "The fate of the changed Corefile in each mode",
                3,
                "somebody changed the Corefile in the ConfigMap; what does an update of the add-on "
                "do in each of the modes NONE, PRESERVE and OVERWRITE?",
                'prediction = {"NONE": "", "PRESERVE": "", "OVERWRITE": ""}',
                modes,
                takes="observed",
                gather=_OBSERVED,
                column=1,
            ),
        ),
        hints=(
            "Look at who owns the field `.data.Corefile`, before and after the change by hand.",
            "Compare the three results: did the update fail, and does the ConfigMap still hold "
            "the line `cache 60`?",
            "NONE stops at a field that somebody else owns. The names of the other two say what "
            "they do with it. Change `prediction`, then check again.",
        ),
        solution=f"""\
prediction = {{"NONE": "refused", "PRESERVE": "kept", "OVERWRITE": "reset"}}
{_OBSERVED}
eksnet.checkpoint("addon-01").check(prediction, observed)
""",
    ),
    Definition(
        id="addon-02",
        notebook=NOTEBOOK,
        title="A change that lasts",
        criteria=(
            Criterion("addon-02.active", "CoreDNS is an EKS add-on", 1, is_addon),
            Criterion(
                "addon-02.value", "Its value corefile has the line `cache 60`", 1, is_changed,
                needs=("addon-02.active",),
            ),
            Criterion(
                "addon-02.configmap", "The ConfigMap holds the same text", 1, has_corefile,
                needs=("addon-02.value",),
            ),
            Criterion(
                "addon-02.owner", "The Corefile belongs to EKS", 1, owner,
                needs=("addon-02.configmap",),
            ),
        ),
        hints=(
            "Look at the add-on's configuration values: `coredns.addon.describe(cluster)`.",
            "Compare the value `corefile` with the text in the ConfigMap, and look who owns it.",
            f"Change `cache 30` into `cache 60` in `corefile` below, then run it:\n{_LASTS}",
        ),
        solution=f"""\
{_READ}
corefile = corefile.replace("cache 30", "cache 60")
coredns.addon.update(cluster, {{"corefile": corefile}}, "OVERWRITE")
""",
    ),
    Definition(
        id="addon-03",
        notebook=NOTEBOOK,
        title="Found before the restart",
        criteria=(
            Prediction(
                "addon-03.word",
                "The word that CoreDNS does not take",
                2,
                "which word of the Corefile does CoreDNS refuse?",
                'prediction = ""',
                refused_word,
            ),
        ),
        hints=(
            f"Look at what the diagnosis says of the check *{RUNS_ITS_COREFILE}*.",
            "Compare the line that it names with the Corefile in the ConfigMap.",
            "`eksnet kubectl -n kube-system logs -l k8s-app=kube-dns --tail=5` shows the refusal. "
            "Put the word into `prediction`, and check again.",
        ),
        solution=f"""\
{_BREAK}
# when CoreDNS has refused it, after a minute or so
prediction = "cahce"
eksnet.checkpoint("addon-03").check(prediction)
""",
    ),
)  # fmt: skip
