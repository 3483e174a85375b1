"""What ``data inspect`` draws of each kind of data."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pyro_vrnn.data.inspection import Histogram, Inspection
from pyro_vrnn.data.kinds import WORDS
from pyro_vrnn.figures.panels import Amounts, Counts, Drawings, Image, Panel, Ranges

BINS = 40


def panels(found: Inspection) -> list[Panel]:
    """Six panels that suit the kind."""
    return {"audio": _sound, "pen": _pen, "arrays": _rows}[found.kind](found)


def _sound(found: Inspection) -> list[Panel]:
    histograms, sequences, shares = found.findings.histograms, found.findings.sequences, found.findings.shares
    frames = histograms["frame_level"]
    silent, clipped = shares["silent_frames"].share, shares["clipped_samples"].share
    return [
        _lengths(found),
        _spread("level of sequences", "RMS, dBFS", sequences["level"]),
        _spread(f"peaks of sequences ({clipped:.2%} of samples at full scale)", "peak, dBFS", sequences["peak"]),
        _counts(
            frames,
            f"level of frames ({silent:.2%} of them one value only, {_outside(frames)} off the scale)",
            "RMS, dBFS",
            "frames",
        ),
        _values(histograms["value"], "samples, standardised", "samples"),
        _amounts(found),
    ]


def _pen(found: Inspection) -> list[Panel]:
    histograms, sequences = found.findings.histograms, found.findings.sequences
    unit = found.findings.quantities["width"].unit
    x, y, offsets = found.findings.images["offsets"]
    zero = found.findings.shares["zero_offsets"].share
    return [
        _lengths(found),
        _extents(sequences, unit),
        _counts(_cut(histograms["stroke_points"]), "strokes", "points a stroke", "strokes"),
        Image(
            f"offsets ({zero:.1%} of them exactly 0)", (f"dx, {unit}", f"dy (downward), {unit}"), (x, y), offsets, True
        ),
        Drawings("drawn at random, pen lifted at the dots", [_strokes(rows) for _, rows in found.findings.examples]),
        _amounts(found),
    ]


def _rows(found: Inspection) -> list[Panel]:
    histograms = found.findings.histograms
    spreads = [found.findings.quantities[f"x{d}"] for d in range(found.frame)]
    ranges = np.array([[q.low, q.q05, q.median, q.q95, q.high] for q in spreads])
    middle = np.array([[(q.q05 + q.q95) / 2, max(q.q95 - q.q05, 1e-300)] for q in spreads])
    repeated = found.findings.shares["repeated_rows"].share
    return [
        _lengths(found),
        Ranges("ranges", "value of a row", "value", ranges),
        Ranges(
            "ranges to one scale",
            "value of a row",
            "from the middle, in 5 % to 95 % ranges",
            (ranges - middle[:, :1]) / middle[:, 1:],
        ),
        _values(histograms["value"], "values, standardised", "values"),
        _values(histograms["step"], f"changes from row to row ({repeated:.2%} of rows do not change)", "values", False),
        _amounts(found),
    ]


def _lengths(found: Inspection) -> Panel:
    each = found.seconds_per_step
    label = f"{WORDS[found.kind].frame}s" if each is None else "s"
    return _spread("lengths of sequences", label, {name: p.lengths * (each or 1) for name, p in found.parts.items()})


def _spread(title: str, label: str, each: Mapping[str, NDArray]) -> Panel:
    """Histograms of numbers a sequence, part upon part."""
    whole = np.concatenate(list(each.values()))
    edges = np.histogram_bin_edges(whole, BINS)
    series = {name: np.histogram(numbers, edges)[0] for name, numbers in each.items()}
    return Counts(title, label, "sequences", edges, series)


def _counts(histogram: Histogram, title: str, label: str, things: str) -> Panel:
    return Counts(title, label, things, histogram.edges, {"": histogram.inside})


def _values(histogram: Histogram, title: str, things: str, normal: bool = True) -> Panel:
    label = "standard deviations of the training part"
    title += f" ({_outside(histogram)} off the scale)" if histogram.outside else ""
    return Counts(title, label, things, histogram.edges, {"": histogram.inside}, False, logarithmic=True, normal=normal)


def _cut(histogram: Histogram) -> Histogram:
    """Without the empty bins of the end."""
    last = int(np.flatnonzero(histogram.inside)[-1]) + 2 if histogram.inside.any() else 2
    cut = Histogram(histogram.edges[:last])
    cut.counts[1:-1] = histogram.inside[: last - 1]
    return cut


def _outside(histogram: Histogram) -> str:
    return f"{histogram.outside / max(1, histogram.number):.2%}"


def _extents(sequences: Mapping[str, Mapping[str, NDArray]], unit: str) -> Panel:
    width, height = (np.concatenate(list(sequences[name].values())) for name in ("width", "height"))
    counts, x, y = np.histogram2d(width, height, BINS)
    return Image("extents of sequences", (f"width, {unit}", f"height, {unit}"), (x, y), counts.astype(np.int64))


def _strokes(rows: NDArray) -> list[NDArray[np.float64]]:
    """What the pen draws, stroke by stroke, from the place before the first point on."""
    points = np.concatenate([np.zeros((1, 2)), np.cumsum(rows[:, :2].astype(np.float64), axis=0)])
    return [stroke for stroke in np.split(points, np.flatnonzero(rows[:, 2]) + 2) if len(stroke)]


def _amounts(found: Inspection) -> Panel:
    """How much there is of each speaker, or of each part where no speakers are known."""
    words = WORDS[found.kind]
    each = found.seconds_per_step
    scale, unit = (1.0, f"{words.frame}s") if each is None else (each / 60, "min")
    groups, names = {}, {}
    for name, part in found.parts.items():
        total = float(part.lengths.sum()) * scale
        amount = f"{total:.0f} {unit}" if each is None else f"{total:.1f} min"
        names[name] = f"{name}: {len(part.lengths)} sequences, {amount}"
        steps = [int(part.lengths.sum())] if part.speakers is None else list(part.speakers.values())
        groups[name] = np.asarray(steps) * scale
        if part.speakers is not None:
            names[name] += f", {len(part.speakers)} {words.speaker}s"
    known = any(part.speakers is not None for part in found.parts.values())
    return Amounts("parts", f"{words.speaker}s, sorted" if known else "parts", unit, groups, names)
