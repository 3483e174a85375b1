"""``encode``: the latents and states of every frame of recordings."""

from pathlib import Path
from typing import Any

import click

from pyro_vrnn.commands.evaluate import SEED
from pyro_vrnn.commands.options import by_room, data_source, tracking_uri, trust_option


@click.command("encode")
@click.argument("run")
@data_source("DATA")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE",
              help="A row a frame in .parquet, or arrays of each sequence in .npz.")  # fmt: skip
@click.option("--draw", is_flag=True, help="Draw z from the guide; default: its means, each given those before it.")
@click.option("--seed", type=SEED, help="Of the draws; default: the run's own.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@trust_option
@tracking_uri
def command(run: str, draw: bool, **given: Any) -> None:
    """Write z, its standard deviation and h of every frame of DATA: recordings, a file or an embedded set.

    RUN is a tracked run (id, unique prefix or name) or a model folder. h is the state after the frame was read. In .npz
    the arrays of a sequence are NAME.z, NAME.z_std, NAME.h and, of sound, NAME.time.
    """
    from pyro_vrnn.commands import encoding

    encoding.run(run, by_room(given), sampled=draw, **given)
