"""A cluster that eksctl is to make: what is shown, and that nothing is made without a yes."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import pexpect
import pytest
import yaml

from eksnet.aws import new_cluster
from eksnet.aws.new_cluster import NewCluster
from eksnet.aws.tags import COURSE
from eksnet.errors import EksnetError
from eksnet.sandbox.vpc import INSTANCE_TYPE, plan

# What it is called with, and the file that is among it.
LOG = """\
echo "$@" >>"$EKSCTL_LOG"
for one in "$@"; do [ -f "$one" ] && cat "$one" >>"$EKSCTL_LOG"; done
"""


@pytest.fixture
def eksctl(tmp_path):
    """An eksctl that writes down what it is called with."""
    program = tmp_path / "bin" / "eksctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n{LOG}\n[ -z "$EKSCTL_FAILS" ]\n')
    program.chmod(0o755)
    log = tmp_path / "log"
    return log, {"PATH": f"{program.parent}:/usr/bin:/bin", "EKSCTL_LOG": str(log)}


def test_the_config_has_the_network_of_the_sandbox():
    config = yaml.safe_load(NewCluster().config)
    vpc = plan("ap-northeast-2")
    assert config["vpc"]["cidr"] == str(vpc.network)
    assert config["kubernetesNetworkConfig"]["serviceIPv4CIDR"] == str(vpc.services)
    assert config["availabilityZones"] == [node.zone for node in vpc.nodes]
    (group,) = config["managedNodeGroups"]
    assert (group["instanceType"], group["desiredCapacity"]) == (INSTANCE_TYPE, len(vpc.nodes))


def test_no_clean_up_takes_the_clusters_own_parts_for_a_lessons():
    config = yaml.safe_load(NewCluster().config)
    (group,) = config["managedNodeGroups"]
    for tags in (config["metadata"]["tags"], group["tags"]):
        assert tags
        assert not COURSE.items() <= tags.items()


def test_name_region_and_zones_are_the_learners():
    one = NewCluster("mine", "eu-west-1", ("eu-west-1a", "eu-west-1b"))
    config = yaml.safe_load(one.config)
    assert (config["metadata"]["name"], config["metadata"]["region"]) == ("mine", "eu-west-1")
    assert config["availabilityZones"] == ["eu-west-1a", "eu-west-1b"]
    assert "availabilityZones" not in yaml.safe_load(NewCluster("mine", "eu-west-1").config)


@pytest.mark.parametrize("word", ["2001-99-99", "1e3", "yes", "0x10", "null"])
def test_a_word_that_yaml_takes_for_something_else_stays_a_word(word):
    config = yaml.safe_load(NewCluster(word, word, (word,)).config)
    assert config["metadata"]["name"] == config["metadata"]["region"] == word
    assert (config["availabilityZones"], config["managedNodeGroups"][0]["name"]) == ([word], word)


@pytest.mark.parametrize("name", ["", "a b", "x: {y: z}", "-a", "${region}"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(EksnetError):
        NewCluster(name)


def test_what_it_makes_and_costs_is_said():
    said = " ".join(NewCluster().makes)
    for word in ("NAT gateway", "2 nodes m5.large", "10.0.0.0/16", "coredns", "CloudFormation"):
        assert word in said
    # 0.10 for the cluster, 0.059 for the NAT gateway, 0.005 for its address; nodes are unknown.
    assert NewCluster().estimate.usd == Decimal("0.164")
    assert NewCluster().estimate.unknown == 4
    # In us-east-1 the nodes' price is known too.
    assert NewCluster(region="us-east-1").estimate.usd == Decimal("0.342")


def test_a_shell_of_the_sandbox_makes_no_cluster(eksctl):
    log, variables = eksctl
    with pytest.raises(EksnetError, match="AWS_ENDPOINT_URL is set"):
        new_cluster.create(NewCluster(), {**variables, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    assert not log.exists()


def test_without_eksctl_it_says_where_it_is():
    with pytest.raises(EksnetError, match="there is no eksctl") as error:
        new_cluster.create(NewCluster(), {"PATH": "/nowhere"})
    assert "installation.html" in error.value.next_step


def test_eksctl_gets_the_config(eksctl):
    log, variables = eksctl
    assert new_cluster.create(NewCluster(), variables) == 0
    said = log.read_text()
    assert said.startswith("create cluster --config-file ")
    assert said.partition("\n")[2] == NewCluster().config
    assert new_cluster.create(NewCluster(), {**variables, "EKSCTL_FAILS": "1"}) == 1


def test_eksctl_deletes_by_name_and_region(eksctl):
    log, variables = eksctl
    assert new_cluster.delete(NewCluster("mine", "eu-west-1"), variables) == 0
    assert log.read_text().startswith("delete cluster --name mine --region eu-west-1 --wait")


# The command.

COMMAND = [sys.executable, "-m", "eksnet.cli", "cluster"]


@pytest.mark.parametrize("words", [["create"], ["delete"]])
def test_without_a_terminal_nothing_is_made_or_deleted(eksctl, words):
    log, variables = eksctl
    done = subprocess.run(
        [*COMMAND, *words], env=variables, input="workbook\n", capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "nobody has agreed" in done.stderr
    assert not log.exists()


@pytest.mark.parametrize(
    ("words", "typed", "code"),
    [(["create"], "workbook", 0), (["create"], "yes", 1), (["create"], "", 1),
     (["delete"], "workbook", 0), (["delete"], "other", 1)],
)  # fmt: skip
def test_the_yes_is_the_name_typed_on_a_terminal(eksctl, words, typed, code):
    log, variables = eksctl
    child = pexpect.spawn(COMMAND[0], [*COMMAND[1:], *words], env=variables, encoding="utf-8",
                          timeout=30, dimensions=(50, 200))  # fmt: skip
    child.expect("type its name")
    shown = child.before
    child.sendline(typed)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == code
    assert log.exists() == (code == 0)
    if words == ["create"]:
        assert "kind: ClusterConfig" in shown
        assert "at least 0.1640 USD an hour" in shown
        assert "cluster delete --name workbook" in shown
    else:
        assert "cleanup" in shown


def test_show_prints_the_config_alone(eksctl):
    log, variables = eksctl
    done = subprocess.run(
        [*COMMAND, "create", "--show"], env=variables, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, NewCluster().config)
    assert not log.exists()
