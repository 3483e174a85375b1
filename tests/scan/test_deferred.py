"""Every kind of gradient that waits: its total from stacked factors is the sum over steps."""

import pytest
import torch
from torch import Tensor
from torch.fx import Graph, Node
from torch.testing import assert_close

from pyro_vrnn.scan.deferred import Stacks, defer, total

_aten = torch.ops.aten
ROWS, INPUTS, OUTPUTS, T = 3, 4, 5, 6


class Step:
    """A gradient as a graph of operations over given tensors, with values for T steps."""

    def __init__(self, **shapes: tuple[int, ...]) -> None:
        self.graph = Graph()
        self.values: dict[Node, list[Tensor]] = {}
        for name, shape in shapes.items():
            node = self.graph.placeholder(name)
            node.meta["forward"] = name.startswith("forward")
            self.values[node] = [torch.randn(shape) for _ in range(T)]
        self.given = list(self.values)

    def __call__(self, function, *args, **kwargs) -> Node:
        node = self.graph.call_function(function, args, kwargs)
        node.meta["forward"] = False
        self.values[node] = [
            function(*torch.fx.node.map_arg(args, lambda a, t=t: self.values[a][t]), **kwargs) for t in range(T)
        ]
        return node


def product(step, y, x):
    return step(_aten.mm.default, step(_aten.t.default, y), x), [y, x]


def product_turned(step, y, x):
    return step(_aten.t.default, step(_aten.mm.default, step(_aten.t.default, x), y)), [x, y]


def product_of_both_turned(step, y, x):
    turned = step(_aten.clone.default, step(_aten.t.default, x))
    return step(_aten.mm.default, step(_aten.t.default, y), step(_aten.t.default, turned)), [y, turned]


def product_of_neither_turned(step, y, x):
    turned = step(_aten.clone.default, step(_aten.t.default, y))
    return step(_aten.mm.default, turned, x), [turned, x]


def sum_over_rows(step, y, x):
    return step(_aten.sum.dim_IntList, y, [0]), [y]


def sum_over_rows_kept(step, y, x):
    summed = step(_aten.sum.dim_IntList, y, [0], True)
    return step(_aten.view.default, summed, [OUTPUTS]), [y]


def sum_over_two(step, y, x):
    return step(_aten.sum.dim_IntList, y, [0, -1], True), [y]


def sum_of_two(step, y, x):
    one, other = (product(step, y, a)[0] for a in (x, step(_aten.tanh.default, x)))
    return step(_aten.add.Tensor, one, other), [y, x, other.args[1]]


def sum_of_itself(step, y, x):
    one = product(step, y, x)[0]
    doubled = step(_aten.add.Tensor, one, one)
    return doubled, [doubled]


def weighted_sum(step, y, x):
    made = step(_aten.add.Tensor, y, y, alpha=3)
    return made, [made]


def views_of_a_sum(step, y, x):
    one, other = product(step, y, x)[0], product(step, y, x)[0]
    turned = step(_aten.t.default, step(_aten.add.Tensor, one, other))
    return step(_aten.unsqueeze.default, step(_aten.reshape.default, turned, [2, -1]), 0), [y, x]


def view_of_another_layout(step, y, x):
    """A share lies by columns, so that its transpose can be viewed as a vector; the sum lies by rows."""
    permuted = step(_aten.permute.default, y, [1, 0])
    return step(_aten.view.default, step(_aten.t.default, permuted), [-1]), [permuted]


def cast(step, y, x):
    return step(_aten._to_copy.default, product(step, y, x)[0], dtype=torch.float64), [y, x]


def anything_else(step, y, x):
    made = step(_aten.tanh.default, y)
    return step(_aten.view.default, made, [OUTPUTS, ROWS]), [made]


def given_as_it_is(step, y, x):
    return y, [y]


GRADIENTS = [
    *(product, product_turned, product_of_both_turned, product_of_neither_turned, sum_over_rows, sum_over_rows_kept),
    *(
        sum_over_two,
        sum_of_two,
        sum_of_itself,
        weighted_sum,
        views_of_a_sum,
        view_of_another_layout,
        cast,
        anything_else,
        given_as_it_is,
    ),
]


@pytest.mark.parametrize("make", GRADIENTS)
def test_the_total_is_the_sum_over_steps(make):
    step = Step(y=(ROWS, OUTPUTS), forward_x=(ROWS, INPUTS))
    gradient, wanted = make(step, *step.given)
    factors: list[Node] = []
    terms = defer(gradient, factors)
    assert factors == wanted
    stacks = Stacks([torch.stack(step.values[node]) for node in factors])
    assert_close(total(terms, stacks), sum(step.values[gradient]), rtol=1e-12, atol=1e-12)


def test_weights_share_the_factors_that_are_the_same():
    step = Step(y=(ROWS, OUTPUTS), forward_x=(ROWS, INPUTS))
    y, x = step.given
    factors: list[Node] = []
    for make in (product, product_turned, sum_over_rows):
        defer(make(step, y, x)[0], factors)
    assert factors == [y, x]


def test_stacks_lie_side_by_side_the_steps_outermost():
    a = torch.arange(T * ROWS * INPUTS).view(T, ROWS, INPUTS)
    stacks = Stacks([a])
    assert torch.equal(stacks.joined(0, 0), torch.cat(list(a), 0))
    assert torch.equal(stacks.joined(0, 1), torch.cat(list(a), 1))
