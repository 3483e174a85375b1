"""A recorded step as two functions, and what of its gradients can wait until the loop is over."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node

from .deferred import Deferred, defer
from .recording import Recorded

Function = Callable[..., Sequence[Any]]


class Plan:
    """How a loop over a recorded step runs.

    The operations that read nothing but outside tensors (a transposed weight) run once a sequence, not once a step.
    The gradient of an outside tensor is a sum over steps; where its terms are matrix products or sums over rows, the
    backward pass gives the factors alone, and one product over all steps follows (:mod:`~pyro_vrnn.scan.deferred`).

    Attributes:
        once: ``once(*outside)``: what is the same for all steps.
        forward: ``forward(*carry, *rows, *outside, *same)``: the results, then what the backward pass needs of them.
        backward: ``backward(*saved, *cotangents, *outside, *same)``: gradients of the carry, then of the rows, then
            the factors and terms of the outside tensors' gradients.
        outside: The outside tensors.
        deferred: How each outside tensor's gradient comes of its factors; None for one without.
    """

    backward: Function

    def __init__(self, recorded: Recorded) -> None:
        self.signature = recorded.signature
        self.outside = tuple(a for a, _ in recorded.outside)
        self.results = len(recorded.after)
        self.rows = len(recorded.rows)
        outside = [node for _, node in recorded.outside]
        given = {*recorded.carry, *recorded.rows}
        forward = set(recorded.forward)
        inner = [*recorded.carry, *recorded.rows]
        gradients = recorded.gradients
        own, of_outside = gradients[: len(inner)], gradients[len(inner) :]
        self.has_gradient = [node is not None for node in own]
        self._results = [node.meta for node in recorded.after]
        self.cotangents = [node is not None for node in recorded.cotangents]
        self.deferred: list[Deferred | None] = []
        factors: list[Node] = []
        for node in of_outside:
            self.deferred.append(None if node is None else defer(node, forward, factors))
        wanted = [*(node for node in own if node is not None), *factors]

        alive = _alive([*recorded.after, *wanted], recorded.graph)
        same = _same_for_all(alive, set(outside))
        back = [node for node in alive if node not in forward and node not in same]
        needed = {read for node in [*back, *wanted] for read in (*node.all_input_nodes, node) if read in forward}
        saved = [node for node in recorded.graph.nodes if node in needed and node not in same and node not in outside]
        self.saved = len(saved)
        front = [node for node in alive if node in forward and node not in same and node not in given]
        constants = [node for node in alive if node in same]

        self.once = _compiled(outside, constants, constants)
        self.forward = _compiled([*inner, *outside, *constants], front, [*recorded.after, *saved])
        cotangents = [node for node in recorded.cotangents if node is not None]
        self.backward = _compiled([*saved, *cotangents, *outside, *constants], back, wanted)

    def zeros(self) -> list[Tensor]:
        """The gradient of each result where none arrives."""
        return [torch.zeros(meta["shape"], dtype=meta["dtype"], device=meta["device"]) for meta in self._results]


def _alive(results: Iterable[Node], graph: Graph) -> list[Node]:
    """The operations that results depend on, in order; one that writes counts for all that read its memory."""
    needed = set(results)
    for node in reversed(graph.nodes):
        if node in needed or _writes(node):
            needed.update({node, *node.all_input_nodes})
    return [node for node in graph.nodes if node in needed and node.op != "placeholder"]


def _same_for_all(nodes: Iterable[Node], outside: set[Node]) -> dict[Node, None]:
    """The operations that read outside tensors alone, draw nothing and write nothing."""
    nodes = list(nodes)
    written = {read for node in nodes if _writes(node) for read in node.all_input_nodes}
    same: dict[Node, None] = {}
    for node in nodes:
        reads = node.all_input_nodes
        if reads and all(read in same or read in outside for read in reads):
            if not (_writes(node) or _draws(node) or node in written):
                same[node] = None
    return same


def _writes(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and schema.is_mutable


def _draws(node: Node) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


def _compiled(given: Sequence[Node], body: Sequence[Node], results: Sequence[Node]) -> Function:
    """A Python function of the given nodes' values that runs the body and returns the results."""
    graph = Graph()
    copies: dict[Node, Node] = {}
    for i, node in enumerate(given):
        copies[node] = graph.placeholder(f"given_{i}")
    for node in body:
        copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(tuple(copies[node] for node in results))
    module = GraphModule(torch.nn.Module(), graph)
    function: Function = type(module).forward
    return lambda *values: function(None, *values)
