"""``generate``: what a model makes, as sound, ink or arrays."""

from pathlib import Path
from typing import Any

import click

from pyro_vrnn.commands.evaluate import COUNT, SEED
from pyro_vrnn.commands.options import POSITIVE, by_room, flag, tracking_uri, trust_option


@click.command("generate")
@click.argument("run")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder of the files.")
@click.option("--count", type=COUNT, default=8, show_default=True, help="Sequences, drawn side by side.")
@click.option("--seconds", type=POSITIVE, help="Length of each; default 2. Of what has no rate pass --frames.")
@click.option("--frames", type=COUNT, help="Length of each in frames or points; default without a rate: 200.")
@click.option("--prime", metavar="SOURCE", help="Go on from the first recording or trace of a file, folder or set.")
@click.option("--prime-seconds", type=POSITIVE, help="Read no more of it than this; default: all.")
@click.option("--reconstruct", metavar="SOURCE", help="The first --count recordings through their latents.")
@click.option("--interpolate", nargs=2, metavar="SOURCE SOURCE",
              help="From one's latents to the other's, in --count steps.")  # fmt: skip
@click.option("--hold", metavar="SOURCE", help="The latent of the middle of a recording, held over time.")
@click.option("--temperature-z", type=POSITIVE, default=1.0, show_default=True, help="Scales the prior's sigma.")
@click.option("--temperature-x", type=POSITIVE, default=1.0, show_default=True, help="Scales the emission's sigma.")
@click.option("--write", type=click.Choice(["sample", "mean"]),
              help="The frames as drawn, or the means of their densities; what is fed back is always drawn. Default:"
              " sample, with given latents mean.")  # fmt: skip
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of all draws.")
@flag("--resample/--no-resample", "data.resample", "Convert a SOURCE of another rate.")
@flag("--mix/--no-mix", "data.mix", "Mix several channels of a SOURCE to one.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@trust_option
@tracking_uri
def command(run: str, **given: Any) -> None:
    """Draw sequences from a model: WAV files, handwriting as SVG, PNG and points, or arrays.

    RUN is a tracked run (id, unique prefix or name), which keeps the files too, or a model folder. z is drawn from the
    prior and x is drawn and fed back. generation.json says what each file is, and its log-likelihood.
    """
    from pyro_vrnn.commands import generating
    from pyro_vrnn.commands.generation_options import Asked

    generating.run(run, by_room(given), Asked(**given))
