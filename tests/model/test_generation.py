"""Free running: x and z drawn jointly, every frame fed back."""

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive
from torch.testing import assert_close

from pyro_vrnn.inference.linear_gaussian import joint, linear_gaussian
from pyro_vrnn.model.rollout import follow
from tests.model.small import PROGRAMS, X, Z, as_sites, latents, ragged, small

both = pytest.mark.parametrize("program", PROGRAMS)
_, MASK = ragged()


@both
@pytest.mark.parametrize("particles", [None, 3])
def test_shapes(program, particles, variant):
    net = small(variant)
    model = poutine.trace(PROGRAMS[program].Model(net))
    if particles is None:
        trace = model.get_trace(None, MASK)
    else:
        with pyro.plate("particles", particles, dim=-2):
            trace = model.get_trace(None, MASK)
    shape = MASK.shape if particles is None else (particles, *MASK.shape)
    assert trace.nodes["_RETURN"]["value"].shape == (*shape, X)
    if net.has_latents:
        assert latents(trace).shape == (*shape, Z)


@both
def test_a_seed_decides_it(program, variant):
    model = PROGRAMS[program].Model(small(variant))
    draws = []
    for seed in (1, 1, 2):
        pyro.set_rng_seed(seed)
        draws.append(model(None, MASK))
    assert draws[0].equal(draws[1])
    assert not draws[0].equal(draws[2])


@both
@pytest.mark.parametrize("scorer", PROGRAMS)
@pytest.mark.parametrize("particles", [1, 3])
def test_the_density_accumulated_while_drawing_is_that_of_what_was_drawn(program, scorer, particles, variant):
    net = small(variant, "gru", 2)
    with torch.no_grad():
        with pyro.plate("particles", particles, dim=-2):
            trace = poutine.trace(PROGRAMS[program].Model(net)).get_trace(None, MASK)
        accumulated = trace.log_prob_sum().item()
        total = 0.0
        for k, x in enumerate(trace.nodes["_RETURN"]["value"]):
            sites = as_sites(scorer, "z", latents(trace)[k]) if net.has_latents else {}
            scored = poutine.trace(poutine.condition(PROGRAMS[scorer].Model(net), sites)).get_trace(x, MASK)
            total += scored.log_prob_sum().item()
    assert accumulated == pytest.approx(total, rel=1e-12)


@both
def test_frames_are_drawn_given_the_guides_latents(program, latent_variant):
    net, module = small(latent_variant), PROGRAMS[program]
    x, _ = ragged()
    with torch.no_grad():
        drawn = poutine.trace(module.Guide(net)).get_trace(x, MASK)
        trace = poutine.trace(poutine.replay(module.Model(net), trace=drawn)).get_trace(None, MASK)
        frames, z = trace.nodes["_RETURN"]["value"], latents(drawn)
        rollout = follow(net, frames, MASK, z)
        expected = (rollout.log_emission + rollout.log_prior(z)).sum()
    assert latents(trace).equal(z)
    assert not frames.isclose(x).any(-1)[MASK].any()
    assert trace.log_prob_sum().item() == pytest.approx(expected.item(), rel=1e-12)


@both
@pytest.mark.parametrize("parallel", [True, False])
def test_draws_have_the_moments_of_the_joint_density(program, parallel):
    net = linear_gaussian(2, 2, 3)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(0, 0.4)
        expected = joint(net, 4)
    draws = 6000 if parallel else 300
    mask = torch.ones(1 if parallel else 20, 4, dtype=torch.bool)
    predictive = Predictive(
        PROGRAMS[program].Model(net), num_samples=draws, parallel=parallel, return_sites=("_RETURN",)
    )
    x = predictive(None, mask)["_RETURN"].reshape(-1, 8)
    white = torch.linalg.solve_triangular(expected.scale_tril, (x - expected.mean).T, upper=False)
    # For white noise: the error of a mean is 1/sqrt(n), of a covariance 1/sqrt(n), of a variance sqrt(2/n).
    assert_close(white.mean(1), torch.zeros(8), atol=5 / len(x) ** 0.5, rtol=0)
    assert_close(white.cov(), torch.eye(8), atol=5 * (2 / len(x)) ** 0.5, rtol=0)
