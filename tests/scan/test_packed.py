"""float32 on a CPU: products by weights that are laid out once agree with autograd to rounding."""

from functools import wraps

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pyro_vrnn.scan import products
from tests.scan.comparing import Loop, assert_same, outcome, plans

H, ROWS, T = 320, 16, 5


@pytest.fixture(autouse=True)
def _float32():
    torch.set_default_dtype(torch.float32)


@pytest.fixture(params=[True, False], ids=["packed", "plain"])
def packs(request, monkeypatch):
    """With oneDNN's layouts, and without."""
    if not request.param:
        monkeypatch.setattr(products, "_can_pack", lambda: False)
    elif not products._can_pack():
        pytest.skip("this torch has no oneDNN")
    return request.param


def weight(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape) / H**0.5)


def written_between(net, h, x):
    """What two products read is written to between them, through another view of it."""
    whole = 1 * h
    part = whole[:, 1:]
    one = part @ net.A.detach()[1:]
    whole.mul_(2)
    return torch.tanh(one + x) * torch.sigmoid(part @ net.B.detach()[1:]) + net.b


STEPS = {
    "written between": written_between,
    "one": lambda net, h, x: torch.tanh(F.linear(h, net.A)),
    "a bias": lambda net, h, x: torch.tanh(F.linear(h, net.A, net.b) + x),
    "a sum of two": lambda net, h, x: torch.tanh(x + F.linear(h, net.A) + F.linear(h * x, net.B)),
    "two of one": lambda net, h, x: torch.tanh(F.linear(h, net.A) + x) * torch.sigmoid(F.linear(h, net.B)),
    "sums of two of one": lambda net, h, x: (
        torch.tanh(x + F.linear(h, net.A) + F.linear(x, net.B)) * torch.sigmoid(F.linear(h, net.B) + F.linear(x, net.A))
    ),
    "one of two of one beside another": lambda net, h, x: (
        torch.tanh(x + F.linear(h, net.A) + F.linear(h * x, net.B)) * torch.sigmoid(F.linear(h, net.B))
    ),
    "strided operands": lambda net, h, x: torch.tanh(
        F.linear(torch.cat([h, x], -1)[..., ::2], net.A) + F.linear(x.t().contiguous().t(), net.B)
    ),
    "gates": lambda net, h, x: F.linear(h, net.W, net.c).tanh().chunk(2, -1)[0] + x,
    "tied": lambda net, h, x: torch.tanh(F.linear(F.linear(h, net.A).relu(), net.A.t()) + x),
    "a weight made of others": lambda net, h, x: torch.tanh(F.linear(h, net.A * 0.5 + net.B) + x),
}


def loop(name: str) -> Loop:
    return Loop(STEPS[name], A=weight(H, H), B=weight(H, H), W=weight(2 * H, H), b=weight(H), c=weight(2 * H))


def a_batch(rows: int = ROWS) -> tuple[Tensor, Tensor]:
    return torch.randn(rows, H, requires_grad=True), torch.randn(rows, T, H, requires_grad=True)


@pytest.fixture
def calls(monkeypatch):
    """The shapes of all packed products that are computed."""
    made: list[torch.Size] = []
    product = products.packed_product

    @wraps(product)
    def packed_product(*args):
        made.append(product(*args).shape)
        return product(*args)

    monkeypatch.setattr(products, "packed_product", packed_product)
    return made


@pytest.mark.parametrize("name", STEPS)
def test_values_and_gradients_agree_to_rounding(name, packs, calls):
    net, batch = loop(name), a_batch()
    ours = outcome(net, *batch)
    assert plans(net)
    assert len(calls) % T == 0
    assert bool(calls) == packs
    theirs = outcome(net, *batch, record=False)
    truth = outcome(net.double(), *(a.detach().double().requires_grad_() for a in batch), record=False)
    for mine, other, true in zip(_flat(ours), _flat(theirs), _flat(truth), strict=True):
        if true is not None:
            size = true.abs().max()
            assert (mine - true).abs().max() <= 4 * (other - true).abs().max() + 1e-6 * size


def _flat(outcome) -> list[Tensor | None]:
    return [*outcome[0], *outcome[1]]


@pytest.mark.parametrize(("rows", "width"), [(products.ROWS - 1, H), (ROWS, 64)])
def test_small_products_are_left_alone(rows, width, calls):
    net = Loop(STEPS["a bias"], A=weight(width, width), b=weight(width))
    h, x = torch.randn(rows, width, requires_grad=True), torch.randn(rows, T, width, requires_grad=True)
    ours = outcome(net, h, x)
    assert plans(net)
    assert not calls
    assert_same(ours, outcome(net, h, x, record=False), rtol=1e-4, atol=1e-5)


def test_weights_are_laid_out_again_after_an_optimisers_step():
    net, batch = loop("a sum of two"), a_batch()
    before, _ = outcome(net, *batch)
    with torch.no_grad():
        net.A.mul_(-1)
    ours = outcome(net, *batch)
    assert not torch.allclose(ours[0][0], before[0], atol=0.1)
    assert_same(ours, outcome(net, *batch, record=False), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("plus", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_packed_product(plus, bias, stride):
    if not products._can_pack():
        pytest.skip("this torch has no oneDNN")
    a, weight = torch.randn(ROWS, stride * 300)[:, ::stride], torch.randn(300, 250)
    p, b = (torch.randn(ROWS, 2 * 250)[:, ::2] if plus else None), (torch.randn(250) if bias else None)
    expected = a.double() @ weight.double() + (0 if p is None else p) + (0 if b is None else b)
    kept = None if p is None else p.clone()
    got = products.packed_product(a, products.pack(weight, ROWS), p, b)
    torch.testing.assert_close(got, expected.float(), rtol=1e-4, atol=1e-4)
    assert p is None or torch.equal(p, kept)
