"""A Service with three endpoints on two nodes, for the packet stepper."""

from eksnet import kubeproxy, widgets
from eksnet.widgets.packet_stepper import A_POD, scene

NODE = kubeproxy.Node("node-a", ("10.0.128.10",))
SERVICE = {
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {
        "type": "NodePort",
        "clusterIP": "10.100.7.7",
        "externalIPs": ["198.51.100.7"],
        "ports": [
            {"name": "http", "port": 80, "targetPort": 8080, "nodePort": 30080, "protocol": "TCP"}
        ],
    },
}
SLICE = {
    "metadata": {
        "name": "web-1",
        "namespace": "shop",
        "labels": {"kubernetes.io/service-name": "web"},
    },
    "addressType": "IPv4",
    "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    "endpoints": [
        {"addresses": ["10.0.144.21"], "nodeName": "node-b"},
        {"addresses": ["10.0.128.21"], "nodeName": "node-a"},
        {"addresses": ["10.0.128.22"], "nodeName": "node-a"},
    ],
}


def rules(mode, slices=(SLICE,)):
    """The rules of the node, as kube-proxy writes them."""
    return kubeproxy.predict([SERVICE], slices, NODE, kubeproxy.Settings(mode))


def stepper(**settings):
    """The stepper's model as it begins, or with these settings."""
    known = [rules("iptables"), rules("nftables")]
    return widgets.PacketStepper(scene([SERVICE], [SLICE], NODE, known, A_POD), **settings)


def view():
    """The same as a reader makes it."""
    return widgets.packet_stepper([SERVICE], [SLICE], NODE)
