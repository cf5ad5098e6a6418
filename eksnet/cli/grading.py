"""Commands to hand in, and for the instructor."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eksnet import inputs
from eksnet.cli.command import Json, app
from eksnet.cli.printing import console
from eksnet.errors import EksnetError
from eksnet.listing import Listing
from eksnet.printable import printable

if TYPE_CHECKING:
    from eksnet.grading.packing import Entry

# The names last: where a long one wraps, the other columns stay in line.
_ENTRY: Mapping[str, Callable[[Entry], object]] = {
    "bytes": lambda one: f"{len(one.content):,}",
    "what": lambda one: one.what,
    "file": lambda one: one.name,
}


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
    console.print(Listing.of(entries, _ENTRY))
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

    A replay that is interrupted keeps what it has graded; the same command goes on with the rest.

    Exit code 1: something has to be looked at; 2: it could not be graded; 130: interrupted.
    """
    from eksnet.checkpoints import definitions
    from eksnet.grading import grading, marking
    from eksnet.grading import roster as rosters

    which = inputs.one_of(attempt, list(marking.Which), "attempt", "--attempt best")
    places = grading.Places(
        _gradebook(csv),
        Path(inputs.text(feedback, "--feedback", "--feedback out/")),
    )
    rules = marking.Rules(
        definitions.of_notebook(notebook), marking.Which(which), tuple(nonce or ())
    )
    learners = rosters.read(Path(inputs.text(roster, "--roster"))) if roster else None
    folder = Path(inputs.text(submissions, "SUBMISSIONS", "`.` is the present folder"))
    code = 0
    if not live and not replay:
        found = grading.grade_class(folder, places, rules, learners)
    else:
        from eksnet.grading import again

        how = again.How(live, replay, limit, places.replays, _say)
        try:
            with again.looking(how, rules, learners or {}) as looks:
                found = grading.grade_class(folder, places, rules, learners, looks)
        except grading.StoppedError as stopped:
            found, code = stopped.found, stopped.code
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
    if code:
        whole = len(found.totals) + len(found.ungraded)
        what = "goes on with what is left" if replay else "looks at all of them again"
        _say(f"eksnet: interrupted: {len(found.totals)} of {whole} learners are graded; "
             f"the same command {what}")  # fmt: skip
    raise typer.Exit(code or int(found.has_notices))


def _gradebook(csv: str) -> Path:
    path = Path(inputs.text(csv, "--csv", "--csv gradebook.csv"))
    if not path.name or path.is_dir():
        raise EksnetError(f"--csv is {inputs.shown(csv)}", "a file", "--csv gradebook.csv")
    return path


def _say(line: str) -> None:
    print(printable(line), file=sys.stderr)


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
