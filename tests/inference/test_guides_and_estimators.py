"""For every guide and every estimator: what it says of log p(x), on ragged sequences whose log p(x) is known."""

import functools

import pytest
import torch

from pyro_vrnn.inference.likelihood import elbo, iwae
from pyro_vrnn.inference.linear_gaussian import ExactGuide, evidence, guide_by_bayes
from pyro_vrnn.inference.smc import smc
from pyro_vrnn.model.densities import ConstantGaussian
from pyro_vrnn.model.guides import FilteringGuide, IndependentGuide, PriorGuide, SmoothingGuide
from tests.inference.oracle import drawn_from, mean_and_error, oracle

GUIDES = ("prior", "filtering", "independent", "smoothing", "exact")
LENGTHS = (1, 2, 4)
DRAWS = 6000
guides = pytest.mark.parametrize("guide", GUIDES)
latents = pytest.mark.parametrize("z", [pytest.param(1, marks=pytest.mark.slow), 2])


@functools.cache
def model(guide: str, z: int):
    """A model, this guide for it (fitted where it has no closed form), and ragged sequences of its own."""
    with torch.random.fork_rng():
        torch.manual_seed(z)
        net = oracle(z, size=0.25)
        if guide in ("independent", "smoothing"):
            made = {"independent": IndependentGuide, "smoothing": SmoothingGuide}[guide]
            net.guide = made(net.dims, [16], ConstantGaussian)
            _fit(net)
        elif guide == "filtering":
            guide_by_bayes(net, widen=1.15)
        elif guide == "prior":
            net.guide = PriorGuide()
            net.emission.head.rho.data.fill_(1.5)  # x says less of z, and blind guesses weigh something
        else:
            net.guide = ExactGuide(net)
        return net.requires_grad_(False), *drawn_from(net, *LENGTHS)


def _fit(net) -> None:
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name.startswith("guide"))
    optimiser = torch.optim.Adam(net.guide.parameters(), lr=1e-2)
    for _ in range(300):
        x, mask = drawn_from(net, *[5] * 64)
        optimiser.zero_grad()
        (-elbo(net, x, mask).mean()).backward()
        optimiser.step()
    net.guide.head.rho.data.add_(0.15)  # a guide that fits perfectly leaves nothing to order


@torch.no_grad()
def draws(score, net, x, mask, number: int = DRAWS) -> torch.Tensor:
    """Independent evaluations, ``(number, B)``."""
    return score(net, x.repeat(number, 1, 1), mask.repeat(number, 1)).view(number, len(x))


UNBIASED = {
    "iwae_1": lambda *a: iwae(*a, 1),
    "iwae_5": lambda *a: iwae(*a, 5),
    "smc_2": lambda *a: smc(*a, 2).log_evidence,
    "smc_5": lambda *a: smc(*a, 5).log_evidence,
    "smc_5_always": lambda *a: smc(*a, 5, threshold=1.1).log_evidence,
}


@latents
@guides
@pytest.mark.parametrize("score", UNBIASED)
def test_the_likelihood_itself_is_estimated_without_bias(score, guide, z):
    net, x, mask = model(guide, z)
    ratios = (draws(UNBIASED[score], net, x, mask) - evidence(net, x, mask)).exp()
    for ratio in ratios.unbind(-1):
        mean, error = mean_and_error(ratio)
        assert abs(mean - 1) <= max(4 * error, 1e-9)
        assert 4 * error < 0.25, "a bias of a quarter must show"


@latents
@guides
def test_expectations_are_ordered(guide, z):
    """ELBO <= IWAE-K <= IWAE-K' <= log p(x), and SMC below log p(x)."""
    net, x, mask = model(guide, z)
    exact = evidence(net, x, mask)
    # The bound by sampling: close to the posterior it is quieter than with the analytic KL, and equal in expectation.
    bound = functools.partial(elbo, sampled=True)
    scores = (bound, lambda *a: iwae(*a, 3), lambda *a: iwae(*a, 30), lambda *a: smc(*a, 30).log_evidence)
    found = [draws(score, net, x, mask, 2000) for score in scores]
    for row in range(len(x)):
        (a, sa), (b, sb), (c, sc), (d, sd) = (mean_and_error(each[:, row]) for each in found)
        assert a <= b + 4 * (sa**2 + sb**2) ** 0.5 + 1e-9
        assert b <= c + 4 * (sb**2 + sc**2) ** 0.5 + 1e-9
        assert c <= exact[row] + 4 * sc + 1e-9
        assert d <= exact[row] + 4 * sd + 1e-9
    if guide != "exact":
        (lowest, error), (higher, other) = (mean_and_error(each.sum(-1)) for each in found[:2])
        assert lowest + 4 * error < exact.sum(), "else there was nothing to order"
        assert lowest + 4 * (error**2 + other**2) ** 0.5 < higher


@latents
@guides
@pytest.mark.parametrize("score", ["iwae", "smc"])
def test_many_particles_meet_the_evidence(score, guide, z):
    net, x, mask = model(guide, z)
    scores = {"iwae": lambda *a: iwae(*a, 3000), "smc": lambda *a: smc(*a, 3000).log_evidence}
    found = draws(scores[score], net, x, mask, 8)
    off, error = (found.mean(0) - evidence(net, x, mask)).abs(), found.std(0) / 8**0.5
    assert (off <= 0.01 + 4 * error).all()
    assert error.max() < 0.03


@latents
def test_every_trajectory_of_the_exact_guide_weighs_the_evidence(z):
    net, x, mask = model("exact", z)
    with torch.no_grad():
        for score in (elbo(net, x, mask, sampled=True), iwae(net, x, mask, 1), iwae(net, x, mask, 7)):
            assert score.tolist() == pytest.approx(evidence(net, x, mask).tolist(), rel=1e-9)


def test_the_exact_guide_is_the_posterior_of_the_joint_density():
    """Against conditioning of the dense joint of x and z_1, with matrices that leave nothing out."""
    net = oracle(2, size=0.5)
    x, mask = drawn_from(net, 4)
    net.guide = ExactGuide(net)
    prepared, _ = net.guide.prepare(net.phi_x(x), mask)
    q = net.guide(prepared[:, 0], net.initial_state((1,)), None)
    # p(x | z_1) by regression on joint draws would be noisy; Bayes by the evidence of the shifted model is not:
    # log q(z_1) - log p(z_1) - log p(x, rest | z_1) is the same constant for every z_1.
    zs = q.mean + 0.7 * torch.randn(6, 1, 2)
    with torch.no_grad():
        constants = [(q.log_prob(z) - _log_joint_of_first(net, x, z)).item() for z in zs]
    assert constants == pytest.approx([constants[0]] * 6, abs=1e-8)
    assert constants[0] == pytest.approx(-evidence(net, x, mask).item(), abs=1e-8)


def _log_joint_of_first(net, x, z):
    """log p(z_1, x): the first step by hand, the rest as the evidence of the model started in its state."""
    state = net.initial_state((1,))
    first = net.prior(state).log_prob(z) + net.emit(net.features_z(z), state).log_prob(x[:, 0])
    state = net.advance(net.recurrence.prepare(net.phi_x(x[:, 0])), z, net.features_z(z), state)
    prepared, _ = net.guide.prepare(net.phi_x(x[:, 1:]), torch.ones(1, x.shape[1] - 1, dtype=torch.bool))
    total = first
    for t in range(1, x.shape[1]):  # along any path of the rest, log p(path, x) - log q(path) is its evidence
        p, q = net.prior(state), net.guide(prepared[:, t - 1], state, None)
        z_t = q.mean + 0.3
        features_z = net.features_z(z_t)
        total = total + p.log_prob(z_t) - q.log_prob(z_t) + net.emit(features_z, state).log_prob(x[:, t])
        state = net.advance(net.recurrence.prepare(net.phi_x(x[:, t])), z_t, features_z, state)
    return total


@pytest.mark.parametrize("guide", ["filtering", pytest.param("exact", marks=pytest.mark.slow)])
def test_over_long_sequences_resampling_helps_a_filter_and_harms_the_posterior(guide):
    torch.manual_seed(1)
    net = oracle(2, size=0.3, widen=1.3)
    x, mask = drawn_from(net, *[100] * 4)
    if guide == "exact":
        net.guide = ExactGuide(net)
    truth, number = evidence(net, x, mask), 40
    with_smc = (draws(lambda *a: smc(*a, 20).log_evidence, net, x, mask, number) - truth).square().mean(-1)
    with_iwae = (draws(lambda *a: iwae(*a, 20), net, x, mask, number) - truth).square().mean(-1)
    if guide == "exact":
        assert with_iwae.max() < 1e-12
        assert with_smc.mean() > 1e-3
    else:
        gain, error = mean_and_error(with_iwae - with_smc)
        assert gain > 4 * error
        assert with_smc.mean() < 0.5 * with_iwae.mean()


def test_fitted_guides_are_the_families_of_the_package():
    assert isinstance(model("filtering", 1)[0].guide, FilteringGuide)
    assert type(model("smoothing", 1)[0].guide).reads_future
