"""A recorder that needs no GPU: it does recorded work again, and writes what it gives where the first time left it."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

Made = TypeVar("Made")


class Rerun:
    """As :class:`~pyro_vrnn.scan.cuda.Recorder`; like a graph it computes nothing while it records."""

    def __init__(self) -> None:
        self.recorded = self.launched = 0

    def __call__(self, work: Callable[[], Made]) -> Callable[[], Made]:
        self.recorded += 1
        with torch.random.fork_rng([]):
            made = work()
            # What is in the same memory each time was there before: inputs, parameters.
            there_before = {_storage(a) for a in _tensors(work())}
        for a in _tensors(made):
            if _storage(a) not in there_before:
                a.fill_(float("nan"))

        def launch() -> Made:
            self.launched += 1
            for place, a in zip(_tensors(made), _tensors(work()), strict=True):
                if place.data_ptr() != a.data_ptr():
                    place.copy_(a)
            return made

        return launch


class Broken:
    """Cannot record anything."""

    def __call__(self, work: Callable[[], Made]) -> Callable[[], Made]:
        raise RuntimeError("operation not permitted when stream is capturing\nand a second line")


def _tensors(made: object) -> list[Tensor]:
    return [a for a in pytree.tree_leaves(made) if isinstance(a, Tensor)]


def _storage(a: Tensor) -> int:
    return a.untyped_storage()._cdata
