"""Files that are whole or not there: written aside, synced, renamed."""

import os
import uuid
from pathlib import Path

from pyro_vrnn.errors import TrackingError


def write_whole(path: Path, content: bytes) -> None:
    """Replaces ``path`` by ``content``; a crash at any moment leaves the old file or the new one.

    Args:
        path: The file; its folder must exist.
        content: What it shall hold.

    Raises:
        TrackingError: If it cannot be written.
    """
    try:
        _write(path, content)
    except OSError as error:
        raise TrackingError(
            f"{path}: cannot be written ({error.strerror or error}); make room, or choose a place one may write to"
        ) from error


def _write(path: Path, content: bytes) -> None:
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with open(aside, "wb") as file:
            file.write(content)
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
