"""Standardised sequences of frames, at the precision of their source: in memory, or wherever they are read from."""

from collections.abc import Sequence
from itertools import groupby
from typing import Protocol, overload

import numpy as np
from numpy.typing import NDArray

from .dither import Dither
from .kinds import WORDS, Kind, width_of
from .normaliser import Normaliser

INT16_STEP = 2.0**-15
"""Amplitude of one step of stored 16-bit samples."""


NAMED = 1 << 16  # sequences that are listed one by one


class Frames(Protocol):
    """Stored values of a sequence, `(T, frame)`: an array, or what reads slices of one when they are asked for."""

    @property
    def dtype(self) -> np.dtype:
        """Of the values."""
        ...

    def __len__(self) -> int: ...
    def __getitem__(self, index: slice, /) -> np.ndarray: ...


class Sequences(Sequence[np.ndarray]):
    """Sequences of frames; item i is a float32 array of shape `(lengths[i], frame)`, standardised when it is read.

    With a dither an item is that of draw 0, the same noise each time.

    Args:
        frames: Stored values, one array of shape `(T, frame)` a sequence: integers on a grid, or float32 amplitudes.
            A sequence of arrays that are made when they are asked for serves as well as a list; a slice of it must be
            such a sequence again.
        names: Each sequence's path relative to its folder (`path#k` for the k-th segment of a file); may be lazy too.
        speakers: Each sequence's speaker, or None where they are unknown; may be lazy too.
        frame: Values a frame: samples, 3 of a pen, D of arrays.
        sample_rate: Rate in Hz; None where values have no rate.
        normaliser: The map to standardised values.
        dither: Noise that is added before standardising; None for none.
        kind: What they are of.
        step: Amplitude of one stored integer.
        lengths: Frames of each sequence, `(N,)`; None: looked up in `frames`, all of which are then asked for once.
        recordings: The number of the recording that each sequence is a segment of: its segments are successive, in
            their order. None: each sequence is one.
    """

    def __init__(
        self,
        frames: Sequence[Frames],
        names: Sequence[str],
        speakers: Sequence[str] | None,
        *,
        frame: int,
        sample_rate: int | None,
        normaliser: Normaliser,
        dither: Dither | None = None,
        kind: Kind = "audio",
        step: float = INT16_STEP,
        lengths: NDArray[np.int64] | None = None,
        recordings: Sequence[int] | np.ndarray | None = None,
    ) -> None:
        self._frames = frames
        self.names = names
        self.speakers = speakers
        self.frame = frame
        self.sample_rate = sample_rate
        self.normaliser = normaliser
        self.dither = dither
        self.kind = kind
        self.step = step
        self.lengths = np.array([len(x) for x in frames], dtype=np.int64) if lengths is None else lengths
        own = np.arange(len(self.lengths)) if recordings is None else recordings
        self.recordings = np.asarray(own, dtype=np.int64)

    @property
    def width(self) -> int:
        """Continuous values a frame."""
        return width_of(self.kind, self.frame)

    @property
    def seconds(self) -> float | None:
        """Duration of all sequences together; None without a rate."""
        return None if self.sample_rate is None else int(self.lengths.sum()) * self.frame / self.sample_rate

    @property
    def voices(self) -> int | None:
        """Number of speakers, or None where they are unknown."""
        if self.speakers is None:
            return None
        told: int | None = getattr(self.speakers, "distinct", None)
        return len(set(self.speakers)) if told is None else told

    def __len__(self) -> int:
        return len(self.lengths)

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
        return self._copy(
            self._frames[index], self.names[index], speakers, self.normaliser, dither, self.lengths[index], recordings
        )

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
        step = self.step if np.issubdtype(stored.dtype, np.integer) else 1.0
        mean, std = self.normaliser.mean, self.normaliser.std
        if self.dither is None and isinstance(mean, float) and isinstance(std, float):
            x = np.multiply(piece, np.float32(step / std), dtype=np.float32)
            x -= np.float32(mean / std)
            return x
        # In float64: beside a loud sample float32 has few bits left for the noise, and none where there are 24; and
        # rows may lie far from 0, such as coordinates.
        amplitude = np.multiply(piece, step, dtype=np.float64)
        if self.dither is not None:
            width = self.width
            amplitude[:, :width] += self.dither.noise(index, start, max(start, stop), width, draw=draw)
        return self.normaliser.standardise(amplitude).astype(np.float32)

    def samples(self, index: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Stored values of a sequence, `(t, frame)`: integers, or float32 amplitudes. Not to be written to."""
        return self._frames[index][start:stop]

    def listed(self) -> list[str]:
        """Names of all sequences; where they are very many, such as segments of many hours, of their recordings."""
        if len(self) <= NAMED:
            return list(self.names)
        return [name for name, _ in groupby(name.rpartition("#")[0] or name for name in self.names)]

    def stored(self, index: int) -> np.dtype:
        """What the values of a sequence are stored as."""
        return self._frames[index].dtype

    def with_normaliser(self, normaliser: Normaliser) -> "Sequences":
        """The same values, standardised by another map (such as that of the corpus a model was trained on)."""
        return self._copy(
            self._frames, self.names, self.speakers, normaliser, self.dither, self.lengths, self.recordings
        )

    def _copy(
        self,
        frames: Sequence[Frames],
        names: Sequence[str],
        speakers: Sequence[str] | None,
        normaliser: Normaliser,
        dither: Dither | None,
        lengths: NDArray[np.int64],
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
            kind=self.kind,
            step=self.step,
            lengths=lengths,
            recordings=recordings,
        )

    def __repr__(self) -> str:
        words, rate = WORDS[self.kind], "" if self.sample_rate is None else f" at {self.sample_rate} Hz"
        return f"Sequences({len(self)} of {self.lengths.sum()} {words.frame}s of {self.frame}{rate})"
