"""Pieces of what a model makes, by seed, and of latents that it is given."""

import pytest
import torch
from torch.testing import assert_close

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference import generation
from pyro_vrnn.inference.generation import generate, hold, interpolate, latents, prime, reconstruct, together
from pyro_vrnn.model.rollout import follow
from tests.model.small import X, Z, small

T = 7


def test_a_seed_repeats_it_and_leaves_the_callers_random_state_alone(variant):
    net, before = small(variant), torch.get_rng_state()
    made = [together(generate(net, T, 2, seed=seed)) for seed in (1, 1, 2)]
    assert torch.get_rng_state().equal(before)
    assert made[0].x.equal(made[1].x)
    assert not made[0].x.equal(made[2].x)
    assert not made[0].x[0].equal(made[0].x[1])


def test_pieces_go_on_from_each_other(variant, monkeypatch):
    monkeypatch.setattr(generation, "PIECE", 3)
    net = small(variant)
    pieces = list(generate(net, T, 2))
    assert [piece.x.shape for piece in pieces] == [(2, 3, X), (2, 3, X), (2, 1, X)]
    made = together(pieces)
    with torch.no_grad():
        rollout = follow(net, made.x, torch.ones(2, T, dtype=torch.bool), made.z)
    assert_close(made.log_emission, rollout.log_emission, rtol=1e-8, atol=1e-8)


def test_a_reconstruction_is_the_emissions_mean_given_the_path_of_means(latent_variant):
    net, x = small(latent_variant), torch.randn(1, T, X)
    made = together(reconstruct(net, x))
    with torch.no_grad():
        rollout = follow(net, x, torch.ones(1, T, dtype=torch.bool), made.z)
        assert_close(made.z, rollout.q.mean)
    assert_close(made.mean, rollout.emission.mean)
    assert_close(made.log_emission, rollout.log_emission)


def test_an_interpolation_begins_and_ends_at_the_recordings(latent_variant):
    net, x, other = small(latent_variant), torch.randn(1, T, X), torch.randn(1, T + 2, X)
    made = together(interpolate(net, x, other, count=3))
    assert made.x.shape == (3, T, X)
    first, last = latents(net, x), latents(net, other)[:, :T]
    assert_close(made.z, torch.cat([first, (first + last) / 2, last]))


def test_a_latent_is_held(latent_variant):
    net, x = small(latent_variant), torch.randn(1, T, X)
    made = together(hold(net, x, 5, count=2))
    assert_close(made.z, latents(net, x)[:, T // 2].expand(2, 5, Z))


def test_what_has_no_latents_has_none_to_use():
    net, x = small("rnn-gauss"), torch.randn(1, T, X)
    with pytest.raises(ConfigurationError, match="no latents"):
        reconstruct(net, x)
    with pytest.raises(ConfigurationError, match="2 or more"):
        interpolate(small(), x, x, count=1)


def test_long_recordings_are_read_in_pieces(variant, monkeypatch):
    net, x = small(variant), torch.randn(1, T, X)
    whole = prime(net, x)
    for name, value in (("LONGEST", 4), ("PIECE", 3)):
        monkeypatch.setattr(f"pyro_vrnn.inference.pieces.{name}", value)
    assert_close(prime(net, x).state, whole.state)
