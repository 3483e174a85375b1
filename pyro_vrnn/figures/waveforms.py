"""The paper's Fig. 3: real and made sound side by side, whole, from near, and by frequency."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pyro_vrnn.figures.colours import BLUE, GREY, ORANGE
from pyro_vrnn.figures.sound import spectrogram
from pyro_vrnn.measures.sound import FLOOR, WINDOW, spectrum

Array = NDArray[np.floating]

#: Duration of the part that is seen from near, in seconds.
ZOOM = 0.04
#: Lines that can be told apart, by colour and dashes.
LINES = [(colour, dash) for dash in ("-", "--", ":") for colour in (GREY, BLUE, ORANGE)]


def figure_3(
    sounds: Mapping[str, Array], rate: int, title: str, *, spectra: Mapping[str, Sequence[Array]] | None = None
) -> Figure:
    """A column for each sound: its waveform, 40 ms of it around where it is loudest, and its spectrogram.

    Amplitudes are on one scale in the first row, on each sound's own in the second; levels are in dB of full scale.

    Args:
        sounds: Amplitudes ``(N,)`` by what they are.
        rate: In Hz.
        title: Above all.
        spectra: Many samples of each, whose long-term spectra, median and middle nine tenths, stand below; None
            leaves that row out.
    """
    rows = 3 + (spectra is not None)
    figure = Figure(figsize=(1.2 + 4 * len(sounds), 2.2 * rows + 0.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, parse_math=False, fontsize="medium")
    grid = figure.add_gridspec(rows, len(sounds))
    loudest = 1.05 * max(float(np.abs(samples).max(initial=1e-3)) for samples in sounds.values())
    bottom = []
    for k, (name, samples) in enumerate(sounds.items()):
        whole, near, below = (figure.add_subplot(grid[row, k]) for row in range(3))
        seconds = np.arange(len(samples)) / rate
        whole.plot(seconds, samples, color=BLUE, linewidth=0.4)
        whole.set_ylim(-loudest, loudest)
        whole.set_title(name, fontsize="small", parse_math=False)
        part = _loud(np.asarray(samples, np.float64), rate)
        near.plot(1000 * seconds[part], samples[part], color=BLUE, linewidth=0.8)
        whole.axvspan(part.start / rate, part.stop / rate, color=ORANGE, alpha=0.4, linewidth=0)
        image = spectrogram(below, samples, rate)
        whole.set_xlim(0, len(samples) / rate)
        near.set_xlabel("milliseconds (marked above)")
        for axes in (whole, below):
            axes.set_xlabel("seconds")
        for axes in (whole, near):
            axes.set_ylabel("amplitude")
            axes.spines[["top", "right"]].set_visible(False)
        bottom.append(below)
    figure.colorbar(image, ax=bottom, label="dB of full scale")
    if spectra is not None:
        _spectra(figure.add_subplot(grid[3, :]), spectra, rate)
    return figure


def _loud(samples: Array, rate: int) -> slice:
    """Where so many milliseconds hold the most energy."""
    size = min(len(samples), max(2, round(ZOOM * rate)))
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples))])
    start = int(np.argmax(energy[size:] - energy[:-size]))
    return slice(start, start + size)


def _spectra(axes: Axes, spectra: Mapping[str, Sequence[Array]], rate: int) -> None:
    for (name, samples), (colour, dash) in zip(spectra.items(), LINES, strict=False):
        found = 10 * np.log10(np.maximum([spectrum(each) for each in samples], FLOOR))
        low, median, high = np.quantile(found, [0.05, 0.5, 0.95], axis=0)
        frequency = np.arange(1, len(median) + 1) * rate / WINDOW / 1000
        axes.fill_between(frequency, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(frequency, median, color=colour, linestyle=dash, label=f"{name} ({len(samples)} samples)")
    axes.set_xlim(0, rate / 2000)
    axes.set_xlabel("kHz")
    axes.set_ylabel("long-term level, dB")
    for text in axes.legend(frameon=False, fontsize="small").get_texts():
        text.set_parse_math(False)
    axes.spines[["top", "right"]].set_visible(False)
