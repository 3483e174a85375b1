"""``score``: the log-likelihood of every frame of recordings."""

from pathlib import Path
from typing import Any

import click

from pyro_vrnn.commands.evaluate import COUNT, SEED
from pyro_vrnn.commands.options import by_room, data_source, tracking_uri, trust_option


@click.command("score")
@click.argument("run")
@data_source("DATA")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE",
              help="A row a frame: .csv or .parquet. A row a sequence goes to FILE.sequences.* beside it.")  # fmt: skip
@click.option("--estimator", "name", metavar="NAME",
              help="exact, smc, elbo or elbo_sampled; default: exact without latents, smc with them.")  # fmt: skip
@click.option("--particles", default=40, show_default=True, type=COUNT, help="Particles of smc.")
@click.option("--seed", type=SEED, help="Of the noise; default: the run's own.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@trust_option
@tracking_uri
def command(run: str, **given: Any) -> None:
    """Score every frame of DATA, a folder of recordings, a file or an embedded set.

    RUN is a tracked run (id, unique prefix or name) or a model folder. A recording's frames add up to what evaluate
    gives for it with one repetition.
    """
    from pyro_vrnn.commands import scoring

    scoring.run(run, by_room(given), **given)
