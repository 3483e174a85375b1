"""What flows from step to step, and the widths that parts agree on."""

from dataclasses import dataclass
from typing import NamedTuple

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
