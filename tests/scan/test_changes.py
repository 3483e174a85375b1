"""What changes between two calls is seen: the plan follows, another is made, or the modules run."""

import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pyro_vrnn.scan import loop
from tests.scan.comparing import B, D, Loop, T, a_batch, assert_same, outcome, plans


def step(net: Loop, h: Tensor, x: Tensor) -> Tensor:
    return torch.tanh(net.gain * F.dropout(net.a(h), 0.4, net.training) + x)


@pytest.fixture
def net() -> Loop:
    made = Loop(step, a=nn.Linear(D, D), gain=1.5)
    assert_right(made)
    return made


def assert_right(net: Loop, *batch: Tensor, recorded: bool = True, **tolerance: float) -> None:
    batch = batch or a_batch()
    assert_same(outcome(net, *batch), outcome(net, *batch, record=False), **tolerance)
    assert bool(plans(net)) == recorded


def constant(net):
    net.gain = 0.5


def parameter(net):
    net.a.weight = nn.Parameter(torch.randn(D, D))


def data(net):
    net.a.weight.data = torch.randn(D, D)


def laid_out_anew(net):
    net.a.weight.data = torch.randn(D, D).t()


def state(net):
    net.load_state_dict(nn.ModuleDict({"a": nn.Linear(D, D)}).state_dict())


def assigned_state(net):
    net.load_state_dict(nn.ModuleDict({"a": nn.Linear(D, D)}).state_dict(), assign=True)


def optimiser(net):
    net.a.weight.grad = torch.randn(D, D)
    torch.optim.SGD(net.parameters(), 1.0).step()


def submodule(net):
    net.a = nn.Sequential(nn.Linear(D, 3), nn.ReLU(), nn.Linear(3, D))


def another_step(net):
    net.step = lambda net, h, x: torch.sigmoid(net.a(x)) * h


def no_dropout(net):
    net.eval()


def frozen(net):
    net.a.requires_grad_(False)


CHANGES = [
    *(constant, parameter, data, laid_out_anew, state, assigned_state, optimiser),
    *(submodule, another_step, no_dropout, frozen),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_step_is_seen(net, change):
    before, _ = outcome(net, *a_batch())
    change(net)
    assert_right(net)
    if change is not frozen:
        torch.manual_seed(0)
        assert not torch.equal(outcome(net, *a_batch())[0][0], before[0])


def test_thawed_parameters_get_their_gradients(net):
    frozen(net)
    assert_right(net)
    net.a.requires_grad_(True)
    assert_right(net)
    assert outcome(net, *a_batch())[1][2].any()


def test_training_and_evaluation_by_turns(net):
    for mode in (False, True, False, True):
        net.train(mode)
        with torch.set_grad_enabled(mode):
            h, x = a_batch()
            torch.manual_seed(1)
            ours = net(h, x)
            torch.manual_seed(1)
            assert_same(list(ours), list(net(h, x, record=False)))
    (known,) = loop._known[net].values()
    assert known.recordings == 1  # where there are no gradients nothing is recorded, and nothing lost


@pytest.mark.parametrize("lead", [(1,), (B + 2,), (2, B), (B,)])
def test_another_batch(net, lead):
    assert_right(net, *a_batch(*lead))
    assert_right(net, *a_batch(*lead, steps=T + 3))


def test_a_batch_of_one_among_rows_that_all_share(net):
    """Nothing but the carry says how many there are."""
    x = torch.randn(T, D, requires_grad=True)
    for rows in (3, 1, 2):
        h = torch.randn(rows, D, requires_grad=True)
        assert outcome(net, h, x)[0][0].shape == (rows, D)
        assert_right(net, h, x)


def test_another_type(net):
    net.float()
    assert_right(net, *a_batch(dtype=torch.float32), rtol=1e-4, atol=1e-5)
    net.double()
    assert_right(net)


def test_autocast_on_and_off(net):
    net.eval().float()
    batch = a_batch(dtype=torch.float32)
    plain = outcome(net, *batch)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = outcome(net, *batch)
        assert_same(rounded, outcome(net, *batch, record=False), rtol=0.05, atol=0.05)
    assert not torch.equal(rounded[0][0], plain[0][0])
    assert_same(outcome(net, *batch), plain, rtol=0, atol=0)
    assert len(plans(net)) >= 2


def test_what_the_step_keeps_out_of_autocast_is_not_rounded_backward_either():
    def step(net, h, x):
        with torch.autocast("cpu", enabled=False):
            return torch.tanh(net.a(h) + x)

    net, batch = Loop(step, a=nn.Linear(D, D)).float(), a_batch(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        ours = outcome(net, *batch)
    assert plans(net)
    assert_same(ours, outcome(net, *batch, record=False), rtol=1e-4, atol=1e-5)


def test_a_backward_pass_inside_autocast(net):
    """Plain autograd would round there; the loop does what was recorded."""
    net.eval().float()
    h, x = a_batch(dtype=torch.float32)
    expected = outcome(net, h, x)[1]
    outs = net(h, x)
    with torch.autocast("cpu", torch.bfloat16):
        sum((out * torch.linspace(-1, 2, out.numel()).view(out.shape)).sum() for out in outs).backward()
    assert_same([h.grad, x.grad, *(p.grad for p in net.parameters())], expected, rtol=1e-5, atol=1e-6)


def test_a_sequence_too_short_to_record():
    net = Loop(step, a=nn.Linear(D, D), gain=1.5)
    assert_right(net, *a_batch(steps=loop.SHORTEST - 1), recorded=False)
    assert_right(net, *a_batch(steps=loop.SHORTEST))


class Turning(nn.Module):
    """Does something else at every call."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.calls = nn.Linear(D, D), 0

    def forward(self, h: Tensor, x: Tensor) -> Tensor:
        self.calls += 1
        return torch.tanh(self.a(h) * self.calls + x)


def reading(text: str):
    return {
        "item": lambda net, h, x: net.a(h) * (1.0 if h.sum().item() > 0 else 2.0) + x,
        "if": lambda net, h, x: net.a(h) + x if h.sum() > 0 else net.a(x),
        "tolist": lambda net, h, x: net.a(h) * max(1.0, *h.detach().flatten().tolist()) + x,
        "numpy": lambda net, h, x: net.a(h) * float(h.detach().numpy().max() + 3) + x,
        "equal": lambda net, h, x: net.a(h) + x if torch.equal(h, h.abs()) else net.a(x) + h,
        "some": lambda net, h, x: net.a(h) + h[h > 0].sum() + x,
        "nonzero": lambda net, h, x: net.a(h) + len((h > 0).nonzero()) * x,
    }[text]


@pytest.mark.parametrize("how", ["item", "if", "tolist", "numpy", "equal", "some", "nonzero"])
def test_a_step_that_reads_values_runs_by_the_modules_with_one_warning(how):
    net = Loop(reading(how), a=nn.Linear(D, D))
    with pytest.warns(UserWarning, match="because it reads the value of a tensor"):
        assert_right(net, recorded=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_right(net, recorded=False)


def test_a_step_that_is_another_at_every_step_runs_by_the_modules_with_one_warning():
    net = Loop(lambda net, h, x: net.turning(h, x), turning=Turning())
    with pytest.warns(UserWarning, match="something else each time"):
        outcome(net, *a_batch())
    batch = a_batch()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.turning.calls = 0
        ours = outcome(net, *batch)
        net.turning.calls = 0
        assert_same(ours, outcome(net, *batch, record=False))


def test_a_step_that_is_another_at_every_call_stops_being_recorded_with_one_warning():
    net = Loop(step, a=nn.Linear(D, D))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for gain in range(1, 2 * loop.PATIENCE):
            net.gain = float(gain)
            assert_right(net, recorded=gain <= loop.PATIENCE)
    assert [str(warning.message).split("because ")[1] for warning in said] == [
        f"it did something else {loop.PATIENCE} times"
    ]


def test_a_modules_own_random_state_is_as_if_nothing_had_been_looked_at(net):
    for _ in range(2):
        torch.manual_seed(4)
        net(*a_batch())
        ours = torch.rand(3)
        torch.manual_seed(4)
        net(*a_batch(), record=False)
        assert torch.equal(ours, torch.rand(3))
