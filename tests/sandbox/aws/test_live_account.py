"""The AWS account of the suite's sandbox: kept over kill -9, `down` and `up`, and nobody else's."""

import http.client
import json
import os
import stat
import subprocess
import sys
from urllib.parse import urlsplit

import faults
import pytest
from otheraccount import OWN_KEY

from eksnet.cluster import connect
from eksnet.cluster.countdown import until
from eksnet.course import catalogue
from eksnet.sandbox import lifecycle, paths
from eksnet.sandbox.aws import keys
from eksnet.sandbox.aws.access import access
from eksnet.sandbox.vpc import plan

pytestmark = pytest.mark.sandbox

NOBODY = 65534


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


@pytest.mark.notebook
def test_the_course_uses_no_other_account_whatever_is_set(fresh_sandbox, another_account):
    done = subprocess.run(
        [sys.executable, "-m", "eksnet", "run", catalogue.find("02a").stem],
        env={**os.environ, **another_account.variables},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    another_account.assert_unused()
    # With its key nothing would have been answered.
    connection = http.client.HTTPConnection(urlsplit(access().endpoint).netloc, timeout=10)
    scope = f"{OWN_KEY}/20260101/ap-northeast-2/eks/aws4_request"
    signed = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
    headers = {"Authorization": signed, "X-Amz-Date": "20260101T000000Z"}
    connection.request("GET", "/clusters", headers=headers)
    assert connection.getresponse().status == 403
