"""What is known of all recordings of a source before any is decoded."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import DataError
from ..audio import Grid, Header, UnusableError, probe
from ..options import DataOptions
from ..recordings import Progress, check_integers, common_rate
from .reading import Listed
from .running import Map
from .work import Work


class Sound(NamedTuple):
    """Recordings as their headers announce them.

    Attributes:
        headers: Of those that can be used, by name.
        unusable: The others, and why.
        rate: At which all are read, in Hz.
        undithered: Why noise of one step of the grid would bound nothing; None where it does.
    """

    headers: dict[str, Header]
    unusable: list[tuple[str, str]]
    rate: int
    undithered: str | None


def look_at(
    work: Work,
    mapped: Map[Any, Any],
    options: DataOptions,
    root: Path,
    files: Sequence[Listed],
    progress: Progress | None,
) -> Sound:
    """Read the headers of all recordings, once: they are kept for a later call.

    Raises:
        DataError: None can be used, or they differ in what no default can decide (channels, rates).
    """
    kept = work.kept("headers")
    if kept is None:
        kept = []
        for file, found in zip(files, mapped(_probe, [root / file.name for file in files]), strict=True):
            kept.append([file.name, found])
            if progress is not None:
                progress("looking at files", len(kept), len(files))
        work.keep("headers", kept)
    headers = {name: _header(found) for name, found in kept if not isinstance(found, str)}
    unusable = [(name, found) for name, found in kept if isinstance(found, str)]
    if not headers:
        raise DataError(f"{options.source}: none of {len(files)} audio files is usable, first {': '.join(unusable[0])}")
    rate = common_rate(options, headers)
    try:
        check_integers(options, headers, rate)
    except DataError as reason:
        return Sound(headers, unusable, rate, str(reason))
    return Sound(headers, unusable, rate, None)


def _probe(path: Path) -> list[Any] | str:
    """What a recording announces, in the form in which it is kept; or why it cannot be used."""
    try:
        found = probe(path)
    except UnusableError as reason:
        return str(reason)
    grid = found.grid
    return [found.rate, found.channels, found.samples, grid.lsb, grid.lossless, np.dtype(grid.dtype).name]


def _header(kept: Sequence[Any]) -> Header:
    rate, channels, samples, lsb, lossless, dtype = kept
    return Header(rate, channels, samples, Grid(lsb, lossless, np.int16 if dtype == "int16" else np.float32))
