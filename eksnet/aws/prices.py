"""Hourly prices from a dated table, `data/aws_prices.csv`; what it does not have is unknown."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from decimal import Decimal

from eksnet.data import rows

CLUSTER, EXTENDED = "cluster", "cluster in extended support"
ADDRESS, NAT = "public IPv4 address", "NAT gateway"
_EVERYWHERE = "every"


@dataclass(frozen=True)
class Price:
    """What something costs.

    Attributes:
        item: What.
        region: The region; `every` for all of them.
        usd: US dollars for each hour, without taxes.
        as_of: On which day it was so, as ISO 8601.
        source: Where it was read.
    """

    item: str
    region: str
    usd: Decimal
    as_of: str
    source: str


@functools.cache
def prices() -> tuple[Price, ...]:
    """Return the table."""
    return tuple(
        Price(row["item"], row["region"], Decimal(row["usd_per_hour"]), row["as_of"], row["source"])
        for row in rows("aws_prices")
    )


def price(item: str, region: str) -> Price | None:
    """Return the price of something; None where the table does not have it.

    Args:
        item: What, such as `NAT gateway`.
        region: The region.
    """
    found = {one.region: one for one in prices() if one.item == item}
    return found.get(region) or found.get(_EVERYWHERE)
