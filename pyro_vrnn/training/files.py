"""Files that are whole or not there: written aside, synced, renamed."""

import os
import shutil
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


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of ``path`` when all of it is there, and is removed on an error.

    Where the system cannot exchange two folders at once, ``path`` is missing for the moment between two renamings.
    """
    aside, old = (path.with_name(f".{path.name}.{uuid.uuid4().hex}") for _ in range(2))
    try:
        aside.mkdir()
        yield aside
        if path.exists():
            os.replace(path, old)
        try:
            os.replace(aside, path)
        except OSError:
            if old.exists():
                os.replace(old, path)
            raise
    finally:
        for left in (aside, old):
            shutil.rmtree(left, ignore_errors=True)
