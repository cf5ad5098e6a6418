"""The checkpoints of 07_lab_install_controller: the role, the controller, two of its failures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from eksnet.checkpoints.criteria import (
    Criterion,
    Definition,
    Observation,
    Prediction,
    Wait,
    failed,
    not_started,
    not_yet,
    passed,
    then,
)
from eksnet.endpoints import usable_endpoints
from eksnet.loadbalancer import controller
from eksnet.loadbalancer.controller import (
    AUDIENCE,
    DEPLOYMENT,
    NAME,
    NAMESPACE,
    POLICY,
    ROLE,
    SUBJECT,
    WEBHOOK,
)

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

NOTEBOOK = "07_lab_install_controller"
_PODS = 2
_ANNOTATION = "eks.amazonaws.com/role-arn"
_INSTALL = "loadbalancer.install_controller(cluster)"
_ALL = then("do the step of the notebook, or all of them at once", _INSTALL)
_TRUST = f"""\
trust = loadbalancer.trust_policy(cluster)
cluster.aws("iam").update_assume_role_policy(RoleName="{ROLE}", PolicyDocument=trust)"""
_ATTACH = f"""\
iam = cluster.aws("iam")
account = cluster.aws("sts").get_caller_identity()["Account"]
policy = f"arn:aws:iam::{{account}}:policy/{POLICY}"
iam.attach_role_policy(RoleName="{ROLE}", PolicyArn=policy)"""
# How a message names the call that was refused.
_CALL = "AssumeRoleWithWebIdentity"
_DENIED = """\
message = loadbalancer.wait_for_event(cluster, "ingress/web", "app-ns", "AccessDenied")"""
KINDS = {
    "Service": "services", "Ingress": "ingresses", "Pod": "pods", "ConfigMap": "configmaps",
}  # fmt: skip


# The role.


def policy(cluster: Cluster) -> Observation:
    """Whether the role has the controller's policy."""
    _account(cluster)
    expected = f"the role {ROLE} with the policy {POLICY}"
    if controller.role(cluster) is None:
        return not_started(f"there is no role {ROLE}", expected, _ALL)
    if POLICY not in controller.attached_policies(cluster):
        return failed(f"the role {ROLE} does not have it", expected, then("attach it", _ATTACH))
    return passed(f"the role {ROLE} has the policy {POLICY}")


def provider(cluster: Cluster) -> Observation:
    """Whether IAM has a provider of the cluster's issuer."""
    _account(cluster)
    found = sorted(controller.audiences(cluster))
    expected = f"a provider of the cluster's issuer, with the audience {AUDIENCE}"
    if not found:
        return not_started("IAM has no provider of the cluster's issuer", expected, _ALL)
    if AUDIENCE not in found:
        return failed(f"its audiences are {', '.join(found)}", expected, _ALL)
    return passed(f"IAM has a provider with the audience {AUDIENCE}")


def trust(cluster: Cluster) -> Observation:
    """Whether the role trusts the controller's service account, and it alone."""
    _account(cluster)
    found = controller.role(cluster)
    if found is None:
        return not_started(f"there is no role {ROLE}", SUBJECT, _ALL)
    wanted = json.loads(controller.trust_policy(cluster))
    if found["AssumeRolePolicyDocument"] == wanted:
        return passed(f"it trusts {SUBJECT}")
    (right,) = wanted["Statement"]
    subjects = ", ".join(sorted(_subjects(found["AssumeRolePolicyDocument"])))
    expected = json.dumps(right["Condition"])
    return failed(f"it trusts {subjects or 'no subject'}", expected, then("correct it", _TRUST))


def _subjects(document: Any) -> set[str]:
    """Return the subjects that a trust policy names, of whatever form it is."""
    listed = document.get("Statement") if isinstance(document, dict) else ()
    found = set()
    for statement in listed if isinstance(listed, list) else [listed]:
        conditions = statement.get("Condition") if isinstance(statement, dict) else None
        for keys in (conditions or {}).values():
            values = [value for key, value in keys.items() if key.endswith(":sub")]
            found |= {str(one) for value in values for one in _listed(value)}
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def account(cluster: Cluster) -> Observation:
    """Whether the service account names the role."""
    found = _account(cluster)
    expected = f"the annotation {_ANNOTATION} with the ARN of {ROLE}"
    if found is None:
        seen = f"there is no service account {NAME} in {NAMESPACE}"
        return not_started(seen, expected, _ALL)
    named = (found["metadata"].get("annotations") or {}).get(_ANNOTATION, "")
    if not named.endswith(f":role/{ROLE}"):
        seen = f"it names {named}" if named else "it names no role"
        return failed(seen, expected, then("correct the annotation, or", _INSTALL))
    return passed(f"it names {ROLE}")


def _account(cluster: Cluster) -> Resource | None:
    """Return the service account; who may not read it cannot be checked, whatever AWS would say."""
    return cluster.find("serviceaccount", NAME, NAMESPACE)


# The controller.


def pods(cluster: Cluster) -> Observation:
    """Whether the controller's pods are ready."""
    deployment = _deployment(cluster)
    expected = f"{_PODS} pods of the Deployment {DEPLOYMENT} Ready"
    if deployment is None:
        return not_started("the controller is not installed", expected, _ALL)
    wanted = deployment["spec"].get("replicas", 1)
    if wanted < _PODS:
        scale = f'cluster.patch("deployment", "{NAME}", {{"spec": {{"replicas": {_PODS}}}}}, '
        return failed(
            f"the Deployment asks for {wanted} pods",
            expected,
            then("scale it", f'{scale}"{NAMESPACE}")'),
        )
    ready = (deployment.get("status") or {}).get("readyReplicas", 0)
    if ready < _PODS:
        look = f'cluster.events("deployment/{NAME}", "{NAMESPACE}")'
        return not_yet(f"{ready} of {_PODS} pods are Ready", expected, then("look why", look))
    return passed(f"{ready} pods are Ready")


def vpc(cluster: Cluster) -> Observation:
    """Whether the controller is told its VPC and its region."""
    deployment = _deployment(cluster)
    if deployment is None:
        return not_started("the controller is not installed", "the values vpcId and region", _ALL)
    arguments = _container(deployment).get("args") or []
    for flag, value in (("--aws-vpc-id=", "vpcId"), ("--aws-region=", "region")):
        if not any(one.startswith(flag) and one != flag for one in arguments):
            back = f'cluster.helm("rollback {NAME} -n {NAMESPACE}")'
            return failed(f"the value {value} is not set", f"a {value}", then("go back", back))
    return passed("it is told its VPC and its region")


def token(cluster: Cluster) -> Observation:
    """Whether the pods got the role's variables and the token."""
    selector = f"app.kubernetes.io/name={NAME}"
    found = cluster.list("pods", NAMESPACE, selector=selector)
    expected = "AWS_ROLE_ARN and the volume aws-iam-token in each pod"
    if not found:
        return not_started("there is no pod of the controller", expected, _ALL)
    without = sum(not _has_token(pod) for pod in found)
    if without:
        restart = f'cluster.rollout_restart("deployment/{NAME}", "{NAMESPACE}")'
        return failed(
            f"{without} of {len(found)} pods have no token",
            expected,
            then("annotate the service account first, then start new pods", restart),
        )
    return passed("each pod has the token and the role's ARN")


def _has_token(pod: Resource) -> bool:
    variables = {one["name"] for one in _first(pod["spec"]).get("env") or ()}
    volumes = {one["name"] for one in pod["spec"].get("volumes") or ()}
    return "AWS_ROLE_ARN" in variables and "aws-iam-token" in volumes


def _deployment(cluster: Cluster) -> Resource | None:
    return cluster.find("deployment", DEPLOYMENT, NAMESPACE)


def _container(deployment: Resource) -> dict[str, Any]:
    return _first(deployment["spec"]["template"]["spec"])


def _first(spec: dict[str, Any]) -> dict[str, Any]:
    containers: list[dict[str, Any]] = spec.get("containers") or [{}]
    return containers[0]


def webhooks(cluster: Cluster) -> Observation:
    """Whether somebody answers the controller's webhooks."""
    label = f"kubernetes.io/service-name={WEBHOOK}"
    slices = cluster.list("endpointslices", NAMESPACE, selector=label)
    expected = f"ready endpoints of the Service {WEBHOOK}"
    if not slices:
        return not_started(f"there is no Service {WEBHOOK}", expected, _ALL)
    found = usable_endpoints(slices)
    if not found:
        return not_yet("it has no ready endpoint", expected, then("look at its pods", _PODS_CALL))
    return passed(f"the Service {WEBHOOK} has {len(found)} endpoints")


_PODS_CALL = f'cluster.list("pods", "{NAMESPACE}", selector="app.kubernetes.io/name={NAME}")'


# The failures.


def where_it_shows(cluster: Cluster, observed: Any) -> Any:
    """Where a role that trusts another service account shows: in the pods, or in an event."""
    deployment = _deployment(cluster)
    expected = "the event of an Ingress, while the role trusts another service account"
    if deployment is None or not isinstance(observed, str) or _CALL not in observed:
        return not_started(f"no refusal of {_CALL} was observed yet", expected, "")
    ready = (deployment.get("status") or {}).get("readyReplicas", 0)
    if ready < _PODS:
        return failed(f"{ready} of {_PODS} pods are Ready", f"{_PODS} pods Ready", _PODS_CALL)
    return "event"


def refused_kinds(cluster: Cluster, _: Any) -> Any:
    """Which new objects the API server refuses while nobody answers the webhooks."""
    if cluster.find("mutatingwebhookconfiguration", "aws-load-balancer-webhook") is None:
        return not_started("the controller's webhooks are not there", "its webhooks", _INSTALL)
    return {
        kind: "refused" if controller.refused_without_endpoints(cluster, plural) else "created"
        for kind, plural in KINDS.items()
    }


_WAIT = Wait("the controller's pods to be Ready", deadline=120)

CHECKPOINTS = (
    Definition(
        id="controller-01",
        notebook=NOTEBOOK,
        title="A role for the controller",
        criteria=(
            Criterion("controller-01.policy", "The role has the controller's policy", 1, policy),
            Criterion(
                "controller-01.provider", "IAM knows the cluster's issuer of tokens", 1, provider
            ),
            Criterion(
                "controller-01.trust", "The role trusts the controller's service account alone", 1,
                trust,
            ),
            Criterion("controller-01.account", "The service account names the role", 1, account),
        ),
        hints=(
            "Look at the role in IAM: its policies, and the subject that it trusts.",
            "Compare the subject in the trust policy with the service account: namespace and name.",
            f"`{_INSTALL}` does all steps; `loadbalancer.trust_policy(cluster)` is the right text.",
        ),
        solution=f"{_INSTALL}\n",
    ),
    Definition(
        id="controller-02",
        notebook=NOTEBOOK,
        title="The controller is ready",
        criteria=(
            Criterion("controller-02.pods", "Two pods of the controller are Ready", 1, pods,
                      wait=_WAIT),
            Criterion("controller-02.vpc", "It is told its VPC and its region", 1, vpc),
            Criterion("controller-02.token", "Its pods have the role's token", 1, token),
            Criterion("controller-02.webhooks", "Its webhooks have endpoints", 1, webhooks,
                      wait=_WAIT),
        ),
        hints=(
            f"Look at the pods of `{NAME}` in `{NAMESPACE}`, and at their log.",
            "Compare the values of the release with those in the cell that installs it.",
            f'`cluster.helm("get values {NAME} -n {NAMESPACE}")` shows the values; `{_INSTALL}` '
            "installs what is missing.",
        ),
        solution=f"{_INSTALL}\n",
    ),
    Definition(
        id="controller-03",
        notebook=NOTEBOOK,
        title="A role that trusts another service account",
        criteria=(
            Prediction(
                "controller-03.where",
                "The place where it shows",
                1,
                "the role trusts another service account; where does it show? In the pods (they "
                "crash), in an event of the Ingress, or nowhere?",
                'prediction = ""  # "crash", "event" or "nowhere"',
                where_it_shows,
                takes="message",
                gather=_DENIED,
                choices=("crash", "event", "nowhere"),
            ),
        ),
        hints=(
            "Look at the pods first, then at the events of the Ingress.",
            "Compare the time at which the pods are ready with the time of the first call to AWS.",
            "The pods need no AWS to be ready: the first call comes with the first Ingress. Change "
            "`prediction`, then check again.",
        ),
        solution=f"""\
prediction = "event"
{_DENIED}
eksnet.checkpoint("controller-03").check(prediction, message)
""",
    ),
    Definition(
        id="controller-04",
        notebook=NOTEBOOK,
        title="A webhook that nobody answers",
        criteria=(
            Prediction(
                "controller-04.kinds",
                "What the API server refuses then",
                2,
                "nobody answers the controller's webhooks; is a new Service, Ingress, Pod and "
                "ConfigMap in any namespace created or refused?",
                'prediction = {"Service": "", "Ingress": "", "Pod": "", "ConfigMap": ""}',
                refused_kinds,
            ),
        ),
        hints=(
            "Look at the rules of `mutatingwebhookconfiguration/aws-load-balancer-webhook` and of "
            "the validating one.",
            "Compare their failurePolicy, and the labels that a namespace or an object needs.",
            "Fail without such a label concerns every object of the kind: Services through "
            "`mservice.elbv2.k8s.aws`, Ingresses through `vingress.elbv2.k8s.aws`.",
        ),
        solution="""\
prediction = {"Service": "refused", "Ingress": "refused", "Pod": "created", "ConfigMap": "created"}
eksnet.checkpoint("controller-04").check(prediction)
""",
    ),
)  # fmt: skip
