"""Emissions p(x_t | z_<=t, x_<t)."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.distributions import Distribution

from pyro_vrnn.model.densities import DiagonalGaussian, Head
from pyro_vrnn.model.nets import MLP
from pyro_vrnn.model.state import Dims, State


class Emission(nn.Module):
    r"""Emission :math:`p(x_t \mid z_{\le t}, x_{<t})` (Chung et al. 2015, Eq. 6).

    The head gives the family: :class:`~pyro_vrnn.model.densities.DiagonalGaussian`,
    :class:`~pyro_vrnn.model.densities.GaussianMixture` or :class:`~pyro_vrnn.model.strokes.PenStroke`. Without latents
    phi_z has width 0 and this is the output of the paper's RNN baselines, :math:`p(x_t \mid h_{t-1})`.

    Args:
        dims: Widths of the model.
        hidden: Widths of the hidden layers of phi_dec.
        head: Builds the density's head from X.
    """

    def __init__(self, dims: Dims, hidden: Sequence[int], head: Callable[[int], Head] = DiagonalGaussian) -> None:
        super().__init__()
        self.head = head(dims.x)
        self.net = MLP((dims.phi_z, dims.h), hidden, self.head.inputs)
        self.head.start(self.net.last_bias)

    @property
    def binary(self) -> int:
        """Values of a frame that are 0 or 1, its last ones."""
        return self.head.binary

    def forward(self, features_z: Tensor, state: State) -> Distribution:
        """Density of x_t, batch ``(*B,)`` and event ``(X,)``, given phi_z(z_t) and ``state.h``."""
        return self.head(self.net(features_z, state.h))
