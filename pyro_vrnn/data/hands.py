"""Hands: what is constant in somebody's writing, and lines of words written in it as strokes of a pen.

Letters come from two single-stroke alphabets of A. V. Hershey (1967), print and script. Their corners are rounded, the
pen slows down where its path bends (the two-thirds power law, Lacquaniti et al. 1983, with an exponent of each hand's
own) and at the ends of strokes, trembles, and is looked at at even times, as a tablet does.

Lengths are in x-heights (the height of an x) and y grows downward, until a line is rounded to the tablet's grid.
"""

from functools import cache
from math import radians, tan
from typing import NamedTuple

import numpy as np
from HersheyFonts import HersheyFonts

STEP = 0.04  # between the points that a path is computed at
ENDS = 0.25  # length over which a stroke starts and stops
STILL = 0.35  # speed at its very ends, as a share of the speed that the path allows there
BEND = 0.5  # curvature (radians an x-height) from which bends slow the pen
WANDER = (5.0, 11.0)  # wavelengths at which lines leave their straight baseline

#: Dots and bars that some hands add when the word is finished: which stroke of a letter that is.
LATE = {"i": 0, "j": 0, "t": -1}


class Alphabet(NamedTuple):
    """A Hershey font: y of its x-line (baselines are at 9) and dx/dy of its own slant, which is taken out."""

    font: str
    x_line: int
    slant: float


BASELINE = 9
PRINT = Alphabet("rowmans", -5, 0.0)
SCRIPT = Alphabet("scripts", 0, 1 / 3)


class Letter(NamedTuple):
    """Strokes of shape `(n, 2)` from the letter's left edge on the baseline, and the letter's width."""

    strokes: tuple[np.ndarray, ...]
    width: float


class Hand(NamedTuple):
    """What one writer always does.

    Args:
        scripted: Letters that are written in script; the others are printed.
        size: Height of an x in steps of the grid.
        width: Stretch of letters along the line.
        slant: Angle to the right, degrees.
        ascent: Stretch of what is above the x-line.
        descent: Stretch of what is below the baseline.
        spacing: Between letters, beyond what the alphabet has.
        gap: Between words.
        reach: The pen stays down over gaps up to this length, within letters and between them.
        late: Whether dots and bars wait for the end of the word.
        rounding: Length over which corners are rounded.
        speed: Of the pen on a straight path, x-heights a point.
        exponent: How much bends slow it: speed falls with curvature to minus this.
        tremor: Standard deviation of the pen's tremble.
        shake: Wavelength of the tremble.
        climb: Rise of the baseline, degrees.
        wander: Amplitude of its waves.
        sloppiness: Standard deviation of each letter's own size (relative) and height.
    """

    scripted: frozenset[str]
    size: float
    width: float
    slant: float
    ascent: float
    descent: float
    spacing: float
    gap: float
    reach: float
    late: bool
    rounding: float
    speed: float
    exponent: float
    tremor: float
    shake: float
    climb: float
    wander: float
    sloppiness: float


def draw_hand(random: np.random.RandomState) -> Hand:
    """A hand: half of all write script, a third print, the others mix the alphabets letter by letter, each its way."""

    def between(low: float, high: float) -> float:
        return float(random.uniform(low, high))

    kind = random.uniform()
    share = 1.0 if kind < 0.5 else 0.0 if kind < 0.83 else between(0.25, 0.75)
    scripted = frozenset(letter for letter, u in zip(_letters(), random.uniform(size=52), strict=True) if u < share)
    joins = share > 0 or random.uniform() < 0.35
    return Hand(
        scripted=scripted,
        size=float(np.exp(random.normal(np.log(30.0), 0.28))),
        width=between(0.75, 1.3),
        slant=float(np.clip(random.normal(10.0, 13.0), -18.0, 40.0)),
        ascent=between(0.75, 1.7),
        descent=between(0.5, 1.1),
        spacing=between(-0.05, 0.35) if joins else between(0.0, 0.45),
        gap=between(0.6, 1.7),
        reach=between(0.45, 0.95) if joins else between(0.0, 0.3),
        late=bool(random.uniform() < (0.75 if joins else 0.15)),
        rounding=between(0.05, 0.2),
        speed=float(np.exp(random.normal(np.log(0.95), 0.17))),
        exponent=between(0.15, 0.45),
        tremor=float(np.exp(random.normal(np.log(0.018), 0.5))),
        shake=between(0.25, 0.8),
        climb=float(random.normal(0.0, 1.5)),
        wander=between(0.0, 0.09),
        sloppiness=between(0.01, 0.07),
    )


def write_line(words: str, hand: Hand, random: np.random.RandomState) -> np.ndarray:
    """A line as stroke-3 rows `(dx, dy, pen)`, int16, `(T, 3)`: offsets between points in steps of the grid.

    Pen is 1 at the last point of a stroke. The first point, which has no offset, is left out.

    Args:
        words: Letters a to z, A to Z and single spaces.
        hand: Whose writing it is.
        random: Of what changes from line to line: tremor, sloppiness, the baseline's waves.
    """
    tilt = tan(radians(hand.slant + random.normal(0.0, 1.0)))
    climb = tan(radians(hand.climb + random.normal(0.0, 0.5)))
    phases = random.uniform(0.0, 2 * np.pi, len(WANDER))
    points, pens = [], []
    for path in _paths(words, hand, random):
        smooth = _smoothed(_even(path), hand.rounding)
        trace = _in_time(smooth + _tremble(len(smooth), hand, random), hand)
        waves = sum(np.sin(2 * np.pi * trace[:, 0] / length + p) for length, p in zip(WANDER, phases, strict=True))
        trace[:, 0] -= tilt * trace[:, 1]
        trace[:, 1] += hand.wander * waves - climb * trace[:, 0]
        points.append(np.rint(hand.size * trace))
        pens.append(np.arange(1 - len(trace), 1) == 0)
    offsets = np.diff(np.concatenate(points), axis=0)
    return np.column_stack([offsets, np.concatenate(pens)[1:]]).astype(np.int16)


def _paths(words: str, hand: Hand, random: np.random.RandomState) -> list[np.ndarray]:
    """What is written without lifting the pen: corner points `(n, 2)` of each stroke, upright, along the line."""
    paths: list[np.ndarray] = []
    x = 0.0
    for word in words.split():
        first, late = len(paths), []
        for letter in word:
            strokes, width = _letter(SCRIPT if letter in hand.scripted else PRINT, letter)
            scale = 1.0 + hand.sloppiness * random.normal()
            shift = np.array([x, hand.sloppiness * random.normal()])
            placed = [_stretched(stroke * scale, hand) + shift for stroke in strokes]
            x += hand.width * width * scale + hand.spacing
            mark = placed.pop(LATE[letter]) if letter in LATE else None
            for stroke in placed:
                if len(paths) > first and np.hypot(*(stroke[0] - paths[-1][-1])) <= hand.reach:
                    paths[-1] = np.concatenate([paths[-1], stroke])
                else:
                    paths.append(stroke)
            if mark is not None and hand.late:
                late.append(mark)
            elif mark is not None:
                paths.append(mark)
        paths.extend(late)
        x += hand.gap
    return paths


def _stretched(stroke: np.ndarray, hand: Hand) -> np.ndarray:
    """A stroke of the alphabet with this hand's width, ascenders and descenders."""
    y = stroke[:, 1]
    above, below = np.minimum(y + 1.0, 0.0), np.maximum(y, 0.0)
    body = y - above - below
    return np.column_stack([hand.width * stroke[:, 0], body + hand.ascent * above + hand.descent * below])


def _even(path: np.ndarray) -> np.ndarray:
    """The same path at points about `STEP` apart, `(n, 2)`."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    at = np.linspace(0.0, along[-1], max(3, round(along[-1] / STEP) + 1))
    return np.column_stack([np.interp(at, along, path[:, 0]), np.interp(at, along, path[:, 1])])


def _smoothed(path: np.ndarray, length: float) -> np.ndarray:
    """A path or noise averaged with Gaussian weights over a length; its ends stay where they are."""
    reach = min(round(3 * length / STEP), len(path) - 1)
    if reach < 1:
        return path
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * STEP / length) ** 2)
    kernel /= kernel.sum()
    # Mirrored through each end point, so that a straight stroke is straight up to its ends.
    before, after = 2 * path[0] - path[reach:0:-1], 2 * path[-1] - path[-2 : -reach - 2 : -1]
    whole = np.concatenate([before, path, after])
    return np.column_stack([np.convolve(column, kernel, mode="valid") for column in whole.T])


def _tremble(n: int, hand: Hand, random: np.random.RandomState) -> np.ndarray:
    """Smooth noise to add to a path of `n` points."""
    length = hand.shake / 4
    reach = max(1, round(3 * length / STEP))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * STEP / length) ** 2)
    kernel *= hand.tremor / np.sqrt((kernel**2).sum())
    white = random.standard_normal((2, n + 2 * reach))
    return np.column_stack([np.convolve(row, kernel, mode="valid") for row in white])


def _in_time(path: np.ndarray, hand: Hand) -> np.ndarray:
    """A path of dense points looked at at even times, `(n, 2)` with at least two points."""
    steps = np.diff(path, axis=0)
    lengths = np.maximum(np.hypot(*steps.T), 1e-9)
    turns = np.diff(np.unwrap(np.arctan2(steps[:, 1], steps[:, 0])))
    bends = np.abs(np.concatenate([turns[:1], 0.5 * (turns[1:] + turns[:-1]), turns[-1:]])) / lengths
    along = np.cumsum(lengths) - 0.5 * lengths
    to_end = np.minimum(along, lengths.sum() - along)
    speed = hand.speed * (1.0 + bends / BEND) ** -hand.exponent
    speed *= STILL + (1.0 - STILL) * np.minimum(1.0, to_end / ENDS)
    times = np.concatenate([[0.0], np.cumsum(lengths / speed)])
    at = np.linspace(0.0, times[-1], max(2, round(times[-1]) + 1))
    return np.column_stack([np.interp(at, times, path[:, 0]), np.interp(at, times, path[:, 1])])


def _letters() -> str:
    small = "abcdefghijklmnopqrstuvwxyz"
    return small + small.upper()


@cache
def _letter(alphabet: Alphabet, letter: str) -> Letter:
    glyph = _glyphs(alphabet.font)[letter]
    unit = BASELINE - alphabet.x_line
    strokes = []
    for points in glyph.strokes:
        x, y = np.array(points, np.float64).T
        y -= BASELINE
        strokes.append(np.column_stack([x - glyph.left_offset + alphabet.slant * y, y]) / unit)
    return Letter(tuple(strokes), glyph.char_width / unit)


@cache
def _glyphs(font: str) -> dict:
    return HersheyFonts(load_default_font=font).all_glyphs
