"""Segments change memory and time, and nothing else: loss, gradients, draws, and what a rollout answers."""

from dataclasses import replace

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO
from torch import nn
from torch.distributions import Independent, Normal
from torch.testing import assert_close

from pyro_vrnn.model import draws, rollout, sequence
from pyro_vrnn.model.densities import Head
from pyro_vrnn.model.guides import FilteringGuide, SmoothingGuide
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.segments import Segmented, follow, infer
from pyro_vrnn.model.variants import VARIANTS
from pyro_vrnn.training.objective import Elbo, Iwae, Objective, Weighted
from tests.model.small import LENGTHS, Z, ragged, small

T = max(LENGTHS)
#: One step, a divisor of none, two segments, all but one step.
EVERY = (1, 2, 3, 4, T - 1)
OBJECTIVES = {
    "mean-field": Elbo,
    "trace": lambda net: Elbo(net, elbo="trace"),
    "iwae": lambda net: Iwae(net, 3),
    "annealed": lambda net: Weighted(net, annealing=10),
    "free bits": lambda net: Weighted(net, free_bits=0.3),
}


def tame(variant: str, **options) -> VRNN:
    """A small model whose losses are of the order of 100, so that equal numbers are equal to many digits."""
    net = small(variant, **options)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(0.5)
    return net


def trained(objective: Objective, x: torch.Tensor, mask: torch.Tensor, every: int) -> dict[str, torch.Tensor]:
    """The loss, every gradient, the parts and the random state after a step."""
    objective.at(3)
    net = next(part for part in objective.modules() if isinstance(part, VRNN))
    net.checkpoint_every = every
    net.zero_grad()
    torch.manual_seed(5)
    loss = objective(x, mask)
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    return {"loss": loss.detach(), "random": torch.randn(3), **objective.parts, **gradients}


def assert_same_in_segments(objective: Objective, x: torch.Tensor, mask: torch.Tensor, sizes=EVERY) -> None:
    whole = trained(objective, x, mask, 0)
    for every in sizes:
        assert_close(
            trained(objective, x, mask, every), whole, rtol=1e-9, atol=1e-9, msg=lambda m, n=every: f"{n}: {m}"
        )


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("validated", [pytest.param(True, marks=pytest.mark.slow), False])
def test_loss_and_gradients_are_those_of_the_whole(name, validated, variant):
    net = tame(variant)
    if not (net.has_latents or name in ("mean-field", "trace")):
        pytest.skip("no latents")
    with pyro.validation_enabled(validated):  # a recorded loop, or the modules' own
        assert_same_in_segments(OBJECTIVES[name](net), *ragged())


@pytest.mark.parametrize("recurrence", ["lstm", "gru"])
def test_also_with_several_layers(recurrence, variant):
    assert_same_in_segments(Elbo(tame(variant, recurrence=recurrence, layers=2)), *ragged(), (3,))


class _Unregistered(Head):
    """A family that draws its own noise and whose divergences nobody knows."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inputs = 2 * width

    def forward(self, a):
        mu, rho = a.chunk(2, -1)
        return Independent(Normal(mu, rho.exp()), 1)


@pytest.mark.parametrize("guide", [FilteringGuide, SmoothingGuide])
@pytest.mark.parametrize("validated", [True, False])
def test_also_with_a_guide_of_another_family(guide, validated):
    net = tame("vrnn-gauss")
    net.guide = guide(net.dims, [6], _Unregistered)
    with pyro.validation_enabled(validated):
        for name in ("mean-field", "trace", "annealed"):
            assert_same_in_segments(OBJECTIVES[name](net), *ragged(), (1, 3))


def test_also_where_the_recurrence_runs_ahead_of_a_guide_that_sees_no_future():
    net = tame(replace(VARIANTS["srnn"], guide="filtering"))
    for objective in (Elbo(net), Iwae(net, 3)):
        assert_same_in_segments(objective, *ragged(), (1, 3))


def test_parts_that_draw_draw_the_same_again():
    net = tame("vrnn-gauss")
    net.phi_z = nn.Sequential(net.phi_z, nn.Dropout(0.5))
    net.checkpoint_every = 3
    x, mask = ragged()
    torch.manual_seed(1)
    _, run = infer(net, x, mask, (4,))
    gradients = torch.autograd.grad(run.log_emission.sum(), list(net.phi_z.parameters()))
    # The central difference of the loss under the same random state is the gradient of the function that was run.
    weight, step = next(net.phi_z.parameters()), 1e-6
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight.view(-1)[0] += sign * step
        torch.manual_seed(1)
        values.append(infer(net, x, mask, (4,))[1].log_emission.sum().item())
        with torch.no_grad():
            weight.view(-1)[0] -= sign * step
    assert gradients[0].view(-1)[0].item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-4)


def test_it_is_one_piece_where_that_is_no_less():
    net, (x, mask) = tame("vrnn-gauss"), ragged()
    for every, kind in ((0, rollout.Rollout), (T - 1, Segmented), (T, rollout.Rollout), (T + 1, rollout.Rollout)):
        net.checkpoint_every = every
        z, run = infer(net, x, mask, (4,))
        assert type(run) is type(follow(net, x, mask, z)) is kind
    net.checkpoint_every = 2
    with torch.no_grad():
        assert type(infer(net, x, mask, (4,))[1]) is rollout.Rollout


def test_it_is_not_saved_with_the_parameters():
    net = tame("vrnn-gauss")
    names = set(net.state_dict())
    net.checkpoint_every = 3
    assert set(net.state_dict()) == names


@pytest.mark.parametrize("particles", [(), (3,)])
def test_it_answers_as_a_rollout_in_one_piece_does(particles, latent_variant):
    net, (x, mask) = tame(latent_variant), ragged()
    net.checkpoint_every = 3
    z, run = infer(net, x, mask, (*particles, 4))
    whole = rollout.follow(net, x, mask, z)
    for ours in (run, follow(net, x, mask, z)):
        assert isinstance(ours, Segmented)
        for name in ("log_emission", "kl", "kl_of_dimensions", "states", "features_z", "last"):
            assert_close(getattr(ours, name), getattr(whole, name), rtol=1e-9, atol=1e-9)
        for name in ("log_prior", "log_guide", "log_weights", "kl_or_sampled"):
            for value in (z, z + 1):
                assert_close(getattr(ours, name)(value), getattr(whole, name)(value), rtol=1e-9, atol=1e-9)
        assert_close(ours.kl_to(whole.p), whole.kl, rtol=1e-9, atol=1e-9)
        assert_close(ours.emission.mean, whole.emission.mean, rtol=1e-9, atol=1e-9)


def test_a_latent_that_was_cut_off_gets_no_gradient():
    net, (x, mask) = tame("vrnn-gauss"), ragged()
    found = []
    for every in (0, 3):
        net.checkpoint_every = every
        torch.manual_seed(2)
        z, run = infer(net, x, mask, (4,))
        found.append(torch.autograd.grad(run.log_prior(z.detach()).sum(), list(net.guide.parameters())))
    assert_close(found[1], found[0], rtol=1e-9, atol=1e-9)


def test_a_divergence_by_dimension_that_is_asked_for_is_not_run_again():
    net, (x, mask) = tame("vrnn-gauss"), ragged()
    net.checkpoint_every = 3
    _, run = infer(net, x, mask, (4,), by_dimension=True)
    assert_close(run.kl_of_dimensions.sum(-1), run.kl)
    assert run.kl_of_dimensions.shape == (4, T, Z)
    assert "_whole" not in vars(run)


def test_a_replayed_and_a_predicted_sequence_are_what_they_were():
    net, (x, mask) = tame("vrnn-gauss"), ragged()
    sums = []
    for every in (0, 3):
        net.checkpoint_every = every
        torch.manual_seed(3)
        drawn = poutine.trace(sequence.Guide(net)).get_trace(x, mask)
        replayed = poutine.trace(poutine.replay(sequence.Model(net), trace=drawn)).get_trace(x.clone(), mask)
        predicted = poutine.uncondition(poutine.replay(sequence.Model(net), trace=drawn))(x, mask)
        sums.append((replayed.log_prob_sum(), drawn.log_prob_sum(), predicted))
    assert_close(sums[1], sums[0], rtol=1e-9, atol=1e-9)


def test_particles_of_pyros_own():
    net, (x, mask) = tame("vrnn-gauss"), ragged()
    losses = []
    for every in (0, 3):
        net.checkpoint_every = every
        torch.manual_seed(4)
        elbo = Trace_ELBO(num_particles=5, vectorize_particles=True, max_plate_nesting=1)
        losses.append(elbo.differentiable_loss(sequence.Model(net), sequence.Guide(net), x, mask))
    assert_close(losses[1], losses[0], rtol=1e-9, atol=1e-9)


def test_the_plain_draw_is_left_alone():
    net, (x, mask) = tame("vrnn-gauss"), ragged()
    net.checkpoint_every = 2
    assert type(draws.infer(net, x, mask, (4,))[1]) is rollout.Rollout
