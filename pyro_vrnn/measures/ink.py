"""Style of handwriting, and whether it belongs to the sample or changes within it."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Parts that a sample is cut into, to see what varies within it.
PARTS = 2

Points = NDArray[Any]

#: Each measure's unit and what it is, for people.
UNITS = {
    "slant": ("degrees", "of downward lines, to the right"),
    "height": ("units", "standard deviation of y"),
    "stroke": ("units", "path from pen down to pen up"),
    "speed": ("units/point", "path between two points"),
}


class Style(NamedTuple):
    """Of some strokes, in the units of the corpus's coordinates.

    Attributes:
        slant: Of the lines that go downward within 56 degrees of the vertical, degrees to the right; NaN without any.
        height: Standard deviation of y.
        stroke: Mean path of a stroke.
        speed: Mean path between two points of a stroke; NaN where no stroke has two.
    """

    slant: float
    height: float
    stroke: float
    speed: float


def style(points: Points) -> Style:
    """Style of rows (dx, dy, pen), ``(T, 3)``, y downward, pen 1 at the last point of a stroke."""
    points = np.asarray(points, np.float64)
    lifted = points[:, 2] > 0.5
    drawn = points[~np.concatenate([[True], lifted[:-1]]), :2]
    stems = drawn[(drawn[:, 1] > 0) & (np.abs(drawn[:, 0]) < 1.5 * drawn[:, 1])].sum(0)
    paths = np.hypot(*drawn.T)
    strokes = int(lifted[:-1].sum()) + 1
    return Style(
        float(np.degrees(np.arctan2(-stems[0], stems[1]))) if stems[1] > 0 else float("nan"),
        float(np.cumsum(points[:, 1]).std()),
        float(paths.sum()) / strokes,
        float(paths.mean()) if len(paths) else float("nan"),
    )


def cut(points: Points, parts: int = PARTS) -> list[Points]:
    """A sample in parts of about as many points, cut where the pen is lifted; fewer if it is lifted too seldom.

    Args:
        points: Rows (dx, dy, pen), ``(T, 3)``.
        parts: How many.
    """
    ends = np.flatnonzero(np.asarray(points)[:-1, 2] > 0.5) + 1
    wanted = np.arange(1, parts) * len(points) / parts
    places = sorted({int(ends[np.abs(ends - place).argmin()]) for place in wanted}) if len(ends) else []
    return np.split(np.asarray(points), places)


def intraclass(groups: Iterable[Sequence[float] | NDArray[Any]]) -> float:
    r"""Intraclass correlation: the share of the variance that lies between groups.

    One-way random effects, ICC(1, 1) of Shrout & Fleiss (1979), groups of any sizes with
    :math:`n_0 = (N - \sum_i n_i^2 / N) / (k - 1)` in place of a common one. 1: what is measured is the group's own;
    0: groups differ by chance alone; below 0: less than that.

    Args:
        groups: Values of each; those that are not finite are left out, and then groups without any.

    Returns:
        The correlation; NaN of fewer than two groups, or where no group has two values.
    """
    kept = [values[np.isfinite(values)] for values in (np.asarray(group, np.float64) for group in groups)]
    kept = [values for values in kept if len(values)]
    sizes = np.array([len(values) for values in kept], np.float64)
    k, total = len(kept), sizes.sum()
    if k < 2 or total <= k:
        return float("nan")
    means = np.array([values.mean() for values in kept])
    between = (sizes * np.square(means - (sizes * means).sum() / total)).sum() / (k - 1)
    within = sum(np.square(values - values.mean()).sum() for values in kept) / (total - k)
    n0 = (total - np.square(sizes).sum() / total) / (k - 1)
    scale = between + (n0 - 1) * within
    return float((between - within) / scale) if scale > 0 else float("nan")


def measure(samples: Sequence[Points]) -> dict[str, NDArray[np.float64]]:
    """Every measure of every sample, ``(n,)`` each, in the units of :data:`UNITS`."""
    styles = [style(points) for points in samples]
    return {name: np.array([getattr(each, name) for each in styles]) for name in UNITS}


def consistency(samples: Sequence[Points], parts: int = PARTS) -> dict[str, float]:
    """Intraclass correlation of every measure: spread across samples against that of the parts of one."""
    styles = [[style(part) for part in cut(points, parts)] for points in samples]
    return {name: intraclass([getattr(part, name) for part in own] for own in styles) for name in UNITS}
