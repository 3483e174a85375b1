"""Mean and variance of samples that are seen piece by piece."""

from collections.abc import Iterable
from math import sqrt
from typing import NamedTuple

import numpy as np

from .sequences import INT16_STEP

PIECE = 1 << 20  # samples; bounds the float64 copy of a long recording to 8 MiB


class Moments(NamedTuple):
    """Number of values, their mean, and the sum of their squared deviations from it."""

    number: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @property
    def std(self) -> float:
        """Standard deviation (of the values as the whole population)."""
        return sqrt(self.squares / self.number)

    def merge(self, other: "Moments") -> "Moments":
        """The moments of both sets of values (Chan, Golub & LeVeque 1983), without their common cancellation."""
        number = self.number + other.number
        if not number:
            return self
        delta = other.mean - self.mean
        weight = other.number / number
        return Moments(
            number, self.mean + delta * weight, self.squares + other.squares + delta * delta * self.number * weight
        )


def moments(arrays: Iterable[np.ndarray]) -> Moments:
    """Moments of the amplitudes in float64, over arrays of int16 samples or float32 amplitudes of any shape."""
    total = Moments()
    for array in arrays:
        flat = array.reshape(-1)
        for start in range(0, flat.size, PIECE):
            x = flat[start : start + PIECE].astype(np.float64)
            if array.dtype == np.int16:
                x *= INT16_STEP
            mean = float(x.mean())
            x -= mean
            total = total.merge(Moments(x.size, mean, float(x @ x)))
    return total
