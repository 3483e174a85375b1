"""Files that are whole or not there: written aside, synced, renamed."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pyro_vrnn.errors import TrackingError


def write_whole(path: Path, content: bytes) -> None:
    """Replaces ``path`` by ``content``; a crash at any moment leaves the old file or the new one.

    Args:
        path: The file; its folder must exist.
        content: What it shall hold.

    Raises:
        TrackingError: If it cannot be written.
    """
    with one_line(path), whole_file(path) as file:
        file.write(content)


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to, which gets its name when all of it is there and is removed if an error ends the writing."""
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with open(aside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def one_line(path: Path) -> Iterator[None]:
    """Around what writes to ``path``.

    Raises:
        TrackingError: For the system's errors.
    """
    try:
        yield
    except OSError as error:
        raise TrackingError(
            f"{path}: cannot be written ({error.strerror or error}); make room, or choose a place one may write to"
        ) from error
