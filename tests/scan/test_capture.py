"""Recorded passes give what the operations give."""

import pyro
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from pyro_vrnn.scan import capture, scan
from pyro_vrnn.scan.captured import bucket
from pyro_vrnn.training.objective import Elbo
from tests.model.small import ragged, small
from tests.scan.capturing import B, D, Net, by_operations, gradients, inputs, loss_of, unrecorded, warm


def test_a_recorded_loop_gives_what_its_operations_give(recording, device):
    net = Net(device)
    warm(net, 16, device)
    assert recording.recorded == 0
    for launched in (2, 4, 6):
        given = inputs(16, device)
        outs = net(*given)
        with unrecorded():
            plain = net(*given)
        assert_close(outs, plain)
        given_back = [torch.autograd.grad(loss_of(a), [*given, *net.parameters()]) for a in (outs, plain)]
        assert_close(*given_back)
        assert (recording.recorded, recording.launched) == (2, launched)
        del outs, plain


@pytest.mark.parametrize("steps", [4, 5, 8, 17, 18, 33, 36])
def test_lengths_of_a_bucket_share_a_recording_and_none_changes_a_gradient(steps, recording, device):
    net = Net(device)
    warm(net, bucket(steps), device)
    for length in (steps, bucket(steps), steps):  # what a longer one left must not reach a shorter one
        given = inputs(length, device)
        assert_close(gradients(net, given), by_operations(net, given))
    assert recording.recorded == 2


def test_buckets_grow_by_at_most_an_eighth():
    buckets = [bucket(steps) for steps in range(1, 2000)]
    assert all(steps <= b for steps, b in enumerate(buckets, 1))
    assert all(b <= 1.125 * steps for steps, b in enumerate(buckets, 1) if steps >= 8)
    assert set(buckets[:8]) == {8}
    assert len(set(buckets)) < 70
    assert all(bucket(b) == b for b in buckets)


@pytest.mark.parametrize("of", [(0,), (1,), (2,), (3,), (4,), (0, 2), (1, 4)])
def test_gradients_that_do_not_come_are_left_out(of, recording, device):
    net = Net(device)
    warm(net, 9, device)
    given = inputs(9, device)

    def run() -> list[Tensor | None]:
        outs = net(*given)
        return list(torch.autograd.grad(loss_of(outs, of), [*given, *net.parameters()], allow_unused=True))

    for _ in range(2):
        found = run()
        with unrecorded():
            assert_close(found, run())
    assert recording.launched >= 4


def test_further_steps_see_only_values_that_a_step_saw(recording, device):
    class Inverse(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Parameter(torch.tensor(0.5, device=device))

        def forward(self, x: Tensor, h: Tensor) -> Tensor:
            (last,), *_ = scan(lambda carry, row: ((self.a * carry[0] + 1 / row[0],), ()), (h,), (x,), owner=self)
            return last

    net = Inverse()
    for _ in range(capture.EAGER + 1):
        net.zero_grad()
        x = torch.rand(B, 33, D, device=device) + 1
        net(x, torch.zeros(B, D, device=device)).sum().backward()
    assert recording.launched == 2
    assert net.a.grad.isfinite()


def test_parameters_are_read_as_they_are_now(recording, device):
    net = Net(device)
    warm(net, 9, device)
    given = inputs(9, device)
    gradients(net, given)
    with torch.no_grad():
        net.a.weight.mul_(0.5)
    assert_close(gradients(net, given), by_operations(net, given))
    assert recording.recorded == 2
    net.a.weight.data = net.a.weight.detach() * 0.5  # other memory, the same parameter
    assert_close(gradients(net, given), by_operations(net, given))
    net.b.weight = nn.Parameter(net.b.weight.detach() * 0.5)
    assert_close(gradients(net, given), by_operations(net, given))
    for _ in range(capture.EAGER + 1):
        assert_close(gradients(net, given), by_operations(net, given))
    assert recording.recorded == 4


def test_a_parameter_written_to_before_the_backward_pass_is_an_error(recording, device):
    net = Net(device)
    warm(net, 9, device)
    loss = loss_of(net(*inputs(9, device)))
    with torch.no_grad():
        net.a.weight.mul_(0.5)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_hooks_of_parameters_see_every_gradient(recording, device):
    net = Net(device)
    seen: list[Tensor] = []
    net.a.weight.register_post_accumulate_grad_hook(lambda parameter: seen.append(parameter.grad.clone()))
    for _ in range(capture.EAGER + 2):
        net.zero_grad()
        loss_of(net(*inputs(9, device))).backward()
        assert_close(seen[-1], net.a.weight.grad)
    assert len(seen) == capture.EAGER + 2


def trained(variant: str, device: str, *, accumulate: int = 1) -> list[Tensor]:
    """Parameters after some steps on batches of changing lengths."""
    torch.manual_seed(0)
    net = small(variant).to(device)
    objective, optimiser = Elbo(net), torch.optim.Adam(net.parameters(), 1e-2)
    for step in range(8):
        optimiser.zero_grad()
        losses = []
        for part in range(accumulate):
            torch.manual_seed(2 * step + part)  # further steps draw too: what comes after them is another number
            x, mask = (a.to(device) for a in ragged())
            losses.append(objective(x[:, : 7 - step % 3], mask[:, : 7 - step % 3]))
        sum(losses).backward()
        optimiser.step()
    return [parameter.detach().clone() for parameter in net.parameters()]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_training_goes_the_same_way(latent_variant, accumulate, recording, device):
    with pyro.validation_enabled(False):
        ours = trained(latent_variant, device, accumulate=accumulate)
        with unrecorded():
            theirs = trained(latent_variant, device, accumulate=accumulate)
    assert_close(ours, theirs, rtol=1e-6, atol=1e-8)
    assert recording.launched >= 10 or latent_variant == "storn"  # whose latents need no loop
