"""Sound to look at: waveforms, and the energy of their frequencies over time."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from pyro_vrnn.figures.colours import BLUE

WINDOW = 256  # samples of a spectrogram's window
HOP = 64
FLOOR = -100.0  # decibels below which nothing is told apart

Samples = NDArray[np.floating]


def levels(samples: Samples) -> NDArray[np.float64]:
    """Levels of a spectrogram in decibels of full scale, ``(frequencies, windows)``: Hann windows of 256 samples.

    A sine of amplitude 1 has 0 dB in its own frequency.
    """
    samples = np.pad(np.asarray(samples, np.float64), (0, max(0, WINDOW - len(samples))))
    hann = np.hanning(WINDOW + 1)[:-1]
    windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    amplitudes = np.abs(np.fft.rfft(windows * hann, axis=-1)).T * (2 / hann.sum())
    return 20 * np.log10(np.maximum(amplitudes, 10 ** (FLOOR / 20)))


def waves(rows: Mapping[str, Samples], rate: int, title: str) -> Figure:
    """A row for each sound: its waveform, all on one scale, and its spectrogram.

    Args:
        rows: Amplitudes ``(N,)`` by what they are.
        rate: In Hz.
        title: Above all.
    """
    figure = Figure(figsize=(12, 0.8 + 1.5 * len(rows)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, parse_math=False)
    grid = figure.subplots(len(rows), 2, squeeze=False, sharex=True)
    loudest = max(float(np.abs(samples).max(initial=1e-3)) for samples in rows.values())
    for (name, samples), (left, right) in zip(rows.items(), grid, strict=True):
        _waveform(left, samples, rate, loudest)
        left.set_title(name, fontsize="small", loc="left", parse_math=False)
        image = _spectrogram(right, samples, rate)
    for axes in grid[-1]:
        axes.set_xlabel("seconds")
    figure.colorbar(image, ax=list(grid[:, 1]), label="dB of full scale", shrink=min(1.0, 3 / len(rows)))
    return figure


def _waveform(axes: Axes, samples: Samples, rate: int, loudest: float) -> None:
    axes.plot(np.arange(len(samples)) / rate, samples, color=BLUE, linewidth=0.4)
    axes.set_ylim(-1.05 * loudest, 1.05 * loudest)
    axes.set_ylabel("amplitude", fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)


def _spectrogram(axes: Axes, samples: Samples, rate: int) -> AxesImage:
    found = levels(samples)
    extent = (0.0, max(len(samples), WINDOW) / rate, 0.0, rate / 2000)
    axes.set_ylabel("kHz", fontsize="small")
    return axes.imshow(found, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=FLOOR, vmax=0.0)
