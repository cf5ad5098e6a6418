"""The checks of computer and cluster, each with what breaks it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace
from typing import Any

import pytest
from fake_api import FakeApi, failure
from typer.testing import CliRunner

from eksnet import cli, doctor
from eksnet.cluster import Cluster
from eksnet.cluster.targets import Target
from eksnet.doctor import computer, installed, rights
from eksnet.doctor.examination import CHECKS, examine, made
from eksnet.doctor.findings import Finding, Report, Verdict, cannot_tell, finding, ok, skipped
from eksnet.errors import EksnetError
from tests.doctor.conftest import READY, SYSTEM, workload

CHECK = {one.name: one for one in CHECKS}
LAB = Target("context", "lab")
Break = Callable[[FakeApi], object]


def found(name: str, lab: Any) -> list[Finding]:
    return list(made(CHECK[name], LAB, lab))


# This computer.


@pytest.mark.parametrize(
    ("required", "present", "verdict"),
    [(">=3.11,<3.14", "3.13.1", Verdict.OK), (">=3.11,<3.14", "3.10.2", Verdict.FINDING),
     (">=3.11,<3.14", "3.14.0", Verdict.FINDING), ("", "", Verdict.OK)],
)  # fmt: skip
def test_python(required: str, present: str, verdict: Verdict) -> None:
    (one,) = computer.python(required, present)
    assert one.verdict is verdict
    assert bool(one.remedy) == (verdict is Verdict.FINDING)


def version_of(versions: dict[str, str]) -> Callable[[str], str]:
    def installed(name: str) -> str:
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    return installed


@pytest.mark.parametrize(
    ("versions", "says"),
    [
        ({"boto3": "1.41", "rich": "14.0"}, []),
        ({"boto3": "1.30", "rich": "14.0"}, ["boto3 is 1.30, and the course needs >=1.40"]),
        ({"boto3": "1.41"}, ["the package rich is missing"]),
    ],
)
def test_packages(versions: dict[str, str], says: list[str]) -> None:
    required = ["boto3>=1.40", "rich>=14", 'colorama; sys_platform == "win32"', 'x; extra == "y"']
    told = [one for one in computer.packages(required, version_of(versions)) if one.remedy]
    assert len(told) == len(says)
    for one, said in zip(told, says, strict=True):
        assert said in one.what
        assert "make setup" in one.remedy


def test_the_packages_of_this_environment_are_right() -> None:
    (one,) = computer.packages()
    assert one.verdict is Verdict.OK


@pytest.mark.parametrize(
    ("prints", "verdict"),
    [("v3.19.0+g1", Verdict.OK), ("v2.17.0+g1", Verdict.FINDING), ("no", Verdict.CANNOT_TELL)],
)
def test_helm(tmp_path: Any, monkeypatch: Any, prints: str, verdict: Verdict) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (missing,) = computer.programs(LAB)
    assert (missing.verdict, missing.what) == (Verdict.FINDING, "there is no helm on the path")
    program = tmp_path / "helm"
    program.write_text(f"#!/bin/sh\necho {prints}\n")
    program.chmod(0o755)
    (one,) = computer.programs(LAB)
    assert one.verdict is verdict


@pytest.mark.parametrize(
    ("phase", "verdict", "remedy"),
    [
        ("down", Verdict.FINDING, "sudo apt-get install nftables"),
        # It has what it needs, and what it has taken is no longer free.
        ("ready", Verdict.OK, ""),
    ],
)
def test_what_the_sandbox_needs(
    monkeypatch: Any, phase: str, verdict: Verdict, remedy: str
) -> None:
    from eksnet.sandbox import lifecycle, preflight

    def refuse() -> None:
        raise EksnetError("not installed: nft", "it", "sudo apt-get install nftables")

    monkeypatch.setattr(preflight, "check_computer", refuse)
    monkeypatch.setattr(lifecycle, "status", lambda: SimpleNamespace(phase=phase))
    (one, *_) = computer.programs(Target("sandbox", "sandbox"))
    assert (one.verdict, one.remedy) == (verdict, remedy)


# The cluster.


def refusing(part: str, status: int, reason: str, message: str) -> Break:
    """Have the API server refuse posts to a path."""

    def refuse(api: FakeApi) -> None:
        api.refuse = lambda request: (
            (status, failure(status, reason, message))
            if request.method == "POST" and request.path.endswith(part)
            else None
        )

    return refuse


def forbidding(**attributes: str) -> Break:
    """Have the API server say no to reviews of some rights, and to everything at once."""

    def forbid(api: FakeApi) -> None:
        api.allows = lambda asked: (
            asked["verb"] != "*" and not (attributes.items() <= asked.items())
        )

    return forbid


def a_node(**fields: Any) -> Break:
    return lambda api: api.put("/api/v1/nodes/two", {"spec": {}, "status": READY, **fields})


def a_proxy(tag: str) -> Break:
    return lambda api: api.put(f"{SYSTEM}/daemonsets/kube-proxy", workload(f"kube-proxy:{tag}"))


def a_controller(*arguments: str, ready: bool = True) -> Break:
    one = workload("aws-load-balancer-controller:v3.3.0", args=list(arguments))
    one["metadata"] = {"labels": {"app.kubernetes.io/name": "aws-load-balancer-controller"}}
    if not ready:
        one["status"] = {"updatedReplicas": 1, "replicas": 1}

    def put(api: FakeApi) -> None:
        api.put(f"{SYSTEM}/deployments/aws-load-balancer-controller", one)
        slice_ = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/webhook"
        api.put(slice_, {
            "metadata": {"labels": {
                "kubernetes.io/service-name": "aws-load-balancer-webhook-service"}},
            "ports": [{"port": 9443}], "endpoints": [{"addresses": ["10.0.0.9"]}],
        })  # fmt: skip

    return put


COURSE = "--default-tags=eksnet=course"
NO_ENDPOINTS = (
    'Internal error occurred: failed calling webhook "vingress.elbv2.k8s.aws": failed to call '
    'webhook: Post "https://x": no endpoints available for service "aws-load-balancer-webhook"'
)
NO_WAY = (
    'Internal error occurred: failed calling webhook "mservice.elbv2.k8s.aws": failed to call '
    'webhook: Post "https://x": context deadline exceeded'
)
BROKEN = {
    "an older node": (
        "versions", a_proxy("v1.36.0"), "not newer than the API server", "update the add-on",
    ),
    "a node that is not ready": (
        "nodes", a_node(status={**READY, "conditions": [{"type": "Ready", "status": "False"}]}),
        "of 2 nodes 1 take pods; not so: two", "kubectl describe node two",
    ),
    "a node that takes no pods": (
        "nodes", a_node(spec={"unschedulable": True}), "not so: two", "kubectl describe node two",
    ),
    "no exec": (
        "rights on Kubernetes", forbidding(resource="pods", subresource="exec"),
        "you may not create/get pods/exec: all lessons need it", "create-access-entry",
    ),
    "no Secrets, where Helm keeps its releases": (
        "rights on Kubernetes", forbidding(resource="secrets", namespace="kube-system"),
        "create/delete/get/list/patch/update secrets in kube-system: 06 to 09 need it",
        "learner_role.yaml",
    ),
    "a webhook without endpoints": (
        "admission", refusing("/ingresses", 500, "InternalError", NO_ENDPOINTS),
        "a new Ingress is refused", "start the pods behind the Service aws-load-balancer-webhook",
    ),
    "a webhook behind a security group": (
        "admission", refusing("/services", 500, "InternalError", NO_WAY),
        "a new Service is refused", "allow its port (9443 for the AWS Load Balancer Controller)",
    ),
    "a policy": (
        "admission",
        refusing("/pods", 403, "Forbidden", 'admission webhook "policy" denied the request: no'),
        "a new Pod is refused", "exempt the namespaces",
    ),
    "somebody else's controller": (
        "controller", a_controller(), "is in kube-system, not installed by the course",
        "do 07 on another cluster",
    ),
    "kinds of a controller that is gone": (
        "controller",
        lambda api: api.put(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
            "ingressclassparams.elbv2.k8s.aws",
            {"spec": {"group": "elbv2.k8s.aws"}},
        ),
        "kinds of the AWS Load Balancer Controller are there", "07 installs it",
    ),
    "a controller that is not ready": (
        "controller", a_controller(COURSE, ready=False), "v3.3.0 is not ready",
        "kubectl -n kube-system describe deployment aws-load-balancer-controller",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_found_with_its_remedy(what: str, api: FakeApi, lab: Cluster) -> None:
    name, break_, says, remedy = BROKEN[what]
    assert {one.verdict for one in found(name, lab)} == {Verdict.OK}
    break_(api)
    told = [one for one in found(name, lab) if one.verdict is Verdict.FINDING]
    assert len(told) == 1, told
    assert says in told[0].what
    assert remedy in told[0].remedy
    assert (told[0].check, told[0].why) == (name, CHECK[name].why)
    # The doctor itself has changed nothing.
    assert api.writes == []


def test_a_cluster_without_nodes(api: FakeApi, lab: Cluster) -> None:
    for name in ("one", "two"):
        api.remove(f"/api/v1/nodes/{name}")
    (one,) = found("nodes", lab)
    assert (one.verdict, one.what) == (Verdict.FINDING, "the cluster has no nodes")


def test_an_old_api_server(lab: Cluster) -> None:
    lab.version = "v1.30.2"
    (one, *_) = installed.cluster_versions(lab)
    assert one.verdict is Verdict.FINDING
    assert "--kubernetes-version 1.31" in one.remedy


def test_the_courses_own_controller_is_fine(api: FakeApi, lab: Cluster) -> None:
    a_controller(COURSE)(api)
    (one,) = found("controller", lab)
    assert one.verdict is Verdict.OK
    assert "installed by the course" in one.what


def test_a_right_to_create_that_is_missing_is_no_policy(api: FakeApi, lab: Cluster) -> None:
    said = 'pods is forbidden: User "x" cannot create resource "pods"'
    refusing("/pods", 403, "Forbidden", said)(api)
    assert [one.verdict for one in found("admission", lab)] == [
        Verdict.CANNOT_TELL, Verdict.OK,
    ]  # fmt: skip


def test_each_verb_of_each_right_is_asked_for(api: FakeApi, lab: Cluster) -> None:
    asked: list[Any] = []
    api.allows = lambda attributes: not asked.append(attributes) and attributes["verb"] != "*"
    assert [one.verdict for one in rights.kubernetes(lab)] == [Verdict.OK]
    everything, *single = asked
    assert everything == {"verb": "*", "group": "*", "resource": "*"}
    assert len(single) == len(rights.rights()) > 100
    assert {"verb": "create", "resource": "pods", "subresource": "exec"} in single
    bind = {"verb": "bind", "group": "rbac.authorization.k8s.io", "resource": "clusterroles"}
    assert {**bind, "name": "system:coredns"} in single


def test_who_may_do_everything_is_asked_once(api: FakeApi, lab: Cluster) -> None:
    asked: list[Any] = []
    api.allows = lambda attributes: not asked.append(attributes)
    (one,) = rights.kubernetes(lab)
    assert (one.what, len(asked)) == ("you may do everything", 1)


def test_what_may_not_be_read_is_no_finding(api: FakeApi, lab: Cluster) -> None:
    api.refuse = lambda request: (
        (403, failure(403, "Forbidden", "nodes is forbidden"))
        if request.path.endswith("/nodes")
        else None
    )
    (one,) = found("nodes", lab)
    assert one.verdict is Verdict.CANNOT_TELL
    assert "nodes is forbidden" in one.what


# The whole.


def test_a_context_has_no_account_to_look_at(lab: Cluster) -> None:
    (one,) = found("subnets", lab)
    assert (one.verdict, one.check) == (Verdict.SKIPPED, "subnets")


def test_without_a_connection_the_computer_is_looked_at(api: FakeApi) -> None:
    def refuse(target: str | None) -> Cluster:
        raise EksnetError("it does not answer", "an answer", "turn it on")

    report = examine("context:lab", refuse)
    assert report.exit_code in (1, 2)
    (one,) = [one for one in report.findings if one.check == "connection"]
    assert (one.verdict, one.what, one.remedy) == (
        Verdict.CANNOT_TELL, "it does not answer", "turn it on",
    )  # fmt: skip
    skipped = {one.check for one in report.with_verdict(Verdict.SKIPPED)}
    assert {"nodes", "subnets", "controller"} <= skipped
    assert report.findings[0].check == "Python"


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([ok("a")], 0),
        ([ok("a"), skipped("b")], 0),
        ([ok("a"), cannot_tell("b")], 2),
        ([finding("a", "b"), cannot_tell("c")], 1),
    ],
)
def test_exit_codes(findings: list[Finding], code: int) -> None:
    assert Report("sandbox", tuple(findings)).exit_code == code


def test_a_finding_is_shown_with_why_and_what_to_do() -> None:
    one = finding("no route", "run `eksnet up`").of("subnets", "no ALB else")
    text = str(Report("sandbox", (ok("3.12").of("Python", "why"), one)))
    assert [line.split() for line in text.splitlines()][1:] == [
        ["FINDING", "subnets", "no", "route"],
        ["why:", "no", "ALB", "else"],
        ["next:", "run", *one_command().split()],
        ["sandbox:", "1", "checks", "are", "fine,", "1", "finding"],
    ]


def one_command() -> str:
    from eksnet.commands import runnable

    return runnable("`eksnet up`")


def test_the_command(api: FakeApi, lab: Cluster, monkeypatch: Any) -> None:
    helm = finding("there is no helm", "install it")
    checks = [dataclasses.replace(CHECK["programs"], look=lambda _: [helm]), CHECK["nodes"]]
    monkeypatch.setattr(doctor.examination, "CHECKS", checks)
    done = CliRunner().invoke(cli.app, ["doctor", "--json", "--target", "context:lab"])
    said = json.loads(done.stdout)
    assert (done.exit_code, said["exit_code"], said["target"]) == (1, 1, "context:lab")
    assert [one["check"] for one in said["findings"]] == ["programs", "connection", "nodes"]
    assert said["findings"][0]["remedy"] == "install it"
    plain = CliRunner().invoke(cli.app, ["doctor", "--target", "context:lab"])
    assert plain.exit_code == 1
    assert "next: install it" in plain.stdout
    refused = CliRunner().invoke(cli.app, ["doctor", "--target", "nothing"])
    assert refused.exit_code == 2
