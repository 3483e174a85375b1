r"""The member of the family whose evidence is exact: linear recurrence, linear heads, constant sigma.

.. math::
    z_t &= P h_{t-1} + p + \sigma_z \epsilon, \\
    x_t &= D z_t + E h_{t-1} + d + \sigma_x \epsilon', \\
    h_t &= A h_{t-1} + B x_t + C z_t, \qquad h_0 = 0
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal

from pyro_vrnn.model.densities import SIGMA_FLOOR, ConstantGaussian
from pyro_vrnn.model.emissions import Emission
from pyro_vrnn.model.guides import FilteringGuide, Guide
from pyro_vrnn.model.nets import Identity
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.priors import ConditionalPrior
from pyro_vrnn.model.recurrence import Linear
from pyro_vrnn.model.state import Dims, State


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


class ExactGuide(Guide):
    r"""The posterior itself, :math:`q(z_t \mid x, z_{<t}) = p(z_t \mid x_{t:T}, h_{t-1})`, of a linear-Gaussian member.

    Every trajectory that it draws has the weight p(x). What the future says of h is
    :math:`\log p(x_{t+1:T} \mid h_t) = -\tfrac12 h_t^\top M_t h_t + m_t^\top h_t + c_t`, with :math:`M_T = 0` and
    :math:`m_T = 0`, carried backward; then :math:`z_t \sim \mathcal N(Q_t^{-1} (b_t + G_t h_{t-1}), Q_t^{-1})`.

    Args:
        net: The model, whose matrices are read at every call.
    """

    reads_prior = False

    def __init__(self, net: VRNN) -> None:
        super().__init__()
        self._of = (net,)  # in a tuple: the guide becomes a module of the net, and must not hold it as its own

    def prepare(
        self, features_x: Tensor, mask: Tensor, h: Tensor | None = None, memory: Any = None
    ) -> tuple[Tensor, Any]:
        """b_t, G_t and Q_t of all steps, one behind the other."""
        model = matrices(*self._of)
        Z, H = model.C.shape[-1], len(model.A)
        by_x, by_z = (sigma.square().reciprocal().diag() for sigma in (model.sigma_x, model.sigma_z))
        if memory is None:
            memory = (features_x.new_zeros(*mask.shape[:-1], H, H), features_x.new_zeros(*mask.shape[:-1], H))
        M, m = memory
        rows = []
        for x, valid in zip(reversed(features_x.unbind(-2)), reversed(mask.unbind(-1)), strict=True):
            Bx = x @ model.B.T
            Q = by_z + model.D.T @ by_x @ model.D + model.C.T @ M @ model.C
            G = by_z @ model.P - model.D.T @ by_x @ model.E - model.C.T @ M @ model.A
            surprise = (m - (M @ Bx.unsqueeze(-1)).squeeze(-1)) @ model.C
            b = by_z @ model.p + (x - model.d) @ by_x @ model.D + surprise
            rows.append(torch.cat([b, G.flatten(-2), Q.expand(*b.shape[:-1], Z, Z).flatten(-2)], -1))
            gain = torch.linalg.solve(Q, G).transpose(-1, -2)
            past = model.P.T @ by_z @ model.P + model.E.T @ by_x @ model.E + model.A.T @ M @ model.A - gain @ G
            pull = (gain @ b.unsqueeze(-1)).squeeze(-1) - model.P.T @ by_z @ model.p + (x - model.d) @ by_x @ model.E
            pull = pull + (m - (M @ Bx.unsqueeze(-1)).squeeze(-1)) @ model.A
            M, m = torch.where(valid[..., None, None], past, M), torch.where(valid[..., None], pull, m)
        return torch.stack(rows[::-1], -2), (M, m)

    def forward(self, prepared: Tensor, state: State, prior: Callable[[], Distribution]) -> Distribution:
        """Density of z_t given x from t on and ``state.h``."""
        Z, H = state.z.shape[-1], state.h.shape[-1]
        b, G, Q = prepared.split([Z, Z * H, Z * Z], -1)
        Q = Q.unflatten(-1, (Z, Z))
        b = b + (G.unflatten(-1, (Z, H)) @ state.h.unsqueeze(-1)).squeeze(-1)
        mean = torch.linalg.solve(Q, b.unsqueeze(-1)).squeeze(-1)
        return dist.MultivariateNormal(mean, precision_matrix=Q.expand(*mean.shape, Z))
