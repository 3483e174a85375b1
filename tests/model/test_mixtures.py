"""A prior that is a mixture: its draws by given noise, and the bound that samples its divergence."""

import math

import pyro
import pytest
import torch
from torch.distributions import kl_divergence
from torch.testing import assert_close

from pyro_vrnn.inference import likelihood
from pyro_vrnn.inference.latents import latent_use
from pyro_vrnn.inference.noise import Noise
from pyro_vrnn.model.densities import DiagonalNormal, GaussianMixture, draw
from pyro_vrnn.model.draws import infer
from pyro_vrnn.model.variants import ModelOptions, Variant, build
from tests.model.small import ragged, small

MIXED = Variant("mixture", "filtering", "gaussian", True, "")


@torch.no_grad()
def test_a_draw_by_given_noise_has_the_mixtures_distribution():
    density = GaussianMixture(2, 3)(torch.randn(15))
    z = draw(density.expand((40_000,)), torch.randn(40_000, 2))
    # The mean of log p over draws, the share of each component, and each value's moments.
    scores, theirs = density.log_prob(z), density.log_prob(density.sample((40_000,)))
    assert abs(scores.mean() - theirs.mean()) < 5 * math.sqrt(2 / 40_000) * theirs.std()
    assert ((z.mean(0) - density.mean).abs() < 5 * density.stddev / 200).all()
    assert_close(z.var(0), density.variance, rtol=0.1, atol=0.01)
    (correlation,) = torch.corrcoef((z - density.mean).T)[:1, 1]
    (expected,) = torch.corrcoef((density.sample((40_000,)) - density.mean).T)[:1, 1]
    assert abs(correlation - expected) < 0.03


@torch.no_grad()
def test_a_draw_is_a_function_of_the_noise():
    density = GaussianMixture(2, 3)(torch.randn(4, 15))
    eps = torch.randn(5, 4, 2)
    z = draw(density, eps)
    assert z.equal(draw(density, eps))
    for k in range(5):
        assert z[k].equal(draw(density, eps[k]))
    assert draw(density, None).shape == (4, 2)


@torch.no_grad()
def test_one_component_is_its_component():
    density = GaussianMixture(2, 1)(torch.randn(4, 5))
    eps = torch.randn(4, 2)
    only = density.component_distribution
    assert_close(draw(density, eps), only.loc[:, 0] + only.scale[:, 0] * eps, rtol=1e-9, atol=1e-9)


def test_a_mixture_as_guide_is_refused_where_it_would_train_on_a_wrong_gradient():
    with pytest.raises(NotImplementedError, match="a guide cannot be one"):
        draw(GaussianMixture(2, 3)(torch.randn(15, requires_grad=True)), None)


def test_the_sampled_bound_of_one_component_tends_to_the_analytic_one():
    net = small(Variant("mixture", "filtering", "gaussian", True, "", arguments={"prior": {"components": 1}}))
    x, mask = ragged()
    with torch.no_grad(), pyro.validation_enabled(False):
        z, rollout = infer(net, x, mask, (2000, 4))
        sampled = rollout.log_guide(z) - rollout.log_prior(z)
        only = rollout.p.component_distribution
        one = DiagonalNormal(only.loc[..., 0, :], only.scale[..., 0, :])
        known = kl_divergence(rollout.q, one)
    # At each step over particles, whose states differ from the second on.
    error = (sampled - known).std(0) / math.sqrt(2000)
    assert ((sampled - known).mean(0).abs() <= 5 * error + 1e-9)[mask].all()


def test_estimators_say_that_the_divergence_is_sampled():
    net = small(MIXED)
    x, mask = ragged()
    assert likelihood.kl_form(net) == "sampled"
    with torch.no_grad(), pyro.validation_enabled(False):
        both = [likelihood.elbo(net, x, mask, noise=Noise(0, range(4)), sampled=sampled) for sampled in (False, True)]
    assert_close(*both)


def test_draws_from_the_prior_do_not_depend_on_the_batch():
    net = small(MIXED)
    x, mask = ragged()
    whole = latent_use(net, [(x, mask, torch.arange(4))])
    rows = latent_use(net, [(x[i : i + 1], mask[i : i + 1], torch.tensor([i])) for i in range(4)])
    assert whole.bound_from_prior == pytest.approx(rows.bound_from_prior, rel=1e-12)


def test_components_are_an_option():
    assert build(ModelOptions(prior="mixture", prior_components=7), 3).prior.head.components == 7
