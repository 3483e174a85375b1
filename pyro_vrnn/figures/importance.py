"""How many importance samples are enough, to look at."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from pyro_vrnn.figures.colours import BLUE, GREY, ORANGE
from pyro_vrnn.inference.importance import FEW, Diagnosis


def bound_against_samples(diagnosis: Diagnosis, *, elbo: float | None, title: str) -> Figure:
    """The importance-weighted bound against the number of samples, and the tails of the weights.

    Left: nats a sequence over K' on a logarithmic axis, a band of one standard error of the weights' noise, the ELBO as
    a dashed line, and a mark at the paper's 40 samples. A curve that has not levelled off is no estimate of log p(x).
    Right, where K was enough to know it: how many sequences have which Pareto k, and the threshold.

    Args:
        diagnosis: Of the weights.
        elbo: Mean over the same sequences, nats; None leaves its line out.
        title: Above both.
    """
    tails = diagnosis.pareto_k is not None
    figure = Figure(figsize=(10 if tails else 6, 4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, parse_math=False)
    grid = figure.add_gridspec(1, 2 if tails else 1, width_ratios=(3, 2) if tails else None)
    _curve(figure.add_subplot(grid[0]), diagnosis, elbo)
    if tails:
        _tails(figure.add_subplot(grid[1]), diagnosis)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _curve(axes: Axes, diagnosis: Diagnosis, elbo: float | None) -> None:
    curve = diagnosis.curve
    low, high = curve.bound - curve.error, curve.bound + curve.error
    axes.fill_between(curve.samples, low, high, color=BLUE, alpha=0.3, linewidth=0, label="± s.e. of the noise")
    axes.plot(curve.samples, curve.bound, color=BLUE, marker=".", label="importance-weighted bound")
    if elbo is not None:
        axes.axhline(elbo, color=GREY, linestyle="--", label=f"ELBO, {elbo:.1f}")
    if FEW in curve.samples:
        at = curve.bound[list(curve.samples).index(FEW)]
        label = f"{FEW} samples, {at:.1f}"
        axes.plot([FEW], [at], color=ORANGE, marker="o", markersize=8, linestyle="none", label=label)
        axes.axvline(FEW, color=ORANGE, linewidth=0.8, alpha=0.6)
    axes.set_xscale("log")
    # A label beside that of K itself would be written over it.
    axes.xaxis.set_major_locator(FixedLocator([int(k) for k in curve.samples if not 1 < diagnosis.samples / k < 1.5]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda k, _: f"{k:.0f}" if k < 1000 else f"{k / 1000:g}k")
    axes.tick_params(axis="x", labelsize="small")
    axes.yaxis.set_major_formatter(lambda nats, _: f"{nats:,g}")
    axes.set_xlabel("importance samples a sequence, K'")
    axes.set_ylabel("nats / sequence")
    axes.legend(frameon=False, fontsize="small")


def _tails(axes: Axes, diagnosis: Diagnosis) -> None:
    assert diagnosis.pareto_k is not None
    finite = diagnosis.pareto_k[np.isfinite(diagnosis.pareto_k)]
    # Where a tail has no finite index it stands at the end it belongs to, so that every sequence is counted.
    ends = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    low, high = min(ends[0], 0.0), max(ends[1], 1.0)
    axes.hist(np.clip(diagnosis.pareto_k, low, high), bins=30, range=(low, high), color=BLUE, alpha=0.8)
    axes.axvline(diagnosis.threshold, color=ORANGE, linestyle="--")
    above = "" if diagnosis.share_above is None else f", {diagnosis.share_above:.0%} of sequences above"
    axes.set_title(f"threshold {diagnosis.threshold:.2f}{above}", fontsize="small", color=ORANGE)
    axes.set_xlabel("Pareto k of a sequence's weights")
    axes.set_ylabel("sequences")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
