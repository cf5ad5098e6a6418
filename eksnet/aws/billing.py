"""What is billing now in an account's region, by the hour: clusters, nodes, gateways, addresses.

What is billed by volume alone (data, requests, capacity units, gigabytes of a disk) has no price
here; a disk is listed, since it is billed for as long as it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from eksnet.aws import prices, refusals
from eksnet.aws.pages import listed, tags_of
from eksnet.aws.prices import Price
from eksnet.aws.tags import COURSE, of_list
from eksnet.display import Shown
from eksnet.listing import Listing

Json = dict[str, Any]
Clients = Callable[[str], Any]

_RUNNING = ("pending", "running")
_GATEWAYS = ("pending", "available")
_OF_CLUSTER = ("eks:cluster-name", "aws:eks:cluster-name", "alpha.eksctl.io/cluster-name")
_CONTROLLER = "elbv2.k8s.aws/cluster"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Item:
    """Something that is billing.

    Attributes:
        kind: What it is, as the table of prices calls it.
        id: Its id or name.
        owner: Who has made it, as its tags say: the course, the controller, the cluster; or other.
        price: Its price; None where the table has none.
    """

    kind: str
    id: str
    owner: str
    price: Price | None


@dataclass(frozen=True, repr=False)
class Bill(Shown):
    """What is billing in a region.

    Attributes:
        region: The region.
        items: The items.
        is_sandbox: Whether the account is a sandbox's, where nothing is billed.
    """

    region: str
    items: tuple[Item, ...]
    is_sandbox: bool = False

    @property
    def usd(self) -> Decimal:
        """US dollars for each hour, of all items whose price is known."""
        return sum((one.price.usd for one in self.items if one.price), Decimal(0))

    @property
    def unknown(self) -> int:
        """How many items have no known price."""
        return sum(one.price is None for one in self.items)

    @property
    def headline(self) -> str:
        """The whole in a sentence."""
        if not self.items:
            return f"Nothing is billing by the hour in {self.region}."
        least = "at least " if self.unknown else ""
        said = f"{self.region}: {least}{self.usd:.4f} USD an hour, {self.usd * 24:.2f} a day"
        if self.unknown:
            said += f"; {self.unknown} of {len(self.items)} prices are unknown"
        return said + ". Data, requests and taxes come on top."

    @property
    def listing(self) -> Listing[Item]:
        """The items as a table."""
        return Listing.of(
            self.items,
            {
                "what": lambda one: one.kind,
                "name": lambda one: one.id,
                "made by": lambda one: one.owner,
                "USD an hour": lambda one: one.price.usd if one.price else UNKNOWN,
                "as of": lambda one: one.price.as_of if one.price else "",
            },
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be known beside the table: where its prices are from."""
        sources = {one.price.source for one in self.items if one.price}
        told = [f"source: {one}" for one in sorted(sources)]
        if self.unknown:
            told.append("unknown prices: https://calculator.aws has them")
        if self.is_sandbox:
            told.append("This is a sandbox: nothing is billed. On AWS the same would cost this.")
        return tuple(told)

    def to_json(self) -> Json:
        """Return what `--json` prints."""
        items = [
            {
                "what": one.kind, "name": one.id, "made_by": one.owner,
                "usd_per_hour": float(one.price.usd) if one.price else None,
                "as_of": one.price.as_of if one.price else None,
                "source": one.price.source if one.price else None,
            }
            for one in self.items
        ]  # fmt: skip
        return {
            "region": self.region, "is_sandbox": self.is_sandbox, "items": items,
            "usd_per_hour": float(self.usd), "unknown_prices": self.unknown,
        }  # fmt: skip

    def _text(self, *, colours: bool) -> str:
        table = [self.listing._text(colours=colours)] if self.items else []
        return "\n".join([*table, self.headline, *self.notes])


def bill(clients: Clients, region: str, cluster: str, *, is_sandbox: bool = False) -> Bill:
    """Return what is billing in a region.

    Args:
        clients: Returns the boto3 client of a service.
        region: The region.
        cluster: The name of the cluster whose parts are told from others.
        is_sandbox: Whether the account is a sandbox's.

    Raises:
        EksnetError: AWS refused.
    """
    found = tuple(
        Item(kind, name, _owner(tags, cluster), prices.price(kind, region))
        for parts in (_clusters, _instances, _gateways, _balancers, _addresses, _volumes)
        for kind, name, tags in parts(clients)
    )
    return Bill(region, found, is_sandbox)


Found = Iterator[tuple[str, str, Mapping[str, str]]]


def _owner(tags: Mapping[str, str], cluster: str) -> str:
    if COURSE.items() <= tags.items():
        return "the course"
    if tags.get(_CONTROLLER) == cluster:
        return "the controller"
    names = {tags.get(key) for key in _OF_CLUSTER}
    owned = f"kubernetes.io/cluster/{cluster}" in tags
    named = tags.get("Name", "").startswith((f"{cluster}/", f"eksctl-{cluster}-cluster/"))
    return "the cluster" if cluster in names or owned or named else "other"


def _clusters(clients: Clients) -> Found:
    eks = clients("eks")
    with refusals.in_words(eks, "EKS"):
        for name in listed(eks, "list_clusters", "clusters"):
            one = eks.describe_cluster(name=name)["cluster"]
            asked = eks.describe_cluster_versions(clusterVersions=[one["version"]])
            known = {str(each.get("versionStatus") or "") for each in asked["clusterVersions"]}
            kind = prices.EXTENDED if "EXTENDED_SUPPORT" in known else prices.CLUSTER
            # A cluster is its own, whatever tags it has.
            yield kind, name, {"eks:cluster-name": name, **one.get("tags", {})}


def _instances(clients: Clients) -> Found:
    ec2 = clients("ec2")
    with refusals.in_words(ec2, "EC2"):
        for reservation in listed(ec2, "describe_instances", "Reservations"):
            for one in reservation["Instances"]:
                if one["State"]["Name"] in _RUNNING:
                    kind = f"instance {one['InstanceType']}"
                    yield kind, one["InstanceId"], of_list(one.get("Tags"))


def _gateways(clients: Clients) -> Found:
    ec2 = clients("ec2")
    with refusals.in_words(ec2, "EC2"):
        for one in listed(ec2, "describe_nat_gateways", "NatGateways"):
            if one["State"] in _GATEWAYS:
                yield prices.NAT, one["NatGatewayId"], of_list(one.get("Tags"))


def _balancers(clients: Clients) -> Found:
    elb = clients("elbv2")
    with refusals.in_words(elb, "Elastic Load Balancing"):
        found = list(listed(elb, "describe_load_balancers", "LoadBalancers"))
        tags = tags_of(elb, [one["LoadBalancerArn"] for one in found])
    for one in found:
        kind = f"{one['Type']} load balancer"
        yield kind, one["LoadBalancerName"], tags.get(one["LoadBalancerArn"], {})


def _addresses(clients: Clients) -> Found:
    """Yield public addresses: those of interfaces, and those that are of nothing and cost too."""
    ec2 = clients("ec2")
    with refusals.in_words(ec2, "EC2"):
        interfaces = list(listed(ec2, "describe_network_interfaces", "NetworkInterfaces"))
        elastic = ec2.describe_addresses()["Addresses"]
    found = {one["PublicIp"]: of_list(one.get("Tags")) for one in elastic if "PublicIp" in one}
    for one in interfaces:
        public = (one.get("Association") or {}).get("PublicIp")
        if public:
            found.setdefault(public, of_list(one.get("TagSet")))
    for public, tags in found.items():
        yield prices.ADDRESS, public, tags


def _volumes(clients: Clients) -> Found:
    ec2 = clients("ec2")
    with refusals.in_words(ec2, "EC2"):
        for one in listed(ec2, "describe_volumes", "Volumes"):
            kind = f"volume {one.get('VolumeType', '')} of {one['Size']} GiB"
            yield kind, one["VolumeId"], of_list(one.get("Tags"))
