"""The run through the recurrence that guide and model share: once, never when stale, and not for longer than needed."""

import gc
import weakref
from collections.abc import Callable
from unittest.mock import patch

import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from pyro.poutine import Trace
from torch import Tensor

from pyro_vrnn.model import sequence
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.rollout import follow
from tests.model.small import LENGTHS, latents, noise, ragged, small

ELBOS = [Trace_ELBO, TraceMeanField_ELBO]


class Counter:
    """Counts passes of the recurrence over a sequence: T single steps are one, as is one call for all steps."""

    def __init__(self, net: VRNN) -> None:
        self.steps, self.passes = 0, 0
        net.recurrence.register_forward_hook(self._step)
        over_time = net.recurrence.over_time
        net.recurrence.over_time = lambda *inputs: self._pass(over_time, *inputs)

    def _step(self, *_: object) -> None:
        self.steps += 1

    def _pass(self, over_time: Callable, *inputs: Tensor) -> Tensor:
        self.passes += 1
        return over_time(*inputs)

    @property
    def total(self) -> float:
        return self.passes + self.steps / max(LENGTHS)


def guide_trace(net: VRNN, x: Tensor, mask: Tensor) -> Trace:
    return poutine.trace(sequence.Guide(net)).get_trace(x, mask)


def model_trace(net: VRNN, x: Tensor, mask: Tensor, drawn: Trace) -> Trace:
    return poutine.trace(poutine.replay(sequence.Model(net), trace=drawn)).get_trace(x, mask)


@pytest.mark.parametrize("elbo", ELBOS)
@pytest.mark.parametrize("with_mask", [True, False])
def test_a_loss_runs_the_recurrence_once(elbo, with_mask, variant):
    net = small(variant)
    counter = Counter(net)
    loss = elbo(num_particles=2, vectorize_particles=True, max_plate_nesting=1)
    loss.differentiable_loss(sequence.Model(net), sequence.Guide(net), *ragged()[: 1 + with_mask]).backward()
    assert counter.total == 1


def assert_scored_anew(net: VRNN, x: Tensor, mask: Tensor, drawn: Trace) -> Trace:
    z = latents(drawn)
    scored = model_trace(net, x, mask, drawn)
    fresh = follow(net, x, mask, z.detach().clone())
    expected = fresh.log_emission.sum() + fresh.log_prior(z).sum()
    assert scored.log_prob_sum().item() == pytest.approx(expected.item(), rel=1e-12)
    return scored


def test_a_parameter_written_in_place_is_noticed(latent_variant):
    x, mask = ragged()
    net = small(latent_variant)
    for parameter in net.recurrence.parameters():
        drawn = guide_trace(net, x, mask)
        with torch.no_grad():
            parameter.add_(0.3)
        counter = Counter(net)
        assert_scored_anew(net, x, mask, drawn)
        assert counter.total == 2, "one to score, one to check"


def test_it_is_noticed_before_anything_is_scored():
    """A prediction reads the rollout and asks for no density first."""
    x, mask = ragged()
    net = small()
    drawn = guide_trace(net, x, mask)
    with torch.no_grad():
        net.phi_x.read.bias.add_(0.3)
    predicted = model_trace(net, x, mask, drawn).nodes["z"]["fn"].run.rollout
    assert not predicted.states.h.isclose(drawn.nodes["z"]["fn"].run.rollout.states.h)[0, 1:].all(-1).any()


def test_an_optimisers_step_is_noticed():
    x, mask = ragged()
    net = small()
    drawn = guide_trace(net, x, mask)
    model_trace(net, x, mask, drawn).log_prob_sum().backward()
    torch.optim.Adam(net.parameters(), lr=0.1).step()
    assert_scored_anew(net, x, mask, drawn)


@pytest.mark.parametrize("change", ["x", "mask", "net"])
def test_a_rollout_of_something_else_is_not_taken(change):
    x, mask = ragged()
    net, other = small(), small()
    drawn = guide_trace(net, x, mask)
    shorter = mask & (torch.arange(mask.shape[1]) < 5)
    arguments = {"x": (net, x + 1, mask), "mask": (net, x, shorter), "net": (other, x, mask)}
    assert_scored_anew(*arguments[change], drawn)


def test_what_was_drawn_without_gradients_is_scored_with_them():
    x, mask = ragged()
    net = small()
    with torch.no_grad():
        drawn = guide_trace(net, x, mask)
    assert_scored_anew(net, x, mask, drawn).log_prob_sum().backward()
    guide = set(net.guide.parameters())
    assert all((p.grad is None) == (p in guide) for p in net.parameters())


def test_what_was_drawn_with_gradients_is_not_scored_with_them_where_they_are_off():
    x, mask = ragged()
    net = small()
    drawn = guide_trace(net, x, mask)
    with torch.no_grad():
        assert not assert_scored_anew(net, x, mask, drawn).log_prob_sum().requires_grad


def test_the_divergence_is_analytic_even_where_the_rollout_is_not_shared(latent_variant):
    net = small(latent_variant)
    x, mask = ragged()
    model, guide = sequence.Model(net), sequence.Guide(net)
    with torch.no_grad(), noise(torch.randn(*mask.shape, 2)):
        shared = TraceMeanField_ELBO(max_plate_nesting=1).loss(model, guide, x, mask)
        apart = TraceMeanField_ELBO(max_plate_nesting=1).loss(
            lambda x, mask: model(x.clone(), mask.clone()), guide, x, mask
        )
    assert apart == pytest.approx(shared, rel=1e-12)


def test_memory_goes_with_the_trace(latent_variant):
    net = small(latent_variant)
    x, mask = ragged()
    drawn = guide_trace(net, x, mask)
    scored = model_trace(net, x, mask, drawn)
    rollout = drawn.nodes["z"]["fn"].run.rollout
    assert scored.nodes["z"]["fn"].run.rollout is rollout
    kept = [weakref.ref(rollout), weakref.ref(rollout.states.h)]
    del drawn, rollout
    gc.collect()
    assert all(ref() is not None for ref in kept), "the model's trace still needs it"
    del scored
    gc.collect()
    assert all(ref() is None for ref in kept)


@pytest.mark.parametrize("elbo", ELBOS)
def test_no_state_outlives_a_training_step(elbo):
    net = small()
    states: list[weakref.ref] = []
    net.recurrence.register_forward_hook(lambda module, inputs, out: states.append(weakref.ref(out[0])))
    loss = elbo()(sequence.Model(net, store=False), sequence.Guide(net, store=False))
    loss(*ragged()).backward()
    gc.collect()
    assert len(states) == max(LENGTHS)
    assert all(state() is None for state in states)


def test_the_guides_densities_are_not_computed_twice():
    net = small()
    with patch.object(type(net.guide), "prepare", autospec=True, side_effect=type(net.guide).prepare) as prepare:
        Trace_ELBO().loss(sequence.Model(net), sequence.Guide(net), *ragged())
    assert prepare.call_count == 1
