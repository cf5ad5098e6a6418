"""Who may do what: the kubelets' own door, and what a node's identity may change."""

import http.client
import json
import ssl
import subprocess
import sys
from urllib.parse import urlsplit

import faults
import pytest

from eksnet.sandbox import holder, lifecycle, paths
from eksnet.sandbox.vpc import plan

pytestmark = pytest.mark.sandbox
NODE1, NODE2 = plan().nodes
# Only the standard library, and no file but those it is told: it runs in the sandbox's namespaces.
ASK = """
import http.client, ssl, sys
address, authority, certificate, token = sys.argv[1:]
trust = ssl.create_default_context(cafile=authority)
if certificate:
    trust.load_cert_chain(certificate + ".crt", certificate + ".key")
asked = http.client.HTTPSConnection(address, 10250, context=trust, timeout=30)
asked.request("GET", "/pods", headers={"Authorization": "Bearer " + token} if token else {})
print(asked.getresponse().status)
"""


def kubelet_answers(certificate="", token=""):
    """Ask node 1's kubelet for its pods from the router's network; return the status."""
    own = paths.paths().identity
    supervisor = holder.children(faults.holder())[0]
    enter = ["nsenter", f"--target={supervisor}", "--user", "--net", "--preserve-credentials"]
    named = str(own / certificate) if certificate else ""
    done = subprocess.run(
        [*enter, sys.executable, "-c", ASK, str(NODE1.address.ip), own / "ca.crt", named, token],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stdout)


def test_a_kubelet_asks_who_it_is_and_whether_they_may(kubectl):
    assert kubelet_answers() == 401
    assert kubelet_answers(token="made-up") == 401
    token = kubectl("create", "token", "default").strip()
    assert kubelet_answers(token=token) == 403
    # Known to the cluster, but not by a right to look into nodes.
    assert kubelet_answers(certificate="scheduler") == 403
    assert kubelet_answers(certificate="apiserver-kubelet") == 200


def label(node, key):
    """Label a node with node 1's certificate; return the status and the API server's message."""
    own = paths.paths().identity
    trust = ssl.create_default_context(cafile=str(own / "ca.crt"))
    trust.load_cert_chain(own / "node1.crt", own / "node1.key")
    api = http.client.HTTPSConnection(urlsplit(lifecycle.status().api).netloc, context=trust)
    body = json.dumps({"metadata": {"labels": {key: "tried"}}})
    kind = {"Content-Type": "application/merge-patch+json"}
    api.request("PATCH", f"/api/v1/nodes/{node.name}", body, kind)
    answer = api.getresponse()
    return answer.status, json.loads(answer.read()).get("message", "")


def test_a_node_changes_itself_alone(cluster):
    assert label(NODE1, "eksnet/tried") == (200, "")
    assert label(NODE2, "eksnet/tried")[0] == 403
    assert "eksnet/tried" not in cluster.get("node", NODE2.name)["metadata"]["labels"]
    # What NodeRestriction alone forbids: the Node authoriser lets a node change itself.
    status, message = label(NODE1, "node-restriction.kubernetes.io/tried")
    assert (status, "is not allowed to modify labels" in message) == (403, True)
    cluster.patch("node", NODE1.name, {"metadata": {"labels": {"eksnet/tried": None}}})
