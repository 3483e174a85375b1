"""What people see while a model trains, and the table at the end."""

import math
import time
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from pyro_vrnn.inference.results import CARRIED, MASS, Compression, Estimate, Kind
from pyro_vrnn.training.checkpoint import Progress as Standing

#: Rows of the closing table in words.
NAMES = {
    "exact": "exact likelihood",
    "elbo": "bound (ELBO)",
    "elbo_sampled": "bound (ELBO), KL sampled",
    "iwae": "importance sampling",
    "stepwise": "per-step averages",
    "smc": "particle filter",
    "iid_gaussian": "i.i.d. Gaussian (reference)",
    "diagonal_innovations": "ceiling of diagonal innovations (reference)",
    "generating_model": "generating model (reference)",
    "flac": "FLAC (compression, reference)",
}


#: Sequences below which a bootstrap interval covers noticeably less than it says (85 % with 5, 80 % with 4).
FEW = 10


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
        mark: ``=``, ``≥`` or ``≈``: what the bound that is trained is, and the validation number.
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
        self.kl += frames * metrics.get("train/kl", math.nan)
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
        kl = "" if self.mark == "=" or math.isnan(self.kl) else f"  KL {self.kl / frames:6.2f}"
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


class ResultsTable:
    """Names, marks, numbers and units: one table where there is room, else one of sequences above one of units.

    Other headings, and another place to be cut at, make another table of it.

    Args:
        rows: A name in words, then a cell for each of :attr:`HEADINGS`.
        title: Above.
        caption: Below; says what marks, interval and ± are.
    """

    HEADINGS: tuple[str, ...] = (
        "nats / sequence", "95 % interval", "± Monte Carlo", "nats / frame", "nats / dimension", "bits / sample"
    )  # fmt: skip
    #: Where the second table begins.
    SPLIT = 3

    def __init__(self, rows: Sequence[Sequence[str]], title: str, caption: str) -> None:
        self.rows, self.title, self.caption = rows, title, caption

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        every = range(len(self.HEADINGS))
        last = every[-1]
        # Measured where nothing limits it. Rich would rather cut numbers than columns.
        room = console.measure(self._part(every), options=options.update(width=10_000)).maximum
        for part in [every] if room <= options.max_width else [every[: self.SPLIT], every[self.SPLIT :]]:
            table = self._part(part)
            table.title, table.caption = self.title if 0 in part else None, self.caption if last in part else None
            yield table

    def _part(self, columns: Sequence[int]) -> Table:
        table = Table(box=box.SIMPLE_HEAD, title_justify="left", caption_justify="left")
        table.add_column("", overflow="fold")
        for column in columns:
            table.add_column(self.HEADINGS[column], justify="right", no_wrap=True)
        for name, *cells in self.rows:
            if any(cells[column] for column in columns):
                table.add_row(name, *(cells[column] for column in columns))
        return table


class PenTable(ResultsTable):
    """With a column for the pen's share of nats / frame."""

    HEADINGS = (*ResultsTable.HEADINGS, "pen, nats / frame")


def results_table(estimates: Sequence[Estimate], title: str, compressions: Sequence[Compression] = ()) -> ResultsTable:
    """One row an estimate or a compressor, each number with its mark and its unit."""
    rows = []
    for estimate in estimates:
        kind, noise = estimate.kind, estimate.monte_carlo_error
        cells = [
            _number(kind.mark, estimate.per_sequence, 1),
            _interval(estimate),
            "" if noise is None else f"{noise:.1f}" if noise >= 1 else f"{noise:.2g}",
            _number(kind.mark, estimate.per_frame, 2),
            _number(kind.mark, estimate.per_dimension, 4),
            _number(kind.bits_mark, estimate.bits_per_sample, 3),
            "" if estimate.pen_per_frame is None else f"{estimate.pen_per_frame:.3f}",
        ]
        carried = {other.name.rpartition("/")[2] for other in estimates if other.name.startswith(CARRIED)}
        reset = " (reset)" if estimate.name in carried else ""
        rows.append([words(estimate.name) + reset, *cells])
    for compression in compressions:
        bits = _number(Kind.EXACT.bits_mark, compression.bits_per_sample, 3)
        rows.append([words(compression.name), "", "", "", "", "", bits, ""])
    if all(estimate.pen_per_frame is None for estimate in estimates):
        return ResultsTable([row[:-1] for row in rows], title, _caption(estimates, compressions))
    return PenTable(rows, title, _caption(estimates, compressions))


def words(name: str) -> str:
    """An estimate's name for people: ``iwae_40`` is ``importance sampling, 40 samples``."""
    if name.startswith(CARRIED):
        over, _, own = name.removeprefix(CARRIED).partition("/")
        return f"{words(own)} (carried over {over})"
    base, _, particles = name.rpartition("_") if name[-1].isdigit() else (name, "", "")
    return NAMES.get(base, base) + (f", {particles} {'particles' if base == 'smc' else 'samples'}" if particles else "")


def _number(mark: str, value: float | None, digits: int) -> str:
    return "" if value is None else f"{mark} {value:.{digits}f}"


def _interval(estimate: Estimate) -> str:
    found = estimate.interval()
    if found is None:
        return ""
    digits = 0 if found.high - found.low >= 10 else 1
    return f"{found.low:.{digits}f} to {found.high:.{digits}f}"


def _caption(estimates: Sequence[Estimate], compressions: Sequence[Compression]) -> str:
    bits = any(estimate.bits_per_sample is not None for estimate in estimates)
    kinds = [kind for kind in Kind if kind.mark and any(estimate.kind is kind for estimate in estimates)]
    marks = [kind.legend(bits=bits) for kind in kinds]
    lines = ["   ".join(marks), "95 % interval: of nats / sequence, over sequences (bootstrap)"]
    if any(estimate.monte_carlo is not None for estimate in estimates):
        lines[-1] += "   ± Monte Carlo: standard error of the noise drawn here"
    if any(estimate.scale.dithered for estimate in estimates):
        lines.append("dithered: densities bound the probability of the integers; ± leaves the dither's own noise out")
    if any(estimate.name.startswith(CARRIED) for estimate in estimates):
        lines.append("carried over N: of segments given those before them, N in a row; reset: of each by itself")
    if min(len(estimate.nats) for estimate in estimates) < FEW:
        lines.append(f"of fewer than {FEW} sequences the interval is too short")
    if any(estimate.pen_per_frame is not None for estimate in estimates):
        holding = [words(estimate.name) for estimate in estimates if estimate.pen_per_frame is None]
        lines.append(
            "pen: log-probability of its being up or down, part of the nats; nats / dimension and bits are of the"
            " offsets alone" + (f", but these hold the pen's: {', '.join(holding)}" if holding else "")
        )
    if any(MASS in estimate.note for estimate in estimates):
        lines.append("the emission gives the integers themselves a probability: its bits are code lengths")
    elif compressions and any(e.bits_per_sample is not None and not e.scale.dithered for e in estimates):
        lines.append(
            "bits of a density at undithered integers are no code lengths; --dither makes them bounds on these"
        )
    return "\n".join(lines)


def gap_lines(estimates: Sequence[Estimate]) -> list[str]:
    """How far a model has come from the i.i.d. Gaussian to what it can reach at most, where the data know that.

    Without latents and with a diagonal Gaussian emission that is the ceiling of diagonal innovations, with latents the
    generating model; of these the bound is compared and, where it was computed, the particle filter.
    """
    by_name = {estimate.name: estimate for estimate in estimates}
    floor, lines = by_name["iid_gaussian"], []
    name = "diagonal_innovations" if estimates[0].name == "exact" else "generating_model"
    if name not in by_name:
        return []
    reference = by_name[name]
    for first in (estimates[0], *(found for found in estimates[1:] if found.name.startswith("smc_"))):
        share = (first.nats - floor.nats).mean() / (reference.nats - floor.nats).mean()
        apart = first.nats - reference.nats
        error = apart.std(ddof=1) / math.sqrt(len(apart)) if len(apart) > 1 else math.nan
        goal = words(name).removesuffix(" (reference)")
        # A mixture goes past what diagonal innovations allow: there is no gap then to have come a share of.
        way = f"{share:.1%} of the way from the i.i.d. Gaussian to the {goal}, " if share <= 1 else f"past the {goal}, "
        lines.append(f"{words(first.name)}: {way}{apart.mean():+.2f} ± {error:.2f} nats a sequence from it (paired)")
    return lines


def parameters_line(counts: dict[str, int]) -> str:
    """Parameters per part and in all."""
    parts = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return f"parameters: {sum(counts.values()):,} ({parts})"


def as_json(
    estimates: Sequence[Estimate], *, compressions: Sequence[Compression] = (), **others: Any
) -> dict[str, Any]:
    """What ``results.json`` holds; compressors apart, for they score no sequence in nats."""
    held = {**others, "results": {estimate.name: estimate.as_dict() for estimate in estimates}}
    if compressions:
        held["compressions"] = {compression.name: compression.as_dict() for compression in compressions}
    return held
