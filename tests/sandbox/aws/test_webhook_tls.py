"""Who may ask the authenticator: the API server, by its certificate."""

import http.client
import json
import ssl
import subprocess
import sys
import threading

import pytest
from werkzeug.serving import make_server

from eksnet.sandbox import pki
from eksnet.sandbox.aws import server
from eksnet.sandbox.aws.eks.authenticator import Authenticator
from eksnet.sandbox.vpc import plan

# What takes longer to load than the API server takes to ask.
HEAVY = ("botocore", "boto3", "jsonschema", "yaml", "moto", "kubernetes")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pki")
    pki.ensure(directory, plan())
    return directory


@pytest.fixture
def port(certificates):
    nobody = Authenticator({}.get, {}.__getitem__, "workbook", [], lambda: [])
    served = make_server(
        "127.0.0.1", 0, nobody, threaded=True, ssl_context=server.tls(certificates)
    )
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield served.server_port
    served.shutdown()
    served.server_close()


def review(certificates, port, own=""):
    trust = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
    if own:
        trust.load_cert_chain(certificates / f"{own}.crt", certificates / f"{own}.key")
    asked = http.client.HTTPSConnection("127.0.0.1", port, context=trust, timeout=30)
    asked.request("POST", "/authenticate", json.dumps({"spec": {"token": "x"}}))
    return json.loads(asked.getresponse().read())["status"]["authenticated"]


def test_the_api_server_is_answered_and_knows_who_answers(certificates, port):
    assert review(certificates, port, "apiserver-kubelet") is False


@pytest.mark.parametrize("own", ["", "front-proxy"])
def test_who_shows_no_certificate_of_the_cluster_is_not_answered(certificates, port, own):
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        review(certificates, port, own)


def test_nothing_heavy_is_loaded_before_somebody_can_sign_in():
    code = (
        f"import sys, eksnet.sandbox.aws.server; print([n for n in {HEAVY!r} if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
