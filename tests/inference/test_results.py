"""Units and marks."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from pyro_vrnn.inference.results import Compression, Estimate, Kind, Scale

NATS, FRAMES = np.array([-30.0, -10.0, -20.0]), np.array([4, 1, 3])


def estimate(std_lsb: float | None = 1000.0, **changes: object) -> Estimate:
    values = {"name": "iwae_40", "kind": Kind.CONSISTENT, "nats": NATS, "frames": FRAMES, "note": "kl=sampled"}
    return Estimate(**(values | {"scale": Scale(5, std_lsb)} | changes))


def test_every_unit_by_hand():
    result = estimate()
    assert result.per_sequence == pytest.approx(-20)
    assert result.per_frame == pytest.approx(-60 / 8)
    assert result.per_dimension == pytest.approx(-60 / 40)
    assert result.standard_error == pytest.approx(10 / math.sqrt(3))


def test_bits_are_of_the_sources_integer_grid():
    """bits = -(log p - N log std) / (N ln 2), N = 8 frames of 5 values."""
    N = 40
    assert estimate().bits_per_sample == pytest.approx(-(-60 - N * math.log(1000)) / (N * math.log(2)))


def test_a_gaussian_of_known_width_costs_its_entropy_in_bits():
    """Samples of standard deviation 2^10 steps, scored by N(0, 1) once standardised: log2(std sqrt(2 pi e)) bits."""
    x = np.random.default_rng(0).standard_normal((200, 50, 5))
    nats = (-0.5 * x**2 - 0.5 * math.log(2 * math.pi)).sum((1, 2))
    bits = Estimate("exact", Kind.EXACT, nats, np.full(200, 50), Scale(5, 2.0**10)).bits_per_sample
    assert bits == pytest.approx(10 + 0.5 * math.log2(2 * math.pi * math.e), abs=0.02)


def test_better_likelihood_is_fewer_bits():
    assert estimate(nats=NATS + 1).bits_per_sample < estimate().bits_per_sample


def test_float_sources_have_no_bits():
    assert estimate(None).bits_per_sample is None
    assert "iwae_40_bits_per_sample" not in estimate(None).metrics()


def test_metrics_are_flat_and_finite():
    result = estimate()
    assert result.metrics() == {
        "iwae_40": result.per_sequence,
        "iwae_40_per_frame": result.per_frame,
        "iwae_40_per_dimension": result.per_dimension,
        "iwae_40_bits_per_sample": result.bits_per_sample,
        "iwae_40_standard_error": result.standard_error,
    }
    single = estimate(nats=NATS[:1], frames=FRAMES[:1])
    assert math.isnan(single.standard_error)
    assert "iwae_40_standard_error" not in single.metrics()


def test_every_kind_has_its_mark():
    marks = {"EXACT": "=", "BOUND": "≥", "CONSISTENT": "≈", "ESTIMATE": "~", "OBJECTIVE": ""}
    assert {kind.name: kind.value for kind in Kind} == {kind.name: kind.mark for kind in Kind} == marks
    assert all(kind.words and kind.label == kind.name.lower() for kind in Kind)


def test_a_lower_bound_on_log_p_is_an_upper_bound_on_bits():
    assert {kind.mark: kind.bits_mark for kind in Kind} == {"=": "=", "≥": "≤", "≈": "≈", "~": "~", "": ""}


@pytest.mark.parametrize("kind", Kind)
def test_a_results_file_says_everything(kind):
    told = estimate(kind=kind).as_dict()
    assert (told["kind"], told["mark"], told["note"]) == (kind.name.lower(), kind.value, "kl=sampled")
    assert (told["sequences"], told["frames"]) == (3, 8)
    assert told["nats_per_sequence"] == pytest.approx(-20)
    assert estimate(nats=NATS[:1], frames=FRAMES[:1]).as_dict()["standard_error_over_sequences"] is None


def test_dither_makes_an_exact_density_a_bound_and_nothing_else():
    """log P(x) = log E p(x + u) >= E log p(x + u)."""
    kinds = {kind: estimate(kind=kind, scale=Scale(5, 1000.0, dithered=True)).kind for kind in Kind}
    assert kinds.pop(Kind.EXACT) is Kind.BOUND
    assert all(before is after for before, after in kinds.items())
    assert estimate(kind=Kind.EXACT).kind is Kind.EXACT
    told = estimate(kind=Kind.EXACT, scale=Scale(5, 1000.0, dithered=True)).as_dict()
    assert (told["kind"], told["mark"], told["dithered"]) == ("bound", "≥", True)


def test_repeats_are_averaged_and_their_noise_is_kept_apart():
    rng = np.random.default_rng(0)
    R, sigma = 50, np.array([1.0, 2.0, 4.0])
    repeats = NATS + sigma * rng.standard_normal((R, 3))
    result = Estimate.from_repeats("iwae_40", Kind.CONSISTENT, repeats, FRAMES, Scale(5), "note", {"ess": np.ones(3)})
    np.testing.assert_allclose(result.nats, repeats.mean(0))
    np.testing.assert_allclose(result.monte_carlo, repeats.var(0, ddof=1) / R)
    np.testing.assert_allclose(result.monte_carlo, sigma**2 / R, rtol=0.6)
    assert (result.note, list(result.details)) == ("note", ["ess"])
    assert result.monte_carlo_error == pytest.approx(math.sqrt(result.monte_carlo.sum()) / 3)
    assert result.monte_carlo_error < result.standard_error
    assert result.metrics()["iwae_40_monte_carlo_error"] == result.as_dict()["monte_carlo_error"]


def test_the_monte_carlo_error_is_what_evaluations_of_the_same_sequences_vary_by():
    rng = np.random.default_rng(1)
    made = [
        Estimate.from_repeats("e", Kind.BOUND, NATS + 3 * rng.standard_normal((4, 3)), FRAMES, Scale(5))
        for _ in range(2000)
    ]
    spread = np.std([one.per_sequence for one in made])
    assert spread == pytest.approx(np.sqrt(np.mean([one.monte_carlo_error**2 for one in made])), rel=0.05)


def test_one_draw_knows_nothing_of_its_noise():
    result = Estimate.from_repeats("elbo", Kind.BOUND, NATS[None], FRAMES, Scale(5))
    np.testing.assert_array_equal(result.nats, NATS)
    assert result.monte_carlo is result.monte_carlo_error is None
    assert "elbo_monte_carlo_error" not in result.metrics()
    assert result.details == {}


def many(n: int = 60, seed: int = 0) -> Estimate:
    rng = np.random.default_rng(seed)
    frames = rng.integers(5, 50, n)
    return estimate(nats=-frames * np.exp(rng.standard_normal(n)), frames=frames)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_interval_is_the_bca_interval_of_plain_resampling(level):
    """Against Efron's formula with indices drawn in a loop."""
    result = many()
    n, values = len(result.nats), result.frames * 5
    rng = np.random.default_rng(5)
    for per, below in (("sequence", np.ones(n)), ("dimension", values)):
        drawn = rng.integers(0, n, (20000, n))
        resampled = np.sort([result.nats[i].sum() / below[i].sum() for i in drawn])
        value = result.nats.sum() / below.sum()
        left_out = np.array([np.delete(result.nats, i).sum() / np.delete(below, i).sum() for i in range(n)])
        d = left_out.mean() - left_out
        a, z0 = (d**3).sum() / (6 * (d**2).sum() ** 1.5), stats.norm.ppf((resampled < value).mean())
        z = z0 + stats.norm.ppf([(1 - level) / 2, (1 + level) / 2])
        ends = np.quantile(resampled, stats.norm.cdf(z0 + z / (1 - a * z)))
        found = result.interval(level, per=per)
        assert found.low < value < found.high
        np.testing.assert_allclose(found, ends, atol=0.05 * (ends[1] - ends[0]))


def test_the_interval_reaches_further_to_the_side_of_the_tail():
    result = many()
    found = result.interval()
    assert result.per_sequence - found.low > 1.2 * (found.high - result.per_sequence)


def test_the_interval_holds_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    samples = [estimate(nats=rng.standard_normal(40), frames=np.full(40, 3)).interval(0.8) for _ in range(300)]
    assert np.mean([low <= 0 <= high for low, high in samples]) == pytest.approx(0.8, abs=0.06)


def test_intervals_repeat_themselves_and_leave_the_random_state_alone():
    result = many()
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    assert result.interval() == result.interval()
    assert result.interval(per="dimension") == result.interval(per="dimension")
    assert result.interval() != result.interval(seed=1)
    np.testing.assert_array_equal(before, np.random.get_state()[1])


def test_sequences_are_drawn_with_their_frames():
    """Where nats are proportional to frames the ratio is certain, however much the totals vary."""
    frames = np.arange(1, 30)
    result = estimate(nats=-2.5 * frames + 1e-6 * np.sin(frames), frames=frames)
    low, high = result.interval(per="dimension")
    assert high - low < 1e-7
    assert result.interval().high - result.interval().low > 5


@pytest.mark.filterwarnings("error")
def test_intervals_where_there_is_nothing_to_resample():
    assert estimate(nats=NATS[:1], frames=FRAMES[:1]).interval() is None
    assert estimate(nats=np.array([1.0, np.nan, 2.0])).interval() is None
    assert estimate(nats=np.array([1.0, -np.inf, 2.0])).interval() is None
    constant = estimate(nats=np.full(20, -0.1), frames=np.full(20, 3))
    assert constant.interval() == pytest.approx((-0.1, -0.1))
    assert constant.interval(per="dimension") == pytest.approx((-0.1 / 15, -0.1 / 15))
    assert estimate(nats=np.zeros(3)).interval() == (0, 0)
    two = estimate(nats=NATS[:2], frames=FRAMES[:2]).interval()
    assert -30 <= two.low < two.high <= -10


def test_ten_thousand_sequences_take_seconds_and_little_memory():
    import time
    import tracemalloc

    result = many(10_000)
    many(5).interval()
    tracemalloc.start()
    begun = time.monotonic()
    assert result.interval() is not None
    took, peak = time.monotonic() - begun, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert took < 20
    assert peak < 100 * 2**20


def test_a_results_file_has_intervals_in_every_unit():
    result = many()
    told = result.as_dict()
    assert told["interval_95_nats_per_sequence"] == list(result.interval())
    low, high = told["interval_95_nats_per_dimension"]
    assert (low, high) == result.interval(per="dimension")
    bits = [(math.log(1000) - end) / math.log(2) for end in (high, low)]
    assert told["interval_95_bits_per_sample"] == pytest.approx(bits)
    assert bits[0] < told["bits_per_sample"] < bits[1]
    json.dumps(told, allow_nan=False)
    assert many().as_dict() == told
    assert estimate(None, nats=NATS).as_dict()["interval_95_bits_per_sample"] is None
    assert estimate(nats=NATS[:1], frames=FRAMES[:1]).as_dict()["interval_95_bits_per_sample"] is None


def test_a_compressor_has_bits_and_no_nats():
    flac = Compression("flac", 7.25)
    assert flac.metrics() == {"flac_bits_per_sample": 7.25}
    assert flac.as_dict() == {"kind": "exact", "mark": "=", "bits_per_sample": 7.25}
