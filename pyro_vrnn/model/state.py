"""What flows from step to step, and the widths that parts agree on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor


class State(NamedTuple):
    """The past as step t may read it: everything here belongs to step t - 1.

    Attributes:
        h: The recurrence's (top layer's) output :math:`h_{t-1}`, ``(*B, H)``: all of the past that densities read.
        z: The last latent :math:`z_{t-1}`, ``(*B, Z)``; zeros before the first step.
        memory: Private to the recurrence (lower layers, the LSTM's cells), each ``(*B, H)``.
    """

    h: Tensor
    z: Tensor
    memory: tuple[Tensor, ...] = ()

    def expand(self, batch_shape: torch.Size | tuple[int, ...]) -> "State":
        """The same, for particles in front."""
        h, z, *memory = (a.expand(*batch_shape, -1) for a in (self.h, self.z, *self.memory))
        return State(h, z, tuple(memory))


class Past(NamedTuple):
    """What sequences go on from where they are segments of longer ones; all of it zero is what a sequence begins with.

    Every tensor has the sequences of the batch as its last axis but one, so that some can begin anew beside others that
    go on (:meth:`anew`).

    Attributes:
        state: Of the step before the first, with batch ``(B,)``: one past for all particles, or ``(*K, B)``: each has
            its own.
        memory: The guide's own (:meth:`pyro_vrnn.model.guides.Guide.prepare`): None, a tensor ``(*, B, D)`` or nested
            tuples of them. None where the guide reads the future, whose memory is of what comes.
    """

    state: State
    memory: Any = None

    def anew(self, rows: Tensor) -> "Past":
        """The same, but zero for the sequences that ``rows``, bool ``(B,)``, says."""
        return self.each(lambda a: a.masked_fill(rows.unsqueeze(-1), 0.0))

    def detach(self) -> "Past":
        """The same values, through which no gradient goes."""
        return self.each(Tensor.detach)

    def of_particle(self, k: int) -> "Past":
        """Particle k's, from ``(K, B)`` to ``(B,)``; the guide's memory is of x, which all particles share."""
        h, z, memory = self.state
        return Past(State(h[k], z[k], tuple(private[k] for private in memory)), self.memory)

    def each(self, change: Callable[[Tensor], Tensor]) -> "Past":
        """The same with every tensor changed."""
        h, z, memory = self.state
        state = State(change(h), change(z), tuple(change(private) for private in memory))
        return Past(state, _each(change, self.memory))


def _each(change: Callable[[Tensor], Tensor], memory: Any) -> Any:
    if isinstance(memory, tuple):
        return tuple(_each(change, item) for item in memory)
    return None if memory is None else change(memory)


@dataclass(frozen=True)
class Dims:
    """Widths that the parts of one model agree on.

    Attributes:
        x: Values in a frame.
        z: Latent values in a step; 0 for a model without latents.
        h: Units of the recurrence.
        phi_x: Features of a frame, phi_x(x_t).
        phi_z: Features of a latent, phi_z(z_t).
        h_reads_z: Whether the recurrence reads z (False: SRNN and the RNN baselines, whose h is known before any z).
    """

    x: int
    z: int
    h: int
    phi_x: int
    phi_z: int
    h_reads_z: bool = True


def before(first: Tensor, after: Tensor) -> Tensor:
    """From what each step made, ``(*B, T, D)``, to what each step reads: one step later, beginning with ``first``."""
    first = first.expand(*after.shape[:-2], -1)
    return torch.cat([first.unsqueeze(-2), after[..., :-1, :]], -2)


def steps_outermost(a: Tensor) -> Tensor:
    """The same values ``(*B, T, D)``, laid out in memory as ``(T, *B, D)``: each step in one piece."""
    return a.movedim(-2, 0).contiguous().movedim(0, -2)
