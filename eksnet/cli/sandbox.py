"""Commands for the sandbox: start it, end it, and work in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from eksnet.cli.command import PASS_THROUGH, Json, Name, app
from eksnet.cli.printing import console
from eksnet.commands import runnable
from eksnet.listing import Listing
from eksnet.printable import printable

if TYPE_CHECKING:
    from eksnet.sandbox.specification import ComponentReport


@app.command()
def up(
    name: Name = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="The API server's port on 127.0.0.1; 0: any free port, for AWS services too.",
        ),
    ] = None,
    sync_frequency: Annotated[
        str | None,
        typer.Option(
            help="How often the kubelet reads changed ConfigMaps: 5s by default, 1m on "
            "EKS. Saved for later starts."
        ),
    ] = None,
) -> None:
    """Start the sandbox, or use the running one; exit code 1 when kube-system is degraded."""
    from eksnet.sandbox import lifecycle

    started = lifecycle.up(name, port=port, sync_frequency=sync_frequency, progress=console.print)
    console.print(f"The sandbox is up. Credentials: {started.kubeconfig}")
    if started.degraded:
        console.print(f"But kube-system is degraded: {started.degraded}")
        console.print(
            "`eksnet kubectl -n kube-system get pods` shows the pods. `eksnet down` and then"
        )
        console.print(
            "`eksnet up` create deleted objects again; `eksnet reset` starts with a fresh cluster."
        )
        raise typer.Exit(1)


@app.command()
def down(name: Name = None) -> None:
    """Stop the sandbox; the next `up` starts it with the same cluster."""
    from eksnet.sandbox import lifecycle

    ended = lifecycle.down(name, progress=console.print)
    console.print("The sandbox is down." if ended else "The sandbox was not up.")


@app.command()
def reset(name: Name = None) -> None:
    """Replace the sandbox's cluster with a fresh one."""
    from eksnet.sandbox import lifecycle

    lifecycle.reset(name, progress=console.print)
    console.print("The sandbox is up, with a fresh cluster.")


@app.command()
def remove(
    name: Name = None,
    engine: Annotated[
        bool,
        typer.Option("--engine", help="Remove the programs of the cluster instead of the sandbox."),
    ] = False,
) -> None:
    """Stop the sandbox and delete its files; your progress and backups are kept."""
    from eksnet.sandbox import removal

    if engine:
        removed = removal.remove_engine()
    else:
        removed = removal.remove_sandbox(name, progress=console.print)
    if removed.ended:
        console.print("The running sandbox was stopped.")
    what = "The engine" if engine else "The sandbox"
    console.print(
        f"{what} is removed: {removed}." if removed.size else f"{what} was not installed."
    )
    for path in removed.kept:
        console.print(f"Other files, not removed: {path}")
    if removed.size and not engine:
        home = removed.directory.parents[1]
        console.print(f"Your progress and backups are kept in {home}, together with the key of")
        console.print("their cluster: after a new `eksnet up` they are valid again.")


@app.command()
def status(name: Name = None, as_json: Json = False) -> None:
    """Show the state of the sandbox; exit code 1 when it is not ready."""
    from eksnet.sandbox import lifecycle

    found = lifecycle.status(name, ask=True)
    if as_json:
        print(json.dumps(asdict(found), default=str, indent=1))
    else:
        console.print(printable(f"{found.name}: {found.phase} {found.waiting_for}".rstrip()))
        if found.components:
            console.print(Listing.of(found.components.items(), _COMPONENT))
            console.print(f"API server {found.api}, credentials {found.kubeconfig}")
    raise typer.Exit(0 if found.phase == "ready" and not found.waiting_for else 1)


_COMPONENT: Mapping[str, Callable[[tuple[str, ComponentReport]], object]] = {
    "component": lambda one: one[0],
    "state": lambda one: one[1].state,
    "restarts": lambda one: one[1].restarts,
    "last exit": lambda one: one[1].last_exit,
}


@app.command()
def logs(component: Annotated[str, typer.Argument()] = "", name: Name = None) -> None:
    """Print a component's log; without a name, list the components."""
    from eksnet.sandbox import lifecycle

    text = lifecycle.read_log(component, name)
    sys.stdout.write(printable(text) or "No component has written a log yet.\n")


@app.command(context_settings=PASS_THROUGH, add_help_option=False)
def kubectl(context: typer.Context, name: Name = None) -> None:
    """Run kubectl on the sandbox."""
    _kubectl(context.args, name)


@app.command(context_settings=PASS_THROUGH, add_help_option=False)
def helm(context: typer.Context, name: Name = None) -> None:
    """Run Helm on the sandbox, with the chart repository `eks`."""
    from eksnet.sandbox import lifecycle

    program, variables = lifecycle.helm(name)
    environment = {k: v for k, v in {**os.environ, **variables}.items() if v is not None}
    raise typer.Exit(subprocess.call([program, *context.args], env=environment))


@app.command()
def shell(
    pod: Annotated[
        str, typer.Argument(help="A pod; without one, a new busybox pod is created.")
    ] = "",
    namespace: Annotated[str, typer.Option("--namespace", "-n")] = "default",
    name: Name = None,
) -> None:
    """Open a shell in a pod; a new pod is deleted when the shell exits."""
    from eksnet.sandbox.shell import open_shell

    raise typer.Exit(open_shell(pod, namespace, name))


@app.command(context_settings=PASS_THROUGH, add_help_option=False)
def curl(context: typer.Context, name: Name = None) -> None:
    """Run this computer's curl from the internet, to which the sandbox's load balancers answer.

    All options are curl's; with --trust-sandbox, the certificates of the sandbox's ACM are valid.
    """
    from eksnet.sandbox import internet

    raise typer.Exit(internet.curl(context.args, name))


@app.command("open")
def open_(
    url: Annotated[str, typer.Argument(help="The URL of a load balancer.")],
    host: Annotated[
        str, typer.Option(help="The host that is asked for, if it is not the URL's own.")
    ] = "",
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open a browser, if there is one.")
    ] = True,
    name: Name = None,
) -> None:
    """Lead a port of 127.0.0.1 to a load balancer, for a browser; Ctrl-C ends it.

    The load balancer is asked for its own host, from the internet.
    """
    from eksnet.sandbox.opening import open_url

    open_url(url, host, name, browser=browser)


@app.command()
def env(
    undo: Annotated[
        bool, typer.Option("--undo", help="Print the lines that bring back what was there before.")
    ] = False,
    name: Name = None,
) -> None:
    """Print shell lines: kubectl, the AWS CLI and boto3 use the sandbox in this shell.

    eval "$(eksnet env)" is all that a shell needs.
    """
    from eksnet.sandbox import environment

    if undo:
        print(environment.undo_lines(os.environ))
        return
    print(environment.lines(environment.variables(os.environ, name), os.environ))
    # On the other stream: the shell reads the lines, the learner this.
    said = 'This shell uses the sandbox; eval "$(eksnet env --undo)" brings back what it had.'
    for line in (said, environment.aws_cli_remedy(os.environ)):
        if line:
            print(runnable(line), file=sys.stderr)


def _kubectl(arguments: list[str], name: str | None) -> None:
    from eksnet.sandbox import lifecycle

    program, kubeconfig = lifecycle.kubectl(name)
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    raise typer.Exit(subprocess.call([program, *arguments], env=environment))
