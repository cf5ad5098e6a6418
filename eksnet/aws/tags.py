"""The tags of what the course makes in an AWS account."""

from __future__ import annotations

# One tag: what carries it can be found, and taken away, whoever made it.
COURSE = {"eksnet": "course"}


def as_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """Return tags in the form that most services take."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
