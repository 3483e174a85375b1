"""Steps train what they say, all of them the same bound."""

import pytest
import torch

from pyro_vrnn.benchmark import shares as room
from pyro_vrnn.benchmark.shares import PARTS, shares
from pyro_vrnn.benchmark.steps import TensorBound
from pyro_vrnn.training.objective import Elbo

WAYS = ("ours", "tensors", "markov", "plain")


def test_the_tensor_code_is_the_sequence_program_without_pyro(case, variant):
    found = case(variant)
    losses, gradients = [], []
    for program in (Elbo(found.net), TensorBound(found.net)):
        torch.manual_seed(0)
        found.net.zero_grad()
        losses.append(found.loss(program))
        losses[-1].backward()
        gradients.append([p.grad.clone() for p in found.net.parameters()])
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_every_way_trains_every_parameter(case, variant, precision, monkeypatch):
    trained = []
    monkeypatch.setattr("pyro_vrnn.benchmark.steps.update", lambda program, optimiser: trained.append(program))
    ways = case(variant, precision=precision).ways(WAYS)
    assert set(ways) == {*WAYS} - ({"plain"} if variant in ("storn", "srnn", "zforcing") else set())
    for way in ways.values():
        way()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in trained[-1].parameters())
    assert len(trained) == len(ways)


def test_a_step_moves_the_parameters(case):
    found = case()
    before = [p.detach().clone() for p in found.net.parameters()]
    found.ways(["ours"])["ours"]()
    assert all(not torch.equal(a, b) for a, b in zip(before, found.net.parameters(), strict=True))


def test_the_batch_is_standardised_noise(case):
    x, mask = case(frames=40).x, case(frames=40).mask
    assert x.shape == (3, 40, 200)
    assert mask.all()
    assert float(x.std()) == pytest.approx(1, rel=0.02)


def test_every_moment_of_a_step_has_its_part(case, variant):
    found = shares(case(variant), 2)
    assert tuple(found) == PARTS
    assert sum(found.values()) == pytest.approx(100)
    assert all(share > 0 for share in found.values())


class Clock:
    """Stands still but for what is slowed down."""

    def __init__(self):
        self.now = 0.0

    def slow(self, module, taking, backward):
        """Calls of the module take so long, and its gradients."""
        clock = self

        class Slow(torch.autograd.Function):
            @staticmethod
            def forward(ctx, a):
                clock.now += taking
                return a.clone()

            @staticmethod
            def backward(ctx, gradient):
                clock.now += backward
                return gradient

        module.register_forward_hook(lambda module, inputs, out: Slow.apply(out))


@pytest.mark.parametrize("variant", ["vrnn-gauss", "rnn-gauss", "storn", "srnn"])
def test_time_is_booked_where_it_is_spent_forward_and_backward(case, variant, monkeypatch):
    found, clock, T = case(variant, frames=5), Clock(), 5
    monkeypatch.setattr(room.time, "perf_counter", lambda: clock.now)
    expected = dict.fromkeys(PARTS, 0.0)
    clock.slow(found.net.phi_x, 1.0, 2.0)
    expected["rest"] += 3
    clock.slow(found.net.emission.net, 10.0, 20.0)
    expected["emission"] += 30
    if found.net.has_latents:
        once = variant != "vrnn-gauss"
        if variant != "srnn":  # there the emission alone reads features of z
            clock.slow(found.net.phi_z, 100.0, 200.0)
            expected["loop"] += 300 * (1 if once else T)
    if variant in ("vrnn-gauss", "srnn"):
        clock.slow(found.net.guide.net.deep, 1000.0, 2000.0)
        expected["loop"] += 3000 * T
    if variant in ("vrnn-gauss", "srnn"):
        clock.slow(found.net.prior.net, 10.0, 20.0)
        expected["emission"] += 30
    update = room.update
    monkeypatch.setattr(room, "update", lambda *given: (setattr(clock, "now", clock.now + 7.0), update(*given)))
    expected["optimiser"] += 7
    collated = found.collated
    found.collated = lambda: (setattr(clock, "now", clock.now + 3.0), collated())[1]
    expected["data"] += 3
    total = sum(expected.values())
    assert shares(found, 1) == pytest.approx({part: 100 * taken / total for part, taken in expected.items()})
