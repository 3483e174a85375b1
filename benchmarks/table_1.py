"""What the grid of the paper's Table 1 costs in GPU hours, by measured speeds or, without any, at least.

    python benchmarks/table_1.py --speed speed-timit.json speed-blizzard.json   # of `bench --device cuda --json`
    python benchmarks/table_1.py [--gpu a100] [--precision tf32]                # a floor, from a data sheet
    python benchmarks/table_1.py --frames onomatopoeia=1000000,50000            # of your copy, training and test

Hours are frames / (frames / s) / 3600. The floor takes the larger of two times: of a training step's matrix products,
counted as `bench` counts them, at the rate of the data sheet; and of reading what the cache cannot hold of the weights
of the loop over time, at its bandwidth. No GPU reaches either.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from pyro_vrnn.benchmark.floor import (
    REGULAR,
    ROWS,
    countable,
    countable_frames,
    gemm_operations,
    plain_bound,
    prepared,
    quiet,
)
from pyro_vrnn.benchmark.steps import FRAME, fitting
from pyro_vrnn.benchmark.traffic import loop_weights, traffic_seconds
from pyro_vrnn.inference.estimators import ESTIMATORS, estimators_for
from pyro_vrnn.inference.results import Kind
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.sizes import PRESETS
from pyro_vrnn.model.variants import ModelOptions, build
from pyro_vrnn.training.config import CARRIES, SCHEDULES, EvaluationOptions

VARIANTS = ("rnn-gauss", "rnn-gmm", "vrnn-i", "vrnn-gauss", "vrnn-gmm")
SEEDS = 3
HOUR = 3600 * 16_000 / FRAME  # frames of sound


@dataclass(frozen=True)
class Corpus:
    """Frames of a sequence, of the training part and of the test part; None where nothing is published."""

    length: int
    train: float | None
    test: float | None


#: Where the numbers are from, and which of them are assumed, says docs/table-1.md.
CORPORA = {
    "blizzard": Corpus(40, 0.9 * 300 * HOUR, 0.05 * 300 * HOUR),
    "timit": Corpus(245, 4390 * 245, 1680 * 245),
    "onomatopoeia": Corpus(245, None, None),  # that length is TIMIT's: a frame's products hardly depend on it
    "accent": Corpus(40, 0.9 * 2046 * 69 / 150 / 60 * HOUR, 0.05 * 2046 * 69 / 150 / 60 * HOUR),
    "iam-ondb": Corpus(700, 9223 * 700, 1438 * 700),
}
(EPOCHS,) = {SCHEDULES[preset]["epochs"] for preset in CORPORA}  # that `fit` trains at most


@dataclass(frozen=True)
class Gpu:
    """A data sheet: operations a second by precision, without sparsity; bytes a second of the memory, and of cache."""

    name: str
    rates: Mapping[str, float]
    memory: float
    cache: int


_HOPPER = {"float32": 67e12, "tf32": 494.5e12, "bf16": 989.5e12}
GPUS = {
    "a100": Gpu("A100 SXM 80 GB", {"float32": 19.5e12, "tf32": 156e12, "bf16": 312e12}, 2.039e12, 40 * 2**20),
    "h100": Gpu("H100 SXM", _HOPPER, 3.35e12, 50 * 2**20),
    "h200": Gpu("H200 SXM", _HOPPER, 4.8e12, 50 * 2**20),
}


@dataclass(frozen=True)
class Work:
    """What a model must compute and read."""

    parameters: int
    #: Operations of the matrix products of a frame: of a training step, and of all that `fit` scores a test set with.
    training: float
    scoring: float
    #: Numbers in the weights of the loop over time.
    loop: int


def work(preset: str, variant: str) -> Work:
    """Of a variant at a preset's sizes."""
    alike = {name: (PRESETS[name], CORPORA[name].length, CARRIES.get(name, 1)) for name in CORPORA}
    return _work(next(name for name in alike if alike[name] == alike[preset]), variant)


@cache
def _work(preset: str, variant: str) -> Work:
    options, x = fitting(ModelOptions(variant=variant, preset=preset))
    with torch.device("meta"):  # what the weights are is not asked, and to draw large orthogonal ones takes long
        net = build(options, x)
    for parameter in net.to_empty(device="cpu").parameters():
        parameter.data.zero_()
    return work_of(net, CORPORA[preset].length, CARRIES.get(preset, 1))


def work_of(net: VRNN, length: int, carry: int = 1) -> Work:
    """Of a model on sequences of so many frames; with segments carried over the test set is scored twice."""
    at_once, by_draw = forward_operations(net, length)
    scoring = (1 if carry == 1 else 2) * (at_once + passes(net) * by_draw)
    parameters = sum(parameter.numel() for parameter in net.parameters())
    return Work(parameters, gemm_operations(net, ROWS, length) / ROWS / length, scoring, loop_weights(net))


def passes(net: VRNN) -> int:
    """Draws of z, or runs of a model without, that all estimators together score a sequence with."""
    asked = EvaluationOptions()
    return sum(
        (1 if each.kind is Kind.EXACT else asked.repetitions) * (asked.particles if each.particles else 1)
        for each in map(ESTIMATORS.__getitem__, estimators_for(net))
    )


def forward_operations(net: VRNN, length: int) -> tuple[float, float]:
    """Operations of a frame of a forward pass: of what reads x alone, once for all draws, and of the rest."""
    net = countable(net)

    def features(frames: int) -> None:
        x, mask = countable_frames(net, frames)
        features_x = net.phi_x(x)
        net.recurrence.prepare(features_x)
        if net.recurrence.reads_z:
            prepared(net, features_x, mask, None)

    def counted(run: Callable[[int], object], frames: int) -> int:
        with quiet(), torch.no_grad(), FlopCounterMode(display=False) as counter:
            run(frames)
        return counter.get_total_flops()

    def a_frame(run: Callable[[int], object]) -> float:
        first, next_ = counted(run, REGULAR), counted(run, REGULAR + 1)
        return (first + (length - REGULAR) * (next_ - first)) / ROWS / length

    at_once = a_frame(features)
    return at_once, a_frame(lambda frames: plain_bound(net, *countable_frames(net, frames))) - at_once


def floor(found: Work, gpu: Gpu, precision: str, batch: int) -> float:
    """Seconds of a training frame, at least."""
    held = found.loop * (2 if precision == "bf16" else 4)
    beyond = max(held - gpu.cache, 0)  # what a cache can hold at best need not be read again
    return max(found.training / gpu.rates[precision], traffic_seconds(beyond, 1, gpu.memory) / batch)


def speeds(files: Sequence[Path]) -> tuple[dict[tuple[str, str], float], list[str]]:
    """Frames a second by preset and variant, as `bench --json` found them, and a line on each file."""
    found, lines = {}, []
    for file in files:
        held = json.loads(file.read_text(encoding="utf-8"))
        machine, measured = held["machine"], held["variants"]
        if held["preset"] not in CORPORA:
            raise SystemExit(f"{file}: of preset {held['preset']}; expected one of {', '.join(CORPORA)}")
        found |= {(held["preset"], each["variant"]): each["frames_per_second"] for each in measured}
        lines.append(
            f"{held['preset']}: measured on {machine['device']}, {machine['precision']},"
            f" {measured[0]['batch']} sequences of {measured[0]['frames']} frames in a step"
        )
    return found, lines


@dataclass(frozen=True)
class Row:
    """A model on a corpus, or a sum; None is what is not known."""

    corpus: str
    variant: str
    work: Work | None
    #: Of the training part.
    frames: float | None
    #: Hours of one epoch and seed, of all epochs and seeds, and of scoring the test set for all seeds.
    epoch: float | None
    training: float | None
    scoring: float | None


def measured_row(preset: str, variant: str, corpus: Corpus, rate: float | None, epochs: int) -> Row:
    """From frames a second; scoring is not what `bench` measures."""
    epoch = None if rate is None or corpus.train is None else corpus.train / rate / 3600
    return Row(preset, variant, work(preset, variant), corpus.train, epoch, _times(epoch, epochs * SEEDS), None)


def floor_row(preset: str, variant: str, corpus: Corpus, gpu: Gpu, precision: str, epochs: int) -> Row:
    """From a data sheet. Scores are float32 whatever the training's precision."""
    found = work(preset, variant)
    epoch = _times(corpus.train, floor(found, gpu, precision, SCHEDULES[preset]["batch_size"]) / 3600)
    scoring = _times(corpus.test, SEEDS * found.scoring / gpu.rates["float32"] / 3600)
    return Row(preset, variant, found, corpus.train, epoch, _times(epoch, epochs * SEEDS), scoring)


def _times(value: float | None, by: float) -> float | None:
    return None if value is None else value * by


def total(rows: Sequence[Row], corpus: str, variant: str) -> Row:
    """The sum of rows; None where one of them is not known."""

    def summed(name: str) -> float | None:
        held = [getattr(row, name) for row in rows]
        return None if not held or None in held else sum(held)

    return Row(corpus, variant, None, None, summed("epoch"), summed("training"), summed("scoring"))


def table(rows: Sequence[Row], epochs: int) -> str:
    """Markdown."""
    header = ["", "model", "parameters", "GFLOP / frame", "frames an epoch", "hours an epoch"]
    header += [f"hours, {epochs} epochs, {SEEDS} seeds", f"hours of scoring, {SEEDS} seeds"]
    lines = ["| " + " | ".join(header) + " |", "| --- | --- |" + " ---: |" * (len(header) - 2)]
    for row in rows:
        counts = ["", ""]
        if row.work is not None:
            counts = [f"{row.work.parameters / 1e6:.1f} M", f"{row.work.training / 1e9:.3f}"]
        frames = "" if row.frames is None else f"{row.frames / 1e6:.1f} M"
        hours = map(figure, (row.epoch, row.training, row.scoring))
        lines.append("| " + " | ".join([row.corpus, row.variant, *counts, frames, *hours]) + " |")
    return "\n".join(lines)


def figure(hours: float | None) -> str:
    """Two digits: corpora are known no better."""
    if hours is None:
        return ""
    two = float(f"{hours:.2g}")
    return f"{two:,.0f}" if two >= 10 else f"{two:.10f}".rstrip("0").rstrip(".")


def own_frames(given: Sequence[str]) -> dict[str, Corpus]:
    """The corpora, with the frames that were counted on one's own copies: ``NAME=TRAIN,TEST``."""
    found = dict(CORPORA)
    for text in given:
        name, _, numbers = text.partition("=")
        parts = numbers.split(",")
        if name not in found or len(parts) != 2 or not all(part.strip().isdigit() for part in parts):
            raise SystemExit(f"--frames {text}: expected CORPUS=TRAIN,TEST, with one of {', '.join(CORPORA)}")
        found[name] = replace(found[name], train=float(parts[0]), test=float(parts[1]))
    return found


def grid(presets: Sequence[str], make: Callable[[str, str], Row]) -> list[Row]:
    """The rows of every corpus with their sums, and the sum of those corpora whose size is known."""
    rows, sums = [], []
    for preset in presets:
        own = [make(preset, variant) for variant in VARIANTS]
        sums.append(total(own, preset, "all five"))
        rows += [*own, sums[-1]]
    known = [each for each in sums if each.training is not None]
    if len(known) > 1:
        rows.append(replace(total(known, "together", ", ".join(each.corpus for each in known)), epoch=None))
    return rows


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", type=Path, nargs="+", metavar="FILE", help="what `bench --json` wrote")
    parser.add_argument("--gpu", choices=GPUS, nargs="+", default=["a100"], help="of a floor; not read with --speed")
    parser.add_argument("--precision", choices=_HOPPER, nargs="+", default=["float32"], help="of a floor")
    parser.add_argument("--frames", action="append", default=[], metavar="CORPUS=TRAIN,TEST", help="repeatable")
    parser.add_argument("--corpus", choices=CORPORA, nargs="+", default=list(CORPORA), help="default: all")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="default: those that `fit` trains at most")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    given = parser().parse_args(arguments)
    corpora, epochs = own_frames(given.frames), given.epochs
    if given.speed:
        measured, lines = speeds(given.speed)
        print(*lines, sep="\n")
        rows = grid(given.corpus, lambda *name: measured_row(*name, corpora[name[0]], measured.get(name), epochs))
        print(table(rows, epochs))
        return
    for gpu, precision in product(map(GPUS.__getitem__, given.gpu), given.precision):
        print(
            f"a floor, not a measurement: {gpu.name}, {gpu.rates[precision] / 1e12:g} TFLOP/s in {precision},"
            f" {gpu.memory / 1e12:g} TB/s; scoring in float32, {gpu.rates['float32'] / 1e12:g} TFLOP/s"
        )
        sheet = partial(floor_row, gpu=gpu, precision=precision, epochs=epochs)
        rows = grid(given.corpus, lambda *name, sheet=sheet: sheet(*name, corpora[name[0]]))
        print(table(rows, epochs), flush=True)


if __name__ == "__main__":
    main()
