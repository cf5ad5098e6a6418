"""Service Quotas: what moto has of the VPC's, and those of EC2 that the course asks for; heavy.

No quota was ever changed in the sandbox's account: each has its default value.
"""

from __future__ import annotations

import json
from typing import Any

from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.models import ServiceQuotasBackend
from moto.servicequotas.responses import ServiceQuotasResponse

# By its code: the name and the default value.
_EC2 = {
    "L-0263D0A3": ("EC2-VPC Elastic IPs", 5.0),
    "L-1216C47A": ("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 5.0),
}


class Quotas(ServiceQuotasBackend):
    """The quotas of the account."""

    def get_service_quota(self, service_code: str, quota_code: str) -> dict[str, Any]:
        """Return a quota.

        Args:
            service_code: The service's code.
            quota_code: The quota's code.

        Raises:
            NoSuchResource: There is no such quota, or it is not part of the sandbox.
        """
        if service_code != "ec2":
            found = super().get_service_quota(service_code, quota_code)
            # moto's own are of one region.
            arn = found["QuotaArn"].replace("eu-west-1", self.region_name)
            return {**found, "QuotaArn": arn}
        if quota_code not in _EC2:
            raise NoSuchResource
        name, value = _EC2[quota_code]
        return {
            "ServiceCode": "ec2",
            "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
            "QuotaArn": f"arn:aws:servicequotas:{self.region_name}::ec2/{quota_code}",
            "QuotaCode": quota_code,
            "QuotaName": name,
            "Value": value,
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }


class Responses(ServiceQuotasResponse):
    """moto's operations, and those that it does not have."""

    def get_aws_default_service_quota(self) -> str:
        """Return AWS's default value of a quota."""
        sent = json.loads(self.body)
        found = self.backend.get_service_quota(str(sent["ServiceCode"]), str(sent["QuotaCode"]))
        return json.dumps({"Quota": found})
