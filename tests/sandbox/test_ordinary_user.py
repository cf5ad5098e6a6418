"""The sandbox of an ordinary user: no root, one mapped id, no new privileges."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import attack
import faults
import pytest
import volumes
import walls
import wanted
import yaml

from eksnet.sandbox import build, paths

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user"),
]

ROOT = Path(__file__).parents[2]
SYSTEM_PYTHON = Path("/usr/bin/python3")
UID, STRANGER = 12345, 54321
POD = """
apiVersion: v1
kind: Pod
metadata: {name: asks}
spec:
  restartPolicy: Never
  securityContext: {runAsUser: 1000, fsGroup: 2000}
  containers:
  - name: asks
    image: busybox:1.36
    command: [sh, -c, "id -u; nslookup -type=a kubernetes.default.svc.cluster.local"]
"""
HOST = [{"name": "host", "hostPath": {"path": "/"}}]
MEANS_ILL = {
    "name": "ill",
    "image": "debian:12",
    "command": ["sh", "-c", attack.SCRIPT],
    "securityContext": {"privileged": True},
    "volumeMounts": [{"name": "host", "mountPath": "/host"}],
}
ILL = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "ill"},
    "spec": {"restartPolicy": "Never", "hostPID": True, "containers": [MEANS_ILL], "volumes": HOST},
}


class User:
    """Runs commands as an ordinary user with a home of its own."""

    def __init__(self, home):
        self.home = home
        self.environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "EKSNET_ENGINE_DIR": str(home / "engine"),
        }

    def run(self, *command, uid=UID):
        become = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs"]
        return subprocess.run(
            [*become, *map(str, command)], env=self.environment, cwd="/",
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip

    def eksnet(self, *arguments):
        return self.run(self.home / "project/.venv/bin/python", "-m", "eksnet.cli", *arguments)

    def processes(self):
        owned = (entry for entry in Path("/proc").glob("[0-9]*") if _owner(entry) == UID)
        return [entry.name for entry in owned if "\nState:\tZ" not in _status(entry)]


def _owner(entry):
    try:
        return entry.stat().st_uid
    except OSError:
        return None


def _status(entry):
    try:
        return (entry / "status").read_text()
    except OSError:
        return "\nState:\tZ"


@pytest.fixture(scope="module")
def user():
    """A user with a copy of the project, its packages and the engine's programs."""
    if not SYSTEM_PYTHON.exists():
        pytest.skip(f"no {SYSTEM_PYTHON} that every user can run")
    # Not below pytest's own directory, which only root may enter.
    home = Path(tempfile.mkdtemp(prefix="eksnet-user-"))
    project = home / "project"
    skip = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, project, ignore=skip)
    subprocess.run(
        ["uv", "sync", "--quiet", "--frozen", "--no-dev", "--python", SYSTEM_PYTHON],
        cwd=project, check=True, env={**os.environ, "UV_LINK_MODE": "copy"},
    )  # fmt: skip
    programs = build.program("kube").parent
    shutil.copytree(programs, home / "engine" / programs.name)
    subprocess.run(["chown", "-R", f"{UID}:{UID}", home], check=True)
    home.chmod(0o755)
    person = User(home)
    yield person
    person.eksnet("down")
    shutil.rmtree(home)


def test_the_sandbox_of_an_ordinary_user(user):
    up = user.eksnet("up")
    assert up.returncode == 0, up.stderr
    assert user.processes()

    manifest = user.home / "pod.yaml"
    manifest.write_text(POD + "---\n" + yaml.safe_dump(ILL))
    manifest.chmod(0o644)
    assert user.eksnet("kubectl", "apply", "-f", manifest).returncode == 0
    done = ("--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    assert user.eksnet("kubectl", "wait", "pod/asks", "pod/ill", *done).returncode == 0
    log = user.eksnet("kubectl", "logs", "asks").stdout
    assert log.splitlines()[0] == "0"
    assert "Address: 10.100.0.1" in log
    events = user.eksnet("kubectl", "events", "--for", "pod/asks").stdout
    assert "UserIgnored" in events
    # The engine's programs belong to the user that root of a node is here.
    log = user.eksnet("kubectl", "logs", "ill").stdout
    assert attack.found(log) == attack.HELD, log

    kubeconfig = next(user.home.glob(".local/state/eksnet/sandbox/kubeconfig"))
    assert user.run("cat", kubeconfig).returncode == 0
    assert user.run("cat", kubeconfig, uid=STRANGER).returncode != 0

    # The user may enter the sandbox's internet, where the load balancer's name is known, and
    # nothing listens at its addresses.
    wish(user, wanted.desired())
    name = wanted.balancer()["dns_name"]
    curl = ("curl", "--silent", "--show-error", f"http://{name}/")
    faults.until("the load balancer is there", lambda: user.eksnet(*curl).returncode == 7)
    assert f"to connect to {name} port 80" in user.eksnet(*curl).stderr

    assert user.eksnet("down").returncode == 0
    assert user.processes() == []


def wish(user, state):
    """Have the sandbox follow a desired state, as if its AWS services had written it."""
    place = user.home / ".local/state/eksnet/sandbox/cluster/load-balancers/desired.json"
    draft = place.with_name("draft")
    draft.write_text(json.dumps(state))
    os.chown(draft, UID, UID)
    draft.rename(place)


@pytest.fixture
def places(user):
    """A directory of the user's in each place where they have files."""
    found = [Path(tempfile.mkdtemp(dir=one)) for one in ("/tmp", "/var/tmp", "/home", user.home)]
    yield found
    for place in found:
        shutil.rmtree(place)


def test_the_cluster_of_an_ordinary_user_reaches_none_of_their_files(user, places):
    victims = volumes.victims(places)
    subprocess.run(["chown", "-R", f"{UID}:{UID}", *places], check=True)
    assert user.eksnet("up").returncode == 0
    assert walls.Walls(paths.Paths(user.home / ".local/state/eksnet/sandbox")).complaints() == {}

    def kubectl(*words):
        done = user.eksnet("kubectl", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    manifest = user.home / "volumes.yaml"
    manifest.write_text(volumes.manifest(victims))
    manifest.chmod(0o644)
    kubectl("apply", "-f", manifest)
    kubectl("wait", "pvc", "--all", "--for=jsonpath={.status.phase}=Bound", "--timeout=60s")
    kubectl("delete", "pvc", "--all")
    refused = ["Failed" for path in victims.values() if not volumes.is_deleted_as_temporary(path)]
    phases = ("get", "pv", "-o", "jsonpath={.items[*].status.phase}")
    faults.until("each volume is deleted or refused", lambda: kubectl(*phases).split() == refused)
    assert volumes.lost(victims) == []
    assert user.eksnet("down").returncode == 0
