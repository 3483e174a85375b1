import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyro_vrnn.report.lines import HEIGHT, MARGINS, POINTS, WIDTH, Line, Panel, curves, ticks, waveform

VALUES = st.floats(-1e9, 1e9)


def places(drawing):
    return [
        [tuple(map(float, place.split(","))) for place in points.split()]
        for points in re.findall(r'points="([^"]*)"', drawing)
    ]


@given(low=VALUES, width=st.floats(1e-3, 1e9))
def test_ticks_are_few_even_and_inside(low, width):
    found = ticks(low, low + width)
    assert 1 <= len(found) <= 7
    slack = 1e-6 * (abs(low) + width)
    assert all(low - slack <= tick <= low + width + slack for tick in found)
    assert np.allclose(np.diff(found), np.diff(found)[:1], rtol=1e-6, atol=slack)


@given(values=st.lists(VALUES, min_size=1, max_size=60), zero=st.booleans())
def test_curves_stay_inside_their_axes(values, zero):
    drawing = curves(Panel("Bound", "nats", "steps", [Line("training", list(enumerate(values)))], zero))
    ElementTree.fromstring(drawing)
    left, top, right, bottom = MARGINS
    for x, y in (place for line in places(drawing) for place in line):
        assert left - 0.1 <= x <= WIDTH - right + 0.1
        assert top - 0.1 <= y <= HEIGHT - bottom + 0.1


def test_a_curve_rises_where_its_values_do_and_breaks_where_they_are_not_finite():
    points = [(0, 0.0), (1, 1.0), (2, math.nan), (3, 2.0), (4, 3.0)]
    first, second = places(curves(Panel("a", "b", "c", [Line("x", points)])))
    assert [len(first), len(second)] == [2, 2]
    assert first[0][1] > first[1][1] > second[0][1] > second[1][1]
    assert first[0][0] < first[1][0] < second[0][0]


def test_many_points_become_means_of_neighbours():
    (line,) = places(curves(Panel("a", "b", "c", [Line("x", [(k, k % 2) for k in range(4 * POINTS)])])))
    assert len(line) == POINTS
    assert len({y for _, y in line}) == 1


def test_words_are_escaped_and_said():
    drawing = curves(Panel("<a>", "&", "s", [Line('"x"', [(0, 1.0), (1, 2.0)])]))
    element = ElementTree.fromstring(drawing)
    assert element.get("aria-label") == '<a>, &, over s: "x" from 1 to 2'


@pytest.mark.parametrize("samples", [0, 1, 7, 5000])
def test_a_waveform_reaches_to_its_loudest_sample(samples):
    drawing = waveform(0.1 * np.sin(np.arange(samples)), "sound")
    element = ElementTree.fromstring(drawing)
    assert element.get("aria-label") == "sound"
    bars = re.findall(r"M\d+ ([\d.]+)V([\d.]+)", drawing)
    assert len(bars) == min(samples, 300)
    if samples > 300:  # the loudest sample of a tone is positive only where there are many
        assert min(float(high) for high, _ in bars) == pytest.approx(1.0, abs=0.3)
