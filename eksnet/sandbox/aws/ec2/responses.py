"""The operations of EC2 that moto does not have and a controller asks for; heavy, as moto is."""

from __future__ import annotations

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response


class Responses(EC2Response):
    """moto's operations, and those that it does not have."""

    def get_security_groups_for_vpc(self) -> ActionResult:
        """Tell which security groups interfaces of a VPC can have: those of the VPC."""
        vpc, filters = self._get_param("VpcId"), self._filters_from_querystring()
        self.ec2_backend.get_vpc(vpc)
        found = self.ec2_backend.describe_security_groups(filters={**filters, "vpc-id": [vpc]})
        return ActionResult(
            {
                "SecurityGroupForVpcs": [
                    {
                        "GroupId": one.id,
                        "GroupName": one.name,
                        "Description": one.description,
                        "OwnerId": one.owner_id,
                        "PrimaryVpcId": one.vpc_id,
                        "Tags": one.get_tags(),
                    }
                    for one in found
                ]
            }
        )

    def describe_coip_pools(self) -> ActionResult:
        """Say that there is no pool of addresses of an outpost."""
        for name in self._get_param("PoolIds", []):
            raise EC2ClientError(
                "InvalidPoolID.NotFound", f"The coip pool ID '{name}' does not exist"
            )
        return ActionResult({"CoipPools": []})

    def get_coip_pool_usage(self) -> ActionResult:
        """Say that the pool that is asked for is not there."""
        name = self._get_param("PoolId")
        raise EC2ClientError("InvalidPoolID.NotFound", f"The coip pool ID '{name}' does not exist")

    def describe_ipam_pools(self) -> ActionResult:
        """Say that there is no pool of an address manager."""
        for name in self._get_param("IpamPoolIds", []):
            raise EC2ClientError(
                "InvalidIpamPoolId.NotFound", f"The ipam-pool ID '{name}' does not exist"
            )
        return ActionResult({"IpamPools": []})
