"""Fig. 2: what is drawn is what was found, on one axis of time."""

import numpy as np
import pytest

from pyro_vrnn.figures.paths import Example, Pen, Rows, Wave, figure_2
from pyro_vrnn.inference.paths import LatentPath

RANDOM = np.random.default_rng(0)
T, Z = 6, 3
DIMENSIONS = RANDOM.uniform(0, 2, (T, Z))
MOVED = np.array([np.nan, 1.0, 4.0, 2.0, 0.5, 3.0])
PATH = LatentPath(MOVED, DIMENSIONS.sum(1), DIMENSIONS, None)
SAMPLES = RANDOM.uniform(-1, 1, T * 10)
EXAMPLES = [
    Example("one", PATH, Wave(SAMPLES), 0.5),
    Example("two", LatentPath(3 * MOVED[:4], 2 * PATH.kl[:4], 2 * DIMENSIONS[:4], None), Wave(SAMPLES[:40]), 0.5),
]


def columns(figure, count):
    """Axes without scales of colour, by column."""
    axes = [each for each in figure.axes if each.get_label() != "<colorbar>"]
    return [axes[k::count] for k in range(count)]


def test_every_row_holds_what_was_found():
    figure = figure_2(EXAMPLES, "vrnn")
    assert figure.get_suptitle() == "vrnn"
    for column, example, duration in zip(columns(figure, 2), EXAMPLES, (3.0, 2.0), strict=True):
        above, band, heat, below = column
        (stairs,) = above.patches
        assert np.array_equal(stairs.get_data().values, example.path.moved, equal_nan=True)
        assert stairs.get_data().edges == pytest.approx(np.arange(len(example.path.kl) + 1) * 0.5)
        (strip,), (mesh,) = band.collections, heat.collections
        assert np.asarray(strip.get_array()).ravel() == pytest.approx(example.path.kl)
        assert np.asarray(mesh.get_array()) == pytest.approx(example.path.kl_of_dimensions.T)
        (wave,) = below.get_lines()
        assert wave.get_ydata() == pytest.approx(example.trace.samples)
        assert 0 <= wave.get_xdata().min() < wave.get_xdata().max() < duration
        assert {axes.get_xlim() for axes in column} == {(0.0, duration)}
        assert above.get_title() == example.title
        assert below.get_xlabel() == "seconds"


def test_scales_are_those_of_all_columns():
    figure = figure_2(EXAMPLES, "")
    for row in zip(*columns(figure, 2), strict=True):
        limits = {axes.collections[0].get_clim() for axes in row if axes.collections}
        assert len(limits) <= 1
    (first, *_), (second, *_) = columns(figure, 2)
    assert first.get_ylim() == second.get_ylim()
    assert first.get_ylim()[1] > 12
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_label() == "<colorbar>"] == ["nats", "KL, nats"]


def test_a_flow_says_that_its_mean_is_of_draws_and_has_no_dimensions():
    path = PATH._replace(kl_of_dimensions=None, drawn=32, kl=PATH.kl - 3)
    figure = figure_2([Example("one", path, Wave(SAMPLES))], "flow")
    assert "32 draws" in figure.get_suptitle()
    (column,) = columns(figure, 1)
    assert len(column) == 3
    assert column[-1].get_xlabel() == "step"
    low, high = column[1].collections[0].get_clim()
    assert (low, high) == (path.kl.min(), path.kl.max())


def test_a_pen_is_interrupted_where_it_is_lifted_and_stands_below():
    points = np.array([[1, 1, 0], [1, 2, 1], [1, -1, 0], [1, 3, 0], [0, 0, 0], [2, 1, 1]], float)
    figure = figure_2([Example("one", PATH, Pen(points))], "")
    below = columns(figure, 1)[0][3]
    assert [line.get_ydata().tolist() for line in below.get_lines()] == [[-1, -3], [-2, -5, -5, -6]]
    assert [line.get_xdata().tolist() for line in below.get_lines()] == [[0.5, 1.5], [2.5, 3.5, 4.5, 5.5]]
    (page,) = below.child_axes
    assert [line.get_xdata().tolist() for line in page.get_lines()] == [[1, 2], [3, 4, 4, 6]]


def test_rows_of_numbers_are_curves():
    values = RANDOM.normal(size=(T, 9))
    below = columns(figure_2([Example("one", PATH, Rows(values))], ""), 1)[0][3]
    assert [line.get_ydata().tolist() for line in below.get_lines()] == values.T[:6].tolist()
