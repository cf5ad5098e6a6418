"""Commands for manifests of the AWS Load Balancer Controller, and for its errors."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, NoReturn

import typer

from eksnet import inputs
from eksnet.cli.command import Json, app
from eksnet.cli.printing import console
from eksnet.errors import EksnetError
from eksnet.printable import printable


@app.command()
def plan(
    manifests: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="Files or folders with manifests; - for the standard input."
        ),
    ],
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", "-n", help="Where objects go that name no namespace."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what the AWS Load Balancer Controller would make of manifests; nothing is changed.

    The controller's own code says it, for the sandbox or where EKSNET_TARGET says: load balancers,
    listeners, rules, target groups with their targets, security groups, subnets, and how they
    differ from what AWS has.

    Exit code 1: something would be refused; 2: it could not be planned.
    """
    from eksnet.cluster.access import access_read_only
    from eksnet.loadbalancer import planning

    given = planning.files(*manifests)
    found = planning.plan(access_read_only(), *given, namespace=namespace)
    if as_json:
        print(json.dumps(found.to_json(), indent=1))
    else:
        console.print(str(found))
    raise typer.Exit(0 if found.fine else 1)


@app.command("lint")
def manifests_lint(
    files: Annotated[
        list[str], typer.Argument(help="Manifests and folders; `-` for the standard input.")
    ],
    controller: Annotated[
        str, typer.Option(help="The release of the controller, such as 2.7; else the engine's.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Look for mistakes in manifests for the AWS Load Balancer Controller.

    docs/manifest-rules.md explains each rule. Files are looked at together. Nothing is asked.

    Exit code 1: something was found; 2: a file could not be read.
    """
    from eksnet.loadbalancer import linting, reading, releases

    findings = linting.lint_texts(reading.files(files), controller)
    if as_json:
        errors = sum(one.severity == linting.ERROR for one in findings)
        counted = {"errors": errors, "warnings": len(findings) - errors}
        release = controller or releases.written(releases.PINNED)
        found = {"controller": release, **counted, "findings": [asdict(one) for one in findings]}
        print(json.dumps(found, indent=1))
    else:
        for one in findings:
            about = f"{one.object}: " if one.object else ""
            place = f"{one.file}:{one.line}: {one.severity}: {about}"
            console.print(printable(f"{place}{one.seen} [{one.rule}]"))
            console.print(printable(f"    {one.fix}"))
        console.print(linting.summary(findings))
    raise typer.Exit(1 if findings else 0)


@app.command("explain")
def explain_what(
    error: Annotated[
        list[str],
        typer.Argument(
            metavar="ERROR|KIND/NAME",
            help="An error or an event, `-` for the standard input; or an object: ingress/NAME, "
            "service/NAME, targetgroupbinding/NAME.",
        ),
    ],
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="The namespace of the object.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what an error of the load balancer controller or of AWS means, and how to fix it.

    The text may be lines of a log: each known error in it is explained once. Nothing is asked.

    Of an object, say why it has no load balancer that works: its class, the controller's events and
    log, its annotations, and what AWS has, in this order; the first that fails is the cause.
    Nothing is changed, on any target.

    Exit code 1: nothing is known of the error, or something fails; 2: it cannot be told.
    """
    from eksnet.loadbalancer import diagnosis

    if len(error) == 1 and diagnosis.is_object(error[0]):
        _explain_object(error[0], namespace, as_json)
    if namespace is not None:
        raise EksnetError(
            f"--namespace {inputs.shown(namespace)} beside an error",
            "an object, such as ingress/web",
        )
    _explain_error(error, as_json)


def _explain_object(about: str, namespace: str | None, as_json: bool) -> NoReturn:
    from eksnet.cluster import connect_read_only
    from eksnet.diagnosis import CANNOT_TELL
    from eksnet.loadbalancer import diagnosis

    found = diagnosis.diagnose(connect_read_only(), about, namespace)
    if as_json:
        first = asdict(found.first) if found.first else None
        checks = [asdict(one) for one in found.checks]
        print(json.dumps({"object": about, "first": first, "checks": checks}, indent=1))
    else:
        console.print(str(found))
    open_ = any(one.verdict == CANNOT_TELL for one in found.checks)
    raise typer.Exit(1 if found.first else 2 if open_ else 0)


def _explain_error(error: list[str], as_json: bool) -> NoReturn:
    from eksnet.loadbalancer import explaining, reading

    given = reading.standard_input() if error == [reading.STDIN] else " ".join(error)
    found = explaining.explain(given)
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=1))
    else:
        for one in found:
            console.print(printable(f"{one.said_by}: {one.error}"))
            for name, said in (("means", one.means), ("see", one.see), ("fix", one.fix)):
                console.print(printable(f"    {name + ':':<8}{said}"))
            console.print(printable(f"    source: {one.where}"))
        if not found:
            console.print("Nothing is known of this text. Events and logs have the error itself:")
            console.print("`eksnet explain ingress/NAME`, and the logs of the controller's pods.")
    raise typer.Exit(0 if found else 1)
