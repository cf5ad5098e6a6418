"""The checkpoints of 07_lab_install_controller on clusters that are right, and that are not."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import botocore.exceptions
import pytest
from fake_api import FakeApi, Request
from lab_api import Check

from eksnet.checkpoints import State
from eksnet.loadbalancer.controller import AUDIENCE, NAME, POLICY, ROLE, SUBJECT, WEBHOOK

P, F, N = State.PASS, State.FAIL, State.NOT_STARTED
ISSUER = "oidc.eks.ap-northeast-2.amazonaws.com/id/1"
ARN = f"arn:aws:iam::111122223333:role/{ROLE}"
KINDS = {"Service": "refused", "Ingress": "refused", "Pod": "created", "ConfigMap": "created"}
DENIED = "api error AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity"
SYSTEM = "/api/v1/namespaces/kube-system"


class NoSuchError(Exception):
    """There is no such entity."""


class FakeAws:
    """What EKS, STS and IAM answer; what the API server refuses, they refuse too."""

    exceptions = SimpleNamespace(
        NoSuchEntityException=NoSuchError, ClientError=botocore.exceptions.ClientError
    )

    def __init__(self, api: FakeApi, role: Any, policies: tuple[str, ...], audiences: Any):
        self.api, self.role, self.policies, self.audiences = api, role, policies, audiences

    def _ask(self, operation: str) -> None:
        refused = self.api.refuse(Request("GET", f"/aws/{operation}", {}, b""))
        if refused:
            error = {"Error": {"Code": str(refused[0]), "Message": "no"}}
            raise botocore.exceptions.ClientError(error, operation)

    def describe_cluster(self, **_: str) -> dict[str, Any]:
        self._ask("DescribeCluster")
        return {"cluster": {"identity": {"oidc": {"issuer": f"https://{ISSUER}"}}}}

    def get_caller_identity(self) -> dict[str, Any]:
        self._ask("GetCallerIdentity")
        return {"Account": "111122223333"}

    def get_role(self, **_: str) -> dict[str, Any]:
        self._ask("GetRole")
        if self.role is None:
            raise NoSuchError
        return {"Role": {"AssumeRolePolicyDocument": self.role}}

    def list_attached_role_policies(self, **_: str) -> dict[str, Any]:
        self._ask("ListAttachedRolePolicies")
        return {"AttachedPolicies": [{"PolicyName": name} for name in self.policies]}

    def get_open_id_connect_provider(self, **_: str) -> dict[str, Any]:
        self._ask("GetOpenIDConnectProvider")
        if self.audiences is None:
            raise NoSuchError
        return {"ClientIDList": list(self.audiences)}


def trusting(subject: str = SUBJECT) -> dict[str, Any]:
    condition = {f"{ISSUER}:sub": subject, f"{ISSUER}:aud": AUDIENCE}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": f"arn:aws:iam::111122223333:oidc-provider/{ISSUER}"},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringEquals": condition},
            }
        ],
    }


def put_role(
    api: FakeApi,
    *,
    role: Any = None,
    policies: tuple[str, ...] = (POLICY,),
    audiences: Any = (AUDIENCE,),
    annotation: str | None = ARN,
) -> None:
    """Make the role, its provider and the service account.

    Args:
        api: The API server.
        role: The role's trust policy; the right one when None, no role when False.
        policies: The names of its policies.
        audiences: The audiences of the issuer's provider; None for no provider.
        annotation: The role that the service account names; None for no service account.
    """
    document = None if role is False else role or trusting()
    account = FakeAws(api, document, policies, audiences)
    for service in ("eks", "iam", "sts"):
        setattr(api, service, account)
    if annotation is not None:
        annotations = {"eks.amazonaws.com/role-arn": annotation} if annotation else {}
        api.put(f"{SYSTEM}/serviceaccounts/{NAME}", {"metadata": {"annotations": annotations}})


def put_nothing(api: FakeApi) -> None:
    """Have an account in which nobody has begun."""
    put_role(api, role=False, policies=(), audiences=None, annotation=None)


def webhook(resource: str, policy: str = "Fail", selected: bool = False) -> dict[str, Any]:
    operator = "In" if selected else "NotIn"
    return {
        "name": f"m{resource}.elbv2.k8s.aws",
        "failurePolicy": policy,
        "objectSelector": {"matchExpressions": [{"key": "a", "operator": operator}]},
        "rules": [{"resources": [resource], "operations": ["CREATE"]}],
    }


WEBHOOKS = (
    webhook("services"), webhook("ingresses"), webhook("pods", selected=True),
    webhook("pods", "Ignore"),
)  # fmt: skip


def put_controller(
    api: FakeApi,
    *,
    replicas: int = 2,
    ready: int = 2,
    args: tuple[str, ...] = ("--aws-vpc-id=vpc-1", "--aws-region=ap-northeast-2"),
    tokens: bool = True,
    endpoints: int = 2,
    webhooks: tuple[dict[str, Any], ...] = WEBHOOKS,
) -> None:
    """Make the controller as its chart does.

    Args:
        api: The API server.
        replicas: How many pods the Deployment asks for.
        ready: How many are Ready.
        args: The container's arguments.
        tokens: Whether the pods have the role's token.
        endpoints: How many endpoints the Service of its webhooks has.
        webhooks: Its webhooks.
    """
    put_role(api)
    template = {"spec": {"containers": [{"name": "main", "args": list(args)}]}}
    api.put(
        f"/apis/apps/v1/namespaces/kube-system/deployments/{NAME}",
        {"spec": {"replicas": replicas, "template": template}, "status": {"readyReplicas": ready}},
    )
    for number in range(2):
        variables = [{"name": "AWS_ROLE_ARN", "value": ARN}] if tokens else []
        volumes = [{"name": "aws-iam-token"}] if tokens else []
        spec = {"containers": [{"name": "main", "env": variables}], "volumes": volumes}
        labels = {"labels": {"app.kubernetes.io/name": NAME}}
        api.put(f"{SYSTEM}/pods/{NAME}-{number}", {"metadata": labels, "spec": spec})
    listed = [{"addresses": [f"10.0.129.{n}"], "conditions": {"ready": True}}
              for n in range(endpoints)]  # fmt: skip
    api.put(
        "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/webhook-1",
        {
            "metadata": {"labels": {"kubernetes.io/service-name": WEBHOOK}},
            "addressType": "IPv4",
            "endpoints": listed,
            "ports": [{"port": 9443}],
        },
    )
    base = "/apis/admissionregistration.k8s.io/v1"
    name = "aws-load-balancer-webhook"
    api.put(f"{base}/mutatingwebhookconfigurations/{name}", {"webhooks": list(webhooks)})
    api.put(f"{base}/validatingwebhookconfigurations/{name}", {"webhooks": []})


@pytest.mark.parametrize(
    ("role", "state", "said"),
    [
        (trusting(), P, SUBJECT),
        (trusting("system:serviceaccount:default:x"), F, "system:serviceaccount:default:x"),
        ({"Statement": []}, F, "no subject"),
        ({"Statement": {"Condition": {"StringLike": {"a:sub": ["x", "y"]}}}}, F, "x, y"),
        ({"Statement": [{"Effect": "Allow"}, "x"]}, F, "no subject"),
    ],
)
def test_whom_the_role_trusts(
    api: FakeApi, checkpoint: Check, role: Any, state: State, said: str
) -> None:
    put_role(api, role=role)
    outcome = checkpoint("controller-01").check().outcomes[2]
    assert outcome.state is state and said in outcome.observation.observed


@pytest.mark.parametrize(
    ("changed", "kind", "expected"),
    [
        (webhook("services", "Ignore"), "Service", "created"),
        (webhook("services", selected=True), "Service", "created"),
        (webhook("configmaps"), "ConfigMap", "refused"),
    ],
)
def test_the_refused_kinds_are_those_of_the_webhooks(
    api: FakeApi, checkpoint: Check, changed: dict[str, Any], kind: str, expected: str
) -> None:
    put_controller(api, webhooks=(changed,))
    prediction = {**dict.fromkeys(KINDS, "created"), kind: expected}
    assert checkpoint("controller-04").check(prediction).state is P
    assert checkpoint("controller-04").check(KINDS).state is F


def test_a_pod_without_a_token_is_counted(api: FakeApi, checkpoint: Check) -> None:
    put_controller(api, tokens=False)
    outcome = checkpoint("controller-02").check().outcomes[2]
    assert outcome.observation.observed == "2 of 2 pods have no token"
    assert "rollout_restart" in outcome.observation.next_step


def test_the_remedy_for_a_wrong_subject_is_the_right_policy(
    api: FakeApi, checkpoint: Check
) -> None:
    put_role(api, role=trusting("other"))
    said = checkpoint("controller-01").check().outcomes[2].observation
    assert json.loads(said.expected)["StringEquals"][f"{ISSUER}:sub"] == SUBJECT
    assert "loadbalancer.trust_policy(cluster)" in said.next_step
