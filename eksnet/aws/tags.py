"""The tags of what the course makes in an AWS account, and its labels in a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

# One tag: what carries it can be found, and taken away, whoever made it.
COURSE = {"eksnet": "course"}
# The same as a selector of labels.
SELECTOR = ",".join(f"{key}={value}" for key, value in COURSE.items())
# What else is said there: the run, which is one learner's on one cluster, and the lesson that was
# begun last when something was made.
RUN, LESSON = "eksnet-run", "eksnet-lesson"

Json = Mapping[str, Any]


def as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags in the form that most services take."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def of_list(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """Return tags from that form; none where a service leaves the list out."""
    return {one["Key"]: one.get("Value", "") for one in tags or ()}


def marked(parameters: Json, marks: Callable[[], Mapping[str, str]]) -> dict[str, Any]:
    """Return the parameters of a call with all marks where the course's tag is set.

    What is in no form of tags stays as it is: boto3 says then what is wrong.

    Args:
        parameters: The parameters as boto3 takes them.
        marks: Returns the marks of what is made now, the course's tag among them.
    """
    return {key: _marked(key, value, marks) for key, value in parameters.items()}


def _marked(key: str, value: Any, marks: Callable[[], Mapping[str, str]]) -> Any:
    if key == "tags" and isinstance(value, Mapping):
        return _whole(value, marks)
    if not isinstance(value, Sequence) or not all(isinstance(one, Mapping) for one in value):
        return value
    if key == "TagSpecifications":
        return [marked(one, marks) for one in value]
    if key == "Tags" and all("Key" in one for one in value):
        return as_list(_whole(of_list(value), marks))
    return value


def _whole(given: Mapping[str, str], marks: Callable[[], Mapping[str, str]]) -> Mapping[str, str]:
    return {**marks(), **given} if COURSE.items() <= given.items() else given
