"""What is found in recordings: levels, silence, clipping."""

from collections.abc import Mapping

import numpy as np

from ..sequences import Sequences
from .found import Findings, Histogram, Proportion, quantity
from .steps import UNBOUNDED, pieces

QUIET = -60.0  # dBFS
SILENCE = -200.0  # dBFS that digital silence is counted at
FULL = 1e-3  # share of samples at full scale from which people are warned


def survey(parts: Mapping[str, Sequences], lsb: float | None, *, lossless: bool) -> Findings:
    """Levels in dBFS: 20 log10 of the root mean square, or of the largest, amplitude, whose full scale is 1.

    Silent frames hold one value only; quiet ones lie below -60 dBFS. A sample is clipped where it is the largest or the
    smallest number of its grid, or beyond ±1.

    Args:
        parts: The sequences.
        lsb: Amplitude of one step of the source's grid.
        lossless: As in `Corpus`.
    """
    frames, values = Histogram(np.arange(-120.0, 1.0)), Histogram(np.linspace(-10.0, 10.0, 201))
    levels: dict[str, np.ndarray] = {}
    peaks: dict[str, np.ndarray] = {}
    silent = quiet = clipped = samples = 0
    top = 1.0 - (lsb or 0.0)
    for part, sequences in parts.items():
        squares, largest = np.zeros(len(sequences)), np.zeros(len(sequences))
        for i, piece in pieces(sequences):
            constant = (piece == piece[:, :1]).all(axis=1)
            power = np.mean(piece * piece, axis=1)
            level = decibels(np.sqrt(power))
            frames.add(level)
            values.add(sequences.normaliser.standardise(piece))
            silent += int(constant.sum())
            quiet += int((level < QUIET).sum())
            clipped += int(((piece >= top) | (piece <= -1.0)).sum())
            samples += piece.size
            squares[i] += power.sum()
            largest[i] = max(largest[i], np.abs(piece).max())
        levels[part] = decibels(np.sqrt(squares / sequences.lengths))
        peaks[part] = decibels(largest)
    found = Findings(histograms={"frame_level": frames, "value": values}, sequences={"level": levels, "peak": peaks})
    found.quantities = {
        "level": quantity("level of a sequence (RMS)", "dBFS", _together(levels)),
        "peak": quantity("peak of a sequence", "dBFS", _together(peaks)),
        "frame_level": frames.quantity("level of a frame (RMS)", "dBFS"),
    }
    found.shares = {
        "silent_frames": Proportion("silent (one value only)", "frames", silent, frames.number),
        "quiet_frames": Proportion(f"quiet (below {QUIET:.0f} dBFS)", "frames", quiet, frames.number),
        "clipped_samples": Proportion("at full scale", "samples", clipped, samples),
    }
    if silent:
        remedy = "pass --dither" if lsb is not None and lossless else "no --dither here: the samples are on no grid"
        found.warnings.append(f"{silent} of {frames.number} frames are digital silence: {UNBOUNDED}; {remedy}")
    if clipped > FULL * samples:
        found.warnings.append(f"{clipped / samples:.2%} of all samples are at full scale: recorded too loud, or scaled")
    return found


def decibels(amplitude: np.ndarray) -> np.ndarray:
    """20 log10 of amplitudes, not below the level that stands for silence."""
    return 20.0 * np.log10(np.maximum(amplitude, 10.0 ** (SILENCE / 20)))


def _together(parts: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.concatenate(list(parts.values()))
