"""The load balancer room: requests to what the AWS Load Balancer Controller makes, and answers."""

from __future__ import annotations

from eksnet.loadbalancer.answers import Response, request, wait_until_answers

__all__ = ["Response", "request", "wait_until_answers"]
