"""Products of a step are fewer after rewriting, and give the same."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pyro_vrnn.scan import products
from tests.scan.comparing import Counted, Loop, assert_same, outcome, plans

T, ROWS = 5, 8
SMALL, LARGE = 4, 288  # a weight of LARGE x LARGE is worth a layout of its own


def net_of(step, width: int, dtype: torch.dtype) -> Loop:
    net = Loop(step)
    for name in "ABC":
        setattr(net, name, nn.Parameter(torch.randn(width, width, dtype=dtype) / width**0.5))
    net.b = nn.Parameter(torch.randn(width, dtype=dtype))
    return net


def times(step, width: int = SMALL, dtype: torch.dtype = torch.float64) -> tuple[dict[str, int], dict[str, int]]:
    """What the loop computes forward and backward, which is what the modules give."""
    net = net_of(step, width, dtype)
    h, x = torch.randn(ROWS, width, dtype=dtype), torch.randn(ROWS, T, width, dtype=dtype)
    h, x = h.requires_grad_(), x.requires_grad_()
    tolerance = {"rtol": 1e-10, "atol": 1e-11} if dtype is torch.float64 else {"rtol": 1e-3, "atol": 1e-3}
    assert_same(outcome(net, h, x), outcome(net, h, x, record=False), **tolerance)
    assert plans(net)
    with Counted() as forward:
        loss = sum(out.square().sum() for out in net(h, x))
    with Counted() as looked:
        net.step(net, h, x[:, 0])
    with Counted() as backward:
        loss.backward()
    return forward.times - looked.times, backward.times


def products_in(counted: dict[str, int]) -> int:
    return sum(counted[name] for name in ("mm", "addmm", "_linear_pointwise"))


@pytest.fixture
def _packs():
    if not products._can_pack():
        pytest.skip("this torch has no oneDNN")


def three_terms(net, h, x):
    return torch.tanh(x + F.linear(h, net.A) + F.linear(h * x, net.B) + F.linear(x.sin(), net.C))


def two_of_one(net, h, x):
    return torch.tanh(F.linear(h, net.A) + x) * torch.sigmoid(F.linear(h, net.B))


def affine(net, h, x):
    return torch.tanh(F.linear(h, net.A, net.b) * x)


def test_a_sum_of_products_is_one_product_of_what_is_side_by_side():
    forward, backward = times(three_terms)
    assert forward["addmm"] == T
    assert products_in(forward) == T
    assert forward["cat"] >= T + 1  # the operands at every step, the weights once
    assert products_in(backward) == 3 * T + 3  # data gradients of three operands, and three weights' once


def test_gradients_that_meet_are_one_product():
    _, backward = times(two_of_one)
    assert products_in(backward) == T + 2


@pytest.mark.usefixtures("_packs")
def test_large_products_that_read_the_same_are_shares_of_one():
    forward, backward = times(two_of_one, LARGE, torch.float32)
    assert forward["_linear_pointwise"] == products_in(forward) == T
    assert forward["_reorder_linear_weight"] >= 1
    assert backward["_linear_pointwise"] == T


@pytest.mark.usefixtures("_packs")
@pytest.mark.parametrize("step", [three_terms, affine])
def test_large_products_are_packed(step):
    forward, _ = times(step, LARGE, torch.float32)
    assert forward["_linear_pointwise"] == products_in(forward) == T


def test_small_products_that_read_the_same_are_left_apart():
    forward, _ = times(two_of_one)
    assert products_in(forward) == 2 * T
    assert forward["_linear_pointwise"] == 0


def test_a_product_that_others_read_too_is_not_drawn_into_a_sum():
    def step(net, h, x):
        a = F.linear(h, net.A)
        return torch.tanh(a + F.linear(x, net.B)) * a

    forward, _ = times(step)
    assert products_in(forward) == 2 * T


def test_products_by_what_changes_stay_as_they_are():
    forward, _ = times(lambda net, h, x: torch.tanh((h @ (x.t() @ h)) + x) @ net.A)
    assert forward["addmm"] + forward["mm"] == 3 * T


def test_nothing_is_moved_past_a_write():
    def step(net, h, x):
        a = 1 * h
        made = F.linear(a, net.A.detach())
        a.mul_(2)
        return torch.tanh(made + a + F.linear(x, net.B))

    times(step)
