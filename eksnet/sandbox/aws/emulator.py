"""moto, which answers for every service but EKS; heavy, loaded at the first request that needs it.

Its server is not used: its classes are called for the services that are listed here, and nothing
else of it can be reached. It checks no signature and no permission; the front has done so.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from eksnet.sandbox.aws.journal import Sent
from eksnet.sandbox.aws.refusals import Answer
from eksnet.sandbox.aws.settings import ACCOUNT

# Read by moto when it is loaded.
os.environ |= {
    "MOTO_ACCOUNT_ID": ACCOUNT,
    # A certificate whose name is proved by DNS is issued at once.
    "MOTO_ACM_VALIDATION_WAIT": "0",
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
}
from botocore.exceptions import ClientError
from moto.core.base_backend import BackendDict
from moto.core.request import Request
from moto.core.utils import camelcase_to_underscores, get_service_model

from eksnet.sandbox.aws import corrections, repeatable
from eksnet.sandbox.aws.certificates import authority
from eksnet.sandbox.aws.elb.desired import desired
from eksnet.sandbox.aws.elb.observed import Observed

# The package of moto that answers for a service, by the service's name in a signature's scope.
PACKAGES: Mapping[str, str] = {
    "ec2": "ec2",
    "elasticloadbalancing": "elbv2",
    "iam": "iam",
    "sts": "sts",
    "acm": "acm",
    "route53": "route53",
    "tagging": "resourcegroupstaggingapi",
    "servicequotas": "servicequotas",
}
# Knows every service of moto: only when it is asked.
_RARE = ("tagging",)
# Where the operations of a service are ours, and its class is not the one that moto's routes name.
_CLASSES = {
    "ec2": ("eksnet.sandbox.aws.ec2.responses", "Responses"),
    "elasticloadbalancing": ("eksnet.sandbox.aws.elb.responses", "Responses"),
    "servicequotas": ("eksnet.sandbox.aws.quotas", "Responses"),
}
# The beginnings of the names of AWS's managed policies that are kept: all 1,500 would take half of
# the time in which an account is made.
_MANAGED_POLICIES = (
    "AWSCertificateManager",
    "AWSLoadBalancer",
    "AdministratorAccess",
    "AmazonEBSCSI",
    "AmazonEC2",
    "AmazonEKS",
    "AmazonRoute53",
    "AmazonVPC",
    "ElasticLoadBalancing",
    "IAM",
    "PowerUserAccess",
    "ReadOnlyAccess",
    "ViewOnlyAccess",
)
_GLOBAL = "aws"


class Emulator:
    """One account of moto's in one region. There is one in a process, because moto is global."""

    def __init__(self, region: str, pki: Path, observed: Path) -> None:
        """Begin with an account in which nothing is.

        Args:
            region: The region.
            pki: The directory of the certificates, that of ACM's authority among them.
            observed: The file in which the data plane tells what it has seen of targets.
        """
        # Not `reset`, which makes anew what nobody is going to ask.
        made: list[Any] = BackendDict._instances  # type: ignore[misc]
        for backends in made:
            backends.clear()
        made.clear()
        self._region = region
        # Each is made now: made by a request, its content would depend on who asked first.
        for service in PACKAGES:
            if service not in _RARE:
                self.backend(service)
        self.backend("acm").authority = authority(pki)
        self.backend("elasticloadbalancing").observed = Observed(observed).health

    def backend(self, service: str) -> Any:
        """Return moto's state of a service."""
        package = PACKAGES[service]
        backends = getattr(import_module(f"moto.{package}.models"), f"{package}_backends")
        account = backends[ACCOUNT]
        return account[self._region if self._region in account.regions else _GLOBAL]

    def knows(self, service: str, operation: str) -> bool:
        """Tell whether moto has an operation."""
        return operation in _operations(service)

    def answer(self, sent: Sent) -> Answer:
        """Return moto's answer to a request."""
        handler = self._handler(sent)
        scope = f"{sent.access_key}/20000101/{self._region}/{sent.service}/aws4_request"
        headers = {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}",
            "Content-Type": sent.content_type,
            "X-Amz-Target": sent.target,
        }
        # The region of the name counts for moto, before that of the signature.
        url = f"https://{sent.service}.{self._region}.amazonaws.com{sent.path}"
        request = Request.from_primitives(
            sent.method,
            f"{url}?{sent.query}" if sent.query else url,
            {name: value for name, value in headers.items() if value},
            sent.body.encode("latin-1"),
        )
        try:
            status, found, body = handler(request, request.raw_url, dict(request.headers))
        except ClientError as error:  # as moto's own server does
            status, found, body = 400, {}, error.response["Error"]["Message"]
        content = body.encode() if isinstance(body, str) else bytes(body or b"")
        kept = {
            k: str(v) for k, v in found.items() if k.lower() not in ("status", "content-length")
        }
        return Answer(int(status), tuple(kept.items()), content)

    def repeatable(
        self, sent: Sent, moment: datetime, seed: int, keys: Sequence[str] = ()
    ) -> tuple[Answer, tuple[str, ...]]:
        """Return the answer to a request, and the private keys that were made for it.

        Args:
            sent: The request.
            moment: When it is done.
            seed: The seed of what is random.
            keys: The private keys that an earlier time made.
        """
        with repeatable.repeatable(moment, seed, keys) as made:
            answer = self.answer(sent)
        return answer, tuple(made)

    def desired(self) -> dict[str, Any]:
        """Return what is wanted of the data plane now; see `elb.desired`."""
        balancing, ec2, acm = map(self.backend, ("elasticloadbalancing", "ec2", "acm"))
        return desired(balancing, ec2, acm, repeatable.now())

    def digest(self, answer: Answer) -> str:
        """Return what tells one answer from another."""
        return hashlib.sha256(answer.body).hexdigest()[:16]

    def _handler(self, sent: Sent) -> Any:
        for pattern, handler in _handlers(sent.service):
            if pattern.fullmatch(sent.path):
                return handler
        raise NotImplementedError(f"{sent.service} has no {sent.path}")


def _keep_managed_policies() -> None:
    models: Any = import_module("moto.iam.models")
    kept = {
        name: policy
        for name, policy in json.loads(models.aws_managed_policies_data).items()
        if name.startswith(_MANAGED_POLICIES)
    }
    models.aws_managed_policies_data = json.dumps(kept)


def _remember_methods() -> None:
    """Look once which methods a class has: moto does at each request."""
    responses: Any = import_module("moto.core.responses")
    responses.method_names_from_class = cache(responses.method_names_from_class)


corrections.install()
_keep_managed_policies()
_remember_methods()


@cache
def _response_class(service: str) -> Any:
    if service in _CLASSES:
        module, name = _CLASSES[service]
        return getattr(import_module(module), name)
    urls = import_module(f"moto.{PACKAGES[service]}.urls")
    return next(iter(urls.url_paths.values())).__self__


@cache
def _operations(service: str) -> frozenset[str]:
    """Return the operations for which moto has a method."""
    handling = _response_class(service)
    names = get_service_model(handling().boto3_service_name).operation_names
    return frozenset(name for name in names if hasattr(handling, camelcase_to_underscores(name)))


@cache
def _handlers(service: str) -> tuple[tuple[re.Pattern[str], Any], ...]:
    return tuple(_found_handlers(service))


def _found_handlers(service: str) -> Iterator[tuple[re.Pattern[str], Any]]:
    if service in _CLASSES:
        yield re.compile("/"), _response_class(service).dispatch
        return
    for pattern, handler in import_module(f"moto.{PACKAGES[service]}.urls").url_paths.items():
        yield re.compile(pattern.replace("{0}", "").rstrip("$")), handler
