"""Scores of strokes: the pen's share apart, and how much of a density rests on the floor of sigma."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from pyro_vrnn.inference import pieces
from pyro_vrnn.inference.estimators import ESTIMATORS, estimate, estimators_for
from pyro_vrnn.inference.noise import Noise
from pyro_vrnn.inference.pieces import Pieces
from pyro_vrnn.inference.results import Estimate, Kind, Scale
from pyro_vrnn.inference.sigma_floor import FloorShare, floor_share
from pyro_vrnn.model.densities import SIGMA_FLOOR, DiagonalGaussian, DiagonalNormal, GaussianMixture
from pyro_vrnn.model.sigma_floor import share_at_floor
from pyro_vrnn.model.strokes import PenStroke, StrokeMixture
from tests.model.pen import ragged_points, small_pen
from tests.model.small import ragged, small

SCALE = Scale(2, 30.0)
APART = ("exact", "elbo", "elbo_sampled", "iid_gaussian")


def scored(net, name: str, **more):
    x, mask = ragged_points()
    return estimate(net, [(x, mask, torch.arange(len(x)))], name, particles=3, scale=SCALE, **more)


def test_every_estimator_scores_strokes_and_the_sure_ones_tell_the_pen_apart(variant):
    net = small_pen(variant)
    for name in [*estimators_for(net), "iid_gaussian"]:
        found = scored(net, name, repetitions=2)
        assert np.isfinite(found.nats).all()
        assert ("pen" in found.details) == (name in APART)


def test_the_pens_share_is_the_sum_of_its_log_probabilities():
    net = small_pen("rnn-gmm")
    x, mask = ragged_points()
    found = estimate(net, [(x, mask, torch.arange(len(x)))], "exact", scale=SCALE)
    with torch.no_grad():
        ((_, rollout),) = Pieces(net, x, mask).follow()
        logits = rollout.emission.pen_logits
    p = logits.sigmoid()
    by_hand = torch.where(x[..., 2] == 1, p, 1 - p).log().masked_fill(~mask, 0.0).sum(-1)
    assert_close(torch.from_numpy(found.details["pen"]), by_hand)


def test_the_rest_of_an_exact_value_is_the_density_of_the_offsets():
    """A pen that is certain of everything, and right, has no share; what is left is what was left before."""
    net = small_pen("rnn-gauss")
    x, mask = ragged_points()
    x[..., 2] = 0.0
    batch = [(x, mask, torch.arange(len(x)))]
    before = estimate(net, batch, "exact", scale=SCALE)
    with torch.no_grad():
        net.emission.net.last_bias[0] = -800.0
    after = estimate(net, batch, "exact", scale=SCALE)
    assert after.details["pen"] == pytest.approx(0.0, abs=1e-200)
    assert after.nats == pytest.approx(before.nats - before.details["pen"], rel=1e-12)
    assert after.bits_per_sample == pytest.approx(before.bits_per_sample, rel=1e-12)


@pytest.mark.parametrize("name", APART[:-1])
def test_the_pens_share_of_pieces_is_that_of_the_whole(name, monkeypatch):
    net = small_pen("rnn-gmm" if name == "exact" else "vrnn-gmm")
    x, mask = ragged_points()

    def found():
        with torch.no_grad():  # with gradients nothing is cut
            return ESTIMATORS[name].score(net, x, mask, 1, Noise(3, range(len(x)))).details["pen"]

    whole = found()
    for limit, value in (("LONGEST", 2), ("PIECE", 2), ("STEPS", 2)):
        monkeypatch.setattr(pieces, limit, value)
    assert_close(found(), whole)


def test_repeated_evaluations_have_the_mean_of_their_shares():
    net = small_pen("vrnn-gmm")
    x, mask = ragged_points()
    found = estimate(net, [(x, mask, torch.arange(4))], "elbo", scale=SCALE, repetitions=3, seed=4)
    shares = [ESTIMATORS["elbo"].score(net, x, mask, 1, Noise(4, range(4), r)).details["pen"] for r in range(3)]
    assert_close(torch.from_numpy(found.details["pen"]), torch.stack(shares).mean(0))


def test_the_reference_tosses_a_coin():
    x, mask = ragged_points()
    found = estimate(small_pen("vrnn-gmm"), [(x, mask, torch.arange(4))], "iid_gaussian", scale=SCALE)
    frames, squares = mask.sum(-1).numpy(), x[..., :2].square().sum((-1, -2)).numpy()
    assert found.details["pen"] == pytest.approx(-math.log(2) * frames)
    assert found.nats == pytest.approx(-0.5 * squares - frames * (math.log(2 * math.pi) + math.log(2)))


def test_units_by_hand():
    """Two sequences of 3 and 5 points; bits are of the offsets, in steps of the grid."""
    nats, pen, frames = np.array([-6.0, -20.0]), np.array([-1.0, -3.0]), np.array([3, 5])
    found = Estimate("exact", Kind.EXACT, nats, frames, Scale(2, 8.0), details={"pen": pen})
    assert found.per_sequence == -13
    assert found.per_frame == pytest.approx(-26 / 8)
    assert found.pen_per_frame == pytest.approx(-4 / 8)
    assert found.per_dimension == pytest.approx(-22 / 16)
    assert found.bits_per_sample == pytest.approx((math.log(8) + 22 / 16) / math.log(2))
    assert found.metrics()["exact_pen_per_frame"] == found.pen_per_frame == found.as_dict()["pen_nats_per_frame"]
    together = Estimate("iwae_3", Kind.CONSISTENT, nats, frames, Scale(2, 8.0))
    assert together.pen_per_frame is None
    assert together.per_dimension == pytest.approx(-26 / 16), "the pen cannot be told apart"
    assert "iwae_3_pen_per_frame" not in together.metrics()


def test_the_interval_of_single_values_is_of_the_offsets():
    rng = np.random.default_rng(0)
    frames, pen = rng.integers(5, 30, 40), -rng.random(40)
    offsets = -3.0 * frames + rng.normal(size=40)
    whole = Estimate("exact", Kind.EXACT, offsets + pen, frames, Scale(2, 8.0), details={"pen": pen})
    alone = Estimate("exact", Kind.EXACT, offsets, frames, Scale(2, 8.0))
    assert whole.interval(per="dimension") == pytest.approx(alone.interval(per="dimension"))
    assert whole.interval() != pytest.approx(alone.interval())


def mixture(sigmas: list[tuple[float, float]], weights: list[float], rho: float = 0.0) -> StrokeMixture:
    K = len(sigmas)
    return StrokeMixture(
        torch.tensor(weights).log(), torch.zeros(K, 2), torch.tensor(sigmas), torch.full((K,), rho), torch.zeros(())
    )


def test_the_share_is_the_responsibility_of_components_at_the_floor():
    x = torch.zeros(3)
    wide, narrow = (1.0, 1.0), (SIGMA_FLOOR, 1.0)
    density = mixture([narrow, wide], [0.2, 0.8])
    # Both peak at x: 1 / (2 pi sigma1 sigma2) each.
    at_the_floor = 0.2 / SIGMA_FLOOR
    assert share_at_floor(density, x).item() == pytest.approx(at_the_floor / (at_the_floor + 0.8))
    away = torch.tensor([1.0, 0.0, 0.0])
    assert share_at_floor(density, away).item() == 0.0
    assert share_at_floor(mixture([wide, wide], [0.5, 0.5]), x).item() == 0.0


def test_a_mixtures_weights_count():
    head = GaussianMixture(3, 2)
    a = torch.zeros(head.inputs)
    a[:2] = torch.tensor([0.25, 0.75]).log()
    a[8:] = torch.tensor([0.0, 0.0, -1e6, 0.0, 0.0, 0.0])
    peaks = 0.25 / SIGMA_FLOOR, 0.75 / (math.log(2) + SIGMA_FLOOR)
    assert share_at_floor(head(a), torch.zeros(3)).item() == pytest.approx(peaks[0] / sum(peaks))


@pytest.mark.parametrize(("times", "share"), [(1.0, 1.0), (1.999, 1.0), (2.001, 0.0)])
def test_at_the_floor_is_within_a_factor_of_two(times, share):
    sigma = times * SIGMA_FLOOR
    x = torch.zeros(3)
    assert share_at_floor(mixture([(1.0, sigma)], [1.0]), x).item() == share
    assert share_at_floor(DiagonalNormal(x, torch.tensor([1.0, sigma, 1.0])), x).item() == share
    head = GaussianMixture(3, 2)
    gmm = head(torch.zeros(head.inputs))
    gmm.component_distribution.scale = torch.full((2, 3), sigma)
    assert share_at_floor(gmm, x).item() == pytest.approx(share)


def test_a_correlation_narrows_a_component_too():
    sigma = 30 * SIGMA_FLOOR
    assert share_at_floor(mixture([(sigma, sigma)], [1.0], 0.0), torch.zeros(3)).item() == 0.0
    assert share_at_floor(mixture([(sigma, sigma)], [1.0], 0.999), torch.zeros(3)).item() == 1.0


def test_other_families_are_not_looked_at():
    assert share_at_floor(torch.distributions.Normal(0.0, 1.0), torch.zeros(3)) is None
    net = small("rnn-gauss")
    net.emission.forward = lambda features, state: torch.distributions.Laplace(state.h[..., :3], 1.0)
    x, mask = ragged()
    assert floor_share(net, [(x, mask, torch.arange(4))]) is None


def _sigmas_at(net, value: float) -> None:
    with torch.no_grad():
        net.emission.net.last_bias[-_number_of_sigmas(net.emission.head) :] = value


def _number_of_sigmas(head) -> int:
    if isinstance(head, PenStroke):
        return 2 * head.components
    return head.inputs // 2 if isinstance(head, DiagonalGaussian) else head.components * head.width


@pytest.mark.parametrize("strokes", [True, False])
def test_a_models_share_is_the_mean_over_frames(variant, strokes, monkeypatch):
    net = small_pen(variant) if strokes else small(variant)
    x, mask = ragged_points() if strokes else ragged()
    batch = [(x, mask, torch.arange(4))]
    assert floor_share(net, batch).share < 0.5
    _sigmas_at(net, -1e6)
    assert floor_share(net, batch).share == pytest.approx(1.0)
    _sigmas_at(net, 0.0)
    whole = floor_share(net, batch, seed=3)
    by_hand, frames = 0.0, 0
    for row in range(4):
        found = floor_share(net, [(x[row : row + 1], mask[row : row + 1], torch.tensor([row]))], seed=3)
        by_hand += found.share * int(mask[row].sum())
        frames += int(mask[row].sum())
    assert whole.share == pytest.approx(by_hand / frames)


def test_it_is_said_and_warned_of_from_one_percent_on():
    assert FloorShare(0.0).line() == "components at the floor of sigma take 0.0% of the density"
    assert FloorShare(0.01).warnings() == []
    (warning,) = FloorShare(0.011).warnings()
    assert "1.1% of the density" in warning
    assert "--dither" in warning
    assert "although the data are dithered" in FloorShare(0.5, dithered=True).warnings()[0]
    assert FloorShare(0.25).metrics() == {"share_at_sigma_floor": 0.25}
