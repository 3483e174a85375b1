"""Segments of one recording: which of them follow each other, and groups of them read as one sequence."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from .sequences import Sequences


def runs(sequences: Sequences) -> list[range]:
    """Positions of the sequences that can be followed from one to the next, in order; every sequence is in one run.

    They are segments of one recording, all of one length but maybe the last: what comes after a shorter one would
    follow its padding.
    """
    import numpy as np

    lengths, recordings = sequences.lengths, sequences.recordings
    follows = (recordings[1:] == recordings[:-1]) & (lengths[:-1] == lengths.max(initial=0))
    starts = np.flatnonzero(np.concatenate([[True], ~follows])) if len(lengths) else np.zeros(0, np.int64)
    return [range(start, stop) for start, stop in pairwise([*starts.tolist(), len(lengths)])]


def groups(among: list[range], carry: int | None) -> list[range]:
    """Runs cut into groups of so many segments, from their beginning; None leaves them whole."""
    if carry is None:
        return among
    return [run[start : start + carry] for run in among for start in range(0, len(run), carry)]


class Joined:
    """Groups of segments, each read as the one sequence that its segments are.

    Args:
        sequences: The segments.
        among: Successive positions of each group's; `groups` gives them.

    Attributes:
        lengths: Frames of each group, int64.
        frame: Values a frame.
        starts: The position of each group's first segment.
        counts: How many segments each has.
    """

    def __init__(self, sequences: Sequences, among: list[range]) -> None:
        import numpy as np

        self._sequences, self._groups, self.frame = sequences, among, sequences.frame
        self.starts = np.array([group.start for group in among], dtype=np.int64)
        self.counts = np.array([len(group) for group in among], dtype=np.int64)
        ends = np.concatenate([[0], np.cumsum(sequences.lengths)])
        self.lengths = ends[self.starts + self.counts] - ends[self.starts]

    def __len__(self) -> int:
        return len(self._groups)

    def read(self, index: int, start: int = 0, stop: int | None = None, *, draw: int = 0) -> np.ndarray:
        """Standardised frames of a group, float32, `(t, frame)`; arguments as in `Sequences.read`."""
        import numpy as np

        group = self._groups[index]
        start, stop, _ = slice(start, stop).indices(int(self.lengths[index]))
        # All segments but the last are of one length (`runs`).
        each = max(1, int(self._sequences.lengths[group.start]))
        pieces = [
            self._sequences.read(group[k], max(start - k * each, 0), stop - k * each, draw=draw)
            for k in range(start // each, min(-(-stop // each), len(group)))
        ]
        return np.concatenate(pieces) if pieces else np.zeros((0, self.frame), np.float32)
