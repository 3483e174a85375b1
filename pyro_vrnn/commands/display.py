"""What people see while a model trains, and the table at the end."""

import math
import time
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from pyro_vrnn.inference.results import Estimate
from pyro_vrnn.training.checkpoint import Progress as Standing

#: Rows of the closing table in words.
NAMES = {
    "exact": "exact likelihood",
    "elbo": "bound (ELBO)",
    "iwae": "importance sampling",
    "stepwise": "per-step averages",
    "iid_gaussian": "i.i.d. Gaussian (reference)",
}


def console() -> Console:
    """Where everything is printed; a file or a pipe has no width to fold lines to."""
    made = Console(highlight=False, markup=False, soft_wrap=True)
    if not made.is_terminal:
        made.width = 160
    return made


class FitDisplay:
    """A live bar on a terminal; elsewhere one line an epoch.

    Args:
        out: Where to print.
        epochs: Epochs at most.
        total: Steps in all.
        mark: ``=`` or ``≥``: what the validation number is.
    """

    def __init__(self, out: Console, epochs: int, total: int, mark: str) -> None:
        self.out, self.epochs, self.total, self.mark = out, epochs, total, mark
        self.frames = self.seconds = self.bound = self.kl = 0.0
        self.validation = math.nan
        self.started, self.first_step = time.monotonic(), -1
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=out,
            disable=not out.is_terminal,
            transient=True,
        )
        self.task = self.bar.add_task("", total=total, epoch=1, epochs=epochs, state="")

    def __enter__(self) -> "FitDisplay":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def step(self, standing: Standing, metrics: dict[str, float], frames: int) -> None:
        """Moves the bar."""
        if self.first_step < 0:
            self.first_step = standing.step - 1
        self.frames += frames
        self.seconds += frames / metrics["train/frames_per_second"]
        self.bound += frames * metrics["train/bound"]
        self.kl += frames * metrics["train/kl"]
        state = (
            f"bound {self.mark} {metrics['train/bound']:.1f} nats/frame"
            + ("" if math.isnan(self.validation) else f", validation {self.mark} {self.validation:.1f} nats/sequence")
            + f", {metrics['train/frames_per_second']:,.0f} frames/s"
        )
        self.bar.update(self.task, completed=standing.step, epoch=standing.epoch + 1, state=state)

    def epoch(self, standing: Standing, validation: Estimate, improved: bool) -> None:
        """Prints the epoch's line."""
        self.validation = validation.per_sequence
        frames = self.frames or math.nan
        done, seconds = standing.step - self.first_step, time.monotonic() - self.started
        left = seconds / done * (self.total - standing.step) if done > 0 else math.nan
        kl = "" if self.mark == "=" else f"  KL {self.kl / frames:6.2f}"
        self.out.print(
            f"epoch {standing.epoch:>{len(str(self.epochs))}}/{self.epochs}"
            f"  train {self.mark} {self.bound / frames:8.2f} nats/frame{kl}"
            f"  validation {self.mark} {validation.per_sequence:9.1f} nats/sequence{' *' if improved else '  '}"
            f"  {self.frames / (self.seconds or math.nan):8,.0f} frames/s  {duration(left)} left"
        )
        self.frames = self.seconds = self.bound = self.kl = 0.0


def duration(seconds: float) -> str:
    """Seconds as people say them: ``42 s``, ``6 min``, ``3.5 h``."""
    if math.isnan(seconds):
        return "?"
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def results_table(estimates: Sequence[Estimate], title: str) -> Table:
    """One row an estimate, each number with its mark and its unit."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", caption_justify="left")
    table.add_column("", no_wrap=True)
    for heading in ("nats / sequence", "± s.e.", "nats / frame", "nats / dimension", "bits / sample"):
        table.add_column(heading, justify="right", no_wrap=True)
    for estimate in estimates:
        base, _, particles = estimate.name.rpartition("_") if estimate.name[-1].isdigit() else (estimate.name, "", "")
        words = NAMES.get(base, base) + (f", {particles} samples" if particles else "")
        # On the bits side a lower bound on log p is an upper bound.
        bits_mark = {"≥": "≤"}.get(estimate.kind.value, estimate.kind.value)
        bits = "" if estimate.bits_per_sample is None else f"{bits_mark} {estimate.bits_per_sample:.3f}"
        mark = estimate.kind.value
        error = "" if math.isnan(estimate.standard_error) else f"{estimate.standard_error:.1f}"
        table.add_row(
            words,
            f"{mark} {estimate.per_sequence:.1f}",
            error,
            f"{mark} {estimate.per_frame:.2f}",
            f"{mark} {estimate.per_dimension:.4f}",
            bits,
        )
    table.caption = (
        "= exact   ≥ lower bound   ≈ below log p in expectation, tending to it   ~ neither; s.e. over sequences"
    )
    return table


def parameters_line(counts: dict[str, int]) -> str:
    """Parameters per part and in all."""
    parts = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return f"parameters: {sum(counts.values()):,} ({parts})"


def as_json(estimates: Sequence[Estimate], **others: Any) -> dict[str, Any]:
    """What ``results.json`` holds."""
    return {**others, "results": {estimate.name: estimate.as_dict() for estimate in estimates}}
