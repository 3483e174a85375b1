"""``data``: what there is to train on."""

import click

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
