"""An answered write is there after the process was killed, with the same ids, keys and times."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import awsside
import botocore.exceptions
import pytest

from eksnet.sandbox.aws.account import Account
from eksnet.sandbox.aws.settings import CLUSTER
from eksnet.sandbox.components import AWS_ENVIRONMENT

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
            "Action": "sts:AssumeRole",
        },
    }
)
ROLE = "arn:aws:iam::111122223333:role/viewer"
PATIENCE = 60.0
ENVIRONMENT = {**AWS_ENVIRONMENT, "PYTHONPYCACHEPREFIX": ""}


def told(side, *calls):
    """Return what reads answer, without the ids of the answers themselves."""
    found = []
    for service, call, parameters in calls:
        answer = getattr(side.client(service), call)(**parameters)
        found.append({key: value for key, value in answer.items() if key != "ResponseMetadata"})
    return found


def again(side):
    side.stop()
    side.start()


def test_everything_that_was_made_is_the_same_after_a_restart(side, capsys):
    ec2, elb, iam = side.client("ec2"), side.client("elbv2"), side.client("iam")
    acm, route53 = side.client("acm"), side.client("route53")
    facts = side.settings.cluster
    group = ec2.create_security_group(GroupName="g", Description="d", VpcId=facts.vpc_id)["GroupId"]
    ec2.create_tags(Resources=[group], Tags=[{"Key": "team", "Value": "a"}])
    for kind in ("rsa", "ed25519"):
        ec2.create_key_pair(KeyName=kind, KeyType=kind)
    balancer = elb.create_load_balancer(
        Name="b", Subnets=list(facts.subnet_ids[:2]), SecurityGroups=[group]
    )["LoadBalancers"][0]["LoadBalancerArn"]
    elb.create_target_group(Name="t", Protocol="HTTP", Port=80, VpcId=facts.vpc_id)
    certificate = acm.request_certificate(
        DomainName="shop.example.com",
        SubjectAlternativeNames=["*.shop.example.com", "a.example.com"],
    )["CertificateArn"]
    zone = route53.create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"]
    iam.create_role(RoleName="viewer", AssumeRolePolicyDocument=TRUST)
    sts = side.client("sts")
    role = "arn:aws:iam::111122223333:role/viewer"
    got = sts.assume_role(RoleArn=role, RoleSessionName="other")["Credentials"]
    reads = (
        ("ec2", "describe_security_groups", {"GroupIds": [group]}),
        ("ec2", "describe_key_pairs", {}),
        ("elbv2", "describe_load_balancers", {}),
        ("elbv2", "describe_target_groups", {}),
        ("elbv2", "describe_load_balancer_attributes", {"LoadBalancerArn": balancer}),
        ("acm", "get_certificate", {"CertificateArn": certificate}),
        ("route53", "list_resource_record_sets", {"HostedZoneId": zone}),
        ("iam", "list_roles", {}),
    )
    before = told(side, *reads)
    again(side)
    assert told(side, *reads) == before
    words = got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"]
    assert side.client("sts", *words).get_caller_identity()["Arn"].endswith("/viewer/other")
    assert "another answer" not in capsys.readouterr().err


def test_a_write_that_was_refused_changes_nothing_afterwards_either(side, capsys):
    iam = side.client("iam")
    iam.create_user(UserName="a")
    with pytest.raises(botocore.exceptions.ClientError, match="EntityAlreadyExists"):
        iam.create_user(UserName="a")
    again(side)
    names = [user["UserName"] for user in side.client("iam").list_users()["Users"]]
    assert names == ["a", "learner"] or names == ["learner", "a"]
    assert "another answer" not in capsys.readouterr().err


def test_reads_are_not_written_down(side):
    side.client("ec2").describe_vpcs()
    assert os.path.getsize(side.settings.journal) == 0


def test_half_a_line_is_cut_off(side):
    side.client("iam").create_user(UserName="a")
    side.stop()
    with open(side.settings.journal, "ab") as file:
        file.write(b'{"sent": {"service": "iam", "acc')
    side.start()
    side.client("iam").create_user(UserName="b")
    again(side)
    assert len(side.client("iam").list_users()["Users"]) == 3


def test_a_full_disk_loses_nothing_and_does_nothing(side, monkeypatch):
    iam = side.client("iam")
    iam.create_user(UserName="a")
    real = os.write

    def full(descriptor, data):
        return real(descriptor, data[:10]) if b'"sent"' in data else real(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(botocore.exceptions.ClientError, match="InternalFailure"):
        iam.create_user(UserName="b")
    monkeypatch.undo()
    names = {user["UserName"] for user in side.client("iam").list_users()["Users"]}
    assert names == {"a", "learner"}
    iam.create_user(UserName="b")
    again(side)
    assert len(side.client("iam").list_users()["Users"]) == 3


class Process:
    """The AWS side as a process of its own, on a port of 127.0.0.1."""

    def __init__(self, side, directory):
        self.side, self.directory, self.process = side, directory, None

    def start(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        settings = json.loads(self.side.settings.to_json()) | {"port": port}
        file = self.directory / "settings.json"
        file.write_text(json.dumps(settings))
        command = [sys.executable, str(awsside.PROGRAM), str(file)]
        self.process = subprocess.Popen(command, env={**os.environ, **ENVIRONMENT})
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline and self.process.poll() is None
                time.sleep(0.02)
        self.side.address = f"http://127.0.0.1:{port}"

    def kill(self):
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.process = None


@pytest.fixture
def process(side, tmp_path):
    side.stop()
    made = Process(side, tmp_path)
    yield made
    made.kill()
    side.start()


class Script:
    """Writes of several services, without end; what was answered is remembered by its id.

    Those of EKS are kept in a file of their own, not in the journal.
    """

    KINDS = ("group", "user", "balancer", "target", "entry", "certificate", "association")

    def __init__(self, side):
        self.side, self.count = side, 0
        self.answered = {kind: [] for kind in self.KINDS}

    def write(self):
        number, kind = self.count, self.KINDS[self.count % len(self.KINDS)]
        self.count += 1
        self.answered[kind].append(getattr(self, f"_{kind}")(number))

    def _group(self, number):
        return self.side.client("ec2").create_security_group(
            GroupName=f"g{number}", Description="d", VpcId=self.side.settings.cluster.vpc_id
        )["GroupId"]

    def _user(self, number):
        user = self.side.client("iam").create_user(UserName=f"u{number}")["User"]
        return user["UserId"], user["CreateDate"].replace(microsecond=0)

    def _target(self, number):
        return self.side.client("elbv2").create_target_group(
            Name=f"t{number}", Protocol="HTTP", Port=80, VpcId=self.side.settings.cluster.vpc_id
        )["TargetGroups"][0]["TargetGroupArn"]

    def _balancer(self, number):
        made = self.side.client("elbv2").create_load_balancer(
            Name=f"n{number}", Type="network", Subnets=[self.side.settings.cluster.subnet_ids[0]]
        )["LoadBalancers"][0]
        return made["LoadBalancerArn"], made["DNSName"]

    def _certificate(self, number):
        return self.side.client("acm").request_certificate(DomainName=f"c{number}.example.com")[
            "CertificateArn"
        ]

    def wanted(self):
        """Return the load balancers of which the data plane is told."""
        told = json.loads(Path(self.side.settings.desired).read_text())
        return {(one["arn"], one["dns_name"]) for one in told["load_balancers"]}

    def _entry(self, number):
        user = self.side.client("iam").create_user(UserName=f"e{number}")["User"]["Arn"]
        made = self.side.client("eks").create_access_entry(clusterName=CLUSTER, principalArn=user)
        return made["accessEntry"]["principalArn"]

    def _association(self, number):
        made = self.side.client("eks").create_pod_identity_association(
            clusterName=CLUSTER, namespace="default", serviceAccount=f"s{number}", roleArn=ROLE
        )
        return made["association"]["associationId"]

    def missing(self):
        eks = self.side.client("eks")
        entries = eks.get_paginator("list_access_entries").paginate(clusterName=CLUSTER)
        pods = eks.get_paginator("list_pod_identity_associations").paginate(clusterName=CLUSTER)
        groups = self.side.client("ec2").describe_security_groups()["SecurityGroups"]
        users = self.side.client("iam").list_users()["Users"]
        targets = self.side.client("elbv2").describe_target_groups()["TargetGroups"]
        balancers = self.side.client("elbv2").describe_load_balancers()["LoadBalancers"]
        certificates = self.side.client("acm").list_certificates()["CertificateSummaryList"]
        found = {
            "group": {one["GroupId"] for one in groups},
            "user": {(one["UserId"], one["CreateDate"].replace(microsecond=0)) for one in users},
            "target": {one["TargetGroupArn"] for one in targets},
            "balancer": {(one["LoadBalancerArn"], one["DNSName"]) for one in balancers},
            "certificate": {one["CertificateArn"] for one in certificates},
            "entry": {arn for page in entries for arn in page["accessEntries"]},
            "association": {one["associationId"] for page in pods for one in page["associations"]},
        }
        return {kind: set(ids) - found[kind] for kind, ids in self.answered.items()}


def killed_at_points(process, points, seed):
    """Write, kill the process at a random moment of a write, and look, as often as asked."""
    chance = random.Random(seed)
    script = Script(process.side)
    for _ in range(points):
        process.start()
        for _ in range(chance.randint(1, 6)):
            script.write()
        # In the middle of a write: it is answered or not, and then it counts or not.
        killer = subprocess.Popen(
            [sys.executable, "-c", KILL, str(process.process.pid), str(chance.uniform(0, 0.08))]
        )
        try:
            while True:
                script.write()
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
            killer.wait()
        process.kill()
        process.start()
        missing = script.missing()
        assert not any(missing.values()), (missing, seed)
        assert script.wanted() >= set(script.answered["balancer"]), seed
        process.kill()
    assert script.count > 2 * points


KILL = "import os, sys, time; time.sleep(float(sys.argv[2])); os.kill(int(sys.argv[1]), 9)"


def test_answered_writes_outlive_kill_9_at_five_random_points(process):
    killed_at_points(process, 5, random.randrange(2**32))


@pytest.mark.soak
def test_answered_writes_outlive_kill_9_at_fifty_random_points(process):
    killed_at_points(process, 50, random.randrange(2**32))


def test_an_account_that_cannot_be_read_again_is_not_made_anew(side):
    side.client("iam").create_user(UserName="a")
    side.stop()
    with open(side.settings.journal, "ab") as file:
        file.write(b"not a line of the journal\n")
    with pytest.raises(ValueError):
        Account(side.settings, dict)
    with open(side.settings.journal, "rb+") as file:
        file.truncate(file.read().index(b"not a line"))
    side.start()
