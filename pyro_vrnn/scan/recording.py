"""Recording a step: the operations it is made of, forward and backward, as two graphs of torch.fx."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

#: One step: from the carry and the rows of this step to the carry and what is made.
Step = Callable[[tuple[Tensor, ...], tuple[Tensor, ...]], tuple[tuple[Tensor, ...], tuple[Tensor, ...]]]

# What an operation's result is known by. The graph keeps what it saved under other Python objects, so that identity
# would not do; storages live as long as the recording, so that their addresses are not used again.
_Key = tuple[int, int, tuple[int, ...], tuple[int, ...], torch.dtype]


class CannotRecordError(Exception):
    """A step that is not the same operations each time; the message says why."""


@dataclass
class Recorded:
    """A step as operations.

    Attributes:
        graph: Forward and backward, one after the other.
        carry: Placeholders of the carry.
        rows: Placeholders of this step's rows.
        outside: What the step reads beside those, with its placeholder, in the order of first use: parameters, buffers.
        after: The carry after the step, and what it made.
        cotangents: Placeholders of the gradients of ``after``; None where no gradient can come.
        gradients: Gradients of the carry, the rows and the outside tensors; None where there is none.
        forward: The nodes of the forward pass.
    """

    graph: Graph
    carry: list[Node] = field(default_factory=list)
    rows: list[Node] = field(default_factory=list)
    outside: list[tuple[Tensor, Node]] = field(default_factory=list)
    after: list[Node] = field(default_factory=list)
    cotangents: list[Node | None] = field(default_factory=list)
    gradients: list[Node | None] = field(default_factory=list)
    forward: list[Node] = field(default_factory=list)

    @property
    def signature(self) -> list[Any]:
        """What the forward pass does, with its constants, comparable."""
        return [_described(node) for node in self.forward]


def record(step: Step, carry: Sequence[Tensor], rows: Sequence[Tensor], *, backward: bool = True) -> Recorded:
    """Runs a step and writes down what it does; where gradients are enabled, also its backward pass.

    Args:
        step: The step.
        carry: The carry before it.
        rows: What this step reads.
        backward: Whether the backward pass is wanted.

    Raises:
        CannotRecordError: If its operations depend on values, or its results are not what it computed.
    """
    backward = backward and torch.is_grad_enabled()
    recorded = Recorded(Graph())
    recorder = _Recorder(recorded)
    # Copies: what is one tensor before the first step (h and c) is not later. Nor are later carries constants.
    read = [a.detach().clone().requires_grad_(backward) for a in carry]
    read += [a.detach().clone().requires_grad_(backward and a.requires_grad) for a in rows]
    for group, a in zip([recorded.carry] * len(carry) + [recorded.rows] * len(rows), read, strict=True):
        group.append(recorder.placeholder(a))
    # A product that autocast keeps of a parameter was not computed here, and would not follow the parameter.
    cache = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        with recorder:
            after, made = step(tuple(read[: len(carry)]), tuple(read[len(carry) :]))
            results = [*after, *made]
            recorded.after = [recorder.node_of(a) for a in results]
            recorded.forward = list(recorded.graph.nodes)
            if backward:
                _record_backward(recorder, read, results)
    finally:
        torch.set_autocast_cache_enabled(cache)
    return recorded


def _record_backward(recorder: "_Recorder", read: list[Tensor], results: list[Tensor]) -> None:
    recorded = recorder.recorded
    wanted = [a for a in (*read, *(a for a, _ in recorded.outside)) if a.requires_grad]
    differentiable = [a for a in results if a.requires_grad]
    given = [torch.ones_like(a) for a in differentiable]
    placeholders = iter([recorder.placeholder(a) for a in given])
    recorded.cotangents = [next(placeholders) if a.requires_grad else None for a in results]
    found = iter(torch.autograd.grad(differentiable, wanted, given, allow_unused=True) if wanted and given else ())
    for a in (*read, *(a for a, _ in recorded.outside)):
        gradient = next(found, None) if a.requires_grad else None
        recorded.gradients.append(None if gradient is None else recorder.node_of(gradient))


class _Recorder(TorchDispatchMode):
    """Adds every operation below autograd to the graph, as it is computed."""

    def __init__(self, recorded: Recorded) -> None:
        super().__init__()
        self.recorded = recorded
        self._nodes: dict[_Key, Node] = {}
        self._given: set[int] = set()
        self._alive: list[Tensor] = []

    def placeholder(self, a: Tensor) -> Node:
        """A tensor that is there before the step."""
        self._given.add(_storage(a))
        return self._bind(a, self.recorded.graph.placeholder(f"given_{len(self._alive)}"))

    def node_of(self, a: Tensor) -> Node:
        """The node that gave a tensor; of one that comes from outside its placeholder."""
        known = self._nodes.get(_key(a))
        if known is None:
            if a.grad_fn is not None:
                raise CannotRecordError("it reads a tensor that was computed outside of it with gradients")
            if self.recorded.forward:
                raise CannotRecordError("its backward pass reads what its forward pass did not")
            first = next(iter(self.recorded.graph.nodes), None)
            with self.recorded.graph.inserting_before(first):
                known = self.placeholder(a)
            self.recorded.outside.append((a, known))
        return known

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten._local_scalar_dense.default:
            raise CannotRecordError("it reads the value of a tensor")
        named = pytree.tree_map_only(Tensor, self.node_of, (args, kwargs))
        out = func(*args, **kwargs)
        mutates = func._schema.is_mutable
        results = [a for a in pytree.tree_leaves(out) if isinstance(a, Tensor)]
        if not mutates and all(_key(a) in self._nodes for a in results):
            return out  # a view of the whole, a detached copy: no operation
        if mutates and any(_storage(a) in self._given for a in _written(func, args, kwargs)):
            raise CannotRecordError(f"{func} writes to what the step was given")
        node = self.recorded.graph.call_function(func, *named)
        if isinstance(out, Tensor):
            self._bind(out, node, anew=mutates)
        else:
            for i, a in enumerate(out):
                if isinstance(a, Tensor):
                    item = self.recorded.graph.call_function(_item, (node, i))
                    self._bind(a, item, anew=mutates)
        return out

    def _bind(self, a: Tensor, node: Node, *, anew: bool = True) -> Node:
        self._alive.append(a)
        if anew or _key(a) not in self._nodes:
            self._nodes[_key(a)] = node
        node.meta["shape"], node.meta["dtype"], node.meta["device"] = a.shape, a.dtype, a.device
        return self._nodes[_key(a)]


def _item(made: Any, i: int) -> Any:
    return made[i]


def _written(func: Any, args: Any, kwargs: Any) -> list[Tensor]:
    """The tensors that an operation writes to."""
    declared = func._schema.arguments
    named = dict(zip((argument.name for argument in declared), args, strict=False)) | kwargs
    writes = [a.name for a in declared if a.alias_info is not None and a.alias_info.is_write]
    return [a for a in pytree.tree_leaves([named.get(name) for name in writes]) if isinstance(a, Tensor)]


def _storage(a: Tensor) -> int:
    return a.untyped_storage()._cdata


def _key(a: Tensor) -> _Key:
    return _storage(a), a.storage_offset(), tuple(a.shape), a.stride(), a.dtype


def _described(node: Node) -> Any:
    if node.op == "placeholder":
        return node.name
    return node.target, pytree.tree_map_only(Node, lambda n: n.name, (node.args, dict(node.kwargs)))
