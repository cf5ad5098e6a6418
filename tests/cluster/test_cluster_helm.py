"""Helm on the connected cluster: what is called, and what is let through."""

import os

import pytest

from eksnet.cluster import helm
from eksnet.cluster.helm import Helm
from eksnet.errors import EksnetError


@pytest.fixture
def program(tmp_path):
    """A Helm that says what it got, and fails where it is told to."""
    file = tmp_path / "helm"
    file.write_text(
        '#!/bin/sh\ncase "$*" in *fails*) echo "Error: no such chart" >&2; exit 1;;\n'
        '*slow*) exec sleep 30;; esac\necho "$KUBECONFIG|$HELM_DRIVER|$*"\n'
    )
    file.chmod(0o755)
    return file


def refuse():
    raise EksnetError("this would change the cluster")


def run(program, command, guard=refuse, timeout=20, **variables):
    return helm.run(Helm(program, variables, ("--kube-context", "c")), command, guard, timeout)


def test_the_command_has_the_clusters_environment(program, monkeypatch):
    monkeypatch.setenv("HELM_DRIVER", "sql")
    done = run(program, "list -n 'kube-system'", KUBECONFIG="/own", HELM_DRIVER=None)
    assert done.stdout == "/own||--kube-context c list -n kube-system\n"
    assert done.command == ("helm", "list", "-n", "kube-system")
    assert repr(done) == "/own||--kube-context c list -n kube-system"
    assert os.environ["HELM_DRIVER"] == "sql"


@pytest.mark.parametrize("command", ["install a b", "upgrade a b", "uninstall a", "rollback a 1"])
def test_what_changes_a_cluster_passes_its_guard(program, command):
    with pytest.raises(EksnetError, match="would change"):
        run(program, command)
    asked = []
    assert command in run(program, command, lambda: asked.append(1)).stdout
    assert asked == [1]


@pytest.mark.parametrize("command", ["list", "status a", "get values a", "search repo eks"])
def test_what_only_reads_needs_no_leave(program, command):
    assert run(program, command).exit_code == 0


@pytest.mark.parametrize(
    ("command", "seen"),
    [
        ("status fails", "helm status failed: no such chart"),
        ("helm list", "the command begins with helm"),
        ("", "the command is empty"),
        ("list 'a", "no closing quotation"),
    ],
)
def test_what_cannot_be_done_is_told(program, command, seen):
    with pytest.raises(EksnetError, match=seen):
        run(program, command)


def test_a_command_that_hangs_is_ended(program):
    with pytest.raises(EksnetError, match="helm status still runs after 0 s"):
        run(program, "status slow", timeout=0.2)


def test_a_context_uses_the_learners_own_helm(program, monkeypatch):
    monkeypatch.setenv("PATH", str(program.parent))
    assert helm.of_context("kind") == Helm(program, arguments=("--kube-context", "kind"))
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(EksnetError, match="no helm on the path"):
        helm.of_context("kind")
