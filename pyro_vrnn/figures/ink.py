"""Pen strokes to look at: as a drawing of lines that scales, and on matplotlib's axes."""

from html import escape
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray


def strokes(points: NDArray[Any]) -> list[NDArray[np.float64]]:
    """Successive strokes, each ``(n, 2)`` in absolute coordinates.

    Args:
        points: Rows (dx, dy, pen), ``(T, 3)``: offsets, and 1 at the last point of a stroke. The pen begins at 0.
    """
    points = np.asarray(points, np.float64)
    places = np.cumsum(points[:, :2], 0)
    lifted = np.flatnonzero(points[:, 2] > 0.5) + 1
    return [stroke for stroke in np.split(places, lifted) if len(stroke)]


def svg(points: NDArray[Any], *, title: str, description: str) -> str:
    """A drawing in one element, in the text's colour, so that it can be read on light and dark.

    Args:
        points: Rows (dx, dy, pen), ``(T, 3)``, y downward.
        title: Of the drawing, for those who do not see it, too.
        description: In a sentence.
    """
    lines = strokes(points)
    every = np.concatenate(lines) if lines else np.zeros((1, 2))
    low, size = every.min(0), np.ptp(every, axis=0)
    line = max(float(size.max()), 1e-9) / 200 + 1e-12
    low, size = low - 4 * line, size + 8 * line
    # A point alone is a dot: a line to itself with round ends.
    paths = " ".join(
        "M" + " L".join(f"{x:.6g} {y:.6g}" for x, y in (stroke if len(stroke) > 1 else np.repeat(stroke, 2, 0)))
        for stroke in lines
    )
    box = f"{low[0]:.6g} {low[1]:.6g} {size[0]:.6g} {size[1]:.6g}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" role="img" fill="none" stroke="currentColor"'
        f' stroke-width="{line:.6g}" stroke-linecap="round" stroke-linejoin="round"><title>{escape(title)}</title>'
        f'<desc>{escape(description)}</desc><path d="{paths}"/></svg>\n'
    )


def draw(axes: Axes, points: NDArray[Any], **line: Any) -> None:
    """Draws rows (dx, dy, pen) with equal scales and y downward; ``line`` goes to ``Axes.plot``."""
    line = {"color": "black", "linewidth": 1.0, "solid_capstyle": "round", **line}
    for stroke in strokes(points):
        dot: dict[str, Any] = {"marker": "."} if len(stroke) == 1 else {}
        axes.plot(*stroke.T, **dot, **line)
    axes.set_aspect("equal", adjustable="datalim")
    if not axes.yaxis_inverted():
        axes.invert_yaxis()
    axes.axis("off")


def ink(points: NDArray[Any], *, title: str) -> Figure:
    """A figure of one line of handwriting, ``(T, 3)``."""
    figure = Figure(figsize=(8, 2.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(axes, points)
    axes.set_title(title, fontsize="small", parse_math=False)
    return figure
