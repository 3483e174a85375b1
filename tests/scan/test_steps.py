"""Steps of a user's own: whatever they are made of, the plan gives what autograd gives."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from pyro_vrnn.scan import scan
from tests.scan.comparing import B, D, Loop, T, a_batch, assert_recorded_equals_modules, outcome


def parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(0.4 * torch.randn(shape))


def lstm_cell(net, h, x):
    after, c = net.cell(x, (h, 0.5 * h))
    return after + c, c


def written_in_place(net, h, x):
    a = F.linear(h, net.W)
    a += x
    a[..., 0] = a[..., 1] * 2
    a.tanh_()
    return a.clone().mul_(0.5), a


def written_through_a_view(net, h, x):
    a = torch.tanh(h @ net.W + x)
    whole = 2 * a
    part = whole[..., :2]
    whole.add_(1.0)
    return a, part


def a_constant_written_in_place(net, h, x):
    weight = 1 * net.W
    weight[0].mul_(2)
    return torch.tanh(h @ weight + x)


def an_operand_changed_after_its_product(net, h, x):
    a = 1 * h
    product = a @ net.frozen
    a.mul_(2)
    return torch.tanh(product + a + x @ net.W)


def a_draw_that_nobody_reads(net, h, x):
    torch.randn(3)
    return torch.tanh(h @ net.W + x + torch.randn(h.shape))


def attention(net, h, x):
    keys = torch.stack([h, x, h * x], -2)
    return F.scaled_dot_product_attention((h @ net.W).unsqueeze(-2), keys, keys).squeeze(-2)


def scalar(net, h, x):
    return torch.tanh(net.gain * h + net.gain.exp() * x)


def passes_on(net, h, x):
    return h, x, net.b.expand(h.shape), h.detach() * x


def chunks(net, h, x):
    u, n = F.linear(h, net.wide).chunk(2, -1)
    return torch.lerp(h, torch.tanh(n + x), u.sigmoid()), n


def frozen_and_masked(net, h, x):
    return torch.tanh(F.linear(h, net.W * net.mask) + F.linear(x, net.frozen) + net.b.abs())


def several_results(net, h, x):
    values, _ = torch.max(torch.stack([h, x]), 0)
    mean = h.var(-1, keepdim=True)
    return F.layer_norm(values @ net.W, (D,)) + mean, values.topk(2, -1).values


STEPS = {
    "linear": lambda net, h, x: torch.tanh(net.a(h) + net.c(x)),
    "sequential": lambda net, h, x: net.deep(torch.cat([h, x], -1)),
    "lstm cell": lstm_cell,
    "gru cell": lambda net, h, x: net.gru(x, h),
    "layer norm": lambda net, h, x: net.norm(net.a(h) + x),
    "weight norm": lambda net, h, x: torch.tanh(net.normed(h) + x),
    "matmul": lambda net, h, x: torch.tanh(h @ net.W + torch.matmul(x, net.W2)),
    "einsum": lambda net, h, x: torch.einsum("bi,ij,bj->bj", h, net.W, x).tanh(),
    "bilinear": lambda net, h, x: torch.tanh(F.bilinear(h, x, net.cube)),
    "3-D parameter": lambda net, h, x: torch.einsum("bi,ijk,bk->bj", h, net.cube, x).tanh(),
    "batched matrices": lambda net, h, x: (net.cube[:B] @ h.unsqueeze(-1)).squeeze(-1).tanh() + x,
    "convolution": lambda net, h, x: net.conv(torch.stack([h, x], -2)).squeeze(-2).tanh(),
    "elementwise": lambda net, h, x: torch.tanh(net.b * h + F.softplus(net.b) * x),
    "scalar": scalar,
    "one weight twice": lambda net, h, x: torch.tanh(F.linear(torch.tanh(F.linear(h, net.W) + x), net.W)),
    "tied": lambda net, h, x: torch.tanh(F.linear(F.linear(h, net.W), net.W.t()) + x @ net.W),
    "a sum of three products": lambda net, h, x: torch.tanh(h @ net.W + x @ net.W2 + (h * x) @ net.W + net.b),
    "chunks": chunks,
    "frozen and masked": frozen_and_masked,
    "buffer": lambda net, h, x: torch.tanh(h @ net.mask + net.mask[0] * x @ net.W),
    "detached": lambda net, h, x: torch.tanh(h.detach() @ net.W + x @ net.W.detach()),
    "in place": written_in_place,
    "in place through a view": written_through_a_view,
    "a constant in place": a_constant_written_in_place,
    "an operand changed later": an_operand_changed_after_its_product,
    "a draw": a_draw_that_nobody_reads,
    "dropout": lambda net, h, x: F.dropout(torch.tanh(h @ net.W + x), 0.5),
    "attention": attention,
    "passes on": passes_on,
    "several results": several_results,
    "no parameter": lambda net, h, x: torch.tanh(h + x),
    "where": lambda net, h, x: torch.where(h > 0, h @ net.W, x).masked_fill(x > 1, 0.0),
    "index": lambda net, h, x: torch.tanh((h @ net.W)[..., net.order] + x),
    "straight through": lambda net, h, x: (h @ net.W + x).round().detach() + torch.tanh(h @ net.W) - h.detach(),
    "another square": lambda net, h, x: torch.tanh(net.W.square().sum() * h + x @ (net.W @ net.W2)),
}
IN_THREE = [
    "linear",
    "matmul",
    "layer norm",
    "one weight twice",
    "elementwise",
    "in place",
    "chunks",
    "index",
    "scalar",
]
ALONE = {"no parameter"}


def loop(name: str) -> Loop:
    """A loop over a step by name, with whatever it may read."""
    net = Loop(STEPS[name])
    if name in ALONE:
        return net
    for weight in ("W", "W2", "frozen"):
        setattr(net, weight, parameter(D, D))
    net.frozen.requires_grad_(False)
    net.b, net.gain, net.cube, net.wide = parameter(D), parameter(), parameter(D, D, D), parameter(2 * D, D)
    net.register_buffer("mask", (torch.rand(D, D) > 0.5).to(torch.get_default_dtype()))
    net.register_buffer("order", torch.tensor([2, 0, 1, 1]))
    net.a, net.c, net.norm = nn.Linear(D, D), nn.Linear(D, D, bias=False), nn.LayerNorm(D)
    net.deep = nn.Sequential(nn.Linear(2 * D, 7), nn.ReLU(), nn.Linear(7, D), nn.ELU())
    net.cell, net.gru, net.conv = nn.LSTMCell(D, D), nn.GRUCell(D, D), nn.Conv1d(2, 1, 3, padding=1)
    net.normed = weight_norm(nn.Linear(D, D))
    return net


@pytest.mark.parametrize("name", STEPS)
def test_a_step_gives_what_autograd_gives(name):
    assert_recorded_equals_modules(loop(name), *a_batch())


@pytest.mark.parametrize("name", IN_THREE)
def test_leading_dimensions_are_free(name):
    assert_recorded_equals_modules(loop(name), *a_batch(2, B))
    assert_recorded_equals_modules(loop(name), *(a.squeeze(0).detach() for a in a_batch(1)))


class UsedOutside(Loop):
    """A weight that is read inside the loop, before it and after it."""

    def forward(self, h: Tensor, x: Tensor, *, record: bool = True) -> tuple[Tensor, ...]:
        last, before, *made = super().forward(h @ self.W, x @ self.W, record=record)
        return last @ self.W, before, *(a @ self.W.t() for a in made)


def test_a_weight_inside_and_outside_the_loop():
    net = UsedOutside(STEPS["matmul"], W=parameter(D, D), W2=parameter(D, D))
    assert_recorded_equals_modules(net, *a_batch())


class Twice(Loop):
    """The same step over two sequences, one after the other."""

    def forward(self, h: Tensor, x: Tensor, *, record: bool = True) -> tuple[Tensor, ...]:
        last, _, made = super().forward(h, x, record=record)
        return super().forward(last, made, record=record)


def test_one_loop_after_another_by_one_plan():
    assert_recorded_equals_modules(Twice(STEPS["matmul"], W=parameter(D, D), W2=parameter(D, D)), *a_batch())


class Counting(nn.Module):
    """A carry of four, two of them one tensor at first, one of whole numbers; rows of which one is a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(D, D)

    def forward(self, h: Tensor, x: Tensor, *, record: bool = True) -> tuple[Tensor, ...]:
        count = torch.zeros(len(h), 1, dtype=torch.long)
        valid = torch.arange(x.shape[-2]).view(1, -1, 1) < torch.arange(2, 2 + len(h)).view(-1, 1, 1)

        def step(carry, row):
            h, c, still, n = carry
            now = torch.where(row[1], torch.tanh(self.a(h) + row[0] + 0.1 * n), h)
            return (now, now + c, still, n + row[1]), (n + 1, now)

        last, before, made = scan(step, (h, h, x[..., 0, :], count), (x, valid), owner=self, record=record)
        return *last, *before, *made


def test_carries_of_several_tensors_and_types():
    assert_recorded_equals_modules(Counting(), *a_batch())


def test_rows_and_first_carry_need_no_gradients():
    h, x = (a.detach() for a in a_batch())
    assert_recorded_equals_modules(loop("linear"), h, x)
    assert_recorded_equals_modules(loop("linear"), h.requires_grad_(), x)


def test_views_are_read_as_they_lie():
    """Rows expanded over particles, transposed in memory, cut out of larger ones."""
    net = loop("linear")
    h, x = torch.randn(B, D, requires_grad=True), torch.randn(T, B, 2 * D, requires_grad=True)
    assert_recorded_equals_modules(net, h, x.transpose(0, 1)[..., ::2])
    assert_recorded_equals_modules(net, h.expand(2, B, D), x.transpose(0, 1)[..., :D].expand(2, B, T, D))


def test_dropout_draws_what_the_modules_draw_and_not_the_same_at_every_step():
    net = loop("dropout")
    ours, _ = outcome(net, *a_batch())
    patterns = {tuple(map(tuple, made.eq(0).tolist())) for made in ours[2].unbind(-2)}
    assert len(patterns) > 1
