"""Helm, as a learner uses it: a chart of their own through all of its life."""

import os
import subprocess

import pytest

from eksnet.sandbox import build, lifecycle

pytestmark = pytest.mark.sandbox
DEADLINE = 90
CHART = {
    "Chart.yaml": "{apiVersion: v2, name: greeting, version: 0.1.0}",
    "values.yaml": "{word: hello, replicas: 1}",
    "templates/words.yaml": """
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-words, labels: {release: {{ .Release.Name }}}}
data: {word: {{ .Values.word | quote }}}
""",
    "templates/says.yaml": """
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}-says, labels: {release: {{ .Release.Name }}}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: "busybox:1.36", command: [sleep, infinity]}]
""",
}


@pytest.fixture
def helm(live_sandbox, tmp_path):
    """Run the engine's Helm with a home of the test's own; it must succeed."""
    lifecycle.up()
    _, kubeconfig = lifecycle.kubectl()
    homes = {f"HELM_{kind}_HOME": str(tmp_path / kind) for kind in ("CACHE", "CONFIG", "DATA")}
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), **homes}

    def run(*words):
        done = subprocess.run(
            [build.program("helm"), *words],
            env=environment, capture_output=True, text=True, check=False, timeout=DEADLINE + 30,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_a_chart_from_install_to_uninstall(helm, cluster, tmp_path):
    chart = tmp_path / "greeting"
    for name, text in CHART.items():
        file = chart / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    wait = ("--wait", f"--timeout={DEADLINE}s")

    def word():
        return cluster.get("configmap/first-words")["data"]["word"]

    def wait_for_ready(replicas):
        # Helm looks at the replica set, which is told first.
        ready = f"jsonpath={{.status.readyReplicas}}={replicas}"
        cluster.wait("deployment/first-says", condition=ready)

    helm("install", "first", str(chart), *wait)
    assert word() == "hello"
    wait_for_ready(1)
    helm("upgrade", "first", str(chart), "--set=word=goodbye,replicas=2", *wait)
    assert word() == "goodbye"
    wait_for_ready(2)
    helm("rollback", "first", "1", *wait)
    assert word() == "hello"
    assert helm("history", "first").count("superseded") == 2
    helm("uninstall", "first", *wait)
    for kind in ("configmaps", "deployments", "secrets"):
        left = [one.name for one in cluster.list(kind) if "first" in one.name]
        assert left == []
