"""What kube-proxy really wrote on a live node, read there; and its mode, changed on the sandbox.

Rules belong to the node's kernel. Whoever reads them needs the node's network and the right to
administer it, so on every cluster but the sandbox a reader says first how to get at them.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from eksnet.cluster.countdown import until
from eksnet.cluster.faults import require_sandbox
from eksnet.cluster.pods import NoProgramError, not_terminating
from eksnet.errors import EksnetError, NotFoundError
from eksnet.kubeproxy.dumps import parse_dump
from eksnet.kubeproxy.packet import Connection, parse_conntrack
from eksnet.kubeproxy.predict import predict
from eksnet.kubeproxy.ruleset import Differences, Ruleset, differences
from eksnet.kubeproxy.settings import MODES, Node, Settings, parse_settings
from eksnet.listing import Listing

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource
    from eksnet.cluster.edits import Edit

    Way = Callable[[Cluster, Node, "Command"], str]

Command = tuple[str, ...]

KUBE_PROXY, DEBUG_POD = "kube-proxy", "debug pod"
_SYSTEM = "kube-system"
_CONFIG = "kube-proxy-config"
_SELECTOR = "k8s-app=kube-proxy"
_NFT = ("nft", "-j", "list", "table", "ip", "kube-proxy")
_IPTABLES = ("iptables-save",)
_CONNTRACK = ("conntrack", "-L")
# Where kube-proxy's configuration is: on EKS and the sandbox, and with kubeadm and kind.
_CONFIGS = ((_CONFIG, "config"), ("kube-proxy", "config.conf"))
# How the lines begin that a program prints as its answer, not as a complaint.
_ANSWERS = {
    "nft": re.compile(r"\{"),
    "iptables-save": re.compile(r"[#*:\[]|-A |COMMIT$"),
    "conntrack": re.compile(r"\w+ +\d+ "),
}
# What nft says where kube-proxy's table is not there: ENOENT in words. It exits with 1 whatever is
# wrong. Source: nftables src/netlink.c, netlink_list_table; the words are libc's, strerror(ENOENT).
_NO_TABLE = "No such file or directory"


def read_node(cluster: Cluster, name: str = "") -> Node:
    """Return a node of the cluster, as kube-proxy there sees it.

    Args:
        cluster: The cluster.
        name: The node's name; the first one's when empty.
    """
    if name:
        return Node.from_object(cluster.get(f"node/{name}"))
    return Node.from_object(cluster.list("nodes")[0])


def read_configuration(cluster: Cluster) -> Settings:
    """Return the settings in the ConfigMap that the cluster's kube-proxy starts with.

    Args:
        cluster: The cluster.

    Raises:
        EksnetError: There is none where EKS, kubeadm or kind keep it.
    """
    return parse_settings(_configuration(cluster), _service_cidrs(cluster))


def _configuration(cluster: Cluster) -> str:
    for name, key in _CONFIGS:
        found: Mapping[str, Any] = cluster.find(f"configmap/{name}", namespace=_SYSTEM) or {}
        data = found.get("data") or {}
        if key in data:
            return str(data[key])
    places = " or ".join(f"{name} with the key {key}" for name, key in _CONFIGS)
    raise EksnetError(
        f"no ConfigMap in {_SYSTEM} has kube-proxy's configuration",
        places,
        f"kubectl -n {_SYSTEM} get configmaps; parse_settings also accepts the text itself",
    )


def _service_cidrs(cluster: Cluster) -> tuple[str, ...]:
    """Return the Services' IPv4 networks; none before 1.33, where no cluster lists them."""
    with contextlib.suppress(NotFoundError):
        cidrs = [cidr for one in cluster.list("servicecidrs") for cidr in one["spec"]["cidrs"]]
        return tuple(cidr for cidr in cidrs if ":" not in cidr)
    return ()


def predict_node(cluster: Cluster, node: Node, settings: Settings | None = None) -> Ruleset:
    """Return the rules that kube-proxy should have written on a node by now.

    Args:
        cluster: The cluster, whose Services and EndpointSlices are listed.
        node: The node.
        settings: kube-proxy's configuration; the cluster's own when None.
    """
    services = cluster.list("services", all_namespaces=True)
    slices = cluster.list("endpointslices", all_namespaces=True)
    return predict(services, slices, node, settings or read_configuration(cluster))


def read_rules(cluster: Cluster, node: Node, *, through: str = "") -> Ruleset:
    """Return the rules that a node has.

    Args:
        cluster: The cluster.
        node: The node.
        through: How to get at the node: `kube-proxy` runs `nft` or `iptables-save` in the pod of
            kube-proxy that is there; `debug pod` does so in a pod made for it, with the same image
            and the node's network, which is taken away at once. Both only read. On the sandbox it
            is `kube-proxy` when empty; elsewhere it has to be said.

    Raises:
        EksnetError: It was not said, or there is no kube-proxy on the node.
    """
    return parse_dump(_dump(cluster, node, through))


def read_connections(cluster: Cluster, node: Node, *, through: str = "") -> Listing[Connection]:
    """Return the connections that a node's kernel tracks (`conntrack -L`).

    Args:
        cluster: The cluster.
        node: The node.
        through: See `read_rules`. Either way needs the program `conntrack` in kube-proxy's image.

    Raises:
        EksnetError: As `read_rules` does; or the image has no such program.
    """
    try:
        return parse_conntrack(_read(cluster, node, _CONNTRACK, through))
    except NoProgramError:
        raise _without_conntrack(cluster, node) from None


def _without_conntrack(cluster: Cluster, node: Node) -> EksnetError:
    # Upstream's base image has none since distroless-iptables v0.8.7, for kube-proxy itself asks
    # the kernel. /proc/net/nf_conntrack is no way out: the sandbox's root may not read it.
    return EksnetError(
        f"kube-proxy's image has no program conntrack: {_image(cluster)}",
        "an image with conntrack; upstream removed it, because kube-proxy no longer needs it",
        f"skip the cells that read connections, or run as root on {node.name}: conntrack -L",
    )


def wait_for_rules(
    cluster: Cluster, node: Node, *, through: str = "", timeout: float = 60
) -> Ruleset:
    """Wait until a node has the rules that the model predicts, and return the node's own.

    Args:
        cluster: The cluster.
        node: The node.
        through: See `read_rules`.
        timeout: How long at most, in seconds.

    Raises:
        EksnetError: They still differ; the message holds the first differences.
    """
    found: list[tuple[Ruleset, Differences]] = []

    def same() -> bool:
        observed = _read_if_any(cluster, node, through)
        found[:] = [(observed, node_differences(cluster, node, observed))]
        return not found[0][1]

    if until(f"the rules of {node.name}", same, timeout):
        return found[0][0]
    wrong = found[0][1]
    raise EksnetError(
        f"after {timeout:.0f} s the rules of {node.name} differ from the prediction in "
        f"{len(wrong)} lines, first\n{wrong.items[0].text}",
        "the predicted rules",
        f"eksnet kubectl -n {_SYSTEM} logs -l {_SELECTOR}",
    )


def node_differences(cluster: Cluster, node: Node, observed: Ruleset) -> Differences:
    """Return where a node's rules are not what its kube-proxy should have written by now.

    In mode nftables it uses the ServiceCIDRs when it writes all rules anew. A kube-proxy that hears
    of them only after its first rules goes without until then, up to an hour
    (`OnServiceCIDRsChanged` and `setupNFTables` of pkg/proxy/nftables/proxier.go); a busy computer
    can bring that about. The line for them may be missing, therefore.

    Args:
        cluster: The cluster.
        node: The node.
        observed: Its rules; see `read_rules`.
    """
    settings = read_configuration(cluster)
    found = differences(predict_node(cluster, node, settings), observed)
    if found and settings.service_cidrs and settings.mode == observed.mode == "nftables":
        late = replace(settings, service_cidrs=())
        found_late = differences(predict_node(cluster, node, late), observed)
        return found if found_late else found_late
    return found


def _read_if_any(cluster: Cluster, node: Node, through: str) -> Ruleset:
    """Return a node's rules; none of them while a kube-proxy that starts has not written any."""
    text = _dump(cluster, node, through)
    return parse_dump(text) if text.strip() else Ruleset("iptables", {})


def switch_mode(cluster: Cluster, mode: str, timeout: float = 120) -> None:
    """Give kube-proxy another mode through its ConfigMap, and wait for its rules on every node.

    Args:
        cluster: The cluster; only the sandbox, for kube-proxy starts anew on every node.
        mode: iptables or nftables.
        timeout: How long at most for each of the steps, in seconds.

    Raises:
        EksnetError: It is not the sandbox, the mode is none, or the rules did not come.
    """
    Settings(mode=mode)
    set_mode(cluster, mode)
    cluster.rollout_restart("daemonset/kube-proxy", _SYSTEM)
    cluster.rollout_status("daemonset/kube-proxy", _SYSTEM, timeout)
    for node in map(Node.from_object, cluster.list("nodes")):
        wait_for_rules(cluster, node, timeout=timeout)
    print(f"kube-proxy is in mode {mode} on every node")


def set_mode(cluster: Cluster, mode: str, *, unchecked: bool = False) -> Edit:
    """Write a mode into kube-proxy's ConfigMap; a restarted pod reads it.

    Args:
        cluster: The cluster; only the sandbox.
        mode: iptables or nftables.
        unchecked: Whether to write another word, with which kube-proxy does not start.

    Raises:
        EksnetError: It is not the sandbox, or kube-proxy has no such mode here.
    """
    require_sandbox(cluster, "a change of the mode restarts kube-proxy on every node")
    if not unchecked and mode not in MODES:
        raise EksnetError(
            f"kube-proxy has no mode {mode!r} here; nothing was changed",
            f"one of {', '.join(MODES)}",
            "`unchecked=True` in the call skips this check",
        )
    return cluster.edit_configmap(
        _CONFIG,
        "config",
        lambda text: re.sub(r"(?m)^mode:.*$", lambda _: f"mode: {mode}", text),
        _SYSTEM,
        unchecked=unchecked,
    )


def kube_proxies(cluster: Cluster) -> list[Resource]:
    """Return the pods of kube-proxy that are not being taken away."""
    return not_terminating(cluster.list("pods", _SYSTEM, selector=_SELECTOR))


def has_ended(pod: Resource) -> bool:
    """Tell whether a pod's container was started more than once: it looks well between its ends."""
    statuses = pod["status"].get("containerStatuses") or ()
    return any(one.get("restartCount") for one in statuses)


def last_words(cluster: Cluster, timeout: float = 60) -> str:
    """Wait until a kube-proxy ends in an error, and return what it logged last.

    Args:
        cluster: The cluster.
        timeout: How long at most, in seconds.

    Raises:
        EksnetError: None did.
    """
    said: list[str] = []

    def one_has_failed() -> bool:
        said[:] = [error for pod in kube_proxies(cluster) if (error := _error(cluster, pod))]
        return bool(said)

    if until("a kube-proxy that exits with an error", one_has_failed, timeout):
        return said[0]
    raise EksnetError(
        f"no kube-proxy exited with an error within {timeout:.0f} s",
        "a restarted container",
        f"eksnet kubectl -n {_SYSTEM} get pods -l {_SELECTOR}",
    )


def _error(cluster: Cluster, pod: Resource) -> str:
    """Return the error with which a pod's log ends; empty when it ends with none."""
    if not has_ended(pod):
        return ""
    last = (cluster.logs(pod.name, _SYSTEM, tail=1).strip().splitlines() or [""])[-1]
    _, _, error = last.partition(" err=")
    return str(json.loads(error)) if error.endswith('"') else ""


# How to get at a node.


def _dump(cluster: Cluster, node: Node, through: str) -> str:
    """Return the table of mode nftables if there is one, else what iptables has."""
    way = _way(cluster, node, through)
    try:
        return way(cluster, node, _NFT)
    except NoProgramError:
        # Such an image is of a kube-proxy that has no mode nftables.
        pass
    except EksnetError as error:
        if _NO_TABLE not in error.seen:
            raise
    return way(cluster, node, _IPTABLES)


def _read(cluster: Cluster, node: Node, command: Command, through: str) -> str:
    return _way(cluster, node, through)(cluster, node, command)


def _way(cluster: Cluster, node: Node, through: str) -> Way:
    ways: dict[str, Way] = {KUBE_PROXY: _in_kube_proxy, DEBUG_POD: _in_debug_pod}
    name = through or (KUBE_PROXY if cluster.target.kind == "sandbox" else "")
    if name not in ways:
        raise EksnetError(
            f"to read the rules of {node.name}, a command has to run on it, and the cluster is "
            f"{cluster.target}",
            f'through="{KUBE_PROXY}": in the existing pod of kube-proxy; or '
            f'through="{DEBUG_POD}": in a new pod with the node\'s network and NET_ADMIN',
            f'read_rules(cluster, node, through="{KUBE_PROXY}")',
        )
    return ways[name]


def _in_kube_proxy(cluster: Cluster, node: Node, command: Command) -> str:
    here = [pod for pod in kube_proxies(cluster) if _runs_on(node, pod)]
    if not here:
        raise EksnetError(
            f"no pod of kube-proxy runs on {node.name}",
            "a pod of the DaemonSet kube-proxy; EKS Auto Mode and Fargate have none",
            f"eksnet kubectl -n {_SYSTEM} get pods -l {_SELECTOR} -o wide",
        )
    run = cluster.exec(here[-1].name, command, _SYSTEM)
    return _output(command, run.stdout, run.stderr, run.exit_code)


def _runs_on(node: Node, pod: Resource) -> bool:
    here: bool = pod["spec"].get("nodeName") == node.name
    return here and pod["status"].get("phase") == "Running"


def _in_debug_pod(cluster: Cluster, node: Node, command: Command) -> str:
    image = _image(cluster)
    security = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]},
    }
    main = {"name": "main", "image": image, "command": [*command], "securityContext": security}
    spec = {
        "nodeName": node.name,
        "hostNetwork": True,
        "tolerations": [{"operator": "Exists"}],
        "automountServiceAccountToken": False,
        "containers": [main],
    }
    run = cluster.run(image, command, _SYSTEM, spec=spec)
    return _output(command, _answer(command, run.output), run.output, run.exit_code)


def _image(cluster: Cluster) -> str:
    daemonset = cluster.get("daemonset/kube-proxy", namespace=_SYSTEM)
    return str(daemonset["spec"]["template"]["spec"]["containers"][0]["image"])


def _answer(command: Command, text: str) -> str:
    """Return what a program answered, out of a pod's log that holds its complaints as well.

    An image need not have a shell that could keep the two apart.
    """
    starts = _ANSWERS[command[0]]
    return "".join(line for line in text.splitlines(keepends=True) if starts.match(line))


def _output(command: Command, text: str, complaint: str, exit_code: int) -> str:
    if exit_code:
        raise EksnetError(
            f"{' '.join(command)} exited with {exit_code}: {complaint.strip()[:200]}",
            "the rules in the node's kernel",
            "eksnet kubectl -n kube-system logs -l k8s-app=kube-proxy",
        )
    return text
