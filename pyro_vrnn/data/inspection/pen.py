"""What is found in pen strokes: extents, strokes, offsets."""

from collections.abc import Mapping

import numpy as np

from ..sequences import Sequences
from .found import Findings, Histogram, Proportion, quantity
from .steps import UNBOUNDED, amplitudes, whole

BINS = 80  # of an axis of the image of offsets
SPREAD = 4.0  # standard deviations that it reaches to
LONGEST = 512  # points from which strokes are counted together
EXAMPLES = 6


def survey(parts: Mapping[str, Sequences], lsb: float | None, *, seed: int = 0) -> Findings:
    """Extents, strokes and offsets in units of the source's coordinates (steps of its grid, where it has one).

    A stroke is what is drawn up to and including a point after which the pen is lifted; the offset after such a point
    is a move in the air and no part of a stroke.

    Args:
        parts: The sequences; each is looked at as a whole.
        lsb: One step of the source's grid.
        seed: Of the choice of examples.
    """
    one = next(iter(parts.values()))
    mean, std = np.broadcast_to(one.normaliser.mean, 3), np.broadcast_to(one.normaliser.std, 3)
    edges = [_edges(mean[d], SPREAD * std[d], lsb) for d in range(2)]
    image = np.zeros((len(edges[0]) - 1, len(edges[1]) - 1), np.int64)
    points = Histogram(np.arange(0.5, LONGEST + 1), whole=True)
    drawn, moved, lengths = (Histogram(np.linspace(0.0, reach * std[0], 401)) for reach in (8.0, 40.0, 200.0))
    widths: dict[str, np.ndarray] = {}
    heights: dict[str, np.ndarray] = {}
    counts: dict[str, np.ndarray] = {}
    zero = both = lifted = rows = 0
    for part, sequences in parts.items():
        extents, strokes = np.zeros((len(sequences), 2)), np.zeros(len(sequences))
        for i in range(len(sequences)):
            values = amplitudes(whole(sequences, i), sequences.step)
            offsets, up = values[:, :2], values[:, 2] == 1
            air = np.concatenate([[False], up[:-1]])
            reach = np.hypot(offsets[:, 0], offsets[:, 1])
            begins = np.flatnonzero(np.concatenate([[True], up[:-1]]))
            points.add(np.diff(np.append(begins, len(values))).astype(np.float64))
            lengths.add(np.add.reduceat(np.where(air, 0.0, reach), begins))
            drawn.add(reach[~air])
            moved.add(reach[air])
            image += np.histogram2d(offsets[:, 0], offsets[:, 1], bins=edges)[0].astype(np.int64)
            path = np.concatenate([np.zeros((1, 2)), np.cumsum(offsets, axis=0)])
            extents[i], strokes[i] = np.ptp(path, axis=0), len(begins)
            zero += int((offsets == 0).sum())
            both += int((offsets == 0).all(axis=1).sum())
            lifted += int(up.sum())
            rows += len(values)
        widths[part], heights[part], counts[part] = extents[:, 0], extents[:, 1], strokes
    unit = "units" if lsb is None else "steps"
    found = Findings(
        histograms={"stroke_points": points, "drawn": drawn, "moved": moved, "stroke_length": lengths},
        sequences={"width": widths, "height": heights, "strokes": counts},
        images={"offsets": (edges[0], edges[1], image)},
        examples=_examples(parts, seed),
    )
    found.quantities = {
        "width": quantity("width of a sequence", unit, _together(widths)),
        "height": quantity("height of a sequence", unit, _together(heights)),
        "strokes": quantity("strokes of a sequence", "", _together(counts)),
        "stroke_points": points.quantity("points of a stroke", ""),
        "stroke_length": lengths.quantity("length of a stroke", unit),
        "drawn": drawn.quantity("offset while drawing", unit),
        "moved": moved.quantity("offset in the air", unit),
    }
    found.shares = {
        "pen_up": Proportion("followed by a lift of the pen", "points", lifted, rows),
        "zero_offsets": Proportion("exactly 0", "offsets dx, dy", zero, 2 * rows),
        "still_points": Proportion("at the place of the one before", "points", both, rows),
    }
    if zero:
        remedy = "leave them out" if lsb is None else "pass --dither"
        found.warnings.append(f"{zero / (2 * rows):.2%} of all offsets are exactly 0: {UNBOUNDED}; {remedy}")
    return found


def _edges(middle: float, reach: float, lsb: float | None) -> np.ndarray:
    """About `BINS` bins; on a grid each holds as many of its steps as the others."""
    if lsb is None:
        return np.linspace(middle - reach, middle + reach, BINS + 1)
    width = max(1.0, np.ceil(2 * reach / lsb / BINS)) * lsb
    number = int(np.ceil(reach / width))
    return np.rint(middle / lsb) * lsb - lsb / 2 + width * np.arange(-number, number + 1)


def _examples(parts: Mapping[str, Sequences], seed: int) -> list[tuple[str, np.ndarray]]:
    """Some sequences, drawn at random over all parts."""
    places = [(sequences, i) for sequences in parts.values() for i in _some(len(sequences), seed)]
    chosen = np.random.RandomState(seed).permutation(len(places))[:EXAMPLES]
    return [(places[k][0].names[places[k][1]], whole(*places[k])) for k in chosen]


def _some(number: int, seed: int) -> list[int]:
    return sorted(np.random.RandomState(seed).randint(number, size=min(number, EXAMPLES)).tolist())


def _together(parts: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.concatenate(list(parts.values()))
