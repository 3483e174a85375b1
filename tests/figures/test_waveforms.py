"""Figs. 3 and 4, and measures: the data that were given are drawn, with units."""

import numpy as np
import pytest

from pyro_vrnn.figures import ink
from pyro_vrnn.figures.handwriting import ROWS, figure_4
from pyro_vrnn.figures.sound import levels
from pyro_vrnn.figures.spreads import spreads
from pyro_vrnn.figures.waveforms import figure_3
from pyro_vrnn.measures.sound import spectrum

RATE = 8000
RANDOM = np.random.default_rng(0)
TIME = np.arange(RATE) / RATE
SOUNDS = {"real": 0.5 * np.sin(2 * np.pi * 1000 * TIME) * (TIME > 0.5), "made": 0.1 * RANDOM.normal(size=RATE)}


def test_waveforms_zooms_and_spectrograms_are_of_the_sounds():
    figure = figure_3(SOUNDS, RATE, "Fig. 3")
    for k, (name, samples) in enumerate(SOUNDS.items()):
        whole, near, below = figure.axes[3 * k : 3 * k + 3]
        assert whole.get_title() == name
        assert whole.get_lines()[0].get_ydata() == pytest.approx(samples)
        assert whole.get_xlim() == (0, 1)
        assert whole.get_ylim() == figure.axes[0].get_ylim()
        milliseconds, shown = near.get_lines()[0].get_data()
        assert len(shown) == 0.04 * RATE
        start = round(milliseconds[0] / 1000 * RATE)
        assert shown == pytest.approx(samples[start : start + len(shown)])
        loudest = max(np.square(samples[i : i + 320]).sum() for i in range(0, RATE - 320))
        assert np.square(shown).sum() == pytest.approx(loudest, rel=1e-6)
        (image,) = below.get_images()
        assert image.get_extent() == [0, 1, 0, 4]
        assert np.asarray(image.get_array()) == pytest.approx(levels(samples))
        assert (below.get_xlabel(), below.get_ylabel()) == ("seconds", "kHz")


def test_spectra_are_medians_of_samples():
    many = {name: [samples, 2 * samples, 4 * samples] for name, samples in SOUNDS.items()}
    axes = figure_3(SOUNDS, RATE, "", spectra=many).axes[-1]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["real (3 samples)", "made (3 samples)"]
    made = axes.get_lines()[1]
    assert made.get_ydata() == pytest.approx(10 * np.log10(spectrum(2 * SOUNDS["made"])))
    assert made.get_xdata()[[0, -1]] == pytest.approx([RATE / 256 / 1000, 127 * RATE / 256 / 1000])


def test_a_sheet_has_a_column_for_each_hand():
    points = [np.column_stack([RANDOM.normal(size=(9, 2)), np.arange(9) % 3 == 2]) for _ in range(12)]
    figure = figure_4({"real": points, "few": points[:2]}, "Fig. 4")
    grid = np.array(figure.axes).reshape(ROWS, 2)
    assert [axes.get_title() for axes in grid[0]] == ["real", "few"]
    for k in range(ROWS):
        for column, drawn in zip(grid[k], (True, k < 2), strict=True):
            lines = [line.get_xydata() for line in column.get_lines()]
            expected = ink.strokes(points[k]) if drawn else []
            assert len(lines) == len(expected)
            assert all((one == other).all() for one, other in zip(lines, expected, strict=True))
            assert column.yaxis_inverted() == drawn


def test_each_sample_is_a_dot_and_medians_are_lines():
    found = {
        "real": {"a": np.array([1.0, 2, 9]), "b": np.zeros(3)},
        "made": {"a": np.array([5, np.nan]), "b": np.ones(2)},
    }
    figure = spreads(found, {"a": "a, Hz", "b": "b"}, "title")
    first, second = figure.axes
    assert (first.get_xlabel(), second.get_xlabel()) == ("a, Hz", "b")
    assert [label.get_text() for label in first.get_yticklabels()] == ["real", "made"]
    real, median, made, other = first.get_lines()
    assert real.get_xdata().tolist() == [1, 2, 9]
    assert made.get_xdata().tolist() == [5]
    assert median.get_xdata().tolist() == [2, 2]
    assert other.get_xdata().tolist() == [5, 5]
    assert first.yaxis_inverted()
