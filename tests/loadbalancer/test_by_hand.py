"""What a lesson makes in AWS by hand: found, and deleted after what uses it."""

from types import SimpleNamespace

import botocore.exceptions
import pytest

from eksnet.cluster import DeadlineError
from eksnet.errors import EksnetError
from eksnet.loadbalancer import by_hand

GROUP = "sg-1"


class Account:
    """An account in which each thing is in use for as long as what uses it is there."""

    exceptions = SimpleNamespace(ClientError=botocore.exceptions.ClientError)

    def __init__(self, *, interfaces=0, rule=False, **there):
        self.there, self.interfaces, self.rule = (
            {"balancer", "web", "group", *there},
            interfaces,
            rule,
        )
        self.deleted = []

    def aws(self, _service):
        return self

    def get_paginator(self, call):
        found = {
            "describe_load_balancers": {"LoadBalancers": [
                {"LoadBalancerName": "eksnet-nlb", "LoadBalancerArn": "arn:balancer"}
            ] if "balancer" in self.there else []},
            "describe_target_groups": {"TargetGroups": [
                {"TargetGroupName": "eksnet-web", "TargetGroupArn": "arn:web"}
            ] if "web" in self.there else []},
        }[call]  # fmt: skip
        return SimpleNamespace(paginate=lambda: [found])

    def describe_security_groups(self, Filters):  # noqa: N803
        ((name, values),) = [(one["Name"], one["Values"]) for one in Filters]
        if name == "group-name":
            assert values == ["eksnet-nlb"]
            return {"SecurityGroups": [{"GroupId": GROUP}] if "group" in self.there else []}
        assert (name, values) == ("ip-permission.group-id", [GROUP])
        rule = {"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080,
                "UserIdGroupPairs": [{"GroupId": GROUP}]}  # fmt: skip
        other = {"GroupId": "sg-nodes", "IpPermissions": [rule]}
        return {"SecurityGroups": [other] if self.rule else []}

    def revoke_security_group_ingress(self, GroupId, IpPermissions):  # noqa: N803
        assert GroupId == "sg-nodes"
        assert IpPermissions[0]["UserIdGroupPairs"] == [{"GroupId": GROUP}]
        self.rule = False

    def delete_load_balancer(self, LoadBalancerArn):  # noqa: N803
        self._delete("balancer", LoadBalancerArn)

    def delete_target_group(self, TargetGroupArn):  # noqa: N803
        self._refuse("ResourceInUse", used="balancer" in self.there)
        self._delete("web", TargetGroupArn)

    def delete_security_group(self, GroupId):  # noqa: N803
        self._refuse("InvalidGroup.NotFound", used="group" not in self.there)
        used = "balancer" in self.there or self.rule or self.interfaces > 0
        self.interfaces -= 1
        self._refuse("DependencyViolation", used=used)
        self._delete("group", GroupId)

    def _delete(self, what, name):
        self.there.remove(what)
        self.deleted.append(name)

    def _refuse(self, code, *, used):
        if used:
            error = {"Error": {"Code": code, "Message": f"{code}: it has a dependent object"}}
            raise botocore.exceptions.ClientError(error, "Delete")


@pytest.mark.parametrize("account", [Account(), Account(interfaces=2), Account(rule=True)])
def test_all_of_it_is_deleted_in_the_order_that_works(account, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    assert by_hand.left_by_hand(account) == [
        "the load balancer eksnet-nlb", "the target group eksnet-web",
        "the security group eksnet-nlb",
    ]  # fmt: skip
    for _ in range(2):
        by_hand.delete_by_hand(account)
        assert account.deleted == ["arn:balancer", "arn:web", GROUP]
    assert by_hand.left_by_hand(account) == []


def test_a_security_group_that_stays_in_use_is_told():
    with pytest.raises(DeadlineError, match="it has a dependent object"):
        by_hand.delete_security_group(Account(), GROUP, timeout=0)


def test_what_aws_refuses_otherwise_is_told_at_once(monkeypatch):
    account = Account()
    monkeypatch.setattr(
        account, "delete_security_group",
        lambda **_: account._refuse("CannotDelete", used=True),
    )  # fmt: skip
    with pytest.raises(EksnetError, match="CannotDelete"):
        by_hand.delete_security_group(account, GROUP)
