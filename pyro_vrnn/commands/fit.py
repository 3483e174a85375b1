"""``fit``: data in, a trained model, its test likelihoods and a tracked run out."""

import sys
from pathlib import Path
from typing import Any

import click

from pyro_vrnn.commands.options import (
    by_room,
    data_options,
    option,
    report_option,
    split_options,
    tag_option,
    tracking_uri,
    trust_option,
)

COUNT = click.IntRange(min=1)


@click.command("fit")
@option("--variant", "model.variant", "Model: a row of the table of variants.", metavar="V")
@option(
    "--preset", "model.preset", "Sizes: small (default), listening, or one of the paper's experiments.", metavar="P"
)
@option(
    "--widths", "model.widths", "As released, or solved to equal counts.", type=click.Choice(["released", "matched"])
)
@option("--prior", "model.prior", "Prior, instead of the variant's.", metavar="PART")
@option("--guide", "model.guide", "Guide, instead of the variant's.", metavar="PART")
@option("--emission", "model.emission", "Emission, instead of the variant's.", metavar="PART")
@option("--recurrence", "model.recurrence", "Recurrence: lstm (default), gru or linear.", metavar="PART")
@data_options
@split_options
@option("--epochs", "training.epochs", "Passes over the training data.", type=COUNT)
@option("--max-steps", "training.max_steps", "Optimiser steps at most.", type=COUNT)
@option("--batch-size", "training.batch_size", "Sequences in a step, over all devices.", type=COUNT)
@option("--learning-rate", "training.learning_rate", "Adam's learning rate.", type=float)
@option("--seed", "training.seed", "The one seed of the run; default 0.", type=click.IntRange(min=0))
@option("--device", "training.device", "auto (default), cpu, cuda or cuda:N.")
@option("--devices", "training.devices", "Devices of each machine, a process each; default 1.", type=COUNT)
@option("--nodes", "training.nodes", "Machines; default 1.", type=COUNT)
@option(
    "--precision",
    "training.precision",
    "Matrix products: float32 (default), tf32, bf16.",
    type=click.Choice(["float32", "tf32", "bf16"]),
)
@option("--program", "training.program", "Pyro program to train.", type=click.Choice(["sequence", "markov"]))
@option("--elbo", "training.elbo", "KL analytic or sampled.", type=click.Choice(["mean-field", "trace"]))
@option("--objective", "training.objective", "Bound that is maximised.", type=click.Choice(["elbo", "iwae", "fivo"]))
@option("--particles", "training.particles", "Draws a sequence in the bound; iwae and fivo: 5.", type=COUNT)
@option("--carry", "training.carry", "Segments of a recording the state is carried over; 1: each anew.", type=COUNT)
@option("--checkpoint-every", "training.checkpoint_every", "Long sequences: keep every Nth state alone.", type=COUNT)
@tracking_uri
@option("--experiment", "tracking.experiment", "MLflow experiment; default pyro_vrnn.")
@option("--name", "tracking.name", "Name of the run; default: variant, data, seed and time.")
@option("--parent", "tracking.parent", "Show the run under this one, of the same experiment.", metavar="RUN")
@tag_option
@report_option
@click.option("--config", type=click.Path(path_type=Path), help="A stored configuration; options given beside it win.")
@click.option("--set", "settings", multiple=True, metavar="ROOM.NAME=VALUE", help="Any value of the configuration.")
@trust_option
@click.option("--resume", metavar="RUN", help="Go on with a run from its last checkpoint.")
def command(config: Path | None, settings: tuple[str, ...], resume: str | None, **given: Any) -> None:
    """Train a model and score it on the test set.

    Without options it trains VRNN-Gauss on the embedded demo-speech. Everything is kept in an MLflow run.
    """
    from pyro_vrnn.commands import fitting

    try:
        fitting.run(by_room(given), config, settings, resume)
    except fitting.InterruptedRunError:
        sys.exit(130)
