"""The AWS account of the suite's sandbox: kept over kill -9, `down` and `up`, and nobody else's."""

import http.client
import json
import os
import socketserver
import stat
import subprocess
import sys
import threading
from urllib.parse import urlsplit

import faults
import pytest

from eksnet.cluster import connect
from eksnet.cluster.countdown import until
from eksnet.course import catalogue
from eksnet.sandbox import lifecycle, paths
from eksnet.sandbox.aws import keys
from eksnet.sandbox.aws.access import access
from eksnet.sandbox.vpc import plan

pytestmark = pytest.mark.sandbox

NOBODY = 65534
# Looks like a learner's own; whoever sends it anywhere is found.
OWN_KEY = "AKIAREALLOOKINGKEY00"


def users(cluster):
    return {user["UserName"]: user["UserId"] for user in cluster.aws("iam").list_users()["Users"]}


def secondary(cluster, node):
    wanted = [{"Name": "attachment.instance-id", "Values": [node.instance_id]}]
    (interface,) = cluster.aws("ec2").describe_network_interfaces(Filters=wanted)[
        "NetworkInterfaces"
    ]
    listed = interface["PrivateIpAddresses"]
    return {one["PrivateIpAddress"] for one in listed if not one["Primary"]}


def test_the_account_is_kept_over_kill_9_down_and_up_and_fresh_after_a_reset(live_sandbox):
    cluster = connect("sandbox")
    made = cluster.aws("iam").create_user(UserName="kept")["User"]["UserId"]
    before = faults.all_restarts("aws", cluster)
    faults.kill(faults.component_pid("aws"))
    faults.until("it was started again", lambda: faults.all_restarts("aws", cluster) > before)
    faults.until("the sandbox is ready", lambda: lifecycle.status().phase == "ready")
    assert users(cluster)["kept"] == made
    lifecycle.down()
    lifecycle.up()
    assert users(connect("sandbox"))["kept"] == made
    journal = paths.paths().aws / "account.jsonl"
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    lifecycle.reset()
    assert list(users(connect("sandbox"))) == [keys.USER]


def test_the_nodes_addresses_are_those_of_their_pods(cluster):
    def pods():
        found = cluster.list("pods", all_namespaces=True)
        return {
            node.instance_id: {
                pod["status"]["podIP"]
                for pod in found
                if pod["spec"]["nodeName"] == node.name
                and not pod["spec"].get("hostNetwork")
                and pod["status"]["phase"] == "Running"
            }
            for node in plan().nodes
        }

    def told():
        return {node.instance_id: secondary(cluster, node) for node in plan().nodes}

    assert until(
        "the addresses of the nodes", lambda: told() == pods() and any(pods().values()), 30
    )
    node = plan().nodes[0]
    spec = {
        "nodeName": node.name,
        "containers": [{"name": "main", "image": "busybox:1.36", "command": ["sleep", "600"]}],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "address"}, "spec": spec}
    before = told()[node.instance_id]
    cluster.apply(json.dumps(pod))
    cluster.wait("pod", "address", "Ready")
    address = cluster.get("pod/address")["status"]["podIP"]
    assert secondary(cluster, node) == {*before, address}
    cluster.delete("pod", "address")
    assert until("the address to go", lambda: secondary(cluster, node) == before, 60)


def test_another_user_of_the_computer_gets_nothing(live_sandbox):
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    found = access()
    script = (
        "import encodings.idna, os, socket, sys\n"
        f"os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "for file in sys.argv[2:]:\n"
        "    try:\n"
        "        open(file).read(); print('read', file)\n"
        "    except PermissionError:\n"
        "        pass\n"
        "for path in ('/', '/clusters', '/?Action=DescribeVpcs&Version=2016-11-15'):\n"
        "    connection = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "    connection.sendall(b'GET ' + path.encode() + b' HTTP/1.0' + bytes([13, 10, 13, 10]))\n"
        "    print(connection.recv(12).decode())\n"
    )
    state = paths.paths().aws
    files = [found.keys, state / "account.jsonl", state / "eks.json"]
    done = subprocess.run(
        [sys.executable, "-c", script, str(urlsplit(found.endpoint).port), *map(str, files)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split("\n") == [*3 * ["HTTP/1.1 403"], ""]


class Recorder(socketserver.ThreadingTCPServer):
    """Stands where AWS's own endpoints and proxies would be; remembers whoever comes."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Request)
        self.seen = []


class Request(socketserver.StreamRequestHandler):
    def handle(self):
        self.server.seen.append(self.rfile.readline())


@pytest.fixture
def elsewhere():
    recorder = Recorder()
    threading.Thread(target=recorder.serve_forever, daemon=True).start()
    yield recorder
    recorder.shutdown()
    recorder.server_close()


@pytest.mark.notebook
def test_the_course_uses_no_other_account_whatever_is_set(fresh_sandbox, elsewhere, tmp_path):
    url = f"http://127.0.0.1:{elsewhere.server_address[1]}"
    (tmp_path / ".aws").mkdir()
    for name, section in (("credentials", "company"), ("config", "profile company")):
        (tmp_path / ".aws" / name).write_text(
            f"[{section}]\naws_access_key_id = {OWN_KEY}\naws_secret_access_key = x\n"
            f"region = us-east-1\nendpoint_url = {url}\n"
        )
    own = {
        "HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": OWN_KEY,
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_SESSION_TOKEN": "x",
        "AWS_PROFILE": "company",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
        "AWS_ENDPOINT_URL_EKS": url,
        "AWS_ENDPOINT_URL_STS": url,
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": url,
        "HTTP_PROXY": url,
        "HTTPS_PROXY": url,
    }
    done = subprocess.run(
        [sys.executable, "-m", "eksnet", "run", catalogue.find("02a").stem],
        env={**os.environ, **own}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert elsewhere.seen == []
    # With another key nothing would have been answered.
    log = paths.paths().log("aws").read_text()
    assert OWN_KEY not in log
    connection = http.client.HTTPConnection(urlsplit(access().endpoint).netloc, timeout=10)
    scope = f"{OWN_KEY}/20260101/ap-northeast-2/eks/aws4_request"
    signed = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
    headers = {"Authorization": signed, "X-Amz-Date": "20260101T000000Z"}
    connection.request("GET", "/clusters", headers=headers)
    assert connection.getresponse().status == 403
