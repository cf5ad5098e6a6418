"""What the API says of a target's health: what is registered, overlaid with what was seen; pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Health:
    """The health of a target.

    Attributes:
        state: `initial`, `healthy`, `unhealthy`, `unused` or `draining`.
        reason: The reason code; empty for a healthy one.
        description: The reason in words; empty for a healthy one.
    """

    state: str
    reason: str = ""
    description: str = ""


INITIAL = Health("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
DRAINING = Health(
    "draining", "Target.DeregistrationInProgress", "Target deregistration is in progress"
)
NOT_REGISTERED = Health(
    "unused", "Target.NotRegistered", "Target is not registered to the target group"
)
NOT_IN_USE = Health(
    "unused",
    "Target.NotInUse",
    "Target group is not configured to receive traffic from the load balancer",
)
OTHER_ZONE = Health(
    "unused",
    "Target.NotInUse",
    "Target is in an Availability Zone that is not enabled for the load balancer",
)
# What a check can find; the rest of the states follow from what is registered.
_OBSERVED = ("initial", "healthy", "unhealthy")


@dataclass(frozen=True)
class Registration:
    """What is known of a target without a look at it.

    Attributes:
        zone: Its zone; `all` and an empty one are in every zone.
        instance: The state of its instance, such as `stopped`; empty for an address.
        draining: Whether it is being deregistered.
    """

    zone: str
    instance: str = ""
    draining: bool = False


def health(
    registration: Registration, zones: Collection[str] | None, observed: Health | None
) -> Health:
    """Return what DescribeTargetHealth says of a target.

    Args:
        registration: What is known of it.
        zones: The zones of the load balancer that uses the group; None when none does.
        observed: What its checks have found last; None before the first.
    """
    if registration.draining:
        return DRAINING
    if zones is None:
        return NOT_IN_USE
    if registration.instance not in ("", "running", "pending"):
        return Health(
            "unused", "Target.InvalidState", f"Target is in the {registration.instance} state"
        )
    if registration.zone not in ("", "all") and registration.zone not in zones:
        return OTHER_ZONE
    if observed is None or observed.state not in _OBSERVED:
        return INITIAL
    return observed


def drains(since: datetime | None, delay: int, now: datetime) -> bool:
    """Tell whether a target that is being deregistered is still there.

    Args:
        since: When it was deregistered; None when it was not.
        delay: The group's deregistration delay in seconds.
        now: The moment that counts.
    """
    return since is not None and now < since + timedelta(seconds=delay)
