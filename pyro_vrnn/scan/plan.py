"""A recorded step as functions, with what of it is the same at every step and what of its gradients can wait."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node

from .deferred import Deferred, defer
from .effects import draws, writes, written_storages
from .products import rewrite
from .recording import Recorded

Function = Callable[..., Sequence[Any]]
#: Where values of all steps are: with the carries before the step, or among what a pass keeps.
Kept = Literal["before", "forward", "backward"]


class Plan:
    """How a loop over a recorded step runs.

    What reads nothing but outside tensors (a transposed weight) runs once a sequence, not once a step. What is wanted
    of all steps (results, gradients of rows) is written where it stays, a row a step. The gradient of an outside
    tensor is a sum over steps; where its terms are matrix products or sums over rows, the steps keep the factors alone,
    and one product over all steps follows (:mod:`~pyro_vrnn.scan.deferred`).

    Attributes:
        once: ``once(*outside)``: what is the same for all steps.
        forward: ``forward(*places, *carry, *rows, *outside, *same)``: what the backward pass needs; the carry, and
            what is kept of the step beside it, are written to the places.
        backward: ``backward(*places, *saved, *cotangents, *outside, *same)``: gradients of the carry; those of rows,
            and factors, are written to the places.
        outside: The outside tensors.
        width: Tensors in the carry.
        kept: What of the forward pass is kept, in the order of places, beginning with the carry after the step.
        kept_back: What of the backward pass is kept.
        made: Positions in ``kept`` of what the step makes.
        rows: Positions in ``kept_back`` of the gradients of the rows; None where there is none.
        factors: For each factor where it is kept, and its position there.
        deferred: How each outside tensor's gradient comes of its factors; None for one without.
    """

    def __init__(self, recorded: Recorded, seen: list[Any]) -> None:
        self.seen = seen
        self.outside = tuple(a for a, _ in recorded.outside)
        self.width = len(recorded.carry)
        graph, outside = recorded.graph, [node for _, node in recorded.outside]
        inner = [*recorded.carry, *recorded.rows]
        constants = _same_for_all(graph, outside)
        rewrite(graph, constants)
        _first(graph, constants)

        _tell_apart(recorded)
        results, gradients = recorded.results, recorded.gradients
        after, made = results[: self.width], results[self.width :]
        of_carry = [None if node is None else _in_one_piece(node) for node in gradients[: self.width]]
        of_rows = gradients[self.width : len(inner)]
        factors: list[Node] = []
        self.deferred: list[Deferred | None] = [
            None if node is None else defer(node, factors) for node in gradients[len(inner) :]
        ]
        front, back = _Keeper(), _Keeper()
        for node in after:
            front.place(node)
        self.made = [front.place(node) for node in made]
        self.rows = [None if node is None else back.place(node) for node in of_rows]
        self.factors = [self._factor(node, recorded.carry, front, back) for node in factors]
        self.kept, self.kept_back = front.facts(), back.facts()
        self.has_gradient = [node is not None for node in of_carry]
        self.cotangents = [node is not None for node in recorded.cotangents]
        self._results = [node.meta for node in results]

        wanted = [*(node for node in of_carry if node is not None), *back.nodes]
        alive = _alive(graph, [*after, *front.nodes, *wanted])
        same = [node for node in alive if node in constants]
        ahead = [node for node in alive if node.meta["forward"] and node not in constants]
        behind = [node for node in alive if not node.meta["forward"] and node not in constants]
        read = {a for node in behind for a in node.all_input_nodes} | set(wanted)
        known = {*outside, *constants}
        saved = [a for a in graph.nodes if a in read and a.meta["forward"] and a not in known]
        cotangents = [node for node in recorded.cotangents if node is not None]
        self.once = _compiled(outside, same, same)
        self.forward = _compiled([*inner, *outside, *same], ahead, saved, front)
        carried = [node for node in of_carry if node is not None]
        self.backward = _compiled([*saved, *cotangents, *outside, *same], behind, carried, back)

    def _factor(self, node: Node, carry: list[Node], front: "_Keeper", back: "_Keeper") -> tuple[Kept, int]:
        if node in carry:
            return "before", carry.index(node)
        return ("forward", front.place(node)) if node.meta["forward"] else ("backward", back.place(node))

    def zeros(self) -> list[Tensor]:
        """The gradient of each result where none arrives."""
        return [torch.zeros(meta["shape"], dtype=meta["dtype"], device=meta["device"]) for meta in self._results]


class _Keeper:
    """What is kept of all steps."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def place(self, node: Node) -> int:
        if node not in self.nodes:
            self.nodes.append(node)
        return self.nodes.index(node)

    def facts(self) -> list[dict[str, Any]]:
        return [node.meta for node in self.nodes]


def _tell_apart(recorded: Recorded) -> None:
    """Gives every tensor of the next carry a node of its own: each has its own past."""
    output = recorded.graph.output_node()
    apart: list[Node] = []
    for i, node in enumerate(recorded.results):
        if i < len(recorded.carry) and node in apart:
            with recorded.graph.inserting_before(output):
                copy = recorded.graph.call_function(torch.ops.aten.clone.default, (node,))
            copy.meta.update(node.meta)
            node = copy
        apart.append(node)
    output.args = ((tuple(apart), recorded.gradients),)


def _in_one_piece(node: Node) -> Node:
    """A value as the step before reads it, who was recorded with one that lies so."""
    if node.meta["contiguous"]:
        return node
    graph = node.graph
    with graph.inserting_before(graph.output_node()):
        copy = graph.call_function(torch.ops.aten.clone.default, (node,), {"memory_format": torch.contiguous_format})
    copy.meta.update(node.meta, contiguous=True)
    return copy


def _same_for_all(graph: Graph, outside: Sequence[Node]) -> dict[Node, None]:
    """Outside tensors, and the operations that read them alone, draw nothing and are not written to."""
    written = written_storages(graph.nodes)
    same: dict[Node, None] = dict.fromkeys(outside)
    for node in graph.nodes:
        reads = node.all_input_nodes
        fixed = reads and all(read in same for read in reads) and not (writes(node) or draws(node))
        if node.op == "call_function" and fixed and node.meta.get("storage") not in written:
            same[node] = None
    return same


def _first(graph: Graph, constants: Iterable[Node]) -> None:
    """Moves the operations among them before the step, in their order."""
    anchor = graph.call_function(torch.ops.aten.clone.default, ())
    next(node for node in graph.nodes if node.op == "call_function").prepend(anchor)
    for node in constants:
        if node.op == "call_function":
            anchor.prepend(node)
    graph.erase_node(anchor)


def _alive(graph: Graph, results: Iterable[Node]) -> list[Node]:
    """The operations that results depend on, in order.

    One that writes counts for all that read its memory, one that draws for all that draw after it.
    """
    needed = set(results)
    for node in reversed(graph.nodes):
        if node.op == "call_function" and (node in needed or writes(node) or draws(node)):
            needed.update({node, *node.all_input_nodes})
    return [node for node in graph.nodes if node in needed and node.op == "call_function"]


# The same functions by a shorter way: torch's own names parse their arguments in half the time of torch.ops'.
_SHORT = {
    overload: getattr(torch, packet)
    for packet, overloads in {
        "mm": ("default", "out"),
        "addmm": ("default", "out"),
        "add": ("Tensor", "out"),
        "sub": ("Tensor", "out"),
        "mul": ("Tensor", "out"),
        "div": ("Tensor", "out"),
        "cat": ("default", "out"),
        "sigmoid": ("default", "out"),
        "tanh": ("default", "out"),
        "relu": ("default",),
    }.items()
    for overload in (getattr(getattr(torch.ops.aten, packet), name) for name in overloads)
}


def _compiled(
    given: Sequence[Node], body: Sequence[Node], results: Sequence[Node], keeper: _Keeper | None = None
) -> Function:
    """A Python function of the given nodes' values that runs the body and returns the results.

    With a keeper its second group of arguments are places, which the keeper's nodes are written to.
    """
    graph = Graph()
    places: dict[Node, Node] = {}
    copies: dict[Node, Node] = {}
    for i, node in enumerate(() if keeper is None else keeper.nodes):
        places[node] = graph.placeholder(f"place_{i}")
    for i, node in enumerate(given):
        copies[node] = graph.placeholder(f"given_{i}")
    for node, place in places.items():
        if node in copies:
            graph.call_function(torch.ops.aten.copy_.default, (place, copies[node]))
    # What is written to after it was made is kept as it is in the end.
    written = written_storages(body)
    late = [node for node in body if node in places and node.meta.get("storage") in written]
    for node in body:
        out = _out_variant(node) if node in places and node not in late else None
        copies[node] = graph.node_copy(node, copies.__getitem__)
        if out is not None:
            function, argument = out
            copies[node].target = function
            copies[node].kwargs = {**copies[node].kwargs, argument: places[node]}
        elif node in places and node not in late:
            graph.call_function(torch.ops.aten.copy_.default, (places[node], copies[node]))
        copies[node].target = _SHORT.get(copies[node].target, copies[node].target)
    for node in late:
        graph.call_function(torch.ops.aten.copy_.default, (places[node], copies[node]))
    graph.output(tuple(copies[node] for node in results))
    function = type(GraphModule(torch.nn.Module(), graph)).forward
    return lambda *values: function(None, *values)


def _out_variant(node: Node) -> tuple[Any, str] | None:
    """The function that does the same and writes to a place, and the name of that argument."""
    packet = getattr(node.target, "_overloadpacket", None)
    if packet is None or writes(node) or not node.meta["contiguous"]:
        return None
    wanted = [(a.name, str(a.type)) for a in node.target._schema.arguments]  # type: ignore[union-attr]
    for name in packet.overloads():
        overload = getattr(packet, name)
        declared = overload._schema.arguments
        out = [a.name for a in declared if a.alias_info is not None and a.alias_info.is_write]
        same = [(a.name, str(a.type)) for a in declared if a.name not in out] == wanted
        if same and len(out) == 1 and declared[-1].name == out[0] and declared[-1].kwarg_only:
            return overload, out[0]
    return None
