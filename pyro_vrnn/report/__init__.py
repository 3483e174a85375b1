"""A trained model on one page that needs nothing but itself: no network, no script."""

from pyro_vrnn.report.lines import Line, Panel, waveform
from pyro_vrnn.report.page import Details, Page, Picture, Piece, Table

__all__ = ["Details", "Line", "Page", "Panel", "Picture", "Piece", "Table", "waveform"]
