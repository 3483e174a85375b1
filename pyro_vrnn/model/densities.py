"""Densities over one frame or one latent, and the heads that turn a net's output into them."""

import math
from collections.abc import Sequence
from functools import singledispatch
from typing import Any, ClassVar

import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, constraints
from torch.distributions.kl import register_kl
from torch.nn import functional as F

from pyro_vrnn.model.precision import full

#: Smallest standard deviation of every head (:func:`sigma_of`).
SIGMA_FLOOR = 1e-4
#: Where the bias of every sigma head starts (released code).
SIGMA_BIAS = 0.6
_LOG_2PI = math.log(2 * math.pi)


class DiagonalNormal(TorchDistribution):
    r""":math:`\mathcal N(\mu, \mathrm{diag}\,\sigma^2)` over the last dimension.

    The same density as ``Normal(loc, scale).to_event(1)``, without that wrapper's cost at every step of a loop.

    Args:
        loc: Means, ``(*B, D)``.
        scale: Standard deviations, ``(*B, D)``.
    """

    arg_constraints: ClassVar = {
        "loc": constraints.real_vector,
        "scale": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor, validate_args: bool | None = None) -> None:
        if loc.shape != scale.shape:
            loc, scale = torch.broadcast_tensors(loc, scale)
        self.loc, self.scale = loc, scale
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """Means, ``(*B, D)``."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """Variances, ``(*B, D)``."""
        return self.scale.square()

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> "DiagonalNormal":
        """The same density repeated over a larger batch."""
        shape = (*batch_shape, *self.event_shape)
        return DiagonalNormal(self.loc.expand(shape), self.scale.expand(shape), validate_args=False)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        r""":math:`\mu + \sigma \odot \epsilon` with standard normal :math:`\epsilon`."""
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.loc + self.scale * torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density, ``(*B, D)`` to ``(*B,)``, in nats."""
        if self._validate_args:
            self._validate_sample(value)
        standard = (value - self.loc) / self.scale
        return -(0.5 * standard.square() + self.scale.log()).sum(-1) - 0.5 * _LOG_2PI * self.loc.shape[-1]

    def entropy(self) -> Tensor:
        """Differential entropy in nats, ``(*B,)``."""
        return self.scale.log().sum(-1) + 0.5 * (1 + _LOG_2PI) * self.loc.shape[-1]


@register_kl(DiagonalNormal, DiagonalNormal)
def _kl_diagonal_normals(q: DiagonalNormal, p: DiagonalNormal) -> Tensor:
    return kl_of_dimensions(q, p).sum(-1)


def kl_of_dimensions(q: Any, p: Any) -> Tensor:
    """KL(q || p) of every dimension by itself in nats, ``(*B, D)``, of two densities whose dimensions are independent.

    Raises:
        NotImplementedError: For other families.
    """
    if not (isinstance(q, DiagonalNormal) and isinstance(p, DiagonalNormal)):
        raise NotImplementedError(f"KL by dimension of {type(q).__name__} and {type(p).__name__}")
    ratio = q.scale / p.scale
    return 0.5 * (ratio.square() + ((q.loc - p.loc) / p.scale).square() - 1 - 2 * ratio.log())


@singledispatch
def draw(density: Any, eps: Tensor | None) -> Tensor:
    """A reparameterised draw, ``(*B, D)``, made of standard normal noise of that shape; None draws the noise too.

    Register a family here to have its draws follow given noise; one that is not registered draws its own.

    Args:
        density: Of batch ``(*B,)`` and event ``(D,)``.
        eps: The noise.
    """
    return full(density.rsample())


@draw.register
def _(density: DiagonalNormal, eps: Tensor | None) -> Tensor:
    return density.rsample() if eps is None else density.loc + density.scale * eps


@draw.register
def _(density: MultivariateNormal, eps: Tensor | None) -> Tensor:
    if eps is None:
        return density.rsample()
    return density.loc + (density.scale_tril @ eps.unsqueeze(-1)).squeeze(-1)


#: Families of densities over vectors that are given by vectors ``(*B, D)``, by the names of those. Name a family here
#: to have its densities, and its divergences, computed for all steps at once.
FAMILIES: dict[type, tuple[str, ...]] = {DiagonalNormal: ("loc", "scale")}


class PerStep:
    """Densities of successive steps of a family that is not in :data:`FAMILIES`, asked one by one.

    Args:
        steps: The density of each step, with equal batch shapes ``(*B,)``; fewer where the steps were not kept.
        z: What was drawn from them, ``(*B, T, D)``.
        log_q: The log-density there, ``(*B, T)``.
    """

    def __init__(self, steps: Sequence[Any], z: Tensor, log_q: Tensor) -> None:
        self.steps, self.z, self.log_q = tuple(steps), z, log_q

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of every step's value, ``(*B, T, D)`` to ``(*B, T)``."""
        if value.shape == self.z.shape and value.data_ptr() == self.z.data_ptr():
            return self.log_q
        if len(self.steps) != value.shape[-2]:
            raise NotImplementedError(
                f"log-density of {type(self.steps[0]).__name__} at values that were not drawn: a recorded loop keeps"
                " no density of each step; name the family in pyro_vrnn.model.densities.FAMILIES"
            )
        pairs = zip(self.steps, value.unbind(-2), strict=True)
        return torch.stack([step.log_prob(value_t) for step, value_t in pairs], -1)


def drawn_with(density: Any, z_t: Tensor) -> tuple[Tensor, ...]:
    """What a step must hand out of a loop over time for :func:`over_time` to give its density back, each ``(*B, D)``.

    Args:
        density: That of the step.
        z_t: What was drawn from it.
    """
    names = FAMILIES.get(type(density))
    if names is None:
        return (density.log_prob(z_t).unsqueeze(-1),)
    return tuple(getattr(density, name) for name in names)


def over_time(steps: Sequence[Any], z: Tensor, handed: Sequence[Tensor]) -> Any:
    """One density with a time axis, batch ``(*B, T)``, from those of T steps, each with batch ``(*B,)``.

    Args:
        steps: Densities of steps, the last ones of them in order; at least one, whose family is that of all.
        z: What was drawn, ``(*B, T, D)``.
        handed: What :func:`drawn_with` gave, each ``(*B, T, D)``.
    """
    names = FAMILIES.get(type(steps[0]))
    if names is None:
        (log_q,) = handed
        return PerStep(steps[-z.shape[-2] :], z, log_q.squeeze(-1))
    return type(steps[0])(**dict(zip(names, handed, strict=True)), validate_args=False)


class Head(nn.Module):
    """Contract of a head: it turns a net's output into a density.

    Attributes:
        inputs: Numbers that it wants of the net.
        binary: Values of the event that are 0 or 1, its last ones. A density of such a head has
            ``log_mass(value)``, their log-probability, ``(*B, D)`` to ``(*B,)``, which is a factor of the density.
        gives_mass: Whether it gives the source's integers a probability (:mod:`~pyro_vrnn.model.discrete`).
    """

    inputs: int
    binary: int = 0
    gives_mass: bool = False

    def start(self, bias: Tensor) -> None:
        """Sets the bias ``(inputs,)`` of the layer below as training should start; by default leaves it."""

    def forward(self, a: Tensor) -> Any:
        """Maps ``(*B, inputs)`` to a density with batch ``(*B,)``, in float32 also under autocast."""
        raise NotImplementedError


def sigma_of(a: Tensor) -> Tensor:
    r""":math:`\sigma = \mathrm{softplus}(a) + 10^{-4}`, of every head (released code of Chung et al. 2015)."""
    return F.softplus(a) + SIGMA_FLOOR


class LocationScale(Head):
    """Head of a density whose values are independent, each with a location and a scale.

    Args:
        width: Values in the event, D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inputs = 2 * width

    def start(self, bias: Tensor) -> None:
        """Sets the bias of the layer below as the paper's code starts it."""
        bias.data.chunk(2)[1].fill_(SIGMA_BIAS)

    def forward(self, a: Tensor) -> Any:
        """Maps ``(*B, 2 D)`` to a density with batch ``(*B,)``."""
        mu, rho = full(a).chunk(2, -1)
        return self.density(mu, sigma_of(rho))

    def density(self, loc: Tensor, scale: Tensor) -> Any:
        """The density, of locations and scales ``(*B, D)``."""
        raise NotImplementedError


class DiagonalGaussian(LocationScale):
    r"""Head of :math:`\mathcal N(\mu, \mathrm{diag}\,\sigma^2)`, with :func:`sigma_of`."""

    def density(self, loc: Tensor, scale: Tensor) -> DiagonalNormal:
        """The Gaussian."""
        return DiagonalNormal(loc, scale)


class ConstantGaussian(Head):
    r"""Head of :math:`\mathcal N(\mu, \mathrm{diag}\,\sigma^2)` whose :math:`\sigma` is one parameter of its own.

    Over a linear net it makes a linear-Gaussian density.

    Args:
        width: Values in the event, D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inputs = width
        self.rho = nn.Parameter(torch.full((width,), SIGMA_BIAS))

    @property
    def sigma(self) -> Tensor:
        """The standard deviations, ``(D,)``."""
        return sigma_of(self.rho)

    def forward(self, a: Tensor) -> DiagonalNormal:
        """Maps ``(*B, D)`` to a density with batch ``(*B,)``."""
        return DiagonalNormal(full(a), self.sigma.expand(a.shape))


class GaussianMixture(Head):
    r"""Head of :math:`\sum_k \pi_k\, \mathcal N(\mu_k, \mathrm{diag}\,\sigma_k^2)`, one mixture over the whole event.

    Args:
        width: Values in the event, D.
        components: Number of components, K.
    """

    def __init__(self, width: int, components: int = 20) -> None:
        super().__init__()
        self.width, self.components = width, components
        self.inputs = components * (2 * width + 1)

    def start(self, bias: Tensor) -> None:
        """Sets the bias of the layer below as the paper's code starts it."""
        _, _, rho = bias.data.split([self.components, *[self.components * self.width] * 2])
        rho.fill_(SIGMA_BIAS)

    def forward(self, a: Tensor) -> dist.MixtureSameFamily:
        """Maps ``(*B, K (2 D + 1))`` to a density with batch ``(*B,)``."""
        logits, mu, rho = full(a).split([self.components, *[self.components * self.width] * 2], -1)
        shape = (self.components, self.width)
        components = DiagonalNormal(mu.unflatten(-1, shape), sigma_of(rho.unflatten(-1, shape)))
        return dist.MixtureSameFamily(dist.Categorical(logits=logits), components)
