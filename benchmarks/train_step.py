"""What a training step may cost at most: the ratios that are accepted, measured in one run.

    python benchmarks/train_step.py [--rows h256 --rows timit] [--repeats 5] [--precision bf16] [--json FILE]

Rows of one model are timed in turn in the same rounds, and in turn with the machine's best matrix product. Those of a
GPU need CUDA. `pyro-vrnn bench` tells the same of every variant and preset.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from pyro_vrnn.benchmark.measure import Machine, Measurement, race
from pyro_vrnn.benchmark.steps import Case
from pyro_vrnn.model.variants import ModelOptions
from pyro_vrnn.training.device import Precision


@dataclass(frozen=True)
class Row:
    """A ratio with what it must reach and what it should; ``at_most``, or else at least."""

    what: str
    ratio: Callable[[Measurement], float | None]
    must: float
    aim: float
    at_most: bool = True

    def verdict(self, value: float) -> str:
        met = [value <= goal if self.at_most else value >= goal for goal in (self.aim, self.must)]
        return "aim" if met[0] else "must" if met[1] else "MISSED"


@dataclass(frozen=True)
class Group:
    """Rows of one model and batch."""

    options: ModelOptions
    batch: int
    frames: int
    ways: tuple[str, ...]
    rows: tuple[Row, ...]
    cuda: bool = False


def sizes(h: int, z: int, width: int, depth: int) -> ModelOptions:
    widths = {f"{part}_width": width for part in ("phi_x", "phi_z", "guide", "prior", "emission")}
    return ModelOptions(variant="vrnn-gauss", h=h, layers=1, z=z, depth=depth, **widths)


def pyro_overhead(found: Measurement) -> float:
    return found.seconds["ours"] / found.seconds["tensors"]


GROUPS = {
    "h2000": Group(
        sizes(2000, 200, 400, 4), 64, 40, ("ours",),
        (Row("train step / GEMM floor, h=2000, CPU", lambda found: found.over_gemm, 1.5, 1.25),),
    ),
    "h256": Group(
        sizes(256, 64, 128, 2), 32, 40, ("ours", "tensors", "plain", "markov"),
        (
            Row("train step / GEMM floor, h=256, CPU", lambda found: found.over_gemm, 2.2, 1.8),
            Row("plain PyTorch loop / ours, h=256, CPU", lambda found: found.over_ours("plain"), 2, 3, at_most=False),
            Row("markov program / ours, h=256, CPU", lambda found: found.over_ours("markov"), 4, 6, at_most=False),
            Row("Pyro layer over the same tensor code", pyro_overhead, 1.10, 1.03),
        ),
    ),
    "timit": Group(
        ModelOptions(variant="vrnn-gauss", preset="timit"), 64, 245, ("ours", "plain"),
        (
            Row("plain PyTorch loop / ours, TIMIT preset, GPU", lambda found: found.over_ours("plain"), 4, 10,
                at_most=False),
            Row("train step / larger floor, TIMIT preset, GPU", lambda found: found.over_floor, 3, 1.5),
        ),
        cuda=True,
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", action="append", choices=GROUPS, help="repeatable; default: all")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--precision", choices=["float32", "tf32", "bf16"], default="bf16", help="of the GPU rows")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.manual_seed(0)
    report: dict[str, object] = {}
    machines: dict[bool, Machine] = {}
    lines = []
    for name in given.rows or GROUPS:
        group = GROUPS[name]
        if group.cuda and not torch.cuda.is_available():
            lines += [f"{row.what:50} not measured: no CUDA device" for row in group.rows]
            continue
        if group.cuda not in machines:
            device = torch.device("cuda" if group.cuda else "cpu")
            machines[group.cuda] = Machine(Precision(given.precision if group.cuda else "float32", device))
            print(machines[group.cuda].line(), flush=True)
        machine = machines[group.cuda]
        found = race(
            Case(group.options, group.batch, group.frames, machine.precision), machine, group.ways, given.repeats
        )
        ratios = {row: row.ratio(found) for row in group.rows}
        lines += [line(row, value) for row, value in ratios.items() if value is not None]
        report[name] = {"machine": machine.as_dict(), **found.as_dict(),
                        "rows": {row.what: value for row, value in ratios.items()}}  # fmt: skip
    print(f"{'':50} {'ratio':>8} {'must':>8} {'aim':>8}  met", *lines, sep="\n")
    if given.json:
        given.json.write_text(json.dumps({"repeats": given.repeats, **report}, indent=2))


def line(row: Row, value: float) -> str:
    sign = "≤" if row.at_most else "≥"
    must, aim = (f"{sign} {goal:g}" for goal in (row.must, row.aim))
    return f"{row.what:50} {value:8.2f} {must:>8} {aim:>8}  {row.verdict(value)}"


if __name__ == "__main__":
    main()
