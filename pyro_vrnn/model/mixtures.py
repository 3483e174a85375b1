"""A prior that is a mixture, and draws from mixtures by given noise."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from torch.distributions import MixtureSameFamily

from pyro_vrnn.model.densities import DiagonalNormal, GaussianMixture, draw
from pyro_vrnn.model.priors import ConditionalPrior
from pyro_vrnn.model.state import Dims


class MixturePrior(ConditionalPrior):
    r""":math:`p(z_t \mid h_{t-1}) = \sum_k \pi_{k,t}\, \mathcal N(\mu_{k,t}, \mathrm{diag}\,\sigma_{k,t}^2)`.

    Its divergence has no closed form: the bound's KL is sampled.

    Args:
        dims: Widths of the model.
        hidden: Widths of the hidden layers of phi_prior.
        components: K.
    """

    def __init__(self, dims: Dims, hidden: Sequence[int], components: int = 5) -> None:
        super().__init__(dims, hidden, partial(GaussianMixture, components=components))


@draw.register
def _(density: MixtureSameFamily, eps: Tensor | None) -> Tensor:
    components, log_pi = density.component_distribution, density.mixture_distribution.logits.log_softmax(-1)
    if torch.is_grad_enabled() and (log_pi.requires_grad or components.mean.requires_grad):
        raise NotImplementedError("a draw from a mixture passes no gradient to it: a guide cannot be one")
    if eps is None or not isinstance(components, DiagonalNormal):
        return density.sample()
    # The first noise picks the component, and what is left of it is as good as new: given that a uniform u lies in
    # the interval of component k, where it lies there is uniform.
    u = torch.special.ndtr(eps[..., :1].double())
    ends = log_pi.double().softmax(-1).cumsum(-1).expand(*eps.shape[:-1], -1)
    k = (u > ends).sum(-1, keepdim=True).clamp(max=ends.shape[-1] - 1)
    high = ends.gather(-1, k)
    low = torch.where(k > 0, ends.gather(-1, (k - 1).clamp(min=0)), 0.0)
    within = ((u - low) / (high - low)).clamp(1e-12, 1 - 1e-12)
    eps = torch.cat([torch.special.ndtri(within).to(eps.dtype), eps[..., 1:]], -1)
    where = k.unsqueeze(-1).expand(*eps.shape[:-1], 1, eps.shape[-1])
    loc, scale = (
        a.expand(*eps.shape[:-1], *a.shape[-2:]).gather(-2, where).squeeze(-2)
        for a in (components.loc, components.scale)
    )
    return loc + scale * eps
