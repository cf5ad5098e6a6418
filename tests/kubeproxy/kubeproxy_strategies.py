"""Sets of Services and EndpointSlices at random, as the API server takes them."""

from typing import NamedTuple

from hypothesis import strategies as st

NAMESPACE = "random"
PORTS = {"web": 80, "dns": 53, "": 8443}


OTHER_PROXY = {"service.kubernetes.io/service-proxy-name": "another"}
HEADLESS = {"service.kubernetes.io/headless": ""}


class Offer(NamedTuple):
    """A Service's spec, the modes of its load balancer's addresses, its slices, and labels."""

    spec: dict
    ingress: tuple = ()
    groups: tuple = ()
    labels: dict = {}  # noqa: RUF012 - nobody writes into it
    slice_labels: dict = {}  # noqa: RUF012 - nor into this one


def bools():
    return st.booleans()


@st.composite
def ports(draw):
    """Return one port without a name, or several with one; two may share a number."""
    names = draw(st.sampled_from([[""], ["web"], ["web", "dns"], ["dns", "more"]]))
    protocols = ["UDP", "TCP"] if names == ["dns", "more"] else None
    found = []
    for at, name in enumerate(names):
        protocol = protocols[at] if protocols else draw(st.sampled_from(["TCP", "UDP", "SCTP"]))
        number = 53 if protocols else PORTS[name]
        port = {"protocol": protocol, "port": number, "targetPort": 8000 + at}
        found.append(port | ({"name": name} if name else {}))
    return found


KINDS = ["ClusterIP", "NodePort", "LoadBalancer", "ClusterIP", "NodePort", "LoadBalancer"]
KINDS += ["Headless", "ExternalName"]


@st.composite
def specs(draw, number):
    """Return a Service's spec; its number keeps external addresses apart."""
    kind = draw(st.sampled_from(KINDS))
    spec = {"ports": draw(ports()), "publishNotReadyAddresses": draw(bools())}
    if kind == "Headless":
        return spec | {"clusterIP": "None"}
    if kind == "ExternalName":
        return spec | {"type": kind, "externalName": "example.com"}
    spec["type"] = kind
    if draw(bools()):
        seconds = draw(st.integers(1, 86400))
        spec["sessionAffinity"] = "ClientIP"
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": seconds}}
    if draw(bools()):
        spec["internalTrafficPolicy"] = draw(st.sampled_from(["Cluster", "Local"]))
    external = [f"203.0.113.{number}", f"203.0.113.{100 + number}", "fd00::9"]
    if count := draw(st.integers(0, 3)):
        spec["externalIPs"] = external[:count]
    if kind != "ClusterIP" or count:
        spec["externalTrafficPolicy"] = draw(st.sampled_from(["Cluster", "Local"]))
    if kind == "LoadBalancer":
        ranges = ["192.0.2.0/24", "192.0.2.128/32", "10.0.0.0/16", "203.0.113.77/24", "0.0.0.0/0"]
        spec["loadBalancerSourceRanges"] = draw(st.lists(st.sampled_from(ranges), unique=True))
        spec["allocateLoadBalancerNodePorts"] = draw(bools())
    return spec


def _conditions(ready=None, serving=None, terminating=None):
    """Return conditions; those that are None are not said."""
    said = {"ready": ready, "serving": serving, "terminating": terminating}
    return {name: value for name, value in said.items() if value is not None}


STATES = {
    "ready": _conditions(True, True, False),
    "not said": _conditions(),
    "not said but terminating": _conditions(terminating=True),
    "starting": _conditions(False, False, False),
    "terminating": _conditions(False, True, True),
    "terminating, serving not said": _conditions(False, None, True),
    "gone": _conditions(False, False, True),
    # What publishNotReadyAddresses makes of those that start and of those that leave.
    "published": _conditions(True, False, False),
    "published, terminating": _conditions(True, True, True),
}


@st.composite
def endpoints(draw, address, nodes, zones, kinds):
    """Return an endpoint on some node, in some state of its life, with hints of some kind."""
    state = draw(st.sampled_from(["ready", *STATES]))
    found = {"addresses": [address], "conditions": STATES[state]}
    if place := draw(st.sampled_from([*nodes, *nodes, None])):
        found["nodeName"] = place
    hints = draw(st.sampled_from(kinds))
    if hints:
        zone, node = draw(st.sampled_from(zones)), draw(st.sampled_from(nodes))
        found["hints"] = {
            **({"forZones": [{"name": zone}]} if hints != "node" else {}),
            **({"forNodes": [{"name": node}]} if hints != "zone" else {}),
        }
    return found


@st.composite
def shops(draw, nodes, zones):
    """Return some Services with what serves them."""
    found = []
    for number in range(draw(st.integers(1, 4))):
        spec = draw(specs(number))
        count = draw(st.integers(0, 4))
        addresses = [f"10.64.{number}.{at + draw(st.integers(0, 1)) * 100}" for at in range(count)]
        # Hints count when every ready endpoint has them.
        kinds = draw(st.sampled_from([[None], ["zone"], ["node"], ["both"], [None, "both"]]))
        group = [draw(endpoints(address, nodes, zones, kinds)) for address in addresses]
        cut = draw(st.integers(0, count))
        # The last of the first slice may be in the second one too.
        again = max(0, cut - draw(st.integers(0, 1)))
        groups = tuple(part for part in (group[:cut], group[again:]) if part)
        modes = draw(st.lists(st.sampled_from(["VIP", "VIP", "Proxy"]), max_size=2))
        ingress = tuple(modes) if spec.get("type") == "LoadBalancer" else ()
        labels = draw(st.sampled_from([{}] * 8 + [OTHER_PROXY, HEADLESS]))
        slice_labels = draw(st.sampled_from([{}] * 9 + [OTHER_PROXY])) | labels
        found.append(Offer(spec, ingress, groups, labels, slice_labels))
    return found


def everything(nodes, zones):
    """Return one set that uses each feature at least once, and in a way that counts."""
    here, there = nodes

    def at(number, *places, **fields):
        return [
            {
                "addresses": [f"10.65.{number}.{position}"],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                **({"nodeName": place} if place else {}),
                **fields,
            }
            for position, place in enumerate(places)
        ]

    port = [{"protocol": "TCP", "port": 80, "targetPort": 8000}]
    two = [{**port[0], "name": "web"}, {"name": "dns", "protocol": "UDP", "port": 53}]
    two[1]["targetPort"] = 5353
    terminating = {"conditions": {"ready": False, "serving": True, "terminating": True}}
    balanced = {"type": "LoadBalancer", "ports": port}
    local = {"externalTrafficPolicy": "Local", "internalTrafficPolicy": "Local"}
    walled = {"loadBalancerSourceRanges": ["10.0.0.0/16", "192.0.2.0/24"]}
    # Some of these overlap, some touch, and one stands alone; nft joins what it can.
    parts = ["192.0.2.0/24", "192.0.2.128/32", "192.0.3.0/25", "198.51.100.4/32"]
    joined = {"loadBalancerSourceRanges": parts}
    sticky = {"sessionAffinity": "ClientIP"}
    zone = {"hints": {"forZones": [{"name": zones[0]}]}}
    other_zone = {"hints": {"forZones": [{"name": zones[1]}]}}
    node = {"hints": {"forNodes": [{"name": there}], "forZones": [{"name": zones[0]}]}}
    other_node = {"hints": {"forNodes": [{"name": here}], "forZones": [{"name": zones[1]}]}}
    sctp = [{"protocol": "SCTP", "port": 80, "targetPort": 8000}]
    two_ips = {"externalIPs": ["203.0.113.94", "203.0.113.95"]}
    two_more = {"externalIPs": ["203.0.113.96", "203.0.113.97"]}
    portless = balanced | {"allocateLoadBalancerNodePorts": False}
    published = {"conditions": STATES["published"]}
    vip = ("VIP",)
    return [
        Offer(balanced | walled | sticky, vip, (at(0, here, there),)),
        Offer(balanced | local | {"externalIPs": ["203.0.113.91"]}, vip, (at(1, there, there),)),
        Offer(balanced | walled, ("Proxy",), (at(2, here),)),
        Offer(balanced | joined, vip, (at(3, here),)),
        Offer(balanced | walled | {"externalIPs": ["203.0.113.93"]}, vip),
        Offer(
            {"type": "NodePort", "ports": two} | local | sticky,
            groups=(at(4, here), at(5, there)),
        ),
        Offer({"ports": two}, groups=(at(6, here, there, **terminating),)),
        Offer({"ports": port}, groups=(at(7, here, there, **zone), at(8, here, **other_zone))),
        Offer({"ports": port}, groups=(at(9, here, there, **node), at(10, there, **other_node))),
        Offer({"ports": port}, groups=(at(11, here, **zone), at(12, there))),
        Offer({"ports": port, "clusterIP": "None"}, groups=(at(13, here),)),
        Offer({"type": "NodePort", "ports": sctp}, groups=(at(14, here, there),)),
        Offer({"ports": port} | local | two_ips, groups=(at(15, there),)),
        Offer(portless | walled | two_more, ("VIP", "VIP"), (at(16, here, there),)),
        Offer({"ports": port}, groups=(at(17, here, there), at(17, here, there))),
        Offer(
            {"type": "NodePort", "ports": port} | local, groups=(at(18, None, here, conditions={}),)
        ),
        Offer(
            {"ports": port, "publishNotReadyAddresses": True},
            groups=(at(19, here, **published), at(20, here, **terminating)),
        ),
        Offer({"type": "ExternalName", "externalName": "example.com", "ports": port}),
        Offer({"ports": port}, (), (at(21, here),), OTHER_PROXY, OTHER_PROXY),
        Offer({"ports": port}, (), (at(22, here),), {}, OTHER_PROXY),
        Offer({"ports": port}, (), (at(23, here),), HEADLESS),
    ]
