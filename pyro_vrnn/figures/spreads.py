"""Measures of many samples: a dot for each, side by side for what is compared."""

from collections.abc import Mapping

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pyro_vrnn.figures.colours import BLUE, GREY, ORANGE


def spreads(found: Mapping[str, Mapping[str, NDArray[np.floating]]], labels: Mapping[str, str], title: str) -> Figure:
    """A panel for each measure; in it a row for each source, a dot for each sample and a line at their median.

    Args:
        found: Values ``(n,)`` by source and measure; those that are not finite are left out.
        labels: Of the axes by measure, with units.
        title: Above all.
    """
    figure = Figure(figsize=(2 + 3.2 * len(labels), 1.2 + 0.5 * len(found)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, parse_math=False, fontsize="medium")
    grid = figure.subplots(1, len(labels), squeeze=False, sharey=True)[0]
    for axes, (measure, label) in zip(grid, labels.items(), strict=True):
        for k, of in enumerate(found.values()):
            values = of[measure][np.isfinite(of[measure])]
            # Spread evenly, so that equal values are seen as several, and the same each time.
            beside = 0.25 * (np.modf(np.arange(len(values)) * 0.618034)[0] - 0.5)
            axes.plot(values, k + beside, ".", color=GREY if k == 0 else BLUE, alpha=0.6, markersize=4)
            if len(values):
                axes.plot([np.median(values)] * 2, [k - 0.3, k + 0.3], color=ORANGE, linewidth=2)
        axes.set_xlabel(label)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
    grid[0].set_yticks(range(len(found)), list(found), parse_math=False)
    grid[0].set_ylim(len(found) - 0.5, -0.5)
    return figure
