"""Folders without a protocol of their own: every file of the kind is used, and parts are drawn."""

from collections.abc import Collection, Set

from pydantic import BaseModel, ConfigDict

from ...errors import DataError
from ..audio import SUFFIXES
from .plan import Plan, Side, Used, made, suffix

AUDIO = SUFFIXES
STROKES = frozenset({".npz", ".npy"})
ARRAYS = frozenset({".npy", ".npz", ".csv", ".parquet"})


class NoOptions(BaseModel):
    """Nothing can be chosen but what splits."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def plan(names: Collection[str], *, corpus: str, suffixes: Set[str]) -> Plan:
    """All files with these suffixes; parts are drawn over files, but for sequences whose file names their part.

    Raises:
        DataError: There are none.
    """
    used = [Used(name) for name in names if suffix(name) in suffixes]
    if not used:
        raise DataError(f"{corpus}: no files of its kind; expected {', '.join(sorted(suffixes))}; name another folder")
    return made(used, (), drawn="files")


def onomatopoeia(names: Collection[str], options: NoOptions, *, seed: int, side: Side) -> Plan:
    """Clips of human sounds, each a file. The corpus was never public: any folder of such clips will do."""
    return plan(names, corpus="onomatopoeia", suffixes=AUDIO)


def audio(names: Collection[str], options: NoOptions, *, seed: int, side: Side) -> Plan:
    """Any folder of recordings."""
    return plan(names, corpus="audio", suffixes=AUDIO)


def strokes(names: Collection[str], options: NoOptions, *, seed: int, side: Side) -> Plan:
    """Archives of stroke-3 rows, which name the parts of their sequences themselves."""
    return plan(names, corpus="strokes", suffixes=STROKES)


def arrays(names: Collection[str], options: NoOptions, *, seed: int, side: Side) -> Plan:
    """Tables of real-valued sequences."""
    return plan(names, corpus="arrays", suffixes=ARRAYS)
