"""What clients notice of a change, from a cluster that only notes what is done with it."""

import itertools
import json
import os
import signal
import subprocess

import pytest

from eksnet import loadbalancer
from eksnet.errors import EksnetError
from eksnet.loadbalancer import clients

URL = "http://k8s-web.elb/"
# What busybox's wget says, and how it ends.
WGET = {
    "200": "exit 0",
    "503": "echo 'wget: server returned error: HTTP/1.1 503 Service Unavailable' >&2; exit 1",
    clients.NO_ANSWER: "echo 'wget: cannot connect to remote host: Refused' >&2; exit 1",
}


class Cluster:
    """A cluster that notes what is done, and has the log of the pod."""

    def __init__(self, log=""):
        self.log, self.done = log, []

    def apply(self, text, namespace):
        self.pod = json.loads(text)
        self.done.append(("apply", namespace))

    def wait(self, what, *, namespace):
        print(f"{what} is Ready", flush=True)
        self.done.append(("wait", what))

    def logs(self, _name, _namespace):
        self.done.append("logs")
        return self.log

    def delete(self, what, *, namespace):
        self.done.append(("delete", what))


def test_answers_are_counted_while_something_is_done(capsys):
    cluster = Cluster("200\n503\n200\nno answer\n")
    found = loadbalancer.answers_during(
        cluster, URL, lambda: (print("done"), cluster.done.append("work")), "app-ns"
    )
    assert found == {"200": 2, "503": 1, clients.NO_ANSWER: 1}
    assert cluster.done == [
        ("apply", "app-ns"), ("wait", "pod/client"), "work", "logs", ("delete", "pod/client"),
    ]  # fmt: skip
    # What the work itself prints is the reader's.
    assert capsys.readouterr().out == "done\n"


def test_the_clients_end_with_what_fails():
    cluster = Cluster()
    with pytest.raises(ZeroDivisionError):
        loadbalancer.answers_during(cluster, URL, lambda: 1 // 0)
    assert cluster.done[-1] == ("delete", "pod/client")


@pytest.mark.parametrize(("url", "work"), [("shop", print), (URL, None)])
def test_what_cannot_be_asked_or_done_is_refused(url, work):
    cluster = Cluster()
    with pytest.raises(EksnetError):
        loadbalancer.answers_during(cluster, url, work)
    assert cluster.done == []


@pytest.mark.parametrize("said", WGET)
def test_a_client_tells_how_each_request_ended(said, tmp_path):
    wget = tmp_path / "wget"
    wget.write_text(f"#!/bin/sh\nsleep 0.1\n{WGET[said]}\n")
    wget.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.defpath}", "URL": URL}
    with subprocess.Popen(
        ["sh", "-c", clients._SEND], env=environment, stdout=subprocess.PIPE,
        text=True, start_new_session=True,
    ) as running:  # fmt: skip
        try:
            told = [line.rstrip("\n") for line in itertools.islice(running.stdout, 6)]
        finally:
            os.killpg(running.pid, signal.SIGKILL)
    assert told == [said] * 6
