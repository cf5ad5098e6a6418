"""Sets of Services and EndpointSlices at random, as the API server takes them."""

from hypothesis import strategies as st

NAMESPACE = "random"
PORTS = {"web": 80, "dns": 53, "": 8443}


def bools():
    return st.booleans()


@st.composite
def ports(draw):
    """Return one port without a name, or several with one; two may share a number."""
    names = draw(st.sampled_from([[""], ["web"], ["web", "dns"], ["dns", "more"]]))
    protocols = ["UDP", "TCP"] if names == ["dns", "more"] else None
    found = []
    for at, name in enumerate(names):
        protocol = protocols[at] if protocols else draw(st.sampled_from(["TCP", "UDP"]))
        number = 53 if protocols else PORTS[name]
        port = {"protocol": protocol, "port": number, "targetPort": 8000 + at}
        found.append(port | ({"name": name} if name else {}))
    return found


@st.composite
def specs(draw, number):
    """Return a Service's spec; its number keeps external addresses apart."""
    kind = draw(st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer", "Headless"]))
    spec = {"ports": draw(ports())}
    if kind == "Headless":
        return spec | {"clusterIP": "None"}
    spec["type"] = kind
    if draw(bools()):
        seconds = draw(st.integers(1, 86400))
        spec["sessionAffinity"] = "ClientIP"
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": seconds}}
    if draw(bools()):
        spec["internalTrafficPolicy"] = draw(st.sampled_from(["Cluster", "Local"]))
    if draw(bools()):
        spec["externalIPs"] = [f"203.0.113.{number}"]
    if kind != "ClusterIP":
        spec["externalTrafficPolicy"] = draw(st.sampled_from(["Cluster", "Local"]))
    if kind == "LoadBalancer":
        ranges = ["192.0.2.0/24", "192.0.2.128/32", "10.0.0.0/16", "203.0.113.77/24", "0.0.0.0/0"]
        spec["loadBalancerSourceRanges"] = draw(st.lists(st.sampled_from(ranges), unique=True))
    return spec


@st.composite
def endpoints(draw, address, nodes, zones, kinds):
    """Return an endpoint on some node, in some state of its life, with hints of some kind."""
    state = draw(st.sampled_from(["ready", "ready", "starting", "leaving", "gone"]))
    found = {
        "addresses": [address],
        "conditions": {
            "ready": state == "ready",
            "serving": state in ("ready", "leaving"),
            "terminating": state in ("leaving", "gone"),
        },
        "nodeName": draw(st.sampled_from(nodes)),
    }
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
    """Return Services with their slices: specs, ingress addresses and lists of endpoints."""
    found = []
    for number in range(draw(st.integers(1, 4))):
        spec = draw(specs(number))
        count = draw(st.integers(0, 4))
        addresses = [f"10.64.{number}.{at + draw(st.integers(0, 1)) * 100}" for at in range(count)]
        # Hints count when every ready endpoint has them.
        kinds = draw(st.sampled_from([[None], ["zone"], ["node"], ["both"], [None, "both"]]))
        group = [draw(endpoints(address, nodes, zones, kinds)) for address in addresses]
        cut = draw(st.integers(0, count))
        ingress = draw(st.sampled_from([None, "VIP", "Proxy"]))
        if spec.get("type") != "LoadBalancer":
            ingress = None
        found.append((spec, ingress, [part for part in (group[:cut], group[cut:]) if part]))
    return found


def everything(nodes, zones):
    """Return one set that uses each feature at least once, and in a way that counts."""
    here, there = nodes

    def at(number, *places, **fields):
        return [
            {
                "addresses": [f"10.65.{number}.{position}"],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "nodeName": place,
                **fields,
            }
            for position, place in enumerate(places)
        ]

    port = [{"protocol": "TCP", "port": 80, "targetPort": 8000}]
    two = [{**port[0], "name": "web"}, {"name": "dns", "protocol": "UDP", "port": 53}]
    two[1]["targetPort"] = 5353
    leaving = {"conditions": {"ready": False, "serving": True, "terminating": True}}
    balanced = {"type": "LoadBalancer", "ports": port}
    local = {"externalTrafficPolicy": "Local", "internalTrafficPolicy": "Local"}
    walled = {"loadBalancerSourceRanges": ["10.0.0.0/16", "192.0.2.0/24"]}
    sticky = {"sessionAffinity": "ClientIP"}
    zone = {"hints": {"forZones": [{"name": zones[0]}]}}
    other_zone = {"hints": {"forZones": [{"name": zones[1]}]}}
    node = {"hints": {"forNodes": [{"name": there}], "forZones": [{"name": zones[0]}]}}
    other_node = {"hints": {"forNodes": [{"name": here}], "forZones": [{"name": zones[1]}]}}
    return [
        (balanced | walled | sticky, "VIP", [at(0, here, there)]),
        (balanced | local | {"externalIPs": ["203.0.113.91"]}, "VIP", [at(1, there, there)]),
        (balanced | walled, "Proxy", [at(2, here)]),
        (balanced | walled | {"externalIPs": ["203.0.113.93"]}, "VIP", []),
        ({"type": "NodePort", "ports": two} | local | sticky, None, [at(4, here), at(5, there)]),
        ({"ports": two}, None, [at(6, here, there, **leaving)]),
        ({"ports": port}, None, [at(7, here, there, **zone), at(8, here, **other_zone)]),
        ({"ports": port}, None, [at(9, here, there, **node), at(10, there, **other_node)]),
        ({"ports": port}, None, [at(11, here, **zone), at(12, there)]),
        ({"ports": port, "clusterIP": "None"}, None, [at(13, here)]),
    ]
