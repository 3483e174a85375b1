"""Per-sequence bounds and estimates of log p(x), in nats."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pyro
import torch
from pyro import poutine
from torch import Tensor

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference.noise import own_noise
from pyro_vrnn.inference.results import Estimate, Kind, Scale
from pyro_vrnn.model import sequence
from pyro_vrnn.model.draws import infer
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.program import Program
from pyro_vrnn.model.rollout import follow

#: Rows (sequences times particles) that one pass holds: what keeps the memory constant in K.
ROWS = 1024


def exact(net: VRNN, x: Tensor, mask: Tensor) -> Tensor:
    r"""Exact :math:`\log p(x_{\le T}) = \sum_t \log p(x_t \mid x_{<t})` of a model without latents, ``(B,)``.

    Raises:
        ConfigurationError: If the model has latents.
    """
    if net.has_latents:
        raise ConfigurationError(
            "exact: this model has latents, so its likelihood has no closed form; use elbo or iwae"
        )
    return follow(net, x, mask, x.new_zeros((*x.shape[:-1], 0))).log_emission.sum(-1)


def elbo(net: VRNN, x: Tensor, mask: Tensor) -> Tensor:
    r"""One draw of the timestep-wise bound (Chung et al. 2015, Eq. 11), ``(B,)``.

    .. math::
        \sum_t -\mathrm{KL}(q(z_t \mid x_{\le t}, z_{<t}) \,\|\, p(z_t \mid x_{<t}, z_{<t}))
        + \log p(x_t \mid z_{\le t}, x_{<t})

    KL is analytic where the two families have a closed form (:func:`kl_form` says), else sampled.
    """
    z, rollout = infer(net, x, mask, x.shape[:1])
    return (rollout.log_emission - rollout.kl_or_sampled(z)).sum(-1)


def kl_form(net: VRNN) -> str:
    """``analytic`` or ``sampled``: how :func:`elbo` computes the KL for this model's guide and prior."""
    like = next(net.parameters())
    x, mask = like.new_zeros(1, 1, net.dims.x), torch.ones(1, 1, dtype=torch.bool, device=like.device)
    with torch.no_grad(), own_noise(like.device):
        _, rollout = infer(net, x, mask, (1,))
        try:
            rollout.kl  # noqa: B018 (computed when it is read)
        except NotImplementedError:
            return "sampled"
    return "analytic"


def log_weights(model: Program, guide: Program, x: Tensor, mask: Tensor, particles: int) -> Tensor:
    r"""Trajectory weights :math:`\log w_k = \log p(x, z_k) - \log q(z_k \mid x)`, ``(K, B)``, from Pyro's traces.

    Log-probabilities are summed for each sequence; ``pyro.infer.Importance`` sums them over the batch.

    Args:
        model: A model program.
        guide: Its guide.
        x: Frames, ``(B, T, X)``.
        mask: True for frames, ``(B, T)``.
        particles: K.
    """
    with pyro.plate("particles", particles, dim=-2):
        guide_trace = poutine.trace(guide).get_trace(x, mask)
    with pyro.plate("particles", particles, dim=-2):
        model_trace = poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(x, mask)
    total = x.new_zeros(particles, x.shape[0])
    for trace, sign in ((model_trace, 1), (guide_trace, -1)):
        trace.compute_log_prob()
        for site in trace.nodes.values():
            if site["type"] == "sample" and not isinstance(site["fn"], poutine.subsample_messenger._Subsample):
                total = total + sign * site["log_prob"]
    return total


def iwae(net: VRNN, x: Tensor, mask: Tensor, particles: int) -> Tensor:
    r"""Importance sampling of whole trajectories (Burda et al. 2016), ``(B,)``.

    .. math:: \log \tfrac1K \sum_k \prod_t w_{kt}

    Below log p(x) in expectation, tending to it with K. Particles come in chunks, so memory does not grow with K.

    Args:
        net: A model with latents.
        x: Frames, ``(B, T, X)``.
        mask: True for frames, ``(B, T)``.
        particles: K.
    """
    model, guide = sequence.Model(net, store=False), sequence.Guide(net, store=False)
    total = x.new_full(x.shape[:1], -math.inf)
    for chunk in _chunks(particles, len(x)):
        total = torch.logaddexp(total, log_weights(model, guide, x, mask, chunk).logsumexp(0))
    return total - math.log(particles)


def stepwise(net: VRNN, x: Tensor, mask: Tensor, particles: int) -> Tensor:
    r"""The sum of per-step averages that the paper's released evaluation computes, ``(B,)``.

    .. math:: \sum_t \log \tfrac1K \sum_k w_{kt}

    No weight is carried from step to step: it is at least the ELBO in expectation, neither bounds log p(x) nor tends
    to it with K.

    Args:
        net: A model with latents.
        x: Frames, ``(B, T, X)``.
        mask: True for frames, ``(B, T)``.
        particles: K.
    """
    total = x.new_full(x.shape[:2], -math.inf)
    for chunk in _chunks(particles, len(x)):
        z, rollout = infer(net, x, mask, (chunk, len(x)))
        total = torch.logaddexp(total, rollout.log_weights(z).logsumexp(0))
    return (total - math.log(particles)).masked_fill(~mask, 0.0).sum(-1)


def iid_gaussian(x: Tensor, mask: Tensor) -> Tensor:
    """The reference to beat: standardised values as independent draws from N(0, 1), ``(B,)``."""
    nats = -0.5 * (x.square() + math.log(2 * math.pi)).sum(-1)
    return nats.masked_fill(~mask, 0.0).sum(-1)


def _chunks(particles: int, batch: int) -> Iterable[int]:
    size = max(1, ROWS // batch)
    whole, rest = divmod(particles, size)
    return [size] * whole + [rest] * (rest > 0)


@dataclass(frozen=True)
class Estimator:
    """A way to score, with the kind of number it gives.

    Attributes:
        kind: What it says of log p(x).
        score: Maps net, x, mask and K to ``(B,)`` nats.
        particles: Whether K matters; it is then part of the name.
        latents: Whether the model must have latents (True) or must not (False); None for what reads no model.
    """

    kind: Kind
    score: Callable[[VRNN, Tensor, Tensor, int], Tensor]
    particles: bool
    latents: bool | None


#: Estimators by name, as ``--estimator`` takes them.
ESTIMATORS: dict[str, Estimator] = {
    "exact": Estimator(Kind.EXACT, lambda net, x, mask, k: exact(net, x, mask), particles=False, latents=False),
    "elbo": Estimator(Kind.BOUND, lambda net, x, mask, k: elbo(net, x, mask), particles=False, latents=True),
    "iwae": Estimator(Kind.CONSISTENT, iwae, particles=True, latents=True),
    "stepwise": Estimator(Kind.ESTIMATE, stepwise, particles=True, latents=True),
    "iid_gaussian": Estimator(Kind.EXACT, lambda net, x, mask, k: iid_gaussian(x, mask), particles=False, latents=None),
}


def estimators_for(net: VRNN) -> list[str]:
    """Estimators that have meaning for this model: its bound (or exact value) first."""
    return [name for name, estimator in ESTIMATORS.items() if estimator.latents == net.has_latents]


@torch.no_grad()
def estimate(
    net: VRNN,
    batches: Iterable[tuple[Tensor, Tensor, Tensor]],
    name: str,
    *,
    particles: int = 40,
    scale: Scale,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Estimate:
    """Scores a data set, with noise of its own that leaves the caller's random state alone.

    Args:
        net: The model.
        batches: ``(x, mask, indices)``: every sequence once; results come in the order of the indices.
        name: One of :data:`ESTIMATORS`.
        particles: K, where it matters.
        scale: Units.
        seed: Of the noise.
        progress: Told the number of sequences after each batch.

    Raises:
        ConfigurationError: If the estimator is unknown or has no meaning for the model.
    """
    if name not in ESTIMATORS:
        raise ConfigurationError(f"--estimator {name}: unknown; choose one of {', '.join(ESTIMATORS)}")
    estimator = ESTIMATORS[name]
    if estimator.latents not in (None, net.has_latents):
        kind = "has latents" if net.has_latents else "has no latents"
        raise ConfigurationError(
            f"--estimator {name}: the model {kind}; choose one of {', '.join(estimators_for(net))}"
        )
    device = next(net.parameters()).device
    training = net.training
    net.eval()
    order, nats, frames = [], [], []
    with own_noise(device, seed), pyro.validation_enabled(False):
        for x, mask, indices in batches:
            score = estimator.score(net, x.to(device), mask.to(device), particles)
            order.append(np.asarray(indices))
            nats.append(score.double().cpu().numpy())
            frames.append(mask.sum(-1).cpu().numpy())
            if progress is not None:
                progress(len(x))
    net.train(training)
    where = np.argsort(np.concatenate(order), kind="stable")
    return Estimate(
        name=f"{name}_{particles}" if estimator.particles else name,
        kind=estimator.kind,
        nats=np.concatenate(nats)[where],
        frames=np.concatenate(frames)[where],
        scale=scale,
        note=f"kl={kl_form(net)}" if name == "elbo" else "",
    )
