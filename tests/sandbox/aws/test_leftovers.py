"""What of the course is in an account: an orphan of each kind is found, deleted, and gone."""

import dataclasses
import functools
import json
from types import SimpleNamespace

import pytest

from eksnet.aws import leftovers
from eksnet.aws.leftovers import Account
from eksnet.errors import EksnetError
from eksnet.loadbalancer.in_account import delete_in_account, left_in_account
from eksnet.sandbox.aws.settings import ACCOUNT

PAIR = {"eksnet": "course"}
TAGS = [{"Key": "eksnet", "Value": "course"}]
CONTROLLERS = [{"Key": "elbv2.k8s.aws/cluster", "Value": "workbook"}]
OTHERS = [{"Key": "elbv2.k8s.aws/cluster", "Value": "another"}, {"Key": "eksnet", "Value": "no"}]
PUBLIC = ("subnet-00000000000000001", "subnet-00000000000000002")
VPC, NODES = "vpc-00000000000000001", "sg-00000000000000002"
COURSE, CONTROLLER = "eksnet=course", "elbv2.k8s.aws/cluster=workbook"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "pods.eks.amazonaws.com"},
                "Action": ["sts:AssumeRole", "sts:TagSession"],
            }
        ],
    }
)
ALLOW = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
)
HTTPS = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}


@pytest.fixture
def account(side):
    # As a cluster has them: a client is made once.
    return Account(functools.cache(side.client), "workbook")


def found(account):
    return [
        (one.what, one.name, one.whose) for kind in leftovers.KINDS for one in kind.find(account)
    ]


# An orphan of each kind, with some tags. What it needs beside it has no tag.


def balancer(side, tags, name="orphan"):
    made = side.client("elbv2").create_load_balancer(Name=name, Subnets=PUBLIC, **_tags(tags))
    return made["LoadBalancers"][0]["LoadBalancerArn"]


def target_group(side, tags, name="orphan"):
    made = side.client("elbv2").create_target_group(
        Name=name, Protocol="HTTP", Port=80, VpcId=VPC, TargetType="ip", **_tags(tags)
    )
    return made["TargetGroups"][0]["TargetGroupArn"]


def listener(side, tags, of="another"):
    fixed = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
    made = side.client("elbv2").create_listener(
        LoadBalancerArn=balancer(side, [], of), Protocol="HTTP", Port=80,
        DefaultActions=fixed, **_tags(tags),
    )  # fmt: skip
    return made["Listeners"][0]["ListenerArn"]


def listener_rule(side, tags):
    fixed = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
    side.client("elbv2").create_rule(
        ListenerArn=listener(side, [], "third"), Priority=7, Actions=fixed,
        Conditions=[{"Field": "path-pattern", "Values": ["/x"]}], **_tags(tags),
    )  # fmt: skip


def _tags(tags):
    return {"Tags": tags} if tags else {}


def _specified(kind, tags):
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": tags}]} if tags else {}


def group(side, tags, name="orphan"):
    made = side.client("ec2").create_security_group(
        GroupName=name, Description="d", VpcId=VPC, **_specified("security-group", tags)
    )
    return made["GroupId"]


def group_rule(side, tags):
    side.client("ec2").authorize_security_group_ingress(
        GroupId=NODES, IpPermissions=[{**HTTPS, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
        **_specified("security-group-rule", tags),
    )  # fmt: skip


def interface(side, tags):
    side.client("ec2").create_network_interface(
        SubnetId=PUBLIC[0], Description="orphan", **_specified("network-interface", tags)
    )


def address(side, tags):
    side.client("ec2").allocate_address(Domain="vpc", **_specified("elastic-ip", tags))


def certificate(side, tags):
    side.client("acm").request_certificate(
        DomainName="orphan.example.com", ValidationMethod="DNS", **_tags(tags)
    )


def role(side, tags):
    iam = side.client("iam")
    iam.create_role(RoleName="orphan", AssumeRolePolicyDocument=TRUST, **_tags(tags))
    policy = "arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy"
    iam.attach_role_policy(RoleName="orphan", PolicyArn=policy)
    iam.put_role_policy(RoleName="orphan", PolicyName="inline", PolicyDocument=ALLOW)


def policy(side, tags):
    iam = side.client("iam")
    made = iam.create_policy(PolicyName="orphan", PolicyDocument=ALLOW, **_tags(tags))
    arn = made["Policy"]["Arn"]
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=ALLOW, SetAsDefault=True)


def provider(side, tags):
    side.client("iam").create_open_id_connect_provider(
        Url="https://orphan.example.com/id/1", ClientIDList=["sts.amazonaws.com"], **_tags(tags)
    )


def association(side, tags):
    side.client("eks").create_pod_identity_association(
        clusterName="workbook", namespace="shop", serviceAccount="web",
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/app",
        tags={one["Key"]: one["Value"] for one in tags},
    )  # fmt: skip


def addon(side, tags):
    side.client("eks").create_addon(
        clusterName="workbook", addonName="kube-proxy",
        tags={one["Key"]: one["Value"] for one in tags},
    )  # fmt: skip
    side.worker.work_once()


ORPHANS = {
    "load balancer": (balancer, "orphan"),
    "listener": (listener, "another HTTP:80"),
    "listener rule": (listener_rule, "third HTTP:80 rule 7"),
    "target group": (target_group, "orphan"),
    "network interface": (interface, "orphan"),
    "security group rule": (group_rule, "eks-cluster-sg-workbook-1 tcp 443"),
    "security group": (group, "orphan"),
    "public address": (address, "203.0.113.20"),
    "certificate": (certificate, "orphan.example.com"),
    "Pod Identity association": (association, "shop/web"),
    "add-on": (addon, "kube-proxy"),
    "role": (role, "orphan"),
    "policy": (policy, "orphan"),
    "OIDC provider": (provider, "orphan.example.com/id/1"),
}
# What the controller makes by itself, and finds again by its tag.
MADE_BY_CONTROLLER = ("load balancer", "listener", "listener rule", "target group",
                      "security group")  # fmt: skip


def test_each_kind_has_an_orphan():
    assert [kind.name for kind in leftovers.KINDS] == list(dict.fromkeys(
        kind.name for kind in leftovers.KINDS))  # fmt: skip
    assert {kind.name for kind in leftovers.KINDS} == set(ORPHANS)


def test_a_fresh_account_has_nothing_of_the_course(account):
    assert found(account) == []


@pytest.mark.parametrize("what", ORPHANS)
def test_an_orphan_is_found_by_the_courses_tag_and_deleted(side, account, what):
    plant, name = ORPHANS[what]
    plant(side, TAGS)
    own = [one for one in found(account) if one[0] == what]
    assert own == [(what, name, COURSE)]
    # Others may be found by it: an interface with its load balancer.
    for _ in range(2):
        for kind in leftovers.KINDS:
            for one in kind.find(account):
                assert kind.delete(account, one) == ""
        side.worker.work_once()
    assert found(account) == []


def test_what_belongs_to_others_is_not_found(side, account):
    for plant, _ in ORPHANS.values():
        plant(side, OTHERS)
    assert found(account) == []


@pytest.mark.parametrize("what", MADE_BY_CONTROLLER)
def test_the_controllers_tag_counts_for_its_own_cluster_unless_it_is_somebody_elses(
    side, account, what
):
    plant, name = ORPHANS[what]
    plant(side, CONTROLLERS)
    assert (what, name, CONTROLLER) in found(account)
    (kind,) = [one for one in leftovers.KINDS if one.name == what]
    assert [one.by_controller for one in kind.find(account)] == [True]
    assert found(dataclasses.replace(account, controlled=False)) == []


def test_one_look_at_all_kinds_asks_each_question_once(side):
    asked = []

    @functools.cache
    def client(service):
        made = side.client(service)
        made.meta.events.register(
            "provide-client-params",
            lambda params, model, **_: asked.append((model.name, str(sorted(params.items())))),
        )
        return made

    account = Account(client, "workbook")
    for plant, _ in ORPHANS.values():
        plant(side, TAGS)
    for look, once in ((account.remembering(), True), (account, False)):
        asked.clear()
        assert {one[0] for one in found(look)} == set(ORPHANS)
        again = {one for one in asked if asked.count(one) > 1}
        assert (not again) is once, again
    # What was kept of one look is not kept for the next.
    assert found(account.remembering()) == found(account)


def test_the_run_is_told_also_of_what_belongs_to_something(side, account):
    run = {"Key": "eksnet-run", "Value": "run-1"}
    balancer(side, [*TAGS, run])
    group(side, [*TAGS, {**run, "Value": "run-2"}], "other")
    told = {(one.what, one.run) for kind in leftovers.KINDS for one in kind.find(account)}
    assert told == {
        ("load balancer", "run-1"), ("network interface", "run-1"), ("security group", "run-2"),
    }  # fmt: skip


def test_both_tags_are_told(side, account):
    group(side, [*TAGS, *CONTROLLERS])
    assert found(account) == [("security group", "orphan", f"{COURSE}, {CONTROLLER}")]


def test_the_interfaces_of_a_load_balancer_are_its_own(side, account):
    arn = balancer(side, TAGS)
    path = arn.partition(":loadbalancer/")[2]
    wanted = ("network interface", f"ELB {path}", "its load balancer orphan")
    assert found(account)[1:] == [wanted, wanted]


def test_an_interface_of_a_deleted_load_balancer_is_known_by_its_security_group(side, account):
    own = group(side, CONTROLLERS)
    side.client("ec2").create_network_interface(
        SubnetId=PUBLIC[0], Description="ELB app/gone/1", Groups=[own]
    )
    assert ("network interface", "ELB app/gone/1", "its security group orphan") in found(account)


def rules(side):
    (nodes,) = side.client("ec2").describe_security_groups(GroupIds=[NODES])["SecurityGroups"]
    return len(nodes["IpPermissions"])


@pytest.mark.parametrize("described", [True, False])
def test_a_rule_that_names_a_group_of_ours_is_found_and_goes_first(side, account, described):
    own, before = group(side, CONTROLLERS), rules(side)
    pair = {"GroupId": own}
    if described:
        pair["Description"] = "elbv2.k8s.aws/targetGroupBinding=shared"
    side.client("ec2").authorize_security_group_ingress(
        GroupId=NODES, IpPermissions=[{**HTTPS, "UserIdGroupPairs": [pair]}]
    )
    (rule,) = [one for one in found(account) if one[0] == "security group rule"]
    assert rule[1:] == ("eks-cluster-sg-workbook-1 tcp 443", "it names the security group orphan")
    by_name = {kind.name: kind for kind in leftovers.KINDS}
    (one,) = by_name["security group"].find(account)
    assert by_name["security group"].delete(account, one) == (
        f"resource {own} has a dependent object"
    )
    (one,) = by_name["security group rule"].find(account)
    by_name["security group rule"].delete(account, one)
    assert rules(side) == before
    (one,) = by_name["security group"].find(account)
    assert by_name["security group"].delete(account, one) == ""
    assert found(account) == []


def test_a_rule_that_the_controller_has_described_is_found_without_its_group(side, account):
    block = {"CidrIp": "10.0.0.0/20", "Description": "elbv2.k8s.aws/targetGroupBinding=shared"}
    for into in (NODES, group(side, [])):
        side.client("ec2").authorize_security_group_ingress(
            GroupId=into, IpPermissions=[{**HTTPS, "IpRanges": [block]}]
        )
    # In a group that is not this cluster's it is another controller's.
    assert found(account) == [
        ("security group rule", "eks-cluster-sg-workbook-1 tcp 443", block["Description"])
    ]
    assert found(dataclasses.replace(account, controlled=False)) == []


def test_two_groups_that_name_each_other_are_deleted(side, account):
    one, two = group(side, TAGS, "one"), group(side, TAGS, "two")
    for own, other in ((one, two), (two, one)):
        side.client("ec2").authorize_security_group_ingress(
            GroupId=own, IpPermissions=[{**HTTPS, "UserIdGroupPairs": [{"GroupId": other}]}]
        )
    (kind,) = [one for one in leftovers.KINDS if one.name == "security group"]
    for _ in range(2):
        for each in kind.find(account):
            kind.delete(account, each)
    assert found(account) == []


def test_a_refusal_for_another_reason_is_told_in_awss_words(side, account):
    arn = balancer(side, TAGS)
    protect = [{"Key": "deletion_protection.enabled", "Value": "true"}]
    side.client("elbv2").modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=protect)
    (kind,) = [one for one in leftovers.KINDS if one.name == "load balancer"]
    (one,) = kind.find(account)
    with pytest.raises(EksnetError, match="deletion protection is enabled"):
        kind.delete(account, one)


def test_what_is_gone_meanwhile_is_no_error(side, account):
    group(side, TAGS)
    (kind,) = [one for one in leftovers.KINDS if one.name == "security group"]
    (one,) = kind.find(account)
    assert [kind.delete(account, one) for _ in range(2)] == ["", ""]


@pytest.mark.parametrize("by_controller", [True, False])
def test_what_was_made_by_hand_is_told_from_what_the_controller_has_made(
    side, account, by_controller
):
    """What a lesson has left goes in one call, and nothing else: not even the identities."""
    cluster = SimpleNamespace(aws=account.client, eks_name="workbook")
    role(side, TAGS)
    for tags, name in ((TAGS, "by-hand"), ([*TAGS, *CONTROLLERS], "k8s-web")):
        target_group(side, tags, name)
        front = group(side, tags, name)
        side.client("elbv2").create_load_balancer(
            Name=name, Subnets=PUBLIC, SecurityGroups=[front], Tags=tags
        )
        # Without a tag, as a binding that went wrong leaves it.
        pair = {"UserIdGroupPairs": [{"GroupId": front}]}
        side.client("ec2").authorize_security_group_ingress(
            GroupId=NODES, IpPermissions=[{**HTTPS, **pair}]
        )
    certificate(side, TAGS)
    stays = left_in_account(cluster, by_controller=not by_controller)
    done = delete_in_account(cluster, by_controller=by_controller)
    assert [one.what for one in done] == [
        "load balancer", "target group", "security group rule", "security group",
        *(["certificate"] if not by_controller else []),
    ]  # fmt: skip
    assert left_in_account(cluster, by_controller=by_controller) == []
    assert left_in_account(cluster, by_controller=not by_controller) == stays
    assert ("role", "orphan", COURSE) in found(account)


def test_what_is_still_used_after_a_while_is_told(side, account):
    # Somebody else's load balancer in a group of the course's.
    side.client("elbv2").create_load_balancer(
        Name="another", Subnets=PUBLIC, SecurityGroups=[group(side, TAGS)]
    )
    cluster = SimpleNamespace(aws=account.client, eks_name="workbook")
    with pytest.raises(EksnetError, match="a network interface is still there after 1 s"):
        delete_in_account(cluster, by_controller=False, timeout=1)


def test_more_than_a_page_of_load_balancers_and_tags(side, account):
    for number in range(23):
        target_group(side, TAGS, f"orphan-{number}")
    assert len(found(account)) == 23
