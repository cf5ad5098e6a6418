"""`eksnet curl`: what it refuses, and which words curl gets."""

import functools
import json
import os
import socket
import subprocess
import sys
import threading

import pytest
from wanted import IN_NAMESPACES, balancer, desired

from eksnet.errors import EksnetError
from eksnet.sandbox import dialer, internet, pki
from eksnet.sandbox.paths import Paths

OURS = ["--connect-timeout", "10"]


@pytest.fixture
def paths(tmp_path):
    return Paths(tmp_path)


@pytest.fixture
def authority(paths):
    paths.certificates_ca.parent.mkdir()
    paths.certificates_ca.write_text("an authority")
    return str(paths.certificates_ca)


def want(paths, wanted):
    paths.load_balancers.mkdir(parents=True)
    (paths.load_balancers / "desired.json").write_text(
        wanted if isinstance(wanted, str) else json.dumps(wanted)
    )


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["http://x/"], [*OURS, "http://x/"]),
        # The last word on it counts.
        (["--connect-timeout", "3", "x"], [*OURS, "--connect-timeout", "3", "x"]),
        (["-q", "x"], ["-q", *OURS, "x"]),
        (["x", "-q"], [*OURS, "x", "-q"]),
        (["x", "--next", "y"], [*OURS, "x", "--next", *OURS, "y"]),
        (["-:", "y"], [*OURS, "-:", *OURS, "y"]),
        (["-v", "--trust-sandbox", "x"], [*OURS, "-v", "--cacert", "CA", "x"]),
        ([], OURS),
    ],
)
def test_curl_gets_its_own_words_and_a_time_to_wait(paths, authority, words, completed):
    found = internet._completed(words, paths)
    assert [word.replace(authority, "CA") for word in found] == completed


def test_the_authority_is_the_one_of_acm(paths):
    assert paths.certificates_ca.name == f"{pki.PUBLIC_AUTHORITY}.crt"


def test_a_wish_for_an_authority_that_is_not_there_is_refused(paths):
    with pytest.raises(EksnetError) as caught:
        internet._completed(["--trust-sandbox", "x"], paths)
    assert caught.value.next_step == "`eksnet down`, then `eksnet up`"


def test_no_proxy_is_asked():
    given = {"HTTPS_PROXY": "p", "http_proxy": "p", "All_Proxy": "p", "HOME": "h", "NO_PROXY": "n"}
    assert internet.without_proxies(given) == {"HOME": "h", "NO_PROXY": "n"}


def test_a_sandbox_that_is_down_is_said():
    with pytest.raises(EksnetError) as caught:
        internet.curl(["http://x/"], "never-started")
    assert "is down" in caught.value.seen


def test_without_curl_the_next_command_installs_it(monkeypatch):
    monkeypatch.setattr(internet, "enter", lambda paths: [])
    monkeypatch.setattr(internet.preflight, "search_path", lambda: "/nowhere")
    with pytest.raises(EksnetError) as caught:
        internet.curl(["http://x/"], "never-started")
    assert caught.value.next_step == "sudo apt-get install curl"


@pytest.mark.parametrize(("word", "is_said"), [("internal-Shop-1", True), ("shop-1", False)])
def test_curl_says_at_once_that_a_load_balancer_is_internal(
    tmp_path, monkeypatch, capfd, word, is_said
):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(internet, "enter", lambda paths: ["echo"])
    want(
        Paths(tmp_path / "eksnet" / "box"),
        desired(balancers=[balancer(), balancer(scheme="internal")]),
    )
    url = f"http://{word}.ap-northeast-2.elb.amazonaws.com/"
    assert internet.curl(["-s", url], "box") == 0
    said = capfd.readouterr()
    assert said.out == f"curl --connect-timeout 10 -s {url}\n"
    assert ("is an internal load balancer" in said.err) is is_said


def test_without_a_load_balancer_there_is_no_internet(paths, monkeypatch):
    monkeypatch.setattr(internet, "_mounted", lambda paths: None)
    with pytest.raises(EksnetError) as caught:
        internet.enter(paths)
    assert "has no load balancer" in caught.value.seen
    want(paths, desired())
    monkeypatch.setattr(internet, "_MADE_WITHIN", 0)
    with pytest.raises(EksnetError) as caught:
        internet.enter(paths)
    assert "has no link to the internet yet" in caught.value.seen


def test_another_versions_file_is_no_traceback(paths):
    want(paths, "{}")
    with pytest.raises(EksnetError) as caught:
        internet.wanted(paths)
    assert "desired.json" in caught.value.seen


@pytest.mark.parametrize(
    ("host", "refused"),
    [
        ("internal-shop-1.ap-northeast-2.elb.amazonaws.com", True),
        ("INTERNAL-shop-1.ap-northeast-2.elb.amazonaws.com.", True),
        ("shop-1.ap-northeast-2.elb.amazonaws.com", False),
        ("example.com", False),
    ],
)
def test_an_internal_load_balancer_is_not_waited_for(paths, host, refused):
    want(paths, desired(balancers=[balancer(), balancer(scheme="internal")]))
    if not refused:
        internet.refuse_internal(paths, host)
        return
    with pytest.raises(EksnetError) as caught:
        internet.refuse_internal(paths, host)
    assert "answer only from inside the VPC" in caught.value.seen
    assert "kubectl run" in caught.value.next_step


# The dialer, in a network of its own: the socket that it hands over stays there.


@pytest.fixture
def dial(monkeypatch):
    """Dial as in a sandbox, whose internet is a new network with a loopback alone."""
    inside = [*IN_NAMESPACES[:4], "--", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
    monkeypatch.setattr(internet, "enter", lambda paths: inside)
    return functools.partial(internet.dial, name="never-started")


@pytest.mark.parametrize(
    ("host", "error", "text"),
    [
        ("127.0.0.1", ConnectionRefusedError, "Connection refused"),
        ("192.0.2.1", OSError, "Network is unreachable"),
        ("a..b", OSError, ""),
        ("nobody.invalid", socket.gaierror, ""),
    ],
)
def test_an_error_of_the_dialer_is_the_callers(dial, host, error, text):
    with pytest.raises(error) as caught:
        dial(host, 9, 5)
    assert text in str(caught.value)


def test_what_fails_before_the_dialer_runs_is_told(monkeypatch):
    command = ["sh", "-c", "echo no namespace >&2; exit 1"]
    monkeypatch.setattr(internet, "enter", lambda paths: command)
    with pytest.raises(OSError, match="no namespace"):
        internet.dial("127.0.0.1", 9, 5, "never-started")


def test_the_dialer_hands_over_a_connection():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        words = [str(other.fileno()), "127.0.0.1", str(port), "5"]
        subprocess.run([sys.executable, "-I", "-S", dialer.__file__, *words],
                       pass_fds=[other.fileno()], check=True)  # fmt: skip
        _, (descriptor,), _, _ = socket.recv_fds(own, 100, 1)
        accepted, _ = server.accept()
        with socket.socket(fileno=descriptor) as connection, accepted:
            assert not os.get_blocking(descriptor) or connection.gettimeout() is None
            threading.Thread(target=accepted.sendall, args=[b"hello"]).start()
            assert connection.recv(5) == b"hello"
        own.close()
        other.close()
