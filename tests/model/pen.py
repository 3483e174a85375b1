"""Points of a pen in ragged batches, and every row of the table with the pen's emission."""

from dataclasses import replace

from torch import Tensor

from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.variants import PEN, VARIANTS, Variant
from tests.model.small import ragged, small


def on_strokes(variant: str) -> Variant:
    """The row with what stands for its emission on strokes."""
    row = VARIANTS[variant]
    return replace(row, emission=PEN[row.emission])


def small_pen(variant: str = "vrnn-gmm", recurrence: str = "lstm") -> VRNN:
    return small(on_strokes(variant), recurrence)


def ragged_points() -> tuple[Tensor, Tensor]:
    """As :func:`~tests.model.small.ragged`, the last value 0 or 1."""
    x, mask = ragged(3)
    x[..., 2] = (x[..., 2] > 0).to(x)
    return x, mask
