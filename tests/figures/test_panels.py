"""Panels: every axis has its unit, what is counted is drawn, nothing global is touched."""

import io
import subprocess
import sys

import numpy as np
import pytest

from pyro_vrnn.figures.panels import Amounts, Counts, Drawings, Image, Ranges, sheet

EDGES = np.linspace(-2.0, 2.0, 5)
COUNTS = Counts("of x", "x, m", "things", EDGES, {"train": np.array([1, 2, 3, 4]), "test": np.array([1, 0, 0, 1])})


def drawn(panel):
    return sheet([panel], "title").axes[0]


def test_series_are_stacked():
    axes = drawn(COUNTS)
    first, second = (patch.get_data() for patch in axes.patches)
    assert first.values.tolist() == [1, 2, 3, 4]
    assert second.values.tolist() == [2, 2, 3, 5]
    assert second.baseline.tolist() == [1, 2, 3, 4]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["train", "test"]
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("of x", "x, m", "things")


def test_normal_counts_are_to_the_same_scale():
    edges = np.linspace(-6.0, 6.0, 121)
    counts = np.histogram(np.random.default_rng(0).normal(size=200_000), edges)[0]
    axes = drawn(Counts("", "", "", edges, {"": counts}, stacked=False, logarithmic=True, normal=True))
    (curve,) = axes.get_lines()
    assert curve.get_ydata().max() == np.float64(curve.get_ydata().max())
    assert abs(curve.get_ydata().max() / counts.max() - 1) < 0.03
    assert axes.get_yscale() == "log"


def test_amounts_are_sorted_within_their_groups():
    groups = {"train": np.array([1.0, 3.0, 2.0]), "test": np.array([5.0])}
    axes = drawn(Amounts("", "speakers", "min", groups, {"train": "train: 6 min", "test": "test: 5 min"}))
    assert [bar.get_height() for bar in axes.patches] == [3, 2, 1, 5]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["train: 6 min", "test: 5 min"]


def test_an_image_of_a_page_grows_downward():
    counts = np.array([[1, 0], [0, 9]])
    figure = sheet([Image("", ("dx", "dy"), (EDGES[:3], EDGES[:3]), counts, downward=True)], "")
    axes = figure.axes[0]
    assert axes.yaxis_inverted()
    shown = axes.collections[0].get_array()
    assert shown.filled(0).reshape(2, 2).tolist() == [[1, 0], [0, 9]]
    assert len(figure.axes) == 2, "the scale of colours"
    sheet([Image("", ("", ""), (EDGES[:3], EDGES[:3]), np.zeros((2, 2), int))], "").savefig(io.BytesIO())


@pytest.mark.parametrize(("size", "places"), [((10.0, 10.0), [0, 1, 2, 0]), ((100.0, 5.0), [0, 0, 0, 0])])
def test_drawings_fill_the_panel_in_reading_order(size, places):
    stroke = np.array([[5.0, 5.0], [5.0 + size[0], 5.0 + size[1]]])
    axes = drawn(Drawings("", [[stroke], [stroke + 9], [stroke], [stroke - 3]]))
    lines = [line.get_xydata() for line in axes.get_lines() if line.get_linestyle() == "-"]
    assert all(np.allclose(np.ptp(line, axis=0), size) for line in lines), "one scale"
    corners = np.array([line[0] for line in lines])
    assert [round(x / (1.15 * size[0])) for x in corners[:, 0]] == places
    assert (np.diff(corners[:, 1]) >= -1e-9).all()
    assert corners[-1, 1] > size[1]
    assert axes.yaxis_inverted()


def test_ranges_show_all_and_the_middle():
    axes = drawn(Ranges("", "value", "m", np.array([[0.0, 1.0, 2.0, 3.0, 4.0], [5.0, 5.0, 5.0, 5.0, 5.0]])))
    whole, middle = (collection.get_segments() for collection in axes.collections)
    assert whole[0].tolist() == [[0, 0], [0, 4]]
    assert middle[0].tolist() == [[0, 1], [0, 3]]


def test_panels_stand_in_rows_of_three():
    figure = sheet([COUNTS] * 4, "a title with a $ and a _ in it")
    assert len(figure.axes) == 4
    tops = [axes.get_subplotspec().rowspan.start for axes in figure.axes]
    assert tops == [0, 0, 0, 1]
    written = io.BytesIO()
    figure.savefig(written, format="png")
    assert written.getvalue().startswith(b"\x89PNG")


def test_drawing_touches_no_global_state():
    code = (
        "import sys, numpy as np\nfrom pyro_vrnn.figures.panels import Counts, sheet\n"
        "sheet([Counts('', '', '', np.arange(3.0), {'': np.ones(2)})], '')\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
