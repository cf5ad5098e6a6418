"""The internet, as far as a sandbox has one: one host, from which its load balancers are asked.

The host is a network namespace that the supervisor makes with the first load balancer. What is
started there has the learner's own files, but the VPC resolver answers for names.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from eksnet import interrupts
from eksnet.commands import runnable
from eksnet.errors import EksnetError
from eksnet.printable import printable
from eksnet.sandbox import desired, holder, locks, preflight
from eksnet.sandbox import paths as sandbox_paths
from eksnet.sandbox.borrowing import MESSAGE, borrowed, error
from eksnet.sandbox.desired import Desired, LoadBalancer
from eksnet.sandbox.paths import Paths

TRUST = "--trust-sandbox"
# In seconds. Curl's own is five minutes; what the learner says takes its place.
_PATIENCE = ("--connect-timeout", "10")
# After these words, curl forgets the options before them.
_AFRESH = ("--next", "-:")
_NO_CONFIGURATION = ("-q", "--disable")
_MADE_WITHIN = 5.0
_POLL = 0.05
_DIALER = Path(__file__).with_name("dialer.py")
# Programs there get these files in place of those of /etc, and no daemon of the computer is asked.
_WITH_NAMES = """
names=$1; shift
for name in resolv.conf nsswitch.conf; do
    [ ! -e /etc/$name ] || mount --bind "$names/$name" /etc/$name || exit 125
done
for daemon in /run/nscd /var/run/nscd; do
    [ ! -d $daemon ] || mount -t tmpfs none $daemon || exit 125
done
exec "$@"
"""
# A proxy is on the computer's own internet, and knows nothing of this one.
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def curl(words: Sequence[str], name: str | None = None) -> int:
    """Run the computer's curl on the internet and return its exit code.

    Args:
        words: Curl's options and URLs; `--trust-sandbox` is the only one of our own.
        name: The sandbox's name; see `eksnet.sandbox.paths.paths`.

    Raises:
        EksnetError: There is no curl, no sandbox that is up, or no load balancer in it.
    """
    paths = sandbox_paths.paths(name)
    entered = enter(paths)
    if shutil.which("curl", path=preflight.search_path()) is None:
        raise EksnetError(
            "curl is not installed",
            "curl on this computer: `eksnet curl` runs it",
            "sudo apt-get install curl",
        )
    command = [*entered, "curl", *_completed(words, paths)]
    asked = " ".join(words).lower()
    for balancer in wanted(paths).load_balancers:
        if balancer.is_internal and balancer.dns_name.lower() in asked:
            print(f"eksnet: {printable(runnable(internal(balancer)))}", file=sys.stderr, flush=True)
    code = subprocess.call(command, env=without_proxies(preflight.environment()))
    return code if code >= 0 else 128 - code


def _completed(words: Sequence[str], paths: Paths) -> list[str]:
    """Return curl's words with the time to wait that is ours, and the authority if it is wanted.

    Raises:
        EksnetError: There is no such authority.
    """
    if TRUST in words and not paths.certificates_ca.exists():
        raise EksnetError(
            f"{paths.certificates_ca} does not exist",
            "the authority of the sandbox's ACM, which a start makes",
            "`eksnet down`, then `eksnet up`",
        )
    trusted = ["--cacert", str(paths.certificates_ca)]
    found: list[str] = []
    for word in words:
        found += trusted if word == TRUST else [word]
        if word in _AFRESH:
            found += _PATIENCE
    # Only as its very first word it counts.
    first = 1 if found[:1] and found[0] in _NO_CONFIGURATION else 0
    return [*found[:first], *_PATIENCE, *found[first:]]


def dial(host: str, port: int, seconds: float, name: str | None = None) -> socket.socket:
    """Return a connection from the internet of a sandbox to one of its load balancers.

    The socket stays in that network wherever it is used.

    Args:
        host: The load balancer's name or address.
        port: Its port.
        seconds: How long it may take, in seconds.
        name: The sandbox's name; see `eksnet.sandbox.paths.paths`.

    Raises:
        EksnetError: There is no sandbox that is up, or no load balancer in it, or an internal one.
        OSError: There is no such name, or no connection; as `socket.create_connection` has it.
    """
    paths = sandbox_paths.paths(name)
    if paths.lent.exists():
        return borrowed(paths.lent, [host, port, seconds])
    entered = enter(paths)
    refuse_internal(paths, host)
    own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    words = [str(other.fileno()), host, str(port), str(seconds)]
    # Isolated and without site packages: it has to start quickly.
    command = [*entered, sys.executable, "-I", "-S", str(_DIALER), *words]
    with own:
        with other, interrupts.held():
            dialer = subprocess.Popen(
                command, pass_fds=[other.fileno()], env=preflight.environment(),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )  # fmt: skip
        try:
            said, descriptors, _, _ = socket.recv_fds(own, MESSAGE, 1)
        except BaseException:
            dialer.kill()
            raise
        finally:
            _, complaint = dialer.communicate()
    for descriptor in descriptors:
        return socket.socket(fileno=descriptor)
    raise error(said, complaint)


def internal(balancer: LoadBalancer) -> str:
    """Return what to say to whoever asks an internal load balancer from the internet."""
    ask = "kubectl run ask --rm -i --restart=Never --image=busybox -- wget -qO-"
    return (
        f"{balancer.name} is an internal load balancer: as on AWS, its name leads to private\n"
        "addresses, which answer only from inside the VPC. From a pod:\n"
        f"eksnet {ask} http://{balancer.dns_name}/"
    )


def refuse_internal(paths: Paths, host: str) -> None:
    """Refuse to wait for what answers only from inside the VPC.

    Raises:
        EksnetError: The host is an internal load balancer.
    """
    for balancer in wanted(paths).load_balancers:
        if balancer.is_internal and balancer.dns_name.lower() == host.lower().rstrip("."):
            seen, command = internal(balancer).rsplit("\n", 1)
            raise EksnetError(seen, "an internet-facing load balancer", command)


def wanted(paths: Paths) -> Desired:
    """Return the desired state of a sandbox's load balancers.

    Raises:
        EksnetError: Another version wrote it.
    """
    try:
        return desired.read((paths.load_balancers / desired.FILE).read_text())
    except FileNotFoundError:
        return Desired()
    except ValueError as error:
        raise EksnetError(
            str(error), "what this version of eksnet writes", "`eksnet down`, then `eksnet up`"
        ) from None


def without_proxies(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables by which no program asks a proxy."""
    return {name: value for name, value in variables.items() if name.lower() not in _PROXIES}


def enter(paths: Paths) -> list[str]:
    """Return the command that brings another command to the internet of a sandbox.

    The supervisor makes it a moment after the first load balancer is wanted.

    Args:
        paths: The sandbox's paths.

    Raises:
        EksnetError: The sandbox is not up, or has no load balancer.
    """
    deadline = time.monotonic() + _MADE_WITHIN
    while not (place := _mounted(paths)):
        if not wanted(paths).load_balancers:
            raise EksnetError(
                f"the sandbox {paths.state.name} has no load balancer",
                "a load balancer, which an Ingress or a call of the AWS API creates",
                "`eksnet kubectl get ingress -A` shows which Ingress has an address",
            )
        if time.monotonic() > deadline:
            raise EksnetError(
                f"the sandbox {paths.state.name} has no link to the internet yet",
                "a link a moment after the first load balancer",
                "`eksnet logs supervisor` says why",
            )
        time.sleep(_POLL)
    supervisor = _supervisor(paths)
    return [
        "nsenter", f"--target={supervisor}", "--user", "--preserve-credentials", f"--net={place}",
        "--", "unshare", "--mount", "--", "sh", "-c", _WITH_NAMES, "sh", str(paths.internet_names),
    ]  # fmt: skip


def _mounted(paths: Paths) -> Path | None:
    """Return the file that stands for the network, as it is seen from here; None before it is."""
    root = Path(f"/proc/{_supervisor(paths)}/root")
    place = root / paths.internet.resolve().relative_to("/")
    return place if os.path.ismount(place) else None


def _supervisor(paths: Paths) -> int:
    held_by = holder.recorded(paths) if locks.is_alive(paths) else None
    for child in holder.children(held_by) if held_by else ():
        return child
    raise EksnetError(f"the sandbox {paths.state.name} is down", "a running cluster", "`eksnet up`")
