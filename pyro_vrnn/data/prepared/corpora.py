"""What can be prepared: for every corpus its kind, its reader, how it is read unless told otherwise, and its plan."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

from ...errors import ConfigurationError, DataError
from ..audio import SUFFIXES
from ..kinds import Kind
from ..recordings import Skipped
from .reading import Reader


class Used(NamedTuple):
    """A file that is used.

    Attributes:
        name: Its POSIX path relative to the source.
        speaker: Who speaks or writes in it, where the corpus says so.
        part: Its part; None where it is drawn or where the file itself says so.
        text: The transcript of its one sequence.
    """

    name: str
    speaker: str | None = None
    part: str | None = None
    text: str | None = None


class Plan(NamedTuple):
    """What a corpus makes of a folder; both lists are in the order of the names.

    Attributes:
        used: The files to be read.
        skipped: Files of the corpus's own kind that are left out, and why.
        drawn: Over what parts are drawn for files without one; None: the corpus has parts of its own.
        notes: What people should know, a line each.
    """

    used: tuple[Used, ...]
    skipped: tuple[Skipped, ...]
    drawn: Literal["files", "speakers", "segments"] | None
    notes: tuple[str, ...] = ()


Planner = Callable[[Collection[str], Mapping[str, Any], int, Path], Plan]
"""The plan of a folder: of the relative paths of its files, options of the corpus's own, a seed, and where it is."""


class Recipe(NamedTuple):
    """How a corpus is prepared.

    Attributes:
        kind: What its files hold.
        read: Its reader; None for sound.
        plan: Which files are used, who speaks, and in which part they are.
        defaults: Fields of `DataOptions`, unless they are given.
    """

    kind: Kind
    read: Reader | None
    plan: Planner
    defaults: Mapping[str, Any]


def recipe_of(corpus: str) -> Recipe:
    """How a corpus is prepared.

    Raises:
        ConfigurationError: There is no such corpus.
    """
    if corpus not in CORPORA:
        raise ConfigurationError(f"{corpus}: no such corpus; expected one of {', '.join(CORPORA)}")
    return CORPORA[corpus]


def all_of(*suffixes: str) -> Planner:
    """A plan that uses every file with these suffixes; parts are drawn over files."""

    def plan(names: Collection[str], own: Mapping[str, Any], seed: int, root: Path) -> Plan:
        if own:
            raise ConfigurationError(f"--{min(own)}: this corpus has no such option; leave it out")
        used = [Used(name) for name in sorted(names) if PurePosixPath(name).suffix.lower() in suffixes]
        if not used:
            raise DataError(f"{root}: no files of its kind; expected {', '.join(sorted(suffixes))}")
        return Plan(tuple(used), (), "files")

    return plan


CORPORA: dict[str, Recipe] = {
    "audio": Recipe("audio", None, all_of(*SUFFIXES), {}),
}
"""Every corpus that can be prepared, by its name."""
