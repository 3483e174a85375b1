"""``evaluate``: score a trained model, on its own data or on others."""

from pathlib import Path
from typing import Any

import click

from pyro_vrnn.commands.options import by_room, data_options, tracking_uri


@click.command("evaluate")
@click.argument("run")
@data_options
@click.option("--split", "part", type=click.Choice(["train", "validation", "test"]), default="test", show_default=True,
              help="Which part of the run's data; with --data all of it is scored.")  # fmt: skip
@click.option("--estimator", "names", multiple=True, metavar="NAME",
              help="elbo, iwae, stepwise or exact; may be repeated. Default: all that have meaning.")  # fmt: skip
@click.option("--particles", default=40, show_default=True, type=click.IntRange(min=1), help="Importance samples.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Sequences in a pass; default: as trained.")
@click.option("--seed", type=click.IntRange(min=0, max=2**63 - 1), help="Of the noise; default: the run's own.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the results as JSON here too.")
@tracking_uri
def command(run: str, names: tuple[str, ...], **given: Any) -> None:
    """Score a trained model: RUN is a tracked run (id, unique prefix or name) or a model folder."""
    from pyro_vrnn.commands import evaluating

    evaluating.run(run, by_room(given), names=list(names), **given)
