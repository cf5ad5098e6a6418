"""The checkpoints of 06_lab_cname, on clusters and accounts that a test makes."""

from __future__ import annotations

import pytest
import test_checkpoints_lab_hosts as lab
from fake_api import FakeApi
from lab_api import Check
from test_checkpoints_lab_ingress import BALANCER, INGRESSES, FakeElb

from eksnet import coredns, loadbalancer
from eksnet.checkpoints import State
from eksnet.cluster import connect
from eksnet.coredns import set_plugin

HOST, OLD_HOST = "internal-k8s-Front.elb", "internal-k8s-appns.elb"
BOTH = ("shop.dot.com", "working.dot.com")
STATUSES = {"shop.dot.com": 200, "working.dot.com": 404}


def corefile(target: str = HOST, rule: str = "name exact working.dot.com", more: str = "") -> str:
    """Return the Corefile with the rule, and a second line in its block."""
    return set_plugin(lab.UNTOUCHED, f"rewrite stop {{\n    {rule} {target}\n    {more}\n}}")


SOLVED = corefile()


def put_cname(
    api: FakeApi,
    text: str = lab.UNTOUCHED,
    *,
    runs: str = "",
    backup: str = "",
    host: str = HOST,
    hosts: tuple[str, ...] = ("shop.dot.com",),
    listens: tuple[str, ...] | None = None,
    group: str = "",
) -> None:
    """Put the Ingress, its load balancer and the Corefile there.

    Args:
        api: The API server.
        text: The Corefile.
        runs: What the CoreDNS pods run; the text when empty.
        backup: The text when the backup was made; no backup when empty.
        host: The DNS name in the status of the Ingress; empty for none.
        hosts: The hosts of its rules.
        listens: The hosts of the listener's rules; those of the Ingress when None.
        group: The group of the Ingress; none when empty.
    """
    lab.put_lab(api, text, runs=runs, backup=backup)
    settings = {"alb.ingress.kubernetes.io/group.name": group} if group else {}
    api.put(
        f"{INGRESSES}/web",
        {
            "metadata": {"annotations": settings},
            "spec": {"rules": [{"host": one} for one in hosts]},
            "status": {"loadBalancer": {"ingress": [{"hostname": host}]}} if host else {},
        },
    )
    rules = [
        {
            "Priority": str(number),
            "Conditions": [{"Field": "host-header", "HostHeaderConfig": {"Values": [one]}}],
            "Actions": [{"Type": "forward", "TargetGroupArn": "arn:group"}],
        }
        for number, one in enumerate(hosts if listens is None else listens, 1)
    ]
    api.elbv2 = FakeElb(  # type: ignore[attr-defined]
        api,
        {
            "describe_load_balancers": {
                "LoadBalancers": [{"LoadBalancerArn": BALANCER, "DNSName": host}]
            },
            "describe_listeners": {"Listeners": [{"Port": 80, "ListenerArn": "arn:listener"}]},
            "describe_rules": {"Rules": rules},
        },
    )


@pytest.mark.parametrize(
    "text",
    [
        corefile(f"{HOST}."),
        corefile(HOST.upper()),
        corefile(rule="name working.dot.com"),
        corefile(more="answer auto"),
        set_plugin(lab.UNTOUCHED, f"rewrite name exact working.dot.com {HOST}"),
    ],
)
def test_every_spelling_of_the_rule_counts(api: FakeApi, checkpoint: Check, text: str) -> None:
    put_cname(api, text, backup=lab.UNTOUCHED)
    found = checkpoint("cname-01").check()
    assert found.state is State.PASS, repr(found)


@pytest.mark.parametrize(
    "text",
    [
        lab.UNTOUCHED,
        corefile(OLD_HOST),
        corefile(rule="name suffix working.dot.com"),
        corefile(more=f"answer name {HOST} working.dot.com"),
    ],
)
def test_a_wrong_rule_is_repaired_by_the_next_step(
    api: FakeApi, checkpoint: Check, text: str
) -> None:
    api.refuse = lambda _: None
    put_cname(api, text, backup=lab.UNTOUCHED, group="front")
    step = checkpoint("cname-04").check(wait=False).outcomes[1].observation.next_step
    rooms = {"coredns": coredns, "loadbalancer": loadbalancer}
    exec(step.partition(":\n")[2], {"cluster": connect("context:lab"), **rooms})
    put_cname(api, api.objects[lab.CONFIGMAP]["data"]["Corefile"], group="front")
    assert checkpoint("cname-04").check().state is State.PASS


def test_a_rule_that_comes_to_the_load_balancer_is_waited_for(
    api: FakeApi, checkpoint: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_cname(api, SOLVED, hosts=BOTH, listens=BOTH[:1])
    calls = []

    def slept(seconds: float) -> None:
        calls.append(seconds)
        put_cname(api, SOLVED, hosts=BOTH)

    monkeypatch.setattr("time.sleep", slept)
    found = checkpoint("cname-03").check()
    assert found.state is State.PASS, repr(found)
    assert len(calls) == 1
