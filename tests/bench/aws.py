"""What the front costs: the same call through it and to plain moto, as ratios in one run.

Both are processes of their own on 127.0.0.1, asked in turn by the same client, so that both see the
same computer: ours verifies the signature, asks IAM and, for a write, has the disk hold it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from eksnet.sandbox import pki
from eksnet.sandbox.aws import keys, settings
from eksnet.sandbox.aws.keys import Keys
from eksnet.sandbox.components import AWS_ENVIRONMENT
from eksnet.sandbox.vpc import plan

sys.path.insert(0, str(Path(__file__).parents[1]))
import awsside

CALLS = 200
LIMITS = {"describe_cluster / plain moto": 3.0, "a write / plain moto": 2.0}
DEADLINE = 60.0


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="eksnet-bench-") as home, contextlib.ExitStack() as all:
        port, plain_port = free_port(), free_port()
        learner = keys.ensure(Path(home) / "aws.json")
        all.enter_context(running(front_command(Path(home), port), port))
        plain = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(plain_port)]
        all.enter_context(running(plain, plain_port))
        found = {
            "describe_cluster / plain moto": ratio(*describers(port, plain_port, learner)),
            "a write / plain moto": ratio(*writers(port, plain_port, learner)),
        }
    for name, value in found.items():
        print(f"{name}: {value:.2f} (at most {LIMITS[name]})")
    return int(any(value > LIMITS[name] for name, value in found.items()))


def front_command(home: Path, port: int) -> list[str]:
    authority = home / "ca.crt"
    authority.write_text("an authority that nobody asks")
    pki.ensure_public_authority(home)
    told = settings.of_sandbox(plan(), "https://127.0.0.1:6443", "http://127.0.0.1", authority)
    inside = json.loads(told.to_json()) | {
        "address": "127.0.0.1",
        "port": port,
        "pki": str(home),
        "keys": str(home / "aws.json"),
        "records": str(home / "eks.json"),
        "journal": str(home / "account.jsonl"),
        "desired": str(home / "desired.json"),
        "observed": str(home / "observed.json"),
    }
    file = home / "settings.json"
    file.write_text(json.dumps(inside))
    return [sys.executable, str(awsside.PROGRAM), str(file)]


@contextlib.contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    """Run a server; it listens inside the block."""
    environment = {**os.environ, **AWS_ENVIRONMENT, "PYTHONPYCACHEPREFIX": ""}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            deadline = time.monotonic() + DEADLINE
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    assert time.monotonic() < deadline and process.poll() is None, command
                    time.sleep(0.05)
            yield
        finally:
            process.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def client(service: str, port: int, learner: Keys) -> Any:
    return boto3.session.Session().client(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name=plan().region,
        aws_access_key_id=learner.access_key,
        aws_secret_access_key=learner.secret,
        config=Config(retries={"max_attempts": 0}),
    )


Call = Callable[[int], object]


def describers(port: int, plain_port: int, learner: Keys) -> tuple[Call, Call]:
    ours, plain = (client("eks", at, learner) for at in (port, plain_port))
    plain.create_cluster(
        name=settings.CLUSTER,
        roleArn=f"arn:aws:iam::{settings.ACCOUNT}:role/workbook-cluster",
        resourcesVpcConfig={"subnetIds": []},
    )
    return (
        lambda _: ours.describe_cluster(name=settings.CLUSTER),
        lambda _: plain.describe_cluster(name=settings.CLUSTER),
    )


def writers(port: int, plain_port: int, learner: Keys) -> tuple[Call, Call]:
    return writer(client("ec2", port, learner)), writer(client("ec2", plain_port, learner))


def writer(ec2: Any) -> Call:
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    return lambda number: ec2.create_security_group(
        GroupName=f"group-{number}", Description="of the bench", VpcId=vpc
    )


def ratio(ours: Call, plain: Call) -> float:
    """Return the median of our calls by that of plain moto's; each pair runs in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(CALLS):
        for call, taken in zip((ours, plain), times, strict=True):
            began = time.monotonic()
            call(number)
            taken.append(time.monotonic() - began)
    medians = [statistics.median(taken) for taken in times]
    print(f"{1000 * medians[0]:.1f} ms through the front, {1000 * medians[1]:.1f} ms to plain moto")
    return medians[0] / medians[1]


if __name__ == "__main__":
    sys.exit(main())
