"""The local history of a run: one JSON line per logged step, only ever appended to."""

import json
import math
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

#: Its name in a run's working folder.
FILE = "journal.jsonl"

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Record(NamedTuple):
    """Metrics of one step, with the time of logging in milliseconds since 1970."""

    time: int
    step: int
    metrics: Mapping[str, float]


def encode(record: Record) -> bytes:
    """One line. JSON has no NaN and no infinity: they are written as strings, which ``float`` reads back."""
    metrics = {name: value if math.isfinite(value) else str(value) for name, value in record.metrics.items()}
    return (_encode({"time": record.time, "step": record.step, "metrics": metrics}) + "\n").encode("ascii")


def decode(line: bytes) -> Record:
    """The record of a line.

    Raises:
        ValueError: If the line is torn or foreign.
    """
    if not line.endswith(b"\n"):
        raise ValueError("a line without an end")
    try:
        entry = json.loads(line)
        metrics = {str(name): float(value) for name, value in entry["metrics"].items()}
        return Record(int(entry["time"]), int(entry["step"]), metrics)
    except (AttributeError, KeyError, OverflowError, TypeError) as error:
        raise ValueError("not a journal line") from error


def read(path: Path, start: int = 0, stop: int | None = None) -> Iterator[tuple[Record, int]]:
    """The records between two positions, each with the position of its end; ends early at the first broken line."""
    with path.open("rb") as file:
        file.seek(start)
        position = start
        for line in file:
            position += len(line)
            if stop is not None and position > stop:
                return
            try:
                record = decode(line)
            except ValueError:
                return
            yield record, position


def ends_record(path: Path, position: int) -> bool:
    """Whether a record of the file ends at this position, or the file begins there."""
    if position == 0:
        return True
    with path.open("rb") as file:
        file.seek(position - 1)
        return file.read(1) == b"\n"


class Journal:
    """An open journal.

    Args:
        path: The file; made if missing. What follows its longest valid prefix, as a crash leaves it, is cut off.
        start: A position known to end a record; validity is only looked at behind it.

    Attributes:
        last: The record appended last, or found last behind ``start``.
        highest: The highest step appended, or found behind ``start``; -1 if there is none.
    """

    def __init__(self, path: Path, start: int = 0) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._descriptor = self._open()
        self.last: Record | None = None
        self.highest = -1
        valid = start
        for record, end in read(path, start):
            self.last, self.highest, valid = record, max(self.highest, record.step), end
        os.truncate(path, valid)

    @property
    def size(self) -> int:
        """Position of the end."""
        return os.fstat(self._descriptor).st_size

    def append(self, record: Record) -> None:
        """Write a record: one system call, safe against the end of this process but not of the machine.

        Raises:
            OSError: If the disk is full or gone; the journal then ends as before.
        """
        line = encode(record)
        with self._lock:
            written = os.write(self._descriptor, line)
            if written != len(line):
                os.ftruncate(self._descriptor, self.size - written)
                raise OSError(f"{self.path}: only a part of a line could be written")
            self.last = record
            self.highest = max(self.highest, record.step)

    def position(self, step: int, start: int) -> int:
        """Where the stretch of records up to ``step`` that begins at ``start`` ends."""
        if self.highest <= step:
            return self.size
        for record, end in read(self.path, start):
            if record.step > step:
                break
            start = end
        return start

    def rewind(self, step: int, start: int) -> None:
        """Drop the records behind ``start`` that are later than ``step``; other processes see all or nothing of it."""
        if self.highest <= step:
            return
        with self._lock:
            kept = [record for record, _ in read(self.path, start) if record.step <= step]
            replacement = self.path.with_suffix(".new")
            with self.path.open("rb") as old, replacement.open("wb") as new:
                shutil.copyfileobj(old, new)
                new.truncate(start)
                new.seek(start)
                new.writelines(map(encode, kept))
                new.flush()
                os.fsync(new.fileno())
            os.close(self._descriptor)
            os.replace(replacement, self.path)
            self._descriptor = self._open()
            self.highest = min(self.highest, step)
            self.last = kept[-1] if kept else None

    def sync(self) -> None:
        """Write through to the disk."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file; what is appended now raises."""
        with self._lock:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
