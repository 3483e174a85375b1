"""Sequential Monte Carlo: a particle filter over the parts, for every sequence of a batch by itself."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from pyro_vrnn.inference.noise import Noise
from pyro_vrnn.inference.pieces import Frames, Piece, Pieces, parts
from pyro_vrnn.model.densities import draw
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.state import State
from pyro_vrnn.randomness import BLOCK

#: Particles are resampled where their effective sample size is below this share of K.
THRESHOLD = 0.5


class Filtered(NamedTuple):
    r"""What a particle filter says of each step; 0, K and False in the padding.

    Attributes:
        increments: :math:`\log \hat p(x_t \mid x_{<t})` in nats, ``(B, T)``.
        ess: Effective sample size :math:`1 / \sum_k W_k^2` of the weights at step t, before any resampling, ``(B, T)``.
        resampled: Whether particles were resampled after step t, ``(B, T)``.
    """

    increments: Tensor
    ess: Tensor
    resampled: Tensor

    @property
    def log_evidence(self) -> Tensor:
        r""":math:`\log \hat p(x)`, ``(B,)``, whose exponential is unbiased: below log p(x) in expectation."""
        return self.increments.double().sum(-1)


def smc(
    net: VRNN,
    x: Frames,
    mask: Tensor,
    particles: int,
    *,
    noise: Noise | None = None,
    threshold: float = THRESHOLD,
) -> Filtered:
    r"""A particle filter whose proposal is the guide (Maddison et al. 2017; Le et al. 2018; Naesseth et al. 2018).

    .. math::
        \log \hat p(x) = \sum_t \log \sum_k W_{k,t-1}\, w_{kt}, \qquad
        w_{kt} = \frac{p(x_t \mid z_{\le t}, x_{<t})\, p(z_t \mid x_{<t}, z_{<t})}{q(z_t \mid x, z_{<t})}

    with the normalised weights W, reset to 1/K where systematic resampling has replaced the particles: for each
    sequence by itself, and only where its effective sample size is below ``threshold`` K. The expectation of
    :math:`\log \hat p(x)` is the FIVO bound. Gradients go through the draws and through the particles' past, and not
    through the choice of ancestors, whose score terms are dropped.

    Args:
        net: A model with latents.
        x: Frames, ``(B, T, X)``.
        mask: True for frames, ``(B, T)``.
        particles: K.
        noise: What draws are made of; None for the caller's random state.
        threshold: Share of K; 0 never resamples, which is :func:`~pyro_vrnn.inference.likelihood.iwae`.
    """
    by_rows = []
    for own_x, own_mask, own in parts(x, mask, noise, particles):
        steps = list(smc_by_step(net, own_x, own_mask, particles, noise=own, threshold=threshold))
        by_piece = [filtered for _, filtered in steps]
        whole = [torch.cat(items, -1) for items in zip(*by_piece, strict=True)]
        by_rows.append(Filtered(*(F.pad(item, (0, mask.shape[-1] - item.shape[-1])) for item in whole)))
    return Filtered(*(torch.cat(items) for items in zip(*by_rows, strict=True)))


def smc_by_step(
    net: VRNN,
    x: Frames,
    mask: Tensor,
    particles: int,
    *,
    noise: Noise | None = None,
    threshold: float = THRESHOLD,
) -> Iterator[tuple[Piece, Filtered]]:
    """As :func:`smc`, piece by piece: ``(B, t)`` for each."""
    K, B = particles, len(mask)
    pieces = Pieces(net, x, mask)
    state = net.initial_state((K, B))
    log_W = pieces.like.new_full((K, B), -math.log(K))
    own = torch.arange(K, device=log_W.device).unsqueeze(-1)
    for piece in pieces:
        assert piece.reading is not None
        driven = net.recurrence.prepare(piece.reading.features_x)
        traces: list[tuple[Tensor, Tensor, Tensor]] = []
        draws = _noise(noise, piece.steps, (K, B, net.dims.z), pieces.like)
        for t, (eps_t, u_t) in enumerate(draws):
            valid = piece.mask[:, t]
            log_w, state = _step(net, pieces, piece, driven, t, state, eps_t)
            total = log_W + log_w.masked_fill(~valid, 0.0)
            increment = total.logsumexp(0)
            log_W = total - increment
            ess = (-(2 * log_W.detach()).logsumexp(0)).exp()
            resampled = valid & (ess < threshold * K)
            # Whether there is any is not asked: the answer would be waited for at every step.
            ancestors = torch.where(resampled, systematic(log_W.detach().exp(), u_t), own)
            memory = tuple(_chosen(private, ancestors) for private in state.memory)
            state = State(_chosen(state.h, ancestors), _chosen(state.z, ancestors), memory)
            log_W = log_W.masked_fill(resampled, -math.log(K))
            traces.append((increment.masked_fill(~valid, 0.0), ess.masked_fill(~valid, 0.0), resampled))
        yield piece, Filtered(*(torch.stack(items, -1) for items in zip(*traces, strict=True)))


def systematic(W: Tensor, u: Tensor) -> Tensor:
    """Ancestors by systematic resampling: particle k's number of children is K W_k, rounded up or down.

    Args:
        W: Normalised weights, ``(K, B)``.
        u: Uniform in [0, 1), ``(B,)``.

    Returns:
        Indices in 0..K-1, ``(K, B)``.
    """
    K = len(W)
    positions = (torch.arange(K, device=W.device, dtype=W.dtype).unsqueeze(-1) + u) / K
    found = torch.searchsorted(W.cumsum(0).T.contiguous(), positions.T.contiguous(), right=True)
    return found.clamp(max=K - 1).T  # the last sum may round to less than 1


def _step(
    net: VRNN, pieces: Pieces, piece: Piece, driven: Tensor, t: int, state: State, eps: Tensor | None
) -> tuple[Tensor, State]:
    """The particles' weights at step t, ``(K, B)``, and the state after it."""
    assert net.prior is not None
    assert pieces.guide is not None
    assert piece.reading is not None
    p = net.prior(state)
    q = pieces.guide(piece.reading.prepared[..., t, :], state, lambda: p).expand(state.h.shape[:-1])
    z = draw(q, eps)
    features_z = net.features_z(z)
    log_w = net.emit(features_z, state).log_prob(piece.x[:, t]) + p.log_prob(z) - q.log_prob(z)
    return log_w, net.advance(driven[..., t, :], z, features_z, state)


def _noise(
    noise: Noise | None, steps: range, shape: tuple[int, int, int], like: Tensor
) -> Iterator[tuple[Tensor | None, Tensor]]:
    """The noise of each step, for its latents (None: they draw their own) and for its resampling."""
    K, B, width = shape
    for start in range(steps.start, steps.stop, BLOCK):
        block = range(start, min(start + BLOCK, steps.stop))
        if noise is None:
            yield from ((None, torch.rand(B, dtype=like.dtype, device=like.device)) for _ in block)
        else:
            yield from zip(
                noise.normal(range(K), block, width, like).unbind(-2),
                noise.uniform(block, like).unbind(-1),
                strict=True,
            )


def _chosen(particles: Tensor, ancestors: Tensor) -> Tensor:
    return particles.gather(0, ancestors.unsqueeze(-1).expand(*ancestors.shape, particles.shape[-1]))
