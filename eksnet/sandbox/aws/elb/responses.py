"""The operations of Elastic Load Balancing as they are asked for; heavy, as moto is."""

from __future__ import annotations

from moto.core.responses import ActionResult
from moto.elbv2.responses import ELBV2Response


class Responses(ELBV2Response):
    """moto's operations, and those that it lacks."""

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

    def describe_capacity_reservation(self) -> ActionResult:
        """Say that no capacity is reserved."""
        self.elbv2_backend.describe_load_balancers([self._get_param("LoadBalancerArn")], None)
        return ActionResult({"DecreaseRequestsRemaining": 2, "CapacityReservationState": []})

    def describe_trust_stores(self) -> ActionResult:
        """Say that there are none."""
        return ActionResult({"TrustStores": []})
