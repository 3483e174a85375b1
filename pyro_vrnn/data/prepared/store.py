"""Values of a prepared corpus, read from its file when they are asked for.

Every piece is read into memory of its own. A map of the file would do without the copy, but its pages stay in the
resident set until something else needs the memory: after an epoch that is the whole corpus.
"""

import os
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import numpy as np

from ...errors import DataError
from .manifest import HEADER, VALUES

T = TypeVar("T")


class Store:
    """The values of `values.npy`, one after another, whatever their shape.

    Args:
        folder: Of the prepared corpus.
        dtype: Of its values.
    """

    def __init__(self, folder: Path, dtype: str) -> None:
        self.folder, self.dtype = folder, np.dtype(dtype)
        try:
            self._file = os.open(folder / VALUES, os.O_RDONLY)
        except OSError as error:
            raise DataError(f"--data {folder}: {VALUES} cannot be read: {error.strerror}") from None
        weakref.finalize(self, os.close, self._file)

    def read(self, start: int, count: int) -> np.ndarray:
        """Values from one on, shape `(count,)`, in memory of their own.

        Raises:
            DataError: The file has become shorter, or cannot be read.
        """
        values = np.empty(count, self.dtype)
        left, offset = values.view(np.uint8).data, HEADER + start * self.dtype.itemsize
        while left:
            try:
                got = os.preadv(self._file, [left], offset)
            except OSError as error:
                raise DataError(f"--data {self.folder}: {VALUES} cannot be read: {error.strerror}") from None
            if not got:
                raise DataError(
                    f"--data {self.folder}: {VALUES} has become shorter while it was in use; prepare the corpus again"
                )
            left, offset = left[got:], offset + got
        return values

    def __reduce__(self) -> tuple[Any, ...]:
        return Store, (self.folder, self.dtype.str)


class Rows:
    """One sequence's stored frames, `(T, frame)`, of which slices are read.

    Args:
        store: Where they are.
        start: The first value.
        shape: `(T, frame)`.
    """

    def __init__(self, store: Store, start: int, shape: tuple[int, int]) -> None:
        self._store, self._start, self.shape = store, start, shape

    @property
    def dtype(self) -> np.dtype:
        """Of the values."""
        return self._store.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice) -> np.ndarray:
        start, stop, step = index.indices(self.shape[0])
        count, frame = max(0, stop - start), self.shape[1]
        return self._store.read(self._start + start * frame, count * frame).reshape(count, frame)[::step]


class Made(Sequence[T], Generic[T]):
    """Things that are made when they are asked for: the i-th is `make(chosen[i])`.

    Args:
        make: Makes one; can be pickled.
        chosen: Of what.
        distinct: How many different ones there are, where that is known.
    """

    def __init__(self, make: Callable[[int], T], chosen: range, distinct: int | None = None) -> None:
        self._make, self._chosen, self.distinct = make, chosen, distinct

    def __len__(self) -> int:
        return len(self._chosen)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> "Made[T]": ...
    def __getitem__(self, index: int | slice) -> "T | Made[T]":
        if isinstance(index, slice):
            return Made(self._make, self._chosen[index])
        return self._make(self._chosen[index])
