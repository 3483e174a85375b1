"""What a recording holds, and what is refused."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm
from torch.testing import assert_close

from pyro_vrnn.scan.effects import CannotRecordError
from pyro_vrnn.scan.recording import record, watch
from tests.scan.comparing import B, D

_aten = torch.ops.aten


@pytest.fixture
def h():
    return torch.randn(B, D)


@pytest.fixture
def x():
    return torch.randn(B, D, requires_grad=True)


def step_of(function):
    """A step with one carry and one row, which makes nothing else."""
    return lambda carry, row: ((function(*carry, *row),), ())


PAST = torch.ones(D, requires_grad=True) * 2
BUFFER, GENERATOR = torch.zeros(D), torch.Generator()
NORM, COUNTLESS, SPECTRAL = nn.BatchNorm1d(D), nn.BatchNorm1d(D), spectral_norm(nn.Linear(D, D))
COUNTLESS.num_batches_tracked = None


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda h, x: h * h.sum().item(), "reads the value"),
        (lambda h, x: h if h.sum() > 0 else x, "reads the value"),
        (lambda h, x: h * sum(h.detach().sum(0).tolist()), "reads the value"),
        (lambda h, x: h * float(h.detach().numpy().sum()), "reads the value"),
        (lambda h, x: h * float(torch.equal(h, x)), "reads the value"),
        (lambda h, x: h + h[h > 0].sum(), "reads the value"),
        (lambda h, x: h + h.masked_select(h > 0).sum(), "reads the value"),
        (lambda h, x: h + len(h.nonzero()), "reads the value"),
        (lambda h, x: h * PAST, "computed outside of it with gradients"),
        (lambda h, x: h + BUFFER.add_(1.0), "writes to what the step was given"),
        (lambda h, x: (h.detach().mul_(2), h + x)[1], "writes to what the step was given"),
        (lambda h, x: NORM(h + x), "writes to what the step was given"),
        (lambda h, x: COUNTLESS(h + x), "writes to what the step was given"),
        (lambda h, x: SPECTRAL(h + x), "writes to what the step was given"),
        (lambda h, x: h + torch.rand(D, generator=GENERATOR), "generator of its own"),
        (lambda h, x: h[:, :2], "another shape after it"),
    ],
)
def test_what_is_refused_and_why(step, message, h, x):
    generator, mean = GENERATOR.get_state(), COUNTLESS.running_mean.clone()
    with pytest.raises(CannotRecordError, match=message):
        record(step_of(step), (h,), (x,))
    assert not BUFFER.any()
    assert torch.equal(GENERATOR.get_state(), generator)
    assert torch.equal(COUNTLESS.running_mean, mean)


def test_operations_forward_then_backward_with_their_facts(h, x):
    weight = nn.Parameter(torch.randn(D, D))
    step = step_of(lambda h, x: torch.tanh(h @ weight + x))
    recorded, seen = record(step, (h,), (x,))
    calls = [node for node in recorded.graph.nodes if node.op == "call_function" and "shape" in node.meta]
    forward = [node.target for node in calls if node.meta["forward"]]
    assert forward == [_aten.mm.default, _aten.add.Tensor, _aten.tanh.default]
    order = [node.meta["forward"] for node in calls]
    assert order == sorted(order, reverse=True)
    assert all(node.meta["shape"] == (B, D) for node in calls if node.meta["forward"])
    assert [a for a, _ in recorded.outside] == [weight]
    assert all(node is not None for node in recorded.gradients)
    assert len(recorded.gradients) == 3
    assert watch(step, (h,), (x,)) == ([weight], seen)


def test_the_graph_computes_what_the_step_does(h, x):
    weight, bias = torch.randn(D, D, requires_grad=True), torch.randn(D, requires_grad=True)

    def function(h, x):
        a, b = F.linear(h, weight, bias).chunk(2, -1)
        return torch.cat([a.tanh() * b, b], -1) + x

    recorded, _ = record(step_of(function), (h,), (x,))
    module = torch.fx.GraphModule(nn.Module(), recorded.graph)
    other, given = torch.randn(B, D, requires_grad=True), torch.randn(B, D)
    values = {node: value for value, node in recorded.outside}
    values |= {recorded.carry[0]: other, recorded.rows[0]: x, recorded.cotangents[0]: given}
    placeholders = [node for node in recorded.graph.nodes if node.op == "placeholder"]
    (after,), gradients = module(*(values[node].detach() for node in placeholders))
    expected = function(other, x)
    assert_close(after, expected.detach())
    assert_close(gradients, torch.autograd.grad(expected, [other, x, *(a for a, _ in recorded.outside)], given))


@pytest.mark.parametrize(
    "other",
    [
        lambda w, h, x: torch.tanh(h @ w + 2 * x),
        lambda w, h, x: torch.sigmoid(h @ w + x),
        lambda w, h, x: torch.tanh(x @ w + h),
        lambda w, h, x: torch.tanh(h @ w + x) + 0 * h,
        lambda w, h, x: torch.tanh(h @ w.t() + x),
        lambda w, h, x: torch.tanh(h @ w.detach().clone() + x),
    ],
)
def test_what_is_seen_tells_steps_apart(other, h, x):
    weight = nn.Parameter(torch.randn(D, D))
    step = step_of(lambda h, x: torch.tanh(h @ weight + x))
    one, again = watch(step, (h,), (x,))[1], watch(step, (2 * h,), (x.detach() - 1,))[1]
    assert one == again
    assert watch(step_of(lambda h, x: other(weight, h, x)), (h,), (x,))[1] != one


def test_values_do_not_tell_steps_apart_but_kinds_of_parameters_do(h, x):
    weight = nn.Parameter(torch.randn(D, D))
    step = step_of(lambda h, x: h @ weight + x)
    _, seen = watch(step, (h,), (x,))
    weight.data = weight.data + 1
    assert watch(step, (h,), (x,))[1] == seen
    for change in (lambda: weight.requires_grad_(False), lambda: setattr(weight, "data", weight.data.t())):
        change()
        assert watch(step, (h,), (x,))[1] != seen
        seen = watch(step, (h,), (x,))[1]


def test_a_recording_leaves_gradients_hooks_and_autocast_as_they_were(h, x):
    weight, calls = nn.Parameter(torch.randn(D, D)), []
    weight.register_hook(calls.append)
    record(step_of(lambda h, x: h @ weight + x), (h,), (x,))
    assert not calls
    assert weight.grad is None
    assert torch.is_autocast_cache_enabled()
    (h @ weight).sum().backward()
    assert len(calls) == 1
