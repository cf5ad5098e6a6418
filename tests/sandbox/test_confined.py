"""A confined program: what it sees, what it reaches, what it may use, and that it ends.

Each program here is somebody's who wants out. The state of the sandbox that is lent to it is made
up: two ports of this computer, with something of the tests' own behind them.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import socket
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faults
import hostside
import pytest

from eksnet.sandbox import dryrun
from eksnet.sandbox import paths as sandbox_paths
from eksnet.sandbox.confined import Limits, confined
from eksnet.sandbox.paths import Paths

PLENTY = Limits(seconds=60)
# Over the socket, whose number is the last word, goes a line of JSON.
_HEAD = """
import json, os, socket, subprocess, sys, time
own = socket.socket(fileno=int(sys.argv[-1]))
def say(value):
    own.sendall(json.dumps(value).encode() + b"\\n")
def tried(what):
    try:
        return str(what())
    except BaseException as error:
        return type(error).__name__
"""


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def lent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Paths]:
    """The state of a sandbox whose API server and AWS side are servers of this test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    paths = sandbox_paths.paths("made")
    for place, text in {paths.authority: "an authority", paths.aws_keys: "{}"}.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    paths.run.mkdir()
    with serving() as api, serving() as aws:
        paths.port("api").write_text(str(api))
        paths.port("aws").write_text(str(aws))
        yield paths


def run(paths: Paths, program: str, limits: Limits = PLENTY) -> tuple[list[Any], str]:
    """Return what a program says until it ends, and why it was ended; nothing of it is left."""
    # By the name of the state all that it forks can be found.
    program = f"# {paths.state}\n{_HEAD}{textwrap.dedent(program)}"
    said = []
    with confined(paths, (sys.executable, "-c", program), limits) as running:
        while (line := running.line()) is not None:
            said.append(json.loads(line))
    assert hostside.naming(paths.state) == []
    return said, running.ended


def test_it_sees_programs_and_a_home_of_its_own_and_nothing_of_this_computers(
    lent: Paths, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    (home, listed, own, processes, environment), ended = run(
        lent,
        f"""
        say(os.environ["HOME"])
        say(sorted(os.listdir(os.environ["HOME"])))
        say([tried(lambda path=path: open(path).read()) for path in
             ({str(secret)!r}, "/etc/shadow", {str(lent.aws_keys)!r}, {__file__!r})])
        say(sorted(set(map(int, filter(str.isdigit, os.listdir("/proc")))) - {{1, os.getpid()}}))
        say(sorted(os.environ))
        """,
    )
    assert home != str(Path.home()) and listed == [".local"]
    assert own == ["FileNotFoundError"] * 4
    assert processes == []
    assert environment == ["EKSNET_ENGINE_DIR", "EKSNET_SANDBOX", "HOME", "LANG", "PATH", "PWD"]
    assert not ended


def test_it_reads_the_lent_sandboxs_files_and_changes_nothing_of_this_computers(
    lent: Paths,
) -> None:
    package = Path(sys.modules["eksnet"].__file__ or "").parent
    (keys, refused), _ = run(
        lent,
        f"""
        from eksnet.sandbox import paths
        say(paths.paths().aws_keys.read_text())
        say([tried(lambda path=path: open(path + "/mine", "w")) for path in
             ("/usr", "/usr/bin", {str(package)!r}, {sys.prefix!r})])
        """,
    )
    assert keys == "{}"
    assert refused == ["OSError"] * 4, "a read-only file system"


def test_two_ports_lead_out_and_no_other(lent: Paths) -> None:
    abstract = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    abstract.bind("\0eksnet-test-of-walls")
    abstract.listen()
    with serving() as other, abstract:
        api, aws = (int(lent.port(name).read_text()) for name in ("api", "aws"))
        (answers, refused), _ = run(
            lent,
            f"""
            from urllib.request import urlopen
            def ask(port):
                return urlopen(f"http://127.0.0.1:{{port}}/", timeout=5).read().decode()
            def unix():
                s = socket.socket(socket.AF_UNIX)
                s.connect("\\0eksnet-test-of-walls")
            say([tried(lambda: ask({api})), tried(lambda: ask({aws}))])
            say([tried(lambda: ask({other})), tried(unix),
                 tried(lambda: socket.create_connection(("1.1.1.1", 53), 3)),
                 tried(lambda: socket.create_connection(("10.0.0.2", 53), 3))])
            """,
        )
    assert answers == ["hello", "hello"]
    assert refused == ["URLError", "ConnectionRefusedError", "OSError", "OSError"]


def test_its_mounts_stay_and_it_makes_no_user_namespace(lent: Paths) -> None:
    (said,), _ = run(
        lent,
        """
        inside = "umount /usr; mount -o remount,bind,rw /usr; touch /usr/mine"
        done = subprocess.run(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", inside],
            capture_output=True, text=True,
        )
        say([done.stderr, os.path.exists("/usr/mine"), os.path.exists("/usr/bin")])
        """,
    )
    assert "unshare failed" in said[0] and "space" in said[0], "the limit is zero"
    assert said[1:] == [False, True]


FORKS = """
    count = 0
    try:
        while True:
            if os.fork() == 0:
                time.sleep(600)
            count += 1
    except OSError as error:
        say([count, type(error).__name__])
"""


def test_it_forks_to_a_number_and_all_that_it_has_started_ends_with_it(lent: Paths) -> None:
    (said,), _ = run(lent, FORKS, Limits(seconds=60, processes=64))
    assert 32 < said[0] <= 64 and said[1] == "BlockingIOError"


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("while True: pass", "it took more than 3 s"),
        ("time.sleep(600)", "it took more than 3 s"),
        ("while True:\n    try: os.fork()\n    except OSError: pass", "it took more than 3 s"),
    ],
    ids=["busy", "asleep", "forking"],
)
def test_it_ends_when_its_time_is_over(lent: Paths, program: str, why: str) -> None:
    began = time.monotonic()
    said, ended = run(lent, program, Limits(seconds=3, processes=128))
    assert (said, ended) == ([], why)
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("try:\n    x = bytearray(2 * 2**30)\nexcept MemoryError: say('refused')", ""),
        (
            """
            for _ in range(8):
                if os.fork() == 0:
                    x = bytearray(150 * 2**20)
                    x[::4096] = b"1" * len(x[::4096])
                    time.sleep(600)
            time.sleep(600)
            """,
            "it took more than 512 MiB of memory",
        ),
        (
            """
            try:
                for n in range(100):
                    open(f"/tmp/{n}", "wb").write(bytes(2**24))
            except OSError:
                say("refused")
            """,
            "",
        ),
    ],
    ids=["one process", "many processes", "files"],
)
def test_its_memory_has_an_end(lent: Paths, program: str, why: str) -> None:
    said, ended = run(lent, program, Limits(seconds=60, memory=512 * 2**20))
    assert ended == why
    assert said == ([] if why else ["refused"])


@pytest.mark.parametrize(
    "program",
    ["os.kill(os.getppid(), 9)\ntime.sleep(600)", "os.kill(-1, 9)\ntime.sleep(600)",
     "os.kill(1, 9)\nown.close()", "own.close()", "os._exit(7)"],
    ids=["its parent", "all", "the first process", "its socket", "itself"],
)  # fmt: skip
def test_what_it_kills_is_its_own(lent: Paths, program: str) -> None:
    said, ended = run(lent, program, Limits(seconds=10))
    assert said == [] and ended in ("", "it took more than 10 s")


def test_a_line_without_an_end_is_no_line(lent: Paths) -> None:
    said, ended = run(lent, "while True: own.sendall(b'x' * 65536)")
    assert (said, ended) == ([], "it said a line without an end")


HOSTS = ".:53 {{\n hosts {}\n}}\n"


def dry_runs() -> list[str]:
    """Return the dry runs that this process has started."""
    found = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = one.read_bytes().split(b"\0")
            if b"eksnet.sandbox.dryrun_inside" in words and str(os.getpid()).encode() in words:
                found.append(one.parent.name)
    return found


def test_a_corefile_is_run_dry_for_it_and_reads_no_file_of_this_computer(
    lent: Paths, tmp_path: Path
) -> None:
    secret = tmp_path / "hosts"
    secret.write_text("10.0.0.9 a.example\n")
    corefiles = [HOSTS.format("{\n 10.0.0.7 a.example\n }"), HOSTS.format(secret), "no Corefile {"]
    (answer, elsewhere, refused), ended = run(
        lent,
        f"""
        from eksnet.course.dryrun import dry_run
        for text in {corefiles!r}:
            found = dry_run(text, "a.example")
            say([found.refused, *[[one.rcode, *one.rdata, one.plugin] for one in found.answers]])
        """,
    )
    assert answer == ["", ["NOERROR", "10.0.0.7", "hosts"]] and not ended
    assert "10.0.0.9" not in str(elsewhere)
    assert "{" in refused[0]
    assert dry_runs() == []


def test_dry_runs_that_it_leaves_alone_are_counted_and_end_with_it(lent: Paths) -> None:
    (refused, number), _ = run(
        lent,
        """
        from eksnet.errors import EksnetError
        from eksnet.sandbox import paths
        from eksnet.sandbox.borrowing import DRY_RUN, borrowed
        held = []
        try:
            while len(held) < 20:
                held.append(borrowed(paths.paths().lent, DRY_RUN))
        except EksnetError as error:
            say(str(error).splitlines()[0])
        say(len(held))
        """,
    )
    assert refused == "4 dry runs are under way" and number == 4
    assert dry_runs() == []


def test_a_dry_run_has_a_bound_to_its_memory() -> None:
    started = dryrun.start()
    try:
        faults.until("it has a limit", lambda: "1073741824" in limits())
    finally:
        started.end()


def limits() -> str:
    found = [Path(f"/proc/{pid}/limits").read_text() for pid in dry_runs()]
    return "\n".join(line for text in found for line in text.splitlines() if "data size" in line)


def test_connections_to_the_lent_sandbox_are_counted(lent: Paths) -> None:
    api = int(lent.port("api").read_text())
    (closed, after), _ = run(
        lent,
        f"""
        from urllib.request import urlopen
        held = [socket.create_connection(("127.0.0.1", {api})) for _ in range(300)]
        time.sleep(1)
        def is_closed(one):
            one.setblocking(False)
            return tried(lambda: one.recv(1)) == "b''"
        say(sum(map(is_closed, held)) > 100)
        for one in held: one.close()
        time.sleep(1)
        say(urlopen("http://127.0.0.1:{api}/", timeout=10).read().decode())
        """,
    )
    assert (closed, after) == (True, "hello")
