"""The sandbox: an EKS-like cluster on this computer, made of upstream programs in one namespace.

Its processes inside the namespace import this package too, so nothing is loaded before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eksnet.sandbox.lifecycle import (
        Sandbox,
        Status,
        down,
        kubectl,
        read_log,
        reset,
        status,
        up,
    )

__all__ = ["Sandbox", "Status", "down", "ensure_up", "kubectl", "read_log", "reset", "status", "up"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from eksnet.sandbox import lifecycle

    return getattr(lifecycle, name)


def ensure_up() -> Sandbox:
    """Return the running sandbox; start it, saying so, when it is not up."""
    from eksnet.sandbox import lifecycle

    if lifecycle.status().phase == "ready":
        return lifecycle.up()
    return lifecycle.up(progress=print)
