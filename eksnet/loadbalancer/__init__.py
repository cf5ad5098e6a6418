"""The load balancer room: the AWS Load Balancer Controller, and what it makes."""

from __future__ import annotations

from eksnet.loadbalancer.controller import install_controller, uninstall_controller

__all__ = ["install_controller", "uninstall_controller"]
