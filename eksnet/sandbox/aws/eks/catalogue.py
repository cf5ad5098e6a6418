"""The add-ons that the sandbox knows: versions, configuration schemas, and values held to them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eksnet import versions as engine
from eksnet.sandbox.aws.eks.model import EksError

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_TABLE = Path(__file__).with_name("addons.json")


@dataclass(frozen=True)
class Version:
    """A version of an add-on.

    Attributes:
        name: Such as `v1.14.3-eksbuild.3`.
        clusters: The Kubernetes versions that it is offered for, such as `1.35`.
        source: Where the version was read.
        scales_since: The least platform version with which EKS scales this version's replicas,
            such as `eks.7`; empty where it never does.
    """

    name: str
    clusters: tuple[str, ...]
    source: str
    scales_since: str = ""


@dataclass(frozen=True)
class Addon:
    """An add-on.

    Attributes:
        name: Its name in the API.
        versions: Its versions, newest first.
        schema: The JSON schema of its configuration values.
        schema_source: Where the schema was read, or that it is the sandbox's own.
    """

    name: str
    versions: tuple[Version, ...]
    schema: dict[str, Any]
    schema_source: str

    def offered(self, cluster_version: str) -> list[Version]:
        """Return the versions for a Kubernetes version, newest first."""
        return [version for version in self.versions if cluster_version in version.clusters]

    def scales(self, version: str, platform: str) -> bool:
        """Tell whether EKS scales the replicas of a version.

        Args:
            version: The add-on's version.
            platform: The cluster's platform version, such as `eks.7`.
        """
        least = next((one.scales_since for one in self.versions if one.name == version), "")
        return bool(least) and _number(platform) >= _number(least)

    def version(self, name: str | None, cluster_version: str) -> str:
        """Return a version that a caller may have; the newest one when none is named.

        Raises:
            EksError: No such version for this cluster.
        """
        offered = [version.name for version in self.offered(cluster_version)]
        if name is None and offered:
            return offered[0]
        if name not in offered:
            raise EksError(
                "InvalidParameterException",
                "Addon version specified is not supported, supported versions are: "
                f"[{', '.join(offered)}]",
                addonName=self.name,
            )
        return name


@cache
def addons() -> dict[str, Addon]:
    """Return every add-on by its name."""
    table = json.loads(engine.complete(_TABLE.read_text()))
    return {
        name: Addon(
            name,
            tuple(map(_version, row["versions"])),
            row["schema"],
            row["schema_source"],
        )
        for name, row in table.items()
    }


def _version(row: dict[str, Any]) -> Version:
    since = row.get("scales_since", "")
    return Version(row["name"], tuple(row["clusters"]), row["source"], since)


def _number(platform: str) -> int:
    return int(platform.removeprefix("eks."))


def addon(name: str) -> Addon:
    """Return an add-on.

    Raises:
        EksError: There is none of that name.
    """
    if name not in addons():
        raise EksError(
            "InvalidParameterException", f"Addon specified is not supported: {name}", addonName=name
        )
    return addons()[name]


def values(chosen: Addon, text: str | None) -> dict[str, Any]:
    """Return configuration values that fit an add-on's schema.

    Args:
        chosen: The add-on.
        text: JSON or YAML; None and empty text are no values.

    Raises:
        EksError: The text is neither, or the schema does not allow what it says.
    """
    # Late: whoever only signs in to the cluster must not wait for them.
    import yaml
    from jsonschema import Draft6Validator

    try:
        read = yaml.safe_load(text) if text else {}
    except yaml.YAMLError:
        read = text
    if not isinstance(read, dict):
        raise _refused(chosen, "Can't parse the provided configuration as JSON or YAML")
    problems = sorted(_problems(Draft6Validator(chosen.schema).iter_errors(read)))
    if problems:
        listed = ", ".join(problems)
        raise _refused(chosen, f"Json schema validation failed with error: [{listed}]")
    return read


def _refused(chosen: Addon, why: str) -> EksError:
    return EksError(
        "InvalidParameterException",
        f"ConfigurationValue provided in request is not supported: {why}",
        addonName=chosen.name,
    )


def _problems(errors: Iterator[ValidationError]) -> Iterator[str]:
    """Yield each problem in the words of EKS's validator (networknt's json-schema-validator)."""
    for error in errors:
        where = "$" + "".join(_step(part) for part in error.absolute_path)
        tell = _TOLD.get(str(error.validator))
        for name, problem in tell(error) if tell else (("", error.message),):
            yield f"{where}{name}: {problem}"


def _additional(error: ValidationError) -> Iterator[tuple[str, str]]:
    problem = "is not defined in the schema and the schema does not allow additional properties"
    schema: Any = error.schema
    given: Any = error.instance
    for name in sorted(set(given) - set(schema["properties"])):
        yield f".{name}", problem


def _required(error: ValidationError) -> Iterator[tuple[str, str]]:
    wanted: Any = error.validator_value
    given: Any = error.instance
    for name in wanted:
        if name not in given:
            yield f".{name}", "is missing but it is required"


def _type(error: ValidationError) -> Iterator[tuple[str, str]]:
    yield "", f"{_type_name(error.instance)} found, {error.validator_value} expected"


def _bound(error: ValidationError) -> Iterator[tuple[str, str]]:
    yield "", f"must have a {error.validator} value of {error.validator_value}"


# What follows the place of a problem, and the problem, by the schema's keyword.
_TOLD = {
    "additionalProperties": _additional,
    "required": _required,
    "type": _type,
    "minimum": _bound,
    "maximum": _bound,
}


def _step(part: str | int) -> str:
    return f"[{part}]" if isinstance(part, int) else f".{part}"


def _type_name(value: object) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return "null" if value is None else names.get(type(value), "object")
