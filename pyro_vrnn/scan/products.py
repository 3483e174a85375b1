"""Matrix products of a step rewritten: fewer, larger, and with weights laid out once a sequence."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node

from .effects import touches, written_storages

_aten = torch.ops.aten
#: Numbers in a weight from which laying it out anew pays: below, the call costs more than it saves.
PACKED = 2**16
#: Rows below which it does not pay either.
ROWS = 8


def rewrite(graph: Graph, constants: dict[Node, None]) -> None:
    """Joins products by weights that are the same at every step, and lays large weights out once.

    Products ``a A`` and ``a B`` become shares of ``a [A B]`` where that is large, then ``p + a A + b B`` becomes
    ``p + [a b] [A; B]``.

    Args:
        graph: A recorded step.
        constants: Nodes that are the same at every step; those that this adds are added.
    """
    written = written_storages(graph.nodes)
    by_operand: dict[tuple[Node, bool], list[Node]] = defaultdict(list)
    for node in graph.nodes:
        if _is_product(node, constants) and not touches(node, written):
            by_operand[node.args[0], node.meta["forward"]].append(node)
    for (operand, _), group in by_operand.items():
        if len(group) > 1:
            _share(graph, operand, group, constants)
    for node in reversed([node for node in graph.nodes if _is_sum(node) and not touches(node, written)]):
        if node.users:
            _join(graph, node, constants, written)
    for node in [node for node in graph.nodes if _is_product(node, constants) or _is_affine(node, constants)]:
        *bias, a, weight = node.args
        if node.users and _worth(node, *weight.meta["shape"]):
            with graph.inserting_before(node):
                _replace(graph, node, _product(graph, a, weight, None, node, constants, *bias))


def _is_product(node: Node, constants: dict[Node, None]) -> bool:
    return node.target is _aten.mm.default and node.args[1] in constants and node.args[0] not in constants


def _is_affine(node: Node, constants: dict[Node, None]) -> bool:
    affine = node.target is _aten.addmm.default and node.args[2] in constants and not node.kwargs
    return affine and len(node.args[0].meta["shape"]) == 1  # type: ignore[union-attr]


def _is_sum(node: Node) -> bool:
    if node.target is not _aten.add.Tensor or node.kwargs or not all(isinstance(a, Node) for a in node.args):
        return False
    return len(node.meta["shape"]) == 2 and all(a.meta.get("shape") == node.meta["shape"] for a in node.all_input_nodes)


def _share(graph: Graph, operand: Node, group: list[Node], constants: dict[Node, None]) -> None:
    """Products that read the same."""
    weights = [product.args[1] for product in group]
    sizes = [weight.meta["shape"][1] for weight in weights]  # type: ignore[union-attr]
    if not _worth(group[0], weights[0].meta["shape"][0], sum(sizes)):  # type: ignore[union-attr]
        return
    with graph.inserting_before(group[0]):
        made = _product(graph, operand, _stacked(graph, weights, 1, constants), None, group[0], constants)
        shares = []
        for i, product in enumerate(group):
            start = sum(sizes[:i])
            shares.append(graph.call_function(_aten.slice.Tensor, (made, 1, start, start + sizes[i])))
            shares[-1].meta.update(product.meta, contiguous=False)
    # Not before: what is put in front of a node that is gone is lost where something else comes to its place.
    for product, share in zip(group, shares, strict=True):
        _replace(graph, product, share)


def _join(graph: Graph, node: Node, constants: dict[Node, None], written: set[Any]) -> None:
    """A sum that has products among its terms."""
    terms: list[Node] = []
    products: list[Node] = []
    pending: list[Any] = list(node.args)
    inner: list[Node] = []
    while pending:
        term = pending.pop(0)
        alone = len(term.users) == 1 and term.meta["forward"] == node.meta["forward"] and not touches(term, written)
        if alone and _is_sum(term):
            inner.append(term)
            pending += term.args
        elif alone and _is_product(term, constants):
            products.append(term)
        else:
            terms.append(term)
    dtypes = {product.meta["dtype"] for product in products}
    if len(dtypes) != 1 or any(term.meta["dtype"] != node.meta["dtype"] for term in terms):
        return
    with graph.inserting_before(node):
        plus: Node | None = None
        for term in terms:
            plus = term if plus is None else _like(graph.call_function(_aten.add.Tensor, (plus, term)), node)
        a = [product.args[0] for product in products]
        joined = a[0] if len(a) == 1 else _like(graph.call_function(_aten.cat.default, (a, 1)), products[0])
        weight = _stacked(graph, [product.args[1] for product in products], 0, constants)
        if node.meta["dtype"] in dtypes:
            made = _product(graph, joined, weight, plus, node, constants)
        else:  # under autocast narrow products are added to a wide term
            narrow = _product(graph, joined, weight, None, products[0], constants)
            made = _like(graph.call_function(_aten.add.Tensor, (plus, narrow)), node)
        _replace(graph, node, made)
    for unused in (*inner, *products):
        if not unused.users:
            graph.erase_node(unused)


def _replace(graph: Graph, node: Node, by: Node) -> None:
    node.replace_all_uses_with(by)
    graph.erase_node(node)


def _like(node: Node, other: Node) -> Node:
    node.meta.update(other.meta)
    return node


def _product(
    graph: Graph,
    a: Any,
    weight: Any,
    plus: Node | None,
    like: Node,
    constants: dict[Node, None],
    bias: Any = None,
) -> Node:
    inputs, outputs = weight.meta["shape"]
    if _worth(like, inputs, outputs):
        packed = _constant(graph, pack, (weight, like.meta["shape"][0]), constants)
        made = graph.call_function(packed_product, (a, packed, plus, bias))
    elif plus is None:
        made = graph.call_function(_aten.mm.default, (a, weight))
    else:
        made = graph.call_function(_aten.addmm.default, (plus, a, weight))
    return _like(made, like)


def _worth(like: Node, inputs: int, outputs: int) -> bool:
    """Whether a product is large enough to be packed, on a device that can."""
    fits = like.meta["device"].type == "cpu" and like.meta["dtype"] is torch.float32 and _can_pack()
    return fits and like.meta["shape"][0] >= ROWS and inputs * outputs >= PACKED


def _stacked(graph: Graph, weights: list[Any], dim: int, constants: dict[Node, None]) -> Node:
    if len(weights) == 1:
        return weights[0]
    joined = _constant(graph, _aten.cat.default, (weights, dim), constants)
    shape = list(weights[0].meta["shape"])
    shape[dim] = sum(weight.meta["shape"][dim] for weight in weights)
    joined.meta.update(weights[0].meta, shape=torch.Size(shape))
    return joined


def _constant(graph: Graph, function: Callable[..., Any], args: tuple[Any, ...], constants: dict[Node, None]) -> Node:
    """A new node that is the same at every step; its place in the graph is found later."""
    node = graph.call_function(function, args)
    node.meta["forward"] = True
    constants[node] = None
    return node


def _can_pack() -> bool:
    usable = torch.backends.mkldnn.is_available() and bool(torch.backends.mkldnn.enabled)
    return usable and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")


def pack(weight: Tensor, rows: int) -> Tensor:
    """A weight ``(I, O)`` as oneDNN's products want it: laid out once where each product would do it again."""
    return torch.ops.mkldnn._reorder_linear_weight(weight.t().contiguous(), rows)


def packed_product(a: Tensor, weight: Tensor, plus: Tensor | None, bias: Tensor | None) -> Tensor:
    """``plus + a W + bias``, with a weight of :func:`pack`; what is None is left out."""
    product = torch.ops.mkldnn._linear_pointwise
    if plus is None:
        return product(a, weight, bias, "none", [], "")
    return product.binary(a, plus, weight, bias, "add")
