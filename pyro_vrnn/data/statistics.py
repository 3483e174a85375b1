"""Mean and variance of values that are seen piece by piece, and the map to standardised values that they give."""

from collections.abc import Iterable, Sequence
from math import sqrt
from typing import Literal, NamedTuple

import numpy as np

from .kinds import Kind
from .normaliser import Normaliser
from .sequences import INT16_STEP

Convention = Literal["training", "released"]

PIECE = 1 << 20  # values; bounds the float64 copy of a long recording to 8 MiB


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


def moments(arrays: Iterable[np.ndarray], *, step: float = INT16_STEP) -> Moments:
    """Moments of the amplitudes in float64, over arrays of any shape.

    Args:
        arrays: Stored integers, or float32 amplitudes.
        step: Amplitude of one stored integer.
    """
    total = Moments()
    for array in arrays:
        flat = array.reshape(-1)
        for start in range(0, flat.size, PIECE):
            x = flat[start : start + PIECE].astype(np.float64)
            if np.issubdtype(array.dtype, np.integer):
                x *= step
            mean = float(x.mean())
            x -= mean
            total = total.merge(Moments(x.size, mean, float(x @ x)))
    return total


def training_moments(arrays: Iterable[np.ndarray], kind: Kind, *, step: float) -> list[Moments]:
    """What a corpus of a kind is standardised by: one of all samples, of a pen's offsets, or of each column of rows.

    Args:
        arrays: The training part's stored values, each `(T, frame)`.
        kind: What they are.
        step: Amplitude of one stored integer.
    """
    totals: list[Moments] = []
    for array in arrays:
        # Each sequence by itself, so that moments kept with every sequence add up to the very same numbers.
        if kind == "arrays":
            found = [moments([array[:, d]], step=step) for d in range(array.shape[1])]
        else:
            found = [moments([array if kind == "audio" else array[:, :2]], step=step)]
        totals = merged(totals, found)
    return totals


def merged(totals: Sequence[Moments], more: Sequence[Moments]) -> list[Moments]:
    """Moments of both; of nothing they are an empty list."""
    return [total.merge(one) for total, one in zip(totals, more, strict=True)] if totals else list(more)


def normaliser_of(found: Sequence[Moments], kind: Kind, convention: Convention = "training") -> Normaliser:
    r"""The map to standardised values that the training part's moments give.

    A pen's dx and dy share one mean m and one standard deviation s over their 2T values; its third value is left as it
    is. By the convention `released` the sums over 2T values are divided by T, as the paper's authors' code does:
    :math:`m = \sum v / T`, :math:`s^2 = \sum (v - m)^2 / T`. Such an s is about :math:`\sqrt 2` times as large, which
    raises log-likelihoods by about 2 log sqrt 2 = 0.69 nats a point.

    Args:
        found: As `training_moments` gives them.
        kind: What they are of.
        convention: Only a pen's can be `released`.

    Raises:
        ValueError: All values are equal, or another kind's convention is `released`.
    """
    if convention == "released" and kind != "pen":
        raise ValueError(f"convention {convention} of {kind}; expected training")
    if kind == "arrays":
        return Normaliser(tuple(one.mean for one in found), tuple(one.std for one in found))
    (all_of_them,) = found
    mean, std = all_of_them.mean, all_of_them.std
    if convention == "released":
        m = 2 * mean
        mean, std = m, sqrt(2 * (all_of_them.squares / all_of_them.number + (all_of_them.mean - m) ** 2))
    return Normaliser((mean, mean, 0.0), (std, std, 1.0)) if kind == "pen" else Normaliser(mean, std)
