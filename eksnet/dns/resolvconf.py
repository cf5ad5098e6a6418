"""resolv.conf: what a pod's resolver is told, read and written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eksnet import inputs
from eksnet.errors import EksnetError
from eksnet.printable import printable

DEFAULT_NDOTS = 1
DEFAULT_ATTEMPTS = 2
POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
VPC_RESOLVER = "10.0.0.2"
KUBE_DNS = "10.100.0.10"
REGION, CLUSTER_DOMAIN = "ap-northeast-2", "cluster.local"
_MAX_NDOTS = 15
_MAX_NAMESERVERS = 3
_MAX_SEARCH_DOMAINS = 32
_MAX_SEARCH_CHARACTERS = 2048
_MAX_DOMAIN_CHARACTERS = 253
# glibc and musl part words at blanks and tabs, and at nothing else that Python calls white space.
_LINE = re.compile(r"(nameserver|search|domain|options)[ \t]+([^ \t].*)", re.DOTALL)
_BLANKS = re.compile(r"[ \t]+")
# What Go calls white space.
_GO_BLANKS = re.compile("[\t\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
# More digits than any number that a resolver keeps.
_DIGITS = 18
_DNS_CONFIG = 'such as {"nameservers": ["10.9.9.9"], "options": [{"name": "ndots", "value": "2"}]}'


@dataclass(frozen=True, repr=False)
class ResolvConf:
    """The part of resolv.conf that decides which names are queried, and at which servers.

    Attributes:
        nameservers: Addresses, in order; a resolver uses the first three.
        search: The domains that are appended to a short name, in order.
        ndots: From how many dots on a name is tried as it is first; 1 when nothing is said.
        options: The options as written, in order, `ndots` among them.
    """

    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    ndots: int = DEFAULT_NDOTS
    options: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> ResolvConf:
        r"""Read a resolv.conf as glibc does.

        A keyword begins its line: a blank before it, or nothing after it, and the line counts for
        nothing. So `#` and `;` make a comment at the start of a line alone; further on they are
        words like others. A later `search` or `domain` replaces an earlier one, options add up.

        `ndots` is read as C reads a number, and kept in four bits: above 15 means 15, no number
        means 0, and -1 means 15. Not so elsewhere: of `ndots:-1` and `ndots:x` musl 1.2.3 makes
        1, Go 1.26 makes 0. A nameserver that is no address is kept here; glibc passes over it.

        Source: tried with glibc 2.36, line by line (tests/dns/test_resolv_conf_read.py);
        resolv.conf(5); glibc 2.42 resolv/res_init.c.

        Args:
            text: The content of a resolv.conf.

        Example:
            >>> ResolvConf.parse("search a.example b.example\noptions ndots:2").search
            ('a.example', 'b.example')
            >>> ResolvConf.parse("search a.example # b.example\n# search c.example").search
            ('a.example', '#', 'b.example')
        """
        nameservers: list[str] = []
        search: tuple[str, ...] = ()
        options: list[str] = []
        lines = map(_LINE.fullmatch, text.split("\n"))
        for keyword, rest in (line.groups() for line in lines if line):
            values = _BLANKS.split(rest.rstrip(" \t"))
            if keyword == "nameserver":
                nameservers.append(values[0])
            elif keyword == "options":
                options += values
            else:
                search = tuple(values[:1] if keyword == "domain" else values)
        used = tuple(nameservers[:_MAX_NAMESERVERS])
        return cls(used, search, _ndots(options), tuple(options))

    @classmethod
    def of_node(cls, text: str) -> ResolvConf:
        r"""Read a node's resolv.conf as the kubelet does for the node's pods.

        Otherwise than glibc it allows blanks before a keyword, takes no notice of `domain`, leaves
        out a root (`.`) and the final dots of a search list, which an empty `search` clears, and
        keeps each option once. It keeps all nameservers: how many a pod gets is seen later.

        Args:
            text: The content of the node's resolv.conf.

        Raises:
            EksnetError: A nameserver has no address: the kubelet then starts no pod.

        Source: Kubernetes 1.35 pkg/kubelet/network/dns/dns.go, parseResolvConf; the kubelet itself
        in tests/dns/test_dns_objects_live.py.

        Example:
            >>> ResolvConf.of_node(" search . a.example. b\ndomain c").search
            ('a.example', 'b')
        """
        nameservers: list[str] = []
        search: tuple[str, ...] = ()
        options: dict[str, str] = {}
        lines = ([word for word in _GO_BLANKS.split(line) if word] for line in text.split("\n"))
        for keyword, *values in filter(None, lines):
            if keyword == "nameserver":
                nameservers.append(_of_nameserver(values))
            elif keyword == "search":
                search = tuple(one.removesuffix(".") for one in values if one != ".")
            elif keyword == "options":
                options |= {one.partition(":")[0]: one for one in values}
        return cls(tuple(nameservers), search, _ndots(options.values()), tuple(options.values()))

    @property
    def attempts(self) -> int:
        """How often a question is sent that nobody answers; 2 when nothing is said.

        1 for 0 and for less, as Go has it; glibc 2.36 then asks nothing at all, and musl 1.2.3 ends
        with a division by zero.
        """
        return max(1, _number(self.options, "attempts", DEFAULT_ATTEMPTS))

    def has_option(self, name: str) -> bool:
        """Tell whether an option is set that has no number, as glibc reads it: by its beginning.

        Args:
            name: The option, such as no-aaaa.
        """
        return any(option.startswith(name) for option in self.options)

    def with_option(self, name: str, value: str = "") -> ResolvConf:
        """Return the same with one option more, or with another value for it.

        Args:
            name: The option's name, such as ndots.
            value: Its value; None for an option that has none.

        Example:
            >>> pod_resolv_conf("ops-ns").with_option("ndots", "1").options
            ('ndots:1',)
        """
        options = _merged_options(self.options, [{"name": name, "value": value}])
        return replace(self, ndots=_ndots(options), options=options)

    def render(self) -> str:
        """Return the text as the kubelet writes it: search, nameservers, options."""
        lines = [self.search_line] if self.search else []
        lines += [f"nameserver {address}" for address in self.nameservers]
        lines += [f"options {' '.join(self.options)}"] if self.options else []
        return "".join(f"{line}\n" for line in lines)

    @property
    def search_line(self) -> str:
        """The line that holds the search list."""
        return f"search {' '.join(self.search)}"

    def __repr__(self) -> str:
        return printable(self.render().rstrip("\n"))


def pod_resolv_conf(
    namespace: str,
    *,
    nameserver: str = KUBE_DNS,
    region: str | None = REGION,
    domain: str = CLUSTER_DOMAIN,
    policy: str = "ClusterFirst",
    dns_config: Mapping[str, Any] | None = None,
    host_network: bool = False,
    node: ResolvConf | str | None = None,
) -> ResolvConf:
    """Return what the kubelet writes for a pod.

    ClusterFirst: kube-dns, the cluster's three domains before the node's, `ndots:5`. Default: what
    the node has. None: nothing but `dns_config`. A pod with hostNetwork and the policy ClusterFirst
    gets Default; ClusterFirstWithHostNet is what it takes to get ClusterFirst there.

    Args:
        namespace: The pod's namespace.
        nameserver: The ClusterIP of kube-dns: on EKS the tenth address of the Service network.
        region: The region whose instance domain the node searches; None for a node without one,
            as on a general cluster.
        domain: The cluster's domain.
        policy: The pod's dnsPolicy.
        dns_config: The pod's dnsConfig as in its manifest: `nameservers` and `searches` are
            appended, each only once; of `options` of one name the pod's own holds.
        host_network: Whether the pod has hostNetwork.
        node: The node's resolv.conf, as a text or read by `ResolvConf.of_node`; made of the region
            and the VPC's resolver when None.

    Raises:
        EksnetError: No such policy, or None without a nameserver: the API server refuses both. Or
            the namespace, an address or a domain is none.

    Source: Kubernetes 1.35 pkg/kubelet/network/dns/dns.go (GetPodDNS, appendDNSConfig, the limits
    of 3 nameservers, 32 domains and 2,048 characters). The kubelet writes several options in no
    certain order; here they keep theirs.

    Example:
        >>> pod_resolv_conf("ops-ns", policy="None", dns_config={"nameservers": ["10.9.9.9"]})
        nameserver 10.9.9.9
        >>> pod_resolv_conf("ops-ns", region=None, dns_config={"options": [
        ...     {"name": "ndots", "value": "2"}, {"name": "edns0"}]})
        search ops-ns.svc.cluster.local svc.cluster.local cluster.local
        nameserver 10.100.0.10
        options ndots:2 edns0
    """
    dns_config = inputs.mapping(dns_config, "the dnsConfig", _DNS_CONFIG)
    _check_policy(policy, dns_config)
    inputs.namespace(namespace)
    inputs.address(nameserver, "the nameserver")
    inputs.dns_name(domain, "the cluster's domain")
    if isinstance(node, str):
        node = ResolvConf.of_node(node)
    of_node = node or ResolvConf((VPC_RESOLVER,), _node_search(region))
    if policy == "None":
        base = ResolvConf()
    elif policy == "Default" or (policy == "ClusterFirst" and host_network):
        base = of_node
    else:
        cluster = (f"{namespace}.svc.{domain}", f"svc.{domain}", domain)
        base = ResolvConf((nameserver,), _once((*cluster, *of_node.search)), 5, ("ndots:5",))
    return _within_limits(_with_dns_config(base, dns_config) if dns_config else base)


def _of_nameserver(values: Sequence[str]) -> str:
    if not values:
        raise EksnetError(
            "a nameserver of the node's resolv.conf has no address",
            "an address behind it: the kubelet starts no pod on that node else",
            "such as `nameserver 10.0.0.2`",
        )
    return values[0]


def _check_policy(policy: str, dns_config: Mapping[str, Any]) -> None:
    inputs.one_of(policy, POLICIES, "dnsPolicy")
    if policy == "None" and not dns_config.get("nameservers"):
        raise EksnetError(
            "dnsPolicy None without a nameserver",
            "a dnsConfig with at least one entry in `nameservers`: otherwise the API server "
            "refuses the pod",
            'pod_resolv_conf(..., policy="None", dns_config={"nameservers": ["10.100.0.10"]})',
        )


def _node_search(region: str | None) -> tuple[str, ...]:
    if region is None:
        return ()
    if region == "us-east-1":
        return ("ec2.internal",)
    return (f"{inputs.label(region, 'the region', 'ap-northeast-2')}.compute.internal",)


def _with_dns_config(base: ResolvConf, config: Mapping[str, Any]) -> ResolvConf:
    with inputs.well_formed("the dnsConfig", config, _DNS_CONFIG):
        options = _merged_options(base.options, config.get("options") or ())
        servers = [inputs.address(one) for one in config.get("nameservers") or ()]
        domains = [inputs.text(one, "the domain") for one in config.get("searches") or ()]
    return ResolvConf(
        _once((*base.nameservers, *servers)),
        _once((*base.search, *domains)),
        _ndots(options),
        options,
    )


def _within_limits(conf: ResolvConf) -> ResolvConf:
    """Leave out what is too much, as the kubelet does with a Warning event DNSConfigForming."""
    search = conf.search[:_MAX_SEARCH_DOMAINS]
    search = tuple(domain for domain in search if len(domain) <= _MAX_DOMAIN_CHARACTERS)
    while len(" ".join(search)) > _MAX_SEARCH_CHARACTERS:
        search = search[:-1]
    return replace(conf, nameservers=conf.nameservers[:_MAX_NAMESERVERS], search=search)


def _once(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def _merged_options(
    options: Iterable[str], changes: Iterable[Mapping[str, str | None]]
) -> tuple[str, ...]:
    values = dict(option.partition(":")[::2] for option in options)
    values |= {
        inputs.text(change["name"], "the option"): str(change.get("value") or "")
        for change in changes
    }
    return tuple(f"{name}:{value}" if value else name for name, value in values.items())


def _ndots(options: Iterable[str]) -> int:
    """Return ndots as glibc keeps it: no more than 15, in four bits."""
    return min(_number(options, "ndots", DEFAULT_NDOTS), _MAX_NDOTS) % (_MAX_NDOTS + 1)


def _number(options: Iterable[str], wanted: str, default: int) -> int:
    """Return an option's number as C's atoi has it, 0 for none; of several the last one holds."""
    found = re.findall(rf"(?<![^ ]){wanted}: *([+-]?[0-9]+)?", " ".join(options))
    return int(found[-1][:_DIGITS] or 0) if found else default
