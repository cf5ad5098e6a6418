"""Command lines and configuration: the parts that make the cluster EKS's and keep it shut in."""

import json
from pathlib import Path

import pytest

from eksnet.sandbox import components, network
from eksnet.sandbox.vpc import plan

VPC = plan()
NODE1, NODE2 = VPC.nodes
PROGRAMS, PKI = Path("/programs"), Path("/pki")


def flags(component):
    """Return a component's flags as a dictionary."""
    words = [word for word in component.command if word.startswith("--")]
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def test_etcd_is_for_the_control_plane_alone():
    etcd = components.etcd(PROGRAMS, Path("/data"))
    found = flags(etcd)
    assert etcd.root.owned == {found["--data-dir"]: Path("/data")}
    urls = {value for name, value in found.items() if name.endswith("-urls")}
    assert urls == {"http://127.0.0.1:2379", "http://127.0.0.1:2380"}
    # etcd refuses to start with less than five heartbeats before an election.
    assert int(found["--election-timeout"]) >= 5 * int(found["--heartbeat-interval"])


def test_the_api_server_authorises_and_admits_as_on_eks():
    found = flags(components.api_server(PROGRAMS, PKI, VPC))
    # What RBAC does not allow is asked of the access policies.
    assert found["--authorization-mode"] == "Node,RBAC,Webhook"
    assert found["--enable-admission-plugins"] == "NodeRestriction"
    assert found["--service-cluster-ip-range"] == "10.100.0.0/16"
    assert found["--advertise-address"] == "10.0.0.10"
    assert found["--kubelet-preferred-address-types"] == "InternalIP"
    authority = "/etc/kubernetes/pki/ca.crt"
    assert found["--client-ca-file"] == found["--kubelet-certificate-authority"] == authority
    assert found["--etcd-servers"] == components.ETCD
    # Load balancers have a port 443 of their own.
    assert found["--bind-address"] == "10.0.0.10"


def test_controller_manager_and_scheduler_are_alone():
    for component, name in (
        (components.controller_manager(PROGRAMS, PKI), "controller-manager"),
        (components.scheduler(PROGRAMS, PKI), "scheduler"),
    ):
        found = flags(component)
        assert component.root.copied[found["--kubeconfig"]] == PKI / f"{name}.kubeconfig"
        assert found["--leader-elect"] == "false"
        assert found["--bind-address"] == "127.0.0.1"
        assert component.root.copied[found["--tls-private-key-file"]] == PKI / "apiserver.key"
        assert component.node is None


CONTROL_PLANE = [
    components.etcd(PROGRAMS, Path("/data")),
    components.api_server(PROGRAMS, PKI, VPC),
    components.controller_manager(PROGRAMS, PKI),
    components.scheduler(PROGRAMS, PKI),
    components.vpc_resolver(PROGRAMS, VPC, Path("/observed")),
    components.load_balancers(PROGRAMS, VPC, Path("/desired"), Path("/observed")),
]


@pytest.mark.parametrize("component", CONTROL_PLANE, ids=lambda component: component.name)
def test_whatever_a_command_names_is_in_its_root(component):
    root = component.root
    program, *words = component.command
    assert root.shown[program] == PROGRAMS / Path(program).name
    paths = [path for word in words if (path := word.partition("=")[2] or word).startswith("/")]
    inside = {**root.copied, **root.texts, **root.owned, **root.shown}
    lacking = {path for path in paths if not {path, str(Path(path).parent)} & inside.keys()}
    # But for what nothing can be made of.
    assert lacking <= {"/proc/no-flex-volumes"}
    assert set(root.copied) <= {*paths, *root.texts}, "a key or file that it does not need"


@pytest.mark.parametrize("component", CONTROL_PLANE, ids=lambda component: component.name)
def test_the_control_plane_owns_its_data_alone(component):
    assert component.node is None
    owned = {"etcd": [Path("/data")], "load-balancers": [Path("/observed")]}
    assert list(component.root.owned.values()) == owned.get(component.name, [])


def test_the_api_server_asks_the_authenticator_with_a_certificate_of_its_own():
    component = components.api_server(PROGRAMS, PKI, VPC)
    found = flags(component)
    for kind, path in (("authentication-token", "authenticate"), ("authorization", "authorize")):
        assert found[f"--{kind}-webhook-version"] == "v1"
        told = json.loads(component.root.texts[found[f"--{kind}-webhook-config-file"]])
        (cluster,) = told["clusters"]
        assert cluster["cluster"]["server"] == f"https://127.0.0.1:21362/{path}"
        (user,) = told["users"]
        assert {cluster["cluster"]["certificate-authority"], *user["user"].values()} <= set(
            component.root.copied
        )


def test_nobody_signs_client_certificates_as_on_eks():
    found = flags(components.controller_manager(PROGRAMS, PKI))
    assert not [name for name in found if name.startswith("--cluster-signing")]


def test_flex_volumes_are_looked_for_where_nothing_can_be_made():
    manager = flags(components.controller_manager(PROGRAMS, PKI))
    kubelet = json.loads(components.kubelet_configuration(NODE1, VPC, "1m"))
    for place in (manager["--flex-volume-plugin-dir"], kubelet["volumePluginDir"]):
        with pytest.raises(FileNotFoundError):
            Path(place).mkdir(parents=True)


def test_each_node_has_a_kubelet_and_a_runtime_of_its_own():
    for node in VPC.nodes:
        kubelet = components.kubelet(node, VPC.region, one_id=False)
        runtime = components.runtime(node)
        assert (kubelet.node, runtime.node) == (node.short, node.short)
        assert flags(kubelet)["--hostname-override"] == node.name
        assert flags(kubelet)["--node-ip"] == str(node.address.ip)
        assert f"topology.kubernetes.io/zone={node.zone}" in flags(kubelet)["--node-labels"]
        assert flags(runtime)["--pod-cidr"] == str(node.pods)
    assert components.kubelet(NODE1, "r", one_id=False).name == "kubelet-node1"


@pytest.mark.parametrize("one_id", [True, False])
def test_the_kubelet_leaves_user_ids_alone_where_there_is_one(one_id):
    assert ("--one-id" in flags(components.kubelet(NODE1, "r", one_id=one_id))) is one_id


def test_the_kubelet_asks_the_api_server_who_may_do_what():
    found = json.loads(components.kubelet_configuration(NODE2, VPC, "1m"))
    assert found["authentication"]["anonymous"] == {"enabled": False}
    assert found["authorization"] == {"mode": "Webhook"}
    assert found["syncFrequency"] == "1m"
    # A watch that costs an inotify instance, of a file that never changes.
    assert found["featureGates"]["ReloadKubeletServerCertificateFile"] is False
    # On by default: no kubelet would start on a computer with the first version of cgroups.
    assert found["failCgroupV1"] is False
    assert found["clusterDNS"] == ["10.100.0.10"]
    assert found["providerID"] == f"aws:///ap-northeast-2c/{NODE2.instance_id}"


def test_a_node_asks_the_vpc_resolver():
    texts = {"kubeconfig": "k", "configuration": "{}", "images": "[]"}
    found = components.node_files(NODE1, VPC, **texts)
    assert found["/etc/resolv.conf"] == (
        "search ap-northeast-2.compute.internal\nnameserver 10.0.0.2\n"
    )
    assert found["/etc/hostname"] == f"{NODE1.name}\n"
    assert set(texts.values()) <= set(found.values())
    assert all(name.startswith("/etc/") for name in found)


def test_pods_can_be_bound_to_a_node_that_never_ran():
    since = "2026-01-01T10:00:00Z"
    found = components.node_object(NODE1, VPC.region, since)
    labels = found["metadata"]["labels"]
    assert labels["topology.kubernetes.io/zone"] == NODE1.zone
    assert labels.items() >= components.node_labels(NODE1, VPC.region).items()
    assert {c["type"]: c["status"] for c in found["status"]["conditions"]} == {"Ready": "True"}
    assert [c["lastTransitionTime"] for c in found["status"]["conditions"]] == [since]
    assert found["status"]["allocatable"]["pods"] == str(components.MAX_PODS)


def test_the_first_rules_are_kube_proxys_own():
    rules = network.kubernetes_service_rules(VPC)
    # The chain of default/kubernetes:https, the same on every cluster.
    assert ":KUBE-SVC-NPX46M4PTMTKRN6Y - [0:0]" in rules
    assert "-A KUBE-SERVICES -d 10.100.0.1/32 -p tcp" in rules
    assert "--to-destination 10.0.0.10:443" in rules


def test_the_router_has_no_way_out():
    defaults = [line for line in network.router_commands(VPC) if "default" in line]
    assert [line.split()[:4] for line in defaults] == [["route", "add", "unreachable", "default"]]


def test_packets_to_nobody_are_lost_in_the_vpc():
    routes = {*network.router_commands(VPC), *network.node_commands(NODE2)}
    for nobodys in ("10.0.0.0/16", "10.100.0.0/16", "10.0.145.0/24", "203.0.113.0/24"):
        assert f"route add blackhole {nobodys}" in routes


def test_a_node_is_linked_to_the_router():
    commands = network.link_commands(NODE2, 77, VPC)
    assert "link add node2 type veth peer name eth0 netns 77" in commands
    assert "addr add 10.0.144.1/20 dev node2 noprefixroute" in commands
    # The API server asks kubelets and webhooks from its own address.
    assert "route add 10.0.144.0/20 dev node2 src 10.0.0.10" in commands
    assert "route add 10.0.145.0/24 via 10.0.144.10 src 10.0.0.10" in commands
    assert "route add default via 10.0.144.1" in network.node_commands(NODE2)
