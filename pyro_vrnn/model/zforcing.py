r"""Z-forcing's auxiliary part: z_t predicts what a backward recurrence has read of the future.

.. math:: \alpha \sum_t \log \mathcal N(b_t;\, \mu(z_t), \mathrm{diag}\,\sigma^2(z_t))

added to the bound makes z carry what a powerful decoder could do without (Goyal et al. 2017, arXiv:1711.05411). It is
a cost of training alone: no density of the model or its guide reads it, and a bound with it added is no bound.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pyro_vrnn.model.densities import DiagonalGaussian
from pyro_vrnn.model.nets import MLP
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.state import Dims


class Auxiliary(nn.Module):
    """Predicts b_t, the state of the guide's backward recurrence, from z_t.

    Args:
        dims: Widths of the model.
        hidden: Widths of the net's hidden layers.
        width: Of b_t.
        weight: alpha.
    """

    def __init__(self, dims: Dims, hidden: Sequence[int], width: int, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.head = DiagonalGaussian(width)
        self.net = MLP((dims.z,), hidden, self.head.inputs)
        self.head.start(self.net.last_bias)

    def forward(self, z: Tensor, foreseen: Tensor) -> Tensor:
        """The log-density of b_t in nats, ``(*B, T)``."""
        return self.head(self.net(z)).log_prob(foreseen)


@torch.no_grad()
def foreseen(net: VRNN, x: Tensor, mask: Tensor) -> Tensor:
    """b_1..b_T, ``(B, T, U)``, held fixed: a guide could else make them easy to predict by making them constant.

    Args:
        net: The parts, with a guide that has foresight.
        x: Frames, ``(B, T, X)``.
        mask: True for frames, ``(B, T)``.
    """
    assert net.guide is not None
    features_x = net.phi_x(x)
    ran = net.ran_without_z(features_x)
    return net.guide.foresight(features_x, mask, None if ran is None else ran[0])
