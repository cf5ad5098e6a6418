"""The `eksnet` command: one line per command, each calling the room that knows.

Exit codes: 0 fine, 1 found something, 2 could not do it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shlex
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from eksnet import entry, inputs, interrupts
from eksnet.commands import program, runnable
from eksnet.errors import EksnetError
from eksnet.printable import cell, printable

if TYPE_CHECKING:
    from rich.table import Table

    from eksnet.dns import ResolvConf, Walk
    from eksnet.listing import Listing
    from eksnet.sandbox import lifecycle


class Commands(TyperGroup):
    """The command: what it cannot do is one message, and a signal ends it in good order."""

    def main(self, *arguments: Any, **settings: Any) -> Any:
        """Run a command and end the process with its exit code."""
        try:
            code = super().main(
                *arguments, **{"prog_name": program(), **settings, "standalone_mode": False}
            )
            # Here, and not when Python ends: a failure can still be told.
            sys.stdout.flush()
        except EksnetError as error:
            code = _refused(str(error))
        except TyperException as error:
            # Without arguments there is the help instead, which is printed by now.
            said, context = error.format_message(), getattr(error, "ctx", None)
            where = context.command_path if context else "eksnet"
            code = _refused(f"{said}\n  next:     {where} --help") if said.strip() else 2
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EPIPE):
                raise
            code = _not_written(error)
        sys.exit(code if isinstance(code, int) else 0)

    def get_params(self, context: Any) -> list[Any]:
        """Return the command's own parameters."""
        return _as_typed(super().get_params(context))

    def get_command(self, context: Any, name: str) -> Any:
        """Return the command of a name."""
        found: Any = super().get_command(context, name)
        if found is not None:
            given = found.get_params
            found.get_params = lambda context: _as_typed(given(context))
        return found

    def invoke(self, context: Any) -> Any:
        """Do the work of the command that was named."""
        return interrupts.orderly(lambda: super(Commands, self).invoke(context))


class _AsTyped:
    """Takes texts and flags as the parser gives them.

    Typer has pydantic make a text of a text, and to load that takes longer than what most commands
    do.
    """

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        if param.multiple or param.nargs == -1:
            return list(value or ())
        return value


def _as_typed(parameters: list[Any]) -> list[Any]:
    for one in parameters:
        # Typer before 0.29 has no such description, and loads no pydantic.
        described = getattr(one, "type_descriptor", None)
        if described and described.annotation in (str, list[str], bool):
            one._runtime_param = _AsTyped()
    return parameters


def _not_written(error: OSError) -> int:
    # What is left in the buffer goes nowhere; Python would fail at it again at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    # Whoever closed a pipe has read enough.
    if error.errno == errno.EPIPE:
        return 1
    seen = f"the output cannot be written: {error.strerror}"
    return _refused(f"{seen}\n  next:     df -h shows full disks")


def _refused(message: str) -> int:
    print(f"eksnet: {printable(runnable(message))}", file=sys.stderr)
    return 2


app = typer.Typer(
    cls=Commands,
    help="The EKS networking workbook: a real cluster on your own computer.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
engine_app = typer.Typer(
    help="The programs of the cluster: build them, show their state.", no_args_is_help=True
)
app.add_typer(engine_app, name="engine")
corefile_app = typer.Typer(
    help="A Corefile before CoreDNS gets it: look for mistakes, try it.", no_args_is_help=True
)
app.add_typer(corefile_app, name="corefile")
cluster_app = typer.Typer(
    help="A cluster of your own on EKS: shown first, made and deleted with eksctl.",
    no_args_is_help=True,
)
app.add_typer(cluster_app, name="cluster")


class _Printer:
    """What the command prints through: its own name as the reader has to type it."""

    def print(self, what: object) -> None:
        """Print a text as it is, or something that rich lays out; see `eksnet.commands`."""
        if isinstance(what, str):
            print(runnable(what), flush=True)
            return
        # Loading it takes longer than the work of many a command, which prints lines alone.
        from rich.console import Console

        # Paths and URLs stay in one piece, to be copied; a name in brackets or colons is no markup.
        Console(highlight=False, soft_wrap=True, markup=False, emoji=False).print(what)


console = _Printer()


def _table(*columns: str, title: str | None = None) -> Table:
    from rich.table import Table

    return Table(*columns, title=title, title_justify="left")


Name = Annotated[str | None, typer.Option("--sandbox", help="The sandbox's name.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
# What follows is another program's: a `--` in it too.
PASS_THROUGH = {
    "allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False,
}  # fmt: skip


def main() -> None:
    """Run a command; from its first step on, a signal is one line and an exit code."""
    entry.install()
    app()


@app.callback()
def choose(name: Name = None) -> None:
    """Let --sandbox stand before the command too."""
    if name is not None:
        os.environ["EKSNET_SANDBOX"] = inputs.text(name, "--sandbox", "omit --sandbox")


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
            console.print(_components(found))
            console.print(f"API server {found.api}, credentials {found.kubeconfig}")
    raise typer.Exit(0 if found.phase == "ready" and not found.waiting_for else 1)


def _components(found: lifecycle.Status) -> Table:
    table = _table("component", "state", "restarts", "last exit")
    for name, said in found.components.items():
        last = "" if said.last_exit is None else str(said.last_exit)
        table.add_row(*map(cell, (name, said.state, str(said.restarts), last)))
    return table


Target = Annotated[
    str | None,
    typer.Option(help="sandbox, context:NAME or eks:NAME@REGION; else what EKSNET_TARGET says."),
]


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
            console.print(_walk_table(title, walk))
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


def _walk_table(title: str, walk: Walk) -> Table:
    table = _table(*walk.columns, title=f"{title}: {walk.cost}")
    for row in walk.rows:
        table.add_row(*map(cell, row))
    return table


@app.command()
def run(
    notebooks: Annotated[
        list[Path] | None, typer.Argument(help="Notebooks, by path or number.")
    ] = None,
    save: Annotated[bool, typer.Option(help="Save the outputs in the files.")] = False,
) -> None:
    """Run all notebooks of the course, or the given ones, without a browser."""
    from eksnet.course import runner

    try:
        fine = runner.run_all(notebooks or [], save=save, progress=print)
    except KeyboardInterrupt as interrupt:
        print(interrupt, file=sys.stderr)
        raise typer.Exit(130) from None
    raise typer.Exit(0 if fine else 1)


@app.command(context_settings={**PASS_THROUGH, "allow_interspersed_args": True})
def lab(
    context: typer.Context,
    course: Annotated[
        str, typer.Option(help="The folder for your own copies of the notebooks.")
    ] = "~/eksnet-course",
    fresh: Annotated[
        list[str] | None,
        typer.Option(help="A notebook's number: add a new copy next to yours; can be repeated."),
    ] = None,
) -> None:
    """Open JupyterLab on your own copy of the course; the sandbox starts in the background.

    All other options go to JupyterLab, such as --no-browser; `eksnet lab -- --help` lists them.
    """
    from eksnet.course.lab import open_lab

    # An empty path would be the present folder.
    folder = Path(inputs.text(course, "--course", "omit --course"))
    open_lab(folder, fresh or (), context.args)


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
            console.print(_listing(found.answers))
        for remark in found.remarks:
            console.print(printable(remark))
    raise typer.Exit(0 if found.sound else 1)


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
    from eksnet.findings import CANNOT_TELL
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


@app.command()
def submit(
    file: Annotated[
        str, typer.Argument(help="The archive to write: NAME.zip, NAME as your instructor says.")
    ],
    course: Annotated[str, typer.Option(help="The folder of your notebooks.")] = "~/eksnet-course",
) -> None:
    """Pack your evidence, progress and notebooks into one file, to hand it in.

    It lists first what is in it. Credentials are left out, account ids and ARNs are shortened,
    notebooks have no outputs. Nothing is sent anywhere.
    """
    from eksnet.grading import packing

    path = Path(inputs.text(file, "FILE", "NAME.zip"))
    entries = packing.submission(Path(inputs.text(course, "--course", "omit --course")))
    table = _table("file", "what", "bytes")
    for one in entries:
        table.add_row(cell(one.name), one.what, f"{len(one.content):,}")
    console.print(table)
    packing.write(path, entries)
    console.print(printable(f"{path} is written: hand in this file."))


@app.command("grade")
def grade_class(
    submissions: Annotated[
        str, typer.Argument(help="The folder of submissions; nbgrader's `submitted` is one, too.")
    ],
    csv: Annotated[
        str, typer.Option("--csv", help="The gradebook to write, or to bring up to date.")
    ],
    feedback: Annotated[str, typer.Option(help="The folder for a page of each learner.")],
    roster: Annotated[
        str, typer.Option(help="A CSV file with student_id, and names, email, nonce, cluster.")
    ] = "",
    attempt: Annotated[str, typer.Option(help="Which attempt counts: best or last.")] = "best",
    nonce: Annotated[
        list[str] | None,
        typer.Option(help="The nonce of your class; can be repeated. Others do not count."),
    ] = None,
    notebook: Annotated[
        str, typer.Option(help="Grade only this notebook, by the start of its name, such as 05.")
    ] = "",
    live: Annotated[
        bool, typer.Option("--live", help="Look at the clusters that the roster names as target.")
    ] = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="Run the notebooks again, each on a fresh sandbox.")
    ] = False,
    limit: Annotated[
        float, typer.Option(help="How long the replay of one notebook may take, in seconds.")
    ] = 900.0,
    as_json: Json = False,
) -> None:
    """Grade a class by the evidence that it has handed in; docs/instructor.md explains it.

    Beside the gradebook it writes a row per criterion and an overview of the class. Manual marks
    that are in the gradebook stay. --live and --replay look again: at clusters, which are only
    read, or at notebooks, which are run confined in a sandbox named `grading`.

    Exit code 1: something has to be looked at; 2: it could not be graded.
    """
    from eksnet.checkpoints import definitions
    from eksnet.grading import grading, marking
    from eksnet.grading import roster as rosters

    which = inputs.one_of(attempt, list(marking.Which), "attempt", "--attempt best")
    places = grading.Places(
        Path(inputs.text(csv, "--csv", "--csv gradebook.csv")),
        Path(inputs.text(feedback, "--feedback", "--feedback out/")),
    )
    rules = marking.Rules(
        definitions.of_notebook(notebook), marking.Which(which), tuple(nonce or ())
    )
    learners = rosters.read(Path(inputs.text(roster, "--roster"))) if roster else None
    folder = Path(inputs.text(submissions, "SUBMISSIONS", "`.` is the present folder"))
    if not live and not replay:
        found = grading.grade_class(folder, places, rules, learners)
    else:
        from eksnet.grading import again

        how = again.How(live, replay, limit, lambda line: print(printable(line), file=sys.stderr))
        with again.looking(how, rules, learners or {}) as looks:
            found = grading.grade_class(folder, places, rules, learners, looks)
    if as_json:
        print(json.dumps(grading.to_json(found), indent=1))
    else:
        for title, _, flags in found.notices:
            if flags:
                console.print(f"{title}:")
            for one in flags:
                console.print(printable(f"    {one.learner}: {one.kind}: {one.reason}"))
        console.print(printable(f"{len(found.totals)} learners: {places.csv}"))
        console.print(printable(f"each criterion: {places.criteria}; class: {places.overview}"))
        console.print(printable(f"a page for each learner: {places.feedback}"))
    raise typer.Exit(1 if found.has_notices else 0)


@app.command("assignment")
def nbgrader_assignment(
    notebook: Annotated[
        str, typer.Argument(help="A notebook, by the start of its name, such as 05.")
    ],
    folder: Annotated[str, typer.Argument(help="The folder of the nbgrader course.")] = ".",
) -> None:
    """Write a notebook as an assignment of nbgrader, whose checks are graded cells."""
    from eksnet.grading import nbgrader

    given = inputs.text(notebook, "NOTEBOOK", "a number such as 05")
    written = nbgrader.write(
        given, Path(inputs.text(folder, "FOLDER", "`.` is the present folder"))
    )
    console.print(printable(f"{written} is written; in its course's folder:"))
    console.print(printable(f"nbgrader generate_assignment {written.stem} --create"))


def _variables(given: list[str] | None) -> dict[str, str] | None:
    """Return the variables of --env; None where there is none."""
    if not given:
        return None
    for one in given:
        if "=" not in one[1:]:
            raise EksnetError(f"--env {one}", "NAME=VALUE", "such as --env UPSTREAM=10.0.0.2")
    return dict(inputs.sendable(one, "--env").split("=", 1) for one in given)


def _listing(listing: Listing[Any]) -> Table:
    table = _table(*listing.columns)
    for row in listing.rows:
        table.add_row(*map(cell, row))
    return table


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


@engine_app.command("build")
def engine_build(
    keep_caches: Annotated[
        bool | None,
        typer.Option(
            "--keep-caches/--drop-caches",
            help="Leave Go's caches, now and later, to build again soon; or not any more.",
        ),
    ] = None,
) -> None:
    """Build the missing programs of the engine; Go's caches go when it is done."""
    from eksnet.sandbox import build

    build.build(console.print, keep_caches=keep_caches)


@engine_app.command("pack")
def engine_pack(
    file: Annotated[str, typer.Argument(help="A folder, or a file of the engine's name.")],
) -> None:
    """Write the engine into one file, with which other computers start without building."""
    from eksnet.sandbox import build

    packed = build.pack(Path(inputs.text(file, "FILE", "`.` is the present folder")))
    console.print(f"{packed.path}: {packed.size / 10**6:.0f} MB. Elsewhere:")
    console.print(f"make lab ENGINE={packed.path.name} SHA256={packed.sha256}")


@engine_app.command("unpack")
def engine_unpack(
    source: Annotated[str, typer.Argument(help="A packed engine, its folder, or a URL.")],
    sha256: Annotated[
        str | None, typer.Option(help="Its checksum; a file of your own needs none.")
    ] = None,
) -> None:
    """Take the engine's programs from a packed file, instead of building them."""
    from eksnet.sandbox import build

    was_missing = build.unpack(source, sha256, console.print)
    console.print("The engine is unpacked." if was_missing else "The engine is there already.")


@engine_app.command("status")
def engine_status(as_json: Json = False) -> None:
    """Show which programs are built and intact; exit code 1 if one is not."""
    from eksnet.sandbox import build

    found = build.status(verify=True)
    if as_json:
        print(json.dumps([asdict(program) for program in found], default=str, indent=1))
    else:
        table = _table("program", "state")
        for program in found:
            table.add_row(program.name, program.state)
        console.print(table)
        console.print(f"in {found[0].path.parent}")
        caches = build.engine().go_caches
        if caches.exist:
            console.print(f"Go's caches, {'kept' if caches.are_kept else 'for the next build'}:")
            console.print(f"{caches.size / 10**9:.1f} GB in {caches.directory}")
    raise typer.Exit(0 if all(program.state == "built" for program in found) else 1)


if __name__ == "__main__":
    main()
