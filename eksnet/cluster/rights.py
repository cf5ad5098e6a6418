"""The smallest RBAC roles with which the course runs: a file, for whoever administers a cluster."""

from __future__ import annotations

from pathlib import Path

MANIFEST = Path(__file__).with_name("learner_role.yaml")
GROUP = "eksnet-learners"
"""The group that an access entry puts a learner into."""
