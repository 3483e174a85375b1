"""Numbers that carry their meaning: what kind of quantity each is, and its units."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray


class Kind(Enum):
    """What a number says of log p(x); the value is the mark it carries wherever it is printed."""

    EXACT = "="
    BOUND = "≥"
    CONSISTENT = "≈"
    ESTIMATE = "~"
    OBJECTIVE = ""


@dataclass(frozen=True)
class Scale:
    """What converts nats of standardised data to bits of the original.

    Attributes:
        width: Continuous values in a frame.
        std_lsb: Standard deviation of the training data in steps of the source's integer grid; None for float sources.
    """

    width: int
    std_lsb: float | None = None


@dataclass(frozen=True)
class Estimate:
    r"""One quantity for every sequence of a data set.

    Attributes:
        name: As in metrics: ``exact``, ``elbo``, ``iwae_40``, ``stepwise_40``.
        kind: What it says of log p(x).
        nats: Per sequence, for standardised data, ``(N,)``.
        frames: Frames of each sequence, ``(N,)``.
        scale: Units.
        note: How it was computed, e.g. ``kl=analytic``.
    """

    name: str
    kind: Kind
    nats: NDArray[np.float64]
    frames: NDArray[np.int64]
    scale: Scale
    note: str = ""

    @property
    def per_sequence(self) -> float:
        """Mean over sequences, nats."""
        return float(self.nats.mean())

    @property
    def per_frame(self) -> float:
        """Total over total frames, nats."""
        return float(self.nats.sum() / self.frames.sum())

    @property
    def per_dimension(self) -> float:
        """Total over total values, nats."""
        return self.per_frame / self.scale.width

    @property
    def standard_error(self) -> float:
        """Standard error of :attr:`per_sequence` over sequences; NaN for a single one."""
        n = len(self.nats)
        return float(self.nats.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan

    @property
    def bits_per_sample(self) -> float | None:
        r"""Bits a value of the original data, :math:`-(\log p - N \log \mathrm{std_{LSB}}) / (N \ln 2)`.

        The unit is one step of the source's integer grid; less is better. None for float sources. The sign turns a
        lower bound on log p into an upper bound on bits.
        """
        if self.scale.std_lsb is None:
            return None
        return (math.log(self.scale.std_lsb) - self.per_dimension) / math.log(2)

    def metrics(self) -> dict[str, float]:
        """Flat names and numbers, as they are tracked."""
        values: Mapping[str, float | None] = {
            self.name: self.per_sequence,
            f"{self.name}_per_frame": self.per_frame,
            f"{self.name}_per_dimension": self.per_dimension,
            f"{self.name}_bits_per_sample": self.bits_per_sample,
            f"{self.name}_standard_error": self.standard_error,
        }
        return {name: value for name, value in values.items() if value is not None and math.isfinite(value)}

    def as_dict(self) -> dict[str, object]:
        """Everything a results file says of it, units in the keys."""
        return {
            "kind": self.kind.name.lower(),
            "mark": self.kind.value,
            "nats_per_sequence": self.per_sequence,
            "standard_error_over_sequences": None if math.isnan(self.standard_error) else self.standard_error,
            "nats_per_frame": self.per_frame,
            "nats_per_dimension": self.per_dimension,
            "bits_per_sample": self.bits_per_sample,
            "sequences": len(self.nats),
            "frames": int(self.frames.sum()),
            "note": self.note,
        }
