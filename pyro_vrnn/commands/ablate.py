"""``ablate``: a grid of ``fit`` runs under one parent."""

import sys
from pathlib import Path
from typing import Any

import click

from pyro_vrnn.commands import fit
from pyro_vrnn.commands.options import by_room

#: Options of ``fit`` that say which run it is: here the grid does.
OF_ONE_RUN = {"model__variant", "training__seed", "tracking__name", "tracking__parent", "resume"}


@click.command("ablate")
@click.option("--variants", metavar="A,B,...", help="Models: rows of the table of variants.")
@click.option("--seeds", default="0", show_default=True, metavar="0,1,...", help="Seeds of every combination.")
@click.option(
    "--grid",
    multiple=True,
    metavar="NAME=A,B,...",
    help="A further axis: any value of the configuration, e.g. guide=filtering,smoothing or learning_rate=1e-3,3e-4.",
)
@click.option(
    "--trial",
    multiple=True,
    metavar="NAME=A,B,...",
    help="Search over it: short trials of each combination first, then all seeds with the best on validation.",
)
@click.option("--trial-seed", default=100, show_default=True, help="Seed of all trials; none of --seeds.")
@click.option("--trial-set", multiple=True, metavar="ROOM.NAME=VALUE", help="Of trials alone: training.epochs=3.")
@click.option("--skip-senseless", is_flag=True, help="Leave out combinations that make no sense.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Cells at a time, which divide cores and GPUs; default 1, elsewhere than here all.",
)
@click.option(
    "--launcher",
    type=click.Choice(["local", "ray", "slurm"]),
    default="local",
    show_default=True,
    help="Where cells run: processes of this machine, tasks of a Ray cluster, jobs of SLURM.",
)
@click.option(
    "--launcher-set",
    multiple=True,
    metavar="NAME=VALUE",
    help="Of a task: cores and gpus (ray), or any parameter of submitit (slurm), e.g. timeout_min=600.",
)
@click.option("--name", metavar="NAME", help="Name of the grid's own run; default: data and time.")
@click.option("--print-commands", is_flag=True, help="Print each cell's fit command, and do nothing.")
def command(config: Path | None, settings: tuple[str, ...], **given: Any) -> None:
    """Train a grid of models: every combination of variants, parts, values and seeds.

    Each cell is a run of fit, and all are shown under one parent run. Called again, it skips cells that are finished,
    goes on with those that were interrupted, and tries again those that failed. Widths are matched to equal numbers of
    parameters unless --widths says otherwise. All further options are those of fit, the same for every cell.
    """
    from pyro_vrnn.commands import ablating

    of_fit = by_room(given)
    sys.exit(ablating.run(ablating.Asked(of_fit, config, settings, **given)))


command.params += [parameter for parameter in fit.command.params if parameter.name not in OF_ONE_RUN]
