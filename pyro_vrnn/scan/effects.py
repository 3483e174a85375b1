"""What operations do beside giving new tensors: they write to memory, draw, or give what only values decide."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

_HIDDEN_READS = {Tensor.tolist, Tensor.numpy, Tensor.__array__, Tensor.__dlpack__}


class CannotRecordError(Exception):
    """A step that is not the same operations each time; the message says why."""


def writes(node: Node) -> bool:
    """Whether an operation writes to what it is given."""
    schema = getattr(node.target, "_schema", None)
    return schema is not None and schema.is_mutable


def draws(node: Node) -> bool:
    """Whether an operation draws random numbers."""
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


def written_storages(nodes: Iterable[Node]) -> set[Any]:
    """The memory, by the numbers in ``meta["storage"]``, that is read by operations that write."""
    return {a.meta.get("storage") for node in nodes if writes(node) for a in (node, *node.all_input_nodes)} - {None}


def touches(node: Node, storages: set[Any]) -> bool:
    """Whether an operation reads or gives memory among these."""
    return any(a.meta.get("storage") in storages for a in (node, *node.all_input_nodes))


def written_tensors(func: Any, args: Any, kwargs: Any) -> list[Tensor]:
    """The tensors that an operation writes to."""
    if func is torch.ops.aten.native_batch_norm.default:  # which does not declare it
        *_, mean, variance, training, _, _ = args
        return [a for a in (mean, variance) if training and a is not None]
    declared = func._schema.arguments
    named = dict(zip((argument.name for argument in declared), args, strict=False)) | kwargs
    writes = [a.name for a in declared if a.alias_info is not None and a.alias_info.is_write]
    return [a for a in pytree.tree_leaves([named.get(name) for name in writes]) if isinstance(a, Tensor)]


def storage_of(a: Tensor) -> int:
    """A number for a tensor's memory, its own as long as that lives."""
    return a.untyped_storage()._cdata


def casts(device: str) -> torch.dtype | None:
    """What autocast casts to on this kind of device, if it is on."""
    on = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if on else None


def no_autocast(device: str) -> AbstractContextManager[Any]:
    """Nothing is cast: what autocast would cast was recorded as cast."""
    return nullcontext() if casts(device) is None else torch.autocast(device, enabled=False)


def reads_values(func: Any, args: Any) -> bool:
    """Whether what an operation gives, or of which shape, is known only when values are."""
    if func is torch.ops.aten.index.Tensor:
        return any(a is not None and a.dtype in (torch.bool, torch.uint8) for a in args[1])
    return torch.Tag.data_dependent_output in func.tags or torch.Tag.dynamic_output_shape in func.tags


class NoHiddenReads(TorchFunctionMode):
    """Refuses what reads a tensor's memory without an operation."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _HIDDEN_READS:
            raise CannotRecordError("it reads the value of a tensor")
        return func(*args, **(kwargs or {}))
