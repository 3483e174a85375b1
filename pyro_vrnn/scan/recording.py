"""Recording a step: the operations it is made of, forward and backward, as a graph of torch.fx."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from .effects import CannotRecordError, NoHiddenReads, no_autocast, reads_values, storage_of, written_tensors

#: One step: from the carry and the rows of this step to the carry and what is made.
Step = Callable[[tuple[Tensor, ...], tuple[Tensor, ...]], tuple[tuple[Tensor, ...], tuple[Tensor, ...]]]

# What an operation's result is known by. The graph keeps what it saved under other Python objects, so that identity
# would not do; storages live as long as the recording, so that their addresses are not used again.
_Key = tuple[int, int | torch.SymInt, torch.Size, tuple[int, ...], torch.dtype]


@dataclass
class Recorded:
    """A step as operations. Its graph ends with an output node, ``(results, gradients)``.

    Attributes:
        graph: Forward and backward, one after the other; ``meta`` of a node has its ``shape``, ``dtype``, ``device``,
            whether it is ``contiguous``, a number for its ``storage``, and whether it belongs to the ``forward`` pass.
        carry: Placeholders of the carry.
        rows: Placeholders of this step's rows.
        outside: What the step reads beside those, with its placeholder, in the order of first use: parameters, buffers.
        cotangents: Placeholders of the gradients of the results; None where no gradient can come.
    """

    graph: Graph = field(default_factory=Graph)
    carry: list[Node] = field(default_factory=list)
    rows: list[Node] = field(default_factory=list)
    outside: list[tuple[Tensor, Node]] = field(default_factory=list)
    cotangents: list[Node | None] = field(default_factory=list)

    @property
    def results(self) -> tuple[Node, ...]:
        """The carry after the step, then what it made."""
        return self.graph.output_node().args[0][0]  # type: ignore[index, return-value]

    @property
    def gradients(self) -> tuple[Node | None, ...]:
        """Gradients of the carry, the rows and the outside tensors; None where there is none."""
        return self.graph.output_node().args[0][1]  # type: ignore[index, return-value]


def record(step: Step, carry: Sequence[Tensor], rows: Sequence[Tensor]) -> tuple[Recorded, list[Any]]:
    """Runs a step forward and backward, and writes down what it does.

    Args:
        step: The step.
        carry: The carry before it.
        rows: What this step reads.

    Returns:
        The operations, and what :func:`watch` sees of the forward pass.

    Raises:
        CannotRecordError: If its operations depend on values, or its results are not what it computed.
    """
    recorded = Recorded()
    recorder = _Recorder(recorded)
    # Copies: what is one tensor before the first step (h and c) is not later. Nor are later carries constants.
    read = [_copy(a).requires_grad_(a.is_floating_point()) for a in carry]
    read += [_copy(a).requires_grad_(a.requires_grad) for a in rows]
    given = [recorder.placeholder(a) for a in read]
    recorded.carry, recorded.rows = given[: len(carry)], given[len(carry) :]
    with _no_autocast_cache(), recorder:
        results = _run(step, read, len(carry))
        if any(a.shape != b.shape for a, b in zip(results, carry, strict=False)):
            raise CannotRecordError("its carry has another shape after it than before it")
        after = tuple(recorder.node_of(a) for a in results)
        outside, seen = [a for a, _ in recorded.outside], list(recorder.seen)
        recorder.forward = False
        gradients = _record_backward(recorder, [*read, *outside], results)
    recorded.graph.output((after, gradients))
    return recorded, seen


def watch(step: Step, carry: Sequence[Tensor], rows: Sequence[Tensor]) -> tuple[list[Tensor], list[Any]]:
    """Runs a step forward, and says what it read from outside and what it did: the operations with their constants.

    Raises:
        CannotRecordError: If its operations depend on values.
    """
    watcher = _Watcher()
    read = [_copy(a) for a in (*carry, *rows)]
    for a in read:
        watcher.number(a)
    with _no_autocast_cache(), watcher:
        _run(step, read, len(carry))
    return watcher.outside, watcher.seen


def _copy(a: Tensor) -> Tensor:
    return a.detach().clone(memory_format=torch.contiguous_format)


def _run(step: Step, read: Sequence[Tensor], width: int) -> list[Tensor]:
    with NoHiddenReads():
        after, made = step(tuple(read[:width]), tuple(read[width:]))
    return [*after, *made]


def _record_backward(recorder: "_Recorder", inputs: list[Tensor], results: list[Tensor]) -> tuple[Node | None, ...]:
    wanted = [a for a in inputs if a.requires_grad]
    differentiable = [a for a in results if a.requires_grad]
    given = [torch.ones_like(a) for a in differentiable]
    placeholders = iter([recorder.placeholder(a) for a in given])
    recorder.recorded.cotangents = [next(placeholders) if a.requires_grad else None for a in results]
    device = results[0].device.type
    with _no_hooks(wanted), no_autocast(device):
        found = iter(torch.autograd.grad(differentiable, wanted, given, allow_unused=True) if wanted and given else ())
    gradients = [next(found, None) if a.requires_grad else None for a in inputs]
    return tuple(None if a is None else recorder.node_of(a) for a in gradients)


@contextmanager
def _no_hooks(tensors: Sequence[Tensor]) -> Iterator[None]:
    """What hooks do to the gradient of a parameter they will do to that of the whole loop."""
    hooks = [a._backward_hooks for a in tensors]
    for a in tensors:
        a._backward_hooks = None
    try:
        yield
    finally:
        for a, hook in zip(tensors, hooks, strict=True):
            a._backward_hooks = hook


@contextmanager
def _no_autocast_cache() -> Iterator[None]:
    """What autocast keeps of a parameter was not computed here, and would not follow the parameter."""
    before = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(before)


class _Watcher(TorchDispatchMode):
    """Sees every operation below autograd, as it is computed.

    Attributes:
        seen: The operations: each its function and its arguments, tensors by their numbers; and what the tensors from
            outside are like.
        outside: Tensors that were there before and were not numbered.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []
        self.outside: list[Tensor] = []
        self._numbers: dict[_Key, int] = {}
        self._alive: list[Tensor] = []

    def number(self, a: Tensor) -> int:
        """Gives a tensor the next number."""
        self._numbers[_key(a)] = len(self._alive)
        self._alive.append(a)
        return len(self._alive) - 1

    def number_of(self, a: Tensor) -> int:
        """The number of a tensor."""
        known = self._numbers.get(_key(a))
        if known is not None:
            return known
        if a.grad_fn is not None:
            raise CannotRecordError("it reads a tensor that was computed outside of it with gradients")
        self.outside.append(a)
        self.seen.append(("outside", a.shape, a.stride(), a.dtype, a.device, a.requires_grad))
        return self.number(a)

    def about_to(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Told of an operation before it is done; what it returns is handed to :meth:`did`."""

    def did(self, prepared: Any, number: int, a: Tensor, position: int | None) -> None:
        """Told of an operation's new result and its number; position is that among several."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if reads_values(func, args):
            raise CannotRecordError("it reads the value of a tensor")
        described = (func, self._described(args), self._described(tuple(kwargs.items())))
        prepared = self.about_to(func, args, kwargs)
        out = func(*args, **kwargs)
        single = isinstance(out, Tensor)
        made = tuple(out) if isinstance(out, tuple | list) else (out,)
        results = [a for a in made if isinstance(a, Tensor)]
        mutates = func._schema.is_mutable
        if not mutates and all(_key(a) in self._numbers for a in results):
            return out  # a view of the whole, a detached copy: no operation
        self.seen.append(described)
        for i, a in enumerate(made):
            if isinstance(a, Tensor) and (mutates or _key(a) not in self._numbers):
                self.did(prepared, self.number(a), a, None if single else i)
        return out

    def _described(self, a: Any) -> Any:
        if isinstance(a, Tensor):
            return ("tensor", self.number_of(a))
        if isinstance(a, tuple | list):
            return tuple(map(self._described, a))
        if isinstance(a, torch.Generator):
            raise CannotRecordError("it draws from a generator of its own")
        return a


class _Recorder(_Watcher):
    """Adds every operation to a graph."""

    def __init__(self, recorded: Recorded) -> None:
        super().__init__()
        self.recorded, self.forward = recorded, True
        self._nodes: dict[int, Node] = {}
        self._given: set[int] = set()

    def placeholder(self, a: Tensor) -> Node:
        """A tensor that is there before the step."""
        return self._given_node(a, self.number(a))

    def number_of(self, a: Tensor) -> int:
        """The number of a tensor; of one from outside a new one, with a placeholder."""
        before = len(self.outside)
        number = super().number_of(a)
        if len(self.outside) > before:
            if not self.forward:
                raise CannotRecordError("its backward pass reads what its forward pass did not")
            with self.recorded.graph.inserting_before(next(iter(self.recorded.graph.nodes), None)):
                self.recorded.outside.append((a, self._given_node(a, number)))
        return number

    def node_of(self, a: Tensor) -> Node:
        """The node that gave a tensor."""
        return self._nodes[self.number_of(a)]

    def about_to(self, func: Any, args: Any, kwargs: Any) -> Node:
        """Adds the operation."""
        if any(storage_of(a) in self._given for a in written_tensors(func, args, kwargs)):
            raise CannotRecordError(f"{func} writes to what the step was given")
        node = self.recorded.graph.call_function(func, *pytree.tree_map_only(Tensor, self.node_of, (args, kwargs)))
        node.meta["forward"] = self.forward
        return node

    def did(self, prepared: Node, number: int, a: Tensor, position: int | None) -> None:
        """Remembers which node gave a tensor."""
        node = prepared
        if position is not None:
            node = self.recorded.graph.call_function(item_of, (prepared, position))
            node.meta["forward"] = self.forward
        node.meta.update(_facts(a))
        self._nodes[number] = node

    def _given_node(self, a: Tensor, number: int) -> Node:
        self._given.add(storage_of(a))
        node = self.recorded.graph.placeholder(f"given_{number}")
        node.meta.update(_facts(a), forward=self.forward)
        self._nodes[number] = node
        return node


def item_of(made: Any, i: int) -> Any:
    """One result of an operation that has several."""
    return made[i]


def _facts(a: Tensor) -> dict[str, Any]:
    facts = {"shape": a.shape, "dtype": a.dtype, "device": a.device}
    return {**facts, "contiguous": a.is_contiguous(), "storage": storage_of(a)}


def _key(a: Tensor) -> _Key:
    return storage_of(a), a.storage_offset(), a.shape, a.stride(), a.dtype
