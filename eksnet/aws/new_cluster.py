"""A cluster on EKS where the learner has none: shown first, then made and deleted with eksctl.

It is the pre-setup of the course document. The config file is `cluster.yaml`, beside this module.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

import yaml

from eksnet import inputs, versions
from eksnet.aws import prices
from eksnet.aws.billing import Bill, Item
from eksnet.errors import EksnetError

NAME, REGION = "workbook", "ap-northeast-2"
# The zones of the sandbox's region; elsewhere eksctl chooses.
_ZONES = {REGION: (f"{REGION}a", f"{REGION}c")}
_TEMPLATE = Path(__file__).with_name("cluster.yaml")
_EKSCTL = "https://docs.aws.amazon.com/eks/latest/eksctl/installation.html"
MINUTES = 20
"""About as long as it takes; a guess, which nobody has measured with this config."""


@dataclass(frozen=True)
class NewCluster:
    """A cluster that eksctl is to make.

    Attributes:
        name: Its name.
        region: The region.
        zones: The availability zones; empty where eksctl chooses.
    """

    name: str = NAME
    region: str = REGION
    zones: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        inputs.label(self.name, "the cluster's name", NAME)
        inputs.label(self.region, "the region", REGION)
        for zone in self.zones:
            inputs.label(zone, "the zone", f"{REGION}a")

    @property
    def config(self) -> str:
        """The config file for eksctl."""
        zones = self.zones or _ZONES.get(self.region, ())
        line = f"availabilityZones: {json.dumps(zones)}" if zones else "# eksctl chooses the zones."
        return Template(_TEMPLATE.read_text()).substitute(
            name=self.name,
            region=self.region,
            version=f"{versions.MAJOR}.{versions.MINOR}",
            zones=line,
        )

    @property
    def makes(self) -> tuple[str, ...]:
        """What it makes, in words."""
        config = yaml.safe_load(self.config)
        (group,) = config["managedNodeGroups"]
        return (
            f"the cluster {self.name} in {self.region}, Kubernetes {config['metadata']['version']}",
            f"a VPC {config['vpc']['cidr']} with a public and a private subnet in each zone",
            "an internet gateway, and one NAT gateway with a public address",
            f"{group['desiredCapacity']} nodes {group['instanceType']}, each with a disk of "
            f"{group['volumeSize']} GiB, in the private subnets",
            f"the add-ons {', '.join(one['name'] for one in config['addons'])}",
            "roles in IAM for the cluster and its nodes, and an OpenID Connect provider",
            "CloudFormation stacks with all of this: they are what `eksctl delete cluster` deletes",
        )

    @property
    def estimate(self) -> Bill:
        """What it costs by the hour, as far as prices are known."""
        (group,) = yaml.safe_load(self.config)["managedNodeGroups"]
        nodes = [f"instance {group['instanceType']}"] * group["desiredCapacity"]
        disks = [f"volume of {group['volumeSize']} GiB"] * group["desiredCapacity"]
        kinds = [prices.CLUSTER, prices.NAT, prices.ADDRESS, *nodes, *disks]
        items = (Item(kind, "", "the cluster", prices.price(kind, self.region)) for kind in kinds)
        return Bill(self.region, tuple(items))


def create_command(file: str) -> tuple[str, ...]:
    """Return eksctl's command that makes a cluster of a config file."""
    return ("eksctl", "create", "cluster", "--config-file", file)


def delete_command(one: NewCluster) -> tuple[str, ...]:
    """Return eksctl's command that deletes a cluster, and waits until it is gone."""
    where = ("--name", one.name, "--region", one.region)
    # Nothing is left running for which pods would have to be moved.
    return ("eksctl", "delete", "cluster", *where, "--wait", "--disable-nodegroup-eviction")


def create(one: NewCluster, variables: Mapping[str, str] = os.environ) -> int:
    """Make a cluster, and return eksctl's exit code.

    Args:
        one: The cluster.
        variables: The process' variables, with the credentials that eksctl takes.

    Raises:
        EksnetError: There is no eksctl, or the variables lead to a sandbox.
    """
    check(variables)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(one.config)
        file.flush()
        return _run(create_command(file.name), variables)


def delete(one: NewCluster, variables: Mapping[str, str] = os.environ) -> int:
    """Delete a cluster, and return eksctl's exit code.

    Args:
        one: The cluster.
        variables: The process' variables, with the credentials that eksctl takes.

    Raises:
        EksnetError: There is no eksctl, or the variables lead to a sandbox.
    """
    check(variables)
    return _run(delete_command(one), variables)


def check(variables: Mapping[str, str] = os.environ) -> None:
    """Refuse early what could not work.

    Args:
        variables: The process' variables.

    Raises:
        EksnetError: There is no eksctl, or the variables lead to a sandbox.
    """
    leads = sorted(name for name in variables if name.startswith("AWS_ENDPOINT_URL"))
    if leads:
        raise EksnetError(
            f"{leads[0]} is set: this shell's AWS is {variables[leads[0]]}",
            "AWS itself: a sandbox makes no cluster",
            'eval "$(eksnet env --undo)", or a new shell',
        )
    if shutil.which("eksctl", path=variables.get("PATH", "")) is None:
        raise EksnetError("there is no eksctl on the path", "eksctl", f"install it: {_EKSCTL}")


def _run(command: Sequence[str], variables: Mapping[str, str]) -> int:
    program = shutil.which(command[0], path=variables.get("PATH", ""))
    assert program is not None, "check has found it"
    return subprocess.call([program, *command[1:]], env=dict(variables))
