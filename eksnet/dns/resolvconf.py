"""resolv.conf: what a pod's resolver is told, read and written."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_NDOTS = 1
_MAX_NDOTS = 15
_MAX_NAMESERVERS = 3


@dataclass(frozen=True, repr=False)
class ResolvConf:
    """The part of resolv.conf that decides which names are asked, of whom.

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
        """Read a resolv.conf as glibc does.

        A later `search` or `domain` line replaces an earlier one; `ndots` above 15 means 15;
        unknown lines and what follows `#` or `;` count for nothing.

        Source: resolv.conf(5); glibc 2.42 resolv/res_init.c.
        """
        nameservers: list[str] = []
        search: tuple[str, ...] = ()
        options: list[str] = []
        for line in text.splitlines():
            keyword, *values = line.split() or [""]
            if keyword == "nameserver" and values:
                nameservers.append(values[0])
            elif keyword == "search":
                search = tuple(_before_comment(values))
            elif keyword == "domain":
                search = tuple(values[:1])
            elif keyword == "options":
                options.extend(_before_comment(values))
        used = tuple(nameservers[:_MAX_NAMESERVERS])
        return cls(used, search, _ndots(options), tuple(options))

    def render(self) -> str:
        """Return the text as the kubelet writes it: search, nameservers, options."""
        lines = [f"search {' '.join(self.search)}"] if self.search else []
        lines += [f"nameserver {address}" for address in self.nameservers]
        lines += [f"options {' '.join(self.options)}"] if self.options else []
        return "".join(f"{line}\n" for line in lines)

    def __repr__(self) -> str:
        return self.render().rstrip("\n")


def pod_resolv_conf(
    namespace: str,
    *,
    nameserver: str = "10.100.0.10",
    region: str | None = "ap-northeast-2",
    domain: str = "cluster.local",
) -> ResolvConf:
    """Return what the kubelet writes for a pod with dnsPolicy ClusterFirst.

    Args:
        namespace: The pod's namespace.
        nameserver: The ClusterIP of kube-dns: on EKS the tenth address of the Service network.
        region: The region whose instance domain the node searches; None for a node without one,
            as on a general cluster.
        domain: The cluster's domain.

    Source: Kubernetes 1.34 pkg/kubelet/network/dns/dns.go.
    """
    search = [f"{namespace}.svc.{domain}", f"svc.{domain}", domain]
    if region:
        search.append("ec2.internal" if region == "us-east-1" else f"{region}.compute.internal")
    return ResolvConf((nameserver,), tuple(search), 5, ("ndots:5",))


def _before_comment(words: list[str]) -> list[str]:
    for index, word in enumerate(words):
        if word[0] in "#;":
            return words[:index]
    return words


def _ndots(options: list[str]) -> int:
    ndots = DEFAULT_NDOTS
    for option in options:
        name, _, value = option.partition(":")
        if name == "ndots" and value.isdigit():
            ndots = min(int(value), _MAX_NDOTS)
    return ndots
