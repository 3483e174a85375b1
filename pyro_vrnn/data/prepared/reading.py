"""One file of a source as stored values and what is counted of them. Run in processes of its own."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import DataError
from ..audio import Header, UnusableError, decode
from ..kinds import PEN, WORDS, Kind
from ..readers import Contents, Item
from ..recordings import count_constant, digest_of
from ..statistics import training_moments

Reader = Callable[[Path, str], Contents]

STORED = ("int16", "int32", "float32")


class Listed(NamedTuple):
    """A file of a source: its relative POSIX path, its size in bytes and when it was last written, in nanoseconds."""

    name: str
    size: int
    written: int


class Task(NamedTuple):
    """A file to be read.

    Attributes:
        root: The source.
        file: Which file.
        kind: What it holds.
        read: Its reader; None for sound.
        header: Of sound: what it announces.
        rate: Of sound: at which rate.
        frame: Values a frame of sound.
        segment: Frames of a segment; None: whole.
        cut: Whether segments become sequences of their own here, because parts are drawn over them.
        into: The file to write stored values to.
    """

    root: Path
    file: Listed
    kind: Kind
    read: Reader | None
    header: Header | None
    rate: int | None
    frame: int
    segment: int | None
    cut: bool
    into: Path


class Entry(NamedTuple):
    """One sequence as it is stored.

    Attributes:
        name: As in `Item`.
        rows: Stored samples or rows.
        frames: Whole frames (in whole segments) of them.
        constant: Frames that make a density unbounded: of one value (sound), with an offset of 0 (pen), equal to the
            one before (arrays).
        flat: Whether it is of one value only.
        moments: Of its whole frames, as `training_moments` has them.
        speaker: Where the file says so.
        text: Where the file has it.
        part: Where the file says so.
    """

    name: str
    rows: int
    frames: int
    constant: int
    flat: bool
    moments: list[tuple[int, float, float]]
    speaker: str | None
    text: str | None
    part: str | None


class Outcome(NamedTuple):
    """What a file gave.

    Attributes:
        name: The file.
        digest: SHA-256 of its content; "" where it could not be read.
        dtype: Of the values written.
        width: Values a row; 0 for samples.
        entries: Its sequences, in the order of the values.
        skipped: What was left out.
    """

    name: str
    digest: str
    dtype: str
    width: int
    entries: list[Entry]
    skipped: list[tuple[str, str]]


def read_file(task: Task) -> Outcome:
    """Read a file and write its values, one sequence after another.

    Raises:
        DataError: There is no room, or the file is another than when it was listed.
    """
    path, name = task.root / task.file.name, task.file.name
    nothing = Outcome(name, "", "", 0, [], [])
    try:
        contents = _contents(task, path)
        digest = digest_of(path).hex()
    except UnusableError as reason:
        _check_unchanged(task)
        return nothing._replace(skipped=[(name, str(reason))])
    _check_unchanged(task)
    skipped = [(str(path), reason) for path, reason in contents.skipped]
    usable: list[tuple[Item, np.ndarray]] = []
    for item in contents.items:
        try:
            usable += _usable(task, item)
        except UnusableError as reason:
            skipped.append((item.name, str(reason)))
    if not usable:
        return nothing._replace(digest=digest, skipped=skipped)
    widths = {0 if task.kind == "audio" else values.shape[1] for _, values in usable}
    if len(widths) > 1:
        raise DataError(f"{path}: sequences of {min(widths)} and of {max(widths)} values a row; expected one number")
    dtype = wider(*(values.dtype for _, values in usable))
    entries = []
    try:
        with task.into.open("wb") as file:
            for item, values in usable:
                for start in range(0, len(values), 1 << 20):
                    file.write(np.ascontiguousarray(stored(values[start : start + (1 << 20)], dtype, task.kind)).data)
                entries.append(_entry(task, item, values))
    except OSError as error:
        raise DataError(f"{task.into.parent}: {path} cannot be stored there: {error.strerror}; make room") from None
    return Outcome(name, digest, dtype, widths.pop(), entries, skipped)


def wider(*dtypes: Any) -> str:
    """The narrowest stored type that holds several: integers exactly, and no more than float32 for others."""
    found = np.result_type(*dtypes)
    if not np.issubdtype(found, np.integer):
        return "float32"
    return "int16" if np.can_cast(found, np.int16) else "int32"


def stored(values: np.ndarray, dtype: str, kind: Kind) -> np.ndarray:
    """Values in another stored type: integers of sound become amplitudes where others are floats."""
    if dtype == "float32" and kind == "audio" and values.dtype == np.int16:
        return values * np.float32(2.0**-15)
    return values.astype(dtype, copy=False)


def watch_parent() -> None:
    """End this process when the one that started it ends: nobody else would."""
    import multiprocessing
    import threading

    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def listed(root: Path, name: str) -> Listed:
    """A file as it is now.

    Raises:
        UnusableError: It cannot be looked at.
    """
    try:
        found = (root / name).stat()
    except OSError as error:
        raise UnusableError(f"cannot be read: {error.strerror}") from None
    return Listed(name, found.st_size, found.st_mtime_ns)


def _contents(task: Task, path: Path) -> Contents:
    if task.read is not None:
        return task.read(path, task.file.name)
    assert task.header is not None
    assert task.rate is not None
    return Contents((Item(task.file.name, decode(path, task.header, rate=task.rate)),), ())


def _check_unchanged(task: Task) -> None:
    try:
        same = listed(task.root, task.file.name) == task.file
    except UnusableError:
        same = False
    if not same:
        raise DataError(f"{task.root / task.file.name}: changed while it was being read; run the same command again")


def _usable(task: Task, item: Item) -> list[tuple[Item, np.ndarray]]:
    """A sequence, or its segments; too short ones are refused."""
    words, values = WORDS[task.kind], item.values
    each = task.frame if task.kind == "audio" else 1
    assert values.ndim == (1 if task.kind == "audio" else 2)
    if task.kind == "pen" and values.shape[1] != PEN:
        raise UnusableError(f"rows of {values.shape[1]} values; expected dx, dy, pen")
    count = len(values) // each
    held = f"{len(values)} {words.value}s are" if task.kind == "audio" else f"{count} {words.frame}s are"
    of = f" of {each}" if task.kind == "audio" else ""
    if count < 2:
        raise UnusableError(f"{held} less than two {words.frame}s{of}")
    if task.segment is not None and count < task.segment:
        raise UnusableError(f"{held} less than a segment of {task.segment} {words.frame}s{of}")
    if not task.cut or task.segment is None:
        return [(item, values)]
    size = task.segment * each
    return [
        (item._replace(name=f"{item.name}#{k}"), values[k * size : (k + 1) * size]) for k in range(len(values) // size)
    ]


def _entry(task: Task, item: Item, values: np.ndarray) -> Entry:
    each = task.frame if task.kind == "audio" else 1
    count = len(values) // each
    count -= count % (task.segment or 1)
    frames = values[: count * each].reshape(count, -1)
    constant = count_constant(frames, task.kind)
    if task.kind == "audio":
        flat = constant == count and bool(frames[:, 0].min() == frames[:, 0].max())
    else:
        flat = bool((frames == frames[0]).all())
    step = 2.0**-15 if task.kind == "audio" else 1.0
    found = [(one.number, one.mean, one.squares) for one in training_moments([frames], task.kind, step=step)]
    return Entry(item.name, len(values), count, constant, flat, found, item.speaker, item.text, item.part)
