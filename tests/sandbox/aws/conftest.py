"""EKS behind its front on 127.0.0.1, with an API server that the tests make up."""

import copy
import functools
import json
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from werkzeug.serving import make_server

from eksnet.sandbox import pki
from eksnet.sandbox.aws import keys, server
from eksnet.sandbox.aws.eks.ownership import ApplyError
from eksnet.sandbox.aws.settings import ACCOUNT, ClusterFacts, Settings

# One for all clients: each would read the services' models again.
SESSION = boto3.session.Session()
ACCESS = {"name": "workbook", "region": "ap-northeast-2"}


@functools.cache
def public_authority():
    """One for all tests: a key of this kind takes a moment to make."""
    with tempfile.TemporaryDirectory() as place:
        pki.ensure_public_authority(Path(place))
        return {file.name: file.read_bytes() for file in Path(place).iterdir()}


class PretendCluster:
    """Remembers what was applied; conflicts and a roll-out that hangs are a test's to set."""

    def __init__(self):
        self.objects = {}
        self.conflicts = []
        self.waits = ""
        self.pods = {}
        # The annotations of service accounts, by namespace and name.
        self.accounts = {}
        self.status = 200
        # How many requests nothing answers yet.
        self.away = 0

    def _is_away(self):
        self.away -= 1
        return self.away >= 0

    def apply(self, one, force, dry_run):
        if self._is_away():
            return 0, "connection refused"
        if self.status != 200:
            return self.status, {"message": "refused"}
        mine = [c for c in self.conflicts if c["kind"] == one["kind"]]
        if mine and not force and any(present(one, c["field"]) for c in mine):
            causes = [
                {
                    "reason": "FieldManagerConflict",
                    "field": c["field"],
                    "message": f'conflict with "{c.get("manager", "kubectl-edit")}" using v1',
                }
                for c in mine
            ]
            return 409, {"message": "conflict", "details": {"causes": causes}}
        if not dry_run:
            self.objects[one["kind"], one["metadata"]["name"]] = copy.deepcopy(one)
        return 200, one

    def delete(self, one):
        if self._is_away():
            raise ApplyError(0, "connection refused")
        self.objects.pop((one["kind"], one["metadata"]["name"]), None)

    def replicas_missing(self, objects):
        return self.waits

    def pod_addresses(self):
        return self.pods

    def annotations(self, namespace, account):
        return self.accounts.get((namespace, account))


def present(one, field):
    for step in field.strip(".").split("."):
        if not isinstance(one, dict) or step not in one:
            return False
        one = one[step]
    return True


class Side:
    """The AWS side, which a test can end and start again."""

    def __init__(self, directory, monkeypatch):
        self.cluster = PretendCluster()
        monkeypatch.setattr(server, "Cluster", lambda *_: self.cluster)
        self.keys = keys.ensure(directory / "aws.json")
        for name, content in public_authority().items():
            (directory / name).write_bytes(content)
        self.settings = Settings(
            address="127.0.0.1",
            port=0,
            api_server="192.0.2.1",
            pki=str(directory),
            keys=str(directory / "aws.json"),
            records=str(directory / "eks.json"),
            journal=str(directory / "account.jsonl"),
            desired=str(directory / "load-balancers" / "desired.json"),
            observed=str(directory / "load-balancers" / "observed.json"),
            origins=("http://127.0.0.1:1",),
            cluster=ClusterFacts(
                name="workbook",
                account=ACCOUNT,
                region="ap-northeast-2",
                version="1.35",
                endpoint="https://127.0.0.1:6443",
                ca="Q0E=",
                services="10.100.0.0/16",
                vpc_id="vpc-00000000000000001",
                subnet_ids=tuple(f"subnet-{number:017x}" for number in range(1, 5)),
                security_group_id="sg-00000000000000002",
                created="2026-01-01T00:00:00+00:00",
            ),
        )
        self.http = None
        # Where another process serves instead.
        self.address = ""

    def start(self):
        self.settings = Settings.from_json(self.settings.to_json())
        # The port first: tokens are signed for it.
        self.http = make_server(
            "127.0.0.1", 0, lambda *asked: self.side.front(*asked), threaded=True
        )
        self.settings = replace(self.settings, origins=(self.url,))
        self.side = server.Side(self.settings, begin=lambda run: None)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        return self

    def stop(self):
        self.http.shutdown()
        self.http.server_close()

    @property
    def worker(self):
        return self.side.worker

    @property
    def autoscaler(self):
        return self.side.autoscaler

    @property
    def records(self):
        return Path(self.settings.records)

    @property
    def url(self):
        return self.address or f"http://127.0.0.1:{self.http.server_port}"

    def client(self, service="eks", key=None, secret=None, token=None):
        return SESSION.client(
            service,
            endpoint_url=self.url,
            region_name="ap-northeast-2",
            aws_access_key_id=key or self.keys.access_key,
            aws_secret_access_key=secret or self.keys.secret,
            aws_session_token=token,
            config=Config(retries={"max_attempts": 0}),
        )


@pytest.fixture
def side(tmp_path, monkeypatch):
    started = Side(tmp_path, monkeypatch).start()
    yield started
    started.stop()


@pytest.fixture
def eks(side):
    return side.client()


def configuration(**values):
    return json.dumps(values)
