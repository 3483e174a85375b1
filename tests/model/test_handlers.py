"""What users of Pyro will try, each with a number: Predictive, condition, replay, importance sampling, particles."""

import math

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Importance, Predictive, RenyiELBO, Trace_ELBO, TraceMeanField_ELBO
from pyro.infer.importance import vectorized_importance_weights
from torch.testing import assert_close

from pyro_vrnn.inference.programs import log_weights
from pyro_vrnn.model import markov, sequence
from pyro_vrnn.model.draws import infer
from pyro_vrnn.model.rollout import follow
from tests.model.small import PROGRAMS, Z, as_sites, latents, noise, ragged, small

both = pytest.mark.parametrize("program", PROGRAMS)


@both
@pytest.mark.parametrize("parallel", [False, True])
def test_predictive_draws_the_latents_of_the_guide(program, parallel, latent_variant):
    net, module = small(latent_variant), PROGRAMS[program]
    x, mask = ragged()
    draws = 400 if parallel else 20
    samples = Predictive(module.Model(net), guide=module.Guide(net), num_samples=draws, parallel=parallel)(x, mask)
    first = samples["z"][..., 0, :] if program == "sequence" else samples["z_0"]
    assert first.shape == (draws, *mask.shape[:1], Z)
    with torch.no_grad():
        q = infer(net, x, mask, mask.shape[:1])[1].q
        standard = (first - q.loc[:, 0]) / q.scale[:, 0]
    assert standard.mean().abs() < 4 / math.sqrt(standard.numel())
    assert (standard.std() - 1).abs() < 4 / math.sqrt(2 * standard.numel())


@pytest.mark.parametrize("variant", ["rnn-gauss", "vrnn-gauss", "storn", "srnn"])
def test_sequence_unconditioned_predicts_one_step_ahead(variant):
    net = small(variant)
    x, mask = ragged()
    with torch.no_grad():
        z = infer(net, x, mask, mask.shape[:1])[0] if net.has_latents else x.new_zeros(*mask.shape, 0)
        expected = follow(net, x, mask, z).emission
        model = poutine.uncondition(sequence.Model(net))
        with pyro.plate("draws", 2000, dim=-2):
            drawn = poutine.condition(model, {"z": z} if net.has_latents else {})(x, mask)
    standard = (drawn - expected.mean) / expected.stddev
    assert drawn.shape == (2000, *x.shape)
    assert standard.mean(0).abs().max() < 5 / math.sqrt(2000)
    assert (standard.std(0) - 1).abs().max() < 5 / math.sqrt(2 * 2000)


def test_predictions_are_scored_where_there_are_frames(variant):
    net = small(variant)
    x, mask = ragged()
    with torch.no_grad():
        trace = poutine.trace(poutine.uncondition(sequence.Model(net))).get_trace(x, mask)
        trace.compute_log_prob()
        z = latents(trace) if net.has_latents else x.new_zeros(*mask.shape, 0)
        scores = follow(net, x, mask, z).emission.log_prob(trace.nodes["x"]["value"])
    expected = [row[:length].sum() for row, length in zip(scores, mask.sum(-1), strict=True)]
    assert_close(trace.nodes["x"]["log_prob"], torch.stack(expected), rtol=1e-12, atol=1e-12)


def test_predictive_predicts_one_step_ahead_with_the_guides_latents():
    net = small("srnn")
    x, mask = ragged()
    model = poutine.uncondition(sequence.Model(net))
    samples = Predictive(model, guide=sequence.Guide(net), num_samples=500, parallel=True)(x, mask)
    with torch.no_grad():
        expected = follow(net, x, mask, samples["z"]).emission
    standard = (samples["x"] - expected.mean) / expected.stddev
    assert standard.mean(0).abs().max() < 5 / math.sqrt(500)
    assert (standard.std(0) - 1).abs().max() < 5 / math.sqrt(2 * 500)


@both
def test_replaying_the_guide_gives_the_joint_density_of_its_latents(program, latent_variant):
    net, module = small(latent_variant), PROGRAMS[program]
    x, mask = ragged()
    with torch.no_grad():
        drawn = poutine.trace(module.Guide(net)).get_trace(x, mask)
        scored = poutine.trace(poutine.replay(module.Model(net), trace=drawn)).get_trace(x, mask)
        z = latents(drawn)
        expected = follow(net, x, mask, z)
        joint = expected.log_emission.sum() + expected.log_prior(z).sum()
    assert latents(scored).equal(z)
    assert scored.log_prob_sum().item() == pytest.approx(joint.item(), rel=1e-12)
    assert drawn.log_prob_sum().item() == pytest.approx(expected.log_guide(z).sum().item(), rel=1e-12)


@both
@pytest.mark.parametrize("particles", [None, 3])
def test_conditioning_all_latents_scores_them(program, particles, latent_variant):
    net, module = small(latent_variant), PROGRAMS[program]
    x, mask = ragged()
    z = torch.randn(*([particles] if particles else []), *mask.shape, Z)
    sites = as_sites(program, "z", z)

    def scored(program):
        conditioned = poutine.condition(program, sites)
        if particles is None:
            return poutine.trace(conditioned).get_trace(x, mask).log_prob_sum().item()
        with pyro.plate("particles", particles, dim=-2):
            return poutine.trace(conditioned).get_trace(x, mask).log_prob_sum().item()

    with torch.no_grad():
        expected = follow(net, x, mask, z)
        joint = expected.log_emission.sum() + expected.log_prior(z).sum()
        assert scored(module.Model(net)) == pytest.approx(joint.item(), rel=1e-12)
        assert scored(module.Guide(net)) == pytest.approx(expected.log_guide(z).sum().item(), rel=1e-12)


def test_latents_that_no_particle_tells_apart_count_for_every_particle(latent_variant):
    net = small(latent_variant)
    x, mask = ragged()
    z = torch.randn(*mask.shape, Z)
    totals = []
    for program, module in PROGRAMS.items():
        with pyro.plate("particles", 3, dim=-2), torch.no_grad():
            conditioned = poutine.condition(module.Model(net), as_sites(program, "z", z))
            totals.append(poutine.trace(conditioned).get_trace(x, mask).log_prob_sum().item())
    rollout = follow(net, x, mask, z)
    joint = 3 * (rollout.log_emission + rollout.log_prior(z)).sum().item()
    assert totals == pytest.approx([joint, joint], rel=1e-12)


def test_markov_conditions_a_single_latent():
    net = small()
    x, mask = ragged()
    z, other = torch.randn(*mask.shape, Z), torch.randn(mask.shape[0], Z)
    changed = torch.cat([z[:, :3], other.unsqueeze(1), z[:, 4:]], 1)
    with torch.no_grad():
        inner = poutine.condition(markov.Model(net), {"z_3": other})
        scored = poutine.trace(poutine.condition(inner, as_sites("markov", "z", z) | {"z_3": other})).get_trace(x, mask)
        by_hand, before = follow(net, x, mask, changed), follow(net, x, mask, z)
        total = (by_hand.log_emission + by_hand.log_prior(changed)).sum().item()
        unchanged = (before.log_emission + before.log_prior(z)).sum().item()
    assert scored.log_prob_sum().item() == pytest.approx(total, rel=1e-12)
    assert abs(total - unchanged) > 1e-3


def test_markov_feeds_back_a_single_frame_that_a_handler_replaced():
    net = small()
    x, mask = ragged()
    z, other = torch.randn(*mask.shape, Z), torch.randn(mask.shape[0], 3)
    changed = torch.cat([x[:, :3], other.unsqueeze(1), x[:, 4:]], 1)
    with torch.no_grad():
        conditioned = poutine.condition(markov.Model(net), as_sites("markov", "z", z) | {"x_3": other})
        scored = poutine.trace(conditioned).get_trace(x, mask)
        by_hand, before = follow(net, changed, mask, z), follow(net, x, mask, z)
    total = (by_hand.log_emission + by_hand.log_prior(z)).sum().item()
    assert scored.log_prob_sum().item() == pytest.approx(total, rel=1e-12)
    assert not by_hand.log_emission[0, 4:].isclose(before.log_emission[0, 4:]).any()
    assert scored.nodes["_RETURN"]["value"][:, 3].equal(other)


@pytest.mark.parametrize("site", ["z_3", "x_3"])
@pytest.mark.parametrize("part", ["Model", "Guide"])
def test_sequence_refuses_single_steps_by_name(site, part):
    program = getattr(sequence, part)(small())
    value = torch.zeros(4, Z if site == "z_3" else 3)
    with pytest.raises(NotImplementedError, match=rf"'{site}'.*markov"):
        poutine.condition(program, {site: value})(*ragged())
    trace = poutine.trace(lambda: pyro.deterministic(site, value)).get_trace()
    with pytest.raises(NotImplementedError, match=rf"'{site}'.*markov"):
        poutine.replay(program, trace=trace)(*ragged())


@pytest.mark.parametrize("variant", ["rnn-gauss", "vrnn-gauss"])
@pytest.mark.parametrize("given", [True, False])
def test_sequence_refuses_frames_by_a_handler(variant, given):
    x, mask = ragged()
    program = poutine.condition(sequence.Model(small(variant)), {"x": torch.randn_like(x)})
    with pytest.raises(NotImplementedError, match=r"'x'.*pass x=.*markov"):
        program(x if given else None, mask)


@both
def test_importance_weights_are_joint_over_the_batch(program, latent_variant):
    net, module = small(latent_variant), PROGRAMS[program]
    x, mask = ragged()
    with torch.no_grad():
        importance = Importance(module.Model(net), module.Guide(net), num_samples=3).run(x, mask)
        for trace, weight in zip(importance.exec_traces, importance.log_weights, strict=True):
            z = latents(trace)
            assert float(weight) == pytest.approx(follow(net, x, mask, z).log_weights(z).sum().item(), rel=1e-12)


@both
def test_vectorized_importance_weights_are_joint_over_the_batch(program, latent_variant):
    net, module = small(latent_variant), PROGRAMS[program]
    x, mask = ragged()
    with torch.no_grad():
        weights, trace, _ = vectorized_importance_weights(
            module.Model(net), module.Guide(net), x, mask, num_samples=3, max_plate_nesting=1
        )
        z = latents(trace)
        assert_close(weights, follow(net, x, mask, z).log_weights(z).sum((-2, -1)), rtol=1e-12, atol=0)


@both
@pytest.mark.parametrize("vectorized", [True, False])
def test_renyi_at_zero_is_the_importance_weighted_bound_of_each_sequence(program, vectorized, latent_variant):
    net, module = small(latent_variant), PROGRAMS[program]
    x, mask = ragged()
    eps = torch.randn(3, *mask.shape, Z)
    with torch.no_grad():
        with noise(eps, each_pass=not vectorized):
            elbo = RenyiELBO(alpha=0, num_particles=3, vectorize_particles=vectorized, max_plate_nesting=1)
            loss = elbo.loss(module.Model(net), module.Guide(net), x, mask)
        with noise(eps):
            weights = log_weights(sequence.Model(net), sequence.Guide(net), x, mask, 3)
    assert -loss == pytest.approx((weights.logsumexp(0) - math.log(3)).sum().item(), rel=1e-12)


@both
@pytest.mark.parametrize("elbo", [Trace_ELBO, TraceMeanField_ELBO])
def test_vectorised_particles_equal_a_loop(program, elbo, variant):
    net, module = small(variant), PROGRAMS[program]
    x, mask = ragged()
    eps = torch.randn(3, *mask.shape, net.dims.z)
    losses = []
    for vectorized in (True, False):
        with noise(eps, each_pass=not vectorized):
            bound = elbo(num_particles=3, vectorize_particles=vectorized, max_plate_nesting=1)
            losses.append(bound.differentiable_loss(module.Model(net), module.Guide(net), x, mask).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)


def test_gradients_of_latents_that_the_model_drew_itself(latent_variant):
    """Scored where they were drawn, they give what they give when handed in."""
    net = small(latent_variant)
    x, mask = ragged()
    for argument in (x, None):
        trace = poutine.trace(sequence.Model(net)).get_trace(argument, mask)
        frames, z = trace.nodes["x"]["value"].detach(), latents(trace).clone()
        drawn = torch.autograd.grad(trace.log_prob_sum(), list(net.parameters()), allow_unused=True)
        handed = poutine.trace(poutine.condition(markov.Model(net), as_sites("markov", "z", z))).get_trace(frames, mask)
        given = torch.autograd.grad(handed.log_prob_sum(), list(net.parameters()), allow_unused=True)
        for a, b in zip(drawn, given, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                assert_close(a, b, rtol=1e-9, atol=1e-10)
