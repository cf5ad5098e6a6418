"""Which notebook runs on which kind of cluster, and what of it is left out there, with the reason.

A notebook, or a section of it, needs something; a kind of cluster may not have it. The table of
both is all that stands here: `begin` refuses a lesson that cannot run, the functions that a section
calls refuse the section, and each notebook's head shows its row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eksnet.errors import EksnetError

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

COLUMNS = {
    "sandbox": "the sandbox",
    "context": "a context",
    "eks": "EKS",
    "auto": "EKS Auto Mode",
    "fargate": "Fargate",
}
"""The kinds of clusters, by their short names."""


@dataclass(frozen=True)
class Need:
    """What a notebook or a section needs.

    Attributes:
        absent: Why it is not there, by the kind of cluster.
    """

    absent: Mapping[str, str]


@dataclass(frozen=True)
class Section:
    """A section that does not run everywhere; the rest does not need it.

    Attributes:
        title: Its heading.
        cell: The id of its first cell with code: it refuses, and has changed nothing.
        need: What it needs.
    """

    title: str
    cell: str
    need: Need


@dataclass(frozen=True)
class Row:
    """What one notebook needs.

    Attributes:
        notebook: Its name.
        needs: What all of it needs.
        sections: The sections that need more.
    """

    notebook: str
    needs: tuple[Need, ...] = ()
    sections: tuple[Section, ...] = ()

    def missing(self, column: str) -> str:
        """Return why the notebook does not run on a kind of cluster; empty when it does."""
        reasons = (need.absent.get(column, "") for need in self.needs)
        return next(filter(None, reasons), "")

    def skipped(self, column: str) -> tuple[Section, ...]:
        """Return the sections that are left out on a kind of cluster."""
        return tuple(one for one in self.sections if column in one.need.absent)


def _but_sandbox(reason: str) -> Need:
    return Need(dict.fromkeys((name for name in COLUMNS if name != "sandbox"), reason))


_COREDNS = Need({"auto": "CoreDNS is a part of each node there, not a Deployment of the cluster"})
_ACCOUNT = Need({"context": "a kubeconfig names no AWS account"})
_KUBE_PROXY = Need({"auto": "kube-proxy is a part of each node there, and not a pod"})
_RULES = Need({
    **_KUBE_PROXY.absent,
    "fargate": "each Fargate pod has a node of its own, whose rules nobody can read",
})  # fmt: skip
_PLACES = Need({
    "auto": "it adds and removes nodes by itself, and the lesson puts pods on two of them",
    "fargate": "each Fargate pod has a node of its own, and the lesson puts pods on two nodes",
})  # fmt: skip
_QUICK_PODS = Need(
    {"fargate": "a Fargate pod takes a minute to start, and the lesson counts seconds"}
)
_HOST_NETWORK = Need({"fargate": "a Fargate pod has no host network"})
_FAULTS = _but_sandbox("faults are injected into the sandbox alone")
_MODES = _but_sandbox("hundreds of Services and another mode of kube-proxy burden every node")

_NODE_GROUP = Need({
    "auto": "EKS makes the nodes by itself, and there is no node group to look at",
    "fargate": "there is no node group to look at",
})  # fmt: skip
_END = _but_sandbox("the cluster and its VPC would be deleted")

_BREAK = "Break and fix"

ROWS = (
    Row("00_setup", (_ACCOUNT, _NODE_GROUP)),
    Row("01a_dns_records", (_COREDNS,), (Section("Other settings", "policies", _HOST_NETWORK),)),
    Row("01b_name_resolution", (_COREDNS,)),
    Row("01c_dns_troubleshooting", (_COREDNS,), (Section(_BREAK, "a-fault", _FAULTS),)),
    Row("02a_coredns_addon", (_ACCOUNT, _COREDNS)),
    Row("02b_coredns_scaling", (_COREDNS,)),
    Row("02c_corefile"),
    Row("02d_coredns_autoscaling", (_ACCOUNT, _COREDNS)),
    Row("03a_rules_and_packets", (_RULES, _PLACES)),
    Row(
        "03b_modes_and_growth",
        (_KUBE_PROXY,),
        (Section("On the real node", "growth-real-iptables", _MODES),),
    ),
    Row("03c_service_faults", (_RULES, _PLACES), (Section(_BREAK, "fault-a", _FAULTS),)),
    Row("04a_load_balancer_controller", (_ACCOUNT, _PLACES)),
    Row("04b_annotations", (_ACCOUNT,)),
    Row("05_lab_hosts", (_COREDNS,)),
    Row("06_lab_cname", (_ACCOUNT, _COREDNS)),
    Row("07_lab_install_controller", (_ACCOUNT,)),
    Row("08a_lab_ingress", (_ACCOUNT, _PLACES)),
    Row(
        "08b_ingress_https_and_faults",
        (_ACCOUNT, _QUICK_PODS),
        (Section(_BREAK, "fault-a", _FAULTS),),
    ),
    Row("09_lab_target_group_binding", (_ACCOUNT, _PLACES)),
    Row("99_cleanup", (_ACCOUNT, _PLACES), (Section("Cluster and VPC", "cluster", _END),)),
)


def row(notebook: str) -> Row:
    """Return what a notebook needs: nothing, if it has no row."""
    return next((one for one in ROWS if one.notebook == notebook), Row(notebook))


def columns(cluster: Cluster) -> tuple[str, ...]:
    """Return which kinds of cluster a cluster is of: a context may lead to EKS Auto Mode."""
    kind = cluster.target.kind
    if cluster.compute == "nodes" or kind == "sandbox":
        return (kind,)
    return ("context", cluster.compute) if kind == "context" else (cluster.compute,)


def require(cluster: Cluster, notebook: str) -> None:
    """Let only a cluster pass on which a notebook runs, at least up to one of its sections.

    Args:
        cluster: The cluster.
        notebook: The notebook's name.

    Raises:
        EksnetError: It runs not there.
    """
    needed = row(notebook)
    for column in columns(cluster):
        if reason := needed.missing(column):
            others = [COLUMNS[name] for name in COLUMNS if not needed.missing(name)]
            raise EksnetError(
                f"{notebook} does not run on {COLUMNS[column]}, and this is {cluster.target}: "
                f"{reason}",
                _listed(others, "or"),
                'eksnet.connect("sandbox")',
            )


def table() -> str:
    """Return the whole table as Markdown: `yes`, or what is left out, by notebook and cluster."""
    heads = [name.removeprefix("the ").removeprefix("a ") for name in COLUMNS.values()]
    rows = [("notebook", *heads), ("---",) * (len(heads) + 1)]
    rows += [(one.notebook, *(_cell(one, column) for column in COLUMNS)) for one in ROWS]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(needed: Row, column: str) -> str:
    if reason := needed.missing(column):
        return f"no: {reason}"
    skipped = [f"*{one.title}*" for one in needed.skipped(column)]
    return f"without {_listed(skipped, 'and')}" if skipped else "yes"


def line(notebook: str) -> str:
    """Return where a notebook runs, as its head says it.

    Args:
        notebook: The notebook's name.
    """
    needed = row(notebook)
    verdicts: dict[str, list[str]] = {}
    for column, name in COLUMNS.items():
        verdicts.setdefault(_verdict(needed, column), []).append(name)
    if list(verdicts) == [_ALL]:
        return "every target"
    return "; ".join(
        verdict.replace("{on}", f"on {_listed(names, 'and')}")
        for verdict, names in verdicts.items()
    )


_ALL = "all of it {on}"


def _verdict(needed: Row, column: str) -> str:
    if reason := needed.missing(column):
        return f"not {{on}}: {reason}"
    if skipped := needed.skipped(column):
        left_out = _listed([f"*{one.title}*" for one in skipped], "and")
        return f"{{on}} without {left_out}: {skipped[0].need.absent[column]}"
    return _ALL


def _listed(words: Iterable[str], last: str) -> str:
    """Return words as a sentence lists them."""
    *first, end = words
    return f"{', '.join(first)} {last} {end}" if first else end
