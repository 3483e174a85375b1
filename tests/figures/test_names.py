"""Names are written as they are: a ``$`` in one begins no formula, and what follows it is not refused."""

import numpy as np
import pytest

from pyro_vrnn.figures.files import png
from pyro_vrnn.figures.handwriting import figure_4
from pyro_vrnn.figures.importance import bound_against_samples
from pyro_vrnn.figures.ink import ink
from pyro_vrnn.figures.panels import Counts, sheet
from pyro_vrnn.figures.paths import Example, Rows, figure_2
from pyro_vrnn.figures.sound import waves
from pyro_vrnn.figures.spreads import spreads
from pyro_vrnn.figures.waveforms import figure_3
from pyro_vrnn.inference.importance import diagnose
from pyro_vrnn.inference.paths import LatentPath

NAME = "rec$x_{$"
SOUND = np.sin(np.arange(800.0))
POINTS = np.array([[1.0, 0, 0], [1, 2, 1]])
ROWS = np.ones((3, 2))
COUNTS = Counts("", "", "", np.arange(3.0), {"": np.ones(2, int)})

FIGURES = {
    "figure_2": lambda: figure_2([Example(NAME, LatentPath(ROWS[:, 0], ROWS[:, 0], ROWS, None), Rows(ROWS))], NAME),
    "figure_3": lambda: figure_3({NAME: SOUND}, 8000, NAME, spectra={NAME: [SOUND]}),
    "figure_4": lambda: figure_4({NAME: [POINTS]}, NAME),
    "importance": lambda: bound_against_samples(diagnose(np.zeros((50, 2))), elbo=0.0, title=NAME),
    "ink": lambda: ink(POINTS, title=NAME),
    "panels": lambda: sheet([COUNTS], NAME),
    "spreads": lambda: spreads({NAME: {"a": np.ones(3)}}, {"a": "a"}, NAME),
    "waves": lambda: waves({NAME: SOUND}, 8000, NAME),
}


@pytest.mark.parametrize("drawn", FIGURES.values(), ids=FIGURES)
def test_a_name_with_a_dollar_is_drawn(drawn):
    assert png(drawn()).startswith(b"\x89PNG")
