"""A kube-proxy whose image has no program conntrack, as upstream's newer ones: it is said."""

import json

import pytest
from kubeproxy_objects import HERE

from eksnet import kubeproxy
from eksnet.cluster import Resource, pods
from eksnet.cluster.targets import Target
from eksnet.errors import EksnetError

IMAGE = "registry.k8s.io/kube-proxy:v1.36.0"
WAYS = ["kube-proxy", "debug pod"]
NOT_FOUND = 'exec: "conntrack": executable file not found in $PATH: unknown'
NO_MEMORY = "cannot allocate memory"


class Elsewhere:
    """A cluster with one pod of kube-proxy, in which no command can be started."""

    target = Target("context", "mine")

    def __init__(self, why):
        self.why = why

    def get(self, kind, name="", namespace=None):
        containers = [{"image": IMAGE}]
        return {"spec": {"template": {"spec": {"containers": containers}}}}

    def list(self, kind, namespace=None, *, selector=""):
        spec, status = {"nodeName": HERE.name}, {"phase": "Running"}
        return [Resource({"metadata": {"name": "kube-proxy-x"}, "spec": spec, "status": status})]

    def exec(self, pod, command, namespace):
        status = json.dumps({"status": "Failure", "message": f"Internal error: {self.why}"})
        pods._exit_code(status.encode(), command, pod)

    def run(self, image, command, namespace, *, spec):
        raise pods._not_started(self.why)(f"{' '.join(command)} could not be started: {self.why}")


@pytest.mark.parametrize("way", WAYS)
def test_an_image_without_conntrack_is_named_with_what_works_instead(way):
    with pytest.raises(EksnetError) as caught:
        kubeproxy.read_connections(Elsewhere(NOT_FOUND), HERE, through=way)
    assert caught.value.seen == f"kube-proxy's image has no program conntrack: {IMAGE}"
    assert "an image with conntrack" in caught.value.expected
    assert "skip the cells that read connections" in caught.value.next_step
    assert "as root on node-a: conntrack -L" in caught.value.next_step


@pytest.mark.parametrize("way", WAYS)
def test_another_failure_keeps_its_own_words(way):
    with pytest.raises(EksnetError, match=NO_MEMORY) as caught:
        kubeproxy.read_connections(Elsewhere(NO_MEMORY), HERE, through=way)
    assert "has no program" not in caught.value.seen
