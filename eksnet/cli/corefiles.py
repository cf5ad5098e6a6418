"""Commands for a Corefile before CoreDNS gets it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from eksnet import inputs
from eksnet.cli.command import Json, corefile_app
from eksnet.cli.printing import console
from eksnet.errors import EksnetError
from eksnet.printable import printable

CorefilePath = Annotated[str, typer.Argument(help="The Corefile; `-` for the standard input.")]
Variables = Annotated[
    list[str] | None,
    typer.Option("--env", help="NAME=VALUE of CoreDNS's process; can be repeated."),
]


@corefile_app.command("lint")
def corefile_lint(
    file: CorefilePath,
    release: Annotated[
        str, typer.Option(help="The release of CoreDNS, such as 1.11.4; else the engine's.")
    ] = "",
    mounted: Annotated[
        list[str] | None,
        typer.Option(help="A file that the pods have beside the Corefile; can be repeated."),
    ] = None,
    env: Variables = None,
    own: Annotated[
        list[str] | None,
        typer.Option(help="An address of the Service kube-dns, if it is not EKS's usual one."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Look for mistakes in a Corefile; docs/corefile-rules.md explains each rule.

    Exit code 1: something was found; 2: the file could not be read.
    """
    from eksnet.coredns import linting
    from eksnet.coredns.files import read_text

    findings = linting.lint(
        read_text(file), release, files=mounted or (), environment=_variables(env),
        own=own or linting.CLUSTER_DNS,
    )  # fmt: skip
    if as_json:
        found = {"refused": linting.is_refused(findings), "findings": [asdict(f) for f in findings]}
        print(json.dumps({"file": file, **found}, indent=1))
    else:
        for one in findings:
            console.print(printable(f"{file}:{one.line}: {one.severity}: {one.seen} [{one.rule}]"))
            console.print(printable(f"    {one.fix}"))
        console.print(linting.summary(findings))
    raise typer.Exit(1 if findings else 0)


@corefile_app.command("test")
def corefile_test(
    file: CorefilePath,
    query: Annotated[
        list[str] | None,
        typer.Option(help="NAME or NAME/TYPE to ask, each as it is; can be repeated."),
    ] = None,
    env: Variables = None,
    as_json: Json = False,
) -> None:
    """Start the real CoreDNS with a Corefile for a moment, apart from any cluster, and ask it.

    The plugin kubernetes reads the API of the cluster that is up, and only reads it. Nothing else
    is asked: a query that is forwarded shows the server that would be asked.

    Exit code 1: CoreDNS does not run with it, or a query fails; 2: it could not be tried.
    """
    from eksnet.coredns.files import read_text
    from eksnet.course.dryrun import cluster_if_up, dry_run, needs_cluster

    text = read_text(file)
    cluster = cluster_if_up() if needs_cluster(text) else None
    found = dry_run(text, *(query or ()), cluster=cluster, environment=_variables(env))
    if as_json:
        print(json.dumps(found.to_json(), indent=1))
    elif found.refused:
        place = f"{file}:{found.line}" if found.line else file
        console.print(printable(f"{place}: CoreDNS does not run with it: {found.refused}"))
    else:
        console.print("CoreDNS runs with it.")
    if not as_json:
        if found.answers:
            console.print(found.answers)
        for remark in found.remarks:
            console.print(printable(remark))
    raise typer.Exit(0 if found.sound else 1)


def _variables(given: list[str] | None) -> dict[str, str] | None:
    """Return the variables of --env; None where there is none."""
    if not given:
        return None
    for one in given:
        if "=" not in one[1:]:
            raise EksnetError(f"--env {one}", "NAME=VALUE", "such as --env UPSTREAM=10.0.0.2")
    return dict(inputs.sendable(one, "--env").split("=", 1) for one in given)
