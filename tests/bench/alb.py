"""The Application Load Balancer beside httputil's plain ReverseProxy: ratios in one run.

Both stand before the same backend, and are asked in turn by the same client, so that both see the
same computer. Each round asks as often as it can, and then half as often as the plain one could,
both times in short turns: what else the computer does is then in the turns of both.
"""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eksnet.sandbox import build
from eksnet.sandbox.build import engine_directory, toolchain
from eksnet.sandbox.build.modules import MODULE

RATE, SLOWEST = "requests a second / plain ReverseProxy", "p99 at half that load / plain"
LEAST_RATE, MOST_P99 = 0.8, 2.0
ROUNDS = 5
CONNECTIONS, SECONDS, TURNS = 32, 0.5, 8
DEADLINE = 30.0
# Addresses that nothing else on this computer uses; the port is the listener's.
BALANCER, PLAIN, BACKEND, PORT = "127.83.0.1", "127.83.0.2", "127.83.0.3", 8083
GROUP = "arn:aws:elasticloadbalancing:ap-northeast-2:111122223333:targetgroup/bench/1"


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory(prefix="eksnet-bench-") as home, contextlib.ExitStack() as all:
        helper = compiled(Path(home))
        all.enter_context(running([helper, "backend", f"{BACKEND}:{PORT}"], BACKEND))
        all.enter_context(
            running([helper, "proxy", f"{PLAIN}:{PORT}", f"http://{BACKEND}:{PORT}"], PLAIN)
        )
        all.enter_context(running(balancer(Path(home)), BALANCER))
        wait_for_health(Path(home))
        client = Client(helper)
        for server in (PLAIN, BALANCER):
            client.ask(server, 1.0)
        measured = [measure(client) for _ in range(rounds)]
    for one in measured:
        print(one)
    rate = statistics.median(one.balancer_rate / one.plain_rate for one in measured)
    p99 = statistics.median(one.balancer_p99 / one.plain_p99 for one in measured)
    errors = sum(one.errors for one in measured)
    print(f"{RATE}: {rate:.2f} (at least {LEAST_RATE})")
    print(f"{SLOWEST}: {p99:.2f} (at most {MOST_P99})")
    print(f"errors: {errors} (none)")
    return int(rate < LEAST_RATE or p99 > MOST_P99 or errors > 0)


@dataclass(frozen=True)
class Round:
    """What one round saw: requests a second, and milliseconds at half the plain one's load."""

    plain_rate: float
    balancer_rate: float
    plain_p99: float
    balancer_p99: float
    errors: int

    def __str__(self) -> str:
        return (
            f"plain {self.plain_rate:.0f}/s, p99 {self.plain_p99:.2f} ms; "
            f"load balancer {self.balancer_rate:.0f}/s, p99 {self.balancer_p99:.2f} ms"
        )


@dataclass(frozen=True)
class Seen:
    """What a client saw: requests a second, milliseconds that the slowest in a hundred took."""

    rate: float
    p99: float
    errors: int


@dataclass(frozen=True)
class Client:
    """The helper's client."""

    helper: Path

    def ask(self, server: str, seconds: float, rate: float | None = None) -> Seen:
        """Ask a server, as often as it goes or at a rate, and return what the helper saw."""
        words = [f"http://{server}:{PORT}/", str(CONNECTIONS), str(seconds)]
        words += [] if rate is None else [str(rate)]
        said = subprocess.run([self.helper, "load", *words], stdout=subprocess.PIPE, check=True)
        found = json.loads(said.stdout)
        return Seen(found["rate"], found["p99"], found["errors"])

    def ask_both(self, rate: float | None = None) -> tuple[Seen, Seen]:
        """Ask the plain one and the load balancer in turns, each turn in the other order."""
        seen: dict[str, list[Seen]] = {PLAIN: [], BALANCER: []}
        for turn in range(TURNS):
            for server in (PLAIN, BALANCER) if turn % 2 == 0 else (BALANCER, PLAIN):
                seen[server].append(self.ask(server, SECONDS, rate))
        return together(seen[PLAIN]), together(seen[BALANCER])


def together(turns: list[Seen]) -> Seen:
    """Return what several turns of the same length come to; of the slow ones it is the median."""
    return Seen(
        statistics.mean(one.rate for one in turns),
        statistics.median(one.p99 for one in turns),
        sum(one.errors for one in turns),
    )


def measure(client: Client) -> Round:
    """Ask both as often as it goes, and then at half the plain one's load."""
    plain, balancer = client.ask_both()
    slow, slow_balancer = client.ask_both(plain.rate / 2)
    errors = sum(one.errors for one in (plain, balancer, slow, slow_balancer))
    return Round(plain.rate, balancer.rate, slow.p99, slow_balancer.p99, errors)


def compiled(home: Path) -> Path:
    """Compile the helper with the Go that has built the engine."""
    go = toolchain.find(engine_directory(), MODULE.go_directive)
    assert go is not None, "no Go: `eksnet engine build --keep-caches` leaves one"
    source = Path(__file__).parent / "alb" / "main.go"
    subprocess.run(
        [go.path, "build", "-trimpath", "-o", home / "helper", source],
        cwd=home, env=toolchain.environment(engine_directory()), check=True,
    )  # fmt: skip
    return home / "helper"


def balancer(home: Path) -> list[str | Path]:
    """Write what the load balancer shall do, and return its command."""
    forward = {"Type": "forward", "TargetGroupArn": GROUP}
    never = [{"Field": "path-pattern", "Values": ["/never/*"]}]
    rules = [
        {"arn": "rule", "priority": 1, "conditions": never, "actions": [forward]},
        {"arn": "default", "priority": "default", "conditions": [], "actions": [forward]},
    ]
    desired = {
        "region": "ap-northeast-2",
        "load_balancers": [{
            "arn": "bench", "name": "bench", "type": "application", "scheme": "internal",
            "dns_name": "bench.ap-northeast-2.elb.amazonaws.com", "attributes": {},
            "zones": [{"zone": "ap-northeast-2a", "private": BALANCER, "public": None}],
            "listeners": [{"arn": "listener", "port": PORT, "protocol": "HTTP", "rules": rules}],
        }],
        "target_groups": [{
            "arn": GROUP, "name": "bench", "protocol": "HTTP", "protocol_version": "HTTP1",
            "health_check": {
                "enabled": True, "protocol": "HTTP", "path": "/", "port": "traffic-port",
                "interval": 15, "timeout": 5, "healthy": 2, "unhealthy": 2, "matcher": "200",
            },
            "attributes": {}, "used_by": ["bench"],
            "targets": [
                {"id": BACKEND, "address": BACKEND, "port": PORT, "zone": "ap-northeast-2a"}
            ],
        }],
    }  # fmt: skip
    (home / "desired.json").write_text(json.dumps(desired))
    program = build.program("loadbalancer")
    return [program, "--desired", home / "desired.json", "--observed", home / "observed"]


def wait_for_health(home: Path) -> None:
    """Wait until the load balancer has found its target healthy."""
    deadline = time.monotonic() + DEADLINE
    observed = home / "observed" / "observed.json"
    while not observed.exists() or '"healthy"' not in observed.read_text():
        assert time.monotonic() < deadline, "the backend is not healthy"
        time.sleep(0.05)


@contextlib.contextmanager
def running(command: list[str | Path], address: str) -> Iterator[None]:
    """Run a server; it listens inside the block."""
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + DEADLINE
            while not listens(address):
                assert process.poll() is None, f"{command} has ended"
                assert time.monotonic() < deadline, f"{command} does not listen"
                time.sleep(0.02)
            yield
        finally:
            process.kill()


def listens(address: str) -> bool:
    try:
        socket.create_connection((address, PORT), timeout=1).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    raise SystemExit(main())
