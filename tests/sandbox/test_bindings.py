"""Target group bindings on a live sandbox: a load balancer made by hand, and what goes wrong."""

from __future__ import annotations

import contextlib

import faults
import pytest

import eksnet
from eksnet import loadbalancer
from eksnet.errors import EksnetError
from eksnet.loadbalancer import by_hand
from eksnet.sandbox import lifecycle

pytestmark = pytest.mark.sandbox
SPACE = "bound"
WEB = "targetgroupbinding/web"
CONNECTIONS = 100
SERVER = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: {SPACE}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: {SPACE}}}
spec: {{selector: {{app: web}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
"""


def pod(name, node):
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {SPACE}, labels: {{app: web}}}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: registry.k8s.io/e2e-test-images/agnhost:2.53
    args: [netexec, --http-port=8080]
    readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1}}
"""


class Lab:
    """A load balancer that is made by hand, and the binding of its target group."""

    def __init__(self):
        self.connect()
        (self.vpc,) = [
            one["VpcId"] for one in self.ec2.describe_vpcs()["Vpcs"]
            if one["CidrBlock"] == "10.0.0.0/16"
        ]  # fmt: skip
        nodes = self.cluster.list("nodes")
        self.pods = [pod(f"web-{number}", one.name) for number, one in enumerate(nodes)]

    def connect(self):
        """Connect to the cluster, and to its account."""
        self.cluster = eksnet.connect("sandbox")
        self.elb, self.ec2 = self.cluster.aws("elbv2"), self.cluster.aws("ec2")

    def make(self):
        """Make all of it, as far as it is missing, and wait until it answers."""
        self.cluster.apply(SERVER)
        for one in self.pods:
            self.cluster.apply(one)
        for number in range(len(self.pods)):
            self.cluster.wait(f"pod/web-{number}", namespace=SPACE)
        self.front = self.security_group()
        self.balancer = self.load_balancer()
        self.group = self.target_group("eksnet-web", "ip")
        self.listener = self.listen()
        self.cluster.apply(self.binding())
        loadbalancer.wait_for_targets(self.cluster, WEB, SPACE, count=len(self.pods))
        self.url = f"http://{self.balancer['DNSName']}"
        loadbalancer.wait_until_answers(self.cluster, f"{self.url}/hostname")

    def security_group(self, vpc=None, name=by_hand.BALANCER):
        wanted = {"Filters": [{"Name": "group-name", "Values": [name]}]}
        if found := self.ec2.describe_security_groups(**wanted)["SecurityGroups"]:
            return found[0]["GroupId"]
        made = self.ec2.create_security_group(
            GroupName=name, Description="clients", VpcId=vpc or self.vpc
        )["GroupId"]
        everyone = [{"CidrIp": "0.0.0.0/0"}]
        rule = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": everyone}
        self.ec2.authorize_security_group_ingress(GroupId=made, IpPermissions=[rule])
        return made

    def load_balancer(self, **more):
        subnets = [
            one["SubnetId"] for one in self.ec2.describe_subnets()["Subnets"]
            if one["MapPublicIpOnLaunch"] and one["VpcId"] == self.vpc
        ]  # fmt: skip
        settings = {
            "Name": by_hand.BALANCER, "Type": "network", "Scheme": "internet-facing",
            "Subnets": subnets, "SecurityGroups": [self.front],
        }  # fmt: skip
        (made,) = self.elb.create_load_balancer(**settings | more)["LoadBalancers"]
        return made

    def target_group(self, name, kind):
        (made,) = self.elb.create_target_group(
            Name=name, TargetType=kind, Protocol="TCP", Port=80, VpcId=self.vpc,
            HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2,
            HealthyThresholdCount=2, UnhealthyThresholdCount=2,
        )["TargetGroups"]  # fmt: skip
        delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "2"}
        self.elb.modify_target_group_attributes(
            TargetGroupArn=made["TargetGroupArn"], Attributes=[delay]
        )
        return made["TargetGroupArn"]

    def listen(self):
        (made,) = self.elb.create_listener(
            LoadBalancerArn=self.balancer["LoadBalancerArn"], Protocol="TCP", Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.group}],
        )["Listeners"]  # fmt: skip
        return made["ListenerArn"]

    def binding(self, name="web", arn=None, port=80, group=None, more=""):
        return f"""
apiVersion: elbv2.k8s.aws/v1beta1
kind: TargetGroupBinding
metadata: {{name: {name}, namespace: {SPACE}}}
spec:
  targetGroupARN: {arn or self.group}
  serviceRef: {{name: web, port: {port}}}
  networking:
    ingress:
    - from: [{{securityGroup: {{groupID: {group or self.front}}}}}]
      ports: [{{protocol: TCP, port: 8080}}]
{more}"""

    def states(self):
        return [one.state for one in loadbalancer.targets(self.cluster, WEB, SPACE)]

    def delete(self):
        """Delete all of it, in the order that works, and see that nothing is left."""
        self.cluster.delete(f"namespace/{SPACE}")
        by_hand.delete_by_hand(self.cluster)
        assert by_hand.left_by_hand(self.cluster) == []
        assert self.elb.describe_load_balancers()["LoadBalancers"] == []
        assert self.elb.describe_target_groups()["TargetGroups"] == []


@pytest.fixture(scope="module")
def made(live_sandbox):
    lifecycle.up()
    lab = Lab()
    loadbalancer.install_controller(lab.cluster)
    yield lab
    lab.delete()
    loadbalancer.uninstall_controller(lab.cluster)


@pytest.fixture
def lab(made):
    made.make()
    return made


def refused(cluster, manifest):
    with pytest.raises(EksnetError) as error:
        cluster.apply(manifest)
    return error.value.seen


def test_what_the_webhooks_refuse_changes_nothing(lab):
    spare = lab.target_group("eksnet-nodes", "instance")
    none = spare.replace("eksnet-nodes", "eksnet-none")
    said = refused(lab.cluster, lab.binding("second"))
    assert f"is already bound to following TargetGroupBindings [{SPACE}/web]" in said
    assert "TargetGroupNotFound" in refused(lab.cluster, lab.binding("unknown", arn=none))
    assert "ValidationError" in refused(lab.cluster, lab.binding("bad", arn="arn:none"))
    said = refused(
        lab.cluster, lab.binding("elsewhere", arn=spare, more="  vpcID: vpc-0123456789abcdef0")
    )
    assert "invalid VpcID vpc-0123456789abcdef0 doesnt match VpcID" in said
    said = refused(lab.cluster, lab.binding(more="  targetType: instance"))
    assert "update may not change these immutable fields: spec.targetType" in said
    assert {one.name for one in lab.cluster.list("targetgroupbindings", SPACE)} == {"web"}
    assert lab.states() == ["healthy", "healthy"]


def connections(lab):
    """Open many connections through the load balancer, and leave them open."""
    with contextlib.ExitStack() as opened:
        host = lab.balancer["DNSName"]
        found = [opened.enter_context(lab.cluster.dial(host, 80, 30)) for _ in range(CONNECTIONS)]
        for one in found:
            one.settimeout(30)
            assert says(one).startswith("web-")
        return found, opened.pop_all()


def says(connection):
    """Ask for the pod's name; return it, or the error."""
    try:
        connection.sendall(b"GET /hostname HTTP/1.1\r\nHost: x\r\n\r\n")
        return connection.recv(4096).decode().rpartition("\r\n")[2] or "closed"
    except OSError as error:
        return type(error).__name__


def test_connections_outlive_the_program_of_the_load_balancers(lab):
    found, opened = connections(lab)
    with opened:
        before = faults.restarts("load-balancers")
        faults.kill(faults.component_pid("loadbalancer"))
        said = [says(one) for one in found]
        assert all(one.startswith("web-") for one in said), said
        faults.until("it runs", lambda: faults.restarts("load-balancers") == before + 1)
        loadbalancer.wait_for_targets(lab.cluster, WEB, SPACE, count=2)
        assert all(says(one).startswith("web-") for one in found)
    assert loadbalancer.request(lab.cluster, f"{lab.url}/hostname").status == 200
