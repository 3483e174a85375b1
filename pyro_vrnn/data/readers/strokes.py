"""Pen strokes in the format of sketch-rnn: rows dx, dy, and 1 where the pen is lifted after the point (stroke-3).

An archive (`.npz`) has the keys train, valid and test, each an object array of sequences of shape `(T, 3)`, which is a
pickle (see `pickles`); or it has one array a sequence. A `.npy` file holds what one key of an archive would. Offsets
are kept as they are, the first row and y's direction included: y grows downward in all known archives.

Source: Ha & Eck 2018, https://github.com/magenta/magenta/tree/main/magenta/models/sketch_rnn
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..audio import UnusableError
from ..recordings import Skipped
from . import Contents, Item
from .archives import open_archive
from .foreign import opened, shown, size_of
from .npy import read_header, read_values
from .pickles import PickledArray, load
from .reals import rows_of, stored

SUFFIXES = frozenset({".npz", ".npy"})
PICKLE = 1 << 28  # bytes of a pickle; it is held in memory, its objects beside it
VALUES = 1 << 30  # bytes of all sequences of a file: a pickle can repeat one any number of times

PARTS = {"train": "train", "valid": "validation", "validation": "validation", "val": "validation", "test": "test"}

_Found = Iterator[tuple[np.ndarray | str, str | None]]
"""Sequences, or the reasons to leave them out, and the part each is in."""


def read(path: Path, name: str) -> Contents:
    """All sequences of an archive of strokes: rows dx, dy, pen, shape `(T, 3)`, int16, int32 or float32.

    Args:
        path: The file.
        name: What it is called; `#k` is appended for its k-th sequence, train, validation and test one after another.

    Raises:
        UnusableError: The file is damaged, too large, or holds something else than arrays of strokes.
    """
    items: list[Item] = []
    skipped: list[Skipped] = []
    size = 0
    with opened(path) as file:
        found = _archive(file, name) if path.suffix.lower() == ".npz" else _one(file, size_of(file), name, None)
        for k, (sequence, part) in enumerate(found):
            if isinstance(sequence, str):
                skipped.append(Skipped(f"{name}#{k}", sequence))
                continue
            size += sequence.nbytes
            if size > VALUES:
                raise UnusableError(f"its sequences hold more than {VALUES >> 30} GiB; cut it into several files")
            try:
                items.append(Item(f"{name}#{k}", strokes(sequence), part=part))
            except UnusableError as reason:
                skipped.append(Skipped(f"{name}#{k}", str(reason)))
    match items, skipped:
        case [], []:
            raise UnusableError("holds no sequences")
        case [], [only]:
            raise UnusableError(only.reason)
        case [item], []:
            items = [item._replace(name=name)]
    return Contents(tuple(items), tuple(skipped))


def strokes(rows: np.ndarray) -> np.ndarray:
    """Rows dx, dy, pen as they are stored, shape `(T, 3)`.

    Raises:
        UnusableError: They are of another shape, not finite, or pen is something else than 0 and 1.
    """
    if rows.ndim != 2 or rows.shape[1] != 3:
        raise UnusableError(f"an array of shape {rows.shape}; expected (T, 3): dx, dy, pen lifted after the point")
    rows_of(rows.shape)
    rows = stored(rows)
    pen = rows[:, 2]
    if not ((pen == 0) | (pen == 1)).all():
        raise UnusableError("its third column is no pen: it has values other than 0 and 1")
    return rows


def _archive(file: BinaryIO, name: str) -> _Found:
    with open_archive(file) as archive:
        parts = [member for member in archive.members if member.key in PARTS]
        order = list(dict.fromkeys(PARTS.values()))
        parts.sort(key=lambda member: order.index(PARTS[member.key]))
        for member in parts or archive.members:
            with archive.open(member) as stream:
                yield from _one(stream, member.size, name, PARTS.get(member.key))
        if parts:
            for member in archive.members:
                if member not in parts:
                    yield f"{shown(member.key)} is no part: expected train, valid and test", None


def _one(file: BinaryIO, size: int, name: str, part: str | None) -> _Found:
    """The sequences of one array: of objects, of shape `(N, T, 3)`, or itself one of shape `(T, 3)`."""
    announced = read_header(file)
    if announced.pickled:
        if size > PICKLE:
            raise UnusableError(f"a pickle of {size >> 20} MiB; expected at most {PICKLE >> 20}: cut it into several")
        for sequence in _pickled(load(file.read(size)), announced.shape):
            yield sequence, part
        return
    if len(announced.shape) not in (2, 3) or announced.shape[-1] != 3:
        raise UnusableError(f"an array of shape {announced.shape}; expected sequences of shape (T, 3): dx, dy, pen")
    values = read_values(file, announced, size - file.tell(), what=name)
    for sequence in values if values.ndim == 3 else [values]:
        yield sequence, part


def _pickled(array: PickledArray, shape: tuple[int, ...]) -> Iterator[np.ndarray | str]:
    elements = array.objects()
    if elements is None:
        raise UnusableError("its pickle is no array of sequences")
    if len(shape) == 3 and all(type(element) in (int, float) for element in elements):
        # What NumPy makes of sequences that all have the same length.
        try:
            yield from np.array(elements).reshape(shape)
        except (ValueError, OverflowError):
            raise UnusableError(f"{len(elements)} numbers for shape {shape}") from None
        return
    for element in elements:
        if not isinstance(element, PickledArray):
            yield f"{type(element).__name__} where an array belongs"
            continue
        try:
            yield element.numbers()
        except UnusableError as reason:
            yield str(reason)
