"""``evaluate``: score a trained model, on its own data or on others."""

from pathlib import Path
from typing import Any

import click

from pyro_vrnn.commands.options import by_room, data_options, tracking_uri, trust_option

COUNT = click.IntRange(min=1)
SEED = click.IntRange(min=0, max=2**63 - 1)


class Segments(click.ParamType):
    """A number of segments, or all of a recording, which is 0."""

    name = "segments"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        return 0 if value == "all" else COUNT.convert(value, param, ctx)


@click.command("evaluate")
@click.argument("run")
@data_options
@click.option("--split", "part", type=click.Choice(["train", "validation", "test"]),
              help="Which part of the run's data; default: test.")  # fmt: skip
@click.option("--estimator", "names", multiple=True, metavar="NAME",
              help="elbo, elbo_sampled, iwae, stepwise, smc, exact; repeatable. Default: all that fit.")  # fmt: skip
@click.option("--particles", default=40, show_default=True, type=COUNT, help="Samples or particles a sequence.")
@click.option("--repetitions", default=2, show_default=True, type=COUNT,
              help="Independent evaluations; two or more give the Monte Carlo error.")  # fmt: skip
@click.option("--diagnose", is_flag=True, help="How far importance sampling can be trusted: a line, a figure, numbers.")
@click.option("--weights", type=COUNT, help="Weights a sequence for --diagnose; default 2000.")
@click.option("--batch-size", type=COUNT, help="Sequences in a pass at most; default: as trained.")
@click.option("--carry", type=Segments(), metavar="N|all",
              help="Segments of a recording that its state is carried over; 1: none. Default: as trained.")  # fmt: skip
@click.option("--seed", type=SEED, help="Of the noise; default: the run's own.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE.json",
              help="Write the results here too, and a table of sequences beside it.")  # fmt: skip
@trust_option
@tracking_uri
def command(run: str, diagnose: bool, part: str | None, device: str, out: Path | None, **given: Any) -> None:
    """Score a trained model: RUN is a tracked run (id, unique prefix or name) or a model folder."""
    if given["weights"] is not None and not diagnose:
        raise click.UsageError("--weights: only beside --diagnose")
    from pyro_vrnn.commands import evaluating

    if diagnose and given["weights"] is None:
        given["weights"] = 2000
    rooms = by_room(given)
    evaluating.run(run, rooms, evaluating.Request(**given), part=part, device=device, out=out)
