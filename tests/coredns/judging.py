"""CoreDNS's own parser and plugins' set-up functions, asked about many Corefiles in one process."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from eksnet.sandbox.build import MODULE, engine_directory, toolchain

HERE = Path(__file__).parent / "setups"
# Where the helper is, there are these; the rest of what a pod has is put there.
FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/coredns/Corefile")
ACCOUNT = "/run/secrets/kubernetes.io/serviceaccount"
INSIDE = f"""
mount -t tmpfs none /run && mkdir -p {ACCOUNT} && echo t > {ACCOUNT}/token
cp "$2" {ACCOUNT}/ca.crt; ip link set lo up; cd / && exec "$1"
"""
POD = {"KUBERNETES_SERVICE_HOST": "10.100.0.1", "KUBERNETES_SERVICE_PORT": "443"}


class Judge:
    """The parser and the set-up functions of the engine's CoreDNS, in one process."""

    def __init__(self, program: Path, authority: Path) -> None:
        namespaces = ["unshare", "--user", "--map-root-user", "--net", "--mount"]
        self._process = subprocess.Popen(
            [*namespaces, "sh", "-ec", INSIDE, "sh", str(program), str(authority)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", **POD},
        )  # fmt: skip

    def __call__(self, text: str, environment: dict[str, str] | None = None) -> str:
        """Return why CoreDNS refuses a Corefile; empty when it does not."""
        line = json.dumps({"Text": text, "Env": environment or {}})
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        self._process.stdin.close()
        self._process.wait(30)


def build(where: Path) -> Path:
    """Return the judge's program; it is linked with what the engine's build has compiled."""
    go = toolchain.find(engine_directory(), MODULE.go_directive)
    assert go, "no Go; `make test` builds the engine first, and that installs one"
    place = MODULE.source / "cmd" / "judge" / "main.go"
    replaced = {"Replace": {str(place): str(HERE / "main.go")}}
    (where / "overlay.json").write_text(json.dumps(replaced))
    flags = next(one.flags for one in MODULE.programs if one.name == "coredns")
    subprocess.run(
        [go.path, "build", *flags, "-overlay", where / "overlay.json", "-o", where / "judge",
         "./cmd/judge"],
        cwd=MODULE.source, env=toolchain.environment(engine_directory()), check=True,
    )  # fmt: skip
    return where / "judge"
