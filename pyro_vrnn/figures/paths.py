"""The paper's Fig. 2: how the latents move along sequences that were not trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pyro_vrnn.figures import ink
from pyro_vrnn.figures.colours import BLUE, GREY, ORANGE
from pyro_vrnn.inference.paths import LatentPath

Array = NDArray[np.floating]

#: Heights of the rows: movement, the band, the dimensions, the sequence.
HEIGHTS = (1.2, 0.4, 1.6, 1.2)
#: Of an array's values, curves that can be told apart.
CURVES = 6


class Trace(Protocol):
    """A sequence that can draw itself below the others, from 0 to its duration."""

    def draw(self, axes: Axes, duration: float) -> None:
        """Draws, and labels the vertical axis."""


@dataclass(frozen=True)
class Wave:
    """Sound: amplitudes of full scale, ``(N,)``."""

    samples: Array

    def draw(self, axes: Axes, duration: float) -> None:
        """The waveform."""
        axes.plot(np.arange(len(self.samples)) * duration / len(self.samples), self.samples, color=BLUE, linewidth=0.5)
        axes.set_ylabel("amplitude")


@dataclass(frozen=True)
class Pen:
    """Ink: rows (dx, dy, pen), ``(T, 3)``, y downward; under the curve, what was written."""

    points: Array

    def draw(self, axes: Axes, duration: float) -> None:
        """The pen's height, interrupted where it is lifted."""
        start = 0
        for stroke in ink.strokes(self.points):
            steps = (start + np.arange(len(stroke)) + 0.5) * duration / len(self.points)
            axes.plot(steps, -stroke[:, 1], color=BLUE, linewidth=1, marker="." if len(stroke) == 1 else None)
            start += len(stroke)
        axes.set_ylabel("pen, up")
        page = axes.inset_axes((0.0, -1.45, 1.0, 0.9))
        ink.draw(page, self.points)
        page.set_label("page")


@dataclass(frozen=True)
class Rows:
    """Rows of numbers, ``(T, D)``: the first few values."""

    values: Array

    def draw(self, axes: Axes, duration: float) -> None:
        """A curve for each."""
        steps = (np.arange(len(self.values)) + 0.5) * duration / len(self.values)
        for k, column in enumerate(self.values.T[:CURVES]):
            axes.plot(steps, column, color=(BLUE, ORANGE, GREY)[k % 3], linestyle="-" if k < 3 else "--", linewidth=0.8)
        axes.set_ylabel("values")


@dataclass(frozen=True)
class Example:
    """A sequence and what the latents do along it.

    Attributes:
        title: Its name.
        path: Of its latents.
        trace: What it is.
        seconds_per_frame: Duration of a frame; None where frames have no rate.
    """

    title: str
    path: LatentPath
    trace: Trace
    seconds_per_frame: float | None = None


def figure_2(examples: Sequence[Example], title: str) -> Figure:
    r"""Movement, divergence by step and by dimension, and the sequence; a column each, on one axis of time.

    From above: :math:`\delta_t = \sum_j (\mu_{z,t}^j - \mu_{z,t-1}^j)^2`; KL(q || p) of each step as a band; that of
    each latent dimension, where the families have one; the waveform, the pen's height, or the values. Every row has
    one scale for all columns.

    Args:
        examples: At least one.
        title: Above all.
    """
    dimensions = all(example.path.kl_of_dimensions is not None for example in examples)
    heights = [height for k, height in enumerate(HEIGHTS) if dimensions or k != 2]
    width = 1.5 + 4.5 * len(examples)
    figure = Figure(figsize=(width, 1.2 + 1.7 * sum(heights)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(_title(examples, title), parse_math=False, fontsize="medium")
    grid = figure.subplots(len(heights), len(examples), squeeze=False, sharex="col", height_ratios=heights)
    most = max(float(example.path.kl.max()) for example in examples)
    least = min(0.0, *(float(example.path.kl.min()) for example in examples))  # a sampled one may be below 0
    moved = max(float(np.nanmax(example.path.moved, initial=0.0)) for example in examples)
    for column, example in zip(grid.T, examples, strict=True):
        T = len(example.path.kl)
        each = example.seconds_per_frame or 1.0
        edges = np.arange(T + 1) * each
        column[0].set_title(example.title, fontsize="small", parse_math=False)
        column[0].stairs(example.path.moved, edges, color=ORANGE, baseline=None)
        column[0].set_ylim(0, 1.05 * moved or 1.0)
        band = column[1].pcolormesh(
            edges, [0, 1], example.path.kl[None], cmap="viridis", vmin=least, vmax=most or 1.0, rasterized=True
        )
        column[1].set_yticks([])
        if dimensions:
            heat = _dimensions(column[2], example, edges, examples)
        example.trace.draw(column[-1], T * each)
        column[-1].set_xlim(0, T * each)
        column[-1].set_xlabel("step" if example.seconds_per_frame is None else "seconds")
    grid[0, 0].set_ylabel(r"$\delta_t$")
    grid[1, 0].set_ylabel("KL")
    figure.colorbar(band, ax=list(grid[1]), label="nats", aspect=6)
    if dimensions:
        grid[2, 0].set_ylabel("latent dimension")
        figure.colorbar(heat, ax=list(grid[2]), label="KL, nats")
    for axes in (*grid[0], *grid[-1]):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _dimensions(axes: Axes, example: Example, edges: Array, examples: Sequence[Example]) -> ScalarMappable:
    found = [each.path.kl_of_dimensions for each in examples]
    most = max(float(kl.max()) for kl in found if kl is not None)
    own = example.path.kl_of_dimensions
    assert own is not None
    rows = np.arange(own.shape[1] + 1) + 0.5  # the first dimension is 1
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    return axes.pcolormesh(edges, rows, own.T, cmap="viridis", vmin=0.0, vmax=most or 1.0, rasterized=True)


def _title(examples: Sequence[Example], title: str) -> str:
    drawn = examples[0].path.drawn
    return title if drawn is None else f"{title}\nthe guide has no mean of its own: that of {drawn} draws"
