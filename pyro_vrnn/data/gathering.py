"""Pieces of one recording put together: in memory, or in a temporary file where they are many."""

import errno
import tempfile
from collections.abc import Iterable

import numpy as np

from ..errors import DataError

LONG = 1 << 24  # samples, 17 minutes at 16 kHz; a recording of more is kept out of memory


def gather(pieces: Iterable[np.ndarray], dtype: type[np.generic], *, expected: int, what: str) -> np.ndarray:
    """All pieces one after another, shape `(n,)`.

    Where more than `LONG` samples are expected, the pieces are written to a file without a name in the folder for
    temporary files, and a read-only map of it is returned: the system keeps in memory what is being read, and frees the
    file when the last array on it is gone, or the process.

    Args:
        pieces: Arrays of shape `(k,)`.
        dtype: Their type.
        expected: About how many samples there are.
        what: What they belong to, for the message.

    Raises:
        DataError: The file cannot be written, or too many are open.
    """
    if expected <= LONG:
        held = list(pieces)
        return held[0] if len(held) == 1 else np.concatenate([np.zeros(0, dtype), *held])
    try:
        # What libsndfile says of a recording is no OSError: whatever is caught here is of the temporary file.
        with tempfile.TemporaryFile() as file:
            for piece in pieces:
                file.write(np.ascontiguousarray(piece).data)
            file.flush()
            return np.memmap(file, dtype=dtype, mode="r") if file.tell() else np.zeros(0, dtype)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            remedy = "raise the limit of open files (ulimit -n): every recording as long as this takes one"
        else:
            size = expected * np.dtype(dtype).itemsize / 1e6
            remedy = f"set TMPDIR to a folder with room, {size:.0f} MB for this one"
        raise DataError(
            f"{what}: its samples cannot be put into a temporary file ({error.strerror or error}); {remedy}"
        ) from None
