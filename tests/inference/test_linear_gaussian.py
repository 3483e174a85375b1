"""The oracle itself: its dense evidence against a Kalman filter, and its guide against Bayes."""

import math

import pyro.distributions as dist
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from pyro_vrnn.inference.likelihood import elbo, iwae
from pyro_vrnn.inference.linear_gaussian import Matrices, evidence, joint, linear_gaussian, matrices
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.rollout import follow
from tests.inference.oracle import drawn_from, mean_and_error, oracle, repeated

SIZES = [(1, 1, 1), (3, 2, 4), (2, 4, 3)]
JITTER = 1e-4


def at_random(x: int, z: int, h: int) -> VRNN:
    net = linear_gaussian(x, z, h)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, 0, 0.3)
    return net


def kalman(m: Matrices, x: Tensor) -> Tensor:
    """log p(x) of one sequence ``(T, X)`` by Pyro's filter over s_t = (h_{t-1}, z_t).

    h_{t-1} is a function of the past: its noise is a jitter, and what x_{t-1} adds to it is a known offset. The filter
    moves before it first observes, so its first move forgets where it came from.
    """
    T, H, Z = len(x), len(m.A), len(m.p)
    driven = torch.cat([x.new_zeros(1, H), x[:-1] @ m.B.T])
    move = torch.cat([m.A, m.C], 1)
    transition = torch.cat([move, m.P @ move]).T.expand(T, -1, -1).clone()
    transition[0] = 0
    offset = torch.cat([driven, driven @ m.P.T + m.p], 1)
    noise = dist.Normal(offset, torch.cat([x.new_full((H,), JITTER), m.sigma_z]).expand(T, -1)).to_event(1)
    start = dist.Normal(x.new_zeros(H + Z), 1.0).to_event(1)
    observed = dist.Normal(m.d, m.sigma_x).to_event(1)
    return dist.GaussianHMM(start, transition, noise, torch.cat([m.E, m.D], 1).T, observed, duration=T).log_prob(x)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("T", [1, 2, 9])
def test_the_dense_joint_is_what_a_kalman_filter_finds(sizes, T):
    net = at_random(*sizes)
    with torch.no_grad():
        for x in drawn_from(net, T, T, T)[0]:
            filtered = kalman(matrices(net), x)
            assert joint(net, T).log_prob(x.flatten()).item() == pytest.approx(filtered.item(), abs=1e-4)


def test_the_matrices_are_those_of_the_parts():
    net = at_random(3, 2, 4)
    m = matrices(net)
    x, z = torch.randn(1, 5, 3), torch.randn(1, 5, 2)
    rollout = follow(net, x, torch.ones(1, 5, dtype=torch.bool), z)
    h = torch.zeros(4)
    for t in range(5):
        assert_close(rollout.p.mean[0, t], m.P @ h + m.p)
        assert_close(rollout.emission.mean[0, t], m.D @ z[0, t] + m.E @ h + m.d)
        h = m.A @ h + m.B @ x[0, t] + m.C @ z[0, t]
    assert_close(rollout.last.h[0], h)
    assert_close(rollout.p.stddev[0, 0], m.sigma_z)
    assert_close(rollout.emission.stddev[0, 0], m.sigma_x)


def test_a_shorter_joint_is_a_marginal_of_a_longer_one():
    net = at_random(2, 2, 3)
    short, long = joint(net, 3), joint(net, 5)
    assert_close(short.mean, long.mean[:6])
    assert_close(short.covariance_matrix, long.covariance_matrix[:6, :6])


def test_evidence_is_of_each_sequences_own_frames():
    net = at_random(3, 2, 4)
    x, mask = drawn_from(net, 6, 1, 4)
    whole = evidence(net, x, mask)
    filled = torch.where(mask.unsqueeze(-1), x, torch.full_like(x, 9.0))
    assert_close(evidence(net, filled, mask), whole, rtol=0, atol=0)
    for row, length in enumerate([6, 1, 4]):
        alone = evidence(net, x[row : row + 1, :length], mask[row : row + 1, :length])
        assert_close(alone, whole[row : row + 1], rtol=1e-12, atol=0)


@pytest.mark.parametrize("z", [1, 2, 4])
def test_the_guide_is_the_posterior_of_a_single_step(z):
    """With T = 1 nothing is left to know: every weight is the evidence, and the bound is tight."""
    net = oracle(z, size=0.5, widen=1.0)
    x, mask = drawn_from(net, 1, 1, 1)
    with torch.no_grad():
        exact = evidence(net, x, mask)
        assert_close(iwae(net, x, mask, 1), exact, rtol=1e-12, atol=0)
        for row in range(3):
            bound, error = mean_and_error(elbo(net, *repeated(x[row], mask[row], 4000)))
            assert abs(bound - exact[row].item()) < 4 * error


def test_widening_widens_and_costs_what_a_wider_gaussian_costs():
    torch.manual_seed(0)
    tight = oracle(2, size=0.5, widen=1.0)
    torch.manual_seed(0)
    wide = oracle(2, size=0.5, widen=1.5)
    assert_close(wide.guide.head.sigma, 1.5 * tight.guide.head.sigma)
    x, mask = drawn_from(tight, 1)
    with torch.no_grad():
        bound, error = mean_and_error(iwae(wide, *repeated(x, mask, 4000), 1))
        gap = evidence(wide, x, mask).item() - bound
    assert abs(gap - 2 * (1.5**2 - 1 - 2 * math.log(1.5)) / 2) < 4 * error
