"""Figures as files: the same figure is the same bytes on every day."""

from io import BytesIO

from matplotlib.figure import Figure


def png(figure: Figure) -> bytes:
    """A picture of points."""
    held = BytesIO()
    figure.savefig(held, format="png")
    return held.getvalue()


def svg(figure: Figure) -> bytes:
    """A drawing that scales."""
    held = BytesIO()
    figure.savefig(held, format="svg", metadata={"Date": None})
    return held.getvalue()
