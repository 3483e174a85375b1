"""NumPy's own format of one array: a header of three entries, and the values after it.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import re
from collections.abc import Iterator
from math import prod
from typing import BinaryIO, NamedTuple

import numpy as np

from ..audio import UnusableError
from ..gathering import gather
from .reals import number_type, stored, stored_type

MAGIC = b"\x93NUMPY"
HEADER = 1 << 16  # bytes; those of plain arrays have about a hundred
BLOCK = 1 << 22  # bytes read at once

# The header is a Python literal, but what is looked for in it takes no evaluation: `(3L, 4L)` is Python 2's.
_ENTRIES = {
    "descr": re.compile(r"""['"]descr['"]\s*:\s*(?:['"]([^'"]*)['"]\s*[,}]|(\[))"""),
    "fortran_order": re.compile(r"""['"]fortran_order['"]\s*:\s*(True|False)"""),
    "shape": re.compile(r"""['"]shape['"]\s*:\s*\(([\dL,\s]*)\)""", re.ASCII),
}
_SIZE = re.compile(r"\s*\d{1,18}L?\s*", re.ASCII)


class Announced(NamedTuple):
    """What a header says: the code of the type (such as `<f4`), the shape, and whether columns come first."""

    code: str
    shape: tuple[int, ...]
    fortran: bool

    @property
    def pickled(self) -> bool:
        """Whether a pickle of Python objects follows instead of numbers."""
        return self.code.lstrip("<>|=").startswith("O")


def read_header(file: BinaryIO) -> Announced:
    """Read a header, and leave the file at the first byte after it.

    Raises:
        UnusableError: There is none, or not a valid one.
    """
    start = file.read(8)
    if start[:6] != MAGIC:
        raise UnusableError("not a NumPy array")
    digits = {b"\1\0": 2, b"\2\0": 4, b"\3\0": 4}.get(start[6:])
    if digits is None:
        raise UnusableError("a NumPy array of an unknown format version")
    length = int.from_bytes(file.read(digits), "little")
    if length > HEADER:
        raise UnusableError(f"announces a header of {length} bytes; expected at most {HEADER}")
    header = file.read(length)
    if len(header) < length:
        raise UnusableError("truncated: its header ends early")
    found = {name: pattern.search(header.decode("latin-1")) for name, pattern in _ENTRIES.items()}
    descr, order, shape = found["descr"], found["fortran_order"], found["shape"]
    if descr is None or order is None or shape is None:
        raise UnusableError("its NumPy header is damaged")
    if descr[2]:
        raise UnusableError("holds records with named fields, not plain numbers")
    sizes = shape[1].split(",")
    if not sizes[-1].strip():
        sizes.pop()  # of `()` and of `(3,)`
    if not all(map(_SIZE.fullmatch, sizes)):
        raise UnusableError("its NumPy header is damaged")
    return Announced(descr[1], tuple(int(size.strip().rstrip("L")) for size in sizes), order[1] == "True")


def read_values(file: BinaryIO, announced: Announced, left: int, *, what: str) -> np.ndarray:
    """The numbers after a header, as they are stored (see `reals`); many lie in a temporary file (see `gather`).

    Args:
        file: Stands at the first byte after the header.
        announced: What the header says.
        left: How many bytes the file has after the header: more is not asked for, whatever the header says.
        what: The file's name, for the message of a full disk.

    Raises:
        UnusableError: Bytes are missing or left over, or the values are not finite real numbers within 32 bits.
    """
    dtype = number_type(announced.code)
    count = prod(announced.shape)
    size = count * dtype.itemsize
    if not size:
        raise UnusableError("holds no values")
    if size > left:
        raise UnusableError(f"truncated: {max(left, 0)} of {size} bytes of values are there")
    if size < left:
        raise UnusableError(f"{left - size} bytes follow its array; expected one array a file")
    values = gather(_pieces(file, dtype, size), stored_type(dtype), expected=count, what=what)
    return values.reshape(announced.shape[::-1]).T if announced.fortran else values.reshape(announced.shape)


def _pieces(file: BinaryIO, dtype: np.dtype, size: int) -> Iterator[np.ndarray]:
    done = 0
    while done < size:
        block = file.read(min(BLOCK, size - done))
        done += len(block)
        if not block or len(block) % dtype.itemsize:
            raise UnusableError(f"truncated: {done} of {size} bytes of values are there")
        yield stored(np.frombuffer(block, dtype))
