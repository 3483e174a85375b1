"""Waveforms and spectrograms, by what they show."""

import numpy as np
import pytest

from pyro_vrnn.figures.sound import FLOOR, HOP, WINDOW, levels, waves

RATE = 8000


def test_a_full_sine_has_no_decibels_below_full_scale_in_its_own_frequency():
    k = 32
    found = levels(np.sin(2 * np.pi * k / WINDOW * np.arange(4 * WINDOW)))
    assert found.shape == (WINDOW // 2 + 1, (3 * WINDOW) // HOP + 1)
    assert found[k] == pytest.approx(0, abs=0.01)
    assert (found.argmax(0) == k).all()
    assert (levels(np.zeros(10)) == FLOOR).all()


def test_rows_share_their_scale_and_show_their_sound():
    rows = {"real": np.linspace(-0.5, 0.5, 1600), "drawn": np.zeros(1600)}
    figure = waves(rows, RATE, "two")
    left, right = [figure.axes[i : i + 4 : 2] for i in (0, 1)]
    for axes, (name, samples) in zip(left, rows.items(), strict=True):
        assert axes.get_title(loc="left") == name
        assert axes.lines[0].get_ydata() == pytest.approx(samples)
        assert axes.lines[0].get_xdata()[-1] == pytest.approx(1599 / RATE)
        assert axes.get_ylim() == pytest.approx((-0.525, 0.525))
    for axes, samples in zip(right, rows.values(), strict=True):
        (image,) = axes.images
        assert np.asarray(image.get_array()) == pytest.approx(levels(samples))
        assert image.get_extent() == [0, 0.2, 0, RATE / 2000]
    assert left[-1].get_xlabel() == "seconds"
