"""What is generated: repeatable, the same in pieces, scored as it was drawn, from where a recording ends."""

import pytest
import torch
from torch.testing import assert_close

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference import generation
from pyro_vrnn.inference.encode import encode
from pyro_vrnn.inference.generation import generate, hold, interpolate, latents, prime, reconstruct, together
from pyro_vrnn.model.rollout import follow
from tests.model.small import X, small

T = 9


def test_a_seed_decides_it_and_the_callers_random_state_is_left_alone(variant):
    net, before = small(variant), torch.get_rng_state()
    first, same, other = (together(generate(net, T, 2, seed=seed)).x for seed in (1, 1, 2))
    assert first.shape == (2, T, X)
    assert first.equal(same)
    assert not first.equal(other)
    assert torch.get_rng_state().equal(before)


def test_pieces_of_any_length_go_on_from_each_other(variant, monkeypatch):
    net = small(variant)
    monkeypatch.setattr(generation, "PIECE", 4)
    pieces = list(generate(net, T, 2, seed=1))
    whole = together(pieces)
    assert [piece.x.shape[1] for piece in pieces] == [4, 4, 1]
    rollout = follow(net, whole.x, torch.ones(2, T, dtype=torch.bool), whole.z)
    assert_close(whole.log_emission, rollout.log_emission)
    if net.has_latents:
        assert_close(whole.log_prior, rollout.log_prior(whole.z))


def test_what_follows_a_recording_depends_on_it(variant):
    net, x = small(variant), torch.randn(1, T, X)
    past = prime(net, x, seed=3)
    after = together(generate(net, 4, 2, seed=1, past=past))
    other = together(generate(net, 4, 2, seed=1, past=prime(net, x + 1, seed=3)))
    assert not after.x.equal(other.x)
    if not net.has_latents:
        whole = follow(net, x, torch.ones(1, T, dtype=torch.bool), x.new_zeros(1, T, 0))
        assert_close(past.state.h, whole.last.h)


def test_latents_are_those_of_encode_and_ends_of_an_interpolation(latent_variant):
    net, (a, b) = small(latent_variant), torch.randn(2, 1, T, X)
    (encoded,) = encode(net, [(a, torch.ones(1, T, dtype=torch.bool), torch.tensor([0]))])
    assert_close(latents(net, a)[0], torch.from_numpy(encoded.z))
    between = together(interpolate(net, a, b, count=3))
    assert_close(between.z[[0, -1]], torch.cat([latents(net, a), latents(net, b)]))
    assert_close(between.z[1], (between.z[0] + between.z[2]) / 2)
    held = together(hold(net, a, 5, count=2))
    assert_close(held.z, latents(net, a)[:, T // 2].expand(2, 5, -1))
    made = together(reconstruct(net, a))
    rollout = follow(net, a, torch.ones(1, T, dtype=torch.bool), made.z)
    assert_close(made.mean, rollout.emission.mean)
    assert_close(made.log_emission, rollout.log_emission)


def test_latents_are_refused_where_there_are_none():
    net, x = small("rnn-gauss"), torch.randn(1, T, X)
    for use in (reconstruct, lambda net, x: hold(net, x, 3), lambda net, x: interpolate(net, x, x)):
        with pytest.raises(ConfigurationError, match="no latents"):
            use(net, x)
    with pytest.raises(ConfigurationError, match="2 or more"):
        interpolate(small(), x, x, count=1)


def test_long_recordings_are_read_in_pieces(variant, monkeypatch):
    net, x = small(variant), torch.randn(1, T, X)
    whole = prime(net, x)
    for name, value in (("LONGEST", 4), ("PIECE", 3)):
        monkeypatch.setattr(f"pyro_vrnn.inference.pieces.{name}", value)
    assert_close(prime(net, x).state, whole.state)
