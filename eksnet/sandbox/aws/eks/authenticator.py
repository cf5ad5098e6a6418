"""The two webhooks of the API server: who signed a token, and what access policies allow.

On EKS the first is aws-iam-authenticator, which sends the call that a token holds to STS; here the
same signature is verified in place. The second is an authorizer beside RBAC, which `kubectl auth
can-i --list` does not see. It knows users by the UID that the first one gave them; so who
impersonates a user has none of its access policies, as on EKS ("Associate access policies with
access entries").
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from eksnet.sandbox.aws.eks import access_policies, reviews, tokens
from eksnet.sandbox.aws.eks.access import STANDARD
from eksnet.sandbox.aws.eks.records import AccessEntry
from eksnet.sandbox.aws.eks.tokens import CLUSTER_HEADER, Caller, Identity, TokenError
from eksnet.sandbox.aws.settings import AUTHENTICATE, AUTHORIZE
from eksnet.sandbox.aws.signatures import Request, Secrets, SignatureError, verify

_LONGEST_REVIEW = 2**16

Entries = Callable[[], Iterable[AccessEntry]]
# Finds the owner of an access key; KeyError when it has none.
Callers = Callable[[str], Caller]


class Authenticator:
    """A WSGI application that answers TokenReviews and SubjectAccessReviews of version v1."""

    def __init__(
        self,
        secrets: Secrets,
        callers: Callers,
        cluster: str,
        origins: Iterable[str],
        entries: Entries,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Prepare to answer.

        Args:
            secrets: Finds an access key's secret.
            callers: Finds the owner of an access key.
            cluster: The name of the cluster for which a token has to be signed.
            origins: Where STS is, such as `https://sts.amazonaws.com`.
            entries: Returns the access entries as they are now.
            now: Tells the time.
        """
        self._secrets = secrets
        self._callers = callers
        self._now = now
        self._cluster = cluster
        self._origins = frozenset(origins)
        self._entries = entries

    def __call__(self, environ: Mapping[str, Any], start: reviews.Start) -> Iterable[bytes]:
        """Answer one review."""
        answer = {AUTHENTICATE: self.authenticate, AUTHORIZE: self.authorize}.get(
            environ["PATH_INFO"]
        )
        review = reviews.read(environ, _LONGEST_REVIEW)
        spec = review.get("spec") if review else None
        if answer is None or not isinstance(spec, dict):
            return reviews.respond(start, None)
        return reviews.respond(start, answer(spec))

    def authenticate(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Return the TokenReview that answers one."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
        try:
            caller = self._caller(str(spec.get("token", "")))
            entry = self._entry(caller.principal_id)
            if entry is None:
                raise TokenError(f"{caller.canonical_arn} has no access entry")
        except TokenError as error:
            # The API server tells its client no reason; whoever looks for it finds it here.
            print(f"access denied: {error}", file=sys.stderr, flush=True)
            return {**review, "status": {"authenticated": False, "error": str(error)}}
        user = {
            "username": tokens.username(entry.username, caller),
            "uid": caller.uid,
            "groups": list(entry.groups),
            "extra": caller.extra,
        }
        return {**review, "status": {"authenticated": True, "user": user}}

    def authorize(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Return the SubjectAccessReview that answers one: allowed, or no opinion."""
        principal_id = tokens.principal_id(str(spec.get("uid", "")))
        entry = self._entry(principal_id) if principal_id else None
        what = access_policies.asked(spec)
        allowing = [
            policy.arn
            for policy in (entry.policies if entry else ())
            if access_policies.allows(policy.arn, policy.namespaces, what)
        ]
        status = {"allowed": bool(allowing), "reason": ", ".join(allowing)}
        return {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "status": status,
        }

    def _caller(self, token: str) -> Identity:
        """Return who signed a token for this cluster.

        Raises:
            TokenError: It is no token, or nobody's.
        """
        call = tokens.presigned(token, self._origins)
        # Of this cluster, whatever the token was signed for: then the signature differs.
        headers = {"host": call.host, CLUSTER_HEADER: self._cluster}
        try:
            signer = verify(Request("GET", "/", call.query, headers), self._secrets, self._now())
            if signer.service != "sts":
                raise TokenError(f"the call is signed for {signer.service}, not for sts")
            return tokens.identity(self._callers(signer.access_key), signer.access_key)
        except SignatureError as error:
            raise TokenError(str(error)) from None
        except KeyError:
            raise TokenError("the role of the session is gone") from None

    def _entry(self, principal_id: str) -> AccessEntry | None:
        """Return the access entry of a user or role: those of nodes sign in with certificates."""
        standard = (one for one in self._entries() if one.type == STANDARD)
        return next((one for one in standard if one.principal_id == principal_id), None)
