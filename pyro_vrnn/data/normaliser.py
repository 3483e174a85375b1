"""The affine map between stored amplitudes and standardised values."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Values = TypeVar("Values", float, np.ndarray, "Tensor")


@dataclass(frozen=True)
class Normaliser:
    """Standardised values are `(amplitude - mean) / std`.

    Args:
        mean: Mean amplitude of the training part: one for all values, or one for each value of a frame.
        std: Standard deviation of its amplitudes, positive: in the same form.

    Raises:
        ValueError: They have different forms, or a standard deviation is not positive.
    """

    mean: float | tuple[float, ...]
    std: float | tuple[float, ...]

    def __post_init__(self) -> None:
        # Lists too, as JSON gives them back.
        for name in ("mean", "std"):
            value = getattr(self, name)
            alone = isinstance(value, (int, float))
            object.__setattr__(self, name, float(value) if alone else tuple(float(x) for x in value))
        if _size(self.mean) != _size(self.std):
            raise ValueError(f"mean {self.mean} and std {self.std}: expected one number each, or as many of both")
        if not min(self.std if isinstance(self.std, tuple) else (self.std,)) > 0:
            raise ValueError(f"std {self.std}: expected positive numbers")

    def standardise(self, amplitude: Values) -> Values:
        """Standardised values of amplitudes: a number, or an array or a tensor of shape `(..., frame)`."""
        return (amplitude - _like(self.mean, amplitude)) / _like(self.std, amplitude)

    def restore(self, x: Values) -> Values:
        """Amplitudes of standardised values: a number, or an array or a tensor of shape `(..., frame)`."""
        return x * _like(self.std, x) + _like(self.mean, x)

    def log_std(self, width: int) -> float:
        """Mean of `log(std)` over the first `width` values of a frame: that of nats a value in amplitudes.

        The density of one such value in amplitudes is lower by as many nats, on average, than in standardised values.
        """
        if isinstance(self.std, tuple):
            return sum(map(log, self.std[:width])) / width
        return log(self.std)


def _size(numbers: float | Sequence[float]) -> int | None:
    return len(numbers) if isinstance(numbers, tuple) else None


def _like(numbers: float | tuple[float, ...], values: Any) -> Any:
    """Numbers that broadcast over the values, in their precision and where they are."""
    if not isinstance(numbers, tuple):
        return numbers
    if hasattr(values, "new_tensor"):
        return values.new_tensor(numbers)
    dtype = getattr(values, "dtype", np.dtype(np.float64))
    return np.asarray(numbers, dtype if np.issubdtype(dtype, np.floating) else np.float64)
