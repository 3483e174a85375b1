"""Whether one model is better than another on the same sequences, and how sure that is. Knows numbers alone."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Resamples of the bootstrap.
RESAMPLES = 4999

#: Values in one block of resamples: 8 MiB, whatever the number of sequences.
BLOCK = 2**20

#: Two-sided level of every test.
LEVEL = 0.05


class Paired(NamedTuple):
    """A comparison of two models.

    Attributes:
        difference: Mean of the differences.
        low: Lower end of its interval at 1 - :data:`LEVEL`.
        high: Upper end.
        p: Two-sided p-value of no difference.
        sequences: Different ones.
    """

    difference: float
    low: float
    high: float
    p: float
    sequences: int

    @property
    def significant(self) -> bool:
        """Whether there is a difference, at :data:`LEVEL`."""
        return self.p < LEVEL


class Mean(NamedTuple):
    """A mean over seeds.

    Attributes:
        value: The mean.
        error: Its standard error; None for a single seed.
        seeds: How many.
    """

    value: float
    error: float | None
    seeds: int


def over_seeds(values: ArrayLike) -> Mean:
    """The mean of one number a seed, ``(S,)``, and its standard error (S - 1 in the denominator of the variance)."""
    each = np.asarray(values, np.float64)
    error = float(each.std(ddof=1) / math.sqrt(len(each))) if len(each) > 1 else None
    return Mean(float(each.mean()), error, len(each))


def compare(
    differences: ArrayLike, sequences: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0
) -> Paired | None:
    r"""The bootstrap-t comparison of two models on the same sequences.

    A difference is log p of the first model minus that of the second, both of one sequence and of one seed. What is
    drawn with replacement is sequences, each with its differences of all seeds: a sequence that is hard for one seed is
    hard for another, and S seeds do not make S times as many. The mean is the ratio of sums
    :math:`\bar d = \sum_c D_c / \sum_c n_c` over sequences c with :math:`n_c` differences that sum to :math:`D_c`; its
    standard error s is that of the linearised ratio, and the interval
    :math:`[\bar d - t^*_{1-\alpha/2}\, s,\; \bar d - t^*_{\alpha/2}\, s]` takes the quantiles of
    :math:`t^* = (\bar d^* - \bar d) / s^*` over resamples (Efron & Tibshirani 1993, ch. 12), which follow skewness;
    the p-value is the smallest level whose interval leaves 0 out. What seeds add is not in it: it says whether these
    trained models differ on sequences like these, and :func:`over_trainings` whether others would.

    Args:
        differences: ``(n,)``.
        sequences: Which sequence each is of, ``(n,)``; anything that can be told apart.
        resamples: How many.
        seed: Of the resampling.

    Returns:
        None for less than two sequences, or where a difference is not finite.
    """
    d = np.asarray(differences, np.float64)
    _, which = np.unique(np.asarray(sequences), return_inverse=True)
    C = int(which.max()) + 1 if len(which) else 0
    if C < 2 or not np.isfinite(d).all():
        return None
    sums: NDArray[np.float64] = np.asarray(np.bincount(which, d), dtype=np.float64)
    counts: NDArray[np.float64] = np.asarray(np.bincount(which), dtype=np.float64)
    mean, error = _ratio(sums, counts)
    if error <= 1e-12 * abs(mean) or error == 0:  # the same difference everywhere
        return Paired(float(mean), float(mean), float(mean), 1.0 if mean == 0 else 1 / (resamples + 1), C)
    generator, rows, found = np.random.default_rng(seed), max(1, BLOCK // C), []
    for first in range(0, resamples, rows):
        drawn = generator.integers(C, size=(min(rows, resamples - first), C))
        means, errors = _ratio(sums[drawn], counts[drawn])
        # All draws of one sequence have no spread: as far out as can be, on the side where they lie.
        with np.errstate(divide="ignore", invalid="ignore"):
            found.append(np.nan_to_num((means - mean) / errors, nan=0.0, posinf=np.inf, neginf=-np.inf))
    t = np.sort(np.concatenate(found))
    observed = mean / error
    above, below = (t >= observed).sum(), (t <= observed).sum()
    p = min(1.0, 2 * (1 + min(above, below)) / (resamples + 1))
    low, high = np.quantile(t, [LEVEL / 2, 1 - LEVEL / 2], method="nearest")
    return Paired(float(mean), float(mean - high * error), float(mean - low * error), float(p), C)


def over_trainings(differences: ArrayLike) -> float | None:
    r"""The two-sided p-value of Student's t-test that models differ, whatever the seed they are trained from.

    Args:
        differences: The mean difference of each seed, ``(S,)``; :math:`t = \bar d \sqrt S / s` has S - 1 degrees of
            freedom.

    Returns:
        None for a single seed.
    """
    each = np.asarray(differences, np.float64)
    if len(each) < 2:
        return None
    mean, error, _ = over_seeds(each)
    if not error:
        return float(mean == 0)
    from scipy.special import stdtr

    return float(2 * stdtr(len(each) - 1, -abs(mean / error)))


def _ratio(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ratio of totals over the last axis, and its standard error by linearisation."""
    C, total = sums.shape[-1], counts.sum(-1)
    mean = sums.sum(-1) / total
    residuals = sums - mean[..., None] * counts
    return mean, np.sqrt(C / (C - 1) * (residuals**2).sum(-1)) / total
