"""Priors p(z_t | x_<t, z_<t)."""

from collections.abc import Callable, Sequence

from torch import nn
from torch.distributions import Distribution

from pyro_vrnn.model.densities import DiagonalGaussian, DiagonalNormal, Head
from pyro_vrnn.model.nets import MLP
from pyro_vrnn.model.state import Dims, State


class Prior(nn.Module):
    r"""Contract of a prior :math:`p(z_t \mid x_{<t}, z_{<t})`: ``forward`` maps the state to a density.

    Leading dimensions are free: a time or a particle axis in front is one more batch dimension.
    """

    def forward(self, state: State) -> Distribution:
        """Density of z_t, batch ``(*B,)`` and event ``(Z,)``, given the state of step t - 1."""
        raise NotImplementedError


class StandardPrior(Prior):
    r""":math:`p(z_t) = \mathcal N(0, I)`, the prior of VRNN-I and STORN (Chung et al. 2015, Sec. 4).

    Args:
        dims: Widths of the model.
        hidden: Not read; every part takes the same two arguments.
    """

    def __init__(self, dims: Dims, hidden: Sequence[int] = ()) -> None:
        super().__init__()

    def forward(self, state: State) -> DiagonalNormal:
        """The standard normal, batch ``(*B,)`` and event ``(Z,)``."""
        zero = state.z.new_zeros(()).expand(state.z.shape)
        return DiagonalNormal(zero, zero.new_ones(()).expand(zero.shape))


class ConditionalPrior(Prior):
    r""":math:`p(z_t \mid h_{t-1}) = \mathcal N(\mu_{0,t}, \mathrm{diag}\,\sigma_{0,t}^2)` (Chung et al. 2015, Eq. 5).

    Args:
        dims: Widths of the model.
        hidden: Widths of the hidden layers of phi_prior.
        head: Builds the density's head from Z.
    """

    def __init__(self, dims: Dims, hidden: Sequence[int], head: Callable[[int], Head] = DiagonalGaussian) -> None:
        super().__init__()
        self.head = head(dims.z)
        self.net = MLP((dims.h,), hidden, self.head.inputs)
        self.head.start(self.net.last_bias)

    def forward(self, state: State) -> Distribution:
        """Density of z_t given ``state.h``."""
        return self.head(self.net(state.h))


class TransitionPrior(Prior):
    r""":math:`p(z_t \mid h_{t-1}, z_{t-1})`, the prior of SRNN (Fraccaro et al. 2016, Eq. 3).

    Args:
        dims: Widths of the model.
        hidden: Widths of the net's hidden layers.
        head: Builds the density's head from Z.
    """

    def __init__(self, dims: Dims, hidden: Sequence[int], head: Callable[[int], Head] = DiagonalGaussian) -> None:
        super().__init__()
        self.head = head(dims.z)
        self.net = MLP((dims.h, dims.z), hidden, self.head.inputs)
        self.head.start(self.net.last_bias)

    def forward(self, state: State) -> Distribution:
        """Density of z_t given ``state.h`` and ``state.z``."""
        return self.head(self.net(state.h, state.z))
