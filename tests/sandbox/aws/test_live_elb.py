"""The real controller against the sandbox's API: a group shrinks, the API dies, nothing stays."""

import pytest

from tests.loadbalancer import controlled
from tests.loadbalancer.controlled import NAMESPACE, ingress, text
from tests.sandbox import faults

pytestmark = pytest.mark.sandbox
MEMBERS = ("first", "second", "third")
SINGLE = tuple(f"single-{number}" for number in range(3))


@pytest.fixture(scope="module")
def controller(cluster):
    """The suite's cluster with the controller and an application."""
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


def test_it_converges_when_the_api_is_killed_in_the_middle(controller, elb):
    before = faults.restarts("aws")
    controller.apply(text(*(ingress(name, {"target-type": "ip"}) for name in SINGLE)))
    faults.until("it has begun", lambda: len(singles(elb)) > 0)
    faults.kill(faults.component_pid("aws"))
    faults.until("it is back", lambda: faults.restarts("aws") > before)
    faults.assert_goes_on(controller)
    for name in SINGLE:
        controlled.wait_for_address(controller, "ingress", name)
    found = singles(elb)
    assert len(found) == len({one["LoadBalancerName"] for one in found}) == len(SINGLE)
    for one in found:
        assert paths_of(elb, one["LoadBalancerName"]) == [("1", "/*")]


def singles(elb):
    found = elb.describe_load_balancers()["LoadBalancers"]
    return [one for one in found if "-single" in one["LoadBalancerName"]]


def test_everything_deleted_leaves_nothing(controller, elb):
    for name in (*MEMBERS[1:], *SINGLE):
        controller.delete("ingress", name, NAMESPACE, wait=False)
    ec2 = controller.aws("ec2")

    def gone():
        return not (
            elb.describe_load_balancers()["LoadBalancers"]
            or elb.describe_target_groups()["TargetGroups"]
            or len(ec2.describe_security_groups()["SecurityGroups"]) > 2
        )

    faults.until("no security group is left", gone)
    interfaces = ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert not [one for one in interfaces if one["Description"].startswith("ELB ")]
