"""Ink: strokes end where the pen is lifted, as lines of a drawing and on axes."""

import xml.etree.ElementTree as ElementTree

import numpy as np
from matplotlib.figure import Figure

from pyro_vrnn.figures.ink import draw, ink, strokes, svg

POINTS = np.array([[1, 0, 0], [1, 2, 1], [5, 0, 1], [1, 1, 0], [0, 3, 0]])
EXPECTED = [[[1, 0], [2, 2]], [[7, 2]], [[8, 3], [8, 6]]]


def test_strokes():
    assert [stroke.tolist() for stroke in strokes(POINTS)] == EXPECTED


def test_a_drawing_holds_the_strokes_and_words():
    root = ElementTree.fromstring(svg(POINTS, title="a < b", description="five points"))
    title, description, path = root
    assert (title.text, description.text) == ("a < b", "five points")
    assert root.get("stroke") == "currentColor"
    assert path.get("d") == "M1 0 L2 2 M7 2 L7 2 M8 3 L8 6"
    x, y, width, height = map(float, root.get("viewBox").split())
    assert x < 1
    assert y < 0
    assert x + width > 8
    assert y + height > 6
    ElementTree.fromstring(svg(POINTS[:0], title="", description=""))


def test_axes_hold_the_same_with_y_downward():
    axes = Figure().add_subplot()
    draw(axes, POINTS)
    assert [line.get_xydata().tolist() for line in axes.lines] == EXPECTED
    assert axes.yaxis_inverted()
    assert ink(POINTS, title="said").axes[0].get_title() == "said"
