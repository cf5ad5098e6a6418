"""The sandbox: an EKS-like cluster on this computer, made of upstream programs in one namespace."""

from __future__ import annotations

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


def ensure_up() -> Sandbox:
    """Return the running sandbox; start it, saying so, when it is not up."""
    if status().phase == "ready":
        return up()
    return up(say=print)
