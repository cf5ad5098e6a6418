"""What AWS lists in pages, and the tags that load balancing describes so many at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from eksnet.aws import tags

# AWS describes the tags of so many things in one call. Source: the reference of DescribeTags.
_AT_ONCE = 20


def listed(client: Any, call: str, key: str, **arguments: Any) -> Iterator[Any]:
    """Yield what a call lists, of all pages.

    Args:
        client: The boto3 client.
        call: The call as boto3 names it, such as `describe_subnets`.
        key: Where an answer has the list, such as `Subnets`.
        arguments: The call's own arguments.
    """
    for page in client.get_paginator(call).paginate(**arguments):
        yield from page[key]


def tags_of(elb: Any, arns: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the tags of what load balancing knows by ARNs.

    Args:
        elb: The client of ELBv2.
        arns: The ARNs.
    """
    return {
        told["ResourceArn"]: tags.of_list(told["Tags"])
        for start in range(0, len(arns), _AT_ONCE)
        for told in elb.describe_tags(ResourceArns=arns[start : start + _AT_ONCE])[
            "TagDescriptions"
        ]
    }
