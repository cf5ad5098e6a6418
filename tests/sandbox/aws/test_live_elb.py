"""The real controller on the sandbox: how faults look, what dies, and that nothing stays."""

import json

import pytest

from eksnet import loadbalancer
from eksnet.errors import DeadlineError
from eksnet.loadbalancer import controller as installed
from eksnet.sandbox import lifecycle
from tests.loadbalancer import controlled
from tests.loadbalancer.controlled import NAMESPACE, ingress, text
from tests.sandbox import faults

pytestmark = pytest.mark.sandbox
MEMBERS = ("first", "second", "third")
PUBLIC = {"scheme": "internet-facing", "target-type": "ip"}
QUICK = {
    "healthcheck-interval-seconds": "5", "healthcheck-timeout-seconds": "2",
    "unhealthy-threshold-count": "2",
}  # fmt: skip
PROTECTION = "load-balancer-attributes"
FINALIZER = "ingress.k8s.aws/resources"


@pytest.fixture(scope="module")
def controller(cluster):
    """A fresh cluster with the controller and an application."""
    lifecycle.reset()
    with controlled.controller_on(cluster) as found:
        yield found


@pytest.fixture(scope="module")
def elb(controller):
    return controller.aws("elbv2")


def paths_of(elb, name):
    """Return the paths of a load balancer's rules in the order of their priorities."""
    (found,) = (
        one
        for one in elb.describe_load_balancers()["LoadBalancers"]
        if one["LoadBalancerName"].startswith(name)
    )
    (listener,) = elb.describe_listeners(LoadBalancerArn=found["LoadBalancerArn"])["Listeners"]
    rules = elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
    return [
        (rule["Priority"], match["PathPatternConfig"]["Values"][0])
        for rule in rules
        for match in rule["Conditions"]
    ]


def member(number, name):
    path = {
        "path": f"/{name}", "pathType": "Prefix",
        "backend": {"service": {"name": "web", "port": {"number": 80}}},
    }  # fmt: skip
    annotations = {"group.name": "shrinking", "group.order": str(number), "scheme": "internal"}
    return ingress(name, annotations, [{"http": {"paths": [path]}}])


def test_rules_move_up_when_a_member_of_a_group_is_deleted(controller, elb):
    controller.apply(text(*(member(number, name) for number, name in enumerate(MEMBERS))))
    for name in MEMBERS:
        controlled.wait_for_address(controller, "ingress", name)
    order = [(str(number), f"/{name}") for number, name in enumerate(MEMBERS, start=1)]
    assert paths_of(elb, "k8s-shrinking") == order
    # The others take the priorities that become free: all in one call.
    controller.delete("ingress", MEMBERS[0], NAMESPACE)
    assert paths_of(elb, "k8s-shrinking") == [("1", "/second"), ("2", "/third")]


@pytest.mark.parametrize("victim", ["aws", installed.NAME, "loadbalancer"])
def test_it_converges_when_something_is_killed_in_the_middle(victim, controller, elb):
    names = [f"{number}-{victim[:6]}" for number in range(3)]
    before = set(faults.component_pids(victim))
    controller.apply(text(*(ingress(name, PUBLIC) for name in names)))
    faults.until("it has begun", lambda: len(balancers_of(elb, names)) > 0)
    for pid in before:
        faults.kill(pid)
    faults.until(
        "all is back", lambda: len(set(faults.component_pids(victim)) - before) == len(before)
    )
    faults.assert_goes_on(controller)
    for name in names:
        controlled.wait_for_address(controller, "ingress", name)
        loadbalancer.wait_until_answers(controller, address(controller, name))
    found = balancers_of(elb, names)
    assert len(found) == len(names)
    for one in found:
        assert paths_of(elb, one) == [("1", "/*")]
    for name in names:
        controller.delete("ingress", name, NAMESPACE, wait=False)


def balancers_of(elb, names):
    """Return the names of the load balancers of Ingresses."""
    found = [one["LoadBalancerName"] for one in elb.describe_load_balancers()["LoadBalancers"]]
    return [one for one in found if any(f"-{name.replace('-', '')}-" in one for name in names)]


def address(cluster, name):
    return f"http://{loadbalancer.hostname(cluster.get('ingress', name, NAMESPACE))}/hostname"


@pytest.fixture
def own_group(controller):
    """A security group that lets everybody in, and that the nodes do not know."""
    ec2 = controller.aws("ec2")
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    made = ec2.create_security_group(GroupName="own", Description="own", VpcId=vpc["VpcId"])
    everyone = [{"CidrIp": "0.0.0.0/0"}]
    ec2.authorize_security_group_ingress(
        GroupId=made["GroupId"],
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": everyone}],
    )
    return made["GroupId"]


def test_clients_read_from_the_status_what_is_wrong(controller, own_group):
    ec2 = controller.aws("ec2")
    wrong = {
        # The Service is there, in kube-system: an Ingress names those of its own namespace.
        503: ingress("elsewhere", PUBLIC, service="kube-dns"),
        # Nothing lets this security group in at the nodes: the controller writes no rule for it.
        504: ingress("own-group", {**PUBLIC, **QUICK, "security-groups": own_group}),
    }
    controller.apply(text(*wrong.values()))
    for status, manifest in wrong.items():
        name = manifest["metadata"]["name"]
        controlled.wait_for_address(controller, "ingress", name)
        loadbalancer.wait_until_answers(controller, address(controller, name), status=status)
    (rule, *_) = loadbalancer.rules(controller, "elsewhere", NAMESPACE)
    assert rule.action == "answer 503"
    found = loadbalancer.targets(controller, "own-group", NAMESPACE)
    assert {one.reason for one in found} == {"Target.Timeout"}
    # What a load balancer uses stays.
    with pytest.raises(ec2.exceptions.ClientError, match="DependencyViolation"):
        ec2.delete_security_group(GroupId=own_group)
    controller.delete_manifest(text(*wrong.values()))
    ec2.delete_security_group(GroupId=own_group)


def test_a_role_without_a_permission_says_which(controller):
    iam = controller.aws("iam")
    action = "elasticloadbalancing:CreateLoadBalancer"
    denied = {"Effect": "Deny", "Action": action, "Resource": "*"}
    role = {"RoleName": installed.ROLE, "PolicyName": "without"}
    iam.put_role_policy(
        **role, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [denied]})
    )
    controller.apply(text(ingress("denied", PUBLIC)))
    _, said = controlled.event(controller, "Ingress", "denied", ("FailedDeployModel",))
    assert f"/{installed.ROLE}/" in said
    assert f"is not authorized to perform: {action} on resource: " in said
    assert "with an explicit deny in an identity-based policy" in said
    iam.delete_role_policy(**role)
    controlled.wait_for_address(controller, "ingress", "denied")
    controller.delete("ingress", "denied", NAMESPACE)


def test_what_is_protected_is_not_deleted(controller, elb):
    protected = ingress("kept", {**PUBLIC, PROTECTION: "deletion_protection.enabled=true"})
    controller.apply(text(protected))
    controlled.wait_for_address(controller, "ingress", "kept")
    with pytest.raises(DeadlineError, match=f"whoever set {FINALIZER} has not removed it"):
        controller.delete("ingress", "kept", NAMESPACE, timeout=2)
    # There is no Event: these go to the members of the group, and what is deleted is none.
    why = "deletion_protection is enabled, cannot delete the ingress: kept"
    faults.until("the controller says why", lambda: why in log_of_controller(controller))
    assert balancers_of(elb, ["kept"])
    off = {f"{controlled.PREFIX}{PROTECTION}": "deletion_protection.enabled=false"}
    controller.patch("ingress", "kept", {"metadata": {"annotations": off}}, NAMESPACE)
    controller.delete("ingress", "kept", NAMESPACE)
    assert not balancers_of(elb, ["kept"])


def log_of_controller(cluster):
    label = f"app.kubernetes.io/name={installed.NAME}"
    pods = cluster.list("pods", installed.NAMESPACE, selector=label)
    return "".join(cluster.logs(pod.name, installed.NAMESPACE) for pod in pods)


def test_without_the_controller_a_deletion_is_stuck_until_it_is_back(controller, elb):
    controller.apply(text(ingress("stuck", PUBLIC)))
    controlled.wait_for_address(controller, "ingress", "stuck")
    scale(controller, 0)
    with pytest.raises(DeadlineError, match=f"whoever set {FINALIZER} has not removed it"):
        controller.delete("ingress", "stuck", NAMESPACE, timeout=2)
    assert balancers_of(elb, ["stuck"])
    scale(controller, 2)
    installed.wait_until_ready(controller)
    controller.delete("ingress", "stuck", NAMESPACE)
    assert not balancers_of(elb, ["stuck"])


def scale(cluster, replicas):
    name, space = installed.NAME, installed.NAMESPACE
    cluster.patch("deployment", name, {"spec": {"replicas": replicas}}, space)
    cluster.rollout_status(f"deployment/{name}", space)


def test_everything_deleted_leaves_nothing(controller, elb):
    for name in MEMBERS[1:]:
        controller.delete("ingress", name, NAMESPACE, wait=False)
    ec2 = controller.aws("ec2")

    def gone():
        groups = ec2.describe_security_groups()["SecurityGroups"]
        rules = [one for group in groups for one in group["IpPermissions"]]
        return not (
            elb.describe_load_balancers()["LoadBalancers"]
            or elb.describe_target_groups()["TargetGroups"]
            or len(groups) > 2
            # What is left are the groups' rules for their own members.
            or len(rules) > 2
        )

    faults.until("no security group is left", gone)
    interfaces = ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert not [one for one in interfaces if one["Description"].startswith("ELB ")]
