"""Locks between processes that a dying process cannot leave behind; without effect where there is no ``fcntl``."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SUPPORTED = fcntl is not None


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Wait for one's turn among processes and threads, and hold it inside the block."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if SUPPORTED:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class Ownership:
    """Exclusive use of a folder by one process for as long as it lives or until :meth:`release`.

    Raises:
        BlockingIOError: If another process owns it.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if not SUPPORTED:
            return
        try:
            # lockf, not flock: a forked data worker must not go on holding the run of a parent that was killed.
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            raise BlockingIOError(str(path)) from error

    def release(self) -> None:
        """Give it up."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Handed:
    """A lock that passes to a child process with its descriptor, and ends with the last process that holds that.

    Attributes:
        descriptor: To be kept open by the child (``pass_fds``).

    Raises:
        BlockingIOError: If a process holds it.
    """

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if not SUPPORTED:
            return
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of the open file, so a child inherits it
        except OSError as error:
            os.close(self.descriptor)
            raise BlockingIOError(str(path)) from error

    def let_go(self) -> None:
        """Closes this process's descriptor; a child that was handed it keeps the lock."""
        os.close(self.descriptor)
