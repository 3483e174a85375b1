"""Emissions of integers: masses that sum to one, densities that integrate to one, bits without a Jacobian."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference.results import Estimate, Kind, Scale
from pyro_vrnn.model.discrete import BITS, Bernoulli, Grid, LogisticMixture, LogisticMixtures, grid_of
from pyro_vrnn.model.variants import ModelOptions, build

AUDIO = {"lsb": 2.0**-15, "mean": 0.01, "std": 0.2, "lossless": True, "dither": False}
BINARY = {"kind": "arrays", "lsb": 1.0, "mean": [0.1, 0.5, 0.3], "std": [0.3, 0.5, 0.46], "lossless": True}
D = 3


def dmol(grid: Grid, *batch: int, components: int = 4, size: float = 1.0) -> LogisticMixtures:
    head = LogisticMixture(D, components, grid)
    return head(size * torch.randn(*batch, head.inputs))


@pytest.mark.parametrize("size", [0.3, 3.0, 30.0])
def test_the_masses_of_all_integers_sum_to_one(size):
    density = dmol(grid_of("dmol", AUDIO), size=size)
    n = torch.arange(-(2**15), 2**15, dtype=torch.float64).unsqueeze(-1).expand(-1, D)
    assert_close(density.log_mass(n).exp().sum(0), torch.ones(D), rtol=1e-10, atol=1e-10)


def test_a_mass_is_the_integral_of_the_logistics_over_the_cell():
    """By quadrature of their density, and at the ends by their distribution function."""
    grid = Grid(origin=0.3, step=0.05, lowest=-20, highest=20)
    density = dmol(grid)
    weights = density.logits.softmax(-1)
    nodes, w = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(20))
    for n in (-20.0, -3.0, 0.0, 11.0, 20.0):
        centre = grid.origin + n * grid.step
        x = (centre + grid.step / 2 * nodes)[:, None, None]
        u = (x - density.mu) / density.s
        logistic = (u.sigmoid() * (-u).sigmoid() / density.s * weights).sum(-1)
        expected = (w[:, None] * logistic).sum(0) * grid.step / 2
        if abs(n) == 20:
            lower = (centre - math.copysign(grid.step / 2, n) - density.mu) / density.s
            expected = (weights * (-lower if n > 0 else lower).sigmoid()).sum(-1)
        assert_close(density.log_mass(torch.full((D,), n)).exp(), expected, rtol=1e-9, atol=1e-14)


def test_as_a_density_it_integrates_to_one_and_is_constant_in_a_cell():
    grid = Grid(origin=0.3, step=0.5, lowest=-8, highest=7)
    head = LogisticMixture(1, 3, grid)
    density = head(torch.randn(head.inputs))
    inside = torch.linspace(-0.499, 0.499, 5) * grid.step
    cells = grid.origin + grid.step * torch.arange(-8, 8)
    log_p = density.log_prob((cells.unsqueeze(-1) + inside).unsqueeze(-1))
    assert_close(log_p, log_p[:, :1].expand_as(log_p), rtol=0, atol=0)
    assert (log_p[:, 0].exp().sum() * grid.step).item() == pytest.approx(1, rel=1e-12)


def test_far_tails_and_float32_keep_their_digits():
    """Cells of a 24-bit grid, and integers 200 scales away: a difference of sigmoids would be 0 or noise."""
    torch.manual_seed(0)
    grid = Grid(step=1e-6)
    wide, exact = (LogisticMixture(1, 1, grid).to(dtype) for dtype in (torch.float32, torch.float64))
    a = torch.tensor([0.0, 0.1, 0.5])
    n = torch.tensor([[0.0], [400_000.0], [3e8]])
    ours = wide(a.float()).log_mass(n.float())
    assert ours.isfinite().all()
    assert_close(ours.double(), exact(a).log_mass(n), rtol=1e-5, atol=1e-5)


def test_gradients_are_those_of_finite_differences():
    grid = Grid(step=0.05, lowest=-20, highest=20)
    head = LogisticMixture(2, 3, grid)
    x = grid.step * torch.tensor([[-20.0, 3.0], [7.0, 20.0]])
    a = torch.randn(2, head.inputs, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: head(a).log_prob(x), a)


def test_draws_lie_on_the_grid_and_follow_the_masses():
    grid = Grid(origin=0.3, step=0.5, lowest=-3, highest=3)
    head = LogisticMixture(1, 3, grid)
    density = head(torch.randn(head.inputs))
    drawn = density.sample((40_000,))
    n = (drawn - grid.origin) / grid.step
    assert_close(n, n.round(), rtol=0, atol=1e-9)
    shares = torch.stack([(n.round() == k).double().mean() for k in range(-3, 4)])
    masses = density.log_mass(torch.arange(-3.0, 4.0).unsqueeze(-1)).exp().squeeze(-1)
    assert ((shares - masses).abs() < 5 * (masses * (1 - masses) / 40_000).sqrt() + 1e-6).all()
    assert density.expand((2,)).sample((5,)).shape == (5, 2, 1)


def test_bits_are_those_of_the_probabilities_and_nats_those_of_densities():
    """-log2 P(n) a value, and log P(n) + log std_LSB."""
    grid = grid_of("dmol", AUDIO)
    density = dmol(grid, 50)
    n = torch.randint(-8000, 8000, (50, D)).double()
    x = grid.origin + n * grid.step
    nats = density.log_prob(x).numpy()
    scale = Scale(D, AUDIO["std"] / AUDIO["lsb"])
    estimate = Estimate("exact", Kind.EXACT, nats, np.ones(50, np.int64), scale)
    log_mass = density.log_mass(n)
    assert estimate.bits_per_sample == pytest.approx(-log_mass.mean().item() / math.log(2), rel=1e-9)
    assert estimate.per_dimension == pytest.approx(log_mass.mean().item() + math.log(scale.std_lsb), rel=1e-9)


def test_bernoulli_is_the_librarys_on_standardised_values():
    head = Bernoulli(D, grid_of("bernoulli", BINARY))
    logits, n = torch.randn(20, D), torch.randint(0, 2, (20, D)).double()
    mean, std = torch.tensor(BINARY["mean"]), torch.tensor(BINARY["std"])
    density, x = head(logits), (n - mean) / std
    expected = torch.distributions.Bernoulli(logits=logits).log_prob(n) + std.log()
    assert_close(density.log_prob(x), expected.sum(-1))
    drawn = density.sample((2000,)) * std + mean
    assert_close(drawn, drawn.round(), rtol=0, atol=1e-9)
    assert_close(density.mean * std + mean, logits.sigmoid())
    assert ((drawn.mean(0) - logits.sigmoid()).abs() < 5 / math.sqrt(4 * 2000)).all()
    assert_close(Bernoulli(D, BITS)(logits).log_prob(n), (expected - std.log()).sum(-1))


@given(st.sampled_from([8, 16, 24]), st.floats(-0.5, 0.5), st.floats(1e-3, 0.9), st.data())
def test_every_integer_of_the_source_is_found_again(bits, mean, std, data):
    lsb = 2.0 ** (1 - bits)
    grid = grid_of("dmol", {**AUDIO, "lsb": lsb, "mean": mean, "std": std})
    assert (grid.lowest, grid.highest) == (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    n = data.draw(st.integers(grid.lowest, grid.highest))
    cells = LogisticMixture(1, 1, grid).cells
    x = torch.tensor([(n * lsb - mean) / std])
    assert cells.integers(x).item() == n
    assert cells.values(cells.integers(x)).item() == pytest.approx(x.item(), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("emission", "data", "message"),
    [
        ("dmol", None, "pass build"),
        ("dmol", {**AUDIO, "lsb": None}, "the source holds floats"),
        ("dmol", {**AUDIO, "dither": True}, "leave out --dither"),
        ("dmol", {**AUDIO, "lossless": False}, "resampled, mixed or lossy"),
        ("dmol", {**AUDIO, "kind": "pen"}, "use pen"),
        ("bernoulli", AUDIO, "expects values 0 and 1"),
        ("bernoulli", {**BINARY, "lsb": None}, "expects values 0 and 1"),
    ],
)
def test_data_without_such_integers_are_refused(emission, data, message):
    with pytest.raises(ConfigurationError, match=message) as raised:
        build(ModelOptions(emission=emission), D, data)
    assert "\n" not in str(raised.value)


def test_the_grid_of_whole_numbers_has_no_end_and_one_step_a_dimension():
    grid = grid_of("dmol", BINARY)
    assert (grid.lowest, grid.highest) == (None, None)
    assert grid.step == pytest.approx([1 / 0.3, 2.0, 1 / 0.46])
    net = build(ModelOptions(emission="dmol", emission_components=3), D, BINARY)
    assert net.emission.head.components == 3
    n = torch.arange(-300.0, 300.0).unsqueeze(-1).expand(-1, D)
    head = net.emission.head
    assert_close(head(torch.randn(head.inputs)).log_mass(n).exp().sum(0), torch.ones(D), rtol=1e-6, atol=1e-6)
