"""Curves and waveforms as drawings in the text, in its colours: readable on light and dark, sharp at any width."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Of a drawing of curves and its margins (left, top, right, bottom), in its own units.
WIDTH, HEIGHT = 640, 240
MARGINS = (64, 12, 12, 36)
#: Points that a curve is drawn with at most: where there are more, means of neighbours.
POINTS = 400
#: Columns of a waveform.
COLUMNS = 300
TICKS = 5
TINY = 1e-12


class Line(NamedTuple):
    """A curve.

    Attributes:
        name: In the legend.
        points: Steps and values; what is not finite leaves a gap.
    """

    name: str
    points: Sequence[tuple[float, float]]


class Panel(NamedTuple):
    """Curves over one axis.

    Attributes:
        title: What they are.
        unit: Of the values.
        across: What the horizontal axis counts.
        lines: At least one with a finite point.
        zero: Whether 0 has to be seen.
    """

    title: str
    unit: str
    across: str
    lines: Sequence[Line]
    zero: bool = False


def curves(panel: Panel) -> str:
    """The panel as one SVG element, with its words for those who do not see it."""
    drawn = [(line.name, _thinned(line.points)) for line in panel.lines]
    every = np.concatenate([points for _, points in drawn])
    kept = every[np.isfinite(every).all(1)]
    (x0, y0), (x1, y1) = kept.min(0), kept.max(0)
    y0, y1 = (min(y0, 0.0), max(y1, 0.0)) if panel.zero else (y0, y1)
    x1 = x1 if x1 > x0 else x0 + 1
    if y1 - y0 <= 1e-9 * max(abs(y0), abs(y1)) or y1 - y0 < TINY:  # no number between them would be told apart
        room = max(0.5, 1e-6 * abs(y0))
        y0, y1 = y0 - room, y1 + room
    left, top, right, bottom = MARGINS
    wide, high = WIDTH - left - right, HEIGHT - top - bottom

    def across(x: float) -> float:
        return left + wide * (x - x0) / (x1 - x0)

    def up(y: float) -> float:
        return top + high * (y1 - y) / (y1 - y0)

    parts = [
        f'<line class="grid" x1="{left}" x2="{WIDTH - right}" y1="{up(y):.1f}" y2="{up(y):.1f}"/>'
        f'<text class="tick" x="{left - 6}" y="{up(y) + 4:.1f}" text-anchor="end">{_number(y)}</text>'
        for y in ticks(y0, y1)
    ]
    parts += [
        f'<text class="tick" x="{across(x):.1f}" y="{HEIGHT - bottom + 15}" text-anchor="middle">{_number(x)}</text>'
        for x in ticks(x0, x1)
    ]
    middle = f"{left + wide / 2:.0f}"
    parts.append(f'<text class="tick" x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">{escape(panel.across)}</text>')
    for k, (_, points) in enumerate(drawn):
        for run in _runs(points):
            places = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in run)
            parts.append(f'<polyline class="curve{k}" points="{places}"/>')
            if len(run) == 1:
                parts.append(
                    f'<circle class="curve{k}" cx="{across(run[0][0]):.1f}" cy="{up(run[0][1]):.1f}" r="2.5"/>'
                )
    said = "; ".join(f"{name} from {_first(points):.4g} to {_last(points):.4g}" for name, points in drawn)
    title = f"{panel.title}, {panel.unit}, over {panel.across}: {said}"
    return _element(WIDTH, HEIGHT, title, "".join(parts), "curves")


def waveform(samples: NDArray[np.floating], title: str) -> str:
    """The outline of a sound of amplitudes in [-1, 1], ``(N,)``, to its own scale, as one SVG element."""
    pieces = [piece for piece in np.array_split(np.asarray(samples, np.float64), COLUMNS) if len(piece)]
    loudest = max((float(np.abs(piece).max()) for piece in pieces), default=0.0) or 1.0
    bars = "".join(
        f"M{k} {20 - 19 * piece.max() / loudest:.1f}V{20.4 - 19 * piece.min() / loudest:.1f}"
        for k, piece in enumerate(pieces)
    )
    return _element(COLUMNS, 40, title, f'<path class="wave" d="{bars}"/>', "waveform", stretched=True)


def ticks(low: float, high: float) -> list[float]:
    """About five round numbers from ``low`` to ``high``, which differ."""
    rough = (high - low) / TICKS
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def _element(width: int, height: int, title: str, parts: str, name: str, *, stretched: bool = False) -> str:
    fit = ' preserveAspectRatio="none"' if stretched else ""
    return (
        f'<svg class="{name}" viewBox="0 0 {width} {height}"{fit} role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{parts}</svg>"
    )


def _thinned(points: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    found = np.asarray(points, np.float64).reshape(-1, 2)
    if len(found) <= POINTS:
        return found
    return np.stack([group.mean(0) for group in np.array_split(found, POINTS)])


def _runs(points: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Stretches of finite points."""
    gaps = np.flatnonzero(~np.isfinite(points).all(1))
    pieces = np.split(points, sorted({*gaps, *(gaps + 1)}))
    return [piece for piece in pieces if len(piece) and np.isfinite(piece).all()]


def _first(points: NDArray[np.float64]) -> float:
    return float(points[np.isfinite(points[:, 1]), 1][:1].sum())


def _last(points: NDArray[np.float64]) -> float:
    return float(points[np.isfinite(points[:, 1]), 1][-1:].sum())


def _number(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
