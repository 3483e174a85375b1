r"""The member of the family whose evidence is exact: linear recurrence, linear heads, constant sigma.

.. math::
    z_t &= P h_{t-1} + p + \sigma_z \epsilon, \\
    x_t &= D z_t + E h_{t-1} + d + \sigma_x \epsilon', \\
    h_t &= A h_{t-1} + B x_t + C z_t, \qquad h_0 = 0
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from pyro_vrnn.model.densities import SIGMA_FLOOR, ConstantGaussian
from pyro_vrnn.model.emissions import Emission
from pyro_vrnn.model.guides import FilteringGuide
from pyro_vrnn.model.nets import Identity
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.priors import ConditionalPrior
from pyro_vrnn.model.recurrence import Linear
from pyro_vrnn.model.state import Dims


class Matrices(NamedTuple):
    """The model's matrices, in the symbols of the module's equations."""

    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor
    E: Tensor
    P: Tensor
    d: Tensor
    p: Tensor
    sigma_x: Tensor
    sigma_z: Tensor


def linear_gaussian(x: int, z: int, h: int) -> VRNN:
    """The linear-Gaussian member, started at random: widths of x_t, z_t and h_t."""
    dims = Dims(x=x, z=z, h=h, phi_x=x, phi_z=z)
    return VRNN(
        dims,
        phi_x=Identity(x),
        phi_z=Identity(z),
        prior=ConditionalPrior(dims, (), ConstantGaussian),
        guide=FilteringGuide(dims, (), ConstantGaussian),
        emission=Emission(dims, (), ConstantGaussian),
        recurrence=Linear(dims),
    )


def matrices(net: VRNN) -> Matrices:
    """The matrices of a linear-Gaussian member."""
    B, C, A = cast(Linear, net.recurrence).read.weights
    D, E = net.emission.net.read.weights  # type: ignore[union-attr, misc]
    (P,) = net.prior.net.read.weights  # type: ignore[union-attr, misc]
    d, p = net.emission.net.last_bias, net.prior.net.last_bias  # type: ignore[union-attr]
    return Matrices(A, B, C, D, E, P, d, p, net.emission.head.sigma, net.prior.head.sigma)  # type: ignore[union-attr, arg-type]


def joint(net: VRNN, T: int) -> MultivariateNormal:
    r"""The dense density of :math:`x_{\le T}` as one Gaussian over ``T X`` values.

    Every quantity is carried as its mean and its coefficients on all noise drawn so far; no filter is involved.
    """
    m = matrices(net)
    X, Z, H = net.dims.x, net.dims.z, net.dims.h
    noises = T * (Z + X)
    h, H_noise = m.A.new_zeros(H), m.A.new_zeros(H, noises)
    means, factors = [], []
    for t in range(T):
        start = t * (Z + X)
        z_noise, x_noise = m.P @ H_noise, m.A.new_zeros(X, noises)
        z_noise[:, start : start + Z] += m.sigma_z.diag()
        x_noise[:, start + Z : start + Z + X] += m.sigma_x.diag()
        z = m.P @ h + m.p
        x, x_noise = m.D @ z + m.E @ h + m.d, x_noise + m.D @ z_noise + m.E @ H_noise
        h, H_noise = m.A @ h + m.B @ x + m.C @ z, m.A @ H_noise + m.B @ x_noise + m.C @ z_noise
        means.append(x)
        factors.append(x_noise)
    factor = torch.cat(factors)
    return MultivariateNormal(torch.cat(means), covariance_matrix=factor @ factor.T)


@torch.no_grad()
def evidence(net: VRNN, x: Tensor, mask: Tensor) -> Tensor:
    """Exact log p(x) in nats for each row of ``(B, T, X)``, of which ``mask`` ``(B, T)`` says how many frames count."""
    scores = []
    for row, frames in zip(x, mask.sum(-1).tolist(), strict=True):
        scores.append(joint(net, frames).log_prob(row[:frames].flatten()))
    return torch.stack(scores)


@torch.no_grad()
def guide_by_bayes(net: VRNN, *, widen: float = 1.0) -> None:
    r"""Sets the guide to :math:`p(z_t \mid x_t, h_{t-1})`, its sigma times ``widen``: the best a filter can know.

    Exact if the columns of D are orthogonal under :math:`\sigma_x^{-2}`; else its diagonal is taken.
    """
    m = matrices(net)
    guide = cast(FilteringGuide, net.guide)
    precision = (m.sigma_z**-2).diag() + m.D.T @ (m.sigma_x**-2).diag() @ m.D
    gain = torch.linalg.solve(precision, m.D.T / m.sigma_x**2)
    read_x, read_h = guide.net.read.weights
    read_x.copy_(gain)
    read_h.copy_(torch.linalg.solve(precision, (m.sigma_z**-2).diag() @ m.P) - gain @ m.E)
    guide.net.last_bias.copy_(torch.linalg.solve(precision, m.p / m.sigma_z**2) - gain @ m.d)
    sigma = widen * precision.diagonal().rsqrt()
    cast(ConstantGaussian, guide.head).rho.copy_((sigma - SIGMA_FLOOR).expm1().log())


__all__ = ["Matrices", "evidence", "guide_by_bayes", "joint", "linear_gaussian", "matrices"]
