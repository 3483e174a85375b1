"""Padded batches of sequences. NumPy and torch are loaded when the first batch is made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from .lazy import LazyFrames

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from .joining import Joined
    from .sequences import Sequences

# Shuffled sequences are sorted by length within pools of so many batches. In a corpus of a few batches that alone
# would put the same sequences together in every epoch; lengths that vary by a tenth while sorting mend it, for 2 to 3 %
# of padding.
POOL = 32
JITTER = 0.1

DRAWS = 2**64 - 1  # of noise beside draw 0, which is for scoring; a counter of `Streams` holds no more


class Batch(NamedTuple):
    """Some sequences, side by side.

    Attributes:
        x: Standardised frames, float32, shape `(B, T, frame)`; zeros where there is no frame.
        mask: Where there is a frame, bool, shape `(B, T)`.
        indices: Which sequences these are: positions in their `Sequences`, int64, shape `(B,)`.
    """

    x: Tensor
    mask: Tensor
    indices: Tensor


class LongBatch(NamedTuple):
    """One sequence that is too long to be held whole.

    Attributes:
        x: Standardised frames, shape `(1, T, frame)`, read when a piece is asked for.
        mask: All True, shape `(1, T)`.
        indices: Which sequence this is, int64, shape `(1,)`.
    """

    x: LazyFrames
    mask: Tensor
    indices: Tensor


def number_of_batches(sequences: Sequences, batch_size: int) -> int:
    """How many batches `batches` yields: only the smallest remainder makes one that is not full."""
    return -(-len(sequences) // batch_size)


def batches(sequences: Sequences, batch_size: int, *, shuffle: int | None = None) -> Iterator[Batch]:
    """Every sequence exactly once, in batches of similar lengths.

    A dither's noise is draw 0 without shuffling, and another one for every seed of it: each epoch has its own.

    Args:
        sequences: What is batched.
        batch_size: Sequences a batch; one batch may have fewer.
        shuffle: None: sorted by length. A seed: shuffled, the same for the same seed and lengths.
    """
    draw = 0 if shuffle is None else 1 + shuffle % DRAWS
    return (collate(sequences, chosen, draw=draw) for chosen in plan(sequences.lengths, batch_size, shuffle=shuffle))


class Share(NamedTuple):
    """One process's rows of a batch.

    Attributes:
        batch: The rows; one of padding alone for a process that none are left for.
        frames: Frames of the whole batch, over all processes.
        resets: Which rows begin anew, bool, shape `(B,)`; None where all do, as they do not follow recordings.
    """

    batch: Batch
    frames: int
    resets: Tensor | None = None


def shares(
    sequences: Sequences, batch_size: int, *, shuffle: int, rank: int = 0, size: int = 1, skip: int = 0
) -> Iterator[Share]:
    """The rows of each batch of `batches` that one of several processes takes: of similar lengths, none twice.

    Args:
        sequences: What is batched.
        batch_size: Sequences a batch, over all processes.
        shuffle: As for `batches`.
        rank: Which process.
        size: How many there are.
        skip: Batches to leave out at the beginning.
    """
    for chosen in plan(sequences.lengths, batch_size, shuffle=shuffle)[skip:]:
        rows = chosen[rank::size]
        batch = collate(sequences, rows, draw=1 + shuffle % DRAWS) if len(rows) else _padding(sequences.frame)
        yield Share(batch, int(sequences.lengths[chosen].sum()))


def scoring_batches(
    sequences: Sequences | Joined, rows: int, longest: int = 4096, among: np.ndarray | None = None
) -> Iterator[Batch | LongBatch]:
    """Every sequence exactly once, sorted by length, the long ones alone and read in pieces. A dither's draw is 0.

    Args:
        sequences: What is scored.
        rows: Sequences a batch; the last one before the long ones may have fewer.
        longest: Frames; a longer sequence is a `LongBatch` of its own, whose `x` is `LazyFrames`.
        among: Positions of the sequences that are wanted; None for all.
    """
    import numpy as np
    import torch

    wanted = np.arange(len(sequences)) if among is None else among
    short = wanted[sequences.lengths[wanted] <= longest]
    for chosen in plan(sequences.lengths[short], rows):
        yield collate(sequences, short[chosen])
    long = wanted[sequences.lengths[wanted] > longest]
    for index in long[np.argsort(sequences.lengths[long], kind="stable")].tolist():
        x = LazyFrames(sequences, index)
        yield LongBatch(x, torch.ones(x.shape[:2], dtype=torch.bool), torch.tensor([index]))


def plan(lengths: np.ndarray, batch_size: int, *, shuffle: int | None = None) -> list[np.ndarray]:
    """Which sequences make each batch: positions in `lengths`, in the order of `batches`."""
    import numpy as np

    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; at least 1 is needed")
    if shuffle is None:
        order = np.argsort(lengths, kind="stable")
        return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    generator = np.random.default_rng(shuffle)
    order = generator.permutation(len(lengths))
    jittered = lengths * (1 + JITTER * generator.random(len(lengths)))
    planned = []
    for start in range(0, len(order), POOL * batch_size):
        members = order[start : start + POOL * batch_size]
        members = members[np.argsort(jittered[members], kind="stable")]
        planned += [members[first : first + batch_size] for first in range(0, len(members), batch_size)]
    return [planned[k] for k in generator.permutation(len(planned))]


def collate(sequences: Sequences | Joined, indices: np.ndarray, *, draw: int = 0) -> Batch:
    """The batch of the sequences at these positions, in this order, with this draw of the dither's noise."""
    import numpy as np
    import torch

    lengths = sequences.lengths[indices]
    x = np.zeros((len(indices), int(lengths.max()), sequences.frame), dtype=np.float32)
    for row, index in enumerate(indices):
        x[row, : lengths[row]] = sequences.read(int(index), draw=draw)
    mask = np.arange(x.shape[1]) < lengths[:, None]
    return Batch(torch.from_numpy(x), torch.from_numpy(mask), torch.from_numpy(np.array(indices, dtype=np.int64)))


def _padding(frame: int) -> Batch:
    import torch

    return Batch(torch.zeros(1, 1, frame), torch.zeros(1, 1, dtype=torch.bool), torch.zeros(0, dtype=torch.int64))
