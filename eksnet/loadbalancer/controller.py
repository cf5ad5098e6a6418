"""The AWS Load Balancer Controller: installed as `07_lab_install_controller` does, and removed.

The steps are those of "Install AWS Load Balancer Controller with Helm" in the EKS user guide, with
the same names. Each looks first: run again, they change nothing.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from eksnet import data
from eksnet.aws import leftovers, refusals, tags
from eksnet.cluster import countdown, rollout
from eksnet.endpoints import usable_endpoints
from eksnet.errors import EksnetError, NotFoundError
from eksnet.loadbalancer import in_account

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

# The Helm release, its chart, the Deployment and the service account.
NAME, NAMESPACE = "aws-load-balancer-controller", "kube-system"
DEPLOYMENT, WEBHOOK = NAME, "aws-load-balancer-webhook-service"
_WEBHOOKS = "aws-load-balancer-webhook"
POLICY, ROLE = "AWSLoadBalancerControllerIAMPolicy", "AmazonEKSLoadBalancerControllerRole"
AUDIENCE = "sts.amazonaws.com"
SUBJECT = f"system:serviceaccount:{NAMESPACE}:{NAME}"
_TIMEOUT = 180
# The groups of the kinds that its chart brings, and what its finalizers end with.
_GROUPS = ("elbv2.k8s.aws", "gateway.k8s.aws", "aga.k8s.aws")
_KINDS_OF_CHART = "customresourcedefinitions"
# What the controller puts finalizers on: the kind, and how it is asked for. The last are those that
# it makes for the others, or that are made by hand.
BINDING = "TargetGroupBinding"
_KINDS_MANAGED = {
    "Ingress": "ingresses",
    "Service": "services",
    BINDING: "targetgroupbindings.elbv2.k8s.aws",
}
# Its labels on a binding that it has made, without their ends.
_MADE_FOR = ("ingress.k8s.aws/stack", "service.k8s.aws/stack")
_RELEASE = f"release {NAME}"
# What is installed beside the chart, or made by the controller's pods.
_BESIDE = (f"serviceaccount/{NAME}", f"lease/{NAME}-leader")
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


def default_tags(cluster: Cluster) -> dict[str, str]:
    """Return the tags that the controller is to put on all that it makes.

    Not the lesson: the controller stays for several.

    Args:
        cluster: The cluster.
    """
    return {**tags.COURSE, tags.RUN: cluster.run_id}


def helm_command(cluster: Cluster) -> str:
    """Return what follows the word `helm` in the command that installs the chart."""
    found = _described(cluster)
    values = {
        "clusterName": cluster.eks_name,
        "serviceAccount.create": "false",
        "serviceAccount.name": NAME,
        "region": cluster.region,
        "vpcId": found["resourcesVpcConfig"]["vpcId"],
        **{f"defaultTags.{key}": value for key, value in default_tags(cluster).items()},
    }
    options = " ".join(f"--set {name}={value}" for name, value in values.items())
    return f"install {NAME} eks/{NAME} -n {NAMESPACE} {options}"


def install_controller(cluster: Cluster, timeout: float = _TIMEOUT) -> None:
    """Install the AWS Load Balancer Controller, and wait until it is ready.

    One that somebody else has installed is left as it is.

    Args:
        cluster: The cluster.
        timeout: How long to wait, in seconds.

    Raises:
        EksnetError: The cluster has no AWS account, something was refused, or it is not ready in
            time.
    """
    if is_foreign(cluster):
        wait_until_ready(cluster, timeout)
        print(f"the AWS Load Balancer Controller of {cluster.target} is ready; it is not ours")
        return
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


def has_identities(cluster: Cluster) -> bool:
    """Tell whether role, policy or provider of the controller are in the AWS account."""
    iam, arn = cluster.aws("iam"), f"{_iam(cluster)}:policy/{POLICY}"
    with refusals.in_words(iam, "IAM"):
        try:
            iam.get_policy(PolicyArn=arn)
        except iam.exceptions.NoSuchEntityException:
            return bool(role(cluster) or audiences(cluster))
    return True


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
    return "" if _answers(cluster) else f"the Service {WEBHOOK} has no endpoints"


def _answers(cluster: Cluster) -> bool:
    """Tell whether the Service of the webhooks has an endpoint."""
    label = f"kubernetes.io/service-name={WEBHOOK}"
    return bool(usable_endpoints(cluster.list("endpointslices", NAMESPACE, selector=label)))


def what_is_wrong(cluster: Cluster) -> str:
    """Return why the controller cannot serve, or cannot ask AWS; empty when it can do both.

    Args:
        cluster: The cluster.

    Raises:
        EksnetError: The cluster has no AWS account.
    """
    # How a controller of somebody else gets its role is their business.
    return why_not_ready(cluster) or ("" if is_foreign(cluster) else _why_no_role(cluster))


def _why_no_role(cluster: Cluster) -> str:
    found = role(cluster)
    if found is None:
        return f"there is no role {ROLE}"
    if found["AssumeRolePolicyDocument"] != json.loads(trust_policy(cluster)):
        return f"the role {ROLE} trusts another service account"
    if POLICY not in attached_policies(cluster):
        return f"the role {ROLE} does not have the policy {POLICY}"
    if AUDIENCE not in audiences(cluster):
        return f"IAM has no provider of the cluster's issuer with the audience {AUDIENCE}"
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


def wait_until_unanswered(cluster: Cluster, timeout: float = _TIMEOUT) -> None:
    """Wait until nobody answers the controller's webhooks: its Service has no endpoint.

    Args:
        cluster: The cluster.
        timeout: How long at most, in seconds.

    Raises:
        EksnetError: There still is one.
    """
    what = f"the Service {WEBHOOK} to have no endpoint"
    if not countdown.until(what, lambda: not _answers(cluster), timeout):
        raise EksnetError(
            f"the Service {WEBHOOK} still has endpoints after {timeout:.0f} s",
            f"a Deployment {DEPLOYMENT} with 0 replicas",
            f'cluster.list("pods", "{NAMESPACE}") shows the pods',
        )
    print(f"the Service {WEBHOOK} has no endpoint")


def wait_for_event(
    cluster: Cluster, about: str, namespace: str, word: str, timeout: float = _TIMEOUT
) -> str:
    """Wait until an object has an event with a word, and return the event's message.

    Args:
        cluster: The cluster.
        about: The object as kind/name.
        namespace: Its namespace.
        word: A part of the message, such as `AccessDenied`.
        timeout: How long at most, in seconds.

    Raises:
        EksnetError: There was none in time.
    """

    def messages() -> list[str]:
        return [one.message for one in cluster.events(about, namespace) if word in one.message]

    if not countdown.until(f"an event of {about} with {word}", lambda: bool(messages()), timeout):
        raise EksnetError(
            f"{about} in {namespace} has no event with {word!r} after {timeout:.0f} s",
            "an event of the AWS Load Balancer Controller",
            f'cluster.events("{about}", "{namespace}") shows its events',
        )
    return messages()[-1]


def wait_for_crash(cluster: Cluster, timeout: float = _TIMEOUT) -> str:
    """Wait until a pod of the controller has ended by itself, and return why, as its log says.

    Args:
        cluster: The cluster.
        timeout: How long at most, in seconds.

    Raises:
        EksnetError: None did in time.
    """
    ended: list[str] = []

    def has_ended() -> bool:
        found = cluster.list("pods", NAMESPACE, selector=f"app.kubernetes.io/name={NAME}")
        ended[:] = [one.name for one in found if _has_ended(one)]
        return bool(ended)

    if not countdown.until("a pod of the controller to end", has_ended, timeout):
        raise EksnetError(
            f"no pod of {DEPLOYMENT} has ended after {timeout:.0f} s",
            "a pod that crashes",
            f'cluster.list("pods", "{NAMESPACE}") shows the pods',
        )
    return _reason(cluster.logs(ended[0], NAMESPACE, previous=True))


def _has_ended(pod: Resource) -> bool:
    statuses = pod["status"].get("containerStatuses") or ()
    return any("terminated" in (one.get("lastState") or {}) for one in statuses)


def _reason(log: str) -> str:
    """Return the error of the log's last line; it is JSON, as the controller writes it."""
    lines = log.strip().splitlines() or [""]
    with contextlib.suppress(ValueError, AttributeError):
        said = json.loads(lines[-1])
        return str(said.get("error") or said.get("msg"))
    return lines[-1]


def refused_without_endpoints(cluster: Cluster, kind: str) -> bool:
    """Tell whether a new object of a kind is refused while nobody answers the webhooks.

    Any object: what a selector of labels picks out is left aside.

    Args:
        cluster: The cluster.
        kind: The kind's plural, such as `services`.
    """
    return any(
        _concerns(webhook, kind)
        for configuration in ("mutatingwebhookconfiguration", "validatingwebhookconfiguration")
        if (found := cluster.find(configuration, _WEBHOOKS)) is not None
        for webhook in found["webhooks"]
    )


def _concerns(webhook: dict[str, Any], kind: str) -> bool:
    """Tell whether a webhook has to answer for each new object of a kind, in any namespace."""
    matches = any(
        kind in rule["resources"] and {"CREATE", "*"}.intersection(rule["operations"])
        for rule in webhook["rules"]
    )
    selectors = [
        one
        for field in ("namespaceSelector", "objectSelector")
        for one in (webhook.get(field) or {}).get("matchExpressions") or ()
        if one["operator"] in ("In", "Exists")
    ]
    return matches and webhook["failurePolicy"] == "Fail" and not selectors


def uninstall_controller(cluster: Cluster, timeout: float = _TIMEOUT) -> None:
    """Remove the controller, its role and policy; first what it has made, which it has to delete.

    Args:
        cluster: The cluster.
        timeout: How long to wait for each of these, in seconds.

    Raises:
        EksnetError: Something is still there, or it is somebody else's controller.
    """
    if is_foreign(cluster):
        raise EksnetError(
            f"the controller of {cluster.target} was not installed by the course; nothing was "
            "changed",
            "a controller with the course's tag among its default tags",
            "eksnet.clean_up(cluster) deletes what is the course's",
        )
    delete_managed(cluster, managed(cluster), timeout)
    uninstall_chart(cluster)
    # An Ingress without its finalizer leaves all that was made for it. And the shared security
    # group goes with the last Ingress only if the controller has looked it up since its start.
    delete_what_it_left(cluster, timeout)
    _delete_identities(cluster)
    print("the AWS Load Balancer Controller is removed")


def delete_what_it_left(cluster: Cluster, timeout: float = _TIMEOUT) -> None:
    """Delete what the controller has made in AWS for objects that are gone.

    Args:
        cluster: The cluster.
        timeout: How long to wait for each kind, in seconds.

    Raises:
        EksnetError: Something is still there, or the controller is not ready again.
    """
    left = in_account.delete_in_account(cluster, by_controller=True, timeout=timeout)
    if not left or cluster.find("deployment", DEPLOYMENT, NAMESPACE) is None:
        return
    # Its pods remember the id of the shared security group, and look it up no more
    # (pkg/networking/backend_sg_provider.go, allocateBackendSG): with an id that is gone no load
    # balancer can be made.
    cluster.rollout_restart(f"deployment/{DEPLOYMENT}", NAMESPACE)
    wait_until_ready(cluster, timeout)


def delete_managed(cluster: Cluster, objects: Iterable[Resource], timeout: float) -> None:
    """Delete objects that the controller has to delete something for in AWS, and wait for each.

    Args:
        cluster: The cluster.
        objects: The objects.
        timeout: How long to wait for each, in seconds.

    Raises:
        EksnetError: One is still there.
    """
    found = list(objects)
    if found and why_not_ready(cluster):
        # Finalizers are the controller's own: without it, nothing of this can be deleted.
        install_controller(cluster, timeout)
    for one in found:
        cluster.delete(_KINDS_MANAGED[one.kind], one.name, one.namespace, timeout=timeout)


def uninstall_chart(cluster: Cluster) -> tuple[str, ...]:
    """Remove the Helm release with all that it leaves in the cluster; return what there was."""
    found = parts_in_cluster(cluster)
    if _RELEASE in found:
        cluster.helm(f"uninstall {NAME} -n {NAMESPACE} --wait")
    # Helm never deletes what a chart has in its folder of kinds.
    for kind in _kinds(cluster):
        # With a kind go its objects; on a cluster of others these may be somebody else's.
        if cluster.target.kind == "sandbox" or not cluster.list(kind, all_namespaces=True):
            cluster.delete(_KINDS_OF_CHART, kind)
    for what in _BESIDE:
        cluster.delete(what, namespace=NAMESPACE)
    return found


# What is there.


def parts_in_cluster(cluster: Cluster) -> tuple[str, ...]:
    """Return what of the controller is in the cluster, as a reader calls it; reads only."""
    selector = f"owner=helm,name={NAME}"
    kinds = len(_kinds(cluster))
    return (
        *([_RELEASE] if cluster.list("secrets", NAMESPACE, selector=selector) else []),
        *([f"{kinds} {'kind' if kinds == 1 else 'kinds'} of its chart"] if kinds else []),
        *(what for what in _BESIDE if cluster.find(what, namespace=NAMESPACE)),
    )


def is_foreign(cluster: Cluster) -> bool:
    """Tell whether the cluster has a controller that somebody else has installed.

    What the course installs puts the course's tag on all that it makes, and the sandbox has no
    other user.
    """
    if cluster.target.kind == "sandbox":
        return False
    selector = f"app.kubernetes.io/name={NAME}"
    found = cluster.list("deployments", selector=selector, all_namespaces=True)
    return any(not is_ours(one) for one in found)


def is_ours(deployment: Mapping[str, Any]) -> bool:
    """Tell whether the course has installed a controller: its default tags say so.

    Args:
        deployment: The controller's Deployment.
    """
    flag = "--default-tags="
    given = {
        tag
        for container in deployment["spec"]["template"]["spec"]["containers"]
        for argument in container.get("args") or ()
        if argument.startswith(flag)
        for tag in argument.removeprefix(flag).split(",")
    }
    return {f"{key}={value}" for key, value in tags.COURSE.items()} <= given


def is_from_ingress_or_service(binding: Resource) -> bool:
    """Tell whether the controller has made a TargetGroupBinding, for an Ingress or a Service."""
    labels = binding["metadata"].get("labels") or {}
    return any(key.startswith(_MADE_FOR) for key in labels)


def role(cluster: Cluster) -> dict[str, Any] | None:
    """Return the controller's role as IAM describes it; None when there is none."""
    iam = cluster.aws("iam")
    with refusals.in_words(iam, "IAM"):
        try:
            found: dict[str, Any] = iam.get_role(RoleName=ROLE)["Role"]
        except iam.exceptions.NoSuchEntityException:
            return None
    return found


def attached_policies(cluster: Cluster) -> set[str]:
    """Return the names of the policies that the controller's role has; empty without a role."""
    iam = cluster.aws("iam")
    with refusals.in_words(iam, "IAM"):
        try:
            found = iam.list_attached_role_policies(RoleName=ROLE)["AttachedPolicies"]
        except iam.exceptions.NoSuchEntityException:
            return set()
    return {one["PolicyName"] for one in found}


def audiences(cluster: Cluster) -> set[str]:
    """Return the audiences of the issuer's provider in IAM; empty without a provider."""
    iam, arn = cluster.aws("iam"), provider_arn(cluster)
    with refusals.in_words(iam, "IAM"):
        try:
            found = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
        except iam.exceptions.NoSuchEntityException:
            return set()
    return set(found["ClientIDList"])


def _described(cluster: Cluster) -> dict[str, Any]:
    eks = cluster.aws("eks")
    with refusals.in_words(eks, "EKS"):
        found: dict[str, Any] = eks.describe_cluster(name=cluster.eks_name)["cluster"]
    return found


def _iam(cluster: Cluster) -> str:
    """Return the beginning of ARNs of IAM in the cluster's account."""
    sts = cluster.aws("sts")
    with refusals.in_words(sts, "STS"):
        return f"arn:aws:iam::{sts.get_caller_identity()['Account']}"


def _release(cluster: Cluster) -> str:
    """Return the status of the Helm release; empty when there is none."""
    said = cluster.helm(f"list --all -n {NAMESPACE} --filter ^{NAME}$ -o json").stdout
    return next((str(one["status"]) for one in json.loads(said)), "")


def _kinds(cluster: Cluster) -> list[str]:
    """Return the names of the kinds that the chart brought."""
    found = cluster.list(_KINDS_OF_CHART)
    return [one.name for one in found if one["spec"]["group"] in _GROUPS]


def managed(cluster: Cluster) -> Iterator[Resource]:
    """Yield what the controller has to delete something for in AWS, bindings last."""
    for kind in _KINDS_MANAGED.values():
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
    with refusals.in_words(iam, "IAM"):
        iam.update_assume_role_policy(RoleName=ROLE, PolicyDocument=trust)
        iam.attach_role_policy(RoleName=ROLE, PolicyArn=policy)
    return f"{_iam(cluster)}:role/{ROLE}"


def _unless_there(iam: Any, create: Callable[[], Any]) -> None:
    with (
        refusals.in_words(iam, "IAM"),
        contextlib.suppress(iam.exceptions.EntityAlreadyExistsException),
    ):
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
    """Delete role, policy and provider; what is not there is no error.

    On another cluster than the sandbox these may have been there before, under the same names: only
    what has the course's tag goes.

    Raises:
        EksnetError: Something else uses one of them.
    """
    own = {
        "role": ROLE,
        "policy": f"{_iam(cluster)}:policy/{POLICY}",
        "OIDC provider": provider_arn(cluster),
    }
    account = leftovers.Account(cluster.aws, cluster.eks_name)
    for kind in leftovers.IDENTITIES:
        name = own.get(kind.name)
        if name is None or not (
            cluster.target.kind == "sandbox" or any(one.id == name for one in kind.find(account))
        ):
            continue
        if why := kind.delete(account, leftovers.Leftover(kind.name, name, "", name)):
            raise EksnetError(
                f"the {kind.name} {name} of the controller is still in use: {why}",
                "an account in which nothing else uses it",
                "delete what uses it, then run the cell again",
            )
