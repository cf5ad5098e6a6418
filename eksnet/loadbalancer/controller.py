"""The AWS Load Balancer Controller: installed as `07_lab_install_controller` does, and removed.

The steps are those of "Install AWS Load Balancer Controller with Helm" in the EKS user guide, with
the same names. Each looks first: run again, they change nothing.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from eksnet import data
from eksnet.aws import tags
from eksnet.cluster import countdown, rollout
from eksnet.endpoints import usable_endpoints
from eksnet.errors import EksnetError, NotFoundError

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

# The Helm release, its chart, the Deployment and the service account.
NAME, NAMESPACE = "aws-load-balancer-controller", "kube-system"
DEPLOYMENT, WEBHOOK = NAME, "aws-load-balancer-webhook-service"
POLICY, ROLE = "AWSLoadBalancerControllerIAMPolicy", "AmazonEKSLoadBalancerControllerRole"
AUDIENCE = "sts.amazonaws.com"
SUBJECT = f"system:serviceaccount:{NAMESPACE}:{NAME}"
_TIMEOUT = 180
# The groups of the kinds that its chart brings, and what its finalizers end with.
_GROUPS = ("elbv2.k8s.aws", "gateway.k8s.aws", "aga.k8s.aws")
_KINDS_OF_CHART = "customresourcedefinitions"
_BINDINGS = "targetgroupbindings.elbv2.k8s.aws"
_FINALIZERS = ("ingress.k8s.aws", "service.k8s.aws", "elbv2.k8s.aws")


def iam_policy() -> str:
    """Return the controller's IAM policy, as its release publishes it, as JSON."""
    return (data.directory() / "aws_load_balancer_controller_iam_policy.json").read_text()


def issuer(cluster: Cluster) -> str:
    """Return the URL of the cluster's OpenID Connect issuer.

    Args:
        cluster: The cluster.

    Raises:
        EksnetError: The cluster has no AWS account.
    """
    return str(_described(cluster)["identity"]["oidc"]["issuer"])


def provider_arn(cluster: Cluster) -> str:
    """Return the ARN that the issuer's provider has in IAM, or would have."""
    return f"{_iam(cluster)}:oidc-provider/{issuer(cluster).removeprefix('https://')}"


def trust_policy(cluster: Cluster, subject: str = SUBJECT) -> str:
    """Return a trust policy for pods of one service account, as JSON.

    Args:
        cluster: The cluster.
        subject: The subject that the role trusts.
    """
    name = issuer(cluster).removeprefix("https://")
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": provider_arn(cluster)},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{name}:sub": subject, f"{name}:aud": AUDIENCE}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def helm_command(cluster: Cluster) -> str:
    """Return what follows the word `helm` in the command that installs the chart."""
    found = _described(cluster)
    values = {
        "clusterName": cluster.eks_name,
        "serviceAccount.create": "false",
        "serviceAccount.name": NAME,
        "region": cluster.region,
        "vpcId": found["resourcesVpcConfig"]["vpcId"],
        **{f"defaultTags.{key}": value for key, value in tags.COURSE.items()},
    }
    options = " ".join(f"--set {name}={value}" for name, value in values.items())
    return f"install {NAME} eks/{NAME} -n {NAMESPACE} {options}"


def install_controller(cluster: Cluster, timeout: float = _TIMEOUT) -> None:
    """Install the AWS Load Balancer Controller, and wait until it is ready.

    Args:
        cluster: The cluster.
        timeout: How long to wait, in seconds.

    Raises:
        EksnetError: The cluster has no AWS account, something was refused, or it is not ready in
            time.
    """
    problem = what_is_wrong(cluster)
    policy = _ensure_policy(cluster)
    _ensure_provider(cluster)
    role = _ensure_role(cluster, policy)
    cluster.apply(_service_account(role))
    if problem:
        # Also what is there: an installation may have failed, or have other values.
        if _release(cluster):
            cluster.helm(f"uninstall {NAME} -n {NAMESPACE} --wait")
        cluster.helm(helm_command(cluster))
    wait_until_ready(cluster, timeout)
    print(f"the AWS Load Balancer Controller is ready in {NAMESPACE}")


def is_installed(cluster: Cluster) -> bool:
    """Tell whether anything of the controller is in the cluster: a release, or its kinds."""
    return bool(cluster.find("deployment", DEPLOYMENT, NAMESPACE) or _kinds(cluster))


def why_not_ready(cluster: Cluster) -> str:
    """Return why the controller cannot serve; empty when it can.

    Args:
        cluster: The cluster.
    """
    deployment = cluster.find("deployment", DEPLOYMENT, NAMESPACE)
    if deployment is None:
        return "it is not installed"
    progress = rollout.progress({**deployment, "kind": "Deployment"})
    if not progress.done:
        return progress.failed or progress.waits_for
    label = f"kubernetes.io/service-name={WEBHOOK}"
    if not usable_endpoints(cluster.list("endpointslices", NAMESPACE, selector=label)):
        return f"the Service {WEBHOOK} has no endpoints"
    return ""


def what_is_wrong(cluster: Cluster) -> str:
    """Return why the controller cannot serve, or cannot ask AWS; empty when it can do both.

    Args:
        cluster: The cluster.

    Raises:
        EksnetError: The cluster has no AWS account.
    """
    return why_not_ready(cluster) or _why_no_role(cluster)


def _why_no_role(cluster: Cluster) -> str:
    iam = cluster.aws("iam")
    try:
        trust = iam.get_role(RoleName=ROLE)["Role"]["AssumeRolePolicyDocument"]
        iam.get_open_id_connect_provider(OpenIDConnectProviderArn=provider_arn(cluster))
    except iam.exceptions.NoSuchEntityException as error:
        return str(error.response["Error"]["Message"])
    attached = iam.list_attached_role_policies(RoleName=ROLE)["AttachedPolicies"]
    if trust != json.loads(trust_policy(cluster)):
        return f"the role {ROLE} trusts another service account"
    if POLICY not in {one["PolicyName"] for one in attached}:
        return f"the role {ROLE} does not have the policy {POLICY}"
    return ""


def wait_until_ready(cluster: Cluster, timeout: float = _TIMEOUT) -> None:
    """Wait until the controller's pods are ready and its webhooks answer.

    Args:
        cluster: The cluster.
        timeout: How long at most, in seconds.

    Raises:
        EksnetError: They were not in time.
    """
    what = "the AWS Load Balancer Controller"
    if not countdown.until(what, lambda: not why_not_ready(cluster), timeout):
        raise EksnetError(
            f"{what} is not ready after {timeout:.0f} s: {why_not_ready(cluster)}",
            "2 pods Ready, and endpoints of its webhook",
            f'cluster.events("deployment/{DEPLOYMENT}", "{NAMESPACE}") and the pods\' logs',
        )


def uninstall_controller(cluster: Cluster, timeout: float = _TIMEOUT) -> None:
    """Remove the controller, its role and policy; first what it has made, which it has to delete.

    Args:
        cluster: The cluster.
        timeout: How long to wait for each of these, in seconds.

    Raises:
        EksnetError: Something is still there.
    """
    if managed := list(_managed(cluster)):
        if why_not_ready(cluster):
            # Finalizers are the controller's own: without it, nothing of this can be deleted.
            install_controller(cluster, timeout)
        for one in managed:
            cluster.delete(one.kind, one.name, one.namespace, timeout=timeout)
    if _release(cluster):
        cluster.helm(f"uninstall {NAME} -n {NAMESPACE} --wait")
    # Helm never deletes what a chart has in its folder of kinds.
    for kind in _kinds(cluster):
        cluster.delete(_KINDS_OF_CHART, kind)
    for what in (f"serviceaccount/{NAME}", f"lease/{NAME}-leader"):
        cluster.delete(what, namespace=NAMESPACE)
    _delete_identities(cluster)
    print("the AWS Load Balancer Controller is removed")


# What is there.


def _described(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.aws("eks").describe_cluster(name=cluster.eks_name)["cluster"]
    return found


def _iam(cluster: Cluster) -> str:
    """Return the beginning of ARNs of IAM in the cluster's account."""
    return f"arn:aws:iam::{cluster.aws('sts').get_caller_identity()['Account']}"


def _release(cluster: Cluster) -> str:
    """Return the status of the Helm release; empty when there is none."""
    said = cluster.helm(f"list --all -n {NAMESPACE} --filter ^{NAME}$ -o json").stdout
    return next((str(one["status"]) for one in json.loads(said)), "")


def _kinds(cluster: Cluster) -> list[str]:
    """Return the names of the kinds that the chart brought."""
    found = cluster.list(_KINDS_OF_CHART)
    return [one.name for one in found if one["spec"]["group"] in _GROUPS]


def _managed(cluster: Cluster) -> Iterator[Resource]:
    """Yield what the controller has to delete something for in AWS, bindings last."""
    for kind in ("ingresses", "services", _BINDINGS):
        try:
            found = cluster.list(kind, all_namespaces=True)
        except NotFoundError:
            continue
        for one in found:
            finalizers = one["metadata"].get("finalizers") or ()
            owned = one["metadata"].get("ownerReferences")
            if not owned and any(_is_own(name) for name in finalizers):
                yield one


def _is_own(finalizer: str) -> bool:
    return finalizer.partition("/")[0].endswith(_FINALIZERS)


# The steps.


def _ensure_policy(cluster: Cluster) -> str:
    iam, arn = cluster.aws("iam"), f"{_iam(cluster)}:policy/{POLICY}"
    _unless_there(
        iam,
        lambda: iam.create_policy(
            PolicyName=POLICY, PolicyDocument=iam_policy(), Tags=tags.as_list(tags.COURSE)
        ),
    )
    return arn


def _ensure_provider(cluster: Cluster) -> None:
    iam = cluster.aws("iam")
    _unless_there(
        iam,
        lambda: iam.create_open_id_connect_provider(
            Url=issuer(cluster), ClientIDList=[AUDIENCE], Tags=tags.as_list(tags.COURSE)
        ),
    )


def _ensure_role(cluster: Cluster, policy: str) -> str:
    iam, trust = cluster.aws("iam"), trust_policy(cluster)
    _unless_there(
        iam,
        lambda: iam.create_role(
            RoleName=ROLE, AssumeRolePolicyDocument=trust, Tags=tags.as_list(tags.COURSE)
        ),
    )
    iam.update_assume_role_policy(RoleName=ROLE, PolicyDocument=trust)
    iam.attach_role_policy(RoleName=ROLE, PolicyArn=policy)
    return f"{_iam(cluster)}:role/{ROLE}"


def _unless_there(iam: Any, create: Callable[[], Any]) -> None:
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        create()


def _service_account(role: str) -> str:
    return f"""
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {NAME}
  namespace: {NAMESPACE}
  labels: {{app.kubernetes.io/component: controller, app.kubernetes.io/name: {NAME}}}
  annotations: {{eks.amazonaws.com/role-arn: "{role}"}}
"""


def _delete_identities(cluster: Cluster) -> None:
    """Delete role, policy and provider; what is not there is no error."""
    iam = cluster.aws("iam")
    policy = f"{_iam(cluster)}:policy/{POLICY}"
    provider = provider_arn(cluster)
    deletions: tuple[tuple[Callable[..., Any], dict[str, str]], ...] = (
        (iam.detach_role_policy, {"RoleName": ROLE, "PolicyArn": policy}),
        (iam.delete_role, {"RoleName": ROLE}),
        (iam.delete_policy, {"PolicyArn": policy}),
        (iam.delete_open_id_connect_provider, {"OpenIDConnectProviderArn": provider}),
    )
    for delete, names in deletions:
        with contextlib.suppress(iam.exceptions.NoSuchEntityException):
            delete(**names)
