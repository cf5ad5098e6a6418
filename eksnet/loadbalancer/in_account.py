"""What lessons and the controller have left in the cluster's AWS account, found and deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from eksnet.aws import leftovers
from eksnet.aws.leftovers import Account, Kind, Leftover
from eksnet.cluster import countdown
from eksnet.errors import EksnetError

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

_KINDS = (*leftovers.LOAD_BALANCING, *leftovers.NETWORK)
_TIMEOUT = 300.0


def left_in_account(cluster: Cluster, *, by_controller: bool) -> list[Leftover]:
    """Return what is in the account, without identities, in the order in which it can go.

    Args:
        cluster: The cluster.
        by_controller: Whether what the controller has made is meant, or what was made by hand.

    Raises:
        EksnetError: AWS refused to tell.
    """
    account = Account(cluster.aws, cluster.eks_name).remembering()
    found = [one for kind in _KINDS for one in kind.find(account)]
    return [one for one in found if one.by_controller == by_controller]


def delete_in_account(
    cluster: Cluster, *, by_controller: bool, timeout: float = _TIMEOUT
) -> list[Leftover]:
    """Delete all of that, and return it.

    Args:
        cluster: The cluster.
        by_controller: As in `left_in_account`. Nobody may need it any more.
        timeout: How long to wait for each kind, in seconds.

    Raises:
        EksnetError: Something is still there.
    """
    account = Account(cluster.aws, cluster.eks_name)
    return delete_kinds(account, _KINDS, lambda one: one.by_controller == by_controller, timeout)


def delete_kinds(
    account: Account, kinds: Iterable[Kind], picks: Callable[[Leftover], bool], timeout: float
) -> list[Leftover]:
    """Delete things in an account, kind by kind, until none is there; return each once.

    Args:
        account: The account.
        kinds: The kinds, in the order in which they can go.
        picks: Tells what is deleted.
        timeout: How long to wait for each kind, in seconds.

    Raises:
        EksnetError: Something is still there.
    """
    return [one for kind in kinds for one in _delete_kind(account, kind, picks, timeout)]


def _delete_kind(
    account: Account, kind: Kind, picks: Callable[[Leftover], bool], timeout: float
) -> list[Leftover]:
    done: dict[str, Leftover] = {}
    why: list[str] = []

    def gone() -> bool:
        found = [one for one in kind.find(account) if picks(one)]
        done.update({one.id: one for one in found})
        why[:] = [f"{one.name}: {kind.delete(account, one)}" for one in found]
        return not found

    if not countdown.until(f"each {kind.name} to be gone", gone, timeout, poll=1):
        raise EksnetError(
            f"a {kind.name} is still there after {timeout:.0f} s: {'; '.join(why)}",
            "an account in which nothing else uses it",
            "eksnet cleanup --check shows what is left; eksnet cleanup goes on",
        )
    return list(done.values())
