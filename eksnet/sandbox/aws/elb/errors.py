"""How Elastic Load Balancing refuses, in its own words.

Each function says whether its words were *seen* in public reports, are *documented*, or are a
*guess*; docs/fidelity.md has the same.
"""

from __future__ import annotations

from collections.abc import Iterable

from moto.elbv2.exceptions import ELBClientError


def invalid(message: str) -> ELBClientError:
    """Return the refusal of a value."""
    return ELBClientError("ValidationError", message)


def invalid_configuration(message: str) -> ELBClientError:
    """Return the refusal of a combination."""
    return ELBClientError("InvalidConfigurationRequest", message)


def always_preserved(protocol: str) -> ELBClientError:
    """Return the refusal to hide clients from targets of datagrams (words are a guess)."""
    return invalid(
        f"Client IP preservation cannot be disabled for target groups with the protocol {protocol}"
    )


def bad_arn(what: str, arn: str) -> ELBClientError:
    """Return the refusal of what is no ARN of its kind in this account and region (seen)."""
    return invalid(f"'{arn}' is not a valid {what} ARN")


def no_balancer(message: str) -> ELBClientError:
    """Return the refusal of a load balancer that does not exist (seen)."""
    return ELBClientError("LoadBalancerNotFound", message)


def one_zone() -> ELBClientError:
    """Return the refusal of an Application Load Balancer in one zone (seen)."""
    return invalid("At least two subnets in two different Availability Zones must be specified")


def same_zone() -> ELBClientError:
    """Return the refusal of two subnets in one zone (seen)."""
    return invalid_configuration(
        "A load balancer cannot be attached to multiple subnets in the same Availability Zone"
    )


def no_subnet(subnet: str) -> ELBClientError:
    """Return the refusal of a subnet that does not exist (seen)."""
    return ELBClientError("SubnetNotFound", f"The subnet ID '{subnet}' does not exist")


def no_gateway(vpc: str) -> ELBClientError:
    """Return the refusal of an internet-facing one in a VPC without internet gateway (seen)."""
    return ELBClientError("InvalidSubnet", f"VPC {vpc} has no internet gateway")


def no_room(subnet: str, least: int) -> ELBClientError:
    """Return the refusal of a subnet with too few free addresses (seen)."""
    return ELBClientError(
        "InvalidSubnet",
        f"Not enough IP space available in {subnet}. ELB requires at least {least} free IP "
        "addresses in each subnet.",
    )


def no_allocation(allocation: str) -> ELBClientError:
    """Return the refusal of a public address that is not there, or in use (code documented)."""
    return ELBClientError(
        "AllocationIdNotFound", f"The allocation IDs '{allocation}' are not available for use"
    )


def no_security_group(group: str) -> ELBClientError:
    """Return the refusal of a security group that is not there (seen by others).

    The words are those of https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/2371
    without its request id.
    """
    return ELBClientError(
        "InvalidSecurityGroup",
        f"The security group '{group}' does not exist (Service: AmazonEC2; Status Code: 400; "
        "Error Code: InvalidGroup.NotFound; Proxy: null)",
    )


def foreign_security_group() -> ELBClientError:
    """Return the refusal of security groups of another VPC (seen)."""
    return invalid_configuration("One or more security groups are invalid")


def protected(arn: str) -> ELBClientError:
    """Return the refusal to delete what is protected (seen)."""
    return ELBClientError(
        "OperationNotPermitted",
        f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
    )


def same_name(what: str, code: str, name: str) -> ELBClientError:
    """Return the refusal of a name that is taken (seen)."""
    return ELBClientError(
        code, f"A {what} with the same name '{name}' exists, but with different settings"
    )


def taken_port(balancer: str) -> ELBClientError:
    """Return the refusal of a second listener on a port (seen)."""
    return ELBClientError(
        "DuplicateListener",
        f"A listener already exists on this port for this load balancer '{balancer}'",
    )


def no_certificate(protocol: str) -> ELBClientError:
    """Return the refusal of a listener without certificate (seen)."""
    return invalid(f"A certificate must be specified for {protocol} listeners")


def unknown_certificate(arn: str) -> ELBClientError:
    """Return the refusal of a certificate that is not there (seen)."""
    return ELBClientError("CertificateNotFound", f"Certificate '{arn}' not found")


def unknown_policy(name: str) -> ELBClientError:
    """Return the refusal of an SSL policy that is not there (the code is documented)."""
    return ELBClientError("SSLPolicyNotFound", f"SSL policy '{name}' not found")


def needless(what: str, protocol: str) -> ELBClientError:
    """Return the refusal of a certificate or policy where nothing is encrypted (seen)."""
    return invalid(f"{what} cannot be specified for {protocol} listeners")


def taken_priority(priority: int) -> ELBClientError:
    """Return the refusal of a priority that another rule has (seen)."""
    return ELBClientError("PriorityInUse", f"Priority '{priority}' is currently in use")


def default_rule(arn: str, what: str) -> ELBClientError:
    """Return the refusal to change or delete a listener's default rule (seen for deletion)."""
    return ELBClientError("OperationNotPermitted", f"Default rule '{arn}' cannot be {what}")


def incompatible(arn: str, protocol: str, its_own: str) -> ELBClientError:
    """Return the refusal of a target group of another protocol (seen, but for the end)."""
    return ELBClientError(
        "IncompatibleProtocols",
        f"The listener and its associated target group '{arn}' have incompatible protocols: "
        f"'{protocol}' and '{its_own}'",
    )


def other_vpcs(arn: str, balancer: str) -> ELBClientError:
    """Return the refusal of a target group of another VPC (seen)."""
    return invalid_configuration(
        f"Target group '{arn}' is in a different VPC than load balancer '{balancer}'"
    )


def other_balancer(arns: Iterable[str]) -> ELBClientError:
    """Return the refusal of target groups that another load balancer uses (seen)."""
    return ELBClientError(
        "TargetGroupAssociationLimit",
        "The following target groups cannot be associated with more than one load balancer: "
        + ", ".join(arns),
    )


def invalid_instance(target: str) -> ELBClientError:
    """Return the refusal of what is no instance (seen)."""
    return invalid(f"Instance ID '{target}' is not valid")


def other_vpc(target: str, vpc: str) -> ELBClientError:
    """Return the refusal of an instance of another VPC (the code is documented)."""
    return ELBClientError(
        "InvalidTarget",
        f"The following targets are not in the target group VPC '{vpc}': '{target}'",
    )


def invalid_address(target: str) -> ELBClientError:
    """Return the refusal of what is no address (a guess)."""
    return invalid(f"The IP address '{target}' is not a valid IPv4 address")


def public_address(target: str) -> ELBClientError:
    """Return the refusal of an address that can be routed publicly (a guess)."""
    return invalid(
        f"The IP address '{target}' must be in the VPC or in one of the blocks "
        "10.0.0.0/8, 100.64.0.0/10, 172.16.0.0/12, 192.168.0.0/16"
    )


def needs_zone(target: str) -> ELBClientError:
    """Return the refusal of an address outside of the subnets without a zone (seen)."""
    return invalid(
        f"The Availability Zone is required for IP address '{target}' because it is not in the VPC"
    )


def needless_zone(target: str, given: str, zone: str) -> ELBClientError:
    """Return the refusal of another zone for an address of the VPC (seen for `all`)."""
    return invalid(
        f"The IP address '{target}' is within the VPC, and cannot have its Availability Zone "
        f"overridden to '{given}' from '{zone}'"
    )
