"""What a protocol says of the files of a corpus, and what all protocols need to say it."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from ..recordings import Skipped

SIDE_LIMIT = 1 << 22  # bytes: the longest side file that is read, far above any of the corpora's

Part = Literal["train", "validation", "test"]

Unit = Literal["files", "speakers", "segments"]


class Side(Protocol):
    """The text of a side file by its path relative to the source, or None where it cannot be read."""

    def __call__(self, name: str, limit: int = SIDE_LIMIT, /) -> str | None:
        """Read no more than `limit` bytes of it."""


class Used(NamedTuple):
    """A file that is used.

    Attributes:
        name: Its POSIX path relative to the source.
        speaker: Who speaks or writes in it, where the corpus says so.
        part: Its part; None where it is drawn (see `Plan.drawn`) or where the file itself says so.
        text: The transcript of its one sequence.
    """

    name: str
    speaker: str | None = None
    part: Part | None = None
    text: str | None = None


class Plan(NamedTuple):
    """What a protocol makes of a folder; both lists are in the order of the names.

    Attributes:
        used: The files to be read.
        skipped: Files of the corpus's own kind that are left out, and why. Side files are in neither list.
        drawn: Over what parts are drawn by the seed (0.9 / 0.05 / 0.05 unless told otherwise) for files without a
            part; None: the corpus has parts of its own, and options that split have no meaning beside it.
        notes: What people should know, a line each: counts beside those of the full corpus, choices and their labels.
    """

    used: tuple[Used, ...]
    skipped: tuple[Skipped, ...]
    drawn: Unit | None
    notes: tuple[str, ...] = ()


def side_files(root: Path) -> Side:
    """Reads side files of a folder: UTF-8 or, failing that, Latin-1; of a longer file the beginning."""

    def read(name: str, limit: int = SIDE_LIMIT, /) -> str | None:
        try:
            with (root / name).open("rb") as file:
                content = file.read(limit)
        except OSError:
            return None
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            return content.decode("latin-1")

    return read


def base(name: str) -> str:
    """The last component of a path."""
    return name.rpartition("/")[2]


def stem(name: str) -> str:
    """The last component of a path without its last suffix."""
    return os.path.splitext(base(name))[0]


def suffix(name: str) -> str:
    """The last suffix in lower case, with its dot."""
    return os.path.splitext(base(name))[1].lower()


def hidden(name: str) -> bool:
    """Whether a file is hidden, such as the `._x` that some archives hold beside every `x`."""
    return base(name).startswith(".")


def one_each(named: Iterable[tuple[str, str]], rank: Callable[[str], int]) -> tuple[dict[str, str], list[Skipped]]:
    """Of several files of one key the best: that of the lowest rank, the first by name among equals.

    Args:
        named: Keys and files.
        rank: How files are preferred.

    Returns:
        The file of every key, and the others, each with the file that was taken instead.
    """
    groups: dict[str, list[str]] = {}
    for key, name in named:
        groups.setdefault(key, []).append(name)
    best = {key: min(names, key=lambda name: (rank(name), name)) for key, names in groups.items()}
    others = [
        Skipped(name, f"another copy of {best[key]}")
        for key, names in groups.items()
        for name in names
        if name != best[key]
    ]
    return best, others


def made(used: Iterable[Used], skipped: Iterable[Skipped], *, drawn: Unit | None, notes: Sequence[str] = ()) -> Plan:
    """A plan in the order of the names."""
    return Plan(tuple(sorted(used)), tuple(sorted(skipped)), drawn, tuple(notes))


def beside(found: Mapping[str, int], full: Mapping[str, int]) -> str:
    """Counts beside those of the full corpus: `4620 train (4620), 1680 test (1680)`."""
    return ", ".join(f"{count} {name} ({full[name]})" for name, count in found.items())
