"""Linear-Gaussian models whose evidence is known, and sequences drawn from them."""

import torch
from torch import Tensor, nn

from pyro_vrnn.inference.linear_gaussian import guide_by_bayes, linear_gaussian
from pyro_vrnn.model.draws import generate
from pyro_vrnn.model.network import VRNN


def oracle(z: int, *, size: float, widen: float = 1.1) -> VRNN:
    """A model with dynamics of this size, and the best filtering guide, widened.

    The columns of D are orthogonal, so that the posterior of z_t given x_t and h_{t-1} is in the guide's family.
    """
    net = linear_gaussian(z + 1, z, 3)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(0, size)
        nn.init.orthogonal_(net.emission.net.read.weights[0])
        for part in (net.prior, net.emission):
            part.head.rho.fill_(0.6)
    guide_by_bayes(net, widen=widen)
    return net


def drawn_from(net: VRNN, *lengths: int) -> tuple[Tensor, Tensor]:
    """Sequences of these lengths from the model itself, and their mask."""
    mask = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(-1)
    with torch.no_grad():
        x = generate(net, mask, mask.shape[:1])[0]
    return x.masked_fill(~mask.unsqueeze(-1), 0.0), mask


def repeated(x: Tensor, mask: Tensor, times: int) -> tuple[Tensor, Tensor]:
    """One sequence many times: every row of an estimator's answer is then a draw of it."""
    return x.expand(times, -1, -1), mask.expand(times, -1)


def mean_and_error(draws: Tensor) -> tuple[float, float]:
    """The mean of independent draws and its standard error."""
    return draws.mean().item(), (draws.std() / len(draws) ** 0.5).item()
