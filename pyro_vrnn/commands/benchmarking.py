"""What ``bench`` does: measure each variant in turn, print, keep."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyro_vrnn.benchmark.measure import Machine, Measurement, measure
from pyro_vrnn.benchmark.shares import PARTS
from pyro_vrnn.benchmark.steps import FRAME, STROKES, fitting
from pyro_vrnn.benchmark.timing import WARM_UP
from pyro_vrnn.commands import display
from pyro_vrnn.commands.subject import Told, check_file, progress
from pyro_vrnn.model.variants import ModelOptions, resolve
from pyro_vrnn.training.config import SCHEDULES
from pyro_vrnn.training.device import Precision, Products, device_named
from pyro_vrnn.training.files import write_whole

#: The paper's five, and its relatives.
VARIANTS = ("rnn-gauss", "rnn-gmm", "vrnn-i", "vrnn-gauss", "vrnn-gmm", "storn", "srnn")


def run(
    *,
    variants: Sequence[str],
    preset: str,
    batch: int | None,
    frames: int,
    device: str,
    precision: Products,
    repeats: int,
    peers: bool,
    file: Path | None,
) -> dict[str, Any]:
    """Measures variants and prints a table of them.

    Args:
        variants: Names; none means :data:`VARIANTS`.
        preset: Their sizes.
        batch: Sequences in a step; None for the preset's.
        frames: Frames a sequence.
        device: Where.
        precision: Of matrix products.
        repeats: Rounds that count.
        peers: Whether the plain PyTorch loop and the markov program run as well.
        file: Where the results go, as JSON.

    Returns:
        What the file holds.

    Raises:
        UserError: Anything a user can mend.
    """
    chosen = [ModelOptions(variant=name, preset=preset) for name in variants or VARIANTS]
    for options in chosen:
        resolve(*fitting(options))
    products = Precision(precision, device_named(device))
    if file is not None:
        check_file("--json", file)
    out, batch = display.console(), batch or SCHEDULES[preset]["batch_size"]
    with progress(out) as told:
        told("best product of this machine", 0, 1)
        machine = Machine(products)
        told("best product of this machine", 1, 1)
    out.print(machine.line())
    with progress(out) as told:
        found = [_measure(options, batch, frames, machine, peers, repeats, told) for options in chosen]
    of = "points of a pen" if preset == STROKES else f"frames of {FRAME} samples"
    title = f"{preset}: {batch} sequences of {frames} {of}, {repeats} rounds"
    out.print(SpeedTable(found, title))
    held = {
        "machine": machine.as_dict(),
        "preset": preset,
        "repeats": repeats,
        "variants": [measurement.as_dict() for measurement in found],
    }
    if file is not None:
        write_whole(file, json.dumps(held, indent=2).encode())
    return held


def _measure(
    options: ModelOptions, batch: int, frames: int, machine: Machine, peers: bool, repeats: int, told: Told
) -> Measurement:
    total = WARM_UP[machine.device.type] + repeats
    told(options.variant, 0, total)
    return measure(
        options,
        batch,
        frames,
        machine,
        peers=peers,
        repeats=repeats,
        told=lambda done: told(options.variant, done, total),
    )


class SpeedTable(display.ResultsTable):
    """A row a variant; columns that no row fills are left out.

    Args:
        found: What was measured.
        title: Above.
    """

    HEADINGS = (
        "frames/s", "GEMM floor", "traffic floor", "plain / ours", "markov / ours",
        *(f"{part} %" for part in PARTS), "kB/step",
    )  # fmt: skip

    def __init__(self, found: Sequence[Measurement], title: str) -> None:
        rows = [(measurement.variant, *_cells(measurement)) for measurement in found]
        filled = [i for i in range(len(self.HEADINGS)) if any(cells[i] for _, *cells in rows)]
        self.SPLIT = sum(i < self.HEADINGS.index(f"{PARTS[0]} %") for i in filled)
        self.HEADINGS = tuple(self.HEADINGS[i] for i in filled)
        super().__init__([(name, *(cells[i] for i in filled)) for name, *cells in rows], title, LEGEND)


def _cells(found: Measurement) -> list[str]:
    ratios = (found.over_gemm, found.over_traffic, found.over_ours("plain"), found.over_ours("markov"))
    parts = ["" if found.shares is None else f"{found.shares[part]:.0f}" for part in PARTS]
    kept = "" if found.bytes_per_step is None else f"{found.bytes_per_step / 1000:,.1f}"
    speeds = [f"{found.frames_per_second:,.0f}", *("" if ratio is None else f"{ratio:.2f}" for ratio in ratios)]
    return [*speeds, *parts, kept]


LEGEND = "\n".join(
    (
        "floors: a training step's time over that of its matrix products at the best rate, and on CUDA over that of"
        " reading the loop's weights at each step; 1 is the least",
        "plain, markov: a step of the plain PyTorch code, and of the program with a site for every step, over ours;"
        " more than 1: ours is faster",
        "%: of the step without Pyro, forward and backward; rest: features of x and what the guide reads of them before"
        " the loop   kB/step: kept of a frame until the backward pass",
    )
)
