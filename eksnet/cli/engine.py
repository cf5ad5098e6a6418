"""Commands for the programs of the cluster."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from eksnet import inputs
from eksnet.cli.command import Json, engine_app
from eksnet.cli.printing import console
from eksnet.listing import Listing


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
        console.print(
            Listing.of(found, {"program": lambda one: one.name, "state": lambda one: one.state})
        )
        console.print(f"in {found[0].path.parent}")
        caches = build.engine().go_caches
        if caches.exist:
            console.print(f"Go's caches, {'kept' if caches.are_kept else 'for the next build'}:")
            console.print(f"{caches.size / 10**9:.1f} GB in {caches.directory}")
    raise typer.Exit(0 if all(program.state == "built" for program in found) else 1)
