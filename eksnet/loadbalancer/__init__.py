"""The load balancer room: what the AWS Load Balancer Controller makes, before it makes it."""

from __future__ import annotations

from eksnet.loadbalancer.planning import plan

__all__ = ["plan"]
