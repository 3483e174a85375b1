"""Files of figures: equal figures are equal bytes."""

from matplotlib.figure import Figure

from pyro_vrnn.figures.files import files


def figure() -> Figure:
    """With a clipped curve and a marker, both of which an SVG gives names to."""
    made = Figure()
    made.add_subplot().plot([1.0, 3.0, 2.0], marker=".")
    return made


def test_equal_figures_are_equal_bytes():
    one, other = files({"a": figure()}), files({"a": figure()})
    assert set(one) == {"a.png", "a.svg"}
    assert one == other
    assert b"<defs>" in one["a.svg"]
