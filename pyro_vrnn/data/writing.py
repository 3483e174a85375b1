"""What models make, as files: sound with words about what it is, and values as they were before standardising."""

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from .normaliser import Normaliser

#: Amplitude 1 in steps of 16 bits.
FULL_SCALE = 2**15
#: A sample of a file is as far from the value it was made of at most, where that does not clip.
ROUNDING = 0.5 / FULL_SCALE


def restored(x: Any, data: Mapping[str, Any]) -> NDArray[np.float64]:
    """Values of standardised frames, ``(*B, D)``.

    Args:
        x: An array, or a tensor on the CPU.
        data: What the data were, with ``mean`` and ``std``.
    """
    return Normaliser(data["mean"], data["std"]).restore(np.asarray(x, np.float64))


def standardised(values: Any, data: Mapping[str, Any]) -> NDArray[np.float64]:
    """The inverse of :func:`restored`."""
    return Normaliser(data["mean"], data["std"]).standardise(np.asarray(values, np.float64))


def clipped(values: NDArray[Any]) -> int:
    """Samples outside what 16 bits hold, which a file holds as the nearest value."""
    steps = np.rint(np.asarray(values, np.float64) * FULL_SCALE)
    return int(((steps < -FULL_SCALE) | (steps > FULL_SCALE - 1)).sum())


def wav_bytes(values: NDArray[Any], rate: int, *, title: str, comment: str) -> bytes:
    """A WAV file of 16 bits, mono.

    Args:
        values: Amplitudes, of whatever shape: read row after row.
        rate: In Hz.
        title: Kept in the file, as is the comment.
        comment: What it is: above all whether samples were drawn or means written.
    """
    held = io.BytesIO()
    with wav_writer(held, rate, title=title, comment=comment) as write:
        write(values)
    return held.getvalue()


@contextmanager
def wav_writer(file: IO[bytes], rate: int, *, title: str, comment: str) -> Iterator[Callable[[NDArray[Any]], None]]:
    """As :func:`wav_bytes`, piece by piece: what is given takes successive amplitudes of any shape."""
    with soundfile.SoundFile(file, "w", rate, 1, "PCM_16", format="WAV") as sound:
        for name, words in (("title", title), ("comment", comment)):
            if words:  # an empty one is refused
                setattr(sound, name, words)

        def write(values: NDArray[Any]) -> None:
            steps = np.rint(np.asarray(values, np.float64).reshape(-1) * FULL_SCALE)
            sound.write(steps.clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16))

        yield write
