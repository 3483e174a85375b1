"""Panels of numbers that somebody else has counted, side by side on one sheet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pyro_vrnn.figures.colours import BLUE, GREY, ORANGE

COLOURS = (BLUE, ORANGE, GREY)  # of the series of a panel, in their order
COLUMNS = 3
MANY = 30  # bars from which there is no room between them
PANEL = 1.3  # width of a panel over its height
CURVE = 400  # points that a reference curve is drawn at


class Panel(Protocol):
    """What can draw itself, with a title and units on its axes."""

    def draw(self, axes: Axes) -> None:
        """Draws on axes of its own."""


def sheet(panels: Sequence[Panel], title: str) -> Figure:
    """Panels in rows of three.

    Args:
        panels: In reading order.
        title: Above all.
    """
    rows = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(14, 1 + 3.6 * rows), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, parse_math=False)
    grid = figure.add_gridspec(rows, COLUMNS)
    for k, panel in enumerate(panels):
        axes = figure.add_subplot(grid[k // COLUMNS, k % COLUMNS])
        panel.draw(axes)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


@dataclass(frozen=True)
class Counts:
    """Histograms of the same bins, stacked, or each as an outline.

    Attributes:
        title: Above.
        label: Of the horizontal axis, with the unit.
        things: What is counted.
        edges: `(bins + 1,)`.
        series: Counts `(bins,)` by name; a single series needs none.
        stacked: On top of each other.
        logarithmic: The axis of counts.
        normal: Draw what counts of standard normal values would be.
    """

    title: str
    label: str
    things: str
    edges: NDArray[np.float64]
    series: Mapping[str, NDArray[np.int64]]
    stacked: bool = True
    logarithmic: bool = False
    normal: bool = False

    def draw(self, axes: Axes) -> None:
        """Draws the bars, and the curve if there is one."""
        base = np.zeros(len(self.edges) - 1)
        for colour, (name, counts) in zip(COLOURS, self.series.items(), strict=False):
            if self.stacked:
                axes.stairs(base + counts, self.edges, baseline=base, fill=True, color=colour, alpha=0.8, label=name)
                base = base + counts
            else:
                axes.stairs(counts, self.edges, color=colour, linewidth=1.2, label=name)
        if self.normal:
            x = np.linspace(self.edges[0], self.edges[-1], CURVE)
            total = sum(int(counts.sum()) for counts in self.series.values())
            density = np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi) * total * (self.edges[1] - self.edges[0])
            axes.plot(x, density, color=GREY, linestyle="--", linewidth=1, label="N(0, 1)")
        if self.logarithmic:
            axes.set_yscale("log")
            axes.set_ylim(bottom=0.5)
        axes.set_title(self.title, fontsize="medium")
        axes.set_xlabel(self.label)
        axes.set_ylabel(self.things)
        if len(self.series) > 1 or self.normal:
            axes.legend(frameon=False, fontsize="small")


@dataclass(frozen=True)
class Amounts:
    """How much there is of each of several, sorted within their groups.

    Attributes:
        title: Above.
        label: Of the horizontal axis: what each bar is.
        unit: Of the vertical axis.
        groups: Amounts by group.
        names: What the legend says of each group.
    """

    title: str
    label: str
    unit: str
    groups: Mapping[str, NDArray[np.float64]]
    names: Mapping[str, str]

    def draw(self, axes: Axes) -> None:
        """Draws a bar each, group after group."""
        start, width = 0, 0.9 if sum(map(len, self.groups.values())) < MANY else 1.0
        for colour, (group, amounts) in zip(COLOURS, self.groups.items(), strict=False):
            at = np.arange(start, start + len(amounts))
            axes.bar(
                at,
                np.sort(amounts)[::-1],
                width=width,
                color=colour,
                alpha=0.8,
                label=self.names[group],
            )
            start += len(amounts)
        axes.set_xlim(-0.8, max(start - 0.2, 1.8))
        axes.margins(y=0.3)
        axes.set_xticks([])
        axes.set_title(self.title, fontsize="medium")
        axes.set_xlabel(self.label)
        axes.set_ylabel(self.unit)
        axes.legend(frameon=False, fontsize="small", loc="upper right")


@dataclass(frozen=True)
class Image:
    """Counts in two dimensions, as colours on a logarithmic scale.

    Attributes:
        title: Above.
        labels: Of both axes, with units.
        edges: Of the bins of both.
        counts: `(x, y)`.
        downward: The vertical axis grows downward, as a page's does.
    """

    title: str
    labels: tuple[str, str]
    edges: tuple[NDArray[np.float64], NDArray[np.float64]]
    counts: NDArray[np.int64]
    downward: bool = False

    def draw(self, axes: Axes) -> None:
        """Draws the image and its scale."""
        norm = LogNorm(1, max(2, int(self.counts.max())))
        shown = np.ma.masked_equal(self.counts.T, 0)
        mesh = axes.pcolormesh(*self.edges, shown, norm=norm, cmap="viridis", rasterized=True)
        axes.figure.colorbar(mesh, ax=axes, shrink=0.9)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        if self.downward:
            axes.invert_yaxis()
        axes.set_title(self.title, fontsize="medium")
        axes.set_xlabel(self.labels[0])
        axes.set_ylabel(self.labels[1])


@dataclass(frozen=True)
class Drawings:
    """What a pen drew, side by side in as many columns as fill the panel best, to one scale.

    Attributes:
        title: Above.
        drawings: Strokes `(n, 2)` of each, y downward; a dot marks the end of each stroke.
    """

    title: str
    drawings: Sequence[Sequence[NDArray[np.float64]]]

    def draw(self, axes: Axes) -> None:
        """Draws all of them in reading order."""
        corners = [np.concatenate(strokes) for strokes in self.drawings]
        cell = 1.15 * np.max([np.ptp(points, axis=0) for points in corners], axis=0) + 1e-9
        number = len(self.drawings)
        shapes = [(columns * cell[0], -(-number // columns) * cell[1]) for columns in range(1, number + 1)]
        columns = 1 + int(np.argmin([abs(np.log(width / height / PANEL)) for width, height in shapes]))
        for k, (strokes, points) in enumerate(zip(self.drawings, corners, strict=True)):
            shift = cell * (k % columns, k // columns) - points.min(axis=0)
            for stroke in strokes:
                axes.plot(*(stroke + shift).T, color=BLUE, linewidth=0.8)
                axes.plot(*(stroke[-1:] + shift).T, ".", color=ORANGE, markersize=1.5)
        axes.invert_yaxis()
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[["bottom", "left"]].set_visible(False)
        axes.set_title(self.title, fontsize="medium")


@dataclass(frozen=True)
class Ranges:
    """The spread of each of several values: all, the middle nine tenths, the median.

    Attributes:
        title: Above.
        label: Of the horizontal axis: what has a number.
        unit: Of the vertical axis.
        spreads: `(D, 5)`: smallest, 5 %, median, 95 %, largest.
    """

    title: str
    label: str
    unit: str
    spreads: NDArray[np.float64]
    names: Mapping[str, str] = field(default_factory=lambda: {"all": "all", "middle": "5 % to 95 %", "half": "median"})

    def draw(self, axes: Axes) -> None:
        """Draws a line each, thick in its middle."""
        at = np.arange(len(self.spreads))
        low, q05, median, q95, high = self.spreads.T
        axes.vlines(at, low, high, color=GREY, linewidth=0.8, label=self.names["all"])
        axes.vlines(at, q05, q95, color=BLUE, linewidth=3, label=self.names["middle"])
        axes.plot(at, median, "_", color=ORANGE, label=self.names["half"])
        axes.set_xlim(-0.8, len(at) - 0.2)
        axes.set_title(self.title, fontsize="medium")
        axes.set_xlabel(self.label)
        axes.set_ylabel(self.unit)
        axes.legend(frameon=False, fontsize="small")
