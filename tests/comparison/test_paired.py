import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_vrnn.comparison.paired import LEVEL, compare, over_seeds, over_trainings


def test_the_mean_over_seeds_and_its_standard_error():
    found = over_seeds([1.0, 2.0, 6.0])
    assert found.value == 3.0
    assert found.error == pytest.approx(math.sqrt(7.0) / math.sqrt(3))  # variance (4 + 1 + 9) / 2
    assert over_seeds([4.0]) == (4.0, None, 1)


def test_a_difference_that_is_the_same_everywhere_is_certain():
    found = compare(np.full(10, 2.0), range(10))
    assert found is not None
    assert (found.difference, found.low, found.high) == (2.0, 2.0, 2.0)
    assert found.significant
    nothing = compare(np.zeros(10), range(10))
    assert nothing is not None
    assert nothing.p == 1.0


@pytest.mark.parametrize("differences", [[1.0], [1.0, math.nan], [1.0, -math.inf]])
def test_where_nothing_can_be_said_nothing_is(differences):
    assert compare(differences, range(len(differences))) is None


@given(st.lists(st.floats(-100, 100), min_size=5, max_size=30), st.floats(0.1, 10))
@settings(max_examples=25, deadline=None)
def test_order_sign_and_scale(differences, factor):
    d = np.asarray(differences)
    if np.ptp(d) < 1e-3:
        return
    found = compare(d, range(len(d)), resamples=199)
    scaled = compare(factor * d, range(len(d)), resamples=199)
    assert found is not None
    assert scaled is not None
    assert found.low <= found.high
    assert scaled.difference == pytest.approx(factor * found.difference, rel=1e-9, abs=1e-9)
    assert scaled.p == pytest.approx(found.p, abs=0.03)
    assert found.difference == pytest.approx(d.mean())
    turned = compare(-d, range(len(d)), resamples=199)
    assert turned is not None
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), rel=0.5, abs=np.ptp(d))


def test_the_interval_leaves_zero_out_exactly_where_the_test_is_significant():
    generator = np.random.default_rng(0)
    for shift in np.linspace(0, 0.8, 17):
        found = compare(generator.normal(shift, size=25), range(25), resamples=999)
        assert found is not None
        assert found.significant == (found.low > 0 or found.high < 0)


def test_seeds_that_agree_do_not_make_more_sequences():
    d = np.random.default_rng(1).normal(0.3, size=40)
    once = compare(d, range(40))
    thrice = compare(np.tile(d, 3), [*range(40)] * 3)
    assert once is not None
    assert thrice is not None
    assert thrice.sequences == 40
    assert thrice == pytest.approx(once)


@pytest.mark.parametrize(("draw", "least"), [("normal", 0.92), ("skewed", 0.88)])
def test_coverage_of_the_interval_and_level_of_the_test(draw, least):
    """The truth lies in as many intervals as they say; also where few sequences make most of the difference."""
    generator = np.random.default_rng(2)
    held, trials = 0, 300
    for _ in range(trials):
        if draw == "normal":
            d, mean = generator.normal(1.0, 2.0, size=40), 1.0
        else:
            d, mean = -generator.lognormal(0.0, 1.0, size=40), -math.exp(0.5)
        found = compare(d, range(40), resamples=399)
        assert found is not None
        held += found.low <= mean <= found.high
    assert held / trials >= least
    assert held / trials <= 0.985


def test_of_equal_models_one_is_called_best_as_rarely_as_two_are_called_different():
    """All comparisons with the first must be significant: with four equal models that is rarer than the level."""
    generator = np.random.default_rng(3)
    false, trials = 0, 200
    for _ in range(trials):
        nats = generator.normal(size=(4, 30)) + generator.normal(size=30)
        first = nats.mean(axis=1).argmax()
        found = [compare(nats[first] - nats[k], range(30), resamples=199) for k in range(4) if k != first]
        false += all(each is not None and each.significant for each in found)
    assert false / trials <= LEVEL + 2 * math.sqrt(LEVEL * (1 - LEVEL) / trials)


def test_the_t_test_over_seeds():
    """Against a table of Student's t: 2 degrees of freedom reach 5 % at 4.303."""
    assert over_trainings([1.0]) is None
    assert over_trainings([2.0, 2.0, 2.0]) == 0.0
    assert over_trainings([0.0, 0.0]) == 1.0
    for t, p in ((4.3027, 0.05), (2.9200, 0.10), (9.9248, 0.01)):
        found = over_trainings(t / math.sqrt(3) + np.array([-1.0, 0.0, 1.0]))
        assert found == pytest.approx(p, rel=1e-3)
        assert found == over_trainings(-(t / math.sqrt(3) + np.array([-1.0, 0.0, 1.0])))


def test_lucky_seeds_of_equal_models_are_rarely_called_better():
    """Sequences alone would call nearly every pair of trainings different; what is asked is whether others would be."""
    generator = np.random.default_rng(4)
    sequences, seeds, trials = 0, 0, 300
    for _ in range(trials):
        luck = generator.normal(0.0, 1.0, size=3)
        d = luck[:, None] + generator.normal(0.0, 0.5, size=(3, 40))
        found = compare(d.ravel(), [*range(40)] * 3, resamples=199)
        assert found is not None
        p = over_trainings(d.mean(axis=1))
        assert p is not None
        sequences += found.significant
        seeds += found.significant and p < LEVEL
    assert sequences / trials > 0.5
    assert seeds / trials <= LEVEL + 2 * math.sqrt(LEVEL * (1 - LEVEL) / trials)
