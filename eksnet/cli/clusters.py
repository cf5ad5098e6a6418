"""Commands for a cluster and its AWS account: look, pay, put back, make and clean up."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from typing import Annotated

import typer

from eksnet.cli.command import Json, Target, app, cluster_app
from eksnet.cli.printing import console
from eksnet.errors import EksnetError
from eksnet.printable import printable


@app.command()
def doctor(target: Target = None, as_json: Json = False) -> None:
    """Look whether this computer, a cluster and its AWS account are ready for the course.

    It reads, asks what you may do, and has objects judged in dry runs; nothing is changed. Each
    finding says what was seen, why it matters and what to do.

    Exit code 1: something was found; 2: something could not be looked at.
    """
    from eksnet.doctor import examine

    found = examine(target)
    if as_json:
        print(json.dumps(found.to_json(), indent=1))
    else:
        console.print(found.coloured() if sys.stdout.isatty() else str(found))
    raise typer.Exit(found.exit_code)


@app.command()
def cost(target: Target = None, as_json: Json = False) -> None:
    """List what is billing now in the cluster's AWS account and region, by the hour.

    Prices are those of a dated table, data/aws_prices.csv, or said to be unknown. Nothing is
    changed.
    """
    from eksnet.aws.billing import bill
    from eksnet.cluster import connect_read_only

    cluster = connect_read_only(target)
    sandbox = cluster.target.kind == "sandbox"
    found = bill(cluster.aws, cluster.region, cluster.eks_name, is_sandbox=sandbox)
    if as_json:
        print(json.dumps(found.to_json(), indent=1))
    else:
        console.print(str(found))


@app.command()
def rollback(
    number: Annotated[
        int | None, typer.Argument(min=1, help="The snapshot; without one, all are listed.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    target: Target = None,
    as_json: Json = False,
) -> None:
    """List what was there before risky changes, or put one of them back.

    A snapshot is taken before each change of a ConfigMap of kube-system, such as the Corefile, and
    before each change of the add-on coredns. What a rollback replaces is a snapshot, too.

    Exit code 1: it was not put back, because you said no.
    """
    from eksnet.course import rollback as rolling

    if number is None:
        found = rolling.listed(target)
        if as_json:
            print(json.dumps(rolling.to_json(found), indent=1))
        else:
            console.print(str(found) if found else "Nothing risky was changed so far.")
        return
    plan = rolling.planned(number, target)
    console.print(printable(plan.difference or f"{plan.snapshot.what} is as it was."))
    if plan.difference and not (yes or _agrees(f"Put {plan.snapshot.what} back?")):
        raise typer.Exit(1)
    console.print(printable(rolling.put_back(plan)))


def _agrees(question: str) -> bool:
    """Ask for a yes; who cannot be asked has said none.

    Raises:
        EksnetError: There is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise EksnetError(
            f"{question} Nobody can answer here", "a terminal, or --yes", "add --yes to agree"
        )
    return typer.confirm(question)


@app.command()
def cleanup(
    check: Annotated[bool, typer.Option("--check", help="Only look; nothing is changed.")] = False,
    timeout: Annotated[
        float, typer.Option(help="How long to wait for each kind of thing, in seconds.")
    ] = 300,
    as_json: Json = False,
) -> None:
    """Delete what the course has made, in the cluster and in its AWS account, and prove it.

    The sandbox, or where EKSNET_TARGET says. Only what has the tags or labels of the course, or of
    the AWS Load Balancer Controller that it has installed. Interrupted, it goes on when run again.

    Exit code 1: something is left; 2: it could not be looked at, or deleted.
    """
    import eksnet
    from eksnet.cluster import connect_read_only
    from eksnet.course import cleanup as cleaning

    if check:
        found = cleaning.left_over(connect_read_only())
    else:
        with contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout):
            found = cleaning.clean_up(eksnet.connect(), timeout)
    if as_json:
        print(json.dumps(found.to_json(), indent=1))
    else:
        # Names in full, however narrow the terminal is.
        console.print(str(found))
    raise typer.Exit(0 if found.clean else 1)


ClusterName = Annotated[str, typer.Option("--name", help="The cluster's name.")]
ClusterRegion = Annotated[str, typer.Option("--region", help="The AWS region.")]


@cluster_app.command("create")
def cluster_create(
    name: ClusterName = "workbook",
    region: ClusterRegion = "ap-northeast-2",
    zone: Annotated[
        list[str] | None, typer.Option(help="An availability zone; can be repeated.")
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Only print the config file, and create nothing.")
    ] = False,
) -> None:
    """Show eksctl's config file for a cluster, what it makes and costs; after a yes, create it.

    The yes is the cluster's name, typed on a terminal. `eksnet cluster create --show >FILE` is for
    those who call eksctl themselves.

    Exit code 1: you did not agree, or eksctl failed.
    """
    from eksnet.aws import new_cluster

    one = new_cluster.NewCluster(name, region, tuple(zone or ()))
    if show:
        print(one.config, end="")
        return
    console.print(one.config)
    console.print("It makes:")
    for what in one.makes:
        console.print(printable(f"  - {what}"))
    console.print(str(one.estimate))
    new_cluster.check()
    console.print(f"It takes about {new_cluster.MINUTES} minutes, and costs until you delete it:")
    console.print(f"eksnet cluster delete --name {name} --region {region}")
    _typed(name, f"create {name} in {region}, in your AWS account")
    code = new_cluster.create(one)
    if code == 0:
        console.print(f"export EKSNET_TARGET=eks:{name}@{region} EKSNET_CHANGES={name}")
    raise typer.Exit(min(code, 1))


@cluster_app.command("delete")
def cluster_delete(
    name: ClusterName = "workbook", region: ClusterRegion = "ap-northeast-2"
) -> None:
    """Delete a cluster that `eksnet cluster create` has made, with its VPC; after a yes.

    First clean up: load balancers that are left keep their VPC from being deleted.

    Exit code 1: you did not agree, or eksctl failed.
    """
    from eksnet.aws import new_cluster

    one = new_cluster.NewCluster(name, region)
    new_cluster.check()
    console.print(f"First: EKSNET_TARGET=eks:{name}@{region} eksnet cleanup")
    console.print(
        "Then this deletes the cluster, its nodes and its VPC, and waits until it is done:"
    )
    console.print(shlex.join(new_cluster.delete_command(one)))
    _typed(name, f"delete {name} in {region}, with all that is in it")
    raise typer.Exit(min(new_cluster.delete(one), 1))


def _typed(name: str, what: str) -> None:
    """Go on after a yes: the cluster's name, typed on a terminal.

    Raises:
        EksnetError: There is no terminal: nobody has agreed.
    """
    if not sys.stdin.isatty():
        raise EksnetError(
            f"nobody has agreed to {what}", "a terminal, on which the name is typed",
            "run the command in a terminal",
        )  # fmt: skip
    if typer.prompt(f"To {what}, type its name", default="", show_default=False) != name:
        console.print("Nothing was done.")
        raise typer.Exit(1)
