"""The density of a pen's offsets and lifts, and the head that parameterises it."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.distributions import constraints
from torch.nn import functional as F

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.model.densities import SIGMA_BIAS, Head, sigma_of
from pyro_vrnn.model.precision import full

#: Correlations are held inside (-1, 1): rho = RHO_LIMIT tanh(a). 1 - rho^2 is then at least 0.002, which float32 has to
#: four digits, and a stroke along a straight line can still be 45 times as long as it is wide.
RHO_LIMIT = 0.999
#: Values of a point: dx, dy and pen.
POINT = 3
_LOG_2PI = math.log(2 * math.pi)


class StrokeMixture(TorchDistribution):
    r"""Density of a pen's point, :math:`x = (x_1, x_2, e)`: offsets in the plane, and whether the pen is lifted after.

    .. math::
        p(x) = \sum_k \pi_k\, \mathcal N\!\left(x_{1:2};\ \mu_k,
        \begin{pmatrix} \sigma_{k1}^2 & \rho_k \sigma_{k1} \sigma_{k2} \\
        \rho_k \sigma_{k1} \sigma_{k2} & \sigma_{k2}^2 \end{pmatrix}\right) \cdot p_e^{e} (1 - p_e)^{1 - e}

    (Graves 2013, Eqs. 23 to 26). The pen stands outside the mixture: given the parameters it is independent of the
    offsets. Over them this is a density, over the pen a probability.

    Args:
        logits: Of the K components, ``(*B, K)``; need not be normalised.
        loc: Means of the offsets, ``(*B, K, 2)``.
        scale: Their standard deviations, ``(*B, K, 2)``.
        correlation: rho, ``(*B, K)``.
        pen_logits: Log-odds of the pen being lifted, ``(*B,)``.
    """

    arg_constraints: ClassVar = {
        "logits": constraints.real_vector,
        "loc": constraints.independent(constraints.real, 2),
        "scale": constraints.independent(constraints.positive, 2),
        "correlation": constraints.independent(constraints.interval(-1.0, 1.0), 1),
        "pen_logits": constraints.real,
    }
    support = constraints.independent(
        constraints.cat([constraints.real, constraints.boolean], dim=-1, lengths=[2, 1]), 1
    )

    def __init__(
        self,
        logits: Tensor,
        loc: Tensor,
        scale: Tensor,
        correlation: Tensor,
        pen_logits: Tensor,
        validate_args: bool | None = None,
    ) -> None:
        self.logits, self.loc, self.scale = logits, loc, scale
        self.correlation, self.pen_logits = correlation, pen_logits
        super().__init__(pen_logits.shape, torch.Size((POINT,)), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """Means of the offsets and the probability of a lifted pen, ``(*B, 3)``."""
        weights = self.logits.softmax(-1).unsqueeze(-1)
        return torch.cat([(weights * self.loc).sum(-2), self.pen_logits.sigmoid().unsqueeze(-1)], -1)

    @property
    def variance(self) -> Tensor:
        """Variances of the three values, ``(*B, 3)``."""
        weights, mean = self.logits.softmax(-1).unsqueeze(-1), self.mean
        away = self.loc - mean[..., :2].unsqueeze(-2)
        offsets, lifted = (weights * (self.scale.square() + away.square())).sum(-2), mean[..., 2:]
        return torch.cat([offsets, lifted * (1 - lifted)], -1)

    @property
    def narrowest(self) -> Tensor:
        r"""Standard deviation of each component along its minor axis, ``(*B, K)``.

        It is the square root of the covariance's smaller eigenvalue: that of :math:`\sigma_1, \sigma_2` where they are
        not correlated, and less where they are.
        """
        a, d = self.scale.square().unbind(-1)
        product = a * d
        larger = 0.5 * (a + d) + (0.25 * (a - d).square() + product * self.correlation.square()).sqrt()
        return (product * self._uncorrelated / larger).sqrt()

    @property
    def _uncorrelated(self) -> Tensor:
        """1 - rho^2 without the loss of digits where rho is near 1."""
        return (1 - self.correlation) * (1 + self.correlation)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> "StrokeMixture":
        """The same density repeated over a larger batch."""
        batch, K = tuple(batch_shape), self.logits.shape[-1]
        parameters = (
            self.logits.expand(*batch, K),
            self.loc.expand(*batch, K, 2),
            self.scale.expand(*batch, K, 2),
            self.correlation.expand(*batch, K),
            self.pen_logits.expand(batch),
        )
        return StrokeMixture(*parameters, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density, ``(*B, 3)`` to ``(*B,)``, in nats: of the offsets, times the pen's probability."""
        if self._validate_args:
            self._validate_sample(value)
        return self.log_components(value).logsumexp(-1) + self.log_mass(value)

    def log_components(self, value: Tensor) -> Tensor:
        r""":math:`\log \pi_k \mathcal N_k` of the offsets, ``(*B, 3)`` to ``(*B, K)``, in nats."""
        u, v = ((value[..., None, :2] - self.loc) / self.scale).unbind(-1)
        # As N(u) N(v | u), a sum of squares: u^2 + v^2 - 2 rho u v would lose all digits where it matters.
        open_ = self._uncorrelated
        squares = u.square() + (v - self.correlation * u).square() / open_
        log_volume = self.scale.log().sum(-1) + 0.5 * open_.log()
        return self.logits.log_softmax(-1) - (0.5 * squares + log_volume + _LOG_2PI)

    def log_mass(self, value: Tensor) -> Tensor:
        """Log-probability of the pen alone, ``(*B, 3)`` to ``(*B,)``, in nats."""
        # e log p + (1 - e) log(1 - p) at p = sigmoid(l); finite for any l.
        return value[..., 2] * self.pen_logits - F.softplus(self.pen_logits)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws points, ``(*sample_shape, *B, 3)``."""
        shape = self._extended_shape(torch.Size(sample_shape))
        with torch.no_grad():
            chosen = torch.distributions.Categorical(logits=self.logits, validate_args=False).sample(
                torch.Size(sample_shape)
            )
            where = chosen[..., None, None]

            def of_chosen(a: Tensor) -> Tensor:
                a = a.expand(*shape[:-1], *a.shape[-2:])
                return a.gather(-2, where.expand(*shape[:-1], 1, a.shape[-1])).squeeze(-2)

            loc, scale = of_chosen(self.loc), of_chosen(self.scale)
            rho = of_chosen(self.correlation.unsqueeze(-1)).squeeze(-1)
            first, second = torch.randn(*shape[:-1], 2, dtype=loc.dtype, device=loc.device).unbind(-1)
            second = rho * first + ((1 - rho) * (1 + rho)).sqrt() * second
            pen = torch.bernoulli(self.pen_logits.sigmoid().expand(shape[:-1]))
            return torch.cat([loc + scale * torch.stack([first, second], -1), pen.unsqueeze(-1)], -1)


class PenStroke(Head):
    r"""Head of :class:`StrokeMixture`: K bivariate Gaussians and a pen.

    :math:`\sigma = \mathrm{softplus}(a) + 10^{-4}`, :math:`\rho = 0.999 \tanh(a)`. One component has no weight to
    learn: ``PenStroke(3, 1)`` is what the paper's tables call Gauss on handwriting.

    Args:
        width: Values in the event; a point of a pen has 3.
        components: Number of components, K.

    Raises:
        ConfigurationError: If frames have another number of values.
    """

    binary = 1

    def __init__(self, width: int = POINT, components: int = 20) -> None:
        super().__init__()
        if width != POINT:
            raise ConfigurationError(
                f"a pen's emission for frames of {width} values; expected points (dx, dy, pen): choose the emission"
                " gaussian or gmm, or data of pen strokes"
            )
        self.components = components
        #: Of the pen, the weights, the means, the correlations and the standard deviations.
        self.split = (1, components if components > 1 else 0, 2 * components, components, 2 * components)
        self.inputs = sum(self.split)

    def start(self, bias: Tensor) -> None:
        """Sets the bias of the layer below as the paper's code starts it."""
        bias.data.split(self.split)[-1].fill_(SIGMA_BIAS)

    def forward(self, a: Tensor) -> StrokeMixture:
        """Maps ``(*B, 6 K + 1)``, of one component ``(*B, 6)``, to a density with batch ``(*B,)``."""
        K = self.components
        pen, logits, mu, rho, sigma = full(a).split(self.split, -1)
        return StrokeMixture(
            logits if K > 1 else torch.zeros_like(rho),
            mu.unflatten(-1, (K, 2)),
            sigma_of(sigma.unflatten(-1, (K, 2))),
            RHO_LIMIT * rho.tanh(),
            pen.squeeze(-1),
        )
