"""Measures of ink: drawn lines of known style, simulated components of variance."""

import numpy as np
import pytest

from pyro_vrnn.measures import ink


def stems(slant, *, height=10.0, count=4, points=5):
    """Downward lines of a slant to the right, each with so many points, side by side."""
    step = np.array([-np.tan(np.radians(slant)), 1.0]) * height / (points - 1)
    rows = []
    for _ in range(count):
        rows += [[5.0, -height, 0.0], *([*step, 0.0] for _ in range(points - 1))]
        rows[-1][2] = 1.0
    return np.array(rows)


@pytest.mark.parametrize("slant", [-20, 0, 15, 40])
def test_lines_have_the_style_they_were_drawn_with(slant):
    found = ink.style(stems(slant))
    length = 10 / np.cos(np.radians(slant))
    assert found.slant == pytest.approx(slant)
    assert found.stroke == pytest.approx(length)
    assert found.speed == pytest.approx(length / 4)
    assert ink.style(3 * stems(slant) * [1, 1, 1 / 3]).height == pytest.approx(3 * found.height)


def test_what_has_no_style_is_not_a_number():
    dot = ink.style(np.array([[1.0, 2.0, 1.0]]))
    assert np.isnan(dot.slant)
    assert np.isnan(dot.speed)
    assert (dot.height, dot.stroke) == (0, 0)


def test_parts_are_whole_strokes():
    points = stems(0, count=6)
    for parts in (1, 2, 3):
        found = ink.cut(points, parts)
        assert [len(part) for part in found] == [30 // parts] * parts
        assert all(part[-1, 2] == 1 for part in found)
        assert (np.concatenate(found) == points).all()
    assert len(ink.cut(stems(0, count=1))) == 1


@pytest.mark.parametrize(("between", "within"), [(1.0, 0.0), (2.0, 1.0), (1.0, 2.0), (0.0, 1.0)])
@pytest.mark.parametrize("unbalanced", [False, True])
def test_the_correlation_is_that_of_the_components(between, within, unbalanced):
    random = np.random.default_rng(1)
    sizes = random.integers(1, 6, 4000) if unbalanced else np.full(4000, 3)
    groups = [np.sqrt(between) * random.normal() + np.sqrt(within) * random.normal(size=size) for size in sizes]
    assert ink.intraclass(groups) == pytest.approx(between / (between + within), abs=0.04)


def test_the_correlation_of_few_is_known_by_hand():
    assert ink.intraclass([[1, 2], [3, 4]]) == pytest.approx((4 - 0.5) / (4 + 0.5))
    assert ink.intraclass([[1, 3], [1, 3]]) == pytest.approx(-1)
    assert ink.intraclass([[1, 2, np.nan], [3, 4], [np.nan]]) == ink.intraclass([[1, 2], [3, 4]])
    assert np.isnan(ink.intraclass([[1], [2]]))
    assert np.isnan(ink.intraclass([[1, 2]]))


def test_a_hand_of_its_own_is_told_from_one_that_changes():
    random = np.random.default_rng(0)
    slants = random.uniform(-20, 40, (30, 2))
    own = [np.concatenate([stems(slant), stems(slant + random.normal())]) for slant, _ in slants]
    changing = [np.concatenate([stems(slant) for slant in pair]) for pair in slants]
    assert ink.consistency(own)["slant"] > 0.98
    assert abs(ink.consistency(changing)["slant"]) < 0.4
    assert ink.measure(own)["slant"] == pytest.approx(slants[:, 0], abs=3)


def test_of_no_sample_there_is_no_measure():
    assert {name: len(values) for name, values in ink.measure([]).items()} == dict.fromkeys(ink.UNITS, 0)
