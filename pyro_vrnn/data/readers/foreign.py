"""A file that is read: an ordinary one, the same from the first byte to the last."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..audio import UnusableError

SHOWN = 60  # characters of a foreign text in a message


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """An open file; what goes wrong with it is the reason to leave it out.

    Raises:
        UnusableError: It is no ordinary file, empty, cannot be read, or changed while it was open.
    """
    try:
        # A pipe would keep `open` waiting for a writer.
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnusableError("not an ordinary file")
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            if not before.st_size:
                raise UnusableError("the file is empty")
            yield file
            after = path.stat()
    except OSError as error:
        raise UnusableError(f"cannot be read: {error.strerror or error}") from None
    if _state(before) != _state(after):
        raise UnusableError("changed while it was read")


def size_of(file: BinaryIO) -> int:
    """Bytes of an open file."""
    return os.fstat(file.fileno()).st_size


def shown(text: str) -> str:
    """A text from a file as a message may repeat it: quoted, short, on one line, printable."""
    return ascii(text if len(text) <= SHOWN else text[:SHOWN] + "...")


def _state(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
