"""Sequences as files while they are made: sound, ink or arrays, all of them whole or none there."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from io import BytesIO, StringIO
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyro_vrnn.data.writing import clipped, wav_writer
from pyro_vrnn.errors import DataError
from pyro_vrnn.training.files import one_line, whole_file, write_whole

#: What is written, in words.
WRITTEN = {"sample": "samples drawn from the emission", "mean": "means of the emission, not samples"}
#: What each step read of the past, where x was not fed back.
READ = {"reconstruct": "; each step read the real frames before it"}
#: First line of a table of a pen's points.
HEADER = "dx,dy,pen"
#: Seconds of each sound that a picture shows, and how many sounds.
SHOWN, ROWS = 4.0, 8


class Sound(AbstractContextManager["Sound"]):
    """WAV files, written as values come, and a picture of the first ones.

    Args:
        folder: Where.
        names: Of the sequences, without an ending.
        words: About each, kept in its file.
        rate: In Hz.
    """

    ending = ".wav"

    def __init__(self, folder: Path, names: Sequence[str], words: Sequence[str], rate: int) -> None:
        self.names, self.words, self.rate = names, words, rate
        self.paths = [folder / f"{name}.wav" for name in names]
        # One picture of all: its name is theirs without their number.
        self.picture = folder / f"{names[0] if len(names) == 1 else names[0].partition('-')[2]}.png"
        self.clipped = np.zeros(len(names), np.int64)
        self._shown: list[NDArray[np.float64]] = []
        self._open = ExitStack()

    def __enter__(self) -> "Sound":
        with ExitStack() as opening:
            self._write = [opening.enter_context(_wav(path, self.rate, *said)) for path, *said in self._said()]
            self._open = opening.pop_all()
        return self

    def _said(self) -> list[tuple[Path, str, str]]:
        return list(zip(self.paths, self.names, self.words, strict=True))

    def add(self, values: NDArray[np.float64]) -> None:
        """Further frames of all of them, ``(B, t, X)``."""
        for i, (write, row) in enumerate(zip(self._write, values, strict=True)):
            write(row)
            self.clipped[i] += clipped(row)
        if sum(piece.shape[1] for piece in self._shown) < SHOWN * self.rate:
            self._shown.append(values[:ROWS].reshape(len(values[:ROWS]), -1))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)
        if error is None and self._shown:
            from pyro_vrnn.figures.files import png
            from pyro_vrnn.figures.sound import waves

            shown = np.concatenate(self._shown, 1)[:, : int(SHOWN * self.rate)]
            rows = dict(zip(self.names, shown, strict=False))
            write_whole(self.picture, png(waves(rows, self.rate, self.words[0])))

    def written(self) -> list[Path]:
        """The files, and the picture."""
        return [*self.paths, self.picture]


class Ink(AbstractContextManager["Ink"]):
    """Lines of handwriting: a drawing that scales, a picture, and the points (dx, dy, pen); arguments as above."""

    ending = ".csv"

    def __init__(self, folder: Path, names: Sequence[str], words: Sequence[str]) -> None:
        self.folder, self.names, self.words = folder, names, words
        self._pieces: list[NDArray[np.float64]] = []
        self._paths: list[Path] = []

    def add(self, values: NDArray[np.float64]) -> None:
        """Further points of all of them, ``(B, t, 3)``: three numbers each, which are kept until the end."""
        self._pieces.append(values)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            return
        from pyro_vrnn.figures.files import png
        from pyro_vrnn.figures.ink import ink, svg

        for name, words, points in zip(self.names, self.words, np.concatenate(self._pieces, 1), strict=True):
            text = StringIO()
            np.savetxt(text, points, fmt="%.9g", delimiter=",", header=HEADER, comments="")
            drawing = svg(points, title=name, description=words)
            for ending, content in (
                (".csv", text.getvalue().encode()),
                (".svg", drawing.encode()),
                (".png", png(ink(points, title=name))),
            ):
                self._paths.append(self.folder / f"{name}{ending}")
                write_whole(self._paths[-1], content)

    def written(self) -> list[Path]:
        """Three files each."""
        return self._paths


class Arrays(AbstractContextManager["Arrays"]):
    """NumPy arrays ``(T, X)``; names as above."""

    ending = ".npy"

    def __init__(self, folder: Path, names: Sequence[str], words: Sequence[str]) -> None:
        self.paths = [folder / f"{name}.npy" for name in names]
        self._pieces: list[NDArray[np.float64]] = []

    def add(self, values: NDArray[np.float64]) -> None:
        """Further frames of all of them, ``(B, t, X)``, which are kept until the end."""
        self._pieces.append(values)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            return
        for path, frames in zip(self.paths, np.concatenate(self._pieces, 1), strict=True):
            held = BytesIO()
            np.save(held, frames)
            write_whole(path, held.getvalue())

    def written(self) -> list[Path]:
        """The arrays."""
        return self.paths


def points_of(path: Path) -> NDArray[np.float64]:
    """The points of a trace, ``(T, 3)``, from a table as it is written here.

    Raises:
        DataError: If it holds something else.
    """
    try:
        heading, *lines = path.read_text(encoding="utf-8").splitlines()
        points = np.array([[float(cell) for cell in line.split(",")] for line in lines])
        whole = heading == HEADER and points.ndim == 2 and points.shape[1] == 3 and np.isfinite(points).all()
    except (OSError, ValueError):
        whole = False
    if not (whole and np.isin(points[:, 2], (0, 1)).all()):
        raise DataError(f"{path}: expected the line {HEADER} and three numbers a point below it, pen 0 or 1")
    return points


Files = Sound | Ink | Arrays


def files_of(kind: str, folder: Path, names: Sequence[str], words: Sequence[str], data: Mapping[str, Any]) -> Files:
    """What takes sequences of this kind of data.

    Args:
        kind: ``audio``, ``pen`` or ``arrays``.
        folder: Where; it exists.
        names: Of the sequences, without an ending.
        words: About each.
        data: What the model's data were.
    """
    made: dict[str, Callable[[], Files]] = {
        "audio": lambda: Sound(folder, names, words, int(data["sample_rate"])),
        "pen": lambda: Ink(folder, names, words),
    }
    return made.get(kind, lambda: Arrays(folder, names, words))()


@contextmanager
def _wav(path: Path, rate: int, title: str, comment: str) -> Iterator[Callable[[NDArray[Any]], None]]:
    """A WAV file that is whole or not there."""
    with one_line(path), whole_file(path) as file, wav_writer(file, rate, title=title, comment=comment) as write:
        yield write
