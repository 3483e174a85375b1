"""Whether the latents carry anything."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from pyro_vrnn.inference import pieces
from pyro_vrnn.inference.latents import LatentUse, latent_use
from pyro_vrnn.inference.noise import Noise
from pyro_vrnn.model.densities import DiagonalNormal
from pyro_vrnn.model.draws import infer
from pyro_vrnn.model.guides import Guide, PriorGuide
from tests.model.small import LENGTHS, X, Z, ragged, small

EVERY = torch.arange(len(LENGTHS))
pytestmark = pytest.mark.usefixtures("_no_grad")


@pytest.fixture
def _no_grad():
    with torch.no_grad():
        yield


class Shifted(Guide):
    """The prior, its mean moved by ``weight * x_t[0]`` prior standard deviations in each dimension."""

    def __init__(self, weight, sigma=1.0):
        super().__init__()
        self.weight, self.sigma = nn.Parameter(torch.tensor(weight)), sigma

    def prepare(self, features_x, mask, h=None, memory=None):
        return features_x, None

    def forward(self, prepared, state, prior):
        p = prior()
        return DiagonalNormal(p.loc + p.scale * self.weight * prepared[..., :1], self.sigma * p.scale)


class FirstValue(nn.Module):
    """phi_x that keeps x."""

    def forward(self, x):
        return x[..., :1].expand(*x.shape[:-1], 10)


def with_guide(guide, variant="vrnn-gauss"):
    net = small(variant)
    net.guide, net.phi_x = guide, FirstValue()
    return net


def numbers(use):
    return {name: np.asarray(value, float) for name, value in use.as_dict().items() if value is not None}


def by_hand(net, x, mask, seed=0):
    """One draw with the noise that belongs to the sequences 0, 1, ..."""
    eps = Noise(seed, range(len(mask))).normal(range(1), range(mask.shape[1]), Z, x)[0]
    return [infer(net, x, mask, mask.shape[:1], guide=guide, eps=eps)[1] for guide in (None, PriorGuide())]


def test_nats_are_per_valid_frame(latent_variant):
    net, (x, mask) = small(latent_variant), ragged()
    guided, free = by_hand(net, x, mask)
    kl, log_emission = guided.kl[mask].mean().item(), guided.log_emission[mask].mean().item()
    from_prior = free.log_emission[mask].mean().item()
    use = latent_use(net, [(x, mask, EVERY)])
    assert (use.kl, use.bound, use.bound_from_prior) == pytest.approx((kl, log_emission - kl, from_prior), rel=1e-12)


def test_kl_by_dimension_and_by_step(latent_variant):
    net, (x, mask) = small(latent_variant), ragged()
    guided, _ = by_hand(net, x, mask)
    use = latent_use(net, [(x, mask, EVERY)])
    assert use.kl_per_dimension.shape == (Z,)
    assert use.kl_per_dimension.sum() == pytest.approx(use.kl, rel=1e-12)
    assert use.kl_per_dimension == pytest.approx(guided.kl_of_dimensions[mask].mean(0).numpy(), rel=1e-12)
    for t in range(max(LENGTHS)):
        reach = [row for row, length in enumerate(LENGTHS) if length > t]
        assert use.sequences_per_step[t] == len(reach)
        assert use.kl_per_step[t] == pytest.approx(guided.kl[reach, t].mean().item(), rel=1e-12)
    assert (use.kl_per_step * use.sequences_per_step).sum() / sum(LENGTHS) == pytest.approx(use.kl, rel=1e-12)


def test_padding_is_nothing(latent_variant):
    net, (x, mask) = small(latent_variant), ragged()
    expected = numbers(latent_use(net, [(x, mask, EVERY)]))
    longer = torch.full((len(LENGTHS), max(LENGTHS) + 3, X), 9.0)
    longer[:, : mask.shape[1]][mask] = x[mask]
    more = torch.arange(longer.shape[1]) < torch.tensor(LENGTHS).unsqueeze(-1)
    for name, value in numbers(latent_use(net, [(longer, more, EVERY)])).items():
        assert value == pytest.approx(expected[name], rel=1e-9), name


def test_batches_and_pieces_do_not_matter(latent_variant, monkeypatch):
    net, (x, mask) = small(latent_variant), ragged()
    expected = numbers(latent_use(net, [(x, mask, EVERY)]))
    single = [(x[[row], :length], mask[[row], :length], EVERY[[row]]) for row, length in enumerate(LENGTHS)]
    for name, value in numbers(latent_use(net, reversed(single))).items():
        assert value == pytest.approx(expected[name], rel=1e-9), name
    for limit, size in {"LONGEST": 2, "PIECE": 2, "STEPS": 5}.items():
        monkeypatch.setattr(pieces, limit, size)
    for name, value in numbers(latent_use(net, [(x, mask, EVERY)])).items():
        assert value == pytest.approx(expected[name], rel=1e-9), name


@pytest.mark.parametrize("variant", ["vrnn-gauss", "vrnn-i", "storn", "srnn"])
def test_a_model_that_ignores_its_latents_has_collapsed(variant):
    net = small(variant)
    assert not latent_use(net, [(*ragged(), EVERY)]).collapsed
    net.guide = PriorGuide()
    net.phi_z.read.weights[0].zero_()
    use = latent_use(net, [(*ragged(), EVERY)])
    assert use.kl == pytest.approx(0, abs=1e-12)
    assert use.bound == pytest.approx(use.bound_from_prior)
    assert use.collapsed
    assert "collapsed" in use.line()
    assert use.metrics()["latents_collapsed"] == 1.0


def test_a_guide_that_follows_a_moving_prior_has_no_active_unit():
    """The variance of the posterior mean alone (Burda et al. 2016) would call all of them active."""
    net = small()
    net.guide = PriorGuide()
    for parameter in net.prior.parameters():
        parameter.mul_(4)
    x, mask = ragged()
    guided, _ = by_hand(net, x, mask)
    assert (guided.q.loc[mask].var(0) > 0.01).all()
    assert latent_use(net, [(x, mask, EVERY)]).active_units == 0


@pytest.mark.parametrize("variant", ["vrnn-i", "vrnn-gauss"])
def test_active_units_are_those_whose_mean_moves_away_from_the_prior(variant):
    net = with_guide(Shifted([0.0, 0.7]), variant)
    x, mask = ragged()
    use = latent_use(net, [(x, mask, EVERY)])
    moved = 0.7**2 * x[..., 0][mask].var(correction=0).item()
    assert use.mean_variance == pytest.approx([0.0, moved], rel=1e-9, abs=1e-15)
    assert use.active_units == 1
    assert use.metrics()["latents_active_units"] == 1.0
    assert "1 of 2 units active" in use.line()
    # Narrower than the prior, and by a constant away from it, is KL but tells nothing of x.
    assert latent_use(with_guide(Shifted([0.0, 0.0], sigma=0.5), variant), [(x, mask, EVERY)]).active_units == 0
    assert latent_use(net, [(torch.ones_like(x), mask, EVERY)]).active_units == 0


def test_variances_are_merged_where_means_lie_far_apart():
    """Naive sums of squares lose every digit of a variance beside a mean of 10^8."""
    net = with_guide(Shifted([1.0, 0.0]), "vrnn-i")
    x = torch.cat([torch.randn(2, 50, X) + 1e8, torch.randn(2, 50, X) + 1e8 + 10])
    data = [(x[i : i + 1], torch.ones(1, 50, dtype=torch.bool), torch.tensor([i])) for i in range(4)]
    use = latent_use(net, data)
    assert use.mean_variance[0] == pytest.approx(x[..., 0].var(correction=0).item(), rel=1e-6)


def test_h_is_zeroed_in_the_emission_alone(latent_variant):
    net, (x, mask) = small(latent_variant), ragged()
    use = latent_use(net, [(x, mask, EVERY)])
    assert abs(use.bound - use.bound_without_h) > 1e-3
    net.emission.net.read.weights[1].zero_()  # of h: the emission never reads it
    guided, _ = by_hand(net, x, mask)
    deaf = (guided.log_emission - guided.kl)[mask].mean().item()
    assert use.bound_without_h == pytest.approx(deaf, rel=1e-12)
    use = latent_use(net, [(x, mask, EVERY)])
    assert use.bound_without_h == pytest.approx(use.bound, rel=1e-12)
    assert use.metrics()["latents_bound_without_h"] == use.bound_without_h


class Foreign(Guide):
    """A family without a closed KL to a normal."""

    def forward(self, prepared, state, prior):
        return torch.distributions.Independent(torch.distributions.Laplace(state.z * 0 + 0.3, 1.0), 1)


def test_families_without_a_closed_kl_are_sampled_and_have_no_dimensions():
    net = small()
    net.guide = Foreign()
    use = latent_use(net, [(*ragged(), EVERY)])
    assert np.isfinite(use.kl)
    assert use.kl_per_dimension is None
    assert use.active_units is None
    assert "latents_active_units" not in use.metrics()
    assert "active" not in use.line()
    assert json.loads(json.dumps(use.as_dict()))["active_units"] is None


@pytest.mark.parametrize(
    ("kl", "from_prior", "collapsed"), [(0.009, -100.05, True), (0.011, -100.05, False), (0.009, -100.2, False)]
)
def test_collapse_takes_both(kl, from_prior, collapsed):
    assert LatentUse(kl, -100.0, from_prior, -120.0, np.array([kl]), np.array([1])).collapsed == collapsed


def test_it_is_said_in_one_line_and_kept_as_json(latent_variant):
    use = latent_use(small(latent_variant), [(*ragged(), EVERY)])
    assert "\n" not in use.line()
    held = json.loads(json.dumps(use.as_dict()))
    assert (len(held["kl_per_step"]), len(held["kl_per_dimension"])) == (max(LENGTHS), Z)
    assert held["kl"] == use.metrics()["latents_kl"]
    assert set(use.metrics()) == {
        f"latents_{name}" for name in ("kl", "bound_from_prior", "bound_without_h", "active_units", "collapsed")
    }


def test_noise_is_of_its_own():
    net, data = small(), [(*ragged(), EVERY)]
    before = torch.get_rng_state()
    assert latent_use(net, data, seed=1).as_dict() == latent_use(net, data, seed=1).as_dict()
    assert latent_use(net, data, seed=1).as_dict() != latent_use(net, data, seed=2).as_dict()
    assert torch.get_rng_state().equal(before)
