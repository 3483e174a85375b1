"""The paper's Fig. 4: a sheet of handwriting, a column for each hand, real or made."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pyro_vrnn.figures import ink

#: Samples of each that a sheet has room for.
ROWS = 8


def figure_4(samples: Mapping[str, Sequence[NDArray[np.floating]]], title: str) -> Figure:
    """The first eight samples of each, below each other; each is drawn to its own scale.

    Args:
        samples: Rows (dx, dy, pen), ``(T, 3)`` each, y downward, by what they are.
        title: Above all.
    """
    rows = min(ROWS, max(len(each) for each in samples.values()))
    figure = Figure(figsize=(0.4 + 4 * len(samples), 0.9 + 1.1 * rows), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, parse_math=False, fontsize="medium")
    grid = figure.subplots(rows, len(samples), squeeze=False)
    for column, (name, each) in zip(grid.T, samples.items(), strict=True):
        for k, axes in enumerate(column):
            axes.axis("off")
            if k < len(each):
                ink.draw(axes, each[k], linewidth=0.8)
        column[0].set_title(name, fontsize="small", parse_math=False)
    return figure
