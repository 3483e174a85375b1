"""What is found in rows of numbers: ranges, repeated rows, values that never change."""

from collections.abc import Mapping

import numpy as np

from ..sequences import Sequences
from .found import Findings, Histogram, Proportion
from .steps import UNBOUNDED, pieces

SPREAD = 8.0  # standard deviations that are told apart
FINE = 0.05  # of one, to which quantiles are right


def survey(parts: Mapping[str, Sequences], lsb: float | None) -> Findings:
    """The range of each value of a row, and rows that repeat the one before.

    Args:
        parts: The sequences.
        lsb: One step of the source's grid.
    """
    one = next(iter(parts.values()))
    D = one.frame
    mean = np.broadcast_to(np.asarray(one.normaliser.mean), D)
    std = np.broadcast_to(np.asarray(one.normaliser.std), D)
    fine = np.arange(-SPREAD, SPREAD + FINE / 2, FINE)
    values = [Histogram(mean[d] + std[d] * fine) for d in range(D)]
    together, steps = Histogram(fine), Histogram(fine)
    repeated = rows = 0
    for sequences in parts.values():
        last, before = -1, np.zeros((0, D))
        for i, piece in pieces(sequences):
            joined = piece if i != last else np.concatenate([before, piece])
            same = np.diff(joined, axis=0) == 0
            repeated += int(same.all(axis=1).sum())
            steps.add(np.diff(joined, axis=0) / std)
            together.add((piece - mean) / std)
            for d in range(D):
                values[d].add(piece[:, d])
            rows += len(piece)
            last, before = i, piece[-1:]
    found = Findings(histograms={"value": together, "step": steps, **{f"x{d}": h for d, h in enumerate(values)}})
    found.quantities = {f"x{d}": values[d].quantity(f"value {d} of a row", "") for d in range(D)}
    found.shares = {"repeated_rows": Proportion("the same as the one before", "rows", repeated, rows)}
    if repeated:
        remedy = "leave them out" if lsb is None else "pass --dither"
        found.warnings.append(f"{repeated} of {rows} rows repeat the one before: {UNBOUNDED}; {remedy}")
    return found
