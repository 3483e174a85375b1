"""Emissions with heavier tails than a Gaussian's: loud samples cost less, and move what was learnt less."""

import pyro.distributions as dist
from torch import Tensor
from torch.nn import functional as F

from pyro_vrnn.model.densities import SIGMA_BIAS, Head, LocationScale, sigma_of
from pyro_vrnn.model.precision import full

#: Where the bias of every degree of freedom starts: nu = 2 + softplus(3), about 5.
FREEDOM_BIAS = 3.0


class Laplace(LocationScale):
    r"""Head of :math:`\prod_d \tfrac1{2 b_d} e^{-|x_d - \mu_d| / b_d}`, with b as :math:`\sigma` of a Gaussian."""

    def density(self, loc: Tensor, scale: Tensor) -> dist.Independent:
        """The product of Laplace densities."""
        return dist.Laplace(loc, scale).to_event(1)


class StudentT(Head):
    r"""Head of :math:`\prod_d t_{\nu_d}(x_d; \mu_d, \sigma_d)`, :math:`\sigma = \mathrm{softplus}(a) + 10^{-4}`.

    The degrees of freedom are :math:`\nu = 2 + \mathrm{softplus}(b)`, one a value: every density has a variance.

    Args:
        width: Values in the event, D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inputs = 3 * width

    def start(self, bias: Tensor) -> None:
        """Sets the bias of the layer below: sigma as a Gaussian's, nu at about 5."""
        _, rho, freedom = bias.data.chunk(3)
        rho.fill_(SIGMA_BIAS)
        freedom.fill_(FREEDOM_BIAS)

    def forward(self, a: Tensor) -> dist.Independent:
        """Maps ``(*B, 3 D)`` to a density with batch ``(*B,)``."""
        mu, rho, freedom = full(a).chunk(3, -1)
        return dist.StudentT(2 + F.softplus(freedom), mu, sigma_of(rho)).to_event(1)
