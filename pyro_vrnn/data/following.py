"""Segments of long recordings: who follows whom. NumPy and torch are loaded when a plan or a batch is made."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from .batches import DRAWS, Batch, Share, collate

if TYPE_CHECKING:
    import numpy as np

    from .sequences import Sequences


class Followed(NamedTuple):
    """Segments in the batches of an epoch, each behind the one that it goes on from.

    Attributes:
        sequences: Which sequence each row of each batch is, int64, shape `(batches, rows)`; -1 for none.
        resets: Whether it begins anew instead of going on from the row of the batch before, bool, of the same shape.
    """

    sequences: np.ndarray
    resets: np.ndarray


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


def plan_followed(sequences: Sequences, batch_size: int, carry: int, *, shuffle: int) -> Followed:
    """The batches of an epoch in which rows follow recordings: every sequence exactly once.

    Each run (see `runs`) is cut into groups of `carry` segments from an offset of its own: its first group has from 1
    to `carry`, its last what is left. The groups are shuffled and laid end to end, and that line is cut into
    `min(batch_size, sequences)` rows of equal length, up to one segment: a row goes along its part of the line, a
    segment a batch. So a segment begins anew where its group begins, and where a row of the epoch does, which may be
    within a group.

    Args:
        sequences: What is batched.
        batch_size: Rows; there are no more than sequences.
        carry: Segments after which a row begins anew.
        shuffle: Seed of offsets and order; with the same lengths and recordings it gives the same plan.
    """
    import numpy as np

    if batch_size < 1 or carry < 1:
        raise ValueError(f"batch_size is {batch_size} and carry {carry}; at least 1 is needed of each")
    generator = np.random.default_rng(shuffle)
    cut: list[range] = []
    for run in runs(sequences):
        first = int(generator.integers(1, carry + 1))
        cut += [run[:first], *groups([run[first:]], carry)] if len(run) > first else [run]
    order = generator.permutation(len(cut))
    starts = np.array([group.start for group in cut], dtype=np.int64)[order]
    counts = np.array([len(group) for group in cut], dtype=np.int64)[order]
    places = np.cumsum(counts) - counts  # of the groups on the line
    line = np.repeat(starts - places, counts) + np.arange(counts.sum())
    begins = np.zeros(len(line), dtype=bool)
    begins[places] = True
    rows = min(batch_size, len(line))
    batches = -(-len(line) // max(rows, 1))
    planned = np.full((batches, rows), -1, dtype=np.int64)
    resets = np.ones((batches, rows), dtype=bool)
    for row, where in enumerate(np.array_split(np.arange(len(line)), max(rows, 1)) if rows else []):
        planned[: len(where), row] = line[where]
        resets[: len(where), row] = begins[where]
    resets[:1] = True
    return Followed(planned, resets)


def followed_shares(
    sequences: Sequences, batch_size: int, carry: int, *, shuffle: int, rank: int = 0, size: int = 1, skip: int = 0
) -> Iterator[Share]:
    """One process's rows of every batch of `plan_followed`: row r is always that of process r modulo `size`.

    Every batch has all rows, those without a sequence as padding that begins anew; a process without a row has one of
    padding. Indices are of the rows that have a sequence.

    Args:
        sequences: What is batched.
        batch_size: Rows of a batch, over all processes.
        carry: Segments after which a row begins anew.
        shuffle: As for `plan_followed`.
        rank: Which process.
        size: How many there are.
        skip: Batches to leave out at the beginning.
    """
    import torch

    plan = plan_followed(sequences, batch_size, carry, shuffle=shuffle)
    for chosen, resets in zip(plan.sequences[skip:], plan.resets[skip:], strict=True):
        own, anew = chosen[rank::size], torch.from_numpy(resets[rank::size].copy())
        batch = _with_gaps(sequences, own, draw=1 + shuffle % DRAWS)
        frames = int(sequences.lengths[chosen[chosen >= 0]].sum())
        yield Share(batch, frames, anew if len(anew) else torch.ones(1, dtype=torch.bool))


def _with_gaps(sequences: Sequences, rows: np.ndarray, *, draw: int) -> Batch:
    """The batch of these sequences, with padding where there is -1."""
    import torch

    there = rows >= 0
    if not there.any():
        count = max(1, len(rows))
        mask = torch.zeros(count, 1, dtype=torch.bool)
        return Batch(torch.zeros(count, 1, sequences.frame), mask, torch.zeros(0, dtype=torch.int64))
    found = collate(sequences, rows[there], draw=draw)
    if there.all():
        return found
    where = torch.from_numpy(there)
    x = found.x.new_zeros(len(rows), *found.x.shape[1:])
    mask = found.mask.new_zeros(len(rows), found.mask.shape[1])
    x[where], mask[where] = found.x, found.mask
    return Batch(x, mask, found.indices)


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
