"""What each number says of log p(x), where log p(x) is known."""

import pytest
import torch

from pyro_vrnn.inference.likelihood import elbo, iwae, stepwise
from pyro_vrnn.inference.linear_gaussian import evidence, guide_by_bayes, matrices
from tests.inference.oracle import drawn_from, mean_and_error, oracle, repeated

LENGTHS = [1, 5, 20]
pytestmark = pytest.mark.usefixtures("_no_grad")


@pytest.fixture
def _no_grad():
    with torch.no_grad():
        yield


@pytest.mark.parametrize("z", [1, 2, 4])
@pytest.mark.parametrize("T", LENGTHS)
def test_iwae_tends_to_the_evidence(z, T):
    net = oracle(z, size=0.15)
    x, mask = drawn_from(net, *[T] * 8)
    exact = evidence(net, x, mask)
    assert (iwae(net, x, mask, 10_000) - exact).mean().abs() <= 0.02
    # One particle is a draw of the bound, and close to the posterior a quieter one than with analytic KL.
    gaps = exact - iwae(net, x.repeat(1000, 1, 1), mask.repeat(1000, 1), 1).view(1000, 8)
    gap, error = mean_and_error(gaps.mean(1))
    assert gap - 4 * error > (0.02 if T >= 5 else 0), "else there was nothing to close"


@pytest.mark.parametrize("T", LENGTHS)
def test_bounds_rise_with_particles_and_stay_below_the_evidence(T):
    net = oracle(2, size=0.4, widen=1.5)
    x, mask = drawn_from(net, T)
    exact = evidence(net, x, mask).item()
    one, few, many = (
        mean_and_error(draws)
        for draws in (
            elbo(net, *repeated(x, mask, 4000)),
            iwae(net, *repeated(x, mask, 4000), 5),
            iwae(net, *repeated(x, mask, 1000), 50),
        )
    )
    for (lower, lower_error), (upper, upper_error) in ((one, few), (few, many)):
        assert lower + 4 * (lower_error**2 + upper_error**2) ** 0.5 < upper
    assert many[0] < exact + 4 * many[1]
    assert few[0] + 4 * few[1] < exact


@pytest.mark.parametrize("particles", [1, 5])
@pytest.mark.parametrize("T", [1, 3, 5])
def test_the_estimate_of_the_likelihood_is_unbiased(particles, T):
    net = oracle(2, size=0.2, widen=1.15)
    x, mask = drawn_from(net, T)
    ratio = (iwae(net, *repeated(x, mask, 12_000), particles) - evidence(net, x, mask)).exp()
    mean, error = mean_and_error(ratio)
    assert ratio.var() < 1
    assert 4 * error < 0.05, "a bias of 5 % must show"
    assert abs(mean - 1) < 4 * error


def test_one_particle_is_a_draw_of_the_bound():
    net = oracle(2, size=0.4, widen=1.5)
    x, mask = drawn_from(net, 6)
    analytic, sampled = (
        mean_and_error(score(net, *repeated(x, mask, 8000))) for score in (elbo, lambda *a: iwae(*a, 1))
    )
    assert abs(analytic[0] - sampled[0]) < 4 * (analytic[1] ** 2 + sampled[1] ** 2) ** 0.5


@pytest.mark.parametrize("T", LENGTHS)
def test_stepwise_is_at_least_the_bound_in_expectation(T):
    net = oracle(2, size=0.4, widen=1.5)
    x, mask = drawn_from(net, T)
    bound, error = mean_and_error(elbo(net, *repeated(x, mask, 4000)))
    for particles in (2, 10):
        mean, other = mean_and_error(stepwise(net, *repeated(x, mask, 4000), particles))
        assert mean > bound + 4 * (error**2 + other**2) ** 0.5


@pytest.mark.slow
def test_stepwise_does_not_tend_to_the_evidence_where_iwae_does():
    """Where z persists, so that later frames tell of earlier latents: more particles change nothing."""
    net = oracle(2, size=0.15)
    m = matrices(net)
    for weight in (m.A, m.B, m.E):
        weight.zero_()
    m.C.copy_(torch.eye(3, 2))
    m.P.copy_(0.8 * torch.eye(2, 3))
    net.emission.head.rho.fill_(1.5)
    guide_by_bayes(net, widen=1.02)
    x, mask = drawn_from(net, *[20] * 8)
    truth = evidence(net, x, mask)

    def off(score, particles: int) -> float:
        draws = score(net, x.repeat(3, 1, 1), mask.repeat(3, 1), particles).view(3, 8)
        return (draws.mean(0) - truth).abs().mean().item()

    assert off(iwae, 5000) < 0.15
    assert off(stepwise, 5000) > 0.2
    assert off(stepwise, 5000) == pytest.approx(off(stepwise, 500), abs=0.1)
