"""Counts what would make a CPU wait for a device."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_METHODS = ("item", "tolist", "cpu", "numpy", "nonzero", "__bool__", "__float__", "__int__", "__index__", "__array__")
_OPERATORS = ("_local_scalar_dense", "equal", "is_nonzero", "nonzero", "masked_select", "_unique2")


class Waits(TorchDispatchMode):
    """While it is entered, every reading of a number and every copy between devices is remembered by name."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        result = function(*args, **(kwargs or {}))
        tensors = [a for a in tree_leaves((args, kwargs)) if isinstance(a, Tensor)]
        copied = name in ("_to_copy", "copy_") and len({a.device for a in (*tensors, result)}) > 1
        chosen = name in ("index", "index_put_") and any(a.dtype == torch.bool for a in args[1] if a is not None)
        if copied or chosen or name in _OPERATORS:
            self.names.append(name)
        return result


@contextmanager
def counted() -> Iterator[list[str]]:
    """The names of what waits in this block; one name for each, however it is reached."""
    depth = 0

    def counting(name, original):
        def method(self, *args, **kwargs):
            nonlocal depth
            before, depth = len(waits.names), depth + 1
            try:
                return original(self, *args, **kwargs)
            finally:
                depth -= 1
                del waits.names[before:]
                if depth == 0:
                    waits.names.append(name)

        return method

    with (
        Waits() as waits,
        mock.patch.multiple(Tensor, **{name: counting(name, getattr(Tensor, name)) for name in _METHODS}),
    ):
        yield waits.names
