"""How noisy sound is, against real speech: one number a sample, so that its spread over many can be given."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import welch

#: Samples of a spectrum's window.
WINDOW = 256
#: Energy above this share of the sample rate is called high: the upper half of what there is.
HIGH = 0.25
#: Second differences of real speech beyond this quantile are peaks.
QUANTILE = 0.999
#: Peaks that follow each other within so many seconds are one.
APART = 0.001
#: Power of a frequency below which nothing is told apart: 100 dB below full scale.
FLOOR = 1e-10

Array = NDArray[np.float64]

#: Each measure's unit and what it is, for people.
UNITS = {
    "high_share": ("%", "energy above a quarter of the sample rate"),
    "peaks": ("1/s", "jumps that real speech has in 0.1 % of its samples"),
    "flatness": ("", "spectral flatness: 0 a tone, 1 white noise"),
    "log_spectral_distance": ("dB", "of the long-term spectrum from that of real speech"),
}


def spectrum(samples: NDArray[Any]) -> Array:
    """Mean power of each frequency over time, without the mean of each window, ``(F,)``.

    Welch's estimate: Hann windows of 256 samples that overlap by half. Neither 0 Hz nor half the rate is among the
    frequencies, which are ``rate * k / 256`` for k = 1 to 127. A sine of amplitude 1 has 0.5 over its neighbours.

    Args:
        samples: Amplitudes, ``(N,)``; silence is put after what is shorter than a window.
    """
    samples = np.asarray(samples, np.float64).reshape(-1)
    samples = np.pad(samples, (0, max(0, WINDOW - len(samples))))
    power = welch(samples, window="hann", nperseg=WINDOW, scaling="spectrum")[1]
    return np.asarray(power[1:-1], np.float64)


def high_share(samples: NDArray[Any]) -> float:
    """Energy above a quarter of the sample rate, in % of all; NaN in silence."""
    power = spectrum(samples)
    frequency = np.arange(1, len(power) + 1) / WINDOW
    total = power.sum()
    return float(100 * power[frequency > HIGH].sum() / total) if total > 0 else float("nan")


def flatness(samples: NDArray[Any]) -> float:
    """Geometric over arithmetic mean of the long-term spectrum: 1 for white noise, near 0 for a tone; NaN in silence.

    The spectrum is averaged over time first: that of single windows of white noise would be 0.56.
    """
    power = spectrum(samples)
    if power.sum() <= 0:
        return float("nan")
    return float(np.exp(np.log(np.maximum(power, np.finfo(float).tiny)).mean()) / power.mean())


def bends(samples: NDArray[Any]) -> Array:
    """Magnitudes of second differences at an RMS of 1, ``(N - 2,)``; 0 in silence."""
    samples = np.asarray(samples, np.float64).reshape(-1)
    level = np.sqrt(np.mean(np.square(samples - samples.mean()))) if len(samples) else 0.0
    bent = np.abs(np.diff(samples, 2))
    return bent / level if level > 0 else np.zeros_like(bent)


def peak_threshold(real: Sequence[NDArray[Any]]) -> float:
    """What a peak exceeds: the 0.999 quantile of second differences of real speech, each recording at an RMS of 1."""
    return float(np.quantile(np.concatenate([bends(samples) for samples in real]), QUANTILE))


def peaks(samples: NDArray[Any], rate: int, threshold: float) -> float:
    """Peaks a second: runs of second differences above the threshold, those within 1 ms of each other taken as one.

    Args:
        samples: Amplitudes, ``(N,)``.
        rate: In Hz.
        threshold: Of :func:`peak_threshold`.
    """
    where = np.flatnonzero(bends(samples) > threshold)
    if not len(where):
        return 0.0
    return float((1 + (np.diff(where) > APART * rate).sum()) * rate / np.size(samples))


def log_spectral_distance(one: Array, other: Array) -> float:
    """Root mean square over frequencies of the levels' difference, in dB: 0 of equal spectra, 20 log10 g of a gain g.

    Args:
        one: Power of each frequency, ``(F,)``.
        other: The same of the other.
    """
    levels = (10 * np.log10(np.maximum(power, FLOOR)) for power in (one, other))
    return float(np.sqrt(np.mean(np.square(np.subtract(*levels)))))


def measure(samples: Sequence[NDArray[Any]], rate: int, real: Sequence[NDArray[Any]]) -> dict[str, Array]:
    """Every measure of every sample, ``(n,)`` each, in the units of :data:`UNITS`.

    A sample that is itself among the real ones is compared with the spectrum of the others.

    Args:
        samples: Amplitudes, ``(N,)`` each.
        rate: In Hz.
        real: Real speech, which says what a peak and the long-term spectrum are.
    """
    threshold = peak_threshold(real)
    powers = [spectrum(each) for each in real]
    total = np.sum(powers, axis=0)

    def distance(each: NDArray[Any]) -> float:
        own = next((k for k, one in enumerate(real) if one is each), None)
        if own is None or len(real) == 1:
            return log_spectral_distance(spectrum(each), total / len(real))
        return log_spectral_distance(powers[own], (total - powers[own]) / (len(real) - 1))

    return {
        "high_share": np.array([high_share(each) for each in samples]),
        "peaks": np.array([peaks(each, rate, threshold) for each in samples]),
        "flatness": np.array([flatness(each) for each in samples]),
        "log_spectral_distance": np.array([distance(each) for each in samples]),
    }
