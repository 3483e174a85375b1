"""Bounds that are no bounds any more: a divergence weighted or floored, or a cost beside it."""

import torch
from torch import Tensor

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference.noise import own_noise
from pyro_vrnn.inference.results import Kind
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.rollout import Rollout
from pyro_vrnn.model.segments import infer
from pyro_vrnn.model.state import Past
from pyro_vrnn.model.zforcing import foreseen
from pyro_vrnn.training.contract import Objective
from pyro_vrnn.training.world import World


class Weighted(Objective):
    r"""A bound whose divergence is weighted or floored, or that has a cost beside it: an objective, never a likelihood.

    .. math::
        \sum_t \log p(x_t \mid z_{\le t}, x_{<t}) - \beta \sum_j n \max(\lambda, \overline{\mathrm{KL}}_j)
        + \alpha \sum_t \log p_\xi(b_t \mid z_t)

    with beta rising from 0 to 1 (annealing), free bits lambda (Kingma et al. 2016, App. C.8), and the mean over the n
    valid frames of the batch, over all ranks, of latent dimension j's divergence. Padding never enters the mean.
    The last term is there where the network has an auxiliary part (:mod:`~pyro_vrnn.model.zforcing`).

    Args:
        net: A model with latents.
        annealing: Optimiser steps until beta is 1.
        free_bits: lambda, in nats a latent dimension and frame; 0 leaves the divergence as it is.
        world: Whose ranks share a batch.
    """

    kind = Kind.OBJECTIVE

    def __init__(self, net: VRNN, annealing: int = 0, free_bits: float = 0.0, world: World | None = None) -> None:
        super().__init__()
        self.net, self.annealing, self.free_bits = net, annealing, free_bits
        self.world = World() if world is None else world
        self.beta = 1.0

    def at(self, step: int) -> None:
        """Sets beta."""
        self.beta = min(1.0, step / self.annealing) if self.annealing else 1.0

    def forward(self, x: Tensor, mask: Tensor, past: Past | None = None) -> Tensor:
        """The negative objective."""
        z, rollout = infer(self.net, x, mask, x.shape[:1], by_dimension=self.free_bits > 0, past=past)
        self.after = None if past is None else rollout.left
        reconstruction = rollout.log_emission.sum()
        kl = rollout.kl_or_sampled(z).sum() if self.free_bits == 0 else self._floored(rollout, mask)
        objective = reconstruction - self.beta * kl
        true = kl.detach() if self.free_bits == 0 else rollout.kl.detach().sum()
        bound = reconstruction.detach() - true
        self.parts = {
            "objective": objective.detach(),
            "bound": bound,
            "reconstruction": reconstruction.detach(),
            "kl": true,
        }
        if self.net.auxiliary is not None:
            predicted = self.net.auxiliary(z, foreseen(self.net, x, mask)).masked_fill(~mask, 0.0).sum()
            objective = objective + self.net.auxiliary.weight * predicted
            self.parts |= {"objective": objective.detach(), "auxiliary": predicted.detach()}
        return -objective

    def _floored(self, rollout: Rollout, mask: Tensor) -> Tensor:
        by_dimension = _by_dimension(rollout)
        own = by_dimension.sum((0, 1))
        # Whether a dimension lies above the floor is decided by the whole batch; each rank then adds its part of it.
        frames, *whole = self.world.sum(torch.cat([mask.sum().to(own).unsqueeze(0), own]))
        floor = self.free_bits * frames
        return torch.where(torch.stack(whole) >= floor, own, floor / self.world.size).sum()


def check_free_bits(net: VRNN) -> None:
    """Sees that the divergence of each latent dimension is known.

    Raises:
        ConfigurationError: If it is not.
    """
    like = next(net.parameters())
    x, mask = like.new_zeros(1, 1, net.dims.x), torch.ones(1, 1, dtype=torch.bool, device=like.device)
    with torch.no_grad(), own_noise(like.device):
        _by_dimension(infer(net, x, mask, (1,))[1])


def _by_dimension(rollout: Rollout) -> Tensor:
    try:
        return rollout.kl_of_dimensions
    except NotImplementedError as error:
        raise ConfigurationError(
            f"training.free_bits: {error} is not known; use a guide and a prior that are diagonal Gaussians"
        ) from None
