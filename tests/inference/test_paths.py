"""What the latents do along a sequence, by hand; of any length, and of guides without a mean."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference import pieces
from pyro_vrnn.inference.encode import encode
from pyro_vrnn.inference.latents import latent_use
from pyro_vrnn.inference.paths import latent_path
from pyro_vrnn.model.densities import kl_of_dimensions
from pyro_vrnn.model.draws import infer
from pyro_vrnn.model.guides import PriorGuide
from pyro_vrnn.model.variants import VARIANTS
from tests.model.small import X, Z, small

T = 7


@pytest.fixture
def x():
    return torch.randn(1, T, X, generator=torch.Generator().manual_seed(0))


def everything(x):
    return torch.ones(x.shape[:2], dtype=torch.bool)


@pytest.mark.parametrize("variant", ["vrnn-gauss", "vrnn-i", "storn", "srnn"])
def test_means_move_as_those_that_are_encoded(variant, x):
    net = small(variant)
    found = latent_path(net, x, draws=4)
    (encoded,) = encode(net, [(x, everything(x), torch.tensor([0]))], sampled=False)
    assert np.isnan(found.moved[0])
    for t in range(1, T):
        expected = ((encoded.z[t] - encoded.z[t - 1]).astype(float) ** 2).sum()
        assert found.moved[t] == pytest.approx(expected, rel=1e-4)
    assert found.drawn is None
    assert found.kl_of_dimensions.shape == (T, Z)
    assert found.kl_of_dimensions.sum(1) == pytest.approx(found.kl, rel=1e-4)


def test_one_draw_has_the_divergences_of_the_bound(x):
    net = small("vrnn-gauss")
    use = latent_use(net, [(x, everything(x), torch.tensor([0]))], seed=3)
    found = latent_path(net, x, draws=1, seed=3)
    assert found.kl == pytest.approx(use.kl_per_step, rel=1e-4)
    assert found.kl_of_dimensions.mean(0) == pytest.approx(use.kl_per_dimension, rel=1e-4)


def test_divergences_are_means_over_draws(x):
    net = small("vrnn-gauss")
    found = latent_path(net, x, draws=2000)
    with torch.no_grad():
        torch.manual_seed(5)
        _, rollout = infer(net, x, everything(x), (2000, 1))
        expected = kl_of_dimensions(rollout.q, rollout.p).mean((0, 1))
    assert found.kl == pytest.approx(expected.sum(-1).numpy(), rel=0.1)


def test_a_long_sequence_is_followed_in_pieces(x, monkeypatch):
    net = small("vrnn-gauss")
    whole = latent_path(net, x, draws=3)
    monkeypatch.setattr(pieces, "LONGEST", 3)
    monkeypatch.setattr(pieces, "PIECE", 2)
    monkeypatch.setattr(pieces, "STEPS", 2)
    for one, other in zip(latent_path(net, x, draws=3), whole, strict=True):
        assert one == (None if other is None else pytest.approx(other, rel=1e-4, nan_ok=True))


def test_a_guide_that_is_the_prior_carries_nothing(x):
    net = small("vrnn-gauss")
    net.guide = PriorGuide()
    found = latent_path(net, x, draws=2)
    assert found.kl == pytest.approx(np.zeros(T), abs=1e-5)
    assert found.kl_of_dimensions == pytest.approx(np.zeros((T, Z)), abs=1e-5)


def test_a_flow_has_the_mean_of_its_draws(x):
    net = small(replace(VARIANTS["vrnn-gauss"], guide="flow"))
    found = latent_path(net, x, draws=16)
    assert found.drawn == 16
    assert found.kl_of_dimensions is None
    assert np.isfinite(found.kl).all()
    assert np.isfinite(found.moved[1:]).all()


def test_the_callers_random_state_is_left_alone(x):
    net, before = small("vrnn-gauss"), torch.get_rng_state()
    latent_path(net, x, draws=2)
    assert (before == torch.get_rng_state()).all()


def test_a_model_without_latents_says_so(x):
    with pytest.raises(ConfigurationError, match="no latents"):
        latent_path(small("rnn-gauss"), x)
