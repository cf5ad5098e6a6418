"""What plugins take that answer, by themselves or by asking another server.

Source: plugin/*/setup.go of CoreDNS 1.14.3; see `eksnet.coredns.setups`.
"""

from __future__ import annotations

from eksnet.coredns import gotext
from eksnet.coredns.setup_reading import Setup
from eksnet.coredns.takes import (
    FLAG,
    any_rcode,
    anything,
    class_of,
    duration,
    expression,
    files,
    ignored,
    integer,
    no_more,
    nothing,
    one_of,
    path,
    peer,
    rcode,
    rdtype,
    refuse_value,
    remember,
    template,
    then,
    unsigned,
    word,
    words,
)
from eksnet.coredns.uses import Uses, is_open
from eksnet.coredns.zones import split_transport, zones_of

_MOST_UPSTREAMS = 15


def _auto_directory(uses: Uses) -> None:
    word(path)(uses)
    if uses.next_on_line():
        count = gotext.groups(uses.word)
        if not count and not is_open(uses.word):
            expected = "a regular expression with a group"
            uses.refuse(f"auto has the expression {uses.word!r}", expected, about=uses.word)
        word()(uses)
    if uses.next_on_line():
        uses.refuse("directory has more than three words after it", "three at most")


def _key_pair(uses: Uses) -> None:
    if not uses.next_on_line():
        uses.refuse("key has no word after it", "file NAME")
    if uses.word == "file":
        files(1, None, suffix=".key")(uses)


def _upstreams(uses: Uses) -> None:
    """Take the zone and the servers of forward and grpc."""
    if not uses.next_on_line():
        uses.refuse(f"{uses.plugin} has no word after it", "a zone and a server")
    if not is_open(uses.word) and not zones_of(uses.word):
        uses.refuse(f"{uses.plugin} is for {uses.word!r}", "a zone such as .", about=uses.word)
    found = uses.rest()
    if not found:
        uses.refuse(f"{uses.plugin} names no server", "an address, or a file such as resolv.conf")
    for one in found:
        _check_upstream(uses, one)
    uses.notes["servers"] = found


def _check_upstream(uses: Uses, server: str) -> None:
    if is_open(server):
        return
    transport, host = split_transport(server)
    if transport == "unix" and host:
        return
    pair = gotext.host_port(host)
    name = pair[0] if pair else host.strip("[]")
    if host and gotext.address(name.rpartition("%")[0] if "%" in name else name):
        return
    if not host or not uses.has_file(host if pair else name):
        expected = "an IP address, or a file such as /etc/resolv.conf"
        uses.refuse(f"{uses.plugin} asks {server!r}", expected, about=server)


def _forward_end(uses: Uses) -> None:
    servers = uses.notes.pop("servers", [])
    assert isinstance(servers, list)
    age, expire = uses.notes.pop("max_age", "0"), uses.notes.pop("expire", "10s")
    longest, idle = gotext.duration(str(age)), gotext.duration(str(expire))
    if longest and idle and longest < idle:
        uses.refuse(f"max_age {age} is less than expire {expire}", "max_age of expire or more")
    for one in servers:
        transport, host = split_transport(one)
        if transport not in ("dns", "tls"):
            uses.refuse(f"forward asks {one!r}", "DNS, or DNS over TLS: tls://", about=one)
        if transport == "tls" and "%" in host and uses.notes.get("tls_servername"):
            uses.refuse(f"both forward and {one!r} name the server for TLS", "one of the two")
    if len(servers) > _MOST_UPSTREAMS:
        expected = f"{_MOST_UPSTREAMS} at most"
        uses.refuse(f"forward names {len(servers)} servers", expected)
    uses.notes.clear()


def _health_check(uses: Uses) -> None:
    word(duration(0))(uses)
    while uses.next_on_line():
        if uses.word == "domain":
            word(lambda name: "" if gotext.is_domain(name) else "a name")(uses)
        elif uses.word != "no_rec":
            uses.refuse(f"health_check has {uses.word!r}", "no_rec, or domain NAME")


def _failover(value: str) -> str:
    return any_rcode(value) or ("a code of a failure" if value.upper() == "NOERROR" else "")


_BALANCING = one_of("random", "round_robin", "sequential")

_NAMES = words(1, None)


def _hosts_line(uses: Uses) -> None:
    found = uses.rest()
    if found:
        refuse_value(uses, found[0], path(found[0]))


def _hosts_ttl(uses: Uses) -> None:
    words(1, None, integer(1, 65535), anything)(uses)


def _fallthrough(uses: Uses) -> None:
    found = uses.rest()
    uses.notes["fallthrough"] = not found or any(zones_of(one) for one in found)


def _hosts_entry(uses: Uses) -> None:
    if uses.notes.get("fallthrough"):
        uses.refuse(
            f"hosts has the entry {uses.word!r} after fallthrough",
            "all entries before fallthrough",
            kind="late",
            about=uses.word,
        )
    uses.rest()


def _kubernetes_line(uses: Uses) -> None:
    zones = [zone for one in uses.rest() for zone in zones_of(one)]
    uses.notes["zones"] = zones = zones or [zone for one in uses.keys for zone in zones_of(one)]
    if all(zone.endswith((".in-addr.arpa.", ".ip6.arpa.")) for zone in zones):
        uses.refuse("kubernetes has no zone but reverse ones", "a zone such as cluster.local")


def _ignore(uses: Uses) -> None:
    found = uses.rest()
    if found:
        refuse_value(uses, found[0], one_of("empty_service")(found[0]))


def _selector(uses: Uses) -> None:
    option = uses.word
    found = uses.rest()
    if not found or not gotext.is_selector(" ".join(found)):
        uses.refuse(f"{option} has {' '.join(found)!r}", "a label selector", about=option)
    uses.notes[option] = True


def _namespaces(uses: Uses) -> None:
    words(1, None)(uses)
    uses.notes["namespaces"] = True


def _multicluster(uses: Uses) -> None:
    zones = uses.notes.setdefault("multicluster", [])
    assert isinstance(zones, list)
    zones[:] = [zone for one in uses.rest() for zone in zones_of(one)]


def _kubernetes_end(uses: Uses) -> None:
    if "namespaces" in uses.notes and "namespace_labels" in uses.notes:
        uses.refuse("kubernetes has both namespaces and namespace_labels", "one of the two")
    zones, own = uses.notes.get("multicluster", []), uses.notes.get("zones", [])
    assert isinstance(zones, list)
    assert isinstance(own, list)
    for zone in zones:
        if zone not in own:
            uses.refuse(
                f"kubernetes has no zone {zone}, which multicluster names", "one of its zones"
            )


def _qps(value: str) -> str:
    found = gotext.number(value)
    return "" if found is not None and found >= 0 else "a number from 0 on"


def _transfer_in(uses: Uses) -> None:
    word(one_of("from"))(uses)
    words(1, None, lambda host: "an IP address" if host == "*" else peer(host))(uses)
    uses.notes["transfer"] = True


def _secondary_each(uses: Uses) -> None:
    if not uses.notes.pop("transfer", False):
        uses.refuse("secondary has no option transfer", "transfer from ADDRESS")


def _template_line(uses: Uses) -> None:
    word(class_of)(uses)
    word(rdtype)(uses)
    uses.rest()


def _extended_error(value: str) -> str:
    return "" if gotext.unsigned(value, 16) is not None else "a number from 0 to 65535"


_TLS_FILES = files(0, 3)

_TTL = words(1, None, integer(0, 3600), anything)


ANSWERING: dict[str, Setup] = {
    "dnssec": Setup(ignored, {"key": _key_pair, "cache_capacity": word(integer())}, single=True),
    "template": Setup(
        _template_line,
        {
            "match": words(1, None, expression),
            "answer": words(1, None, template),
            "additional": words(1, None, template),
            "authority": words(1, None, template),
            "rcode": word(rcode),
            "ederror": words(1, 2, _extended_error, anything),
            "fallthrough": ignored,
            "upstream": ignored,
        },
    ),
    "hosts": Setup(
        _hosts_line,
        {
            "fallthrough": _fallthrough,
            "no_reverse": nothing,
            "ttl": _hosts_ttl,
            "reload": words(1, 1, duration(0)),
            "": _hosts_entry,
        },
        single=True,
    ),
    "k8s_external": Setup(
        ignored,
        {"ttl": _TTL, "apex": words(1, None), "headless": nothing, "fallthrough": ignored},
    ),
    "kubernetes": Setup(
        _kubernetes_line,
        {
            "endpoint_pod_names": FLAG,
            "pods": words(1, 1, one_of("disabled", "insecure", "verified")),
            "namespaces": _namespaces,
            "endpoint": _NAMES,
            "tls": files(3, 3),
            "labels": _selector,
            "namespace_labels": _selector,
            "fallthrough": ignored,
            "ttl": _TTL,
            "noendpoints": FLAG,
            "ignore": _ignore,
            "kubeconfig": words(1, 2),
            "multicluster": _multicluster,
            "startup_timeout": words(1, None, duration(), anything),
            "apiserver_qps": words(1, 1, _qps),
            "apiserver_burst": words(1, 1, integer(0)),
            "apiserver_max_inflight": words(1, 1, integer(0)),
        },
        single=True,
        each=_kubernetes_end,
    ),
    "file": Setup(
        then(word(), ignored),
        {
            "fallthrough": ignored,
            "reload": words(1, None, duration(), anything),
            "upstream": ignored,
        },
    ),
    "auto": Setup(
        ignored,
        {
            "directory": _auto_directory,
            "reload": words(1, None, duration(0), anything),
            "upstream": ignored,
        },
    ),
    "secondary": Setup(ignored, {"transfer": _transfer_in}, each=_secondary_each),
    "loop": Setup(no_more, single=True),
    "forward": Setup(
        _upstreams,
        {
            "except": _NAMES,
            "max_fails": word(unsigned),
            "max_connect_attempts": word(unsigned),
            "health_check": _health_check,
            "force_tcp": no_more,
            "prefer_udp": no_more,
            "tls": _TLS_FILES,
            "tls_servername": remember("tls_servername", word()),
            "expire": remember("expire", word(duration(0))),
            "max_age": remember("max_age", word(duration(0))),
            "max_idle_conns": word(integer(0)),
            "policy": word(_BALANCING),
            "max_concurrent": word(integer(0)),
            "next": words(1, None, any_rcode),
            "failfast_all_unhealthy_upstreams": FLAG,
            "failover": words(1, None, _failover),
        },
        each=_forward_end,
    ),
    "grpc": Setup(
        _upstreams,
        {
            "except": _NAMES,
            "tls": _TLS_FILES,
            "tls_servername": word(),
            "policy": word(_BALANCING),
            "fallthrough": ignored,
        },
        single=True,
    ),
    "erratic": Setup(
        nothing,
        {
            "drop": words(0, 1, integer(0, 2**31 - 1)),
            "delay": words(0, 2, integer(0, 2**31 - 1), duration()),
            "truncate": words(0, 1, integer(0, 2**31 - 1)),
            "large": nothing,
        },
    ),
    "whoami": Setup(no_more, first_only=True),
    "sign": Setup(then(word(), ignored), {"key": _key_pair, "directory": words(1, 1)}),
}  # fmt: skip
