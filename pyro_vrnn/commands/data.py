"""``data``: what there is to train on."""

from pathlib import Path
from typing import Any

import click

from pyro_vrnn.commands.options import by_room, data_source, split_options
from pyro_vrnn.commands.prepare import command as prepare


@click.group("data")
def command() -> None:
    """What there is to train on."""


command.add_command(prepare)


@command.command("list")
def list_() -> None:
    """List the embedded sets."""
    from pyro_vrnn.data import EMBEDDED

    width = max(map(len, EMBEDDED))
    for name, line in EMBEDDED.items():
        click.echo(f"{name:<{width}}  {line}")
    click.echo("\nAny folder of WAV, FLAC, OGG, MP3 or NIST SPHERE files works as well: --data FOLDER")
    click.echo("Large corpora, pen strokes and arrays are made ready once: data prepare --help")


@command.command("inspect")
@data_source("SOURCE")
@split_options
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="A folder for the numbers and a figure.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the split and of what is drawn.")
@click.option("--verify", is_flag=True, help="First see that every byte of a prepared cache is as it was prepared.")
def inspect(out: Path | None, seed: int, verify: bool, **given: Any) -> None:
    """Look at every value of SOURCE once: lengths, levels or extents, silence, parts.

    SOURCE is an embedded set, a prepared cache, a folder of recordings or one file.
    """
    from pyro_vrnn.commands import inspecting

    inspecting.run(by_room(given).get("data", {}), out=out, seed=seed, verify=verify)
