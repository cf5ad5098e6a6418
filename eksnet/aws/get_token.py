"""Prints a token for kubectl: the program that a sandbox's kubeconfig names.

Run as `python -m eksnet.aws.get_token --keys FILE --endpoint URL --region REGION --cluster-name
NAME`. What it prints is what `aws eks get-token` prints.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

from eksnet.aws.account import Account
from eksnet.aws.tokens import token


def main() -> None:
    """Print an ExecCredential."""
    parser = argparse.ArgumentParser(description="Print a token for a sandbox's API server.")
    for name in ("--keys", "--endpoint", "--region", "--cluster-name"):
        parser.add_argument(name, required=True)
    said = parser.parse_args()
    try:
        own = json.loads(Path(said.keys).read_text())
    except OSError as error:
        parser.exit(2, f"the sandbox's keys cannot be read: {error}\n  next: eksnet up\n")
    account = Account(
        said.endpoint, said.region, own["access_key"], own["secret"], said.cluster_name
    )
    made = token(account, datetime.now(UTC))
    credential = {
        "kind": "ExecCredential",
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "spec": {},
        "status": {
            "expirationTimestamp": made.ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "token": made.text,
        },
    }
    print(json.dumps(credential))


if __name__ == "__main__":
    main()
