r"""Segments of recordings, each scored given the segments before it.

The state is carried from segment to segment along draws of the guide: what is scored is
:math:`\log p(x_{s} \mid x_{<s})` of segment s, and its relatives. What each number is:

=========  ============================================================================================================
exact      :math:`\log p(x_s \mid x_{<s})` itself; over a recording the sum is :math:`\log p` of it.
elbo       The segment's terms of the bound (Chung et al. 2015, Eq. 11) along one draw of the past. Over a recording the
           sum is the bound of it, with this guide; a single segment's is at most
           :math:`\mathbb{E}_q \log p(x_s \mid x_{<s}, z_{<s})` in expectation.
smc        The filter runs through the recording: over it the sum is its estimate of the evidence.
iwae       :math:`\log \tfrac1K \sum_k w_{ks}`, each particle along its own draw of the past, and every segment with
           weights of its own. Below :math:`\log \mathbb{E}_{q(z_{<s} \mid x_{<s})}\, p(x_s \mid x_{<s}, z_{<s})` in
           expectation, tending to it with K. That is a density of the segment, but it believes the guide about the past
           where :math:`p(x_s \mid x_{<s})` weighs it by what was seen: their sum bounds no :math:`\log p` of the
           recording, and is marked as an estimate.
stepwise   As without a past, neither bound nor estimate.
=========  ============================================================================================================

A guide that reads the future ends with the segment: it reads what it read in training.
"""

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.distributions import Distribution

from pyro_vrnn.inference import likelihood
from pyro_vrnn.inference.estimators import Batch, estimator_for, evaluating
from pyro_vrnn.inference.noise import Noise
from pyro_vrnn.inference.pieces import Frames, Pieces, chunks, parts
from pyro_vrnn.inference.results import CARRIED, Estimate, Kind, Scale
from pyro_vrnn.inference.smc import smc
from pyro_vrnn.model.guides import Guide
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.state import State

#: What their numbers say, where that is not what they say of sequences.
KINDS = {"iwae": Kind.ESTIMATE}


class Ending(Guide):
    """A guide that reads the future, but none beyond the end of the segment.

    Args:
        guide: The guide.
        every: Steps of a segment.
    """

    reads_future = False

    def __init__(self, guide: Guide, every: int) -> None:
        super().__init__()
        self.guide, self.block = guide, every
        self.reads_state, self.reads_prior = guide.reads_state, guide.reads_prior

    def prepare(
        self, features_x: Tensor, mask: Tensor, h: Tensor | None = None, memory: Any = None
    ) -> tuple[Tensor, Any]:
        """What the guide prepares of each segment by itself; the first step is one's first."""
        mask = mask.expand(features_x.shape[:-1])
        hs = [None] * -(-mask.shape[-1] // self.block) if h is None else h.split(self.block, -2)
        own = zip(features_x.split(self.block, -2), mask.split(self.block, -1), hs, strict=True)
        return torch.cat([self.guide.prepare(x, valid, before)[0] for x, valid, before in own], -2), None

    def forward(self, prepared: Tensor, state: State, prior: Callable[[], Distribution]) -> Distribution:
        """The guide's density."""
        return self.guide(prepared, state, prior)


def ending(net: VRNN, every: int) -> VRNN:
    """The same network, whose guide ends with segments of so many steps; parameters are shared."""
    if net.guide is None or not net.guide.reads_future:
        return net
    other = copy.copy(net)
    other._modules = {**net._modules, "guide": Ending(net.guide, every)}
    return other


def by_segment(
    net: VRNN, x: Frames, mask: Tensor, name: str, every: int, particles: int, *, noise: Noise | None = None
) -> Tensor:
    """Nats of each segment of recordings given those before it, ``(B, S)``; 0 behind a recording's end.

    Args:
        net: The model.
        x: Frames of whole recordings, ``(B, T, X)``.
        mask: True for frames, ``(B, T)``.
        name: Of an estimator.
        every: Frames of a segment; a recording's last may have fewer.
        particles: K, where it matters.
        noise: What draws are made of; None for the caller's random state.
    """
    net, count = ending(net, every), -(-mask.shape[-1] // every)
    if name == "stepwise":
        return _summed([likelihood.stepwise_of_steps(net, x, mask, particles, noise=noise)], every, count)
    if name == "smc":
        return _summed([smc(net, x, mask, particles, noise=noise).increments], every, count)
    by_rows = []
    for own_x, own_mask, own in parts(x, mask, noise):
        if name == "iwae":
            by_rows.append(_importance(net, own_x, own_mask, every, count, particles, own))
            continue
        terms = (
            likelihood.exact_by_step(net, own_x, own_mask)
            if name == "exact"
            else likelihood.elbo_by_step(net, own_x, own_mask, noise=own, sampled=name == "elbo_sampled")
        )
        by_rows.append(_summed((nats for _, nats, _ in terms), every, count))
    return torch.cat(by_rows)


@torch.no_grad()
def estimate_carried(
    net: VRNN,
    batches: Iterable[Batch],
    name: str,
    *,
    starts: ArrayLike,
    lengths: ArrayLike,
    every: int,
    carry: int | None,
    particles: int = 40,
    scale: Scale,
    seed: int = 0,
    repetitions: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Estimate:
    """Scores the segments of a data set, each given those before it in its group.

    The first of a group is scored as by itself, with the same noise.

    Args:
        net: The model.
        batches: ``(x, mask, indices)`` of whole groups, every one once.
        name: One of :data:`~pyro_vrnn.inference.estimators.ESTIMATORS`.
        starts: The position of each group's first segment among all segments; groups are in order.
        lengths: Frames of each segment.
        every: Frames of all segments of a group but its last.
        carry: Segments of a group at most, for the name; None for all of a recording.
        particles: K, where it matters.
        scale: Units.
        seed: Of the noise.
        repetitions: Independent evaluations, of which the mean is reported. Segments of a group share their past, so
            that their noise is not independent, and no Monte Carlo error is given.
        progress: Told the number of segments after each batch.

    Raises:
        ConfigurationError: If the estimator is unknown or has no meaning for the model.
    """
    estimator = estimator_for(net, name)
    repetitions = 1 if estimator.kind is Kind.EXACT else repetitions
    first, frames = np.asarray(starts), np.asarray(lengths)
    nats, ends = np.full((repetitions, len(frames)), np.nan), np.append(first[1:], len(frames))
    with evaluating(net, seed):
        for x, mask, indices in batches:
            rows = np.asarray(indices)
            for repetition in range(repetitions):
                noise = Noise(seed, first[rows].tolist(), repetition)
                found = by_segment(net, x, mask, name, every, particles, noise=noise).numpy(force=True)
                for row, group in enumerate(rows):
                    nats[repetition, first[group] : ends[group]] = found[row, : ends[group] - first[group]]
            if progress is not None:
                progress(int((ends[rows] - first[rows]).sum()))
    return Estimate(
        name=f"{CARRIED}{carry or 'all'}/" + (f"{name}_{particles}" if estimator.particles else name),
        kind=KINDS.get(name, estimator.kind),
        nats=nats.mean(0),
        frames=frames,
        scale=scale,
        note="given the segments before" + ("; weights begin anew with each" if name == "iwae" else ""),
    )


def _importance(
    net: VRNN, x: Frames, mask: Tensor, every: int, count: int, particles: int, noise: Noise | None
) -> Tensor:
    """The weights of each segment, every particle going on from what it drew before, ``(B, S)``."""
    pieces = Pieces(net, x, mask)
    log_w = torch.cat(
        [
            _summed((rollout.log_weights(z) for _, z, rollout in pieces.infer(chunk, noise)), every, count)
            for chunk in chunks(mask, particles)
        ]
    )
    # Behind a recording's end every weight is 1, whose mean is 1: 0 nats.
    return log_w.logsumexp(0) - math.log(particles)


def _summed(terms: Iterable[Tensor], every: int, count: int) -> Tensor:
    """Sums over the steps of each segment, ``(..., T)`` in pieces to ``(..., S)``, in double precision."""
    total, start = torch.zeros(()), 0
    for nats in terms:
        if start == 0:
            total = nats.new_zeros((*nats.shape[:-1], count), dtype=torch.float64)
        segment = torch.arange(start, start + nats.shape[-1], device=nats.device) // every
        total = total.index_add(-1, segment, nats.double())
        start += nats.shape[-1]
    return total
