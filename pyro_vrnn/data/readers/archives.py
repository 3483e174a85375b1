"""Archives of several arrays (`.npz`): a ZIP file of `.npy` members."""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath, PureWindowsPath
from typing import BinaryIO, NamedTuple, cast

from ..audio import UnusableError
from .foreign import shown

UNPACKED = 4 << 30  # bytes all members of an archive may have: a ZIP file can announce a thousandfold of its own size

# What the standard library raises of a ZIP file that is none.
_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, ValueError, OverflowError)
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


class Member(NamedTuple):
    """One array of an archive: its key, and its size in bytes, header included."""

    key: str
    size: int


class Archive:
    """An open archive.

    Attributes:
        members: Its arrays, in its own order.
    """

    def __init__(self, opened: zipfile.ZipFile) -> None:
        self._zip = opened
        self._entries: dict[Member, zipfile.ZipInfo] = {}
        keys: set[str] = set()
        for entry in opened.infolist():
            if entry.filename.endswith("/"):  # `is_dir` fails on an empty name
                continue
            _check_name(entry.filename)
            if not entry.filename.endswith(".npy"):
                raise UnusableError(f"holds {shown(entry.filename)}; expected .npy members")
            if entry.flag_bits & 1:
                raise UnusableError("is encrypted")
            if entry.compress_type not in _METHODS:
                raise UnusableError(f"is packed by method {entry.compress_type}; expected stored or deflated members")
            member = Member(entry.filename.removesuffix(".npy"), entry.file_size)
            if member.key in keys:
                raise UnusableError(f"holds {shown(member.key)} twice")
            keys.add(member.key)
            self._entries[member] = entry
        self.members = tuple(self._entries)
        if not self.members:
            raise UnusableError("holds no arrays")
        if (size := sum(member.size for member in self.members)) > UNPACKED:
            raise UnusableError(
                f"unpacks to {size / 2**30:.1f} GiB; expected at most {UNPACKED / 2**30:g} a file: cut it into several"
            )

    @contextmanager
    def open(self, member: Member) -> Iterator[BinaryIO]:
        """The bytes of a member, at most as many as it announces."""
        try:
            stream = self._zip.open(self._entries[member])
        except _BROKEN as error:
            raise _damaged(error) from None
        try:
            with stream:
                yield cast(BinaryIO, stream)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise _damaged(error) from None


@contextmanager
def open_archive(file: BinaryIO) -> Iterator[Archive]:
    """An archive in an open file.

    Raises:
        UnusableError: It is damaged, too large, encrypted or holds something else than arrays, or a name of it leads
            out of its folder.
    """
    try:
        opened = zipfile.ZipFile(file)
    except _BROKEN as error:
        raise _damaged(error) from None
    with opened:
        yield Archive(opened)


def _damaged(error: Exception) -> UnusableError:
    return UnusableError(f"a damaged archive ({shown(str(error) or type(error).__name__)})")


def _check_name(name: str) -> None:
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    if posix.is_absolute() or windows.drive or windows.root or ".." in (*posix.parts, *windows.parts):
        raise UnusableError(f"holds a path that leaves its folder: {shown(name)}")
