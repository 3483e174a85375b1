"""The table of estimators, and scoring a data set by one of them."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pyro
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference import likelihood
from pyro_vrnn.inference.noise import Noise, own_noise
from pyro_vrnn.inference.pieces import Frames, parts
from pyro_vrnn.inference.results import PEN, Estimate, Kind, Scale
from pyro_vrnn.inference.smc import smc
from pyro_vrnn.model.network import VRNN

#: A batch of a data set: frames, mask, and the index of each sequence.
Batch = tuple[Frames, Tensor, Tensor]


@dataclass(frozen=True)
class Scores:
    """What an estimator says of a batch.

    Attributes:
        nats: ``(B,)``.
        details: Further columns of the per-sequence table, each ``(B,)``.
    """

    nats: Tensor
    details: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Estimator:
    """A way to score, with the kind of number it gives.

    Attributes:
        kind: What it says of log p(x).
        score: Maps net, x, mask, K and noise to :class:`Scores`.
        particles: Whether K matters; it is then part of the name.
        latents: Whether the model must have latents (True) or must not (False); None for what reads no model.
    """

    kind: Kind
    score: Callable[[VRNN, Frames, Tensor, int, Noise], Scores]
    particles: bool
    latents: bool | None


def _exact(net: VRNN, x: Frames, mask: Tensor, particles: int, noise: Noise) -> Scores:
    return _summed(likelihood.exact_by_step(net, own_x, own_mask) for own_x, own_mask, _ in parts(x, mask, None))


def _elbo(net: VRNN, x: Frames, mask: Tensor, particles: int, noise: Noise, sampled: bool = False) -> Scores:
    return _summed(
        likelihood.elbo_by_step(net, own_x, own_mask, noise=own, sampled=sampled)
        for own_x, own_mask, own in parts(x, mask, noise)
    )


def _elbo_sampled(net: VRNN, x: Frames, mask: Tensor, particles: int, noise: Noise) -> Scores:
    return _elbo(net, x, mask, particles, noise, sampled=True)


def _summed(by_rows: Iterable[likelihood.Terms]) -> Scores:
    """The sums over steps; beside them the pen's share, which is a probability and no density."""
    nats, masses = zip(*map(likelihood.totals, by_rows), strict=True)
    known = [mass for mass in masses if mass is not None]
    return Scores(torch.cat(nats), {PEN: torch.cat(known)} if known else {})


def _iwae(net: VRNN, x: Frames, mask: Tensor, particles: int, noise: Noise) -> Scores:
    log_w = likelihood.log_weights(net, x, mask, particles, noise=noise)
    log_sum = log_w.logsumexp(0)
    return Scores(log_sum - math.log(particles), {"ess": (2 * log_sum - (2 * log_w).logsumexp(0)).exp()})


def _stepwise(net: VRNN, x: Frames, mask: Tensor, particles: int, noise: Noise) -> Scores:
    return Scores(likelihood.stepwise(net, x, mask, particles, noise=noise))


def _smc(net: VRNN, x: Frames, mask: Tensor, particles: int, noise: Noise) -> Scores:
    filtered = smc(net, x, mask, particles, noise=noise)
    lowest = filtered.ess.masked_fill(~mask.to(filtered.ess.device), particles).amin(-1)
    return Scores(filtered.log_evidence, {"lowest_ess": lowest, "resamplings": filtered.resampled.sum(-1)})


def _iid_gaussian(net: VRNN, x: Frames, mask: Tensor, particles: int, noise: Noise) -> Scores:
    nats, tosses = likelihood.iid_gaussian(x, mask, net.binary), mask.sum(-1) * net.binary
    return Scores(nats, {PEN: -math.log(2) * tosses.double()} if net.binary else {})


#: Estimators by name, as ``--estimator`` takes them.
ESTIMATORS: dict[str, Estimator] = {
    "exact": Estimator(Kind.EXACT, _exact, particles=False, latents=False),
    "elbo": Estimator(Kind.BOUND, _elbo, particles=False, latents=True),
    "elbo_sampled": Estimator(Kind.BOUND, _elbo_sampled, particles=False, latents=True),
    "iwae": Estimator(Kind.CONSISTENT, _iwae, particles=True, latents=True),
    "stepwise": Estimator(Kind.ESTIMATE, _stepwise, particles=True, latents=True),
    "smc": Estimator(Kind.CONSISTENT, _smc, particles=True, latents=True),
    "iid_gaussian": Estimator(Kind.EXACT, _iid_gaussian, particles=False, latents=None),
}


def estimators_for(net: VRNN) -> list[str]:
    """Estimators that have meaning for this model: its bound (or exact value) first."""
    return [name for name, estimator in ESTIMATORS.items() if estimator.latents == net.has_latents]


def estimator_for(net: VRNN, name: str) -> Estimator:
    """The estimator of this name.

    Raises:
        ConfigurationError: If it is unknown or has no meaning for the model.
    """
    if name not in ESTIMATORS:
        raise ConfigurationError(f"--estimator {name}: unknown; choose one of {', '.join(ESTIMATORS)}")
    if ESTIMATORS[name].latents not in (None, net.has_latents):
        kind = "has latents" if net.has_latents else "has no latents"
        raise ConfigurationError(
            f"--estimator {name}: the model {kind}; choose one of {', '.join(estimators_for(net))}"
        )
    return ESTIMATORS[name]


@torch.no_grad()
def estimate(
    net: VRNN,
    batches: Iterable[Batch],
    name: str,
    *,
    particles: int = 40,
    scale: Scale,
    seed: int = 0,
    repetitions: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Estimate:
    """Scores a data set. A sequence's score depends on the seed and its index, not on how sequences are batched.

    Args:
        net: The model.
        batches: ``(x, mask, indices)``: every sequence once; results come in the order of the indices.
        name: One of :data:`ESTIMATORS`.
        particles: K, where it matters.
        scale: Units.
        seed: Of the noise.
        repetitions: Independent evaluations, of which the mean is reported; two or more give its Monte Carlo error.
        progress: Told the number of sequences after each batch.

    Raises:
        ConfigurationError: If the estimator is unknown or has no meaning for the model.
    """
    estimator = estimator_for(net, name)
    repetitions = 1 if estimator.kind is Kind.EXACT else repetitions
    order, frames, nats, details = [], [], [], []
    with evaluating(net, seed):
        for x, mask, indices in batches:
            noises = [Noise(seed, indices, repetition) for repetition in range(repetitions)]
            scores = [estimator.score(net, x, mask, particles, noise) for noise in noises]
            order.append(np.asarray(indices))
            frames.append(mask.sum(-1).numpy(force=True))
            nats.append(np.stack([score.nats.double().numpy(force=True) for score in scores]))
            details.append(_details(scores))
            if progress is not None:
                progress(len(mask))
    where = np.argsort(np.concatenate(order), kind="stable")
    return Estimate.from_repeats(
        name=f"{name}_{particles}" if estimator.particles else name,
        kind=estimator.kind,
        nats=np.concatenate(nats, -1)[:, where],
        frames=np.concatenate(frames)[where],
        scale=scale,
        note=_note(net, name),
        details={key: np.concatenate([part[key] for part in details])[where] for key in details[0]},
    )


@torch.no_grad()
def collect_log_weights(
    net: VRNN, batches: Iterable[Batch], particles: int, *, seed: int = 0, progress: Callable[[int], None] | None = None
) -> NDArray[np.float64]:
    """Trajectory weights of every sequence of a data set, ``(K, N)``, in the order of the indices."""
    order, parts = [], []
    with evaluating(net, seed):
        for x, mask, indices in batches:
            log_w = likelihood.log_weights(net, x, mask, particles, noise=Noise(seed, indices))
            order.append(np.asarray(indices))
            parts.append(log_w.numpy(force=True))
            if progress is not None:
                progress(len(mask))
    return np.concatenate(parts, -1)[:, np.argsort(np.concatenate(order), kind="stable")]


def _details(scores: Sequence[Scores]) -> dict[str, NDArray[np.float64]]:
    """The first evaluation's; the pen's share is the mean of all, as the nats that it is a share of."""
    details = dict(scores[0].details)
    if PEN in details:
        details[PEN] = torch.stack([score.details[PEN] for score in scores]).mean(0)
    return {key: value.double().numpy(force=True) for key, value in details.items()}


def _note(net: VRNN, name: str) -> str:
    if name == "elbo_sampled":
        return "kl=sampled"
    return f"kl={likelihood.kl_form(net)}" if name == "elbo" else ""


@contextmanager
def evaluating(net: VRNN, seed: int) -> Iterator[None]:
    """Evaluation mode, no validation by Pyro, and for families that do not follow given noise a seed of their own."""
    training = net.training
    net.eval()
    try:
        with own_noise(next(net.parameters()).device, seed), pyro.validation_enabled(False):
            yield
    finally:
        net.train(training)
