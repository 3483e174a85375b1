"""``bench``: how fast this machine trains."""

from pathlib import Path
from typing import Any

import click

from pyro_vrnn.commands.evaluate import COUNT


@click.command("bench")
@click.option("--variant", "variants", multiple=True, metavar="V",
              help="Row of the table of variants; repeatable. Default: the paper's five, storn and srnn.")  # fmt: skip
@click.option("--preset", default="small", show_default=True, metavar="P", help="Sizes.")
@click.option("--batch", type=COUNT, help="Sequences in a step; default: the preset's.")
@click.option("--frames", type=COUNT, default=40, show_default=True, help="Frames a sequence, of 200 samples each.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--precision", default="float32", show_default=True, type=click.Choice(["float32", "tf32", "bf16"]),
              help="Of matrix products; tf32 is CUDA's.")  # fmt: skip
@click.option("--repeats", default=5, show_default=True, type=COUNT, help="Rounds; the medians are told.")
@click.option("--peers/--no-peers", default=True, show_default=True,
              help="Beside a plain PyTorch loop and the markov program.")  # fmt: skip
@click.option("--json", "file", type=click.Path(path_type=Path), metavar="FILE", help="Write the results here too.")
def command(**given: Any) -> None:
    """Time training steps against their floor on this machine, and against their peers in the same run.

    The floor of a step is the time of its matrix products at the best rate of a large square product, on CUDA also that
    of reading the weights of the loop over time at each step.
    """
    from pyro_vrnn.commands import benchmarking

    benchmarking.run(**given)
