"""What is found in data: counts in bins, quantities with their spread, shares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

QUANTILES = (0.05, 0.5, 0.95)


class Quantity(NamedTuple):
    """The spread of a quantity.

    Attributes:
        name: What it is, with what it is of.
        unit: Its unit; empty for a number.
        low: The smallest value, exactly.
        q05: The value below which a twentieth of all lies.
        median: Half of all.
        q95: All but a twentieth.
        high: The largest value, exactly.
        mean: The mean.
        number: How many values there are.
    """

    name: str
    unit: str
    low: float
    q05: float
    median: float
    q95: float
    high: float
    mean: float
    number: int


class Proportion(NamedTuple):
    """So many of so many are something: `number` of `total` `things`, which `name` says."""

    name: str
    things: str
    number: int
    total: int

    @property
    def share(self) -> float:
        """From 0 to 1; 0 of nothing."""
        return self.number / self.total if self.total else 0.0


class Histogram:
    """Counts of values in bins that are known beforehand, so that nothing grows with what is counted.

    The smallest and the largest value and the mean are exact; quantiles are those of values spread evenly over each
    bin.

    Args:
        edges: Ascending, `(bins + 1,)`. A value on an edge is in the bin above it.
        whole: Values are whole numbers, and so are their quantiles.
    """

    def __init__(self, edges: ArrayLike, *, whole: bool = False) -> None:
        self.whole = whole
        self.edges = np.asarray(edges, np.float64)
        self.counts = np.zeros(len(self.edges) + 1, np.int64)
        self.low, self.high = np.inf, -np.inf
        self._sum = 0.0

    @property
    def inside(self) -> NDArray[np.int64]:
        """Counts of the bins, `(bins,)`; what lies outside is in none."""
        return self.counts[1:-1]

    @property
    def outside(self) -> int:
        """Values below the first or from the last edge on."""
        return int(self.counts[0] + self.counts[-1])

    @property
    def number(self) -> int:
        """Values in all."""
        return int(self.counts.sum())

    def add(self, values: NDArray[Any]) -> None:
        """Counts finite values of any shape."""
        if not values.size:
            return
        flat = values.reshape(-1)
        self.counts += np.bincount(np.searchsorted(self.edges, flat, side="right"), minlength=len(self.counts))
        self.low, self.high = min(self.low, float(flat.min())), max(self.high, float(flat.max()))
        self._sum += float(flat.sum(dtype=np.float64))

    def quantile(self, q: float) -> float:
        """The value below which a share q lies; NaN without values."""
        if not self.number:
            return float("nan")
        edges = np.clip(np.concatenate([[self.low], self.edges, [self.high]]), self.low, self.high)
        below = np.concatenate([[0], np.cumsum(self.counts)])
        found = float(np.interp(q * self.number, below, edges))
        return float(round(found)) if self.whole else found

    def quantity(self, name: str, unit: str) -> Quantity:
        """The spread of what was counted."""
        mean = self._sum / self.number if self.number else float("nan")
        low, high = (self.low, self.high) if self.number else (float("nan"),) * 2
        q05, median, q95 = map(self.quantile, QUANTILES)
        return Quantity(name, unit, low, q05, median, q95, high, mean, self.number)


def quantity(name: str, unit: str, values: ArrayLike) -> Quantity:
    """The spread of values that are all there."""
    array = np.asarray(values, np.float64).reshape(-1)
    low, q05, median, q95, high = map(float, np.quantile(array, (0.0, *QUANTILES, 1.0)))
    return Quantity(name, unit, low, q05, median, q95, high, float(array.mean()), array.size)


@dataclass
class Findings:
    """What a survey of one kind of data found.

    Attributes:
        quantities: By name, in the order in which people read them.
        shares: By name.
        histograms: What the figure draws of single steps, by name.
        sequences: A number each sequence, by what it is and by part.
        images: Counts in two dimensions by name: edges of both, and `(x, y)` counts.
        examples: Sequences to draw, `(name, stored values)`.
        warnings: What people should know before they train, a line each.
    """

    quantities: dict[str, Quantity] = field(default_factory=dict)
    shares: dict[str, Proportion] = field(default_factory=dict)
    histograms: dict[str, Histogram] = field(default_factory=dict)
    sequences: dict[str, Mapping[str, NDArray[np.float64]]] = field(default_factory=dict)
    images: dict[str, tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]] = field(default_factory=dict)
    examples: Sequence[tuple[str, NDArray[Any]]] = ()
    warnings: list[str] = field(default_factory=list)
