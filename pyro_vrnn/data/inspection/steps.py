"""Stored sequences as amplitudes, a bounded number of steps at once."""

from collections.abc import Iterator

import numpy as np

from ..sequences import Sequences

PIECE = 1 << 18  # values looked at once

UNBOUNDED = "a density of continuous values has no upper bound there"


def pieces(sequences: Sequences) -> Iterator[tuple[int, np.ndarray]]:
    """Position of a sequence and some of its steps in order, float64 amplitudes without dither, `(t, frame)`."""
    size = max(1, PIECE // sequences.frame)
    for i in range(len(sequences)):
        stored = sequences.samples(i)
        for start in range(0, len(stored), size):
            yield i, amplitudes(stored[start : start + size], sequences.step)


def whole(sequences: Sequences, index: int) -> np.ndarray:
    """The stored values of a sequence, `(T, frame)`, wherever they lie."""
    stored = sequences.samples(index)
    return stored[0 : len(stored)]


def amplitudes(stored: np.ndarray, step: float) -> np.ndarray:
    """Stored integers or floats as float64."""
    if np.issubdtype(stored.dtype, np.integer):
        return np.multiply(stored, step, dtype=np.float64)
    return stored.astype(np.float64)
