"""The sandbox of an ordinary user: no root, one mapped id, no new privileges; and their grading."""

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import attack
import faults
import pytest
import volumes
import walls
import wanted
import yaml

sys.path.append(str(Path(__file__).parents[1] / "grading"))
import made

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


# The id that it runs as is the user's own; of the user's files and processes it sees none.
LOOKS = """
import os
seen = [os.path.exists({home!r}), sum(map(str.isdigit, os.listdir("/proc"))) < 10]
try:
    bytearray(3 * 2**30)
except MemoryError:
    seen.append("refused")
raise RuntimeError(seen)
"""
# Children share their parent's memory, and each is counted with all of it.
GROWS = """
import os, time
held = b"1" * (150 * 2**20)
for _ in range(16):
    if os.fork() == 0:
        time.sleep(600)
time.sleep(600)
"""


@pytest.fixture
def class_of_ones_own(user):
    """A folder of the user's for a class."""
    folder = user.home / "class"
    (folder / "submissions").mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


def grade(user, folder, *more, before=()):
    """Grade as the user, whose all the files are."""
    subprocess.run(["chown", "-R", f"{UID}:{UID}", folder], check=True)
    words = [
        "grade", folder / "submissions", "--csv", folder / "gradebook.csv", "--feedback",
        folder / "out", "--notebook", "05", *more,
    ]  # fmt: skip
    return user.run(*before, user.home / "project/.venv/bin/python", "-m", "eksnet.cli", *words)


def test_an_ordinary_user_replays_a_notebook_within_its_limits(user, class_of_ones_own):
    folder = class_of_ones_own
    looks = LOOKS.format(home=str(user.home / "class"))
    made.hand_in(folder, "ada", made.notebook(made.SOLVED, made.CHECK, looks, GROWS))
    done = grade(user, folder, "--replay")
    assert done.returncode == 1, done.stderr
    assert "ada: replay: 05_lab_hosts: cells failed, and the run went on: " in done.stdout
    assert "c2: RuntimeError: [False, True, 'refused']" in done.stdout
    ended = "it took more than 2048 MiB of memory, after cell c2"
    assert f"the run ended early: {ended}" in done.stdout
    progress = done.stderr.splitlines()
    assert progress[0].startswith("ada: 05_lab_hosts: replayed in ")
    assert progress[0].endswith(ended) and len(progress) == 2, done.stderr
    with (folder / "gradebook-criteria.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["checkpoint"] == "hosts-01"]
    assert {(row["state"], row["source"]) for row in rows} == {("PASS", "replay")}
    assert user.processes() == []


def test_a_user_who_may_make_no_namespaces_learns_it_before_the_first_run(user, class_of_ones_own):
    folder = class_of_ones_own
    made.hand_in(folder, "ada", made.notebook("1 / 0"))
    none = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
    before = ("unshare", "--user", "--map-root-user", "sh", "-c", none, "sh")
    done = grade(user, folder, "--replay", before=before)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("eksnet: this computer does not let you create a user namespace")
    assert "next:" in done.stderr
    assert [one.name for one in folder.iterdir()] == ["submissions"]


def test_what_a_user_may_not_read_or_write_is_named(user, class_of_ones_own):
    folder = class_of_ones_own
    for learner in ("file", "own"):
        made.hand_in(folder, learner, made.notebook("1 / 0"))
    (folder / "submissions/file.zip").chmod(0)
    closed = folder / "submissions/closed"
    closed.mkdir(mode=0)
    done = grade(user, folder)
    assert done.returncode == 1, done.stderr
    assert "closed: not at all: closed cannot be read: Permission denied" in done.stdout
    assert "file: zero: file.zip: it cannot be read: Permission denied" in done.stdout
    (folder / "out").chmod(0o500)
    done = grade(user, folder, "--replay")
    assert done.returncode == 2
    assert f"eksnet: {folder / 'out'} cannot be written: Permission denied" in done.stderr
