"""The webhook that gives pods the role of their service account (IRSA), as EKS has it.

Held to aws/amazon-eks-pod-identity-webhook: `pkg/handler/handler.go` says what is added to a pod
and `pkg/cache/cache.go` what a service account's annotations mean. The one addition of the sandbox
is AWS_ENDPOINT_URL, by which the AWS SDKs find its AWS services; once more for STS, because the SDK
for Go gets its credentials before it has read the first (`resolveCredentials` stands before
`resolveBaseEndpoint` in config v1.32.14).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from eksnet.sandbox.aws.eks import reviews

Json = dict[str, Any]
# Returns the annotations of a service account by namespace and name; None when nothing is known.
Accounts = Callable[[str, str], Mapping[str, str] | None]

_DOMAIN = "eks.amazonaws.com"
_ROLE, _AUDIENCE = f"{_DOMAIN}/role-arn", f"{_DOMAIN}/audience"
_EXPIRATION, _REGIONAL = f"{_DOMAIN}/token-expiration", f"{_DOMAIN}/sts-regional-endpoints"
_SKIPPED = f"{_DOMAIN}/skip-containers"
_VOLUME, _FILE = "aws-iam-token", "token"
_MOUNTED = f"/var/run/secrets/{_DOMAIN}/serviceaccount"
_DEFAULT_AUDIENCE = "sts.amazonaws.com"
_DEFAULT_EXPIRATION, _SHORTEST = 86_400, 600
# As Go's strconv.ParseBool reads them.
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")
# A pod's manifest may be as long as the API server lets it be.
_LONGEST_REVIEW = 2**23


@dataclass(frozen=True)
class Identity:
    """What a service account's annotations give its pods.

    Attributes:
        role: The role's ARN.
        audience: The audience of the token.
        expiration: How many seconds it is valid.
        regional: Whether SDKs shall ask STS in the region.
    """

    role: str
    audience: str = _DEFAULT_AUDIENCE
    expiration: int = _DEFAULT_EXPIRATION
    regional: bool = True


def identity(account: Mapping[str, str], pod: Mapping[str, str]) -> Identity | None:
    """Return what a pod gets; None when its service account has no role.

    Args:
        account: The annotations of the service account.
        pod: The annotations of the pod.
    """
    role = account.get(_ROLE, "")
    if not role:
        return None
    of_account = _seconds(account.get(_EXPIRATION), _DEFAULT_EXPIRATION)
    regional = account.get(_REGIONAL, "")
    return Identity(
        role,
        account.get(_AUDIENCE, _DEFAULT_AUDIENCE),
        _seconds(pod.get(_EXPIRATION), of_account),
        regional in _TRUE or regional not in _FALSE,
    )


def _seconds(text: str | None, default: int) -> int:
    try:
        return max(int(text), _SHORTEST) if text is not None else default
    except ValueError:
        return default


def patch(pod: Json, wanted: Identity, region: str, endpoint: str) -> list[Json]:
    """Return the JSON patch that gives a pod its role.

    Args:
        pod: The pod as it is asked for.
        wanted: What its service account gives it.
        region: The region.
        endpoint: The URL of the sandbox's AWS services, as pods reach it.
    """
    spec = pod["spec"]
    skipped = _names((pod["metadata"].get("annotations") or {}).get(_SKIPPED, ""))
    added = [("AWS_STS_REGIONAL_ENDPOINTS", "regional")] if wanted.regional else []
    added += [
        ("AWS_DEFAULT_REGION", region),
        ("AWS_REGION", region),
        ("AWS_ROLE_ARN", wanted.role),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", f"{_MOUNTED}/{_FILE}"),
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ENDPOINT_URL_STS", endpoint),
    ]
    changes = list(_volume(spec, wanted))
    for field in ("containers", "initContainers"):
        if containers := spec.get(field):
            changed = [c if c["name"] in skipped else _with(c, added) for c in containers]
            changes.append({"op": "add", "path": f"/spec/{field}", "value": changed})
    return changes


def _names(listed: str) -> set[str]:
    return {name.strip() for name in listed.split(",")}


def _volume(spec: Json, wanted: Identity) -> Iterator[Json]:
    volumes = spec.get("volumes")
    if any(one["name"] == _VOLUME for one in volumes or ()):
        return
    token = {
        "audience": wanted.audience, "expirationSeconds": wanted.expiration, "path": _FILE,
    }  # fmt: skip
    volume = {"name": _VOLUME, "projected": {"sources": [{"serviceAccountToken": token}]}}
    if volumes:
        yield {"op": "add", "path": "/spec/volumes/0", "value": volume}
    else:
        yield {"op": "add", "path": "/spec/volumes", "value": [volume]}


# Variables of which one that is there says that the others are not wanted either.
_TOGETHER = (
    ("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    ("AWS_REGION", "AWS_DEFAULT_REGION"),
    ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS"),
)


def _with(container: Json, added: Iterable[tuple[str, str]]) -> Json:
    """Return a container with variables and the token; what it has already stays."""
    variables, mounts = container.get("env") or [], container.get("volumeMounts") or []
    there = {one["name"] for one in variables}
    for together in _TOGETHER:
        if there.intersection(together):
            there.update(together)
    more = [{"name": name, "value": value} for name, value in added if name not in there]
    mount = {"name": _VOLUME, "readOnly": True, "mountPath": _MOUNTED}
    has_mount = any(one["name"] == _VOLUME for one in mounts)
    return {
        **container,
        "env": [*variables, *more],
        "volumeMounts": mounts if has_mount else [*mounts, mount],
    }


class PodIdentityWebhook:
    """A WSGI application that answers AdmissionReviews of pods."""

    def __init__(self, accounts: Accounts, region: str, endpoint: str) -> None:
        """Prepare to answer.

        Args:
            accounts: Finds the annotations of a service account.
            region: The region.
            endpoint: The URL of the AWS services, as pods reach it.
        """
        self._accounts = accounts
        self._region = region
        self._endpoint = endpoint

    def __call__(self, environ: Mapping[str, Any], start: reviews.Start) -> Iterable[bytes]:
        """Answer one review."""
        review = reviews.read(environ, _LONGEST_REVIEW)
        request = review.get("request") if review else None
        if review is None or not isinstance(request, dict):
            return reviews.respond(start, None)
        response = {"uid": request.get("uid", ""), "allowed": True, **self._patch(request)}
        kind = {name: review.get(name) for name in ("apiVersion", "kind")}
        return reviews.respond(start, {**kind, "response": response})

    def _patch(self, request: Json) -> Json:
        """Return the part of an answer that changes the pod; empty when nothing does."""
        pod = request["object"]
        name = pod["spec"].get("serviceAccountName") or "default"
        account = self._accounts(request["namespace"], name) or {}
        wanted = identity(account, pod["metadata"].get("annotations") or {})
        if wanted is None:
            return {}
        changes = json.dumps(patch(pod, wanted, self._region, self._endpoint))
        return {"patchType": "JSONPatch", "patch": base64.b64encode(changes.encode()).decode()}
