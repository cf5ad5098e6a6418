"""The smallest IAM policy with which the course runs: a file, for whoever gives learners rights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

POLICY = Path(__file__).with_name("learner_policy.json")


def policy() -> dict[str, Any]:
    """Return the policy as a document of IAM."""
    found: dict[str, Any] = json.loads(POLICY.read_text())
    return found
