"""The programs of the cluster and how each is called: command lines and configuration, no I/O."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eksnet.sandbox import node as node_root
from eksnet.sandbox.aws import interpreter
from eksnet.sandbox.aws import settings as aws_settings
from eksnet.sandbox.aws.settings import Settings
from eksnet.sandbox.build.modules import CONTROLLER_CHART
from eksnet.sandbox.desired import FILE
from eksnet.sandbox.paths import Paths
from eksnet.sandbox.pki import PUBLIC_AUTHORITY
from eksnet.sandbox.roots import Root
from eksnet.sandbox.vpc import INSTANCE_TYPE, NODE_GROUP, Node, Vpc

ETCD = "http://127.0.0.1:2379"
RUNTIME_SOCKET = "/run/eksnet/runtime.sock"
_KUBELET_CONFIG = "/etc/kubernetes/kubelet.json"
_KUBELET_KUBECONFIG = "/etc/kubernetes/kubelet.kubeconfig"
_IMAGES = "/etc/eksnet/images.json"
# What the VPC CNI can give an m5.large: 3 interfaces x (10 - 1) addresses + 2.
MAX_PODS = 29
# EKS keeps the default of one minute; the wait is a lesson, five seconds of it are enough.
SYNC_FREQUENCY = "5s"

# The kernel counts inotify instances per user, and the usual 128 are for all that a user runs.
# What watches a file that never changes here is switched off where it can be; so many are left to a
# sandbox.
INOTIFY_INSTANCES = 18
# FlexVolume drivers are looked for, and their directory is made, where nothing can be made.
_NO_FLEX_VOLUMES = "/proc/no-flex-volumes"

# Paths inside the root of a component of the control plane.
_DATA = "/var/lib/etcd"
_PKI = node_root.PKI
_KUBECONFIG = "/etc/kubernetes/kubeconfig"
_AUTHENTICATION = "/etc/kubernetes/authentication.yaml"
_TOKEN_WEBHOOK = "/etc/kubernetes/token-webhook.kubeconfig"
_ACCESS_WEBHOOK = "/etc/kubernetes/access-webhook.kubeconfig"
_ADMISSION = "/etc/kubernetes/admission.json"
_ADMISSION_WEBHOOK = "/etc/kubernetes/admission-webhook.kubeconfig"
# Where the API server asks the AWS side, and the certificate that it shows there.
_ASKED = f"{aws_settings.AUTHENTICATOR_ADDRESS}:{aws_settings.AUTHENTICATOR_PORT}"
_OWN = {
    "client-certificate": f"{_PKI}/apiserver-kubelet.crt",
    "client-key": f"{_PKI}/apiserver-kubelet.key",
}
# How long the API server believes either webhook: changed access entries count after so long.
_BELIEVED = "5s"
_COREFILE, _ZONE = "/etc/coredns/vpc-resolver.Corefile", "/etc/coredns/vpc-resolver.zone"
# The zones of load balancers' names, in the directory of what the load balancers write: those of
# Application and of Network Load Balancers.
BALANCERS_ZONE, NETWORK_ZONE = "zone", "network-zone"
# How often the resolver looks whether that zone has another serial number.
_RELOAD = "250ms"
_AWS_SETTINGS = "/etc/eksnet/aws.json"
_BYTECODE = "/var/cache/python"
_CHARTS = (CONTROLLER_CHART.name,)
AWS_ENVIRONMENT = {
    "PYTHONPATH": str(Path(__file__).parents[2]),
    # What it imports, nobody else does, and beside its modules it may not write: without this each
    # start would compile all of it again.
    "PYTHONPYCACHEPREFIX": _BYTECODE,
    # What a journal's request does again must not depend on the order of sets.
    "PYTHONHASHSEED": "0",
}
# Upstream has the time zones of CronJobs in its programs, ours looks for them here.
_TIME_ZONES = "/usr/share/zoneinfo"
# The certificate of the control plane's one host. Without it a component makes two keys more at
# each start, beside those for its own use.
_SERVED_WITH = ("apiserver.crt", "apiserver.key")
_SERVING = tuple(
    f"--tls-{kind}-file={_PKI}/{name}"
    for kind, name in zip(("cert", "private-key"), _SERVED_WITH, strict=True)
)

# Go's collector, less often: a start allocates far more than it keeps.
_UNHURRIED = {"GOGC": "400"}
# But not without end: the API server merges the schemas of custom resources when they come, and
# would keep five times what it needs of it. Above this its collector works as often as it must.
_API_SERVER_MEMORY = "400MiB"


@dataclass(frozen=True)
class Component:
    """A program that the supervisor starts and starts again when it dies.

    Attributes:
        name: Its name in `status` and its log's name.
        command: The program and its arguments; paths are those inside its root.
        node: The short name of the node in which it runs; None for the control plane.
        root: What it sees of the computer when it runs in no node.
        environment: Variables besides PATH.
    """

    name: str
    command: tuple[str, ...]
    node: str | None = None
    root: Root = field(default_factory=Root)
    environment: dict[str, str] = field(default_factory=dict)


def etcd(programs: Path, data: Path) -> Component:
    """The cluster's store, reachable from the control plane only."""
    command = (
        "/bin/etcd",
        f"--data-dir={_DATA}",
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        # A power cut costs the sandbox's last second, not a lab's patience at every write.
        "--unsafe-no-fsync",
        # The only member waits up to this long, by chance, before it elects itself at a start;
        # the default is a second. More heartbeats still would cost a processor at rest.
        "--election-timeout=250",
        "--heartbeat-interval=50",
        "--log-level=warn",
    )
    root = Root(shown=_program(programs, "etcd"), owned={_DATA: data})
    return Component("etcd", command, root=root, environment=_UNHURRIED)


def api_server(programs: Path, pki: Path, vpc: Vpc) -> Component:
    """The API server, with EKS's authorisers and the admission that guards node identities."""
    command = (
        "/bin/kube",
        "kube-apiserver",
        f"--etcd-servers={ETCD}",
        f"--advertise-address={vpc.api_server}",
        # Not everywhere: load balancers listen at this port of addresses of their own.
        f"--bind-address={vpc.api_server}",
        "--secure-port=443",
        *_SERVING,
        f"--client-ca-file={_PKI}/ca.crt",
        f"--kubelet-certificate-authority={_PKI}/ca.crt",
        f"--kubelet-client-certificate={_PKI}/apiserver-kubelet.crt",
        f"--kubelet-client-key={_PKI}/apiserver-kubelet.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={_PKI}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={_PKI}/front-proxy.crt",
        f"--proxy-client-key-file={_PKI}/front-proxy.key",
        # Webhooks and aggregated APIs are called at their pods, as on EKS: no kube-proxy runs here.
        "--enable-aggregator-routing=true",
        f"--service-account-key-file={_PKI}/service-account.pub",
        f"--service-account-signing-key-file={_PKI}/service-account.key",
        f"--service-account-issuer={aws_settings.issuer(vpc.region)}",
        f"--service-cluster-ip-range={vpc.services}",
        f"--authentication-config={_AUTHENTICATION}",
        f"--authentication-token-webhook-config-file={_TOKEN_WEBHOOK}",
        "--authentication-token-webhook-version=v1",
        f"--authentication-token-webhook-cache-ttl={_BELIEVED}",
        # Access policies come last, as on EKS: what RBAC allows is not asked there.
        "--authorization-mode=Node,RBAC,Webhook",
        f"--authorization-webhook-config-file={_ACCESS_WEBHOOK}",
        "--authorization-webhook-version=v1",
        f"--authorization-webhook-cache-authorized-ttl={_BELIEVED}",
        f"--authorization-webhook-cache-unauthorized-ttl={_BELIEVED}",
        "--enable-admission-plugins=NodeRestriction",
        f"--admission-control-config-file={_ADMISSION}",
        "--allow-privileged=true",
        "--profiling=false",
    )
    keys = _keys(
        pki, *_SERVED_WITH, "ca.crt", "apiserver-kubelet.crt", "apiserver-kubelet.key",
        "front-proxy-ca.crt", "front-proxy.crt", "front-proxy.key",
        "service-account.pub", "service-account.key",
    )  # fmt: skip
    root = Root(
        shown=_program(programs, "kube") | {_TIME_ZONES: Path(_TIME_ZONES)},
        copied=keys | {_AUTHENTICATION: Path(__file__).with_name("authentication.yaml")},
        texts=_resolver(vpc)
        | {
            _TOKEN_WEBHOOK: _webhook(aws_settings.AUTHENTICATE),
            _ACCESS_WEBHOOK: _webhook(aws_settings.AUTHORIZE),
            _ADMISSION: _admission(),
            _ADMISSION_WEBHOOK: _admission_webhook(),
        },
    )
    environment = _UNHURRIED | {"GOMEMLIMIT": _API_SERVER_MEMORY}
    return Component("kube-apiserver", command, root=root, environment=environment)


def _webhook(path: str) -> str:
    """Return the kubeconfig of one of the authenticator's webhooks; JSON is YAML too."""
    cluster = {"certificate-authority": f"{_PKI}/ca.crt", "server": f"https://{_ASKED}{path}"}
    context = {"cluster": "authenticator", "user": "api-server"}
    configuration = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "authenticator", "cluster": cluster}],
        "users": [{"name": "api-server", "user": _OWN}],
        "contexts": [{"name": "authenticator", "context": context}],
        "current-context": "authenticator",
    }
    return json.dumps(configuration)


def _admission() -> str:
    """Return with which credentials the API server asks admission webhooks."""
    version = "apiserver.config.k8s.io/v1"
    webhooks = {
        "apiVersion": version,
        "kind": "WebhookAdmissionConfiguration",
        "kubeConfigFile": _ADMISSION_WEBHOOK,
    }
    plugin = {"name": "MutatingAdmissionWebhook", "configuration": webhooks}
    configuration = {
        "apiVersion": version,
        "kind": "AdmissionConfiguration",
        "plugins": [plugin],
    }
    return json.dumps(configuration)


def _admission_webhook() -> str:
    """Return the credentials for the one process that wants some: it stands for a user's name."""
    configuration = {
        "apiVersion": "v1",
        "kind": "Config",
        "users": [{"name": _ASKED, "user": _OWN}],
    }
    return json.dumps(configuration)


def _program(programs: Path, name: str) -> dict[str, Path]:
    return {f"/bin/{name}": programs / name}


def _keys(pki: Path, *names: str) -> dict[str, Path]:
    return {f"{_PKI}/{name}": pki / name for name in names}


def _resolver(vpc: Vpc) -> dict[str, str]:
    """Return the files by which a program in the VPC finds an address; the computer's are not."""
    return {
        "/etc/hosts": "127.0.0.1 localhost\n",
        "/etc/resolv.conf": f"search {vpc.search_domain}\nnameserver {vpc.resolver}\n",
    }


def controller_manager(programs: Path, pki: Path) -> Component:
    """The controllers; alone, so without the election of a leader.

    Without a key to sign with: EKS signs no client certificates either.
    """
    command = (
        "/bin/kube",
        "kube-controller-manager",
        f"--kubeconfig={_KUBECONFIG}",
        f"--service-account-private-key-file={_PKI}/service-account.key",
        f"--root-ca-file={_PKI}/ca.crt",
        f"--flex-volume-plugin-dir={_NO_FLEX_VOLUMES}",
        *_SERVING,
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--profiling=false",
    )
    kubeconfig = {_KUBECONFIG: pki / "controller-manager.kubeconfig"}
    root = Root(
        shown=_program(programs, "kube") | {_TIME_ZONES: Path(_TIME_ZONES)},
        copied=_keys(pki, *_SERVED_WITH, "ca.crt", "service-account.key") | kubeconfig,
    )
    return Component("kube-controller-manager", command, root=root, environment=_UNHURRIED)


def scheduler(programs: Path, pki: Path) -> Component:
    """The scheduler; alone, so without the election of a leader."""
    command = (
        "/bin/kube",
        "kube-scheduler",
        f"--kubeconfig={_KUBECONFIG}",
        *_SERVING,
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--profiling=false",
    )
    kubeconfig = {_KUBECONFIG: pki / "scheduler.kubeconfig"}
    root = Root(shown=_program(programs, "kube"), copied=_keys(pki, *_SERVED_WITH) | kubeconfig)
    return Component("kube-scheduler", command, root=root)


def vpc_resolver(programs: Path, vpc: Vpc, observed: Path) -> Component:
    """The VPC's own resolver at base + 2: a CoreDNS that never leaves this computer.

    Args:
        programs: The directory of the engine's programs.
        vpc: The address plan.
        observed: The directory in which the zones of load balancers' names are; see `empty_zone`.
    """
    texts = {_COREFILE: vpc_resolver_corefile(vpc), _ZONE: vpc_resolver_zone(vpc)}
    # The directory, because the file in it is replaced.
    shown = _program(programs, "coredns") | {aws_settings.OBSERVED: observed}
    root = Root(shown=shown, texts=texts)
    return Component("vpc-resolver", ("/bin/coredns", "-conf", _COREFILE), root=root)


def vpc_resolver_corefile(vpc: Vpc) -> str:
    """Return the resolver's Corefile: instances, load balancers, and NXDOMAIN for all else.

    The addresses of a load balancer come in another order each time, as Route 53 has it.
    """
    domain = vpc.search_domain
    balancers = "".join(
        f"""{name}:53 {{
    bind {vpc.resolver}
    errors
    loadbalance
    file {aws_settings.OBSERVED}/{zone} {{
        reload {_RELOAD}
    }}
}}
"""
        for zone, name in balancer_zones(vpc).items()
    )
    return f"""{domain}:53 {{
    bind {vpc.resolver}
    errors
    file {_ZONE}
}}
{balancers}.:53 {{
    bind {vpc.resolver}
    errors
    template ANY ANY {{
        rcode NXDOMAIN
        authority "{{{{ .Zone }}}} 60 IN SOA ns.{domain}. host.{domain}. 1 60 60 60 60"
    }}
}}
"""


def vpc_resolver_zone(vpc: Vpc) -> str:
    """Return the zone of the instances' internal names, with EC2's TTL of 60 seconds."""
    domain = vpc.search_domain
    instances = "".join(f"{node.name}. 60 IN A {node.address.ip}\n" for node in vpc.nodes)
    return (
        f"{domain}. 60 IN SOA ns.{domain}. host.{domain}. 1 60 60 60 60\n"
        f"{domain}. 60 IN NS ns.{domain}.\n{instances}"
    )


def names_on_the_internet(vpc: Vpc) -> dict[str, str]:
    """Return the files by which a program on the internet finds addresses, by their names in /etc.

    The VPC resolver stands for every resolver of the internet: load balancers have public names.
    """
    return {"resolv.conf": f"nameserver {vpc.resolver}\n", "nsswitch.conf": "hosts: files dns\n"}


def balancer_zones(vpc: Vpc) -> dict[str, str]:
    """Return the files of the zones of load balancers' names, each with its domain."""
    return {BALANCERS_ZONE: vpc.balancers_domain, NETWORK_ZONE: vpc.network_balancers_domain}


def empty_zone(domain: str) -> str:
    """Return the zone of load balancers' names before there is one.

    Its serial number is none that the load balancers give: so theirs is taken for another one.
    """
    return f"{domain}. 60 IN SOA ns.{domain}. host.{domain}. 1 60 60 60 60\n"


def load_balancers(programs: Path, vpc: Vpc, desired: Path, observed: Path) -> Component:
    """The load balancers: a program that listens on their addresses and sends requests on.

    Args:
        programs: The directory of the engine's programs.
        vpc: The address plan.
        desired: The directory in which the AWS side writes what is wanted.
        observed: The directory in which the load balancers write what they see.
    """
    command = (
        "/bin/loadbalancer",
        f"--desired={aws_settings.LOAD_BALANCERS}/{FILE}",
        f"--observed={aws_settings.OBSERVED}",
    )
    root = Root(
        shown=_program(programs, "loadbalancer") | {aws_settings.LOAD_BALANCERS: desired},
        texts=_resolver(vpc),
        owned={aws_settings.OBSERVED: observed},
    )
    return Component("load-balancers", command, root=root)


def aws_side(programs: Path, paths: Paths, settings: Settings) -> Component:
    """The AWS side: a Python process that answers for every AWS service.

    Args:
        programs: The directory of the engine, which has the charts of its repository.
        paths: Where certificates and keys are, what it has to remember, what it has compiled, what
            it wants of load balancers, and what these have seen.
        settings: What it is told.
    """
    command = (sys.executable, "-m", "eksnet.sandbox.aws.server", _AWS_SETTINGS)
    charts = {f"{settings.charts}/{chart}": programs / chart for chart in _CHARTS}
    root = Root(
        shown=interpreter.shown() | charts | {aws_settings.OBSERVED: paths.observed},
        copied=_keys(
            paths.identity,
            "ca.crt",
            "eks.crt",
            "eks.key",
            "authenticator.crt",
            "authenticator.key",
            "aws.json",
            aws_settings.ISSUER_KEY,
            f"{PUBLIC_AUTHORITY}.crt",
            f"{PUBLIC_AUTHORITY}.key",
        ),
        texts={_AWS_SETTINGS: settings.to_json()},
        owned={
            aws_settings.DATA: paths.aws,
            aws_settings.LOAD_BALANCERS: paths.load_balancers,
            _BYTECODE: paths.bytecode,
        },
    )
    return Component("aws", command, root=root, environment=AWS_ENVIRONMENT)


def runtime(node: Node) -> Component:
    """A node's container runtime, behind the socket that the kubelet is told of."""
    command = (
        str(node_root.PROGRAMS / "runtime"),
        "serve",
        "--dir=/var/lib/runtime",
        f"--socket={RUNTIME_SOCKET}",
        f"--images={_IMAGES}",
        f"--pod-cidr={node.pods}",
        "--stream=127.0.0.1:10350",
    )
    return Component(f"runtime-{node.short}", command, node.short)


def node_labels(node: Node, region: str) -> dict[str, str]:
    """Return the labels that EKS gives a node of a managed node group.

    Args:
        node: The node.
        region: Its region.
    """
    return {
        "topology.kubernetes.io/region": region,
        "topology.kubernetes.io/zone": node.zone,
        "node.kubernetes.io/instance-type": INSTANCE_TYPE,
        "eks.amazonaws.com/nodegroup": NODE_GROUP,
        "eks.amazonaws.com/capacityType": "ON_DEMAND",
    }


def node_object(node: Node, region: str, since: str) -> dict[str, Any]:
    """Return the Node under which pods can be bound before the node's kubelet has ever run.

    The kubelet finds it registered, as after a restart, and replaces its status by what is.

    Args:
        node: The node.
        region: Its region.
        since: When it counts as Ready, as RFC 3339: the kubelet keeps the time of a condition
            that stays.
    """
    ready = {"type": "Ready", "status": "True", "reason": "Registered", "lastTransitionTime": since}
    labels = {"kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux"}
    room = {"cpu": "2", "memory": "8Gi", "pods": str(MAX_PODS)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": labels | node_labels(node, region)},
        "spec": {"providerID": node.provider_id},
        "status": {
            "capacity": room,
            "allocatable": room,
            "addresses": [{"type": "InternalIP", "address": str(node.address.ip)}],
            "conditions": [ready],
        },
    }


def kubelet(node: Node, region: str, *, one_id: bool) -> Component:
    """A node's kubelet.

    Args:
        node: The node.
        region: The region that the node's labels name.
        one_id: Whether the user namespace maps a single id, so that pods cannot choose theirs.
    """
    labels = node_labels(node, region)
    command = (
        str(node_root.PROGRAMS / "kube"),
        "kubelet",
        f"--config={_KUBELET_CONFIG}",
        f"--kubeconfig={_KUBELET_KUBECONFIG}",
        "--root-dir=/var/lib/kubelet",
        f"--hostname-override={node.name}",
        f"--node-ip={node.address.ip}",
        "--node-labels=" + ",".join(f"{key}={value}" for key, value in labels.items()),
        *(["--one-id"] if one_id else []),
    )
    return Component(f"kubelet-{node.short}", command, node.short)


def kubelet_configuration(node: Node, vpc: Vpc, sync_frequency: str) -> str:
    """Return the KubeletConfiguration: EKS's authentication, no cgroups, short waits.

    Args:
        node: The node.
        vpc: The address plan.
        sync_frequency: How long a changed ConfigMap may wait, such as `5s`.
    """
    pki = node_root.PKI
    configuration = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{pki}/kubelet.crt",
        "tlsPrivateKeyFile": f"{pki}/kubelet.key",
        "containerRuntimeEndpoint": f"unix://{RUNTIME_SOCKET}",
        "clusterDomain": "cluster.local",
        "clusterDNS": [str(vpc.cluster_dns)],
        "resolvConf": "/etc/resolv.conf",
        "providerID": node.provider_id,
        "maxPods": MAX_PODS,
        "syncFrequency": sync_frequency,
        # Its first word may be that it is not ready yet; the next one would come 10 s later,
        # because the node in the store is Ready from before.
        "nodeStatusUpdateFrequency": "1s",
        # Unset it is the one above, and each node writes its unchanged status every second.
        "nodeStatusReportFrequency": "5m",
        "serializeImagePulls": False,
        "containerLogMaxSize": "5Mi",
        # No cgroups in a rootless namespace: nothing to enforce limits with, nothing to evict by.
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "cgroupDriver": "cgroupfs",
        # So it does not matter either that this computer's cgroups may be of version 1.
        "failCgroupV1": False,
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "volumePluginDir": _NO_FLEX_VOLUMES,
        "featureGates": {
            "KubeletInUserNamespace": True,
            # Its certificate is made once, for ten years.
            "ReloadKubeletServerCertificateFile": False,
        },
    }
    return json.dumps(configuration, indent=1)


def node_files(
    node: Node, vpc: Vpc, *, kubeconfig: str, configuration: str, images: str
) -> dict[str, str]:
    """Return the texts of the files that a node's root has of its own, by their paths there.

    Args:
        node: The node.
        vpc: The address plan.
        kubeconfig: The kubelet's credentials.
        configuration: The kubelet's configuration.
        images: The runtime's table of images, as JSON.
    """
    return {
        "/etc/hostname": f"{node.name}\n",
        "/etc/hosts": f"127.0.0.1 localhost\n{node.address.ip} {node.name}\n",
        "/etc/resolv.conf": f"search {vpc.search_domain}\nnameserver {vpc.resolver}\n",
        "/etc/nsswitch.conf": "hosts: files dns\n",
        "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
        "/etc/group": "root:x:0:\nnogroup:x:65534:\n",
        _KUBELET_CONFIG: configuration,
        _KUBELET_KUBECONFIG: kubeconfig,
        _IMAGES: images,
    }
