r"""Emissions that give the source's integers a probability, as a density over standardised values.

Standardised, the integer n lies at :math:`x = (n\,\mathrm{lsb} - \mathrm{mean}) / \mathrm{std}`, in the middle of a
cell of width :math:`\delta = \mathrm{lsb} / \mathrm{std}`. The density of a discrete emission is constant in each cell,

.. math:: p(x) = P(n) / \delta, \qquad \log p(x) = \log P(n) + \log \mathrm{std_{LSB}} \text{ a value},

so that it integrates to one, its nats stand beside those of densities, and its bits,
:math:`-(\log p - N \log \mathrm{std_{LSB}}) / (N \ln 2)`, are :math:`-\log_2 P(n)` a value, without a Jacobian.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor, nn
from torch.distributions import constraints
from torch.nn import functional as F

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.model.densities import SIGMA_BIAS, Head, sigma_of
from pyro_vrnn.model.emissions import Emission
from pyro_vrnn.model.precision import full
from pyro_vrnn.model.state import Dims

#: One number for all values of a frame, or one each.
PerValue = float | tuple[float, ...]


@dataclass(frozen=True)
class Grid:
    """Where the source's integers lie among standardised values: n at ``origin + n * step``.

    Attributes:
        origin: Of the integer 0.
        step: From one to the next, positive.
        lowest: The smallest integer; None without end.
        highest: The largest.
    """

    origin: PerValue = 0.0
    step: PerValue = 1.0
    lowest: int | None = None
    highest: int | None = None


INTEGERS, BITS = Grid(), Grid(lowest=0, highest=1)


class Cells(nn.Module):
    """A grid's cells for frames of D values, as tensors that follow the model's device and dtype.

    Args:
        grid: The grid.
        width: D.
    """

    origin: Tensor
    step: Tensor

    def __init__(self, grid: Grid, width: int) -> None:
        super().__init__()
        dtype = torch.get_default_dtype()
        for name in ("origin", "step"):
            values = torch.tensor(getattr(grid, name), dtype=dtype).expand(width).clone()
            # What the data were is stored with them, not with what was learnt.
            self.register_buffer(name, values, persistent=False)
        self.lowest = -math.inf if grid.lowest is None else grid.lowest
        self.highest = math.inf if grid.highest is None else grid.highest

    def integers(self, x: Tensor) -> Tensor:
        """The integers whose cells hold standardised values, ``(*B, D)``."""
        return ((x - self.origin) / self.step).round().clamp(self.lowest, self.highest)

    def values(self, n: Tensor) -> Tensor:
        """The standardised values of integers, ``(*B, D)``."""
        return self.origin + n * self.step


class _Discrete(TorchDistribution):
    """A density that is constant in each cell; batch ``(*B,)``, event ``(D,)``."""

    support = constraints.real_vector
    arg_constraints: ClassVar[dict[str, Any]] = {}
    has_rsample = False

    def __init__(self, cells: Cells, batch_shape: torch.Size) -> None:
        self.cells = cells
        super().__init__(batch_shape, cells.step.shape, validate_args=False)

    def log_mass(self, n: Tensor) -> Tensor:
        """log P(n_d) of integers, ``(*B, D)``."""
        raise NotImplementedError

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of standardised values, ``(*B, D)`` to ``(*B,)``, in nats."""
        return (self.log_mass(self.cells.integers(value)) - self.cells.step.log()).sum(-1)


class LogisticMixtures(_Discrete):
    r"""Every integer's probability under a mixture of K logistics of its own (Salimans et al. 2017, Eq. 2).

    .. math::
        P(n_d) = \sum_k \pi_{dk} \Bigl[\sigma\Bigl(\tfrac{x_d + \delta/2 - \mu_{dk}}{s_{dk}}\Bigr)
        - \sigma\Bigl(\tfrac{x_d - \delta/2 - \mu_{dk}}{s_{dk}}\Bigr)\Bigr]

    with :math:`x_d` the value of :math:`n_d`; the lowest and the highest integer have the tails beyond them, too.

    Args:
        logits: Of the weights, ``(*B, D, K)``.
        mu: Locations, ``(*B, D, K)``.
        s: Scales, ``(*B, D, K)``.
        cells: The grid's.
    """

    def __init__(self, logits: Tensor, mu: Tensor, s: Tensor, cells: Cells) -> None:
        self.logits, self.mu, self.s = logits, mu, s
        super().__init__(cells, mu.shape[:-2])

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> "LogisticMixtures":
        """The same density repeated over a larger batch."""
        shape = (*batch_shape, *self.mu.shape[-2:])
        return LogisticMixtures(self.logits.expand(shape), self.mu.expand(shape), self.s.expand(shape), self.cells)

    def log_mass(self, n: Tensor) -> Tensor:
        """log P(n_d), ``(*B, D)``."""
        n = n.unsqueeze(-1)
        origin, step = self.cells.origin.unsqueeze(-1), self.cells.step.unsqueeze(-1)
        x = origin + n * step
        upper, lower = (x + step / 2 - self.mu) / self.s, (x - step / 2 - self.mu) / self.s
        below, above = F.logsigmoid(upper), F.logsigmoid(-lower)
        # sigma(b) - sigma(a) = sigma(b) sigma(-a) (1 - e^(a - b)): no difference of nearly equal numbers.
        inside = below + above + (-torch.expm1(-step / self.s)).log()
        log_mass = torch.where(n <= self.cells.lowest, below, torch.where(n >= self.cells.highest, above, inside))
        return (self.logits.log_softmax(-1) + log_mass).logsumexp(-1)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Standardised values of integers, ``(*S, *B, D)``."""
        with torch.no_grad():
            shape = (*sample_shape, *self.mu.shape)
            # Gumbel's maximum: the component is the largest of logits with such noise.
            noise = torch.empty(shape, dtype=self.mu.dtype, device=self.mu.device).exponential_().log()
            k = (self.logits - noise).argmax(-1, keepdim=True)
            mu, s = (a.expand(shape).gather(-1, k).squeeze(-1) for a in (self.mu, self.s))
            tiny = torch.finfo(s.dtype).eps
            return self.cells.values(self.cells.integers(mu + s * torch.rand_like(s).clamp(tiny, 1 - tiny).logit()))

    @property
    def mean(self) -> Tensor:
        """Means of the mixtures before they are cut into cells, ``(*B, D)``."""
        return (self.logits.softmax(-1) * self.mu).sum(-1)

    @property
    def variance(self) -> Tensor:
        """Variances of the mixtures before they are cut into cells, ``(*B, D)``."""
        squares = self.mu.square() + (math.pi * self.s).square() / 3
        return (self.logits.softmax(-1) * squares).sum(-1) - self.mean.square()


class Bits(_Discrete):
    r""":math:`P(n_d = 1) = \sigma(a_d)` for integers 0 and 1.

    Args:
        logits: a, ``(*B, D)``.
        cells: The grid's.
    """

    def __init__(self, logits: Tensor, cells: Cells) -> None:
        self.logits = logits
        super().__init__(cells, logits.shape[:-1])

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> "Bits":
        """The same density repeated over a larger batch."""
        return Bits(self.logits.expand(*batch_shape, *self.event_shape), self.cells)

    def log_mass(self, n: Tensor) -> Tensor:
        """log P(n_d), ``(*B, D)``."""
        return F.logsigmoid((2 * n - 1) * self.logits)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Standardised values of 0 and 1, ``(*S, *B, D)``."""
        with torch.no_grad():
            shape = (*sample_shape, *self.logits.shape)
            return self.cells.values(torch.bernoulli(self.logits.sigmoid().expand(shape)))

    @property
    def mean(self) -> Tensor:
        """Standardised means, ``(*B, D)``."""
        return self.cells.values(self.logits.sigmoid())

    @property
    def variance(self) -> Tensor:
        """Variances of the standardised values, ``(*B, D)``."""
        p = self.logits.sigmoid()
        return p * (1 - p) * self.cells.step.square()


class LogisticMixture(Head):
    r"""Head of :class:`LogisticMixtures` with :math:`s = \mathrm{softplus}(a) + 10^{-4}`.

    Args:
        width: Values in the event, D.
        components: Logistics of each value, K.
        grid: Of the source's integers.
    """

    gives_mass = True

    def __init__(self, width: int, components: int = 10, grid: Grid = INTEGERS) -> None:
        super().__init__()
        self.width, self.components = width, components
        self.inputs = 3 * width * components
        self.cells = Cells(grid, width)

    def start(self, bias: Tensor) -> None:
        """Sets the bias of the layer below: scales as a Gaussian's, locations apart from each other."""
        _, mu, rho = bias.data.chunk(3)
        mu.copy_(torch.linspace(-1, 1, self.components, device=mu.device).repeat(self.width))
        rho.fill_(SIGMA_BIAS)

    def forward(self, a: Tensor) -> LogisticMixtures:
        """Maps ``(*B, 3 D K)`` to a density with batch ``(*B,)``."""
        logits, mu, rho = (b.unflatten(-1, (self.width, self.components)) for b in full(a).chunk(3, -1))
        return LogisticMixtures(logits, mu, sigma_of(rho), self.cells)


class Bernoulli(Head):
    """Head of :class:`Bits`.

    Args:
        width: Values in the event, D.
        grid: Where 0 and 1 lie.
    """

    gives_mass = True

    def __init__(self, width: int, grid: Grid = BITS) -> None:
        super().__init__()
        self.inputs = width
        self.cells = Cells(grid, width)

    def forward(self, a: Tensor) -> Bits:
        """Maps ``(*B, D)`` to a density with batch ``(*B,)``."""
        return Bits(full(a), self.cells)


def dmol(dims: Dims, hidden: Sequence[int], components: int = 10, grid: Grid = INTEGERS) -> Emission:
    """The emission of :class:`LogisticMixture`."""
    return Emission(dims, hidden, partial(LogisticMixture, components=components, grid=grid))


def bernoulli(dims: Dims, hidden: Sequence[int], grid: Grid = BITS) -> Emission:
    """The emission of :class:`Bernoulli`."""
    return Emission(dims, hidden, partial(Bernoulli, grid=grid))


def grid_of(emission: str, data: Mapping[str, Any] | None) -> Grid:
    """The grid that a discrete emission gives probabilities to.

    Args:
        emission: ``dmol`` or ``bernoulli``.
        data: What the data were: ``lsb``, ``mean`` and ``std`` (numbers, or one a value), ``lossless``, ``dither`` and
            ``kind`` (``audio`` where it is missing).

    Raises:
        ConfigurationError: If they have none.
    """
    flag = f"--emission {emission}"
    if data is None:
        raise ConfigurationError(f"{flag}: needs to know the source's integers; pass build(..., corpus.describe())")
    kind, lsb = data.get("kind", "audio"), data.get("lsb")
    if kind == "pen":
        raise ConfigurationError(f"{flag}: not for pen strokes, whose third value is no coordinate; use pen")
    if emission == "bernoulli" and (kind != "arrays" or lsb != 1.0):
        raise ConfigurationError(f"{flag}: expects values 0 and 1, and these data hold others; use gaussian or gmm")
    if lsb is None:
        raise ConfigurationError(f"{flag}: the source holds floats, on no grid of integers; use gaussian or gmm")
    if data.get("dither"):
        raise ConfigurationError(f"{flag}: gives the integers themselves a probability; leave out --dither")
    if not data.get("lossless", True):
        raise ConfigurationError(
            f"{flag}: these are not the source's own integers (resampled, mixed or lossy files); use gaussian or gmm"
        )
    means, stds = (data[name] if isinstance(data[name], list | tuple) else [data[name]] for name in ("mean", "std"))
    origin = tuple(-float(mean) / float(std) for mean, std in zip(means, stds, strict=True))
    step = tuple(float(lsb) / float(std) for std in stds)
    lowest, highest = (None, None) if kind == "arrays" else (-round(1 / lsb), round(1 / lsb) - 1)
    if emission == "bernoulli":
        lowest, highest = 0, 1
    if len(step) == 1:
        return Grid(origin[0], step[0], lowest, highest)
    return Grid(origin, step, lowest, highest)
