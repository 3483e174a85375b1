"""Running a guide over sequences of any length and any number of particles in memory that grows with neither."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from pyro_vrnn.inference.noise import Noise
from pyro_vrnn.model.draws import Reading, infer, read
from pyro_vrnn.model.guides import Guide
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.rollout import Rollout, follow
from pyro_vrnn.model.state import Past, State

#: Steps of all rows (sequences times particles) together that one pass holds.
STEPS = 2**14
#: Frames of the longest sequence that is read whole; a longer one comes alone, and in pieces.
LONGEST = 4096
#: Frames of such a piece.
PIECE = 512

#: A batch's noise, or None for the caller's random state.
_AnyNoise = TypeVar("_AnyNoise", Noise, Noise | None)


class Frames(Protocol):
    """Frames ``(B, T, X)``: a tensor, or what reads ``x[:, a:b]`` when it is asked for."""

    @property
    def shape(self) -> Any: ...  # noqa: D102 (of an array)
    def __getitem__(self, where: Any, /) -> Any: ...


class Piece(NamedTuple):
    """Successive steps of a batch, with what is known of them before any latent is drawn.

    Attributes:
        steps: Which steps.
        x: Frames, ``(B, t, X)``.
        mask: True for frames, ``(B, t)``.
        reading: What the guide has read; None without a guide.
    """

    steps: range
    x: Tensor
    mask: Tensor
    reading: Reading | None


class Pieces:
    """A batch of sequences in pieces, as often as it is iterated over.

    A guide that reads the future reads all pieces first, from the last to the first, and what it prepared waits in a
    memory map.

    Args:
        net: The parts.
        x: Frames, ``(B, T, X)``; one sequence alone if T exceeds :data:`LONGEST`.
        mask: True for frames, ``(B, T)``.
        guide: Whose readings are wanted; None for the net's own, if it has one.
    """

    def __init__(self, net: VRNN, x: Frames, mask: Tensor, guide: Guide | None = None) -> None:
        self.net, self.x, self.mask = net, x, mask
        self.guide = net.guide if guide is None else guide
        self.like = next(net.parameters())
        # Gradients go through all steps at once: nothing is saved by cutting, and what is spilled has none.
        block = 1 if self.guide is None else self.guide.block
        self.steps = [range(mask.shape[-1])] if torch.is_grad_enabled() else spans(mask.shape[-1], block)
        alone = len(self.steps) == 1 or (len(mask) == 1 and bool(mask.all()))
        assert alone, "a long sequence comes alone, without padding"
        self._spilled: np.ndarray[Any, Any] | None = None
        if self.guide is not None and self.guide.reads_future and len(self.steps) > 1:
            self._spilled = self._prepared_backwards(self.guide)

    def __iter__(self) -> Iterator[Piece]:
        state, memory = None, None
        for steps in self.steps:
            x, mask = self._frames(steps)
            reading = None
            if self.guide is not None:
                reading, memory, state = self._read(self.guide, steps, x, mask, state, memory)
            yield Piece(steps, x, mask, reading)

    def infer(
        self, particles: range | None = None, noise: Noise | None = None
    ) -> Iterator[tuple[Piece, Tensor, Rollout]]:
        """Draws the latents piece by piece, the state carried over.

        Args:
            particles: Which; None for one draw without an axis of particles.
            noise: What the draws are made of; None for the caller's random state.

        Yields:
            Each piece with its z, ``(*K, B, t, Z)``, and its rollout.
        """
        state = None
        for piece in self:
            B, batch_shape = len(piece.mask), (() if particles is None else (len(particles),))
            eps = None
            if noise is not None:
                eps = noise.normal(
                    range(1) if particles is None else particles, piece.steps, self.net.dims.z, self.like
                )
                eps = eps[0] if particles is None else eps
            z, rollout = infer(
                self.net, piece.x, piece.mask, (*batch_shape, B),
                guide=self.guide, past=None if state is None else Past(state), eps=eps, reading=piece.reading,
            )  # fmt: skip
            state = rollout.last
            yield piece, z, rollout

    def follow(self) -> Iterator[tuple[Piece, Rollout]]:
        """Runs a model without latents piece by piece, the state carried over."""
        past = None
        for piece in self:
            rollout = follow(self.net, piece.x, piece.mask, piece.x.new_zeros((*piece.x.shape[:-1], 0)), past)
            past = Past(rollout.last)
            yield piece, rollout

    def _frames(self, steps: range) -> tuple[Tensor, Tensor]:
        where = slice(steps.start, steps.stop)
        return self.x[:, where].to(self.like), self.mask[:, where].to(self.like.device)

    def _read(
        self, guide: Guide, steps: range, x: Tensor, mask: Tensor, state: State | None, memory: Any
    ) -> tuple[Reading, Any, State | None]:
        """The reading of a piece, and what that of the next needs."""
        if self._spilled is None:
            reading, memory = read(self.net, guide, x, mask, state, memory)
        else:
            prepared = torch.from_numpy(self._spilled[:, steps.start : steps.stop]).to(self.like)
            features_x = self.net.phi_x(x)
            reading = Reading(features_x, prepared, self.net.ran_without_z(features_x, state))
        if reading.ran is not None:
            _, last_h, private = reading.ran
            state = State(last_h, last_h.new_zeros((*last_h.shape[:-1], self.net.dims.z)), private)
        return reading, memory, state

    def _prepared_backwards(self, guide: Guide) -> np.ndarray[Any, Any]:
        firsts: list[State | None] = [None]  # the state before each piece, where the recurrence reads no z
        if not self.net.recurrence.reads_z:
            for steps in self.steps[:-1]:
                ran = self.net.ran_without_z(self.net.phi_x(self._frames(steps)[0]), firsts[-1])
                assert ran is not None
                firsts.append(State(ran[1], ran[1].new_zeros((1, self.net.dims.z)), ran[2]))
        memory, spilled = None, None
        with TemporaryDirectory(prefix="pyro_vrnn-") as folder:  # the map outlives its name
            for i in reversed(range(len(self.steps))):
                steps = self.steps[i]
                reading, memory = read(self.net, guide, *self._frames(steps), firsts[min(i, len(firsts) - 1)], memory)
                prepared = reading.prepared.numpy(force=True)
                if spilled is None:
                    shape = (1, self.mask.shape[-1], prepared.shape[-1])
                    spilled = np.memmap(Path(folder) / "prepared", prepared.dtype, "w+", shape=shape)
                spilled[:, steps.start : steps.stop] = prepared
        assert spilled is not None
        return spilled


def spans(T: int, block: int = 1) -> list[range]:
    """The steps of each piece of sequences of T frames, in multiples of a block."""
    size = T if T <= LONGEST else block * max(1, PIECE // block)
    return [range(start, min(start + size, T)) for start in range(0, T, size)]


def parts(x: Frames, mask: Tensor, noise: _AnyNoise, particles: int = 1) -> Iterator[tuple[Frames, Tensor, _AnyNoise]]:
    """A batch in parts of whole rows, each of which one pass takes.

    Args:
        x: Frames, ``(B, T, X)``.
        mask: True for frames, ``(B, T)``.
        noise: Of the batch.
        particles: That are held at once for each row.

    Yields:
        Frames, mask and noise of some rows.
    """
    for rows in groups(mask, particles):
        own_x, own_mask = rows_of(x, mask, rows)
        yield own_x, own_mask, noise if noise is None else noise.of(rows)


def groups(mask: Tensor, particles: int = 1) -> Iterator[slice]:
    """Rows of a batch that one pass takes, sequences longer than :data:`LONGEST` alone.

    Args:
        mask: True for frames, ``(B, T)``.
        particles: That are held at once for each.
    """
    B, T = mask.shape
    size = 1 if T > LONGEST else max(1, STEPS // (T * particles))
    return (slice(start, min(start + size, B)) for start in range(0, B, size))


def rows_of(x: Frames, mask: Tensor, rows: slice) -> tuple[Frames, Tensor]:
    """Some rows of a batch; a long sequence without its padding."""
    if len(mask[rows]) < len(mask):
        x, mask = x[rows], mask[rows]
    if mask.shape[-1] > LONGEST and not mask.all():
        frames = int(mask.sum())
        x, mask = x[:, :frames], mask[:, :frames]
    return x, mask


def chunks(mask: Tensor, particles: int) -> Iterator[range]:
    """The particles that one pass takes of a batch."""
    B, T = mask.shape
    size = max(1, STEPS // (B * (PIECE if T > LONGEST else T)))
    return (range(start, min(start + size, particles)) for start in range(0, particles, size))
