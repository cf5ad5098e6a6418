"""The operations of Elastic Load Balancing as they are asked for; heavy, as moto is."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.elbv2.exceptions import ELBClientError
from moto.elbv2.responses import ELBV2Response


class Responses(ELBV2Response):
    """moto's operations, and those that it does not have."""

    def create_listener(self) -> ActionResult:
        """Create a listener; which SSL policy it has by default depends on its protocol."""
        sent = self._get_params()
        certificates = sent.get("Certificates") or [{}]
        made = self.elbv2_backend.create_listener(
            sent["LoadBalancerArn"],
            sent.get("Protocol", ""),
            sent.get("Port"),  # type: ignore[arg-type]
            sent.get("SslPolicy"),  # type: ignore[arg-type]
            certificates[0].get("CertificateArn"),
            sent.get("DefaultActions", []),
            sent.get("AlpnPolicy", []),
            sent.get("Tags"),
        )
        return ActionResult({"Listeners": [made]})

    def modify_listener(self) -> ActionResult:
        """Change a listener."""
        sent = self._get_params()
        listener = self.elbv2_backend.modify_listener(
            sent["ListenerArn"],
            sent.get("Port"),
            sent.get("Protocol"),
            sent.get("SslPolicy"),
            sent.get("Certificates"),
            sent.get("DefaultActions"),
        )
        if "AlpnPolicy" in sent:
            listener.alpn_policy = sent["AlpnPolicy"]
        return ActionResult({"Listeners": [listener]})

    def create_rule(self) -> ActionResult:
        """Create a rule."""
        sent = self._get_params()
        balancing: Any = self.elbv2_backend
        made = balancing.create_rule(
            sent["ListenerArn"], sent["Conditions"], sent["Priority"], sent["Actions"],
            sent.get("Tags"), sent.get("Transforms"),
        )  # fmt: skip
        return ActionResult({"Rules": [made]})

    def modify_rule(self) -> ActionResult:
        """Change a rule."""
        sent = self._get_params()
        transforms = [] if sent.get("ResetTransforms") else sent.get("Transforms")
        balancing: Any = self.elbv2_backend
        rule = balancing.modify_rule(
            sent["RuleArn"], sent.get("Conditions", []), sent.get("Actions", []), transforms
        )
        return ActionResult({"Rules": [rule]})

    def modify_target_group(self) -> ActionResult:
        """Change the health check of a target group."""
        sent = self._get_params()
        balancing: Any = self.elbv2_backend
        group = balancing.target_group(sent["TargetGroupArn"])
        group.change_health_check(sent)
        return ActionResult({"TargetGroups": [group]})

    def describe_trust_stores(self) -> ActionResult:
        """Say that there are none, or that those that are asked for are not there."""
        for name in (*self._get_param("TrustStoreArns", []), *self._get_param("Names", [])):
            raise ELBClientError("TrustStoreNotFound", f"Trust store '{name}' not found")
        return ActionResult({"TrustStores": []})

    # Reserved capacity, and pools of addresses.

    def describe_capacity_reservation(self) -> ActionResult:
        """Tell what capacity is reserved."""
        return ActionResult(self._balancer().capacity)

    def modify_capacity_reservation(self) -> ActionResult:
        """Reserve capacity, or no longer; it is there at once."""
        balancer, sent = self._balancer(), self._get_params()
        wanted = sent.get("MinimumLoadBalancerCapacity", {}).get("CapacityUnits")
        if wanted is None and not sent.get("ResetCapacityReservation"):
            raise ELBClientError(
                "ValidationError", "A minimum capacity or a reset of it must be specified"
            )
        balancer.reserved = None if sent.get("ResetCapacityReservation") else int(wanted)
        return ActionResult(balancer.capacity)

    def modify_ip_pools(self) -> ActionResult:
        """Take addresses from no pool: the account has none."""
        self._balancer()
        if pool := self._get_params().get("IpamPools", {}).get("Ipv4IpamPoolId"):
            raise ELBClientError("ValidationError", f"The IPAM pool '{pool}' does not exist")
        return ActionResult({"IpamPools": {}})

    def _balancer(self) -> Any:
        arn = self._get_param("LoadBalancerArn")
        return self.elbv2_backend.describe_load_balancers([arn], None)[0]
