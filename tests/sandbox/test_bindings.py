"""Target group bindings on a live sandbox: a load balancer made by hand, and what goes wrong."""

from __future__ import annotations

import contextlib
import subprocess

import faults
import pytest

import eksnet
from eksnet import loadbalancer
from eksnet.aws.tags import COURSE
from eksnet.cluster import DeadlineError
from eksnet.errors import EksnetError, UnreachableError
from eksnet.loadbalancer import by_hand
from eksnet.sandbox import balancing, lifecycle
from eksnet.sandbox.holder import children

pytestmark = pytest.mark.sandbox
LESSON, SPACE = "09_lab_target_group_binding", "app-ns"
WEB, NODES = "targetgroupbinding/web", "targetgroupbinding/nodes"
CONTROLLER = "aws-load-balancer-controller"
CONNECTIONS = 100
# As the lesson marks what it makes.
TAGS = [{"Key": key, "Value": value} for key, value in COURSE.items()]
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
            GroupName=name, Description="clients", VpcId=vpc or self.vpc,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": TAGS}],
        )["GroupId"]  # fmt: skip
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
            "Subnets": subnets, "SecurityGroups": [self.front], "Tags": TAGS,
        }  # fmt: skip
        (made,) = self.elb.create_load_balancer(**settings | more)["LoadBalancers"]
        return made

    def target_group(self, name, kind):
        (made,) = self.elb.create_target_group(
            Name=name, TargetType=kind, Protocol="TCP", Port=80, VpcId=self.vpc, Tags=TAGS,
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

    def states(self, binding=WEB):
        return sorted(one.state for one in loadbalancer.targets(self.cluster, binding, SPACE))

    def answers(self):
        """Wait until the load balancer answers; return which pod did."""
        return loadbalancer.wait_until_answers(self.cluster, f"{self.url}/hostname").body

    def refuses(self):
        """Tell whether a new connection fails."""
        try:
            loadbalancer.request(self.cluster, self.url, timeout=2)
        except UnreachableError:
            return True
        return False

    def opened(self):
        """Tell whether a rule lets the load balancer's security group in somewhere."""
        wanted = [{"Name": "ip-permission.group-id", "Values": [self.front]}]
        return bool(self.ec2.describe_security_groups(Filters=wanted)["SecurityGroups"])

    def delete(self):
        """Delete all but the pods, in the order that works, and see that nothing is left."""
        for one in self.cluster.list("targetgroupbindings", SPACE):
            self.cluster.delete(f"targetgroupbinding/{one.name}", namespace=SPACE)
        assert not self.opened()
        by_hand.delete_by_hand(self.cluster)
        self.assert_nothing_left()

    def assert_nothing_left(self):
        """See that there is nothing in AWS, and nothing in the router."""
        assert by_hand.left_by_hand(self.cluster) == []
        assert self.elb.describe_load_balancers()["LoadBalancers"] == []
        assert self.elb.describe_target_groups()["TargetGroups"] == []
        assert not self.opened()
        faults.until("the router has nothing", lambda: not in_router())


def in_router():
    """Return the table of the load balancers in the router, and the connections through them."""
    enter = ["nsenter", "-t", str(children(faults.holder())[0]), "-U", "-n"]

    def said(*words):
        command = [*enter, "--preserve-credentials", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    tables = [one for one in said("nft", "list", "tables").splitlines() if balancing.TABLE in one]
    return [*tables, *said("conntrack", "-L", "--dst-nat").splitlines()]


@pytest.fixture(scope="module")
def made(live_sandbox):
    lifecycle.up()
    lab = Lab()
    loadbalancer.install_controller(lab.cluster)
    yield lab
    lab.cluster.delete(f"namespace/{SPACE}")
    loadbalancer.uninstall_controller(lab.cluster)


@pytest.fixture
def lab(made):
    made.make()
    yield made
    made.delete()


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


def test_a_wrong_target_type_is_taken_and_fails_later(lab):
    spare = lab.target_group("eksnet-nodes", "instance")
    lab.cluster.apply(lab.binding("nodes", arn=spare, more="  targetType: ip"))
    said = loadbalancer.wait_for_event(lab.cluster, NODES, SPACE, "RegisterTargets")
    assert "is not valid" in said
    assert lab.states(NODES) == []
    # The other binding does not suffer.
    assert lab.states() == ["healthy", "healthy"]


def test_a_service_without_the_port_loses_its_targets_and_rules(lab):
    lab.cluster.apply(lab.binding(port=8080))
    said = loadbalancer.wait_for_event(lab.cluster, WEB, SPACE, "unable to find port 8080")
    assert "backend not found" in said
    loadbalancer.wait_for_targets(lab.cluster, WEB, SPACE, count=0)
    faults.until("no rule", lambda: not lab.opened())
    faults.until("no new connection", lab.refuses)
    lab.cluster.apply(lab.binding())
    loadbalancer.wait_for_targets(lab.cluster, WEB, SPACE, count=2)
    assert lab.answers().startswith("web-")


def test_a_security_group_of_another_vpc(lab):
    other = lab.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    foreign = lab.security_group(other, "elsewhere")
    try:
        with pytest.raises(lab.elb.exceptions.ClientError) as error:
            lab.load_balancer(Name="other", SecurityGroups=[foreign])
        assert error.value.response["Error"]["Code"] == "InvalidConfigurationRequest"
        # In a binding it is an event. The rule and the targets that there are stay: the new rule
        # would come first.
        lab.cluster.apply(lab.binding(group=foreign))
        said = loadbalancer.wait_for_event(lab.cluster, WEB, SPACE, "InvalidGroup.NotFound")
        assert "two resources that belong to different networks" in said
        assert lab.opened()
        assert lab.states() == ["healthy", "healthy"]
        assert lab.answers().startswith("web-")
    finally:
        lab.cluster.apply(lab.binding())
        lab.ec2.delete_security_group(GroupId=foreign)
        lab.ec2.delete_vpc(VpcId=other)


def test_a_listener_that_is_deleted_by_hand(lab):
    found, opened = connections(lab)
    with opened:
        lab.elb.delete_listener(ListenerArn=lab.listener)
        assert lab.states() == ["unused", "unused"]
        # The router looks ten times a second what AWS wants.
        faults.until("no new connection", lab.refuses)
        # Connections that there are outlive their listener.
        assert all(says(one).startswith("web-") for one in found)
        lab.listen()
        loadbalancer.wait_for_targets(lab.cluster, WEB, SPACE, count=2)
        assert lab.answers().startswith("web-")
        assert all(says(one).startswith("web-") for one in found)
        lab.elb.delete_load_balancer(LoadBalancerArn=lab.balancer["LoadBalancerArn"])
        faults.until("the router has nothing", lambda: not in_router())
        said = ended(found)
        assert not any(one.startswith("web-") for one in said), said


def test_a_load_balancer_that_is_deleted_by_hand_under_a_binding(lab):
    lab.elb.delete_load_balancer(LoadBalancerArn=lab.balancer["LoadBalancerArn"])
    assert lab.states() == ["unused", "unused"]
    faults.until("no new connection", lab.refuses)
    # The binding is none the wiser: it follows its pods,
    lab.cluster.delete("pod/web-1", namespace=SPACE)
    loadbalancer.wait_for_targets(lab.cluster, WEB, SPACE, count=1, state="unused")
    # and goes with its targets and its rule.
    lab.cluster.delete(WEB, namespace=SPACE)
    assert not lab.opened()
    health = lab.elb.describe_target_health(TargetGroupArn=lab.group)
    assert health["TargetHealthDescriptions"] == []


def test_without_the_controller_a_binding_is_stuck_until_it_is_back(lab):
    spare = lab.target_group("eksnet-nodes", "ip")
    lab.cluster.apply(lab.binding("nodes", arn=spare))
    loadbalancer.wait_for_targets(lab.cluster, NODES, SPACE, count=2, state="unused")
    with without_controller(lab):
        lab.cluster.delete("pod/web-1", namespace=SPACE)
        # Nobody takes it out: the health checks find it.
        faults.until("the health checks", lambda: lab.states() == ["healthy", "unhealthy"])
        assert lab.answers() == "web-0"
        # A deletion waits for the controller, with targets and rules as they are.
        with pytest.raises(DeadlineError):
            lab.cluster.delete(NODES, namespace=SPACE, timeout=5)
        left = lab.cluster.get(NODES, namespace=SPACE)["metadata"]
        assert "elbv2.k8s.aws/resources" in left["finalizers"]
        assert left["deletionTimestamp"]
        assert lab.states(NODES) == ["unused", "unused"]
        assert lab.opened()
        # Nothing can be changed by hand either, the finalizer included.
        said = refused(lab.cluster, lab.binding("other", arn=lab.group.replace("web", "none")))
        assert "failed calling webhook" in said
        with pytest.raises(EksnetError) as error:
            lab.cluster.patch(
                "targetgroupbinding", "nodes", {"metadata": {"finalizers": None}}, SPACE
            )
        assert "failed calling webhook" in error.value.seen
    # Once it is back, it deregisters what is gone, and ends the deletion.
    lab.cluster.wait(NODES, condition="Deleted", namespace=SPACE)
    loadbalancer.wait_for_targets(lab.cluster, WEB, SPACE, count=1)
    health = lab.elb.describe_target_health(TargetGroupArn=spare)
    assert health["TargetHealthDescriptions"] == []


@contextlib.contextmanager
def without_controller(lab):
    """A cluster whose controller is scaled to nothing, and then to what it was."""

    def scale(replicas):
        lab.cluster.patch("deployment", CONTROLLER, {"spec": {"replicas": replicas}}, "kube-system")

    scale(0)
    try:
        loadbalancer.wait_until_unanswered(lab.cluster)
        yield
    finally:
        scale(2)
        lab.cluster.rollout_status(f"deployment/{CONTROLLER}", "kube-system")


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


def ended(found):
    """Return what is said on connections on which nobody is there to answer."""
    for one in found:
        one.settimeout(0.1)
    return [says(one) for one in found]


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


def test_connections_end_with_the_router_and_all_is_there_after_it(lab):
    found, opened = connections(lab)
    with opened:
        # The router is the sandbox's first process: nothing in there outlives it.
        faults.kill(children(faults.holder())[0])
        said = ended(found)
        assert not any(one.startswith("web-") for one in said), said
    lifecycle.up()
    lab.connect()
    loadbalancer.wait_for_targets(lab.cluster, WEB, SPACE, count=2)
    assert lab.answers().startswith("web-")


def test_a_lesson_begins_without_what_its_interrupted_run_has_left(lab):
    eksnet.begin(lab.cluster, LESSON)
    lab.make()
    spare = lab.target_group("eksnet-nodes", "instance")
    lab.cluster.patch("service", "web", {"spec": {"type": "NodePort"}}, SPACE)
    lab.cluster.apply(lab.binding("nodes", arn=spare))
    loadbalancer.wait_for_targets(lab.cluster, NODES, SPACE, count=2, state="unused")
    left = {one.what: one for one in eksnet.begin(lab.cluster, LESSON).left}
    assert set(left) == {f"the namespace {SPACE}", "what was made in AWS by hand"}
    hand = left["what was made in AWS by hand"]
    assert (hand.by, hand.done) == (LESSON, "deleted")
    assert {
        "load balancer eksnet-nlb", "target group eksnet-web", "target group eksnet-nodes",
        "security group eksnet-nlb",
    } <= {*hand.seen.split(", ")}  # fmt: skip
    lab.assert_nothing_left()
    assert SPACE not in {one.name for one in lab.cluster.list("namespaces")}
    assert eksnet.begin(lab.cluster, LESSON).left == ()
