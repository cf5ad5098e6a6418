"""Credentials stay in memory: a kernel that is killed leaves no private key behind."""

import base64
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from eksnet.cluster import credentials
from eksnet.cluster.credentials import configure
from eksnet.errors import EksnetError

LONG_AGO = "2020-01-01T00:00:00Z"


def data(text):
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


def write(tmp_path, user):
    path = tmp_path / "config"
    cluster = {"server": "https://api.test", "certificate-authority-data": data("authority")}
    config = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "lab", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "lab",
    }
    path.write_text(json.dumps(config))
    return str(path)


def contents(configuration):
    files = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    return [Path(file).read_text() for file in files]


def test_certificates_are_held_in_memory(tmp_path, temporary):
    user = {"client-certificate-data": data("certificate"), "client-key-data": data("key")}
    config = write(tmp_path, user)
    # Twice: the official client remembers the files that it wrote, also those that are gone.
    for _ in range(2):
        configuration = configure(config, "lab")
        assert contents(configuration) == ["authority", "certificate", "key"]
        assert list(temporary.iterdir()) == []


def test_files_that_the_kubeconfig_names_stay_where_they_are(tmp_path, temporary):
    for name in ("certificate", "key"):
        (tmp_path / name).write_text(name)
    user = {
        "client-certificate": str(tmp_path / "certificate"),
        "client-key": str(tmp_path / "key"),
    }
    configuration = configure(write(tmp_path, user), "lab")
    assert configuration.key_file == str(tmp_path / "key")
    assert contents(configuration) == ["authority", "certificate", "key"]


def test_a_renewed_token_leaves_the_authority_in_memory(tmp_path, temporary):
    count = tmp_path / "count"
    program = f"""
import json, pathlib
count = pathlib.Path({str(count)!r})
n = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(n))
status = {{"token": f"token {{n}}", "expirationTimestamp": {LONG_AGO!r}}}
version = "client.authentication.k8s.io/v1"
print(json.dumps({{"apiVersion": version, "kind": "ExecCredential", "status": status}}))
"""
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", program],
        "interactiveMode": "Never",
    }
    configuration = configure(write(tmp_path, {"exec": plugin}), "lab")
    for n in (2, 3):
        token = configuration.auth_settings()["BearerToken"]["value"]
        assert token == f"Bearer token {n}"
        assert Path(configuration.ssl_ca_cert).read_text() == "authority"
        assert list(temporary.iterdir()) == []


def test_nothing_is_left_of_credentials_that_cannot_be_had(tmp_path, temporary):
    user = {"client-certificate-data": data("certificate"), "client-key": str(tmp_path / "none")}
    with pytest.raises(EksnetError, match="cannot be read"):
        configure(write(tmp_path, user), "lab")
    assert list(temporary.iterdir()) == []


@pytest.fixture
def elsewhere(temporary, monkeypatch):
    """A system that has no files in memory, as macOS."""
    monkeypatch.delattr(os, "memfd_create")
    for kept in (credentials._copy, credentials._directory):
        kept.cache_clear()
    yield temporary
    for kept in (credentials._copy, credentials._directory):
        kept.cache_clear()


CERTIFICATES = {"client-certificate-data": data("certificate"), "client-key-data": data("key")}


def test_where_no_file_is_in_memory_only_the_owner_reads_them(tmp_path, elsewhere):
    for _ in range(2):
        configuration = configure(write(tmp_path, CERTIFICATES), "lab")
        assert contents(configuration) == ["authority", "certificate", "key"]
    (directory,) = elsewhere.iterdir()
    assert directory.stat().st_mode & 0o777 == 0o700
    assert [file.stat().st_mode & 0o777 for file in directory.iterdir()] == [0o600] * 3


CONNECTS = """
import os, signal, sys
del os.memfd_create
from eksnet.cluster.credentials import configure
print(configure(sys.argv[1], "lab").key_file, flush=True)
if sys.argv[2] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("how", "left"), [("ends", False), ("killed", True)])
def test_what_a_killed_kernel_leaves_the_next_one_deletes(how, left, tmp_path, elsewhere):
    config = write(tmp_path, CERTIFICATES)
    command = [sys.executable, "-c", CONNECTS, config, how]
    environment = {**os.environ, "TMPDIR": str(elsewhere)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    key = Path(done.stdout.strip())
    assert key.is_relative_to(elsewhere), done.stderr
    assert key.exists() == left
    (elsewhere / f"{credentials._PREFIX}-{os.getuid()}-none-x").mkdir()
    configure(config, "lab")
    assert not key.exists()
    assert len(list(elsewhere.iterdir())) == 1
