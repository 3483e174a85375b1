"""Readers: what one file of a corpus holds. A reader is `read(path, name) -> Contents`, a pure function of its file.

Files come from anywhere: whatever the bytes are, a reader gives their sequences or says in one line why it leaves the
file out, and neither runs what is in a file nor allocates what a file merely announces.
"""

from typing import NamedTuple

import numpy as np

from ..recordings import Skipped


class Item(NamedTuple):
    """One sequence of a file.

    Attributes:
        name: Relative POSIX path of its file, `#k` appended for the k-th sequence of a file with several.
        values: Samples of shape `(n,)` or rows of shape `(T, D)`, in their source precision.
        speaker: Who speaks or writes, where the file says so.
        text: The transcript, where the file has it.
        part: train, validation or test, where the file itself says so.
    """

    name: str
    values: np.ndarray
    speaker: str | None = None
    text: str | None = None
    part: str | None = None


class Contents(NamedTuple):
    """What one file gave: its sequences, and those that were left out, with the reasons."""

    items: tuple[Item, ...]
    skipped: tuple[Skipped, ...]
