"""How often a plan computes what: once a sequence, once a step, or not at all."""

import torch
from torch import nn
from torch.nn import functional as F

from tests.scan.comparing import B, Counted, D, Loop, T, a_batch, plans


def counted(step, *, backward: bool = False, **parts):
    """What one call of a known loop computes, beside the one look at its step; and its backward pass."""
    net = Loop(step, **parts)
    h, x = a_batch()
    net(h, x)
    assert plans(net)
    with Counted() as whole:
        outs = net(h, x)
    loss = sum(out.square().sum() for out in outs)
    if backward:
        with Counted() as whole:
            loss.backward()
        return whole.times
    with Counted() as looked:
        net.step(net, h, x[:, 0])
    return whole.times - looked.times


def weight(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape))


def test_what_reads_parameters_alone_is_computed_once_a_sequence():
    times = counted(
        lambda net, h, x: torch.tanh(h @ (net.W.exp() * 2)) + F.softplus(net.b), W=weight(D, D), b=weight(D)
    )
    assert times["exp"] == times["softplus"] == times["mul"] == 1
    assert times["tanh"] == T


def test_what_draws_is_computed_at_every_step():
    times = counted(lambda net, h, x: torch.tanh(h + x) + torch.randn(D) + torch.bernoulli(net.p), p=torch.rand(D))
    assert times["randn"] == times["bernoulli"] == T


def test_what_nobody_reads_is_not_computed():
    def step(net, h, x):
        unused = torch.erf(h @ net.W)
        unused.square()
        return torch.tanh(h + x)

    times = counted(step, W=weight(D, D))
    assert times["erf"] == times["square"] == times["mm"] == 0
    assert times["tanh"] == T


def test_a_weights_gradient_is_one_product_a_sequence():
    """T products pass the gradient back to h, and one more gives the weight's."""
    times = counted(lambda net, h, x: torch.tanh(F.linear(h, net.W) + x), W=weight(D, D), backward=True)
    assert times["mm"] + times["addmm"] == T + 1


def test_a_bias_is_summed_once_a_sequence():
    times = counted(lambda net, h, x: torch.tanh(net.a(h) * x), a=nn.Linear(D, D), backward=True)
    assert times["mm"] + times["addmm"] == T + 1
    assert times["sum"] == 1


def test_zeros_stand_for_gradients_that_do_not_arrive():
    net = Loop(lambda net, h, x: (torch.tanh(h + x), (h * x)[:, :2]))
    net(*a_batch())
    (plan,) = plans(net)
    assert [zero.shape for zero in plan.zeros()] == [(B, D), (B, D), (B, 2)]
    assert not any(zero.any() for zero in plan.zeros())
