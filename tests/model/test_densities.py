"""Densities and the heads that parameterise them."""

import math

import pyro.distributions as dist
import pytest
import torch
from torch import Tensor
from torch.distributions import kl_divergence
from torch.nn.functional import softplus
from torch.testing import assert_close

from pyro_vrnn.model.densities import (
    SIGMA_FLOOR,
    ConstantGaussian,
    DiagonalGaussian,
    DiagonalNormal,
    GaussianMixture,
    PerStep,
    drawn_with,
    over_time,
)

BATCH, D = (4, 3), 5


def pair(*batch: int) -> tuple[DiagonalNormal, dist.Independent]:
    """The same density as ours and as Pyro's."""
    loc, scale = torch.randn(*batch, D), torch.rand(*batch, D) + 0.1
    return DiagonalNormal(loc, scale), dist.Normal(loc, scale).to_event(1)


def test_diagonal_normal_is_normal_to_event():
    (ours, theirs), (other, their_other) = pair(*BATCH), pair(*BATCH)
    value = torch.randn(7, *BATCH, D)
    assert (ours.batch_shape, ours.event_shape) == (theirs.batch_shape, theirs.event_shape)
    assert_close(ours.log_prob(value), theirs.log_prob(value), rtol=1e-13, atol=0)
    assert_close(ours.entropy(), theirs.entropy(), rtol=1e-13, atol=1e-13)
    assert_close(kl_divergence(ours, other), kl_divergence(theirs, their_other), rtol=1e-12, atol=0)
    assert_close((ours.mean, ours.variance, ours.stddev), (theirs.mean, theirs.variance, theirs.stddev))


def test_the_divergence_has_a_direction_and_vanishes_only_at_equality():
    (q, _), (p, _) = pair(*BATCH), pair(*BATCH)
    assert (kl_divergence(q, p) > 0.01).all()
    assert not kl_divergence(q, p).isclose(kl_divergence(p, q)).any()
    assert_close(kl_divergence(q, q), torch.zeros(BATCH))


def test_the_divergence_is_the_mean_log_ratio():
    (q, _), (p, _) = pair(), pair()
    z = q.rsample((40_000,))
    ratio = q.log_prob(z) - p.log_prob(z)
    assert (ratio.mean() - kl_divergence(q, p)).abs() < 4 * ratio.std() / math.sqrt(len(z))


def test_expand_repeats_the_density():
    ours, theirs = pair(3)
    ours, theirs = ours.expand((4, 3)), theirs.expand((4, 3))
    value = torch.randn(4, 3, D)
    assert ours.batch_shape == theirs.batch_shape == (4, 3)
    assert_close(ours.log_prob(value), theirs.log_prob(value))
    assert ours.rsample((2,)).shape == (2, 4, 3, D)
    draw = ours.rsample()
    assert not draw[0].isclose(draw[1]).any(), "repeated densities are drawn from independently"


def test_samples_have_the_moments_and_the_gradients_of_the_density():
    ours, _ = pair(3)
    ours.loc.requires_grad_(True)
    ours.scale.requires_grad_(True)
    draws = ours.rsample((20_000,))
    standard = ((draws - ours.loc) / ours.scale).detach()
    assert (standard.mean(0).abs() < 5 / math.sqrt(20_000)).all()
    assert ((standard.std(0) - 1).abs() < 5 / math.sqrt(40_000)).all()
    by_loc, by_scale = torch.autograd.grad(draws.sum(), [ours.loc, ours.scale])
    assert_close(by_loc, torch.full_like(by_loc, 20_000))
    assert_close(by_scale, standard.sum(0), rtol=1e-9, atol=1e-9)
    assert not ours.sample().requires_grad


def test_locations_and_scales_broadcast():
    ours = DiagonalNormal(torch.zeros(3, D), torch.ones(D))
    assert (ours.batch_shape, ours.scale.shape) == ((3,), (3, D))


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan])
def test_a_scale_that_is_none_is_refused(scale):
    with pytest.raises(ValueError, match="scale"):
        DiagonalNormal(torch.zeros(D), torch.full((D,), scale))


@pytest.mark.parametrize("D", [1, 2])
@pytest.mark.parametrize("components", [None, 1, 4])
def test_densities_integrate_to_one(D, components):
    head = DiagonalGaussian(D) if components is None else GaussianMixture(D, components)
    density = head(0.7 * torch.randn(head.inputs))
    axis = torch.linspace(-15, 15, 1201)
    grid = torch.cartesian_prod(*[axis] * D).reshape(-1, D)
    mass = density.log_prob(grid).exp().sum() * (axis[1] - axis[0]) ** D
    assert mass.item() == pytest.approx(1, abs=1e-6)


def test_a_mixture_of_one_component_is_its_component():
    mixture, gaussian = GaussianMixture(D, 1), DiagonalGaussian(D)
    a = torch.randn(*BATCH, 1 + 2 * D)
    value = torch.randn(*BATCH, D)
    one, component = mixture(a), gaussian(a[..., 1:])
    assert_close(one.log_prob(value), component.log_prob(value), rtol=1e-12, atol=0)
    assert_close((one.mean, one.variance), (component.mean, component.variance))


def by_hand(a: Tensor, x: Tensor, K: int) -> Tensor:
    """log sum_k pi_k prod_d N(x_d; mu_kd, sigma_kd^2): the mixture is over whole frames."""
    log_pi, mu, rho = a[:K] - a[:K].exp().sum().log(), a[K : K + K * D].view(K, D), a[K + K * D :].view(K, D)
    sigma = (1 + rho.exp()).log() + 1e-4
    log_n = -0.5 * ((x - mu) / sigma) ** 2 - sigma.log() - 0.5 * math.log(2 * math.pi)
    return (log_pi + log_n.sum(-1)).exp().sum().log()


def test_the_mixture_is_one_over_the_whole_frame():
    head = GaussianMixture(D, 3)
    a, x = torch.randn(*BATCH, head.inputs), torch.randn(*BATCH, D)
    expected = torch.stack([by_hand(*row, 3) for row in zip(a.flatten(0, 1), x.flatten(0, 1), strict=True)])
    assert_close(head(a).log_prob(x), expected.view(BATCH), rtol=1e-11, atol=0)


def test_mixtures_draw_from_themselves():
    head = GaussianMixture(2, 3)
    density = head(torch.randn(head.inputs))
    draws = density.sample((20_000,))
    assert ((draws.mean(0) - density.mean).abs() < 5 * density.stddev / math.sqrt(20_000)).all()
    # The mean log-density of draws is minus the entropy, here against an integral over a grid.
    axis = torch.linspace(-12, 12, 801)
    grid = torch.cartesian_prod(axis, axis)
    log_p = density.log_prob(grid)
    entropy = -(log_p.exp() * log_p).sum() * (axis[1] - axis[0]) ** 2
    scores = density.log_prob(draws)
    assert (scores.mean() + entropy).abs() < 4 * scores.std() / math.sqrt(len(draws))


@pytest.mark.parametrize("head", [DiagonalGaussian(D), GaussianMixture(D, 3)])
def test_sigma_is_softplus_and_never_below_its_floor(head):
    assert SIGMA_FLOOR == 1e-4
    a = torch.randn(head.inputs) * 3
    density = head(a)
    sigma = (density.component_distribution if isinstance(head, GaussianMixture) else density).scale
    assert_close(sigma.flatten(), softplus(a[-sigma.numel() :]) + 1e-4)
    low = head(torch.full((head.inputs,), -1e4))
    assert (low.component_distribution if isinstance(head, GaussianMixture) else low).scale.eq(1e-4).all()


def test_a_constant_sigma_reads_nothing():
    head = ConstantGaussian(D)
    a = torch.randn(*BATCH, D)
    density = head(a)
    assert density.loc.equal(a)
    assert_close(density.scale, (softplus(torch.tensor(0.6)) + 1e-4).expand(*BATCH, D))
    density.log_prob(a).sum().backward()
    assert head.rho.grad.all()


@pytest.mark.parametrize("family", ["ours", "other"])
def test_densities_over_time_are_those_of_the_steps(family):
    """With a stacked form, or asked one by one."""
    steps = [pair(4)[0 if family == "ours" else 1] for _ in range(6)]
    z = torch.stack([step.sample() for step in steps], 1)
    handed = zip(*(drawn_with(step, z[:, t]) for t, step in enumerate(steps)), strict=True)
    together = over_time(steps, z, [torch.stack(items, 1) for items in handed])
    assert isinstance(together, DiagonalNormal if family == "ours" else PerStep)
    for value in (z, torch.randn(4, 6, D)):
        expected = torch.stack([step.log_prob(value[:, t]) for t, step in enumerate(steps)], 1)
        assert_close(together.log_prob(value), expected)


def test_densities_of_steps_that_were_not_kept_are_known_where_they_were_drawn_alone():
    step = pair(4)[1]
    z, log_q = torch.randn(4, 6, D), torch.randn(4, 6, 1)
    together = over_time([step], z, [log_q])
    assert together.log_prob(z.detach()).equal(log_q.squeeze(-1))
    with pytest.raises(NotImplementedError, match="FAMILIES"):
        together.log_prob(z + 1)
