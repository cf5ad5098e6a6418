"""An AWS account of the learner's own, which nothing of the course may use."""

from __future__ import annotations

import os
import socketserver
import threading
from dataclasses import dataclass
from pathlib import Path

from eksnet.sandbox import paths

# Looks like a learner's own.
OWN_KEY = "AKIAREALLOOKINGKEY00"


class _Recorder(socketserver.ThreadingTCPServer):
    """Stands where AWS's own endpoints and proxies would be; remembers whoever comes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.seen: list[bytes] = []


class _Request(socketserver.StreamRequestHandler):
    server: _Recorder

    def handle(self) -> None:
        self.server.seen.append(self.rfile.readline())


@dataclass(frozen=True)
class OtherAccount:
    """Keys, profiles and endpoints of another account.

    Attributes:
        variables: The variables of a process that has them all.
        recorder: What its endpoints and proxies lead to.
    """

    variables: dict[str, str]
    recorder: _Recorder

    def assert_unused(self) -> None:
        """Look whether anybody asked there, or came to the sandbox's own account with its key."""
        assert self.recorder.seen == []
        assert OWN_KEY not in paths.paths().log("aws").read_text()

    def close(self) -> None:
        """Stop listening."""
        self.recorder.shutdown()
        self.recorder.server_close()


def open_account(home: Path) -> OtherAccount:
    """Make another account, with its files in a home directory."""
    recorder = _Recorder()
    threading.Thread(target=recorder.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{recorder.server_address[1]}"
    (home / ".aws").mkdir()
    for name, section in (("credentials", "company"), ("config", "profile company")):
        (home / ".aws" / name).write_text(
            f"[{section}]\naws_access_key_id = {OWN_KEY}\naws_secret_access_key = x\n"
            f"region = us-east-1\nendpoint_url = {url}\n"
        )
    endpoints = ("", "_EKS", "_STS", "_EC2", "_ELASTIC_LOAD_BALANCING_V2", "_IAM", "_ACM")
    variables = {
        "HOME": str(home),
        # The engine's programs stay where they are.
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"),
        "AWS_ACCESS_KEY_ID": OWN_KEY,
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_SESSION_TOKEN": "x",
        "AWS_PROFILE": "company",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        **{f"AWS_ENDPOINT_URL{one}": url for one in endpoints},
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": url,
        "HTTP_PROXY": url,
        "HTTPS_PROXY": url,
    }
    return OtherAccount(variables, recorder)
