"""``analyze``: the paper's figures of trained models, and their claims as numbers."""

from pathlib import Path
from typing import Any

import click

from pyro_vrnn.commands.evaluate import COUNT, SEED
from pyro_vrnn.commands.options import POSITIVE, by_room, data_options, tracking_uri, trust_option


@click.command("analyze")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@data_options
@click.option("--split", "part", type=click.Choice(["train", "validation", "test"]),
              help="Which part of the run's data; default: test.")  # fmt: skip
@click.option("--count", default=3, show_default=True, type=COUNT, help="Examples in Fig. 2.")
@click.option("--samples", default=32, show_default=True, type=COUNT, help="Samples that are drawn and measured.")
@click.option("--seconds", default=2.0, show_default=True, type=POSITIVE,
              help="Duration of each sound.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=SEED, help="Of all draws.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder of the files.")
@trust_option
@tracking_uri
def command(runs: tuple[str, ...], **given: Any) -> None:
    """The paper's Figs. 2, 3 and 4 of trained models, side by side, and measures of what they make.

    RUN is a tracked run (id, unique prefix or name), which keeps the files too, or a model folder. Fig. 2 follows the
    latents along examples. Fig. 3 has real and made sound, Fig. 4 real and made handwriting. analysis.json holds the
    measures, analysis.csv those of each sample.
    """
    from pyro_vrnn.commands import analyzing

    analyzing.run(runs, by_room(given), analyzing.Asked(**given))
