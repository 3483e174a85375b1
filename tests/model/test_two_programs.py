"""The sequence program equals the markov program, which equals the paper."""

from itertools import product

import pytest
import torch
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, kl_divergence
from torch.nn.functional import linear, softplus

from pyro_vrnn.inference.programs import log_weights
from pyro_vrnn.model.draws import infer
from pyro_vrnn.model.guides import FilteringGuide, PriorGuide, SmoothingGuide
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.state import State
from pyro_vrnn.model.variants import GUIDES, PRIORS, Variant
from tests.model.small import LENGTHS, PROGRAMS, H, Z, noise, ragged, small

ELBOS = [Trace_ELBO, TraceMeanField_ELBO]
RECURRENCES = list(product(["lstm", "gru"], [1, 2]))


def loss_and_gradients(program: str, net: VRNN, elbo: Trace_ELBO, x: Tensor, mask: Tensor, eps: Tensor):
    module = PROGRAMS[program]
    net.zero_grad()
    with noise(eps):
        loss = elbo.differentiable_loss(module.Model(net), module.Guide(net), x, mask)
    loss.backward()
    return loss.item(), {name: p.grad for name, p in net.named_parameters()}


def assert_programs_agree(net: VRNN) -> None:
    x, mask = ragged()
    for elbo, particles in product(ELBOS, [1, 3]):
        eps = torch.randn(*([particles] if particles > 1 else []), *mask.shape, net.dims.z)
        bound = elbo(num_particles=particles, vectorize_particles=particles > 1, max_plate_nesting=1)
        loss, gradients = loss_and_gradients("markov", net, bound, x, mask, eps)
        other_loss, other_gradients = loss_and_gradients("sequence", net, bound, x, mask, eps)
        assert other_loss == pytest.approx(loss, rel=1e-12)
        for name, gradient in gradients.items():
            assert gradient is not None, name
            assert gradient.any(), name
            torch.testing.assert_close(other_gradients[name], gradient, rtol=1e-9, atol=1e-10, msg=name)


@pytest.mark.parametrize(("recurrence", "layers"), RECURRENCES)
def test_loss_and_every_gradient_agree_under_the_same_noise(variant, recurrence, layers):
    assert_programs_agree(small(variant, recurrence, layers))


@pytest.mark.parametrize("h_reads_z", [True, False])
@pytest.mark.parametrize(("prior", "guide"), list(product(PRIORS, GUIDES)))
def test_every_combination_of_parts_agrees(prior, guide, h_reads_z):
    assert_programs_agree(small(Variant(prior, guide, "gaussian", h_reads_z, ""), "linear"))


class Residual(FilteringGuide):
    """q(z_t | .) whose mean is the prior's plus what the net says: a guide that calls the prior."""

    reads_prior = True

    def forward(self, prepared, state, prior):
        q, p = super().forward(prepared, state, prior), prior()
        return type(q)(p.loc + q.loc, q.scale)


class MeanField(SmoothingGuide):
    """q(z_t | x, h_{t-1}) where h is known beforehand: a guide that reads h in ``prepare`` and no state."""

    reads_state = False

    def forward(self, prepared, state, prior):
        return super().forward(prepared, State(state.h[..., :1].new_zeros(H), state.z.new_zeros(Z)), prior)


@pytest.mark.parametrize(("variant", "guide"), [("vrnn-gauss", Residual), ("srnn", Residual), ("srnn", MeanField)])
def test_guides_of_other_habits_agree_too(variant, guide):
    net = small(variant)
    net.guide = guide(net.dims, [6])
    for parameter in net.guide.parameters():
        nn.init.normal_(parameter, 0, 0.5)
    x, mask = ragged()
    eps = torch.randn(3, *mask.shape, Z)
    with noise(eps), torch.no_grad():
        markov, sequence = (
            log_weights(program.Model(net), program.Guide(net), x, mask, 3) for program in PROGRAMS.values()
        )
    torch.testing.assert_close(sequence, markov, rtol=1e-12, atol=0)


def test_the_prior_as_a_guide_has_no_divergence_and_no_weight_but_the_likelihood(latent_variant):
    net = small(latent_variant)
    x, mask = ragged()
    z, rollout = infer(net, x, mask, (5, *mask.shape[:1]), guide=PriorGuide())
    torch.testing.assert_close(rollout.kl, torch.zeros(5, *mask.shape))
    torch.testing.assert_close(rollout.log_weights(z), rollout.log_emission)


def test_log_weights_of_every_sequence_and_particle_agree(variant):
    net = small(variant, layers=2)
    x, mask = ragged()
    eps = torch.randn(3, *mask.shape, net.dims.z)
    with noise(eps), torch.no_grad():
        markov, sequence = (
            log_weights(program.Model(net), program.Guide(net), x, mask, 3) for program in PROGRAMS.values()
        )
        assert markov.shape == (3, len(LENGTHS))
        torch.testing.assert_close(sequence, markov, rtol=1e-12, atol=1e-12)
        if net.has_latents:
            z, rollout = infer(net, x, mask, markov.shape)
            torch.testing.assert_close(rollout.log_weights(z).sum(-1), markov, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_the_padding_holds_changes_no_number(program, variant):
    net = small(variant)
    x, mask = ragged()
    filled = torch.where(mask.unsqueeze(-1), x, 9 * torch.randn_like(x))
    eps = torch.randn(*mask.shape, net.dims.z)
    other_eps = torch.where(mask.unsqueeze(-1), eps, torch.randn_like(eps))
    for elbo in ELBOS:
        loss, gradients = loss_and_gradients(program, net, elbo(max_plate_nesting=1), x, mask, eps)
        other_loss, other_gradients = loss_and_gradients(
            program, net, elbo(max_plate_nesting=1), filled, mask, other_eps
        )
        assert other_loss == pytest.approx(loss, rel=1e-13)
        for name, gradient in gradients.items():
            torch.testing.assert_close(other_gradients[name], gradient, rtol=1e-10, atol=1e-11, msg=name)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_batch_equals_a_loop_over_its_sequences_unpadded(program, variant):
    net, module = small(variant), PROGRAMS[program]
    x, mask = ragged()
    eps = torch.randn(2, *mask.shape, net.dims.z)
    with torch.no_grad():
        with noise(eps):
            batch = log_weights(module.Model(net), module.Guide(net), x, mask, 2)
        for b, length in enumerate(LENGTHS):
            row = slice(b, b + 1)
            with noise(eps[:, row, :length]):
                one = log_weights(module.Model(net), module.Guide(net), x[row, :length], mask[row, :length], 2)
            torch.testing.assert_close(batch[:, row], one, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_mask_means_whole_sequences(program, variant):
    net, module = small(variant), PROGRAMS[program]
    x, eps = torch.randn(4, 7, 3), torch.randn(4, 7, net.dims.z)
    with noise(eps), torch.no_grad():
        elbo = TraceMeanField_ELBO(max_plate_nesting=1)
        bare = elbo.loss(module.Model(net), module.Guide(net), x)
        assert bare == elbo.loss(module.Model(net), module.Guide(net), x, torch.ones(4, 7, dtype=torch.bool))


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("x", "mask", "message"),
    [
        (None, None, "neither x nor mask"),
        ((4, 7), None, r"x has shape \(4, 7\); expected \(B, T, 3\)"),
        ((4, 7, 2), None, r"x has shape \(4, 7, 2\); expected \(B, T, 3\)"),
        ((4, 7, 3), torch.ones(4, 6, dtype=torch.bool), r"expected \(4, 7\)"),
        ((4, 7, 3), torch.ones(4, 7), "torch.bool"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(program, x, mask, message):
    with pytest.raises(ValueError, match=message):
        PROGRAMS[program].Model(small())(None if x is None else torch.zeros(x), mask)


def test_markov_is_the_paper():
    """Equations 5 to 11 for VRNN-Gauss, written out for one sequence with the library's own cell and densities."""
    net = small("vrnn-gauss")
    x, eps = torch.randn(6, 3), torch.randn(6, Z)

    def concatenated(read: nn.Module, *inputs: Tensor) -> Tensor:
        return linear(torch.cat(inputs), torch.cat(list(read.weights), 1), read.bias)

    def phi(net: nn.Module, *inputs: Tensor) -> Tensor:
        return concatenated(net.read, *inputs).relu()

    def gaussian(net: nn.Module, *inputs: Tensor) -> Distribution:
        mu, a = concatenated(net.deep[1], phi(net, *inputs)).chunk(2)
        return Normal(mu, softplus(a) + 1e-4)

    gates = net.recurrence.cells[0].read
    *read, recurrent = gates.weights
    cell = nn.LSTMCell(net.dims.phi_x + net.dims.phi_z, H)
    cell.load_state_dict(
        {"weight_ih": torch.cat(read, 1), "weight_hh": recurrent, "bias_ih": gates.bias, "bias_hh": 0 * gates.bias}
    )
    h, c, bound = torch.zeros(H), torch.zeros(H), 0.0
    for x_t, eps_t in zip(x, eps, strict=True):
        phi_x = phi(net.phi_x, x_t)
        p, q = gaussian(net.prior.net, h), gaussian(net.guide.net, phi_x, h)
        z_t = q.mean + q.stddev * eps_t
        phi_z = phi(net.phi_z, z_t)
        bound = bound + gaussian(net.emission.net, phi_z, h).log_prob(x_t).sum() - kl_divergence(q, p).sum()
        h, c = cell(torch.cat([phi_x, phi_z]), (h, c))

    for module in PROGRAMS.values():
        with noise(eps.unsqueeze(0)):
            loss = TraceMeanField_ELBO().loss(module.Model(net), module.Guide(net), x.unsqueeze(0))
        assert -loss == pytest.approx(bound.item(), rel=1e-12)
