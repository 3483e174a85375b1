"""Measures of sound against signals whose values are known."""

import numpy as np
import pytest
from scipy.signal import firwin, lfilter

from pyro_vrnn.measures import sound

RATE = 8000
NOISE = np.random.default_rng(0).normal(size=10 * RATE)
TIME = np.arange(2 * RATE) / RATE


def tone(frequency, amplitude=1.0):
    return amplitude * np.sin(2 * np.pi * frequency * TIME)


def test_noise_is_flat_and_a_tone_is_not():
    assert sound.flatness(NOISE) == pytest.approx(1, abs=0.01)
    assert sound.flatness(tone(1000)) < 1e-3
    assert np.isnan(sound.flatness(np.zeros(1000)))


def test_power_is_that_of_the_signal():
    assert sound.spectrum(tone(1000, 0.5))[31] == pytest.approx(0.125, rel=0.01)  # 1000 Hz is the 32nd
    assert len(sound.spectrum(np.ones(3))) == 127


def test_the_high_share_is_what_filters_leave():
    assert sound.high_share(NOISE) == pytest.approx(50, abs=1.5)
    assert sound.high_share(tone(1000)) < 0.01
    assert sound.high_share(tone(3000)) > 99.9
    assert sound.high_share(tone(1000, 2) + tone(3000)) == pytest.approx(20, abs=0.1)  # energies 4 to 1
    assert sound.high_share(lfilter(firwin(101, 0.5), 1, NOISE)) < 2
    assert sound.high_share(7 * NOISE) == pytest.approx(sound.high_share(NOISE))


def test_clicks_are_counted_once_each_at_any_level():
    real = [tone(200) + 1e-3 * NOISE[: len(TIME)]]
    threshold = sound.peak_threshold(real)
    before = sound.peaks(real[0], RATE, threshold)
    assert before <= 0.001 * RATE
    clicked = tone(200)
    clicked[np.arange(500, len(TIME), 1000)] += 0.5
    assert sound.peaks(clicked, RATE, threshold) == pytest.approx(16 / 2)
    assert sound.peaks(100 * clicked, RATE, threshold) == pytest.approx(16 / 2)
    assert sound.peaks(tone(200), RATE, threshold) == sound.peaks(np.zeros(9), RATE, threshold) == 0


def test_the_distance_of_a_gain_is_the_gain():
    power = sound.spectrum(NOISE)
    assert sound.log_spectral_distance(power, power) == 0
    assert sound.log_spectral_distance(sound.spectrum(3 * NOISE), power) == pytest.approx(20 * np.log10(3))
    assert sound.log_spectral_distance(power, np.zeros(127)) > 60


def test_each_sample_has_a_value_and_a_real_one_is_not_compared_with_itself():
    real = list(NOISE.reshape(5, -1))
    found = sound.measure(real, RATE, real)
    assert found.keys() == sound.UNITS.keys()
    assert {values.shape for values in found.values()} == {(5,)}
    others = np.mean([sound.spectrum(each) for each in real[1:]], 0)
    expected = sound.log_spectral_distance(sound.spectrum(real[0]), others)
    assert found["log_spectral_distance"][0] == pytest.approx(expected)
    (all_of_them,) = sound.measure([real[0].copy()], RATE, real)["log_spectral_distance"]
    assert all_of_them < expected
