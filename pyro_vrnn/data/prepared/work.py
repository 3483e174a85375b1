"""Unfinished work on a prepared corpus, from which a later call goes on.

Values are appended to one file, and after each file of the source a line to the journal: what the journal does not
know of was not done. Both are read from the beginning when work goes on, so that a call that was killed anywhere has
lost the file it was at and nothing else.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np

from ...errors import DataError
from ..kinds import Kind
from .manifest import HEADER, VALUES, header
from .reading import STORED, Entry, Outcome, stored, wider

JOURNAL, LOCK = "journal.jsonl", "lock"
BLOCK = 1 << 22  # bytes copied at once


class Work:
    """The folder of an unfinished preparation. A context manager: nobody else works in it meanwhile.

    Args:
        out: The folder that is to be prepared; the work is beside it.
        kind: What sequences are of.
        plan: What is to be done; where the unfinished work has another plan, it begins anew.
    """

    def __init__(self, out: Path, kind: Kind, plan: dict[str, Any]) -> None:
        self.folder = out.parent / f".{out.name}.preparing"
        self.kind, self.plan = kind, plan
        self.outcomes: list[Outcome] = []
        self.began_anew = False
        self.dtype, self.width, self.values = "", 0, 0
        self.digest = hashlib.sha256()
        self._values: BinaryIO | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise DataError(
                f"{self.folder}: another process is preparing this corpus; wait for it, or end it"
            ) from None
        try:
            self._resume()
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._journal.close()
        if self._values is not None:
            self._values.close()
        # Of a source that nothing can be made of, nothing is worth keeping.
        useless = isinstance(error, DataError) and not self.values
        shutil.rmtree(self.folder if useless else self.parts, ignore_errors=True)
        os.close(self._lock)

    @property
    def whole(self) -> Path:
        """What becomes the prepared corpus."""
        return self.folder / "whole"

    @property
    def parts(self) -> Path:
        """Where files are stored until it is their turn."""
        return self.folder / "parts"

    def kept(self, name: str) -> Any:
        """What was kept of earlier work under a name; None where there is nothing."""
        with contextlib.suppress(OSError, ValueError):
            return json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
        return None

    def keep(self, name: str, value: Any) -> None:
        """Keep something for a later call; all of it or nothing is there."""
        aside = self.folder / f"{name}.new"
        aside.write_text(json.dumps(value), encoding="utf-8")
        aside.replace(self.folder / f"{name}.json")

    def add(self, outcome: Outcome, part: Path) -> None:
        """Append what a file gave, and then say so in the journal.

        Raises:
            DataError: Its rows have another number of values than those before it.
        """
        if outcome.entries:
            self._widen(outcome)
            with part.open("rb") as file:
                for block in _blocks(file, outcome.dtype):
                    self._append(stored(block, self.dtype, self.kind))
            part.unlink()
            assert self._values is not None
            self._values.flush()
        self._write(outcome)
        self._count(outcome)

    def finish(self, header: bytes) -> None:
        """Write the first bytes of the values' file, and see it on disk."""
        assert self._values is not None
        self._values.seek(0)
        self._values.write(header)
        self._values.flush()
        os.fsync(self._values.fileno())

    def _resume(self) -> None:
        shutil.rmtree(self.parts, ignore_errors=True)
        known = self.kept("plan")
        if known != self.plan:
            self._clear()
            self.began_anew = known is not None
            self.keep("plan", self.plan)
        self.parts.mkdir()
        self.whole.mkdir(exist_ok=True)
        self._read_journal()
        self._open()
        if self.digest.hexdigest() != self._seen:
            # What the journal says was written is not there: the machine went down before it was on disk.
            self._journal.close()
            if self._values is not None:
                self._values.close()
            self._clear()
            self.keep("plan", self.plan)
            self.whole.mkdir()
            self.parts.mkdir()
            self._read_journal()
            self._open()

    def _clear(self) -> None:
        """Begin with nothing."""
        for left in self.folder.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
            elif left.name != LOCK:
                left.unlink()
        self.outcomes, self.dtype, self.width, self.values = [], "", 0, 0

    def _read_journal(self) -> None:
        done, self._seen = 0, hashlib.sha256().hexdigest()
        self._journal = (self.folder / JOURNAL).open("a+b")
        self._journal.seek(0)
        for line in self._journal:
            try:
                self._seen, outcome = _parsed(line)
            except (ValueError, TypeError):
                break
            if outcome is not None:
                self._count(outcome)
            done += len(line)
        self._journal.truncate(done)

    def _open(self) -> None:
        """The values' file, cut after what the journal knows of, and its digest; None while there are no values."""
        path, self._values, self.digest = self.whole / VALUES, None, hashlib.sha256()
        if not path.exists():
            return
        self._values = path.open("r+b")
        begins = self._values.read(HEADER)
        self.dtype = next((name for name in STORED if np.dtype(name).newbyteorder("<").str.encode() in begins), "")
        self._values.truncate(HEADER + self.values * np.dtype(self.dtype or "int16").itemsize)
        self._values.seek(HEADER)
        while block := self._values.read(BLOCK):
            self.digest.update(block)

    def _write(self, outcome: Outcome | None) -> None:
        self._journal.write(json.dumps([self.digest.hexdigest(), outcome]).encode() + b"\n")
        self._journal.flush()

    def _count(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.width = self.width or outcome.width
        self.values += sum(entry.rows for entry in outcome.entries) * max(1, outcome.width)

    def _append(self, values: np.ndarray) -> None:
        content = np.ascontiguousarray(values).data
        assert self._values is not None
        self._values.write(content)
        self.digest.update(content)

    def _widen(self, outcome: Outcome) -> None:
        """See that what a file gave can be appended; where values need a wider type, write all of them again in it."""
        if self.width and outcome.width != self.width:
            first = next(one.name for one in self.outcomes if one.width)
            raise DataError(
                f"{outcome.name}: rows of {outcome.width} values, but {first} has rows of {self.width}; expected as "
                "many in every file: prepare them apart"
            )
        dtype = wider(self.dtype, outcome.dtype) if self.dtype else outcome.dtype
        if dtype == self.dtype:
            return
        aside = self.folder / "values.new"
        with aside.open("wb") as wide:
            wide.write(header(dtype, (0,)))
            if self._values is not None:
                self._values.seek(HEADER)
                for block in _blocks(self._values, self.dtype):
                    wide.write(np.ascontiguousarray(stored(block, dtype, self.kind)).data)
                self._values.close()
        aside.replace(self.whole / VALUES)
        self.dtype = dtype
        self._open()
        self._write(None)


def _blocks(file: Any, dtype: str) -> Iterator[np.ndarray]:
    while block := file.read(BLOCK):
        yield np.frombuffer(block, dtype)


def _parsed(line: bytes) -> tuple[str, Outcome | None]:
    if not line.endswith(b"\n"):
        raise ValueError("a line without its end")
    digest, outcome = json.loads(line)
    if outcome is None:
        return digest, None
    name, read, dtype, width, entries, skipped = outcome
    kept = [Entry(*entry) for entry in entries]
    kept = [entry._replace(moments=[(n, mean, squares) for n, mean, squares in entry.moments]) for entry in kept]
    return digest, Outcome(name, read, dtype, width, kept, [(path, reason) for path, reason in skipped])
