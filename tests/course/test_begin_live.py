"""What one lesson leaves, the next one finds and puts back: on a live sandbox, and elsewhere."""

import json
import shutil
import subprocess

import pytest
import yaml

import eksnet
from eksnet import coredns, kubeproxy
from eksnet.cluster import simulated
from eksnet.coredns.installed import pods_not_terminating
from eksnet.errors import EksnetError
from eksnet.sandbox import lifecycle

SYSTEM = "kube-system"
CLEAN = "the cluster is in the state that this lesson expects"
SHOP = """
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-a, namespace: shop, labels: {app: web, pod: web-a}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: web, image: "busybox:1.36", command: [sleep, infinity],
     ports: [{name: http, containerPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
"""
CACHE = ("cache 30", "cache 10")


def edit(cluster):
    cluster.edit_configmap("coredns", "Corefile", lambda text: text.replace(*CACHE), SYSTEM)


def backed_up(cluster):
    cluster.backup("coredns", SYSTEM)
    edit(cluster)


def proxy_fault(name):
    def inject(cluster):
        cluster.apply(SHOP)
        cluster.wait("pod/web-a", namespace="shop")
        for other in ("web-b", "web-c") if name == "D" else ():
            # The fault waits for a Service with the three pods of the lesson.
            pod = next(one for one in yaml.safe_load_all(SHOP) if one["kind"] == "Pod")
            labels = {"app": "web", "pod": other}
            pod["metadata"] = {"name": other, "namespace": "shop", "labels": labels}
            cluster.apply(json.dumps(pod))
        kubeproxy.inject_fault(cluster, name)

    return inject


# What a lesson may leave, how it is put there, and which words tell of it.
LEFT = {
    "a Deployment scaled to nothing": (
        lambda one: one.patch("deployment", "coredns", {"spec": {"replicas": 0}}, SYSTEM),
        ["the Deployment coredns", "spec.replicas is 0, not 2"],
    ),
    "an edited Corefile": (edit, ["the Corefile", "cache 10, not cache 30"]),
    "an edited Corefile and its backup": (backed_up, ["the Corefile", "a backup of ConfigMap"]),
    "mode nftables": (
        lambda one: kubeproxy.switch_mode(one, "nftables"),
        ["kube-proxy's configuration", "mode: nftables, not mode: iptables"],
    ),
    "mode nftables, not restarted": (
        lambda one: kubeproxy.set_mode(one, "nftables"),
        ["kube-proxy's configuration"],
    ),
    "the permissions of CoreDNS": (
        lambda one: one.patch("clusterrole", "system:coredns", {"rules": []}),
        ["the permissions of CoreDNS", "rules: missing"],
    ),
    "a namespace": (lambda one: one.apply(SHOP), ["the namespace shop", "2 objects"]),
    **{
        f"fault dns-{name}": (
            lambda one, name=name: coredns.inject_fault(one, name),
            [f"the fault {name} of chapter dns", "01c_dns_troubleshooting"],
        )
        for name in "ABCD"
    },
    **{
        f"fault proxy-{name}": (
            proxy_fault(name),
            [f"the fault {name} of chapter proxy", "03c_service_faults", "the namespace shop"],
        )
        for name in "ABCD"
    },
}


def content(cluster):
    """Return what lessons may change, without what a controller writes."""
    names = [("configmap", "coredns"), ("configmap", "kube-proxy-config"),
             ("deployment", "coredns"), ("service", "kube-dns"),
             ("clusterrole", "system:coredns"), ("daemonset", "kube-proxy")]  # fmt: skip
    found = {}
    for kind, name in names:
        one = cluster.get(kind, name, SYSTEM)
        fields = {key: one.get(key) for key in ("data", "spec", "rules")}
        if "template" in (fields["spec"] or {}):
            fields["spec"]["template"]["metadata"].pop("annotations", None)
            fields["spec"]["template"]["metadata"].pop("creationTimestamp", None)
        found[kind, name] = fields
    there = {one.name for one in cluster.list("namespaces")}
    return {**found, "namespaces": there & {one for row in ROWS for one in row}}


ROWS = [("shop", "many"), ("my-namespace", "ops-ns", "app-ns", "witness")]


def names_are_answered(cluster):
    asked = cluster.run("busybox:1.36", "nslookup kubernetes.default.svc.cluster.local")
    return "10.100.0.1" in asked.output


@pytest.fixture
def elsewhere(live_sandbox, cluster, monkeypatch):
    """The same cluster, as one that is not the sandbox, and a lesson begun there once."""
    monkeypatch.setenv("KUBECONFIG", str(live_sandbox.kubeconfig))
    context = live_sandbox.context
    found = eksnet.connect(f"context:{context}", changes=context)
    shutil.rmtree(found.directory, ignore_errors=True)
    assert CLEAN in repr(eksnet.begin(found, "03c_service_faults"))
    return found


@pytest.fixture(scope="module")
def clean(live_sandbox, cluster):
    """What is there before anything is left; a reset ends with another."""
    lifecycle.up()
    eksnet.begin(cluster, "03c_service_faults")
    return content(cluster)


def some(*soaked):
    """Return all that may be left; what begins with one of these words for `make soak` alone."""
    return [
        pytest.param(what, marks=[pytest.mark.soak] if what.startswith(soaked) else [])
        for what in LEFT
    ]


# One fault of each chapter, and the notebooks' own.
@pytest.mark.sandbox
@pytest.mark.parametrize("what", some(*(f"fault {c}-{n}" for c in ("dns", "proxy") for n in "BCD")))
def test_on_the_sandbox_what_was_left_is_put_back_at_once(cluster, clean, what):
    leave, said = LEFT[what]
    leave(cluster)
    assert content(cluster) != clean or what.endswith("nothing")
    found = eksnet.begin(cluster, "03c_service_faults")
    for words in said:
        assert words in repr(found)
        assert words.replace("'", "&#x27;") in found._repr_html_()
    assert content(cluster) == clean
    assert cluster.get("deployment", "coredns", SYSTEM)["status"]["readyReplicas"] == 2
    assert names_are_answered(cluster)
    assert kubeproxy.wait_for_rules(cluster, kubeproxy.read_node(cluster)).mode == "iptables"
    assert repr(eksnet.begin(cluster, "03c_service_faults")) == f"03c_service_faults: {CLEAN}"


# Faults are the sandbox's own: who meets one elsewhere has reached it by its context.
@pytest.mark.sandbox
@pytest.mark.parametrize("what", some("fault", "mode", "the permissions of CoreDNS"))
def test_elsewhere_it_is_said_and_put_back_on_a_word(cluster, clean, elsewhere, what):
    leave, said = LEFT[what]
    if "backup" in what:
        # A backup belongs to the name by which the cluster was reached.
        backed_up(elsewhere)
    else:
        leave(cluster)
    before = content(cluster)
    with pytest.raises(EksnetError) as refused:
        eksnet.begin(elsewhere, "03c_service_faults")
    assert "nothing was changed" in refused.value.seen
    assert said[0] in refused.value.seen
    call = 'eksnet.begin(cluster, "03c_service_faults", restore='
    assert f"{call}True)" in refused.value.next_step
    assert f"{call}False)" in refused.value.next_step
    assert content(cluster) == before
    assert said[0] in repr(eksnet.begin(elsewhere, "03c_service_faults", restore=True))
    assert content(cluster) == clean
    assert names_are_answered(cluster)
    assert CLEAN in repr(eksnet.begin(cluster, "03c_service_faults"))


@pytest.mark.sandbox
def test_without_a_change_the_learner_goes_on_elsewhere(cluster, clean, elsewhere):
    edit(cluster)
    before = content(cluster)
    found = eksnet.begin(elsewhere, "05_lab_hosts", restore=False)
    assert "nothing was changed" in repr(found)
    assert found.left[0].what == "the Corefile"
    assert content(cluster) == before
    # From here on it is theirs.
    assert CLEAN in repr(eksnet.begin(elsewhere, "05_lab_hosts"))
    eksnet.begin(cluster, "05_lab_hosts")
    assert content(cluster) == clean


@pytest.mark.sandbox
def test_a_cluster_that_was_not_named_is_not_changed(cluster, clean, elsewhere, monkeypatch):
    from eksnet.cluster import guard

    monkeypatch.setattr(guard, "_named", set())
    unnamed = eksnet.connect(str(elsewhere.target))
    cluster.patch("deployment", "coredns", {"spec": {"replicas": 0}}, SYSTEM)
    before = content(cluster)
    with pytest.raises(EksnetError, match="its name was not given"):
        eksnet.begin(unnamed, "05_lab_hosts", restore=True)
    assert content(cluster) == before
    eksnet.begin(cluster, "05_lab_hosts")
    assert content(cluster) == clean


MINE = "{apiVersion: v1, kind: ConfigMap, metadata: {name: mine, namespace: shop}, data: {a: b}}"


def by_kubectl(manifest):
    program, kubeconfig = lifecycle.kubectl()
    subprocess.run(
        [program, "--kubeconfig", kubeconfig, "apply", "-f", "-"],
        input=manifest, text=True, check=True, capture_output=True,
    )  # fmt: skip


@pytest.mark.sandbox
def test_somebody_elses_objects_are_kept(cluster, clean, elsewhere):
    cluster.apply(SHOP)
    by_kubectl(MINE)
    found = eksnet.begin(elsewhere, "03a_rules_and_packets", restore=True)
    assert "1 not of the course: ConfigMap mine" in repr(found)
    assert "when you no longer need ConfigMap mine" in found.left[-1].done
    assert cluster.get("configmap", "mine", "shop")["data"] == {"a": "b"}
    # On the sandbox it goes, and stays in a file.
    found = eksnet.begin(cluster, "03a_rules_and_packets")
    assert found.left[-1].done == "deleted"
    kept = list(yaml.safe_load_all(found.kept.read_text()))
    assert {one["metadata"]["name"] for one in kept} == {"web-a", "web", "mine"}
    assert found.kept.stat().st_mode & 0o777 == 0o600
    assert str(found.kept) in repr(found)
    assert content(cluster) == clean


@pytest.mark.sandbox
def test_a_namespace_of_another_lesson_stays(cluster, clean):
    cluster.apply("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")
    assert CLEAN in repr(eksnet.begin(cluster, "05_lab_hosts"))
    assert cluster.get("namespace/shop").name == "shop"
    assert "the namespace shop" in repr(eksnet.begin(cluster, "03b_modes_and_growth"))
    assert content(cluster) == clean


@pytest.mark.sandbox
def test_what_the_corefile_was_for_a_moment_is_taken_up_by_no_pod(cluster, clean):
    """The kubelet may have written it into the pods' files already: `reload` looks there later."""
    pods = {one.name for one in pods_not_terminating(cluster)}
    edit(cluster)
    cluster.edit_configmap("coredns", "Corefile", lambda text: text.replace(*CACHE[::-1]), SYSTEM)
    eksnet.begin(cluster, "05_lab_hosts")
    assert not pods & {one.name for one in pods_not_terminating(cluster)}


@pytest.mark.sandbox
def test_what_an_interrupted_cell_has_made_for_a_moment_goes(cluster, clean):
    for kind, spec in (
        ("Pod", {"spec": {"containers": [{"name": "main", "image": "busybox:1.36",
                                          "command": ["sleep", "infinity"]}],
                          "terminationGracePeriodSeconds": 0}}),
        ("ConfigMap", {"data": {"Corefile": "x"}}),
    ):  # fmt: skip
        labels = {"app.kubernetes.io/managed-by": "eksnet"}
        metadata = {"name": "corefile-abcdef", "namespace": "default", "labels": labels}
        cluster.apply(json.dumps({"apiVersion": "v1", "kind": kind, "metadata": metadata, **spec}))
    labels = "{app.kubernetes.io/managed-by: eksnet}"
    for name in ("eksnet-witness-abcdef", "eksnet-witness-fedcba"):
        cluster.apply(
            f"{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {labels}}}}}"
        )
    # The end of a lookup, which does not wait.
    cluster.delete("namespace", "eksnet-witness-fedcba", wait=False)
    found = eksnet.begin(cluster, "05_lab_hosts")
    assert [one.what for one in found.left] == [
        "the namespace eksnet-witness-abcdef",
        "the Pod corefile-abcdef in default",
        "the ConfigMap corefile-abcdef in default",
    ]
    assert CLEAN in repr(eksnet.begin(cluster, "05_lab_hosts"))


@pytest.mark.sandbox
def test_what_was_deleted_is_made_again(cluster, clean):
    cluster.delete("service", "kube-dns", SYSTEM)
    cluster.delete("configmap", "coredns", SYSTEM)
    found = eksnet.begin(cluster, "05_lab_hosts")
    assert [one.done for one in found.left] == ["created", "created"]
    assert names_are_answered(cluster)
    assert cluster.get("service", "kube-dns", SYSTEM)["spec"]["clusterIP"] == "10.100.0.10"


@pytest.mark.sandbox
def test_the_learners_own_objects_stay(cluster, clean):
    cluster.apply("{apiVersion: v1, kind: Namespace, metadata: {name: own}}")
    by_kubectl(MINE.replace("shop", "own"))
    by_kubectl(MINE.replace("shop", "default"))
    edit(cluster)
    eksnet.begin(cluster, "05_lab_hosts")
    for namespace in ("own", "default"):
        assert cluster.get("configmap", "mine", namespace)["data"] == {"a": "b"}
        cluster.delete("configmap", "mine", namespace)
    cluster.delete("namespace", "own")


@pytest.mark.sandbox
def test_what_is_simulated_is_taken_back(cluster, clean):
    simulated.start_fleet(cluster, 4, 64)
    simulated.start_clock(cluster, 60)
    found = eksnet.begin(cluster, "05_lab_hosts")
    by = "02d_coredns_autoscaling"
    assert [(one.what, one.by, one.seen, one.done) for one in found.left] == [
        ("simulated nodes", by, "2 nodes", "deleted"),
        ("the autoscaler's clock", by, "it runs 60 times as fast", "ended"),
    ]
    assert (simulated.fleet(cluster), simulated.clock_factor(cluster)) == ([], 1)
    assert content(cluster) == clean
    assert CLEAN in repr(eksnet.begin(cluster, "05_lab_hosts"))


@pytest.mark.sandbox
def test_what_was_left_in_the_account_goes(cluster, clean):
    """By hand, and by the controller for an Ingress that is gone without its finalizer."""
    name, tag = "08b_ingress_https_and_faults", [{"Key": "eksnet", "Value": "course"}]
    eksnet.begin(cluster, name)
    of_controller = [{"Key": "elbv2.k8s.aws/cluster", "Value": cluster.eks_name}]
    vpc = cluster.aws("eks").describe_cluster(name=cluster.eks_name)["cluster"]
    vpc = vpc["resourcesVpcConfig"]["vpcId"]
    cluster.aws("acm").request_certificate(
        DomainName="shop.example.com", ValidationMethod="DNS", Tags=tag
    )
    elb = cluster.aws("elbv2")
    for group, tags in (("by-hand", tag), ("k8s-gone", of_controller)):
        elb.create_target_group(
            Name=group, Protocol="TCP", Port=80, VpcId=vpc, TargetType="ip", Tags=tags
        )
    found = eksnet.begin(cluster, name)
    assert [(one.what, one.seen, one.done) for one in found.left] == [
        (
            "what was made in AWS by hand",
            "target group by-hand, certificate shop.example.com",
            "deleted",
        ),
        (
            "what the AWS Load Balancer Controller has left in AWS",
            "target group k8s-gone",
            "deleted",
        ),
    ]
    assert elb.describe_target_groups()["TargetGroups"] == []
    assert CLEAN in repr(eksnet.begin(cluster, name))
    eksnet.begin(cluster, "05_lab_hosts")
    assert content(cluster) == clean
