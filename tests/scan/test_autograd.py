"""The loop as a node of autograd's graph: parts of it, twice over it, under it, hooks on it."""

import pytest
import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from tests.scan.comparing import B, D, Loop, T, a_batch, assert_same, gradients, outcome, plans


def step(net: Loop, h: Tensor, x: Tensor):
    a = torch.tanh(net.a(h) + net.b(x))
    return a + 0.1 * h, net.c(a)


@pytest.fixture
def net() -> Loop:
    return Loop(step, a=nn.Linear(D, D), b=nn.Linear(D, D, bias=False), c=nn.Linear(D, 2))


def weigh(outs) -> Tensor:
    return sum((out * torch.linspace(-1, 2, out.numel()).view(out.shape)).sum() for out in outs)


def test_one_gradient_before_a_full_backward_changes_nothing(net):
    h, x = a_batch()
    loss = weigh(net(h, x))
    assert plans(net)
    (through,) = torch.autograd.grad(loss, x, retain_graph=True)
    assert all(p.grad is None for p in net.parameters())
    loss.backward()
    expected = outcome(net, h, x, record=False)[1]
    assert_same([through, h.grad, x.grad, *(p.grad for p in net.parameters())], [expected[1], *expected])


def test_two_backwards_accumulate_twice_the_gradient(net):
    h, x = a_batch()
    loss = weigh(net(h, x))
    loss.backward(retain_graph=True)
    once = [a.grad.clone() for a in (h, x, *net.parameters())]
    loss.backward()
    assert_same([a.grad for a in (h, x, *net.parameters())], [2 * a for a in once], rtol=0, atol=0)
    assert_same(once, outcome(net, h, x, record=False)[1])


@pytest.mark.parametrize("with_parameters", [True, False])
def test_a_second_backward_without_retain_graph_raises(net, with_parameters):
    loop = net if with_parameters else Loop(lambda net, h, x: torch.tanh(h + x))
    loss = weigh(loop(*a_batch()))
    loss.backward()
    with pytest.raises(RuntimeError, match="retain_graph"):
        loss.backward()


def test_double_backward_raises_and_says_so(net):
    """A gradient that looked like a constant would be worse."""
    h, x = a_batch()
    loss = weigh(net(h, x))
    with pytest.raises(RuntimeError, match="no second derivatives"):
        torch.autograd.grad(loss, h, create_graph=True)


def test_a_parameter_written_to_before_the_backward_raises(net):
    loss = weigh(net(*a_batch()))
    with torch.no_grad():
        net.a.weight.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("used", range(4))
def test_gradients_of_one_output_alone(net, used):
    """The others give none, and what does not lie before the one gets zeros or none."""
    h, x = a_batch()
    ours, theirs = (gradients([net(h, x, record=record)[used]], [h, x, *net.parameters()]) for record in (True, False))
    assert plans(net)
    assert_same(ours, theirs)


def test_an_output_without_a_gradient():
    net = Loop(lambda net, h, x: (torch.tanh(net.a(h) + x), h.detach(), (h > 0).long()), a=nn.Linear(D, D))
    h, x = a_batch()
    *_, detached, positive = net(h, x)
    assert plans(net)
    assert not positive.requires_grad
    ours = gradients(net(h, x)[:3], [h, x, *net.parameters()])
    assert_same(ours, gradients(net(h, x, record=False)[:3], [h, x, *net.parameters()]))
    assert_same([detached, positive], list(net(h, x, record=False)[3:]))


def test_no_gradient_for_what_needs_none(net):
    net.a.requires_grad_(False)
    h, x = (a.detach() for a in a_batch())
    weigh(net(h, x)).backward()
    assert plans(net)
    assert h.grad is None
    assert net.a.weight.grad is None
    expected = gradients(net(h, x, record=False), list(net.b.parameters()))
    assert_same([net.b.weight.grad], expected)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("reentrant", [True, False])
def test_activation_checkpointing(net, reentrant, known):
    """Also where the step is recorded inside, with noise that is drawn again."""
    net.step = lambda net, h, x: step(net, torch.dropout(h, 0.3, True), x)
    h, x = a_batch()
    if known:
        net(h, x)
    torch.manual_seed(3)
    weigh(checkpoint(net, h, x, use_reentrant=reentrant)).backward()
    assert plans(net)
    torch.manual_seed(3)
    expected = gradients(net(h, x, record=False), [h, x, *net.parameters()])
    assert_same([a.grad for a in (h, x, *net.parameters())], expected)


def test_hooks_on_gradients_run_once_on_the_whole(net):
    calls: list[Tensor] = []
    net.a.weight.register_hook(lambda g: (calls.append(g), 2 * g)[1])
    h, x = a_batch()
    h.register_hook(lambda g: 3 * g)
    after: list[nn.Parameter] = []
    net.b.weight.register_post_accumulate_grad_hook(after.append)
    weigh(net(h, x)).backward()
    assert plans(net)
    assert len(calls) == 1
    assert after == [net.b.weight]
    expected = outcome(net, h, x, record=False)[1]
    assert_same([h.grad, net.a.weight.grad, net.b.weight.grad], [expected[0], expected[2], expected[4]])
    assert_same(2 * calls[0], net.a.weight.grad)


def test_in_place_changes_of_what_the_loop_gave_do_not_pass_unseen(net):
    """They would change what its backward pass reads."""
    h, x = a_batch()

    def spoilt() -> None:
        made = net(h, x)[2]
        made.mul_(2)
        made.sum().backward()

    with pytest.raises(RuntimeError, match="modified inplace"):
        spoilt()


def test_distributed_data_parallel(net, tmp_path):
    torch.distributed.init_process_group("gloo", f"file://{tmp_path}/meet", world_size=1, rank=0)
    try:
        spread = DistributedDataParallel(net)
        h, x = a_batch()
        for _ in range(2):
            net.zero_grad()
            weigh(spread(h, x)).backward()
            assert plans(net)
            expected = gradients(net(h, x, record=False), list(net.parameters()))
            assert_same([p.grad for p in net.parameters()], expected)
    finally:
        torch.distributed.destroy_process_group()


def test_functional_call_and_transforms(net):
    """Parameters handed in are those whose gradients come; a transform runs the modules."""
    h, x = (a.detach() for a in a_batch())
    other = {name: torch.randn_like(p).requires_grad_() for name, p in net.named_parameters()}

    def loss(parameters: dict[str, Tensor], **options: bool) -> Tensor:
        return weigh(torch.func.functional_call(net, parameters, (h, x), options))

    ours = torch.autograd.grad(loss(other), list(other.values()))
    assert plans(net)
    theirs = torch.autograd.grad(loss(other, record=False), list(other.values()))
    assert_same(ours, theirs)
    assert_same(list(torch.func.grad(loss)(other).values()), theirs)


def test_shapes_of_what_is_returned(net):
    last, before, h, made = net(*a_batch())
    assert last.shape == (B, D)
    assert before.shape == h.shape == (B, T, D)
    assert made.shape == (B, T, 2)
    assert_same([last, before[:, 1:]], [h[:, -1], h[:, :-1]], rtol=0, atol=0)
