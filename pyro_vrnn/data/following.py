"""Batches whose rows follow recordings. NumPy and torch are loaded when a plan or a batch is made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from .batches import DRAWS, Batch, Share, collate
from .joining import groups, runs

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
