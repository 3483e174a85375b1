r"""How far importance sampling of whole trajectories can be trusted, from its weights.

With :math:`z^{1:K} \sim q(z \mid x)` and :math:`w_k = p(x, z^k) / q(z^k \mid x)`, the bound
:math:`L_K = \mathbb{E} \log \frac1K \sum_k w_k` rises with K to log p(x) (Burda et al. 2016). For long sequences log w
spreads over many nats, one weight decides the average, and :math:`L_{40}` may lie far below.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: The paper's number of samples: always a point of the curve.
FEW = 40

#: Below this many weights their tail holds too few to fit (95 of 1000).
PARETO_SAMPLES = 1000

#: Weights in one block of sequences: temporaries stay near 100 MiB.
BLOCK = 2**21

#: What counts as still rising: a nat a sequence, a factor e in probability.
RISE = 1.0

#: Fewer effective samples than this are too few: the bias of log of a mean is about 1 / (2 ESS) nats, 0.1 at 5.
EFFECTIVE = 5.0

#: Share of sequences above the threshold from which on it is no matter of single ones.
SHARE = 0.05


@dataclass(frozen=True)
class Curve:
    """The mean over sequences of the importance-weighted bound, against the number of samples.

    Attributes:
        samples: K' = 1, 2, 5, 10, 20, 40, 100, 200, 500, ... and K, ``(M,)``.
        bound: Nats a sequence, ``(M,)``: for each sequence the average over the disjoint groups of K' weights.
        error: Its standard error due to the noise of the weights alone, ``(M,)``; NaN for a single weight.
    """

    samples: NDArray[np.int64]
    bound: Array
    error: Array


@dataclass(frozen=True)
class Diagnosis:
    r"""What the weights of N sequences say.

    Attributes:
        curve: The bound against the number of samples.
        ess: Effective samples :math:`1 / \sum_k \tilde w_k^2` of all K, ``(N,)``.
        ess_few: The same of 40, averaged over the groups of 40, ``(N,)``; None where K < 40.
        rise: How much each sequence's bound rises from 40 samples to K, ``(N,)``; None unless K > 40.
        pareto_k: Index of the tail of each sequence's weights, ``(N,)``: moments up to 1/k exist. Infinite where one
            weight leaves no others to compare with, negative infinite where the largest are all the same (no tail).
            None where K < 1000.
    """

    curve: Curve
    ess: Array
    ess_few: Array | None
    rise: Array | None
    pareto_k: Array | None

    @property
    def samples(self) -> int:
        """K."""
        return int(self.curve.samples[-1])

    @property
    def threshold(self) -> float:
        r"""Above it a tail is too heavy for K samples: :math:`\min(1 - 1 / \log_{10} K, 0.7)` (Vehtari et al. 2024)."""
        return min(1 - 1 / math.log10(self.samples), 0.7) if self.samples > 1 else -math.inf

    @property
    def share_above(self) -> float | None:
        """Share of sequences whose index is above the threshold; None where it is not known."""
        if self.pareto_k is None:
            return None
        known = self.pareto_k[~np.isnan(self.pareto_k)]
        return float((known > self.threshold).mean()) if len(known) else None

    @property
    def details(self) -> dict[str, Array]:
        """Columns for a table of sequences, and for :attr:`pyro_vrnn.inference.results.Estimate.details`."""
        columns = {"ess": self.ess, "pareto_k": self.pareto_k, "rise_from_40": self.rise}
        return {name: column for name, column in columns.items() if column is not None}

    def line(self) -> str:
        """One line for people."""
        rise, few = "", ""
        if self.rise is not None and self.ess_few is not None:
            error = _standard_error(self.rise)
            noise = "" if math.isnan(error) else f" ± {error:.2g}"
            rise = f"the bound rises by {self.rise.mean():.3g}{noise} nats a sequence from {FEW} samples; "
            few = f"{_median(self.ess_few):.1f} of {FEW}, "
        tails = f"Pareto k needs {PARETO_SAMPLES} samples"
        if self.share_above is not None:
            tails = f"Pareto k above {self.threshold:.2f} for {self.share_above:.0%} of sequences"
        effective = f"median effective samples {few}{_median(self.ess):.1f} of {self.samples}"
        return f"weights of {self.samples} trajectories: {rise}{effective}; {tails}"

    def warnings(self) -> list[str]:
        """What whoever cites the numbers has to know, a line each; empty where nothing is wrong."""
        found = []
        if self.rise is not None and self.ess_few is not None and _clearly_above(self.rise, RISE):
            found.append(
                f"{FEW} samples are too few for sequences of this length: from {FEW} to {self.samples} the bound still"
                f" rises by {self.rise.mean():.1f} nats a sequence (median effective samples"
                f" {_median(self.ess_few):.1f} of {FEW})"
            )
        if self.pareto_k is None and self.samples > 1 and _median(self.ess) < min(EFFECTIVE, self.samples / 2):
            found.append(
                f"half of the sequences have at most {_median(self.ess):.1f} effective samples of {self.samples}: a few"
                " trajectories decide the value"
            )
        if (self.share_above or 0.0) > SHARE:
            found.append(
                f"the weights' tails are too heavy for {self.samples} samples: Pareto k is above {self.threshold:.2f}"
                f" for {self.share_above:.0%} of sequences; the value is a bound in expectation, and not log p(x)"
            )
        if found:
            found.append(
                "importance sampling: cite the particle filter (--estimator smc) or the elbo, which rests on no weights"
            )
        return found

    def metrics(self) -> dict[str, float]:
        """Flat names and numbers, as they are tracked."""
        return {f"importance_{self.samples}_{name}": value for name, value in self._numbers().items()}

    def _numbers(self) -> dict[str, float]:
        values: Mapping[str, float | None] = {
            "ess_median": _median(self.ess),
            "ess_of_40_median": None if self.ess_few is None else _median(self.ess_few),
            "rise_from_40": None if self.rise is None else float(self.rise.mean()),
            "pareto_k_median": None if self.pareto_k is None else _median(self.pareto_k),
            "pareto_k_share_above": self.share_above,
        }
        return {name: value for name, value in values.items() if value is not None and math.isfinite(value)}

    def as_dict(self) -> dict[str, object]:
        """Everything a results file says of it, units in the keys."""
        points = zip(self.curve.samples, self.curve.bound, self.curve.error, strict=True)
        return {
            "samples": self.samples,
            "sequences": len(self.ess),
            **self._numbers(),
            "pareto_k_threshold": None if self.pareto_k is None else self.threshold,
            "pareto_k_unknown": f"needs {PARETO_SAMPLES} samples" if self.pareto_k is None else None,
            "curve": [
                {"samples": int(k), "nats_per_sequence": _finite(bound), "monte_carlo_error": _finite(error)}
                for k, bound, error in points
            ],
            "warnings": self.warnings(),
        }


# A sequence whose weights are all nothing, or not a number, has no ESS: it says so by NaN, not by a warning.
@np.errstate(all="ignore")
def diagnose(log_weights: Array) -> Diagnosis:
    r"""Diagnoses importance sampling of N sequences, each by its own K weights.

    Args:
        log_weights: :math:`\log w_k` of whole trajectories, ``(K, N)``, nats; -inf is a weight of nothing.
    """
    K, N = log_weights.shape
    samples = _sizes(K)
    block = max(1, BLOCK // K)
    blocks = [_rows(log_weights[:, i : i + block], samples) for i in range(0, N, block)]
    bounds, noise, ess, ess_few, pareto_k = (np.concatenate(part, axis=-1) for part in zip(*blocks, strict=True))
    return Diagnosis(
        curve=Curve(np.array(samples), bounds.mean(-1), np.sqrt(noise.sum(-1)) / N),
        ess=ess,
        ess_few=ess_few if K >= FEW else None,
        rise=bounds[-1] - bounds[samples.index(FEW)] if K > FEW else None,
        pareto_k=pareto_k if K >= PARETO_SAMPLES else None,
    )


def _sizes(K: int) -> list[int]:
    """1, 2, 5, 10, 20, 40, 100, 200, 500, ... and K."""
    steps = (step * 10**power for power in range(len(str(K))) for step in (1, 2, 5))
    return [*(size for size in ((FEW if size == 50 else size) for size in steps) if size < K), K]


def _rows(log_weights: Array, samples: list[int]) -> tuple[Array, Array, Array, Array, Array]:
    """Bounds and their variances ``(M, n)``, ESS of all and of 40, and tail index ``(n,)``."""
    groups = [_grouped(log_weights, size) for size in samples]
    bounds = [_log_mean(group, axis=1) for group in groups]
    few = _ess(_grouped(log_weights, min(FEW, len(log_weights))), axis=1).mean(0)
    noise = [
        bound.var(axis=0, ddof=1) / len(bound) if len(bound) > 1 else _jackknife(group[0])
        for bound, group in zip(bounds, groups, strict=True)
    ]
    means = np.stack([bound.mean(0) for bound in bounds])
    return means, np.stack(noise), _ess(log_weights, axis=0), few, _pareto_k(log_weights)


def _grouped(log_weights: Array, size: int) -> Array:
    """Disjoint groups ``(G, size, n)``; what fills no group is left out."""
    G = len(log_weights) // size
    return log_weights[: G * size].reshape(G, size, -1)


def _log_mean(log_weights: Array, axis: int) -> Array:
    top = log_weights.max(axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    return np.log(np.exp(log_weights - top).mean(axis)) + top.squeeze(axis)


def _ess(log_weights: Array, axis: int) -> Array:
    w = np.exp(log_weights - log_weights.max(axis, keepdims=True))
    return np.square(w.sum(axis)) / np.square(w).sum(axis)


def _jackknife(log_weights: Array) -> Array:
    """Variance of the log of one group's mean, ``(n,)``, from leaving out a tenth of its weights at a time.

    On normal log-weights of standard deviation 5, K = 1000, it gives 2.00, which is what repeated draws vary by; the
    delta method, 1 / ESS - 1 / K, cannot exceed 1 and gives 0.39.
    """
    size = len(log_weights)
    if size < 2:
        return np.full(log_weights.shape[1], np.nan)
    left_out = np.array_split(np.arange(size), min(10, size))
    others = [_log_mean(np.delete(log_weights, part, axis=0), axis=0) for part in left_out]
    return np.stack(others).var(axis=0) * (len(others) - 1)


def _pareto_k(log_weights: Array) -> Array:
    """Tail index of each sequence's weights, ``(n,)``, by the fit of ArviZ; NaN where it has no meaning."""
    K, n = log_weights.shape
    k = np.full(n, np.nan)
    if K < PARETO_SAMPLES:
        return k
    # A tenth of a second, which no other command needs to wait for.
    from arviz_stats.base import array_stats

    # ArviZ raises on a tail of equal weights; and where the lower quartile of the tail is no more than its foot, by
    # underflow or by ties, it answers with its prior, 0.05: "no heavy tail" for the heaviest of all (log-weights of
    # standard deviation 1000, say). Weights equal up to rounding, as from an exact posterior, have ties too.
    tail = int(3 * math.sqrt(K))
    largest = np.sort(log_weights, axis=0)[-tail - 1 :]
    foot, lowest, quartile, top = largest[[0, 1, int(tail / 4 + 0.5), -1]]
    sound = np.isfinite(top)  # what is not a number sorts to the top
    fitted = sound & (np.exp(quartile - top) - np.exp(foot - top) > 1e-290) & (lowest < top)
    k[sound & ~fitted] = np.inf
    k[sound & ~fitted & ((lowest == top) | (top - foot < 1))] = -np.inf
    if fitted.any():
        k[fitted] = array_stats.psislw(-log_weights[:, fitted].T)[1]  # it takes negative log-weights
    return k


def _median(values: Array) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else math.nan


@np.errstate(invalid="ignore")
def _standard_error(values: Array) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def _clearly_above(values: Array, limit: float) -> bool:
    """Whether the mean is above the limit, and no matter of noise (by two standard errors above 0)."""
    error = _standard_error(values)
    return bool(values.mean() > limit) and (math.isnan(error) or bool(values.mean() > 2 * error))


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
