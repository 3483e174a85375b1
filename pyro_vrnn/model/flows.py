"""Guides made on top of other guides: their mean added to the prior's, and inverse autoregressive flows."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pyro.distributions as dist
import torch
from pyro.distributions.transforms import AffineAutoregressive, ConditionalAffineAutoregressive
from pyro.nn import ConditionalAutoRegressiveNN
from torch import Tensor, nn
from torch.distributions import Distribution, TransformedDistribution
from torch.nn import functional as F

from pyro_vrnn.model.densities import DiagonalNormal, draw
from pyro_vrnn.model.guides import Guide
from pyro_vrnn.model.precision import full
from pyro_vrnn.model.state import State


class GuideOnTop(Guide):
    """A guide that reads what another reads.

    Args:
        base: The other, whose densities are diagonal Gaussians.
    """

    def __init__(self, base: Guide) -> None:
        super().__init__()
        self.base = base
        self.reads_state, self.reads_prior, self.reads_future = base.reads_state, base.reads_prior, base.reads_future
        self.foresees = base.foresees

    def prepare(
        self, features_x: Tensor, mask: Tensor, h: Tensor | None = None, memory: Any = None
    ) -> tuple[Tensor, Any]:
        """What the base prepares."""
        return self.base.prepare(features_x, mask, h, memory)

    def foresight(self, features_x: Tensor, mask: Tensor, h: Tensor | None = None) -> Tensor:
        """What the base has read of the future."""
        return self.base.foresight(features_x, mask, h)


class ResidualGuide(GuideOnTop):
    r""":math:`q(z_t \mid \cdot) = \mathcal N(\mathbb E_p[z_t] + \mu_t, \mathrm{diag}\,\sigma_t^2)`.

    The base's mean is what is added to the prior's (SRNN's parameterisation: Fraccaro et al. 2016, Sec. 3.3): a guide
    that has learnt nothing yet agrees with the prior on the mean.

    Args:
        base: Gives :math:`\mu_t` and :math:`\sigma_t`.
    """

    def __init__(self, base: Guide) -> None:
        super().__init__(base)
        self.reads_prior = True

    def forward(self, prepared: Tensor, state: State, prior: Callable[[], Distribution]) -> DiagonalNormal:
        """Density of z_t about the prior's mean."""
        q = self.base(prepared, state, prior)
        return DiagonalNormal(prior().mean + q.loc, q.scale)


class FlowGuide(GuideOnTop):
    r"""The base's draw, carried on by inverse autoregressive steps (Kingma et al. 2016, Eqs. 10 and 14).

    .. math::
        u^{(0)} \sim \text{base}, \qquad
        u^{(i)} = s^{(i)} \odot u^{(i-1)} + (1 - s^{(i)}) \odot m^{(i)}, \qquad z_t = u^{(I)}

    where :math:`m^{(i)}_j, s^{(i)}_j` read :math:`u^{(i-1)}_{<j}` (in every other step :math:`u^{(i-1)}_{>j}`) and the
    base's mean and log sigma, so that :math:`\log q(z_t) = \log q(u^{(0)}) - \sum_i \sum_j \log s^{(i)}_j`. A draw
    knows its log-density; that of a value from elsewhere takes Z passes a step to invert. Its divergence is sampled.

    Args:
        base: Any guide whose densities are diagonal Gaussians.
        z: Z.
        hidden: Widths of the hidden layers of each step's net; none is narrower than Z.
        steps: I.
    """

    def __init__(self, base: Guide, z: int, hidden: Sequence[int], steps: int = 2) -> None:
        super().__init__(base)
        # Its masks are looked at while it is made, also where a model is only counted and has no memory.
        wide = [max(z, width) for width in hidden or [z]]
        # Its masks are looked at while it is made, also where a model is only counted and has no memory.
        with torch.device("cpu"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*input_dim = 1")  # a step is affine then, and may be
            nets = [_Net(z, 2 * z, wide, number) for number in range(steps)]
        self.steps = nn.ModuleList(_Step(net, stable=True) for net in nets)

    def forward(
        self, prepared: Tensor, state: State, prior: Callable[[], Distribution]
    ) -> dist.TransformedDistribution:
        """Density of z_t."""
        q = self.base(prepared, state, prior)
        read = torch.cat([q.loc, q.scale.log()], -1)
        return dist.TransformedDistribution(q, [step.condition(read) for step in self.steps])  # type: ignore[operator]


class _Net(ConditionalAutoRegressiveNN):
    """Pyro's masked net; odd steps read backwards. Under autocast what it gives is float32."""

    def __init__(self, z: int, context: int, hidden: list[int], number: int) -> None:
        self.order = [*range(z)][:: -1 if number % 2 else 1]
        super().__init__(z, context, hidden, permutation=torch.tensor(self.order))

    def forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """m and the logit of s, each ``(*B, Z)``."""
        m, logit = (full(a) for a in super().forward(x, context))
        # With Pyro's bias s is above 0.12: a step that took a value's whole range away could not be inverted.
        return m, F.softplus(logit + 4) - 4


class _Step(ConditionalAffineAutoregressive):
    """Pyro's transform, inverted in the values' own dtype, and without waiting for the device."""

    def condition(self, context: Tensor) -> AffineAutoregressive:
        """The transform that reads the context."""
        return _Conditioned(partial(self.nn, context=context), self.nn.order, **self.kwargs)


class _Conditioned(AffineAutoregressive):
    def __init__(self, net: Callable[[Tensor], tuple[Tensor, Tensor]], order: list[int], **options: Any) -> None:
        super().__init__(net, **options)
        self.order = order

    def _inverse_stable(self, y: Tensor) -> Tensor:
        x, one = torch.zeros_like(y), torch.eye(y.shape[-1], dtype=torch.bool, device=y.device)
        for j in self.order:
            m, logit = self.arn(x)
            inverse = 1 + (-logit - self.sigmoid_bias).exp()
            x = torch.where(one[j], inverse * y + (1 - inverse) * m, x)
        self._cached_log_scale = F.logsigmoid(self.arn(x)[1] + self.sigmoid_bias)
        return x


@draw.register
def _(density: TransformedDistribution, eps: Tensor | None) -> Tensor:
    z = draw(density.base_dist, eps)
    for transform in density.transforms:
        z = transform(z)
    return z
