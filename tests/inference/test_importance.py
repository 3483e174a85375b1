"""Diagnostics of weights, on weights whose properties are known."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from pyro_vrnn.inference.importance import diagnose

pytestmark = pytest.mark.filterwarnings("error")


def normal(K: int, N: int, s: float | np.ndarray, seed: int = 0) -> np.ndarray:
    return -4000 + s * np.random.default_rng(seed).standard_normal((K, N))


@pytest.mark.parametrize("index", [0.2, 0.5, 0.9])
def test_the_index_of_a_known_tail_is_found(index):
    """Of the weights; that of their inverses, which the wrong sign would find, is 1 for all three."""
    weights = stats.genpareto.rvs(index, size=(10_000, 20), random_state=1)
    found = diagnose(np.log(weights) - 4000)
    assert found.pareto_k.mean() == pytest.approx(index, abs=0.06)
    assert diagnose(-np.log(weights)).pareto_k.mean() == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize(("index", "share"), [(0.2, 0), (0.5, 0), (0.9, 1)])
def test_the_share_is_of_sequences(index, share):
    weights = stats.genpareto.rvs(index, size=(10_000, 20), random_state=2)
    assert diagnose(np.log(weights)).share_above == pytest.approx(share, abs=0.1)
    half = np.concatenate([np.log(weights), np.zeros((10_000, 20))], axis=1)
    assert diagnose(half).share_above == pytest.approx(share / 2, abs=0.05)


@pytest.mark.parametrize(("K", "threshold"), [(1000, 2 / 3), (100, 0.5), (10_000, 0.7), (1, -math.inf)])
def test_the_threshold_is_that_of_the_sample_size(K, threshold):
    assert diagnose(normal(K, 2, 0.1)).threshold == pytest.approx(threshold)


@pytest.mark.parametrize("value", [0.0, -4000.123])
def test_equal_weights_are_all_effective_and_have_no_tail(value):
    found = diagnose(np.full((1200, 3), value))
    np.testing.assert_allclose(found.ess, 1200)
    np.testing.assert_allclose(found.ess_few, 40)
    assert (found.pareto_k < -1).all()
    assert found.share_above == 0
    np.testing.assert_allclose(found.curve.bound, value)
    np.testing.assert_allclose(found.curve.error[1:], 0, atol=1e-9)
    assert found.warnings() == []


def test_weights_equal_up_to_rounding_have_no_heavy_tail():
    """As from an exact posterior, in single precision: ties everywhere."""
    rounded = normal(1000, 30, 1e-4).astype(np.float32).astype(np.float64)
    assert len(np.unique(rounded)) < 10
    found = diagnose(rounded)
    assert found.share_above == 0
    assert found.warnings() == []


@pytest.mark.parametrize("above", [50.0, 5000.0])
@pytest.mark.parametrize("spread", [0.0, 0.1])
def test_one_weight_that_decides_is_no_effective_sample_and_a_heavy_tail(above, spread):
    log_weights = normal(1000, 4, spread)
    log_weights[17] += above
    found = diagnose(log_weights)
    np.testing.assert_allclose(found.ess, 1)
    assert (found.pareto_k > found.threshold).all()
    np.testing.assert_allclose(found.curve.bound[-1], (log_weights[17] - math.log(1000)).mean())
    assert "tails are too heavy" in " ".join(found.warnings())


@pytest.mark.parametrize("s", [3, 30, 100, 1000, 1e5])
def test_the_wider_the_weights_the_worse(s):
    """Where exp underflows ArviZ alone would call the worst tail harmless."""
    found = diagnose(normal(1000, 20, s))
    assert found.share_above == 1
    assert found.details["pareto_k"] is found.pareto_k


def test_the_effective_samples_are_those_of_the_formula():
    log_weights = normal(120, 5, 1.0)
    w = np.exp(log_weights - log_weights.max(0))
    found = diagnose(log_weights)
    np.testing.assert_allclose(found.ess, 1 / ((w / w.sum(0)) ** 2).sum(0))
    few = [[1 / ((g / g.sum()) ** 2).sum() for g in np.split(w[:, n], 3)] for n in range(5)]
    np.testing.assert_allclose(found.ess_few, np.mean(few, axis=1))


@pytest.mark.parametrize(
    ("K", "samples"),
    [
        (1, [1]),
        (7, [1, 2, 5, 7]),
        (40, [1, 2, 5, 10, 20, 40]),
        (45, [1, 2, 5, 10, 20, 40, 45]),
        (1000, [1, 2, 5, 10, 20, 40, 100, 200, 500, 1000]),
        (2048, [1, 2, 5, 10, 20, 40, 100, 200, 500, 1000, 2000, 2048]),
    ],
)
def test_the_curve_meets_brute_force(K, samples):
    log_weights = normal(K, 6, 2.0)
    curve = diagnose(log_weights).curve
    assert curve.samples.tolist() == samples
    for k, bound, error in zip(samples, curve.bound, curve.error, strict=True):
        values, noise = [], []
        for column in log_weights.T:
            groups = [column[i * k : (i + 1) * k] for i in range(K // k)]
            values.append([np.logaddexp.reduce(group) - math.log(k) for group in groups])
            noise.append(np.var(values[-1], ddof=1) / len(groups) if len(groups) > 1 else np.nan)
        assert bound == pytest.approx(np.mean(values), rel=1e-12)
        if K // k > 1:
            assert error == pytest.approx(math.sqrt(sum(noise)) / 6)
    assert np.isnan(curve.error[-1]) == (K == 1)


@pytest.mark.parametrize("s", [0.3, 1.0])
def test_the_curve_rises_from_the_elbo_to_log_p(s):
    """Log-weights N(mu, s^2): L_1 = mu, L_K = log E w - (e^{s^2} - 1) / 2K + ..., log E w = mu + s^2 / 2."""
    curve = diagnose(normal(10_000, 50, s)).curve
    log_p = -4000 + s**2 / 2
    assert curve.bound[0] == pytest.approx(-4000, abs=4 * curve.error[0])
    assert curve.bound[-1] == pytest.approx(log_p, abs=4 * curve.error[-1])
    at_100 = list(curve.samples).index(100)
    assert curve.bound[at_100] == pytest.approx(log_p - math.expm1(s**2) / 200, abs=5 * curve.error[at_100] + 1e-4)
    assert (np.diff(curve.bound) > -3 * curve.error[1:]).all()


@pytest.mark.parametrize("s", [0.5, 2.0, 5.0, 10.0])
def test_the_error_of_a_single_group_is_what_repeated_draws_vary_by(s):
    curves = [diagnose(normal(200, 50, s, seed)).curve for seed in range(60)]
    assert curves[0].samples[-1] == 200
    spread = np.std([curve.bound[-1] for curve in curves])
    assert spread == pytest.approx(np.sqrt(np.mean([curve.error[-1] ** 2 for curve in curves])), rel=0.25)


def test_a_sequence_is_judged_by_its_own_weights():
    """More sequences than fit in one block, of different spreads, in two orders."""
    spreads = np.linspace(0.1, 9, 2500)
    log_weights = normal(1000, 2500, spreads)
    order = np.random.default_rng(3).permutation(2500)
    straight, permuted = diagnose(log_weights), diagnose(log_weights[:, order])
    for name, column in straight.details.items():
        np.testing.assert_allclose(column[order], permuted.details[name], rtol=1e-9, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(straight.curve.bound, permuted.curve.bound)
    alone = diagnose(log_weights[:, 700:701])
    assert (alone.ess[0], alone.pareto_k[0]) == pytest.approx((straight.ess[700], straight.pareto_k[700]))


@pytest.mark.parametrize("K", [1, 2, 39, 40, 41, 999])
def test_few_samples_say_what_they_cannot_know(K):
    found = diagnose(normal(K, 5, 1.0))
    assert found.pareto_k is found.share_above is None
    assert (found.rise is not None) == (K > 40)
    assert (found.ess_few is not None) == (K >= 40)
    assert "Pareto k needs 1000 samples" in found.line()
    assert found.as_dict()["pareto_k_unknown"] == "needs 1000 samples"
    assert "pareto_k" not in found.details


def test_light_weights_need_no_warning():
    found = diagnose(normal(1000, 50, 0.5))
    assert found.warnings() == []
    assert "Pareto k above 0.67 for 0% of sequences" in found.line()


def test_heavy_weights_are_told_in_plain_words():
    found = diagnose(normal(1000, 50, 8.0))
    too_few, tails, advice = found.warnings()
    assert f"from 40 to 1000 the bound still rises by {found.rise.mean():.1f} nats a sequence" in too_few
    assert f"effective samples {np.median(found.ess_few):.1f} of 40" in too_few
    assert "Pareto k is above 0.67 for 100% of sequences" in tails
    for word in ("importance sampling", "--estimator smc", "elbo"):
        assert word in advice
    assert found.rise.mean() == pytest.approx(found.curve.bound[-1] - found.curve.bound[5])
    assert "\n" not in found.line()


def test_forty_heavy_weights_are_warned_of_without_more():
    found = diagnose(normal(40, 50, 8.0))
    assert "effective samples of 40: a few trajectories decide" in found.warnings()[0]
    assert diagnose(normal(40, 50, 0.5)).warnings() == []


def test_a_rise_within_noise_is_none():
    """One sequence rises by much, the others not: twice the standard error is above the mean."""
    log_weights = normal(200, 40, 0.01)
    log_weights[50, 0] += 200
    found = diagnose(log_weights)
    assert found.rise.mean() > 1
    assert not any("too few for sequences" in warning for warning in found.warnings())


def test_metrics_and_results_are_finite_and_flat():
    found = diagnose(normal(1000, 20, 4.0))
    assert found.metrics() == {
        f"importance_{found.samples}_ess_median": np.median(found.ess),
        f"importance_{found.samples}_ess_of_40_median": np.median(found.ess_few),
        f"importance_{found.samples}_rise_from_40": found.rise.mean(),
        f"importance_{found.samples}_pareto_k_median": np.median(found.pareto_k),
        f"importance_{found.samples}_pareto_k_share_above": found.share_above,
    }
    told = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert [point["samples"] for point in told["curve"]] == found.curve.samples.tolist()
    assert told["warnings"] == found.warnings()
    json.dumps(diagnose(np.zeros((1000, 2))).as_dict(), allow_nan=False)


def test_weights_of_nothing_and_no_numbers_stay_with_their_sequence():
    log_weights = normal(1000, 5, 0.5)
    log_weights[:, 1], log_weights[3, 2], log_weights[:500, 3] = -np.inf, np.nan, -np.inf
    found = diagnose(log_weights)
    assert np.isnan(found.pareto_k).tolist() == [False, True, True, False, False]
    assert np.isnan(found.ess).tolist() == [False, True, True, False, False]
    assert 0 < found.ess[3] < 500
    assert found.share_above == 0
    found.line(), found.warnings(), found.metrics()
    json.dumps(found.as_dict(), allow_nan=False)


def test_arviz_is_imported_only_when_there_is_a_tail_to_fit():
    code = (
        "import sys, numpy as np\nfrom pyro_vrnn.inference.importance import diagnose\n"
        "diagnose(np.zeros((40, 2)))\nassert 'arviz_stats' not in sys.modules\n"
        "diagnose(np.zeros((1000, 2)))\nassert 'arviz_stats' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
