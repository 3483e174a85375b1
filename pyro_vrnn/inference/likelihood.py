"""Per-sequence bounds and estimates of log p(x), in nats.

All of them take frames of any length and any number of particles in constant memory, and noise that makes a number a
function of the sequence and the seed alone (:class:`~pyro_vrnn.inference.noise.Noise`).
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference.noise import Noise, own_noise
from pyro_vrnn.inference.pieces import Frames, Piece, Pieces, chunks, parts, spans
from pyro_vrnn.model.draws import infer
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.rollout import Rollout

#: Of each piece, what its steps add to a likelihood or a bound, ``(B, t)`` in nats, and the rollout that it is of.
Terms = Iterator[tuple[Piece, Tensor, Rollout]]


def exact(net: VRNN, x: Frames, mask: Tensor) -> Tensor:
    r"""Exact :math:`\log p(x_{\le T}) = \sum_t \log p(x_t \mid x_{<t})` of a model without latents, ``(B,)``.

    Raises:
        ConfigurationError: If the model has latents.
    """
    return torch.cat([totals(exact_by_step(net, own_x, own_mask))[0] for own_x, own_mask, _ in parts(x, mask, None)])


def exact_by_step(net: VRNN, x: Frames, mask: Tensor) -> Terms:
    r""":math:`\log p(x_t \mid x_{<t})` of a model without latents, ``(B, t)`` for each piece.

    Raises:
        ConfigurationError: If the model has latents.
    """
    if net.has_latents:
        raise ConfigurationError(
            "exact: this model has latents, so its likelihood has no closed form; use elbo, iwae or smc"
        )
    for piece, rollout in Pieces(net, x, mask).follow():
        yield piece, rollout.log_emission, rollout


def elbo(net: VRNN, x: Frames, mask: Tensor, *, noise: Noise | None = None, sampled: bool = False) -> Tensor:
    r"""One draw of the timestep-wise bound (Chung et al. 2015, Eq. 11), ``(B,)``.

    .. math::
        \sum_t -\mathrm{KL}(q(z_t \mid x_{\le t}, z_{<t}) \,\|\, p(z_t \mid x_{<t}, z_{<t}))
        + \log p(x_t \mid z_{\le t}, x_{<t})

    Args:
        net: A model with latents.
        x: Frames, ``(B, T, X)``.
        mask: True for frames, ``(B, T)``.
        noise: What draws are made of; None for the caller's random state.
        sampled: Whether the KL is log q - log p at the draw. Else it is analytic where the two families have a closed
            form (:func:`kl_form` says).
    """
    by_rows = [
        totals(elbo_by_step(net, own_x, own_mask, noise=own, sampled=sampled))[0]
        for own_x, own_mask, own in parts(x, mask, noise)
    ]
    return torch.cat(by_rows)


def elbo_by_step(net: VRNN, x: Frames, mask: Tensor, *, noise: Noise | None = None, sampled: bool = False) -> Terms:
    """The terms of :func:`elbo`, ``(B, t)`` for each piece."""
    for piece, z, rollout in Pieces(net, x, mask).infer(noise=noise):
        yield piece, rollout.log_weights(z) if sampled else rollout.log_emission - rollout.kl_or_sampled(z), rollout


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


def log_weights(net: VRNN, x: Frames, mask: Tensor, particles: int, *, noise: Noise | None = None) -> Tensor:
    r"""Weights of whole trajectories, :math:`\log w_k = \log p(x, z_k) - \log q(z_k \mid x)`, ``(K, B)``.

    Args:
        net: A model with latents.
        x: Frames, ``(B, T, X)``.
        mask: True for frames, ``(B, T)``.
        particles: K.
        noise: What draws are made of; None for the caller's random state.
    """
    by_rows = []
    for own_x, own_mask, own in parts(x, mask, noise):
        pieces = Pieces(net, own_x, own_mask)
        by_chunk = [
            sum(rollout.log_weights(z).double().sum(-1) for _, z, rollout in pieces.infer(chunk, own))
            for chunk in chunks(own_mask, particles)
        ]
        by_rows.append(torch.cat(by_chunk))  # type: ignore[arg-type]
    return torch.cat(by_rows, -1)


def iwae(net: VRNN, x: Frames, mask: Tensor, particles: int, *, noise: Noise | None = None) -> Tensor:
    r"""Importance sampling of whole trajectories (Burda et al. 2016), ``(B,)``.

    .. math:: \log \tfrac1K \sum_k \prod_t w_{kt}

    Below log p(x) in expectation, tending to it with K. Arguments as in :func:`log_weights`.
    """
    return log_weights(net, x, mask, particles, noise=noise).logsumexp(0) - math.log(particles)


def stepwise(net: VRNN, x: Frames, mask: Tensor, particles: int, *, noise: Noise | None = None) -> Tensor:
    r"""The sum of per-step averages that the paper's released evaluation computes, ``(B,)``.

    .. math:: \sum_t \log \tfrac1K \sum_k w_{kt}

    No weight is carried from step to step: it is at least the ELBO in expectation, neither bounds log p(x) nor tends
    to it with K. Arguments as in :func:`log_weights`.
    """
    return stepwise_of_steps(net, x, mask, particles, noise=noise).sum(-1)


def stepwise_of_steps(net: VRNN, x: Frames, mask: Tensor, particles: int, *, noise: Noise | None = None) -> Tensor:
    """The terms of :func:`stepwise`, ``(B, T)``; 0 in the padding."""
    by_rows = []
    for own_x, own_mask, own in parts(x, mask, noise):
        pieces = Pieces(net, own_x, own_mask)
        total = torch.full(own_mask.shape, -math.inf, dtype=torch.float64, device=pieces.like.device)
        for chunk in chunks(own_mask, particles):
            for piece, z, rollout in pieces.infer(chunk, own):
                part = total[:, piece.steps.start : piece.steps.stop]
                part.copy_(torch.logaddexp(part, rollout.log_weights(z).double().logsumexp(0)))
        nats = (total - math.log(particles)).masked_fill(~own_mask.to(total.device), 0.0)
        by_rows.append(F.pad(nats, (0, mask.shape[-1] - nats.shape[-1])))
    return torch.cat(by_rows)


def iid_gaussian(x: Frames, mask: Tensor, binary: int = 0) -> Tensor:
    """The reference to beat: standardised values as independent draws from N(0, 1), ``(B,)``.

    Args:
        x: Frames, ``(B, T, X)``.
        mask: True for frames, ``(B, T)``.
        binary: Values of a frame that are 0 or 1, its last ones: each a toss of a fair coin.
    """
    total = torch.zeros(len(mask), dtype=torch.float64)
    for steps in spans(mask.shape[-1]):
        frames = x[:, steps.start : steps.stop].double()
        squares = frames[..., : frames.shape[-1] - binary].square()
        nats = -0.5 * (squares + math.log(2 * math.pi)).sum(-1) - binary * math.log(2)
        total += nats.masked_fill(~mask[:, steps.start : steps.stop], 0.0).sum(-1).cpu()
    return total


def totals(by_step: Terms) -> tuple[Tensor, Tensor | None]:
    r"""The sums over steps of the terms, and of that share of them that is a probability of binary values, ``(B,)``.

    In double precision: an hour has hundreds of thousands of steps.

    The first less the second is, of an exact value, the log-density of the continuous values:
    :math:`\log p(x) = \sum_t \log p(\text{continuous}_t \mid \cdot) + \log P(\text{binary}_t \mid \cdot)`, and of a
    bound, whose term of the emission is such a sum for any z, a bound on it.

    Args:
        by_step: Of whole sequences.

    Returns:
        The second None where frames have no binary values.
    """
    nats = mass = torch.zeros(())
    binary = False
    for _, own, rollout in by_step:
        nats = nats + own.double().sum(-1)
        log_mass = rollout.log_mass
        if log_mass is not None:
            binary, mass = True, mass + log_mass.double().sum(-1)
    return nats, mass if binary else None
