"""Latents, states and log-likelihoods of single frames."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.inference import pieces
from pyro_vrnn.inference.encode import encode, score_frames
from pyro_vrnn.inference.estimators import estimate, estimators_for
from pyro_vrnn.inference.noise import Noise
from pyro_vrnn.inference.results import Scale
from pyro_vrnn.model.draws import infer
from pyro_vrnn.model.guides import Guide
from pyro_vrnn.model.rollout import follow
from tests.model.small import LENGTHS, H, X, Z, ragged, small

EVERY = torch.arange(len(LENGTHS))


def whole(items, field):
    """Each sequence's frames, joined; they have to come in order and without a gap."""
    joined = {}
    for item in items:
        parts = joined.setdefault(item.sequence, [])
        assert item.start == sum(map(len, parts))
        parts.append(getattr(item, field))
    return {sequence: np.concatenate(parts) for sequence, parts in joined.items()}


def cut_up(monkeypatch):
    for limit, size in {"LONGEST": 2, "PIECE": 2, "STEPS": 5}.items():
        monkeypatch.setattr(pieces, limit, size)


def by_hand(net, x, step):
    """The recurrence, step after step: z, the guide's deviations, and h after each step."""
    mask = torch.ones(1, len(x), dtype=torch.bool)
    state, zs, made, hs = net.initial_state((1,)), [], [], []
    features_x = net.phi_x(x[None])
    if net.has_latents:
        ran = net.ran_without_z(features_x)
        prepared, _ = net.guide.prepare(features_x, mask, None if ran is None else ran[0])
    for t in range(len(x)):
        z = state.z
        if net.has_latents:
            q = net.guide(prepared[:, t], state, lambda state=state: net.prior(state))
            z = step(q, t)
            made.append(q.scale.expand(z.shape)[0])
            zs.append(z[0])
        state = net.advance(net.recurrence.prepare(features_x[:, t]), z, net.features_z(z), state)
        hs.append(state.h[0])
    return [torch.stack(items).detach().numpy() if items else None for items in (zs, made, hs)]


@pytest.mark.parametrize("sampled", [False, True])
def test_every_frame_is_what_the_recurrence_says_step_by_step(variant, sampled):
    net, (x, mask) = small(variant, "lstm", 2), ragged()
    encoded = list(encode(net, [(x, mask, EVERY)], sampled=sampled, seed=3))
    for row, length in enumerate(LENGTHS):
        eps = Noise(3, [row]).normal(range(1), range(length), net.dims.z, x)[0] * sampled
        expected = by_hand(net, x[row, :length], lambda q, t, eps=eps: q.loc + q.scale * eps[:, t])
        for name, value in zip(("z", "z_std", "h"), expected, strict=True):
            if value is None:
                assert all(getattr(item, name) is None for item in encoded)
            else:
                assert whole(encoded, name)[row] == pytest.approx(value, rel=1e-9, abs=1e-12), name
    assert whole(encoded, "h")[0].shape == (LENGTHS[0], H)


def test_the_state_has_read_the_frame(variant):
    """h of row t changes with x_t, and that before it does not; where a guide looks ahead, z does."""
    net = small(variant)
    x, mask = torch.randn(1, 6, X), torch.ones(1, 6, dtype=torch.bool)
    moved = x.clone()
    moved[:, 3] += 2
    before, after = (whole(encode(net, [(frames, mask, EVERY[:1])]), "h")[0] for frames in (x, moved))
    looks = net.has_latents and net.guide.reads_future and net.recurrence.reads_z
    assert np.allclose(before[:3], after[:3]) or looks
    assert not np.allclose(before[3], after[3])


@pytest.mark.parametrize("sampled", [False, True])
def test_pieces_and_batches_do_not_matter(variant, sampled, monkeypatch):
    net, (x, mask) = small(variant), ragged()
    fields = ["z", "z_std", "h"] if net.has_latents else ["h"]
    expected = list(encode(net, [(x, mask, EVERY)], sampled=sampled))
    single = [(x[[row], :length], mask[[row], :length], EVERY[[row]]) for row, length in enumerate(LENGTHS)]
    others = [list(encode(net, reversed(single), sampled=sampled))]
    cut_up(monkeypatch)
    others.append(list(encode(net, [(x, mask, EVERY)], sampled=sampled)))
    assert len(others[-1]) > len(expected)
    for field in fields:
        for other in others:
            for row, value in whole(other, field).items():
                assert value == pytest.approx(whole(expected, field)[row], rel=1e-9, abs=1e-12)


def test_frames_add_up_to_the_sequence(variant, monkeypatch):
    net, (x, mask) = small(variant), ragged()
    data = [(x, mask, EVERY + 5)]
    names = [name for name in estimators_for(net) if name not in ("iwae", "stepwise")]
    assert names
    expected = {name: estimate(net, data, name, particles=4, scale=Scale(X), seed=2).nats for name in names}
    for _ in range(2):
        for name in names:
            found = whole(score_frames(net, data, name, particles=4, seed=2), "nats")
            assert [len(nats) for nats in found.values()] == list(LENGTHS)
            assert list(found) == [5, 6, 7, 8]
            assert [nats.sum() for nats in found.values()] == pytest.approx(expected[name], rel=1e-9)
        cut_up(monkeypatch)


def test_a_frame_has_its_own_share():
    net, (x, mask) = small("rnn-gauss"), ragged()
    with torch.no_grad():
        expected = follow(net, x, mask, x.new_zeros(*mask.shape, 0)).log_emission
    for row, nats in whole(score_frames(net, [(x, mask, EVERY)], "exact"), "nats").items():
        assert nats == pytest.approx(expected[row, : LENGTHS[row]].numpy(), rel=1e-12)
    net = small()
    eps = Noise(0, EVERY).normal(range(1), range(7), Z, x)[0]
    with torch.no_grad():
        _, rollout = infer(net, x, mask, (4,), eps=eps)
        expected = rollout.log_emission - rollout.kl
    for row, nats in whole(score_frames(net, [(x, mask, EVERY)], "elbo"), "nats").items():
        assert nats == pytest.approx(expected[row, : LENGTHS[row]].numpy(), rel=1e-12)


@pytest.mark.parametrize(
    ("variant", "name", "words"),
    [
        ("vrnn-gauss", "iwae", ["no frame has a share", "smc, elbo"]),
        ("vrnn-gauss", "stepwise", ["log p(x_t | x_<t)"]),
        ("vrnn-gauss", "exact", ["has latents"]),
        ("rnn-gauss", "smc", ["has no latents", "exact"]),
        ("rnn-gauss", "iid_gaussian", ["scored by exact"]),
        ("vrnn-gauss", "magic", ["unknown"]),
    ],
)
def test_what_says_nothing_of_a_frame_is_refused_with_the_reason(variant, name, words):
    with pytest.raises(ConfigurationError) as error:
        score_frames(small(variant), [], name)
    for word in words:
        assert word in str(error.value)


class Own(torch.distributions.Independent):
    """A family whose deviations are not known."""

    @property
    def stddev(self):
        raise NotImplementedError


class OwnGuide(Guide):
    def __init__(self, family):
        super().__init__()
        self.family = family

    def forward(self, prepared, state, prior):
        mean = state.z * 0 + prepared[..., :Z]
        return self.family(mean, torch.ones_like(mean))


def _laplace(mean, scale, family=torch.distributions.Independent):
    return family(torch.distributions.Laplace(mean, scale), 1)


def test_families_that_draw_their_own_noise_have_no_path_of_means():
    net, (x, mask) = small(), ragged()
    net.guide = OwnGuide(_laplace)
    with pytest.raises(ConfigurationError, match="Independent draws its own noise"):
        list(encode(net, [(x, mask, EVERY)]))
    drawn, again, other = (list(encode(net, [(x, mask, EVERY)], sampled=True, seed=seed)) for seed in (0, 0, 1))
    assert (whole(drawn, "z")[0] == whole(again, "z")[0]).all()
    assert (whole(drawn, "z")[0] != whole(other, "z")[0]).any()
    assert whole(drawn, "z_std")[0] == pytest.approx(np.full((LENGTHS[0], Z), 2**0.5))


def test_each_piece_of_such_a_family_has_other_noise(monkeypatch):
    net = small()
    net.guide = OwnGuide(_laplace)
    cut_up(monkeypatch)
    x, mask = torch.zeros(1, 6, X), torch.ones(1, 6, dtype=torch.bool)
    z = whole(encode(net, [(x, mask, EVERY[:1])], sampled=True), "z")[0]
    assert len(np.unique(z[:, 0])) == 6


def test_unknown_deviations_are_nan():
    net, (x, mask) = small(), ragged()
    net.guide = OwnGuide(partial(_laplace, family=Own))
    assert np.isnan(whole(encode(net, [(x, mask, EVERY)], sampled=True), "z_std")[0]).all()


def test_nothing_of_the_callers_changes_while_it_iterates():
    net, (x, mask) = small(), ragged()
    net.train()
    weight = nn.Parameter(torch.ones(()))
    for items in (
        encode(net, [(x, mask, EVERY)], sampled=True),
        score_frames(net, [(x, mask, EVERY)], "smc", particles=3),
    ):
        torch.manual_seed(1)
        drawn = []
        for _ in items:
            assert net.training
            assert (2 * weight).requires_grad
            drawn.append(torch.randn(()))
        torch.manual_seed(1)
        assert drawn == [torch.randn(()) for _ in drawn]
