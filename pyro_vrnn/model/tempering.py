"""Densities with a temperature: narrower and more decided below 1, wider and less decided above."""

from functools import singledispatch
from math import isfinite
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Independent, MixtureSameFamily, MultivariateNormal

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.model.densities import DiagonalNormal
from pyro_vrnn.model.discrete import Bits, LogisticMixtures
from pyro_vrnn.model.strokes import StrokeMixture


def tempered(density: Any, temperature: float) -> Any:
    r"""The same family with scales times the temperature, and logits of mixtures and bits divided by it.

    It is not :math:`p^{1/\tau}`, which has no closed form for a mixture, and whose standard deviations would grow with
    :math:`\sqrt\tau` only.

    Args:
        density: Of a step, whatever its batch.
        temperature: Positive; 1 gives the density itself.

    Raises:
        ConfigurationError: For another temperature, or a family that has none; see :func:`scaled`.
    """
    check_temperature("temperature", temperature)
    return density if temperature == 1 else scaled(density, temperature)


def check_temperature(name: str, temperature: float) -> None:
    """Sees that it is one.

    Raises:
        ConfigurationError: If it is not positive and finite.
    """
    if not (isfinite(temperature) and temperature > 0):
        raise ConfigurationError(f"{name} {temperature}: expected a positive number; 1 changes nothing")


@singledispatch
def scaled(density: Any, temperature: float) -> Any:
    """What :func:`tempered` gives. Register a family of your own here.

    Raises:
        ConfigurationError: For a family that is not registered.
    """
    raise ConfigurationError(
        f"temperature {temperature}: {type(density).__name__} has none; use 1, or register the family with"
        " pyro_vrnn.model.tempering.scaled"
    )


@scaled.register
def _(density: DiagonalNormal, temperature: float) -> DiagonalNormal:
    return DiagonalNormal(density.loc, density.scale * temperature, validate_args=False)


@scaled.register
def _(density: MultivariateNormal, temperature: float) -> MultivariateNormal:
    return type(density)(density.loc, scale_tril=density.scale_tril * temperature, validate_args=False)


@scaled.register
def _(density: MixtureSameFamily, temperature: float) -> dist.MixtureSameFamily:
    logits = density.mixture_distribution.logits / temperature
    return dist.MixtureSameFamily(dist.Categorical(logits=logits), scaled(density.component_distribution, temperature))


@scaled.register
def _(density: StrokeMixture, temperature: float) -> StrokeMixture:
    return StrokeMixture(
        density.logits / temperature,
        density.loc,
        density.scale * temperature,
        density.correlation,
        density.pen_logits / temperature,
    )


@scaled.register
def _(density: Independent, temperature: float) -> Any:
    return scaled(density.base_dist, temperature).to_event(density.reinterpreted_batch_ndims)


@scaled.register
def _(density: torch.distributions.Laplace, temperature: float) -> dist.Laplace:
    return dist.Laplace(density.loc, density.scale * temperature)


@scaled.register
def _(density: torch.distributions.Normal, temperature: float) -> dist.Normal:
    return dist.Normal(density.loc, density.scale * temperature)


@scaled.register
def _(density: torch.distributions.StudentT, temperature: float) -> dist.StudentT:
    return dist.StudentT(density.df, density.loc, density.scale * temperature)


@scaled.register
def _(density: LogisticMixtures, temperature: float) -> LogisticMixtures:
    return LogisticMixtures(density.logits / temperature, density.mu, density.s * temperature, density.cells)


@scaled.register
def _(density: Bits, temperature: float) -> Bits:
    return Bits(density.logits / temperature, density.cells)


@singledispatch
def written_mean(density: Any, x: Tensor) -> Tensor:
    """The density's mean, for what is written by means: ``(*B, D)``; of a mixture, that of the whole mixture.

    The mean of integers lies between them. A pen is up or down and nothing between: its offsets are means, and the pen
    is that of the draw.

    Args:
        density: Of a step.
        x: What was drawn from it.
    """
    return density.mean


@written_mean.register
def _(density: StrokeMixture, x: Tensor) -> Tensor:
    return torch.cat([density.mean[..., :2], x[..., 2:]], -1)
