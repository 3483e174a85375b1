"""What is kept for the backward pass, by hand and for every variant."""

import pytest
import torch
from torch import nn

from pyro_vrnn.benchmark.memory import Kept, bytes_per_step
from pyro_vrnn.training.objective import Elbo


def test_storages_count_once_and_only_while_they_are_saved():
    kept, weight = Kept(), torch.ones(10, requires_grad=True)
    with kept.hooks:
        a = weight.exp()  # saves its result
        b = a * a[:10].view(2, 5).reshape(10)  # views of what is saved already
        weight.sin().detach()  # saved, and forgotten with its graph
        c = weight.cos()  # saves its input
    assert kept.bytes == 8 * 10 * 2
    b.sum().backward()
    torch.testing.assert_close(weight.grad, 2 * (2 * torch.ones(10)).exp())
    del a, b, c
    assert kept.bytes == 0


def test_graphs_inside_an_autograd_function_count():
    class Nested(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            with torch.enable_grad():
                ctx.inner = a.detach().requires_grad_()
                ctx.out = ctx.inner.exp().sin()
            return ctx.out.detach()

        @staticmethod
        def backward(ctx, gradient):
            return torch.autograd.grad(ctx.out, ctx.inner, gradient)[0]

    kept, weight = Kept(), torch.ones(10, requires_grad=True)
    with kept.hooks:
        out = Nested.apply(weight)
    assert kept.bytes == 8 * 10, "what exp gave, which both exp and sin want again"
    out.sum().backward()
    torch.testing.assert_close(weight.grad, torch.cos(weight.exp()).detach() * weight.exp().detach())


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(200, 6))

    def forward(self, x, mask):
        return (x @ self.weight).exp().sum()


def test_bytes_of_a_step_are_those_counted_by_hand(case):
    found = bytes_per_step(lambda frames: case(frames=frames), lambda case: Layer(), 4)
    assert found == 4 * (200 + 6), "the frame, and what exp gave"


def test_every_variant_keeps_something_of_each_step_and_nothing_else(case, variant):
    def make(frames):
        return case(variant, frames)

    at = [bytes_per_step(make, lambda case: Elbo(case.net), frames) for frames in (6, 12)]
    assert at[0] == pytest.approx(at[1], rel=0.1), "not linear in the length, but for what libraries round up"
    assert 4 * 200 < at[0] < 4 * 200 * 200
