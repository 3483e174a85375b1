"""How estimates are computed: chunks of particles, batches, order, noise of their own."""

import math

import pyro
import pytest
import torch
from pyro.infer import Trace_ELBO
from torch.distributions import Normal
from torch.testing import assert_close

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference import pieces
from pyro_vrnn.inference.estimators import ESTIMATORS, estimate, estimators_for
from pyro_vrnn.inference.likelihood import elbo, exact, iid_gaussian, iwae, kl_form, stepwise
from pyro_vrnn.inference.linear_gaussian import evidence
from pyro_vrnn.inference.results import Kind, Scale
from pyro_vrnn.model import sequence
from pyro_vrnn.model.densities import GaussianMixture
from pyro_vrnn.model.draws import infer
from pyro_vrnn.model.priors import ConditionalPrior
from pyro_vrnn.model.state import State
from tests.inference.oracle import oracle
from tests.model.small import LENGTHS, Z, noise, ragged, small

SCALE = Scale(width=3)
SCORES = {
    "elbo": lambda net, x, mask: elbo(net, x, mask),
    "iwae": lambda net, x, mask: iwae(net, x, mask, 5),
    "stepwise": lambda net, x, mask: stepwise(net, x, mask, 5),
}
every_score = pytest.mark.parametrize("score", SCORES)
pytestmark = pytest.mark.usefixtures("_no_grad")


@pytest.fixture
def _no_grad():
    with torch.no_grad():
        yield


@pytest.mark.parametrize("variant", ["rnn-gauss", "rnn-gmm"])
@pytest.mark.parametrize(("recurrence", "layers"), [("lstm", 1), ("lstm", 2), ("gru", 2)])
def test_exact_is_the_sum_of_the_steps(variant, recurrence, layers):
    net = small(variant, recurrence, layers)
    x, mask = ragged()
    for row, length in enumerate(LENGTHS):
        h, memory, total = torch.zeros(1, 5), (torch.zeros(1, 5),) * net.recurrence.memory_size, 0.0
        for x_t in x[row, :length]:
            nothing = torch.zeros(1, 0)
            state = State(h, nothing, memory)
            total += net.emission(nothing, state).log_prob(x_t).item()
            h, memory = net.recurrence(net.recurrence.prepare(net.phi_x(x_t.unsqueeze(0))), nothing, state)
        assert exact(net, x, mask)[row].item() == pytest.approx(total, rel=1e-12)


def test_one_particle_is_the_sampled_bound(latent_variant):
    net = small(latent_variant)
    x, mask = ragged()
    eps = torch.randn(1, *mask.shape, Z)
    with noise(eps):
        one = iwae(net, x, mask, 1)
    with noise(eps[0]):
        z, rollout = infer(net, x, mask, mask.shape[:1])
        loss = Trace_ELBO(max_plate_nesting=1).loss(sequence.Model(net), sequence.Guide(net), x, mask)
    assert_close(one, rollout.log_weights(z).sum(-1), rtol=1e-12, atol=1e-12)
    assert -loss == pytest.approx(one.sum().item(), rel=1e-12)


def test_iwae_averages_weights_of_whole_sequences_and_stepwise_those_of_steps(latent_variant):
    net = small(latent_variant)
    x, mask = ragged()
    eps = torch.randn(5, *mask.shape, Z)
    with noise(eps):
        z, rollout = infer(net, x, mask, eps.shape[:2])
        weights = rollout.log_weights(z)
        trajectory, steps = iwae(net, x, mask, 5), stepwise(net, x, mask, 5)
    assert_close(trajectory, (weights.sum(-1).logsumexp(0) - math.log(5)), rtol=1e-12, atol=1e-12)
    by_step = torch.where(mask, weights.logsumexp(0) - math.log(5), torch.zeros(mask.shape))
    assert_close(steps, by_step.sum(-1), rtol=1e-12, atol=1e-12)
    single = mask.sum(-1) == 1
    assert_close(trajectory[single], steps[single])
    assert not trajectory[~single].isclose(steps[~single]).any()


@pytest.mark.parametrize("score", [iwae, stepwise])
def test_chunks_of_particles_change_nothing_but_the_memory(score, latent_variant, monkeypatch):
    net = small(latent_variant)
    x, mask = ragged()
    eps = torch.randn(6, *mask.shape, Z)
    with noise(eps):
        whole = score(net, x, mask, 6)
    rows = []
    net.emission.register_forward_hook(lambda module, inputs, out: rows.append(inputs[0].shape[:-2].numel()))
    monkeypatch.setattr(pieces, "STEPS", 2 * mask.numel() + 1)
    with noise(eps.view(3, 2, *eps.shape[1:]), each_pass=True):
        chunked = score(net, x, mask, 6)
    assert_close(chunked, whole, rtol=1e-12, atol=1e-12)
    assert rows == [2 * len(x)] * 3


@pytest.mark.parametrize("score", [iwae, stepwise])
@pytest.mark.parametrize(("particles", "limit"), [(1, 1024), (7, 56), (7, 21), (40, 1024), (2000, 1024)])
def test_no_pass_holds_more_steps_than_it_may(score, particles, limit, monkeypatch):
    net = small()
    x, mask = ragged()
    steps = []
    net.emission.register_forward_hook(lambda module, inputs, out: steps.append(inputs[0].shape[:-1].numel()))
    monkeypatch.setattr(pieces, "STEPS", limit)
    score(net, x, mask, particles)
    assert sum(steps) == particles * mask.numel()
    assert max(steps) <= limit


@every_score
def test_a_sequences_score_does_not_depend_on_its_batch(score, latent_variant):
    net = small(latent_variant)
    x, mask = ragged()
    eps = torch.randn(*([5] if score != "elbo" else []), *mask.shape, Z)
    with noise(eps):
        whole = SCORES[score](net, x, mask)
    for rows in ([2, 0, 3, 1], [1, 3], [2]):
        length = int(mask[rows].sum(-1).max())
        with noise(eps[..., rows, :length, :]):
            part = SCORES[score](net, x[rows, :length], mask[rows, :length])
        assert_close(part, whole[rows], rtol=1e-12, atol=1e-12)


@every_score
def test_padding_changes_no_score(score, latent_variant):
    net = small(latent_variant)
    x, mask = ragged()
    eps = torch.randn(*([5] if score != "elbo" else []), *mask.shape, Z)
    with noise(eps):
        clean = SCORES[score](net, x, mask)
        filled = SCORES[score](net, torch.where(mask.unsqueeze(-1), x, torch.full_like(x, 9.0)), mask)
    assert_close(filled, clean, rtol=1e-12, atol=1e-12)


def with_a_mixture_prior():
    """A model whose KL has no closed form."""
    net = small()
    net.prior = ConditionalPrior(net.dims, [5], lambda width: GaussianMixture(width, 3))
    return net


def test_the_divergence_is_sampled_where_it_has_no_closed_form(latent_variant):
    assert kl_form(small(latent_variant)) == "analytic"
    net = with_a_mixture_prior()
    assert kl_form(net) == "sampled"
    x, mask = ragged()
    eps = torch.randn(*mask.shape, Z)
    with noise(eps):
        bound = elbo(net, x, mask)
    with noise(eps.unsqueeze(0)):
        assert_close(bound, iwae(net, x, mask, 1))


def batches(x, mask, *rows):
    return [(x[list(r)], mask[list(r)], torch.tensor(r)) for r in rows]


@pytest.mark.parametrize("name", ["exact", "iid_gaussian", "iwae"])
def test_results_come_in_the_order_of_the_indices(name):
    net = oracle(2, size=0.15) if name == "iwae" else small("rnn-gauss")
    x, mask = ragged()
    truth = {"exact": exact, "iid_gaussian": lambda _, x, mask: iid_gaussian(x, mask), "iwae": evidence}[name]
    seen = []
    shuffled = batches(x, mask, (2, 3), (0,), (1,))
    result = estimate(net, shuffled, name, particles=2000, scale=SCALE, progress=seen.append)
    assert seen == [2, 1, 1]
    assert result.frames.tolist() == list(LENGTHS)
    assert result.nats == pytest.approx(truth(net, x, mask).numpy(), abs=0.1 if name == "iwae" else 1e-9)


def test_the_reference_is_a_standard_normal_a_value():
    x, mask = ragged()
    by_hand = [Normal(0.0, 1.0).log_prob(row[:length]).sum() for row, length in zip(x, LENGTHS, strict=True)]
    assert_close(iid_gaussian(torch.where(mask.unsqueeze(-1), x, torch.full_like(x, 9.0)), mask), torch.stack(by_hand))


@pytest.mark.parametrize("name", ["elbo", "iwae", "stepwise"])
def test_noise_is_of_its_own_and_repeats_with_the_seed(name):
    net = small()
    data = batches(*ragged(), (0, 1), (2, 3))
    pyro.set_rng_seed(5)
    before = torch.get_rng_state()
    first = estimate(net, data, name, particles=4, scale=SCALE, seed=1)
    assert torch.get_rng_state().equal(before)
    torch.rand(3)
    again, other = (estimate(net, data, name, particles=4, scale=SCALE, seed=seed) for seed in (1, 2))
    assert (first.nats == again.nats).all()
    assert (first.nats != other.nats).all()


@pytest.mark.parametrize("training", [True, False])
def test_the_net_is_left_as_it_was(training):
    net = small().train(training)
    before = {name: p.clone() for name, p in net.named_parameters()}
    estimate(net, batches(*ragged(), (0, 1, 2, 3)), "iwae", particles=2, scale=SCALE)
    assert net.training == training
    assert all(p.equal(before[name]) and p.grad is None for name, p in net.named_parameters())
    assert len(pyro.get_param_store()) == 0


@pytest.mark.parametrize(
    ("name", "called", "kind", "note"),
    [
        ("elbo", "elbo", Kind.BOUND, "kl=analytic"),
        ("iwae", "iwae_7", Kind.CONSISTENT, ""),
        ("stepwise", "stepwise_7", Kind.ESTIMATE, ""),
        ("exact", "exact", Kind.EXACT, ""),
    ],
)
def test_a_number_carries_its_meaning(name, called, kind, note):
    net = small("rnn-gmm" if name == "exact" else "srnn")
    result = estimate(net, batches(*ragged(), (0, 1, 2, 3)), name, particles=7, scale=SCALE)
    assert (result.name, result.kind, result.note, result.scale) == (called, kind, note, SCALE)
    assert result.nats.dtype == "float64"


def test_float32_models_are_scored_in_float32_and_summed_in_float64():
    net = small().float()
    x, mask = ragged()
    result = estimate(net, batches(x.float(), mask, (0, 1, 2, 3)), "iwae", particles=2, scale=SCALE)
    assert result.nats.dtype == "float64"


def test_estimators_that_have_no_meaning_are_refused():
    data = batches(*ragged(), (0, 1, 2, 3))
    assert estimators_for(small("rnn-gauss")) == ["exact"]
    assert estimators_for(small("vrnn-gauss")) == ["elbo", "elbo_sampled", "iwae", "stepwise", "smc"]
    with pytest.raises(ConfigurationError, match=f"--estimator vibes: unknown; choose one of {', '.join(ESTIMATORS)}"):
        estimate(small(), data, "vibes", scale=SCALE)
    with pytest.raises(ConfigurationError, match="--estimator exact: the model has latents; choose one of elbo, "):
        estimate(small(), data, "exact", scale=SCALE)
    with pytest.raises(ConfigurationError, match="--estimator iwae: the model has no latents; choose one of exact"):
        estimate(small("rnn-gmm"), data, "iwae", scale=SCALE)
    with pytest.raises(ConfigurationError, match=r"exact: this model has latents.*use elbo, iwae or smc"):
        exact(small(), *ragged())
