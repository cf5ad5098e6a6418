"""The tags of what the course makes in an AWS account, and its labels in a cluster."""

from __future__ import annotations

# One tag: what carries it can be found, and taken away, whoever made it.
COURSE = {"eksnet": "course"}
# The same as a selector of labels.
SELECTOR = ",".join(f"{key}={value}" for key, value in COURSE.items())
# The label of the run: the lesson that was begun last when something was made.
RUN = "eksnet-run"


def as_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """Return tags in the form that most services take."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
