"""Chunked equals whole: over time, particles and sequences, for every variant, guide and estimator."""

import pytest
import torch
from torch.testing import assert_close

from pyro_vrnn.inference import pieces
from pyro_vrnn.inference.estimators import ESTIMATORS, estimate, estimators_for
from pyro_vrnn.inference.noise import Noise
from pyro_vrnn.inference.pieces import Pieces
from pyro_vrnn.inference.results import Scale
from pyro_vrnn.inference.smc import smc
from pyro_vrnn.model.draws import infer
from pyro_vrnn.model.variants import GUIDES, PRIORS, Variant
from tests.model.small import LENGTHS, X, Z, ragged, small

pytestmark = pytest.mark.usefixtures("_no_grad")
rows = pytest.mark.parametrize("h_reads_z", [True, False])


@pytest.fixture
def _no_grad():
    with torch.no_grad():
        yield


class Lazy:
    """Frames that are read when they are asked for, and remember how many at once."""

    def __init__(self, x):
        self.x, self.shape, self.longest = x, x.shape, 0

    def __getitem__(self, where):
        read = self.x[where]
        self.longest = max(self.longest, read.shape[1])
        return read


def cut_up(monkeypatch, *, longest=2, piece=2, steps=5):
    """Everything that limits what is held at once, as small as it goes."""
    for name, value in (("LONGEST", longest), ("PIECE", piece), ("STEPS", steps)):
        monkeypatch.setattr(pieces, name, value)


def scores(net, x, mask, name):
    found = ESTIMATORS[name].score(net, x, mask, 5, Noise(3, range(len(mask))))
    return {"nats": found.nats, **found.details}


@pytest.mark.parametrize("recurrence", ["lstm", "gru"])
def test_every_estimate_of_pieces_is_that_of_the_whole(variant, recurrence, monkeypatch):
    net = small(variant, recurrence, 2)
    x, mask = ragged()
    names = [*estimators_for(net), "iid_gaussian"]
    whole = {name: scores(net, x, mask, name) for name in names}
    cut_up(monkeypatch)
    for name in names:
        assert_close(scores(net, x, mask, name), whole[name], rtol=1e-10, atol=1e-10)


@rows
@pytest.mark.parametrize("guide", GUIDES)
@pytest.mark.parametrize("prior", PRIORS)
def test_every_combination_of_parts_can_be_cut_up(prior, guide, h_reads_z, monkeypatch):
    net = small(Variant(prior, guide, "gaussian", h_reads_z, ""))
    x, mask = ragged()
    whole = {name: scores(net, x, mask, name) for name in ("elbo", "iwae", "smc")}
    cut_up(monkeypatch, piece=3)
    for name, expected in whole.items():
        assert_close(scores(net, x, mask, name), expected, rtol=1e-10, atol=1e-10)


def test_a_long_recording_is_read_piece_by_piece(variant, monkeypatch):
    net = small(variant)
    x, lazy = torch.randn(1, 23, X), Lazy(torch.randn(1, 23, X))
    lazy.x = x
    mask = torch.ones(1, 23, dtype=torch.bool)
    whole = {name: scores(net, x, mask, name) for name in [*estimators_for(net), "iid_gaussian"]}
    cut_up(monkeypatch, longest=10, piece=4)
    for name, expected in whole.items():
        assert_close(scores(net, lazy, mask, name), expected, rtol=1e-10, atol=1e-10)
    assert lazy.longest == 4


@rows
def test_a_smoothing_guide_spills_what_it_read_backwards(h_reads_z, monkeypatch):
    net = small(Variant("conditional", "smoothing", "gaussian", h_reads_z, ""))
    x, mask = torch.randn(1, 9, X), torch.ones(1, 9, dtype=torch.bool)
    eps = torch.randn(1, 9, Z)
    z, _ = infer(net, x, mask, (1,), eps=eps)
    cut_up(monkeypatch, piece=4)
    made = Pieces(net, x, mask)
    assert made._spilled.filename is not None
    firsts = [reading.prepared for _, _, _, reading in made]
    assert_close(torch.cat(firsts, 1), net.guide.prepare(*_read(net, x, mask))[0])

    class Given(Noise):
        def normal(self, particles, steps, width, like):
            return eps[None, :, steps.start : steps.stop]

    assert_close(torch.cat([z for _, z, _ in made.infer(noise=Given(0, [0]))], 1), z, rtol=1e-10, atol=1e-10)


def _read(net, x, mask):
    features_x = net.phi_x(x)
    ran = net.ran_without_z(features_x)
    return features_x, mask, None if ran is None else ran[0]


@pytest.mark.parametrize("particles", [1, 7, 40])
@pytest.mark.parametrize("T", [3, 60, 5000])
@pytest.mark.parametrize("B", [1, 6])
def test_no_pass_holds_more_than_it_may(B, T, particles):
    mask = torch.ones(B, T, dtype=torch.bool)
    covered = []
    for part in pieces.groups(mask, particles):
        size = len(mask[part])
        covered += range(B)[part]
        steps = size * particles * (pieces.PIECE if T > pieces.LONGEST else T)
        assert size == 1 or (T <= pieces.LONGEST and steps <= pieces.STEPS)
    assert covered == list(range(B))
    if B == 1 or T <= pieces.LONGEST:
        taken = list(pieces.chunks(mask, particles))
        assert [k for chunk in taken for k in chunk] == list(range(particles))
        held = max(map(len, taken)) * B * (pieces.PIECE if T > pieces.LONGEST else T)
        assert held <= max(pieces.STEPS, B * T)


@pytest.mark.parametrize("name", [name for name, e in ESTIMATORS.items() if e.latents])
def test_a_score_depends_on_seed_and_index_alone(name):
    net = small()
    x, mask = ragged()
    whole = estimate(net, [(x, mask, torch.tensor([4, 5, 6, 7]))], name, particles=3, scale=Scale(X), seed=2)
    one_by_one = [
        (x[[row], :length], mask[[row], :length], torch.tensor([4 + row])) for row, length in enumerate(LENGTHS)
    ]
    single = estimate(net, reversed(one_by_one), name, particles=3, scale=Scale(X), seed=2)
    assert single.nats == pytest.approx(whole.nats, rel=1e-10)
    for key, column in whole.details.items():
        assert single.details[key] == pytest.approx(column, rel=1e-10)
    other = estimate(net, [(x, mask, torch.tensor([0, 1, 2, 3]))], name, particles=3, scale=Scale(X), seed=2)
    assert (other.nats != whole.nats).all()


@pytest.mark.parametrize("name", ["elbo", "iwae", "smc"])
def test_repetitions_are_independent_and_give_the_monte_carlo_error(name):
    net = small()
    x, mask = ragged()
    data = [(x.repeat(100, 1, 1), mask.repeat(100, 1), torch.arange(400))]
    once, twice = (
        estimate(net, data, name, particles=3, scale=Scale(X), repetitions=repetitions) for repetitions in (1, 2)
    )
    assert once.monte_carlo is None
    assert (once.nats != twice.nats).all()
    # The same four sequences a hundred times over: their spread is all Monte Carlo.
    spread = twice.nats.reshape(100, 4).var(0, ddof=1).mean()
    assert twice.monte_carlo.mean() == pytest.approx(spread, rel=0.35)


def test_noise_is_shared_by_the_estimators():
    """One particle is one draw: what differs between estimators is how draws are used."""
    net = small()
    x, mask = ragged()
    noise = Noise(0, range(4))
    one = {
        name: ESTIMATORS[name].score(net, x, mask, 1, noise).nats
        for name in ("elbo_sampled", "iwae", "stepwise", "smc")
    }
    for nats in one.values():
        assert_close(nats, one["iwae"], rtol=1e-10, atol=1e-10)


def test_gradients_are_those_of_the_whole(monkeypatch):
    net = small(Variant("conditional", "smoothing", "gaussian", True, ""))
    x, mask = torch.randn(1, 9, X), torch.ones(1, 9, dtype=torch.bool)
    found = []
    for cut in (False, True):
        if cut:
            cut_up(monkeypatch)
        net.zero_grad()
        with torch.enable_grad():
            smc(net, x, mask, 3, noise=Noise(0, [0])).increments.sum().backward()
        found.append([p.grad.clone() for p in net.parameters()])
    for whole, pieced in zip(*found, strict=True):
        assert_close(pieced, whole)


def test_repetitions_share_no_noise():
    one, two = Noise(0, [0, 1], 0), Noise(0, [0, 1], 1)
    like = torch.zeros(())
    assert not (one.uniform(range(5), like) == two.uniform(range(5), like)).any()
    assert not (one.normal(range(3), range(5), 2, like) == two.normal(range(3), range(5), 2, like)).any()
