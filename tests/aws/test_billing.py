"""What is billing: from an account as the sandbox has it, and prices that have a source."""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from eksnet import data
from eksnet.aws import billing, prices
from eksnet.aws.billing import Bill, Item, bill
from tests.sandbox.aws.conftest import side

__all__ = ["side"]
REGION = "ap-northeast-2"


@pytest.fixture
def now(side):
    """Lists what is billing in the account now."""
    return lambda: bill(side.client, REGION, "workbook")


def kinds(found: Bill) -> list[tuple[str, str]]:
    return [(one.kind, one.owner) for one in found.items]


# The table.


@pytest.mark.parametrize("row", data.rows("aws_prices"), ids=lambda row: f"{row['item']}")
def test_each_price_has_a_day_and_a_source(row):
    assert date.fromisoformat(row["as_of"]) <= date(2026, 11, 30)
    assert Decimal(0) < Decimal(row["usd_per_hour"]) < 10
    assert len(row["source"]) > 20
    assert re.fullmatch(r"every|[a-z]{2}-[a-z]+-\d", row["region"])


def test_no_item_has_two_prices_in_a_region():
    found = [(one.item, one.region) for one in prices.prices()]
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("item", "region", "usd"),
    [
        ("cluster", "eu-west-1", "0.10"),
        ("NAT gateway", "us-east-1", "0.045"),
        ("NAT gateway", "ap-northeast-2", "0.059"),
        ("NAT gateway", "eu-west-1", None),
        ("instance x9.huge", "us-east-1", None),
    ],
)
def test_what_the_table_does_not_have_is_unknown(item, region, usd):
    found = prices.price(item, region)
    assert (found and str(found.usd)) == usd


# The account.


def test_what_a_fresh_cluster_bills(now):
    found = now()
    assert {owner for _, owner in kinds(found)} == {"the cluster"}
    said = [kind for kind, _ in kinds(found)]
    assert [kind for kind in said if not kind.startswith("volume")] == [
        "cluster", "instance m5.large", "instance m5.large", "NAT gateway", "public IPv4 address",
    ]  # fmt: skip
    # 0.10 for the cluster, 0.059 for the NAT gateway, 0.005 for its address; nodes are unknown.
    assert found.usd == Decimal("0.164")
    assert found.unknown == len(said) - 3


def test_what_is_made_and_deleted_comes_and_goes(now, side):
    before = len(now().items)
    elb, ec2 = side.client("elbv2"), side.client("ec2")
    subnets = list(side.settings.cluster.subnet_ids[:2])
    made = elb.create_load_balancer(
        Name="mine", Subnets=subnets, Scheme="internal", Tags=[{"Key": "eksnet", "Value": "course"}]
    )
    elb.create_load_balancer(
        Name="k8s", Subnets=subnets, Scheme="internal", Type="network",
        Tags=[{"Key": "elbv2.k8s.aws/cluster", "Value": "workbook"}],
    )  # fmt: skip
    spare = ec2.allocate_address(Domain="vpc")
    added = {one for one in kinds(now()) if one[1] != "the cluster"}
    assert added == {
        ("application load balancer", "the course"),
        ("network load balancer", "the controller"),
        ("public IPv4 address", "other"),
    }
    elb.delete_load_balancer(LoadBalancerArn=made["LoadBalancers"][0]["LoadBalancerArn"])
    ec2.release_address(AllocationId=spare["AllocationId"])
    assert len(now().items) == before + 1


def test_an_internet_facing_load_balancer_bills_its_addresses(now, side):
    before = [kind for kind, _ in kinds(now())].count("public IPv4 address")
    subnets = list(side.settings.cluster.subnet_ids[:2])
    side.client("elbv2").create_load_balancer(Name="open", Subnets=subnets)
    after = [kind for kind, _ in kinds(now())].count("public IPv4 address")
    assert after == before + len(subnets)


def test_a_node_that_is_stopped_bills_no_hours(now, side):
    ec2 = side.client("ec2")
    (first, *_) = [one.id for one in now().items if one.kind.startswith("instance")]
    ec2.stop_instances(InstanceIds=[first])
    assert first not in {one.id for one in now().items}


class Clusters:
    """EKS, where a version is in extended support."""

    class exceptions:  # noqa: N801
        ClientError = RuntimeError

    def get_paginator(self, call: str) -> Any:
        return self

    def paginate(self) -> list[Any]:
        return [{"clusters": ["old"]}]

    def describe_cluster(self, name: str) -> Any:
        return {"cluster": {"version": "1.28", "tags": {}}}

    def describe_cluster_versions(self, clusterVersions: list[str]) -> Any:  # noqa: N803
        return {"clusterVersions": [{"versionStatus": "EXTENDED_SUPPORT"}]}


def test_a_cluster_in_extended_support_costs_more():
    ((kind, name, _),) = billing._clusters(lambda service: Clusters())
    assert (kind, name) == ("cluster in extended support", "old")
    assert prices.price(kind, REGION).usd == Decimal("0.60")


# What is shown.


def item(kind: str, region: str = REGION) -> Item:
    return Item(kind, "x", "other", prices.price(kind, region))


@pytest.mark.parametrize(
    ("items", "says"),
    [
        ((), "Nothing is billing by the hour in ap-northeast-2."),
        (("cluster",), "ap-northeast-2: 0.1000 USD an hour, 2.40 a day. "),
        (("cluster", "instance m5.large"), "at least 0.1000 USD an hour, 2.40 a day; 1 of 2 "),
    ],
)
def test_the_sum_says_what_it_does_not_know(items, says):
    found = Bill(REGION, tuple(map(item, items)))
    assert says in found.headline
    assert ("calculator.aws" in str(found)) == bool(found.unknown)


def test_each_price_is_shown_with_its_day_and_source():
    found = Bill(REGION, (item("NAT gateway"),), is_sandbox=True)
    text = str(found)
    assert "0.059" in text
    assert "2026-11-30" in text
    assert "source: https://lewisjlee.github.io" in text
    assert "nothing is billed" in text
    said = json.loads(json.dumps(found.to_json()))
    assert said["items"][0]["usd_per_hour"] == 0.059
    assert said["items"][0]["source"]
