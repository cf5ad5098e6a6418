"""The command that shows what a resolver asks for a name."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eksnet.cli.command import Json, app
from eksnet.cli.printing import console
from eksnet.errors import EksnetError
from eksnet.printable import printable

if TYPE_CHECKING:
    from eksnet.dns import ResolvConf, Walk


@app.command()
def resolve(
    name: Annotated[str, typer.Argument(help="The name to look up, as a program would give it.")],
    namespace: Annotated[
        str | None, typer.Option("--from", help="The namespace of the pod.")
    ] = None,
    profile: Annotated[
        str, typer.Option(help="The resolver: glibc, musl, go or busybox.")
    ] = "glibc",
    ndots: Annotated[
        int | None, typer.Option(min=0, help="The pod's ndots, if it is not the default.")
    ] = None,
    exists: Annotated[
        list[str] | None, typer.Option(help="A full name that has an address; can be repeated.")
    ] = None,
    resolv_conf: Annotated[
        str | None,
        typer.Option(help="A pod's own resolv.conf, or `-`; then --from is not needed."),
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="The nodes' AWS region, whose domain pods search.")
    ] = None,
    cluster_domain: Annotated[
        str | None, typer.Option(help="The cluster's domain, if it is not cluster.local.")
    ] = None,
    nameserver: Annotated[
        list[str] | None,
        typer.Option(help="A nameserver instead of kube-dns; can be repeated, in order."),
    ] = None,
    silent: Annotated[
        list[str] | None,
        typer.Option(help="A nameserver that does not answer; can be repeated."),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Observe the lookup on a cluster too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the queries that a pod's resolver sends for a name, in order, and their answers.

    A prediction is of rules alone, for a pod on EKS in ap-northeast-2, unless --region,
    --cluster-domain, --nameserver or --resolv-conf say otherwise: which names exist it learns from
    --exists. With --live a pod with that resolver (Debian, Alpine, a Go program or busybox),
    in a namespace made for it, looks the name up in the sandbox, or where EKSNET_TARGET says, and
    a CoreDNS between it and the cluster's DNS logs what it asks; the prediction then has the
    cluster's own replies.

    Exit code 1: the name has no address, or the observation is not as predicted. A prediction
    without --exists claims neither.
    """
    from eksnet import dns

    own = {"--region": region, "--cluster-domain": cluster_domain, "--nameserver": nameserver,
           "--resolv-conf": resolv_conf, "--silent": silent, "--exists": exists}  # fmt: skip
    if live:
        given = [option for option, value in own.items() if value is not None]
        walks = _predicted_and_observed(name, namespace, profile, ndots, given)
    else:
        conf = _resolv_conf(namespace, resolv_conf, region, cluster_domain, nameserver)
        conf = conf if ndots is None else conf.with_option("ndots", str(ndots))
        walk = dns.search_walk(name, conf, exists or (), profile, silent=silent or ())
        walks = {"predicted": walk}
    if as_json:
        print(json.dumps({title: _questions(walk) for title, walk in walks.items()}, indent=1))
    else:
        for title, walk in walks.items():
            console.print(f"{title}: {walk.cost}")
            console.print(walk)
        console.print(printable(walks["predicted"].why))
        if servers := {one.servers for one in walks["predicted"].questions if one.servers}:
            for to in sorted(servers):
                console.print(printable(f"Each query goes to {', '.join(to)}."))
        if not (live or exists):
            console.print(
                "This assumes that no such name exists. --exists FULL-NAME gives a name that"
            )
            console.print("has an address; --live looks the name up in a cluster.")
    walk = walks.get("observed", walks["predicted"])
    fine = walk.found or not (live or exists)
    raise typer.Exit(0 if fine and not dns.first_difference(walks["predicted"], walk) else 1)


def _resolv_conf(
    namespace: str | None,
    file: str | None,
    region: str | None,
    domain: str | None,
    nameservers: list[str] | None,
) -> ResolvConf:
    """Return the resolv.conf that a prediction is for: one that is given, or what a pod gets."""
    from eksnet import dns
    from eksnet.coredns.files import read_text

    if file is None:
        first, *others = nameservers or [dns.KUBE_DNS]
        return dns.pod_resolv_conf(
            _pods_namespace(namespace), nameserver=first, region=region or dns.REGION,
            domain=domain or dns.CLUSTER_DOMAIN, dns_config={"nameservers": others},
        )  # fmt: skip
    if region or domain or nameservers:
        raise EksnetError(
            "--resolv-conf with --region, --cluster-domain or --nameserver",
            "the file alone: it names the domains and the nameservers",
            "change the file, or omit it",
        )
    print_it = "`kubectl exec POD -- cat /etc/resolv.conf` prints a pod's"
    return dns.ResolvConf.parse(read_text(file, "a resolv.conf", print_it))


def _pods_namespace(namespace: str | None) -> str:
    if namespace is None:
        raise EksnetError(
            "no namespace", "the pod's namespace, whose domain comes first",
            "eksnet resolve NAME --from NAMESPACE, or with --resolv-conf FILE",
        )  # fmt: skip
    return namespace


def _predicted_and_observed(
    name: str, namespace: str | None, profile: str, ndots: int | None, given: list[str]
) -> dict[str, Walk]:
    namespace = _pods_namespace(namespace)
    if given:
        raise EksnetError(
            f"--live with {given[0]}",
            "what the cluster itself has",
            f"eksnet resolve {shlex.quote(name)} --from {shlex.quote(namespace)} --live",
        )
    import eksnet
    from eksnet import coredns, inputs
    from eksnet.dns.walk import check_asked

    # Before a sandbox is started for it.
    check_asked(name, profile)
    inputs.namespace(namespace)
    lookup = coredns.look_up(eksnet.connect(), name, namespace, profile=profile, ndots=ndots)
    return {"predicted": lookup.predicted, "observed": lookup.observed}


def _questions(walk: Walk) -> list[dict[str, Any]]:
    return [
        {"name": one.name, "rdtype": one.rdtype, "answer": str(one.reply), "queries": one.sent,
         "nameservers": list(one.servers)}
        for one in walk.questions
    ]  # fmt: skip
