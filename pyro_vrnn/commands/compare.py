"""``compare``: the results of tracked runs as a table."""

from pathlib import Path
from typing import Any

import click

from pyro_vrnn.commands.options import by_room, option, tracking_uri


@click.command("compare")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--parent", metavar="RUN", help="The finished cells of a grid.")
@click.option(
    "--trials", is_flag=True, help="The trials of that grid's search: their validation scores, and the chosen."
)
@option("--experiment", "tracking.experiment", "All finished runs of an experiment; default pyro_vrnn.")
@click.option("--format", "form", type=click.Choice(["rich", "markdown", "latex", "csv"]), help="Default: rich.")
@click.option(
    "--layout",
    type=click.Choice(["kinds", "paper"]),
    default="kinds",
    show_default=True,
    help="A column an estimate, or one a data set with all of them, as Table 1 of the paper.",
)
@click.option(
    "--units",
    type=click.Choice(["nats", "nats-per-frame", "nats-per-dimension", "bits"]),
    default="nats",
    show_default=True,
    help="Nats are a sequence's, for standardised data; bits a sample's of the original.",
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write it there: .md, .tex, .csv or text.")
@tracking_uri
def command(runs: tuple[str, ...], **given: Any) -> None:
    """Tracked runs side by side.

    A row is a configuration, its seeds together: mean and standard error. Runs on different data, or cut, standardised
    or dithered in different ways, stand in tables of their own. The best of a column is set off only where it is better
    than every other significantly.
    """
    from pyro_vrnn.commands import comparing

    tracking = by_room(given).get("tracking", {})
    comparing.run(comparing.Asked(runs, **given, **{"experiment": None, "uri": None, **tracking}))
