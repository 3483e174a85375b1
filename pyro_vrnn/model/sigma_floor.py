"""Whether a density rests on the floor of sigma: where values repeat, a component there can claim any density."""

from functools import singledispatch
from typing import Any

from torch import Tensor
from torch.distributions import MixtureSameFamily

from pyro_vrnn.model.densities import SIGMA_FLOOR, DiagonalNormal
from pyro_vrnn.model.strokes import StrokeMixture

#: A component is at the floor where it is not wider than this many times SIGMA_FLOOR, in its narrowest direction.
FACTOR = 2.0


@singledispatch
def share_at_floor(density: Any, x: Tensor) -> Tensor | None:
    r"""How much of p(x) comes from components at the floor, ``(*B,)`` in [0, 1].

    .. math:: \sum_{k \text{ at the floor}} \pi_k\, p_k(x) / p(x)

    for mixtures; 1 or 0 for a Gaussian, which is at the floor if any of its standard deviations is. Register a family
    here to have it looked at.

    Args:
        density: An emission's, batch ``(*B,)``.
        x: Frames, ``(*B, X)``.

    Returns:
        None for other families.
    """
    return None


@share_at_floor.register
def _(density: DiagonalNormal, x: Tensor) -> Tensor:
    return at_floor(density.scale.amin(-1)).to(x.dtype)


@share_at_floor.register
def _(density: MixtureSameFamily, x: Tensor) -> Tensor | None:
    components = density.component_distribution
    if not isinstance(components, DiagonalNormal):
        return None
    log_p = density.mixture_distribution.logits + components.log_prob(x.unsqueeze(-2))
    return (log_p.softmax(-1) * at_floor(components.scale.amin(-1))).sum(-1)


@share_at_floor.register
def _(density: StrokeMixture, x: Tensor) -> Tensor:
    return (density.log_components(x).softmax(-1) * at_floor(density.narrowest)).sum(-1)


def at_floor(sigma: Tensor) -> Tensor:
    """Which standard deviations lie at the floor."""
    return sigma <= FACTOR * SIGMA_FLOOR
