"""The command `eksnet` itself: its groups, what they share, and how it ends."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from eksnet import inputs, interrupts
from eksnet.commands import program, runnable
from eksnet.errors import EksnetError
from eksnet.printable import printable


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
            if error.errno in (errno.ENOSPC, errno.EPIPE):
                code = _not_written(error)
            elif error.filename is not None:
                code = _refused(_unusable(error))
            else:
                raise
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
            for one in (found, *getattr(found, "commands", {}).values()):
                one.help = _flowing(one.help or "")
        return found

    def invoke(self, context: Any) -> Any:
        """Do the work of the command that was named."""
        return interrupts.orderly(lambda: super(Commands, self).invoke(context))


def _flowing(text: str) -> str:
    """Return a help whose paragraphs are single lines, which a terminal of any width breaks."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


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


def _unusable(error: OSError) -> str:
    """Return what is said of a file that cannot be used, such as one with too long a name."""
    seen = f"{inputs.shown(str(error.filename))}: {error.strerror}"
    return str(EksnetError(seen, "a file or directory that can be used", "name another one"))


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
Name = Annotated[str | None, typer.Option("--sandbox", help="The sandbox's name.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Target = Annotated[
    str | None,
    typer.Option(help="sandbox, context:NAME or eks:NAME@REGION; else what EKSNET_TARGET says."),
]
# What follows is another program's: a `--` in it too.
PASS_THROUGH = {
    "allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False,
}  # fmt: skip


@app.callback()
def choose(name: Name = None) -> None:
    """Let --sandbox stand before the command too."""
    if name is not None:
        os.environ["EKSNET_SANDBOX"] = inputs.text(name, "--sandbox", "omit --sandbox")
