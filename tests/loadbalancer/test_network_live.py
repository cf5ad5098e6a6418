"""Services of type LoadBalancer: the controller makes Network Load Balancers, which answer."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

import eksnet
from eksnet import loadbalancer
from eksnet.cluster.countdown import until
from eksnet.sandbox import lifecycle

pytestmark = pytest.mark.sandbox
READ = "timeout 1 cat <&3; echo"
SPACE = "streams"
OUTSIDE = "198.51.100.10"
PREFIX = "service.beta.kubernetes.io/aws-load-balancer"
# Soon healthy, soon drained.
SOON = {
    "healthcheck-interval": "5", "healthcheck-timeout": "2", "healthcheck-healthy-threshold": "2",
    "healthcheck-unhealthy-threshold": "2",
    "target-group-attributes": "deregistration_delay.timeout_seconds=5",
}  # fmt: skip
APPLICATION = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: {SPACE}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: echo, namespace: {SPACE}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: echo}}}}
  template:
    metadata: {{labels: {{app: echo}}}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
      - {{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule,
         labelSelector: {{matchLabels: {{app: echo}}}}}}
      containers:
      - name: main
        image: registry.k8s.io/e2e-test-images/agnhost:2.53
        args: [netexec, --http-port=8080, --udp-port=8081]
        readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1}}
"""


def service(name, ports=((80, 8080, "TCP"),), policy="Cluster", scheme="internet-facing", **more):
    settings = {**SOON, "scheme": scheme, **{k.replace("_", "-"): v for k, v in more.items()}}
    return json.dumps({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": name, "namespace": SPACE,
            "annotations": {f"{PREFIX}-{key}": value for key, value in settings.items()},
        },
        "spec": {
            "type": "LoadBalancer", "selector": {"app": "echo"}, "externalTrafficPolicy": policy,
            "ports": [
                {"name": f"p{port}-{protocol.lower()}", "port": port, "targetPort": target,
                 "protocol": protocol}
                for port, target, protocol in ports
            ],
        },
    })  # fmt: skip


@pytest.fixture(scope="module")
def cluster(live_sandbox):
    lifecycle.up()
    found = eksnet.connect("sandbox")
    loadbalancer.install_controller(found)
    found.apply(APPLICATION)
    found.rollout_status("deployment/echo", SPACE)
    yield found
    loadbalancer.uninstall_controller(found)
    found.delete(f"namespace/{SPACE}")


def applied(cluster, manifest, count=2):
    """Apply a Service; return its load balancer's name once its targets are healthy."""
    name = json.loads(manifest)["metadata"]["name"]
    cluster.apply(manifest)
    cluster.wait(f"service/{name}", condition=loadbalancer.provisioned, namespace=SPACE)
    loadbalancer.wait_for_targets(cluster, f"service/{name}", SPACE, count=count)
    return loadbalancer.hostname(cluster.get("service", name, SPACE))


def curl(url):
    done = subprocess.run(
        [sys.executable, "-m", "eksnet.cli", "curl", "-sS", "--max-time", "20", url],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_service_with_addresses_as_targets(cluster):
    host = applied(cluster, service("addresses", nlb_target_type="ip"))
    # The webhook has set the class: nobody else takes the Service.
    found = cluster.get("service", "addresses", SPACE)
    assert found["spec"]["loadBalancerClass"] == "service.k8s.aws/nlb"
    assert re.fullmatch(r"k8s-[\w-]+\.elb\.ap-northeast-2\.amazonaws\.com", host)
    pods = {one.name for one in cluster.list("pods", SPACE, selector="app=echo")}
    assert {curl(f"http://{host}/hostname") for _ in range(20)} == pods
    own = {
        one["PrivateIpAddress"]
        for one in cluster.aws("ec2").describe_network_interfaces()["NetworkInterfaces"]
        if one["Description"].startswith("ELB net/")
    }
    # Targets that are addresses see the load balancer.
    assert curl(f"http://{host}/clientip").split(":")[0] in own
    assert loadbalancer.request(cluster, f"http://{host}/hostname").status == 200
    run = cluster.run("busybox:1.36", f"wget -qO- http://{host}/hostname")
    assert run.output.strip() in pods
    cluster.delete("service/addresses", namespace=SPACE)


def test_a_service_with_instances_as_targets(cluster):
    host = applied(cluster, service("instances", nlb_target_type="instance"))
    nodes = {one.name for one in cluster.list("nodes")}
    assert {one.name for one in loadbalancer.targets(cluster, "service/instances", SPACE)} == nodes
    pods = {one.name for one in cluster.list("pods", SPACE, selector="app=echo")}
    assert {curl(f"http://{host}/hostname") for _ in range(20)} == pods
    run = cluster.run("busybox:1.36", f"wget -qO- http://{host}/hostname")
    assert run.output.strip() in pods
    cluster.delete("service/instances", namespace=SPACE)


def test_a_local_policy_keeps_the_client_and_leaves_nodes_without_a_pod_unhealthy(cluster):
    host = applied(cluster, service("local", policy="Local", nlb_target_type="instance"))
    found = cluster.get("service", "local", SPACE)["spec"]
    arn = loadbalancer.load_balancer(cluster, "service/local", SPACE)["LoadBalancerArn"]
    (group,) = cluster.aws("elbv2").describe_target_groups(LoadBalancerArn=arn)["TargetGroups"]
    assert group["HealthCheckPort"] == str(found["healthCheckNodePort"])
    # Nobody on the way replaces the client's address.
    assert curl(f"http://{host}/clientip").split(":")[0] == OUTSIDE
    cluster.patch("deployment", "echo", {"spec": {"replicas": 1}}, SPACE)

    def states():
        return sorted(one.state for one in loadbalancer.targets(cluster, "service/local", SPACE))

    assert until("one node with a pod", lambda: states() == ["healthy", "unhealthy"], 60), states()
    assert curl(f"http://{host}/clientip").split(":")[0] == OUTSIDE
    cluster.patch("deployment", "echo", {"spec": {"replicas": 2}}, SPACE)
    cluster.rollout_status("deployment/echo", SPACE)
    cluster.delete("service/local", namespace=SPACE)


def test_datagrams_and_streams(cluster):
    ports = ((80, 8080, "TCP"), (81, 8081, "UDP"))
    manifest = service(
        "both", ports, nlb_target_type="ip", scheme="internal", healthcheck_port="8080"
    )
    host = applied(cluster, manifest, count=4)
    pods = {one.name for one in cluster.list("pods", SPACE, selector="app=echo")}
    # Each socket is a flow. UDP keeps the address of the client, so that the target on its own
    # node answers it directly, from an address that was not asked: that flow gets no answer.
    flows = f"for flow in $(seq 12); do exec 3<>/dev/udp/{host}/81; echo hostname >&3; {READ}; done"
    tcp = (
        f"exec 4<>/dev/tcp/{host}/80; printf 'GET /hostname HTTP/1.0\\r\\n\\r\\n' >&4; tail -n1 <&4"
    )
    udp = cluster.run("debian:12", ["bash", "-c", flows]).output.split()
    assert len(set(udp)) == 1, udp
    assert set(udp) < pods
    assert cluster.run("debian:12", ["bash", "-c", tcp]).output.strip() in pods
    cluster.delete("service/both", namespace=SPACE)


def test_nothing_is_left(cluster):
    assert set(loadbalancer.made_in_aws(cluster).values()) == {0}
