"""A call that is run again: the same numbers, gradients as often as asked for, and nothing kept between the passes."""

import weakref

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from pyro_vrnn.model.recomputation import recomputed


@pytest.fixture
def net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.3), nn.Linear(4, 2))


def noisy(net):
    def function(a, pair):
        b, nothing = pair
        y = net(a) + torch.randn(2)
        return y * b, (nothing, y.detach(), y.sum(-1))

    return function


def both_ways(net, *tensors):
    """The results of the plain call and of the one that is run again, and the random state after each."""
    for call in (lambda f, *given: f(*given), lambda f, *given: recomputed(f, net, *given)):
        torch.manual_seed(0)
        yield call(noisy(net), tensors[0], (tensors[1], None)), torch.randn(())


def test_results_gradients_and_random_state_are_those_of_the_call(net):
    a, b = torch.randn(5, 3, requires_grad=True), torch.randn(2, requires_grad=True)
    found = []
    for (y, (nothing, fixed, total)), random in both_ways(net, a, b):
        assert nothing is None
        assert not fixed.requires_grad
        wanted = [a, b, *net.parameters()]
        torch.manual_seed(9)  # the backward pass has a state of its own, and leaves this one alone
        gradients = torch.autograd.grad(y.square().sum() + total.sum(), wanted)
        found.append((y, fixed, total, random, torch.randn(()), *gradients))
    assert_close(found[1], found[0], rtol=0, atol=0)


def test_gradients_for_one_input_and_then_for_all(net):
    a, b = torch.randn(5, 3, requires_grad=True), torch.randn(2)
    found = []
    for (y, _), _ in both_ways(net, a, b):
        net.zero_grad()
        (first,) = torch.autograd.grad(y.sum(), a, retain_graph=True)
        assert all(p.grad is None for p in net.parameters())
        y.sum().backward(retain_graph=True)
        y.sum().backward()
        with pytest.raises(RuntimeError, match="second time"):
            y.sum().backward()
        found.append((first, *(p.grad.clone() for p in net.parameters())))
    assert_close(found[1], found[0], rtol=1e-14, atol=1e-14)


def test_a_parameter_that_is_not_trained_gets_nothing(net):
    net[0].weight.requires_grad_(False)
    recomputed(net, net, torch.randn(5, 3)).sum().backward()
    assert net[0].weight.grad is None
    assert net[0].bias.grad is not None


def test_between_the_passes_nothing_of_it_lives(net):
    seen = []
    net[1].register_forward_hook(lambda module, inputs, out: seen.append(weakref.ref(out)))

    def last_row(a):
        y = net(a)
        seen.append(weakref.ref(y.untyped_storage()))
        return y[-1]

    y = recomputed(last_row, net, torch.randn(5, 3))
    assert len(seen) == 2
    assert all(ref() is None for ref in seen), "a view must not keep what it is a view of"
    y.sum().backward()
    assert len(seen) == 4
    assert all(ref() is None for ref in seen)


def test_mixed_precision_is_that_of_the_first_pass(net):
    net[2] = nn.Identity()
    net.float()
    a, found = torch.randn(5, 3, dtype=torch.float32), []
    for call in (net, lambda a: recomputed(net, net, a)):
        net.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            y = call(a)
        assert y.dtype == torch.bfloat16
        y.float().square().sum().backward()
        found.append([p.grad.clone() for p in net.parameters()])
    assert_close(found[1], found[0], rtol=0, atol=0)


def test_parameters_that_were_replaced_are_noticed(net):
    others = {name: torch.randn_like(p).requires_grad_() for name, p in net.named_parameters()}

    class Call(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, a):
            return recomputed(net, net, a)

    renamed = {f"net.{name}": other for name, other in others.items()}
    y = torch.func.functional_call(Call(), renamed, torch.randn(5, 3))
    with pytest.raises(RuntimeError, match="parameters were replaced"):
        y.sum().backward()


def test_a_parameter_that_was_written_to_is_noticed(net):
    y = recomputed(net, net, torch.randn(5, 3))
    with torch.no_grad():
        net[0].weight.add_(1)
    with pytest.raises(RuntimeError, match="inplace"):
        y.sum().backward()


def test_a_second_derivative_is_refused(net):
    a = torch.randn(5, 3, requires_grad=True)
    (g,) = torch.autograd.grad(recomputed(net, net, a).square().sum(), a, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.sum().backward()
