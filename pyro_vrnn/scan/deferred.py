"""Gradients that are sums over steps of products: one product of the stacked factors, after the loop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

_aten = torch.ops.aten
# Operations that only look at a tensor in another way: what they are applied to can be summed before.
_VIEWS = {_aten.t.default, _aten.transpose.int, _aten.view.default, _aten._unsafe_view.default, _aten.reshape.default}
_VIEWS |= {_aten.unsqueeze.default, _aten.squeeze.dim, _aten.squeeze.dims, _aten._to_copy.default}


@dataclass(frozen=True)
class Term:
    """A share of a gradient: a function of what the steps gave for ``factors``.

    Attributes:
        factors: Positions among what the backward pass of a step gives.
        total: Their values of all steps to the sum over steps.
        views: What is applied to the sum.
    """

    factors: tuple[int, ...]
    total: Callable[..., Tensor]
    views: tuple[Callable[[Tensor], Tensor], ...] = ()

    def of(self, stacks: "Stacks") -> Tensor:
        """The sum over all steps."""
        value = self.total(stacks, *self.factors)
        for view in self.views:
            value = view(value)
        return value


Deferred = list[Term]


class Stacks:
    """What all steps gave for each factor.

    Args:
        values: By factor, ``(T, ...)``.
    """

    def __init__(self, values: Sequence[Tensor]) -> None:
        self.values = values

    def joined(self, factor: int, dim: int) -> Tensor:
        """All steps' matrices of a factor side by side along a dimension, the steps outermost."""
        steps, rows, columns = self.values[factor].shape
        if dim == 0:
            return self.values[factor].reshape(steps * rows, columns)
        return self.values[factor].transpose(0, 1).reshape(rows, steps * columns)


def defer(gradient: Node, factors: list[Node]) -> Deferred:
    """How the sum over steps of a gradient comes from factors, which are added to ``factors`` where they are new.

    Args:
        gradient: The gradient of one step.
        factors: Nodes whose values of all steps are wanted.
    """

    def position(node: Node) -> int:
        if node not in factors:
            factors.append(node)
        return factors.index(node)

    views: list[Callable[[Tensor], Tensor]] = []
    node = gradient
    while not node.meta["forward"] and node.target in _VIEWS:
        views.append(_view(node))
        node = node.all_input_nodes[0]
    rest = tuple(reversed(views))
    if node.op == "placeholder" or node.meta["forward"]:
        return [Term((position(node),), _summed, rest)]
    if node.target is _aten.add.Tensor and len(node.all_input_nodes) == 2 and not node.kwargs:
        shares = [*defer(node.args[0], factors), *defer(node.args[1], factors)]  # type: ignore[arg-type]
        return [Term(term.factors, term.total, (*term.views, *rest)) for term in shares]
    if node.target is _aten.mm.default:
        (a, a_turned), (b, b_turned) = _untransposed(node.args[0]), _untransposed(node.args[1])
        return [Term((position(a), position(b)), _product(a_turned, b_turned), rest)]
    if node.target is _aten.sum.dim_IntList and node.args[1] and not node.kwargs:
        summed, dims, *keep = node.args
        assert isinstance(summed, Node)
        return [Term((position(summed),), _rows_summed(dims, bool(keep and keep[0])), rest)]
    return [Term((position(node),), _summed, rest)]


def total(terms: Deferred, stacks: Stacks) -> Tensor:
    """The gradient over all steps."""
    value = terms[0].of(stacks)
    for term in terms[1:]:
        value = value + term.of(stacks)
    return value


def _view(node: Node) -> Callable[[Tensor], Tensor]:
    function: Any = node.target
    if function in {_aten.view.default, _aten._unsafe_view.default}:
        function = _aten.reshape.default  # the sum may lie in memory otherwise than a share did
    rest, kwargs = node.args[1:], node.kwargs
    return lambda a: function(a, *rest, **kwargs)


def _untransposed(node: Any) -> tuple[Node, bool]:
    return (node.args[0], True) if node.target is _aten.t.default else (node, False)


def _product(a_turned: bool, b_turned: bool) -> Callable[..., Tensor]:
    """sum_t A_t B_t = [A_1 ... A_T] [B_1; ...; B_T]; a factor that is kept transposed is joined the other way."""

    def product(stacks: Stacks, a: int, b: int) -> Tensor:
        left = stacks.joined(a, 0).t() if a_turned else stacks.joined(a, 1)
        right = stacks.joined(b, 1).t() if b_turned else stacks.joined(b, 0)
        return torch.mm(left, right)

    return product


def _rows_summed(dims: Any, keep: bool) -> Callable[..., Tensor]:
    """sum_t of a sum over rows: the steps are a dimension more to sum over."""

    def summed(stacks: Stacks, a: int) -> Tensor:
        total = stacks.values[a].sum([0, *(d + 1 if d >= 0 else d for d in dims)], keep)
        return total.squeeze(0) if keep else total

    return summed


def _summed(stacks: Stacks, a: int) -> Tensor:
    return stacks.values[a].sum(0)
