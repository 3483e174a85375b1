"""A recording serves one loop at a time, whoever holds what it gave; it is kept while used, and can be refused."""

import gc
import warnings
import weakref
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from pyro_vrnn.scan import capture, cuda, loop
from tests.scan.capturing import Net, by_operations, gradients, inputs, loss_of, warm
from tests.scan.rerun import Broken, Rerun


def test_no_later_loop_writes_to_what_was_handed_out(recording, device):
    net = Net(device)
    warm(net, 9, device)
    given = inputs(9, device)
    outs = net(*given)
    found = torch.autograd.grad(loss_of(outs), [*given, *net.parameters()])
    held = [a.detach() for a in (*outs, *found)]
    copies = [a.clone() for a in held]
    del outs
    for _ in range(2):
        gradients(net, inputs(9, device))
    assert recording.launched == 6
    assert_close(held, copies, rtol=0, atol=0)


def test_losses_that_wait_together_each_get_their_own_gradients(recording, device):
    net = Net(device)
    warm(net, 9, device)
    batches = [inputs(9, device) for _ in range(3)]
    losses = [loss_of(net(*given)) for given in batches]
    assert recording.launched == 1
    sum(losses).backward()
    ours = [parameter.grad for parameter in net.parameters()]
    theirs = [by_operations(net, given) for given in batches]
    assert_close(ours, [sum(found) for found in zip(*(found[3:] for found in theirs), strict=True)])
    assert_close([given[0].grad for given in batches], [found[0] for found in theirs])


def test_a_loss_that_outlives_its_backward_pass_does_not_keep_the_recording(recording, device):
    net = Net(device)
    warm(net, 9, device)
    losses = []
    for done in range(3):
        losses.append(loss_of(net(*inputs(9, device))))
        losses[-1].backward()
        assert recording.launched == 2 * (done + 1)


def test_a_retained_graph_keeps_the_recording_until_it_is_gone(recording, device):
    net, given, other = Net(device), inputs(9, device), inputs(9, device)
    warm(net, 9, device)
    expected = by_operations(net, given)
    loss = loss_of(net(*given))
    wanted = [*given, *net.parameters()]
    assert_close(list(torch.autograd.grad(loss, wanted, retain_graph=True)), expected)
    launched = recording.launched
    assert_close(gradients(net, other), by_operations(net, other))
    assert recording.launched == launched
    assert_close(list(torch.autograd.grad(loss, wanted, retain_graph=True)), expected)
    assert_close(list(torch.autograd.grad(loss, wanted)), expected)
    with pytest.raises(RuntimeError, match="retain_graph"):
        torch.autograd.grad(loss, wanted)
    launched = recording.launched
    gradients(net, other)
    assert recording.launched == launched + 2


def test_a_loss_without_a_backward_pass_gives_the_recording_back_when_it_is_gone(recording, device):
    net = Net(device)
    warm(net, 9, device)
    loss = loss_of(net(*inputs(9, device)))
    net(*inputs(9, device))
    assert recording.launched == 1
    del loss
    net(*inputs(9, device))
    assert recording.launched == 2


def test_only_what_was_used_last_is_kept(recording, device, monkeypatch):
    monkeypatch.setattr(capture, "KEPT", 2)
    net = Net(device)
    for steps in (8, 9, 10):
        for _ in range(capture.EAGER + 1):
            gradients(net, inputs(steps, device))
    assert recording.recorded == 6
    for steps in (9, 10):
        gradients(net, inputs(steps, device))
    assert recording.recorded == 6
    for _ in range(capture.EAGER + 1):
        given = inputs(8, device)
        assert_close(gradients(net, given), by_operations(net, given))
    assert recording.recorded == 8


def test_recordings_die_with_their_owner(recording, device):
    net = Net(device)
    warm(net, 9, device)
    gradients(net, inputs(9, device))
    (loops,) = [of for plan, of in capture._seen.items() if plan in [k.plan for k in loop._known[net].values()]]
    recorded = weakref.ref(next(seen.loop for seen in loops.values() if seen.loop))
    del loops
    assert recorded() is not None
    del net
    gc.collect()
    assert recorded() is None


@pytest.mark.parametrize("fails", ["forward", "backward"])
def test_what_cannot_be_recorded_runs_with_one_warning(fails, monkeypatch):
    recorders = iter([Broken()] if fails == "forward" else [Rerun(), Broken()])
    attempts = 0

    def record(work: Any) -> Any:
        nonlocal attempts
        attempts += 1
        return next(recorders)(work)

    monkeypatch.setattr(cuda, "recorder", lambda _: record)
    net = Net()
    warm(net, 17)
    given = inputs(17)
    expected = by_operations(net, given)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for _ in range(capture.EAGER + 2):
            loss, wanted = loss_of(net(*given)), [*given, *net.parameters()]
            for retain in (True, False):
                assert_close(list(torch.autograd.grad(loss, wanted, retain_graph=retain)), expected)
    (warning,) = warned
    assert str(warning.message).endswith("because operation not permitted when stream is capturing")
    assert attempts == (1 if fails == "forward" else 2)
