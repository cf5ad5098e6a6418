"""A running sandbox: what is in it, what cannot leave it, and what stays when it ends."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import faults
import pytest
from hostside import (
    arguments,
    inotify_instances,
    listening,
    members,
    mounts_and_links,
    namespace_of,
    programs,
)

import eksnet
from eksnet import coredns, kubeproxy, versions
from eksnet.kubeproxy.observe import kube_proxies
from eksnet.sandbox import components, holder, launching, lifecycle, paths

pytestmark = pytest.mark.sandbox

BUSYBOX = "busybox:1.36"
ZONES = ["ap-northeast-2a", "ap-northeast-2c"]


def on(node):
    return {"nodeName": node["metadata"]["name"]}


@pytest.fixture(scope="module")
def nodes(cluster):
    return list(cluster.list("nodes"))


def test_two_nodes_in_two_zones(nodes):
    labels = [node["metadata"]["labels"] for node in nodes]
    assert [label["topology.kubernetes.io/zone"] for label in labels] == ZONES
    kubelets = [node["status"]["nodeInfo"]["kubeletVersion"] for node in nodes]
    assert kubelets == [versions.KUBERNETES] * 2
    assert nodes[0]["spec"]["providerID"].startswith("aws:///ap-northeast-2a/i-")


def test_coredns_as_on_eks(fresh_sandbox):
    # After a rollout its two pods may meet on one node: they only prefer not to.
    cluster = eksnet.connect()
    pods = cluster.list("pods", "kube-system", selector="k8s-app=kube-dns")
    assert len({pod["spec"]["nodeName"] for pod in pods}) == 2
    corefile = cluster.get("configmap/coredns", namespace="kube-system")["data"]["Corefile"]
    assert coredns.plugins(corefile) == (
        "errors", "health", "ready", "kubernetes", "prometheus", "forward", "cache", "loop",
        "reload", "loadbalance",
    )  # fmt: skip
    assert cluster.get("pdb/coredns", namespace="kube-system")["spec"]["maxUnavailable"] == 1
    service = cluster.get("service/kube-dns", namespace="kube-system")
    assert service["spec"]["clusterIP"] == "10.100.0.10"


def test_dns_answers_on_each_node(cluster, nodes):
    for node in nodes:
        run = cluster.run(BUSYBOX, "nslookup kubernetes.default.svc.cluster.local", spec=on(node))
        assert "Address:\t10.100.0.10:53" in run.output
        assert "Address: 10.100.0.1" in run.output


def test_the_pods_resolv_conf(cluster):
    assert cluster.run(BUSYBOX, "cat /etc/resolv.conf").output == (
        "search default.svc.cluster.local svc.cluster.local cluster.local"
        " ap-northeast-2.compute.internal\n"
        "nameserver 10.100.0.10\n"
        "options ndots:5\n"
    )


def test_the_vpc_resolver_knows_instances_only(cluster, nodes):
    name = nodes[1]["metadata"]["name"]
    answers = coredns.ask(cluster, f"{name}.", "example.com.")
    assert [(a.rcode, a.rdata) for a in answers] == [
        ("NOERROR", ("10.0.144.10",)),
        ("NXDOMAIN", ()),
    ]


def test_a_service_reaches_the_other_node(cluster, nodes):
    manifest = f"""
apiVersion: v1
kind: Pod
metadata: {{name: web, labels: {{app: web}}}}
spec:
  nodeName: {nodes[0]["metadata"]["name"]}
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: registry.k8s.io/e2e-test-images/agnhost:2.53
    args: [netexec, --http-port=8080]
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""
    cluster.apply(manifest)
    try:
        cluster.wait("service/web", condition="EndpointsReady")
        # A packet that is sent before its node has the rules is lost, and so are those sent again.
        kubeproxy.wait_for_rules(cluster, kubeproxy.Node.from_object(nodes[1]))
        run = cluster.run(BUSYBOX, "wget -qO- http://web/hostname", spec=on(nodes[1]))
        assert (run.exit_code, run.output.strip()) == (0, "web")
    finally:
        cluster.delete_manifest(manifest)


def test_an_unknown_image_says_which_are_known(cluster):
    with pytest.raises(eksnet.EksnetError) as caught:
        cluster.run("example.com/nothing:1", "true", timeout=30)
    known = json.loads(Path(lifecycle.__file__).with_name("images.json").read_text())
    names = ", ".join(sorted(image["match"] for image in known))
    assert "ErrImagePull" in str(caught.value)
    assert f"it knows {names}" in str(caught.value)


def test_the_load_balancer_controller_is_the_real_program(cluster):
    # The image that its Helm chart names; without a cluster's name it ends with its own words.
    image = f"public.ecr.aws/eks/aws-load-balancer-controller:{versions.CONTROLLER}"
    run = cluster.run(image, "/controller")
    version, error = map(json.loads, run.output.splitlines())
    assert (run.exit_code, version["GitVersion"]) == (1, versions.CONTROLLER)
    assert error["error"] == "kubernetes cluster name must be specified"


def attempts(cluster, addresses, port, **spec):
    """Try to connect from a pod to each address; return what each attempt said."""
    script = "for address; do nc -w 30 $address $PORT 2>&1 || echo refused; done"
    words = ["env", f"PORT={port}", "sh", "-c", script, "sh", *addresses]
    return cluster.run(BUSYBOX, words, spec=spec, timeout=120).output.splitlines()


@pytest.mark.parametrize("on_the_nodes_network", [False, True])
def test_no_way_out(cluster, on_the_nodes_network):
    addresses = ["192.0.2.1", "8.8.8.8", "169.254.169.254"]
    said = attempts(cluster, addresses, 80, hostNetwork=on_the_nodes_network)
    # Told so by the router, not lost on the way to somewhere.
    assert said == [
        line
        for address in addresses
        for line in (f"nc: can't connect to remote host ({address}): No route to host", "refused")
    ]


DATAGRAMS = """
exec 2>&1
for address in 192.0.2.1 8.8.8.8; do traceroute -n -q 1 -w 30 -m 5 $address | tail -n 1; done
for address in 2001:4860:4860::8888 fd00::1; do
    traceroute6 -n -q 1 -w 30 -m 5 $address
    nc -w 30 $address 80
done
nc -w 30 ::ffff:8.8.8.8 80
"""


@pytest.mark.parametrize("on_the_nodes_network", [False, True])
def test_no_way_out_for_datagrams_and_ipv6(cluster, on_the_nodes_network):
    spec = {"hostNetwork": on_the_nodes_network}
    run = cluster.run(BUSYBOX, ["sh", "-c", DATAGRAMS], spec=spec, timeout=120)
    said = run.output.splitlines()
    # The router answers that there is no such host; of IPv6 nobody has more than a link.
    assert [line.split()[-1] for line in said[:2]] == ["!H", "!H"]
    unreachable = ": can't connect to remote host: Network is unreachable"
    assert said[2:] == [
        *(f"{program}{unreachable}" for program in ("traceroute6", "nc") * 2),
        "nc: can't connect to remote host: No route to host",
    ]


def test_no_way_to_the_computer_itself(cluster):
    with socket.create_server(("0.0.0.0", 0)) as server:
        server.settimeout(0)
        addresses = ["127.0.0.1", "10.0.0.1", "10.0.0.10", "10.0.128.1"]
        said = attempts(cluster, addresses, server.getsockname()[1])
        assert said.count("refused") == len(addresses)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("image", [BUSYBOX, "debian"])
def test_a_container_sees_its_own_root_and_processes(cluster, tmp_path, image):
    canary = tmp_path / "canary"
    canary.write_text("mine")
    looks = f"cat {canary} /proc/1/root{canary}; find /home /root; echo /proc/[0-9]*"
    # As one stream: the order of two in a log is open.
    script = f"exec 2>&1; {looks}"
    output = cluster.run(image, ["sh", "-c", script]).output
    assert "mine" not in output
    assert output.count("No such file or directory") == 3
    lines = output.splitlines()
    assert (lines.count("/root"), lines[-1]) == (1, "/proc/1")
    assert not [line for line in lines if line.startswith(("/root/", "/home/"))]


def test_a_host_path_is_the_nodes_and_not_the_learners(cluster, tmp_path):
    (tmp_path / "canary").write_text("mine")
    spec = {
        "volumes": [{"name": "node", "hostPath": {"path": "/"}}],
        "containers": [
            {
                "name": "main",
                "image": BUSYBOX,
                "command": ["sh", "-c", f"cat /node/etc/hostname; ls /node{tmp_path} 2>&1"],
                "volumeMounts": [{"name": "node", "mountPath": "/node"}],
            }
        ],
    }
    output = cluster.run(BUSYBOX, "true", spec=spec).output
    assert "ip-10-0-1" in output
    assert "No such file or directory" in output


def test_only_the_owner_can_read_the_credentials(live_sandbox):
    own = paths.paths()
    assert stat.S_IMODE(own.kubeconfig.stat().st_mode) == 0o600
    assert stat.S_IMODE(own.state.stat().st_mode) == 0o700


def test_nothing_listens_but_the_api_and_the_aws_services_on_the_loopback(live_sandbox):
    own = paths.paths()
    ports = [paths.known_port(own, name) for name in ("api", "aws")]
    assert lifecycle.status().api == f"https://127.0.0.1:{ports[0]}"
    held_by = [holder.recorded(own), *members(faults.inside())]
    assert listening(held_by) == sorted(f"0100007F:{port:04X}" for port in ports)


def test_a_container_hears_the_end_of_its_terminal(cluster):
    # The suite starts its sandbox as nohup does, with SIGHUP ignored.
    run = cluster.run(BUSYBOX, "grep SigIgn /proc/self/status")
    assert not int(run.output.split()[1], 16) >> (signal.SIGHUP - 1) & 1


def test_few_inotify_instances_are_taken(cluster):
    faults.assert_goes_on(cluster)
    # What `up` asks the kernel for beforehand is enough, and a user has 128 for all they run.
    taken = inotify_instances(programs(faults.inside()))
    assert 0 < taken <= components.INOTIFY_INSTANCES == 18


@pytest.mark.skipif(not launching.owns_ids(), reason="one id is mapped: pods cannot choose theirs")
def test_a_container_runs_as_the_user_and_groups_it_asks_for(cluster):
    looks = "id -u; id -g; touch /shared/x; stat -c '%u %g' /shared/x; id -G"
    spec = {
        "securityContext": {
            "runAsUser": 1000, "runAsGroup": 3000, "fsGroup": 2000, "supplementalGroups": [4000]
        },
        "volumes": [{"name": "shared", "emptyDir": {}}],
        "containers": [
            {
                "name": "main",
                "image": BUSYBOX,
                "command": ["sh", "-c", looks],
                "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
            }
        ],
    }  # fmt: skip
    user, group, made, groups = cluster.run(BUSYBOX, "true", spec=spec).output.splitlines()
    # The primary group too: a file that is closed to it stays closed.
    assert (user, group) == ("1000", "3000")
    # The kubelet gave the directory the pod's group, and the directory hands it on.
    assert made == "1000 2000"
    assert set(groups.split()) == {"2000", "3000", "4000"}


@pytest.mark.skipif(not launching.owns_ids(), reason="one id is mapped: pods cannot choose theirs")
def test_a_container_of_any_user_can_open_its_output(cluster):
    says = "echo out >/dev/stdout; echo err >/dev/stderr"
    main = {"name": "main", "image": BUSYBOX, "command": ["sh", "-c", says]}
    spec = {"securityContext": {"runAsUser": 1000}, "containers": [main]}
    assert sorted(cluster.run(BUSYBOX, "true", spec=spec).output.split()) == ["err", "out"]


@pytest.mark.parametrize("shared", ["shareProcessNamespace", "hostPID"])
def test_nothing_of_a_container_outlives_its_first_process(cluster, shared):
    child = f"sleep 4711{len(shared)}"
    containers = [
        {"name": "main", "image": BUSYBOX, "command": ["sh", "-c", f"{child} & sleep 1; exit 3"]},
        {"name": "other", "image": BUSYBOX, "command": ["sleep", "infinity"]},
    ]
    spec = {shared: True, "restartPolicy": "Never", "terminationGracePeriodSeconds": 0}
    metadata = {"name": "family"}
    pod = {"metadata": metadata, "spec": {**spec, "containers": containers}}
    cluster.apply(json.dumps({"apiVersion": "v1", "kind": "Pod", **pod}))
    ended = "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}=3"
    cluster.wait("pod/family", condition=ended)
    seen = cluster.exec("family", "ps", container="other").stdout
    assert "sleep infinity" in seen
    assert child not in seen
    cluster.delete("pod/family")
    left = [" ".join(faults.arguments(pid)) for pid in members(faults.inside())]
    assert not [line for line in left if child in line]


def test_a_working_directory_that_the_image_lacks_is_made(cluster):
    spec = {
        "containers": [
            {"name": "main", "image": BUSYBOX, "workingDir": "/srv/app", "command": ["pwd"]}
        ]
    }
    assert cluster.run(BUSYBOX, "true", spec=spec).output == "/srv/app\n"


def test_a_status_names_the_image_as_the_pod_does(cluster):
    cluster.apply("""
apiVersion: v1
kind: Pod
metadata: {name: named}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "busybox:1.36", command: [sleep, infinity]}]
""")
    cluster.wait("pod/named")
    assert cluster.get("pod/named")["status"]["containerStatuses"][0]["image"] == "busybox:1.36"
    cluster.delete("pod", "named")


# Two addresses of pods that no pod has, one on each node, and a Service with a port too many.
NOBODY = """
for address in 10.0.129.250:80 10.0.145.250:80 10.100.0.10:81; do
  timeout 2 nc ${address%:*} ${address#*:} </dev/null 2>/dev/null || echo $?
done
"""


def test_what_is_sent_to_nobody_in_the_vpc_is_lost(cluster):
    # 143: nothing came back, so the patience ended it.
    run = cluster.run(BUSYBOX, ["sh", "-c", NOBODY])
    assert run.output.split() == ["143"] * 3


def test_up_joins_what_is_up(live_sandbox):
    before = holder.recorded(paths.paths())
    assert lifecycle.up() == live_sandbox
    assert holder.recorded(paths.paths()) == before


@pytest.mark.parametrize("name", faults.COMPONENTS)
def test_what_dies_is_started_again(cluster, name):
    before = faults.all_restarts(name, cluster)
    running = len(faults.component_pids(name))
    faults.kill(faults.component_pid(name))

    def is_seen():
        try:
            # An earlier end may be told only now, so that more than one is added.
            return faults.all_restarts(name, cluster) > before
        except eksnet.EksnetError:
            # The API server is away for a moment, with its store or by itself.
            return False

    faults.until("it was started again", is_seen)
    faults.assert_goes_on(cluster)
    assert len(faults.component_pids(name)) == running
    assert faults.all_restarts(name, cluster) > before


def test_what_is_ending_is_not_joined(cluster):
    # The dead supervisor's last word is that all is well, and the holder waits to hear of its end.
    held_by, supervisor = faults.holder(), holder.children(faults.holder())[0]
    os.kill(held_by, signal.SIGSTOP)
    faults.kill(supervisor)
    assert lifecycle.status().phase == "ready"
    assert holder.is_ending(paths.paths())
    os.kill(held_by, signal.SIGCONT)
    lifecycle.up()
    assert "Address: 10.100.0.1" in eksnet.connect().run(BUSYBOX, faults.LOOKUP).output


def test_two_starts_at_once_are_one(cluster):
    lifecycle.down()
    command = [sys.executable, "-m", "eksnet.cli", "up"]
    starts = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [start.communicate(timeout=180) for start in starts]
    assert [start.returncode for start in starts] == [0, 0], said
    held_by = holder.recorded(paths.paths())
    supervisors = [
        pid
        for pid in members(namespace_of(held_by))
        if "eksnet.sandbox.supervisor" in arguments(pid)
    ]
    assert len([pid for pid in supervisors if pid != held_by]) == 1


# Where a PersistentVolume of the type hostPath usually lies.
NODE_DISK = ("/data", "/home", "/mnt", "/opt", "/srv", "/var")


def test_the_cluster_outlives_down_and_its_identity_a_reset(cluster, tmp_path, kubectl):
    kept = tmp_path / "kubeconfig"
    shutil.copy(paths.paths().kubeconfig, kept)
    cluster.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: kept}, data: {a: b}}")
    uid = cluster.get("configmap/kept")["metadata"]["uid"]
    (node, *_) = cluster.list("nodes")
    volumes = [
        {"name": path[1:], "hostPath": {"path": f"{path}/data", "type": "DirectoryOrCreate"}}
        for path in NODE_DISK
    ]
    mounts = [{"name": path[1:], "mountPath": f"{path}/node"} for path in NODE_DISK]

    def on_the_nodes_disk(script, through):
        main = {"name": "main", "image": BUSYBOX, "command": ["sh", "-c", script]}
        spec = {
            "nodeName": node.name,
            "volumes": volumes,
            "containers": [{**main, "volumeMounts": mounts}],
        }
        return through.run(BUSYBOX, "true", spec=spec).output.split()

    write = "for place in /*/node; do echo kept > $place/file; done"
    assert on_the_nodes_disk(write, cluster) == []
    lifecycle.down()
    lifecycle.up(sync_frequency="4s")
    again = eksnet.connect()
    assert again.get("configmap/kept")["metadata"]["uid"] == uid
    assert (
        "Address: 10.100.0.1"
        in again.run(BUSYBOX, "nslookup kubernetes.default.svc.cluster.local").output
    )
    assert on_the_nodes_disk("cat /*/node/file", again) == ["kept"] * len(NODE_DISK)
    authority = (paths.paths().identity / "ca.crt").read_bytes()
    lifecycle.reset()
    # The word of the kubelets, not what the store still says of the last start.
    assert lifecycle.status(ask=True).waiting_for == ""
    fresh = eksnet.connect()
    with pytest.raises(eksnet.EksnetError, match="not found"):
        fresh.get("configmap/kept")
    assert (paths.paths().identity / "ca.crt").read_bytes() == authority
    nodes = kubectl("get", "nodes", "--output=name", "--kubeconfig", str(kept)).split()
    assert len(nodes) == 2
    for node in nodes:
        configuration = kubectl("get", "--raw", f"/api/v1/nodes/{node[5:]}/proxy/configz")
        assert json.loads(configuration)["kubeletconfig"]["syncFrequency"] == "4s"


@pytest.mark.parametrize(
    "ending",
    [
        "down",
        "kill -9 of the supervisor",
        pytest.param("kill -9 of the holder", marks=pytest.mark.soak),
    ],
)
def test_nothing_stays_behind(live_sandbox, ending):
    lifecycle.up()
    before = mounts_and_links()
    held_by = holder.recorded(paths.paths())
    inside = faults.inside()
    assert len(members(inside)) > 10
    supervisor = holder.children(held_by)[0]
    # For as long as it is open, no other namespace gets its number.
    namespace = os.open(f"/proc/{supervisor}/ns/user", os.O_RDONLY)
    # Process 1 has ended when all the others of its namespace have.
    descriptor = os.pidfd_open(supervisor)
    if ending == "down":
        assert lifecycle.down()
    else:
        os.kill(held_by if "holder" in ending else supervisor, signal.SIGKILL)
        holder._collect(held_by)
    assert holder._ends(descriptor, 20)
    os.close(descriptor)
    assert holder.wait_until_gone(paths.paths())
    assert members(inside) == []
    os.close(namespace)
    assert mounts_and_links() == before
    assert lifecycle.status().phase == "down"
    lifecycle.up()
    assert lifecycle.status().phase == "ready"


def test_kube_proxy_in_nftables_mode(cluster):
    lifecycle.up()

    def change(old, new):
        cluster.edit_configmap(
            "kube-proxy-config", "config", lambda text: text.replace(old, new), "kube-system"
        )
        cluster.rollout_restart("daemonset/kube-proxy", "kube-system")
        cluster.rollout_status("daemonset/kube-proxy", "kube-system")

    def said(*words):
        return [
            cluster.exec(proxy.name, words, "kube-system").stdout for proxy in kube_proxies(cluster)
        ]

    def in_nftables():
        return all("table ip kube-proxy" in tables for tables in said("nft", "list", "tables"))

    def in_iptables(*chains):
        return [any(chain in rules for chain in chains) for rules in said("iptables-save")]

    def assert_all_is_nftables():
        faults.until("nftables' rules are there", in_nftables)
        left = ("KUBE-SVC-", "KUBE-SEP-", "KUBE-SERVICES")
        faults.until("those of iptables are gone", lambda: not any(in_iptables(*left)))
        assert "Address: 10.100.0.1" in cluster.run(BUSYBOX, faults.LOOKUP).output

    change("mode: iptables", "mode: nftables")
    try:
        assert_all_is_nftables()
        lifecycle.down()
        lifecycle.up()
        # A node's first rules are iptables' own, whatever its kube-proxy is told.
        assert_all_is_nftables()
    finally:
        change("mode: nftables", "mode: iptables")
    faults.until("iptables' rules are back", lambda: all(in_iptables("KUBE-SVC-")))
    assert "Address: 10.100.0.1" in cluster.run(BUSYBOX, faults.LOOKUP).output
