"""Real-valued sequences of any dimension: `.npy`, `.npz`, `.csv` and `.parquet`, rows of D values each.

A file is one sequence of shape `(T,)` or `(T, D)`; an `.npz` archive has one in each array.
"""

from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..audio import UnusableError
from ..recordings import Skipped
from . import Contents, Item
from .archives import open_archive
from .foreign import opened, size_of
from .npy import read_header, read_values
from .reals import rows_of
from .text import read_csv

SUFFIXES = frozenset({".npy", ".npz", ".csv", ".parquet"})


def read(path: Path, name: str) -> Contents:
    """The sequences of a file: rows of shape `(T, D)`, integers as int16 or int32 and floats as float32.

    Args:
        path: The file.
        name: What it is called; `#k` is appended for the k-th array of an archive with several.

    Raises:
        UnusableError: The file is damaged, too large, or holds something else than finite real numbers; of an archive
            with several arrays the sound ones are kept.
    """
    with opened(path) as file:
        match path.suffix.lower():
            case ".npz":
                return _read_archive(file, name)
            case ".npy":
                values = _read_array(file, size_of(file), name)
            case ".csv":
                values = read_csv(file, what=name)
            case _:
                from .parquet import read_parquet  # pyarrow takes a while to load, and only this needs it

                values = read_parquet(file, what=name)
    return Contents((Item(name, values),), ())


def _read_archive(file: BinaryIO, name: str) -> Contents:
    items: list[Item] = []
    skipped: list[Skipped] = []
    with open_archive(file) as archive:
        if len(archive.members) == 1:
            with archive.open(archive.members[0]) as stream:
                return Contents((Item(name, _read_array(stream, archive.members[0].size, name)),), ())
        for k, member in enumerate(archive.members):
            try:
                with archive.open(member) as stream:
                    items.append(Item(f"{name}#{k}", _read_array(stream, member.size, name)))
            except UnusableError as reason:
                skipped.append(Skipped(f"{name}#{k}", str(reason)))
    return Contents(tuple(items), tuple(skipped))


def _read_array(file: BinaryIO, size: int, name: str) -> np.ndarray:
    announced = read_header(file)
    if announced.pickled:
        raise UnusableError("holds Python objects (a pickle), which are not loaded; save arrays of plain numbers")
    rows, width = rows_of(announced.shape)
    return read_values(file, announced, size - file.tell(), what=name).reshape(rows, width)
