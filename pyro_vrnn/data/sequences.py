"""Standardised sequences of frames, kept in memory at the precision of their source."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, overload

import numpy as np

from .dither import Dither

if TYPE_CHECKING:
    from torch import Tensor

INT16_STEP = 2.0**-15
"""Amplitude of one step of stored 16-bit samples."""

Values = TypeVar("Values", float, np.ndarray, "Tensor")


@dataclass(frozen=True)
class Normaliser:
    """The affine map between amplitudes in [-1, 1) and standardised values.

    Args:
        mean: Mean amplitude of the training part.
        std: Standard deviation of its amplitudes, positive.
    """

    mean: float
    std: float

    def standardise(self, amplitude: Values) -> Values:
        """Standardised values of amplitudes: a number, an array or a tensor."""
        return (amplitude - self.mean) / self.std

    def restore(self, x: Values) -> Values:
        """Amplitudes of standardised values: a number, an array or a tensor."""
        return x * self.std + self.mean


class Sequences(Sequence[np.ndarray]):
    """Sequences of frames; item i is a float32 array of shape `(lengths[i], frame)`, standardised when it is read.

    With a dither an item is that of draw 0, the same noise each time.

    Args:
        frames: Stored samples, one array of shape `(T, frame)` a sequence: int16 on the grid of 2**-15, or float32
            amplitudes.
        names: Each sequence's path relative to its folder (`path#k` for the k-th segment of a file).
        speakers: Each sequence's speaker, or None where they are unknown.
        frame: Samples a frame.
        sample_rate: Rate in Hz.
        normaliser: The map to standardised values.
        dither: Noise that is added before standardising; None for none.
        recordings: The number of the recording that each sequence is a segment of: its segments are successive, in
            their order. None: each sequence is one.
    """

    def __init__(
        self,
        frames: Sequence[np.ndarray],
        names: Sequence[str],
        speakers: Sequence[str] | None,
        *,
        frame: int,
        sample_rate: int,
        normaliser: Normaliser,
        dither: Dither | None = None,
        recordings: Sequence[int] | np.ndarray | None = None,
    ) -> None:
        self._frames = list(frames)
        self.names = list(names)
        self.speakers = None if speakers is None else list(speakers)
        self.frame = frame
        self.sample_rate = sample_rate
        self.normaliser = normaliser
        self.dither = dither
        self.lengths = np.array([len(x) for x in self._frames], dtype=np.int64)
        own = np.arange(len(self._frames)) if recordings is None else recordings
        self.recordings = np.array(own, dtype=np.int64)

    @property
    def seconds(self) -> float:
        """Duration of all sequences together."""
        return int(self.lengths.sum()) * self.frame / self.sample_rate

    def __len__(self) -> int:
        return len(self._frames)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> "Sequences": ...
    def __getitem__(self, index: int | slice) -> "np.ndarray | Sequences":
        if not isinstance(index, slice):
            return self.read(index)
        speakers = None if self.speakers is None else self.speakers[index]
        dither = None if self.dither is None else self.dither._replace(positions=self.dither.positions[index])
        recordings = self.recordings[index] if index.step in (None, 1) else None  # else nobody follows another
        return self._copy(self._frames[index], self.names[index], speakers, self.normaliser, dither, recordings)

    def read(self, index: int, start: int = 0, stop: int | None = None, *, draw: int = 0) -> np.ndarray:
        """Standardised frames from `start` to `stop` of a sequence, float32, `(t, frame)`: a slice of the whole.

        Args:
            index: Which sequence.
            start: As in a slice.
            stop: As in a slice.
            draw: Which draw of the dither's noise, if there is one; 0 is for scoring.
        """
        stored = self._frames[index]
        start, stop, _ = slice(start, stop).indices(len(stored))
        piece = stored[start:stop]
        step = INT16_STEP if stored.dtype == np.int16 else 1.0
        if self.dither is None:
            x = np.multiply(piece, np.float32(step / self.normaliser.std), dtype=np.float32)
            x -= np.float32(self.normaliser.mean / self.normaliser.std)
            return x
        # In float64: beside a loud sample float32 has few bits left for the noise, and none where there are 24.
        amplitude = self.dither.noise(index, start, max(start, stop), self.frame, draw=draw)
        amplitude += np.multiply(piece, step, dtype=np.float64)
        return self.normaliser.standardise(amplitude).astype(np.float32)

    def samples(self, index: int) -> np.ndarray:
        """The stored samples of a sequence, shape `(T, frame)`: int16, or float32 amplitudes. Not to be written to."""
        return self._frames[index]

    def with_normaliser(self, normaliser: Normaliser) -> "Sequences":
        """The same samples, standardised by another map (such as that of the corpus a model was trained on)."""
        return self._copy(self._frames, self.names, self.speakers, normaliser, self.dither, self.recordings)

    def _copy(
        self,
        frames: Sequence[np.ndarray],
        names: Sequence[str],
        speakers: Sequence[str] | None,
        normaliser: Normaliser,
        dither: Dither | None,
        recordings: np.ndarray | None,
    ) -> "Sequences":
        return Sequences(
            frames,
            names,
            speakers,
            frame=self.frame,
            sample_rate=self.sample_rate,
            normaliser=normaliser,
            dither=dither,
            recordings=recordings,
        )

    def __repr__(self) -> str:
        return f"Sequences({len(self)} of {self.lengths.sum()} frames of {self.frame} at {self.sample_rate} Hz)"
