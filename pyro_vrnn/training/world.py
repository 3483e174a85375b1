"""The processes that train one model together. A process by itself is a world of its own, which costs nothing."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from pyro_vrnn.errors import UserError

Anything = TypeVar("Anything")


class LostRankError(UserError):
    """Another process of the job ended or cannot be reached."""


class World:
    """One process, and the contract of many.

    Every method but :meth:`seed` and :meth:`contact` is collective: all ranks call it, in the same order.

    Attributes:
        rank: Which process this is, from 0.
        size: How many there are.
        device: This rank's own; None where there is but one rank, which takes what it is given.
    """

    rank = 0
    size = 1
    device: torch.device | None = None

    @property
    def writes(self) -> bool:
        """Whether this is the rank that prints, tracks and writes files."""
        return self.rank == 0

    def seed(self, seed: int, step: int = 0) -> int:
        """Of this rank's noise, independent of every other rank's; rank 0 begins with the seed of the run itself.

        Args:
            seed: The seed of the run.
            step: Optimiser steps that are done.
        """
        if self.rank == 0 and step == 0:
            return seed
        return int(np.random.SeedSequence([seed, step, self.rank]).generate_state(1, np.uint64)[0])

    def wrap(self, objective: nn.Module) -> Callable[..., Tensor]:
        """The objective, whose loss is that of this rank's rows and whose gradient is of the sum over ranks."""
        return objective

    def sum(self, values: Tensor) -> Tensor:
        """The sum over ranks, element by element, on the tensor's device; it passes no gradient."""
        return values.detach()

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Whether each flag is set on some rank, without waiting for a GPU."""
        return flags

    def gather(self, value: Anything) -> list[Anything]:
        """Everybody's value, by rank."""
        return [value]

    def from_first(self, make: Callable[[], Anything]) -> Anything:
        """What rank 0 makes, or the :class:`~pyro_vrnn.errors.UserError` that it raises instead, on every rank."""
        return make()

    def tensors_from_first(
        self, make: Callable[[], tuple[Mapping[str, Tensor], Anything]]
    ) -> tuple[dict[str, Tensor], Anything]:
        """As :meth:`from_first` for named tensors on the CPU and something small."""
        tensors, other = make()
        return dict(tensors), other

    def contact(self) -> AbstractContextManager[None]:
        """Around whatever may wait for other ranks: that one of them is gone becomes a :class:`LostRankError`."""
        return nullcontext()

    def close(self) -> None:
        """Parts from the others, who may end from now on."""
