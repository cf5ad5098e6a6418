"""The records that a cluster's DNS has for its Services and Pods, from the objects alone."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eksnet import inputs, versions
from eksnet.endpoints import endpoint_is_ready
from eksnet.errors import EksnetError
from eksnet.listing import Listing

SPECIFICATION = "Kubernetes DNS specification 1.1.0"
_COREDNS = versions.COREDNS.removeprefix("v")
PODS = f"kubernetes.io, DNS for Services and Pods; CoreDNS {_COREDNS}, `pods insecure`"
_NAMES = "CoreDNS's plugin kubernetes, object/endpoint.go: the specification has addresses alone"
_FQDN = "FQDN"
_SERVICE_OF = "kubernetes.io/service-name"

_Object = Mapping[str, Any]


@dataclass(frozen=True)
class Record:
    """One record.

    Attributes:
        name: Its name, without the final dot.
        rdtype: Its type: A, AAAA, SRV, CNAME or PTR.
        value: What it says, in the form of a zone file, names without the final dot.
        source: Where it is laid down.
    """

    name: str
    rdtype: str
    value: str
    source: str


def records(*objects: _Object, domain: str = "cluster.local") -> Listing[Record]:
    """Return the records that follow from Services, their EndpointSlices, and Pods.

    A Service with an address has one name for it, and an SRV record for each port with a name. A
    headless Service has the addresses of its ready endpoints, each with a name of its own below the
    Service's: the pod's hostname, else its address with dashes; where a slice has names in place of
    addresses (FQDN), these are CNAMEs. An ExternalName Service is a CNAME.
    A pod has its address with dashes; with `pods insecure`, the setting on EKS, CoreDNS answers
    this for any address at all, whether or not such a pod exists.

    The weight of an SRV record is CoreDNS's: a hundred, shared out.

    Args:
        objects: Objects as the API gives them, in any order; EndpointSlices count for the headless
            Services among them.
        domain: The cluster's domain.

    Raises:
        EksnetError: An object is of another kind, or not as the API server returns it; a Service
            has no clusterIP yet.

    Example:
        >>> service = {"kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
        ...     "spec": {"clusterIPs": ["10.100.0.9"], "ports": [{"name": "http", "port": 80}]}}
        >>> for record in records(service):
        ...     print(record.name, record.rdtype, record.value)
        web.shop.svc.cluster.local A 10.100.0.9
        _http._tcp.web.shop.svc.cluster.local SRV 0 100 80 web.shop.svc.cluster.local
        9.0.100.10.in-addr.arpa PTR web.shop.svc.cluster.local
        >>> records({"kind": "Pod", "metadata": {"name": "a", "namespace": "my-namespace"},
        ...     "status": {"podIPs": [{"ip": "172.17.0.3"}]}})[0].name
        '172-17-0-3.my-namespace.pod.cluster.local'
    """
    inputs.dns_name(domain, "the cluster's domain")
    found: list[Record] = []
    for one in objects:
        with inputs.well_formed("the object", one):
            found += _records_of(one, objects, domain)
    # A host with an address of each family is in two slices: CoreDNS tells each record once.
    return Listing.of(
        dict.fromkeys(found),
        {
            "name": lambda one: one.name,
            "rdtype": lambda one: one.rdtype,
            "value": lambda one: one.value,
            "source": lambda one: one.source,
        },
    )


def _records_of(one: _Object, objects: Sequence[_Object], domain: str) -> Iterator[Record]:
    kind = one.get("kind")
    if kind == "Pod":
        return _pod(one, domain)
    if kind == "EndpointSlice":
        return iter(())
    if kind != "Service":
        raise EksnetError(f"the kind {kind!r} has no DNS records", "Service or Pod")
    if one["spec"].get("type") == "ExternalName":
        return _external_name(one, domain)
    # A Service is headless when its first address is the word None.
    if _addresses(one["spec"])[:1] == ["None"]:
        return _headless(one, [each for each in objects if _belongs(each, one)], domain)
    return _cluster_ip(one, domain)


def _cluster_ip(service: _Object, domain: str) -> Iterator[Record]:
    name, spec = _name(service, domain), service["spec"]
    addresses = _addresses(spec)
    if not addresses:
        raise EksnetError(
            f"the Service {service['metadata']['name']} has no clusterIP yet",
            "an object as the API server returns it, or one with spec.clusterIP",
            'cluster.get("service/NAME")',
        )
    for address in addresses:
        yield _address(name, address, "2.3.1")
    for port in spec.get("ports") or ():
        if port.get("name"):
            yield _srv(name, port, len(addresses), name, "2.3.2")
    for address in addresses:
        yield _ptr(address, name, "2.3.3")


def _headless(service: _Object, slices: Sequence[_Object], domain: str) -> Iterator[Record]:
    name = _name(service, domain)
    ready = list(_ready([each for each in slices if each.get("addressType") != _FQDN]))
    aliases = list(_ready([each for each in slices if each.get("addressType") == _FQDN]))
    for place, (target, label, _) in enumerate(aliases):
        if not ready and not place:
            yield Record(name, "CNAME", target, _NAMES)
        yield Record(f"{label}.{name}", "CNAME", target, _NAMES)
    for address, _, _ in ready:
        yield _address(name, address, "2.4.1")
    for address, hostname, _ in ready:
        yield _address(f"{hostname}.{name}", address, "2.4.1")
    named = [(port, hostname) for _, hostname, ports in ready for port in ports if port.get("name")]
    sharing = Counter(_port_label(port) for port, _ in named)
    for port, hostname in named:
        # A slice may leave the number open: then every port is meant, and no record can say so.
        if port.get("port") is not None:
            count = sharing[_port_label(port)]
            yield _srv(name, port, count, f"{hostname}.{name}", "2.4.2")
    for address, hostname, _ in ready:
        yield _ptr(address, f"{hostname}.{name}", "2.4.3")


def _external_name(service: _Object, domain: str) -> Iterator[Record]:
    target = service["spec"]["externalName"].rstrip(".")
    # The API server takes an address for a name; CoreDNS has no record for it.
    if not inputs.is_address(target):
        yield _specified(_name(service, domain), "CNAME", target, "2.5.1")


def _pod(pod: _Object, domain: str) -> Iterator[Record]:
    for one in (pod.get("status") or {}).get("podIPs") or ():
        address = one["ip"]
        name = f"{dashed(address)}.{_namespace(pod)}.pod.{domain}"
        yield Record(name, _kind(address), address, PODS)


def dashed(address: str) -> str:
    """Return an address as a name's first label.

    Args:
        address: The IP address.

    Raises:
        EksnetError: It is no address.

    Example:
        >>> dashed("172.17.0.3"), dashed("2001:db8::")
        ('172-17-0-3', '2001-db8--0')
    """
    label = inputs.address(address).replace(".", "-").replace(":", "-")
    return f"{label}0" if label.endswith("-") else label


def _ready(slices: Sequence[_Object]) -> Iterator[tuple[str, str, Sequence[_Object]]]:
    """Yield address, hostname and ports of each endpoint that is ready."""
    for each in slices:
        for endpoint in each.get("endpoints") or ():
            if not endpoint_is_ready(endpoint):
                continue
            for address in endpoint["addresses"]:
                label = endpoint.get("hostname") or _label(address)
                yield address.rstrip("."), label, each.get("ports") or ()


def _label(address: str) -> str:
    return dashed(address) if inputs.is_address(address) else address.replace(".", "-")


def _belongs(each: _Object, service: _Object) -> bool:
    """Tell whether an object is a slice of a Service."""
    if each.get("kind") != "EndpointSlice":
        return False
    labels = each["metadata"].get("labels") or {}
    return (labels.get(_SERVICE_OF), _namespace(each)) == (
        service["metadata"]["name"],
        _namespace(service),
    )


def _namespace(one: _Object) -> str:
    """Return an object's namespace; a manifest that names none is for `default` here."""
    return str(one["metadata"].get("namespace") or "default")


def _addresses(spec: _Object) -> list[str]:
    return list(spec.get("clusterIPs") or filter(None, [spec.get("clusterIP")]))


def _name(service: _Object, domain: str) -> str:
    return f"{service['metadata']['name']}.{_namespace(service)}.svc.{domain}"


def _kind(address: str) -> str:
    return "AAAA" if ":" in address else "A"


def _address(name: str, address: str, section: str) -> Record:
    return _specified(name, _kind(address), address, section)


def _srv(name: str, port: _Object, sharing: int, target: str, section: str) -> Record:
    value = f"0 {max(1, 100 // sharing)} {port['port']} {target}"
    return _specified(f"{_port_label(port)}.{name}", "SRV", value, section)


def _port_label(port: _Object) -> str:
    return f"_{port['name']}._{(port.get('protocol') or 'TCP').lower()}"


def _ptr(address: str, name: str, section: str) -> Record:
    return _specified(ipaddress.ip_address(address).reverse_pointer, "PTR", name, section)


def _specified(name: str, rdtype: str, value: str, section: str) -> Record:
    return Record(name, rdtype, value, f"{SPECIFICATION}, {section}")
