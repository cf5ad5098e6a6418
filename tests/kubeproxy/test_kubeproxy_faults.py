"""What a fault of kube-proxy does when the cluster is not as it should be; no cluster is needed."""

from types import SimpleNamespace

import pytest

from eksnet import kubeproxy
from eksnet.errors import EksnetError


class WithoutKubeProxy:
    """A sandbox in which nothing may be changed: no kube-proxy stays on a node."""

    target = SimpleNamespace(kind="sandbox")

    def __init__(self, *pods):
        self.pods = pods

    def list(self, *_what, **_where):
        return list(self.pods)


PENDING = {"metadata": {}, "spec": {}}
TERMINATING = {"metadata": {"deletionTimestamp": "now"}, "spec": {"nodeName": "node1"}}


@pytest.mark.parametrize(
    "pods", [(), (PENDING,), (TERMINATING, PENDING)], ids=["none", "pending", "terminating"]
)
def test_without_a_kube_proxy_nothing_is_broken(pods):
    with pytest.raises(EksnetError, match="kube-proxy runs on no node"):
        kubeproxy.inject_fault(WithoutKubeProxy(*pods), "D")
