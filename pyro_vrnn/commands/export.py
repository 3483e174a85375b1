"""``export``: a run's model as a folder that loads anywhere."""

from pathlib import Path
from typing import Any

import click

from pyro_vrnn.commands.options import by_room, tracking_uri, trust_option


@click.command("export")
@click.argument("run")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="The folder; made whole or not at all.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace DIR if it is an exported model.")
@click.option("--register", metavar="NAME", help="Make it the next version of this registered model.")
@trust_option
@tracking_uri
def command(run: str, **given: Any) -> None:
    """Write the model of RUN, a tracked run, to a folder that loads anywhere.

    It holds the weights, the configuration, what the data were and a model card (README.md). Every command takes it for
    a run. With --register the model is found as models:/NAME/VERSION, too.
    """
    from pyro_vrnn.commands import exporting

    exporting.run(run, by_room(given), **given)
