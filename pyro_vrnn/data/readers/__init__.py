"""Files as sequences: one module a format, each with `read(path, name) -> Contents`, a pure function of one file.

A reader raises `pyro_vrnn.data.audio.UnusableError(reason)` where the whole file must be left out. Files come from
anywhere: no reader runs what is in one, or allocates what one merely announces.
"""

from typing import NamedTuple

import numpy as np

from ..recordings import Skipped


class Item(NamedTuple):
    """One sequence of a file.

    Attributes:
        name: Relative POSIX path of its file, "#k" appended for the k-th sequence of a file with several.
        values: Samples `(n,)` or rows `(T, D)`, in their source precision.
        speaker: Who it is from, where the file says so.
        text: A transcript, where the file has one.
        part: `train`, `validation` or `test` where the file itself says so.
    """

    name: str
    values: np.ndarray
    speaker: str | None = None
    text: str | None = None
    part: str | None = None


class Contents(NamedTuple):
    """What one file gave.

    Attributes:
        items: Its usable sequences, in their order.
        skipped: Sequences of it that were left out, and why.
    """

    items: tuple[Item, ...]
    skipped: tuple[Skipped, ...]
