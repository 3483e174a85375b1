"""Ink: strokes end where the pen is lifted, and a drawing holds every point and says what it is."""

import re
from xml.etree import ElementTree

import numpy as np
from matplotlib.figure import Figure

from pyro_vrnn.figures.ink import draw, strokes, svg

POINTS = np.array([[1.0, 0, 0], [1, 2, 1], [3, 0, 1], [0, 1, 0], [1, 1, 0]])
PLACES = [[[1, 0], [2, 2]], [[5, 2]], [[5, 3], [6, 4]]]


def test_strokes_end_where_the_pen_is_lifted():
    assert [stroke.tolist() for stroke in strokes(POINTS)] == PLACES


def test_a_drawing_holds_every_stroke_and_escapes_its_words():
    root = ElementTree.fromstring(svg(POINTS, title="<script>", description="a & b"))
    space = "{http://www.w3.org/2000/svg}"
    assert (root.find(f"{space}title").text, root.find(f"{space}desc").text) == ("<script>", "a & b")
    assert root.get("stroke") == "currentColor"
    drawn = root.find(f"{space}path").get("d").split("M")[1:]
    ends = [[[float(a) for a in pair.split()] for pair in re.split(" ?L", part.strip())] for part in drawn]
    assert ends == [stroke if len(stroke) > 1 else stroke * 2 for stroke in PLACES]
    left, top, width, height = map(float, root.get("viewBox").split())
    assert max(left - 1, top) < 0
    assert min(left + width - 6, top + height - 4) > 0


def test_axes_show_the_same_strokes_with_y_downward():
    axes = Figure().add_subplot()
    draw(axes, POINTS)
    assert [line.get_xydata().tolist() for line in axes.lines] == PLACES
    assert axes.yaxis_inverted()
