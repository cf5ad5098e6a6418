"""Services and EndpointSlices for tests, as the API server returns them."""

from eksnet.kubeproxy import Node, Settings

HERE = Node("node-a", ("10.0.128.10",), "zone-a")
THERE = Node("node-b", ("10.0.144.10",), "zone-b")

IPTABLES = Settings(mode="iptables")
NFTABLES = Settings(mode="nftables")

PORT = {"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}


def service(name="web", /, *, status=None, labels=None, **spec):
    """Return a Service; keywords are fields of its spec."""
    metadata = {"name": name, "namespace": "shop", "labels": labels or {}}
    spec = {"type": "ClusterIP", "clusterIP": "10.100.7.7", "ports": [PORT], **spec}
    return {"metadata": metadata, "spec": spec, "status": status or {}}


def node_port(**spec):
    return service(type="NodePort", ports=[{**PORT, "nodePort": 30080}], **spec)


def load_balancer(*ranges, mode="VIP", **spec):
    ingress = {"loadBalancer": {"ingress": [{"ip": "198.51.100.7", "ipMode": mode}]}}
    given = {"loadBalancerSourceRanges": list(ranges)} if ranges else {}
    ports = [{**PORT, "nodePort": 30080}]
    return service(type="LoadBalancer", ports=ports, status=ingress, **given, **spec)


def endpoint(ip, node=None, **fields):
    """Return an endpoint; keywords are its conditions, and hints."""
    found = {"addresses": [ip], "conditions": {"ready": True, **fields}}
    if hints := found["conditions"].pop("hints", None):
        found["hints"] = hints
    return found | ({"nodeName": node} if node else {})


def slices(*endpoints, name="web", ports=None, labels=None):
    """Return one EndpointSlice with some endpoints."""
    return [
        {
            "metadata": {
                "name": f"{name}-1",
                "namespace": "shop",
                "labels": {"kubernetes.io/service-name": name, **(labels or {})},
            },
            "addressType": "IPv4",
            "ports": ports or [{"name": "http", "protocol": "TCP", "port": 8080}],
            "endpoints": list(endpoints),
        }
    ]


def three():
    """Return three endpoints: the first on node-a, the others on node-b."""
    return slices(
        endpoint("10.0.129.1", "node-a"),
        endpoint("10.0.145.2", "node-b"),
        endpoint("10.0.145.3", "node-b"),
    )
