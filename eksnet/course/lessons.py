"""What each lesson makes in a cluster, and what all of them expect of its DNS and its kube-proxy.

A new lesson is a new row of `LESSONS`; `eksnet.course.begin` does the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from eksnet.errors import EksnetError

SYSTEM = "kube-system"
COREFILE = "the Corefile"

Json = dict[str, Any]


@dataclass(frozen=True)
class Lesson:
    """What a lesson makes, and may leave when it is interrupted.

    Attributes:
        notebook: The notebook's name.
        namespaces: The namespaces that it makes, and takes away at its end.
        objects: What it makes outside of namespaces, as kind/name.
        faults: The chapter whose faults it injects, as in their names; empty for none.
        changes: Which of `PARTS` it changes otherwise, by title.
        addon: Whether it makes CoreDNS an add-on of EKS; then the fields of kube-system's objects
            have to belong to EKS, as they do where nobody has changed anything.
        simulates: Whether it makes up nodes and a clock, which only the sandbox has.
        installs_controller: Whether it installs the AWS Load Balancer Controller, from nothing.
        controller: Whether it needs that controller; then `begin` installs it where it is missing.
        by_hand: Whether it makes something in AWS by itself, without the controller.
        empty_account: Whether it counts what is in the account: then what lessons have made there
            by hand, and have left, is deleted first.
    """

    notebook: str
    namespaces: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    faults: str = ""
    changes: tuple[str, ...] = ()
    addon: bool = False
    simulates: bool = False
    installs_controller: bool = False
    controller: bool = False
    by_hand: bool = False
    empty_account: bool = False


@dataclass(frozen=True)
class Part:
    """An object of kube-system that every lesson relies on.

    Attributes:
        title: What a reader calls it.
        kind: Its kind.
        name: Its name.
        content: The fields that are compared on the sandbox, whose installation is known.
        fields: The fields that lessons and faults change, with dots: on other clusters these are
            compared with what the last `begin` saw; a change of anything else is its owners'.
    """

    title: str
    kind: str
    name: str
    content: tuple[str, ...]
    fields: tuple[str, ...] = ()


_KUBE_PROXY = "kube-proxy's configuration"
_DEPLOYMENT, _BUDGET = "the Deployment coredns", "the PodDisruptionBudget coredns"

LESSONS = (
    Lesson("00_setup"),
    Lesson("01a_dns_records", namespaces=("my-namespace",)),
    Lesson(
        "01b_name_resolution",
        namespaces=("ops-ns", "app-ns", "witness"),
        objects=("clusterrolebinding/eksnet-autopath",),
    ),
    Lesson("01c_dns_troubleshooting", namespaces=("ops-ns", "app-ns"), faults="dns"),
    Lesson("02a_coredns_addon", changes=(COREFILE, _DEPLOYMENT, _BUDGET), addon=True),
    Lesson(
        "02b_coredns_scaling",
        namespaces=("eksnet-memory", "eksnet-records"),
        objects=("clusterrole/eksnet-memory", "clusterrolebinding/eksnet-memory"),
    ),
    Lesson("02c_corefile", namespaces=("corefile-lab",)),
    Lesson("02d_coredns_autoscaling", changes=(_DEPLOYMENT,), addon=True, simulates=True),
    Lesson("03a_rules_and_packets", namespaces=("shop",)),
    Lesson("03b_modes_and_growth", namespaces=("shop", "many"), changes=(_KUBE_PROXY,)),
    Lesson("03c_service_faults", namespaces=("shop",), faults="proxy"),
    Lesson("04a_load_balancer_controller", namespaces=("app-ns",), controller=True),
    Lesson("04b_annotations", namespaces=("app-ns",), controller=True),
    Lesson("05_lab_hosts", changes=(COREFILE,)),
    Lesson("06_lab_cname", namespaces=("app-ns",), changes=(COREFILE,), controller=True),
    Lesson("07_lab_install_controller", namespaces=("app-ns",), installs_controller=True),
    Lesson("08a_lab_ingress", namespaces=("app-ns",), controller=True),
    Lesson(
        "08b_ingress_https_and_faults",
        namespaces=("app-ns", "team-ns"),
        faults="ingress",
        controller=True,
        by_hand=True,
    ),
    Lesson("09_lab_target_group_binding", namespaces=("app-ns",), controller=True, by_hand=True),
    Lesson("99_cleanup", namespaces=("app-ns",), controller=True, empty_account=True),
)

PARTS = (
    Part(COREFILE, "configmap", "coredns", ("data",), ("data.Corefile",)),
    Part("the ServiceAccount coredns", "serviceaccount", "coredns", ()),
    Part(_BUDGET, "poddisruptionbudget", "coredns", ("spec",)),
    Part(_DEPLOYMENT, "deployment", "coredns", ("spec",), ("spec.replicas",)),
    Part(
        "the Service kube-dns",
        "service",
        "kube-dns",
        ("spec",),
        ("spec.selector", "spec.ports"),
    ),
    Part("the permissions of CoreDNS", "clusterrole", "system:coredns", ("rules",), ("rules",)),
    Part(
        "the role binding of CoreDNS", "clusterrolebinding", "system:coredns",
        ("roleRef", "subjects"),
        ("subjects",),
    ),
    Part(_KUBE_PROXY, "configmap", "kube-proxy-config", ("data",), ("data.config",)),
    Part("kube-proxy's credentials", "configmap", "kube-proxy", ("data",)),
    Part("the ServiceAccount kube-proxy", "serviceaccount", "kube-proxy", ()),
    Part("the DaemonSet kube-proxy", "daemonset", "kube-proxy", ("spec",)),
    Part(
        "the role binding of kube-proxy", "clusterrolebinding", "eks:kube-proxy",
        ("roleRef", "subjects"),
    ),
    Part(
        "the webhook for roles of pods", "mutatingwebhookconfiguration", "pod-identity-webhook",
        ("webhooks",),
    ),
)  # fmt: skip


def lesson(notebook: str) -> Lesson:
    """Return the row of a notebook.

    Raises:
        EksnetError: There is none.
    """
    for one in LESSONS:
        if one.notebook == notebook:
            return one
    known = ", ".join(one.notebook for one in LESSONS)
    raise EksnetError(
        f"there is no lesson {notebook!r}",
        f"one of {known}",
        f'eksnet.begin(cluster, "{LESSONS[0].notebook}")',
    )


def lessons_that_change(title: str) -> tuple[str, ...]:
    """Return the notebooks that change a part of kube-system."""
    return tuple(one.notebook for one in LESSONS if title in one.changes)


def lessons_with_addon() -> tuple[str, ...]:
    """Return the notebooks that make CoreDNS an add-on of EKS."""
    return tuple(one.notebook for one in LESSONS if one.addon)


def lessons_that_simulate() -> tuple[str, ...]:
    """Return the notebooks that make up nodes and a clock."""
    return tuple(one.notebook for one in LESSONS if one.simulates)


def lessons_with_controller() -> tuple[str, ...]:
    """Return the notebooks that install the AWS Load Balancer Controller, or need it."""
    return tuple(one.notebook for one in LESSONS if one.installs_controller or one.controller)


def lessons_by_hand() -> tuple[str, ...]:
    """Return the notebooks that make something in AWS by themselves."""
    return tuple(one.notebook for one in LESSONS if one.by_hand or one.empty_account)


def lessons_with_faults_of(chapter: str) -> tuple[str, ...]:
    """Return the notebooks that inject the faults of a chapter."""
    return tuple(one.notebook for one in LESSONS if one.faults == chapter)


def differences(current: object, expected: object, where: str = "") -> Iterator[str]:
    """Say, field by field, how something differs from what was expected.

    Args:
        current: What is there.
        expected: What should be there.
        where: The field's name, with dots.
    """
    if current == expected:
        return
    if isinstance(current, Mapping) and isinstance(expected, Mapping):
        for key in sorted({*current, *expected}):
            here = f"{where}.{key}" if where else str(key)
            yield from differences(current.get(key), expected.get(key), here)
    elif isinstance(current, list | None) and isinstance(expected, list | None):
        yield _of_items(list(map(_label, current or ())), list(map(_label, expected or ())), where)
    elif isinstance(current, str) and isinstance(expected, str) and "\n" in current + expected:
        yield _of_items(_lines(current), _lines(expected), where)
    else:
        yield f"{where} is {_shown(current)}, not {_shown(expected)}"


def _of_items(current: list[str], expected: list[str], where: str) -> str:
    """Say which lines of a text, or items of a list, are there too and which are missing."""
    more = [item for item in current if item not in expected]
    less = [item for item in expected if item not in current]
    if len(more) == len(less) == 1:
        return f"{where}: {_shown(more[0])}, not {_shown(less[0])}"
    said = [
        f"{word} {_some(items)}" for word, items in (("extra", more), ("missing", less)) if items
    ]
    return f"{where}: {'; '.join(said) or 'different order'}"


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines()]


def _some(items: list[str]) -> str:
    shown = ", ".join(map(_shown, items[:_MOST]))
    return f"{shown} and {len(items) - _MOST} more" if len(items) > _MOST else shown


def _label(item: object) -> str:
    """Return what tells an item of a list from the others: its name, if it has one."""
    name = item.get("name") if isinstance(item, Mapping) else None
    return str(name or item)


def _shown(value: object) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


# How much of a difference is shown: letters, and items.
_LONGEST, _MOST = 60, 3


def picked(thing: Mapping[str, Any], fields: tuple[str, ...]) -> Json:
    """Return some fields of an object, each by its name with dots; None where there is none."""
    found: Json = {}
    for name in fields:
        value: Any = thing
        for key in name.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        found[name] = value
    return found


def with_fields(thing: Mapping[str, Any], fields: Mapping[str, Any]) -> Json:
    """Return an object with other values in some fields, named with dots; None takes one away."""
    changed: Json = dict(thing)
    for name, value in fields.items():
        key, _, rest = name.partition(".")
        if rest:
            changed[key] = with_fields(changed.get(key) or {}, {rest: value})
        elif value is None:
            changed.pop(key, None)
        else:
            changed[key] = value
    return changed
