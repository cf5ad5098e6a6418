"""A Network Load Balancer beside a ClusterIP of the same pod: a ratio in one run.

The client is on the node that the pod is not on, and asks both in turn, each time on a connection
of its own; so both see the same computer. Then 200 targets are registered at once, and the time
until the last of them is healthy counts.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import eksnet
from eksnet.cluster import Cluster
from eksnet.cluster.countdown import until
from eksnet.sandbox.vpc import plan

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "sandbox"))
import faults
import own_sandbox

RATE, HEALTHY = "connections a second / ClusterIP", "seconds until 200 targets are healthy"
LEAST_RATE = 0.7
TARGETS, INTERVAL = 200, 5
MOST_SECONDS = 2 * INTERVAL + 5
DEADLINE = 120.0
ROUNDS, TURNS, SECONDS = 5, 8, 0.5
# Of the load balancer the two listeners, and of the node the first port of its 200 targets.
PORT, MANY, FIRST = 80, 81, 9000
SPACE = "bench"
VPC = plan()
SERVER, CLIENT = VPC.nodes
POD = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: {SPACE}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: {SPACE}}}
spec: {{selector: {{app: web}}, ports: [{{port: {PORT}, targetPort: 8080}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: web, namespace: {SPACE}, labels: {{app: web}}}}
spec:
  nodeName: {SERVER.name}
  containers:
  - name: main
    image: registry.k8s.io/e2e-test-images/agnhost:2.53
    args: [netexec, --http-port=8080]
    readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1}}
"""
HELPER = Path(__file__).with_name("connecting.py")


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with own_sandbox.started():
        cluster = eksnet.connect()
        balancer = Balancer(cluster)
        own = serve(cluster, balancer)
        # What is asked for the first time takes longer.
        measure(own, balancer.address)
        measured = [measure(own, balancer.address) for _ in range(rounds)]
        seconds = register_many(balancer)
    for one in measured:
        print(one)
    rate = statistics.median(one.balancer / one.own for one in measured)
    errors = sum(one.errors for one in measured)
    print(f"{RATE}: {rate:.2f} (at least {LEAST_RATE})")
    print(f"errors: {errors} (none)")
    print(f"{HEALTHY}: {seconds:.1f} (at most {MOST_SECONDS})")
    return int(rate < LEAST_RATE or errors > 0 or seconds > MOST_SECONDS)


@dataclass(frozen=True)
class Round:
    """What one round saw: connections a second, and how many of both failed."""

    own: float
    balancer: float
    errors: int

    def __str__(self) -> str:
        return f"ClusterIP {self.own:.0f}/s, load balancer {self.balancer:.0f}/s"


class Balancer:
    """A load balancer in the zone of the pod's node; it has no security group."""

    def __init__(self, cluster: Cluster) -> None:
        """Make it, and open the nodes to it."""
        self.elb, ec2 = cluster.aws("elbv2"), cluster.aws("ec2")
        found = cluster.aws("eks").describe_cluster(name=cluster.eks_name)["cluster"]
        network = found["resourcesVpcConfig"]
        self.vpc = network["vpcId"]
        rule = {
            "IpProtocol": "tcp", "FromPort": 1, "ToPort": 65535,
            "IpRanges": [{"CidrIp": str(VPC.network)}],
        }  # fmt: skip
        ec2.authorize_security_group_ingress(
            GroupId=network["clusterSecurityGroupId"], IpPermissions=[rule]
        )
        subnets = [
            one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]
            if one["AvailabilityZone"] == SERVER.zone
        ]  # fmt: skip
        (made,) = self.elb.create_load_balancer(
            Name="bench", Type="network", Scheme="internal", Subnets=subnets[:1]
        )["LoadBalancers"]
        self.arn = made["LoadBalancerArn"]
        (self.address,) = [
            one["PrivateIpAddress"]
            for one in ec2.describe_network_interfaces()["NetworkInterfaces"]
            if one["Description"].startswith("ELB net/bench/")
        ]

    def forward(self, port: int, targets: list[dict[str, Any]]) -> float:
        """Have a port lead to targets; return the seconds until all of them are healthy."""
        (group,) = self.elb.create_target_group(
            Name=f"bench-{port}", TargetType="ip", Protocol="TCP", Port=80, VpcId=self.vpc,
            HealthCheckIntervalSeconds=INTERVAL, HealthCheckTimeoutSeconds=2,
        )["TargetGroups"]  # fmt: skip
        arn = group["TargetGroupArn"]
        self.elb.create_listener(
            LoadBalancerArn=self.arn, Protocol="TCP", Port=port,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
        )  # fmt: skip
        began = time.monotonic()
        self.elb.register_targets(TargetGroupArn=arn, Targets=targets)

        def all_healthy() -> bool:
            return self.states(arn) == ["healthy"] * len(targets)

        assert until("healthy targets", all_healthy, DEADLINE, poll=0.2), self.states(arn)
        return time.monotonic() - began

    def states(self, arn: str) -> list[str]:
        found = self.elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return [one["TargetHealth"]["State"] for one in found]


def serve(cluster: Cluster, balancer: Balancer) -> str:
    """Start the pod behind both; return the Service's ClusterIP."""
    cluster.apply(POD)
    cluster.wait("pod/web", namespace=SPACE)
    address = cluster.get("pod", "web", SPACE)["status"]["podIP"]
    balancer.forward(PORT, [{"Id": address, "Port": 8080}])
    return str(cluster.get("service", "web", SPACE)["spec"]["clusterIP"])


def measure(own: str, balancer: str) -> Round:
    """Connect to both in turns, each turn in the other order."""
    seen: dict[str, list[dict[str, float]]] = {own: [], balancer: []}
    for turn in range(TURNS):
        for address in (own, balancer) if turn % 2 == 0 else (balancer, own):
            with on_node(CLIENT.short, "connect", address, str(PORT), str(SECONDS)) as client:
                seen[address].append(json.loads(client.communicate()[0]))
    rates = {at: statistics.mean(one["rate"] for one in turns) for at, turns in seen.items()}
    errors = sum(int(one["errors"]) for turns in seen.values() for one in turns)
    return Round(rates[own], rates[balancer], errors)


def register_many(balancer: Balancer) -> float:
    """Return the seconds until 200 ports of the pod's node are healthy targets."""
    address = str(SERVER.address.ip)
    ports = range(FIRST, FIRST + TARGETS)
    with on_node(SERVER.short, "listen", address, str(FIRST), str(TARGETS)) as server:
        try:
            assert server.stdout
            assert server.stdout.readline() == b"listening\n"
            return balancer.forward(MANY, [{"Id": address, "Port": port} for port in ports])
        finally:
            server.kill()


def on_node(short: str, *words: str) -> subprocess.Popen[bytes]:
    """Start the helper in a node's network."""
    enter = ["nsenter", "-t", str(faults.node_process(short)), "-U", "-n", "--preserve-credentials"]
    command = [*enter, sys.executable, str(HELPER), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


if __name__ == "__main__":
    raise SystemExit(main())
