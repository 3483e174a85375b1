"""Figures as files: the same figure is the same bytes on every day."""

from collections.abc import Mapping
from io import BytesIO

from matplotlib import rc_context
from matplotlib.figure import Figure


def files(figures: Mapping[str, Figure]) -> dict[str, bytes]:
    """Each as ``NAME.png`` and ``NAME.svg``, laid out once for both."""
    held = {}
    for name, figure in figures.items():
        held[f"{name}.png"] = png(figure)
        figure.set_layout_engine("none")
        held[f"{name}.svg"] = svg(figure)
    return held


def png(figure: Figure) -> bytes:
    """A picture of points."""
    held = BytesIO()
    figure.savefig(held, format="png")
    return held.getvalue()


def svg(figure: Figure) -> bytes:
    """A drawing that scales; names inside it are of what they name, not drawn at random."""
    held = BytesIO()
    with rc_context({"svg.hashsalt": "pyro_vrnn"}):
        figure.savefig(held, format="svg", metadata={"Date": None})
    return held.getvalue()
