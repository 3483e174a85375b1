"""The colours of all figures."""

BLUE, ORANGE, GREY = "#0b5fa5", "#c8500a", "#555555"  # told apart by the colour-blind too
