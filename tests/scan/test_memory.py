"""What lives how long: nothing of a loop outlives its loss, nothing of a plan its owner."""

import gc
import weakref
from unittest.mock import patch

import pyro
import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pyro_vrnn.model.draws import infer
from pyro_vrnn.scan import loop, running
from tests.model.small import ragged, small
from tests.scan.comparing import D, Loop, a_batch, plans


@pytest.fixture(autouse=True)
def _no_collector():
    """What dies here dies by its last reference: cycles would hold memory until a collection."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def net() -> Loop:
    return Loop(lambda net, h, x: torch.tanh(net.a(h) + x).square(), a=nn.Linear(D, D))


@pytest.fixture
def kept():
    """Weak references to all that loops keep for their backward passes."""
    found: list[weakref.ref[Tensor]] = []
    forward = running.forward

    def watched(*args):
        ran = forward(*args)
        found.extend(weakref.ref(a.untyped_storage()) for a in (*ran.carries, *ran.kept, *sum(ran.saved, ())))
        return ran

    with patch.object(running, "forward", watched):
        yield lambda: [ref for ref in found if ref() is not None]


def test_the_loop_dies_with_its_loss(net, kept):
    loss = sum(out.sum() for out in net(*a_batch()))
    assert plans(net)
    assert kept()
    del loss
    assert not kept()


def test_the_backward_pass_frees_what_was_kept_for_it(net, kept):
    loss = sum(out.sum() for out in net(*a_batch()))
    loss.backward(retain_graph=True)
    assert kept()
    loss.backward()
    assert not kept()


def test_activation_checkpointing_keeps_nothing(net, kept):
    loss = checkpoint(net, *a_batch(), use_reentrant=False)[0].sum()
    assert plans(net)
    assert not kept()
    loss.backward()
    assert not kept()


def test_a_plan_dies_with_its_owner():
    net = Loop(lambda net, h, x: torch.tanh(net.a(h) + x), a=nn.Linear(D, D))
    net(*a_batch())
    (plan,) = map(weakref.ref, plans(net))
    weight, owner = weakref.ref(net.a.weight), weakref.ref(net)
    before = len(loop._known)
    del net
    assert owner() is None
    assert plan() is None
    assert weight() is None
    assert len(loop._known) < before


@pytest.mark.parametrize("variant", ["vrnn-gauss", "vrnn-i-gmm", "srnn"])
def test_a_plan_keeps_no_batch_alive(variant, kept):
    model = small(variant)
    with pyro.validation_enabled(False):
        x, mask = ragged()
        z, rollout = infer(model, x, mask, (3, 4))
        rollout.log_weights(z).sum().backward()
    assert plans(model)
    alive = [weakref.ref(a.untyped_storage()) for a in (x, mask, z, rollout.q.loc)]
    del x, mask, z, rollout
    assert not [ref for ref in alive if ref() is not None]
    assert not kept()
    assert {id(a) for plan in plans(model) for a in plan.outside} <= {id(p) for p in model.parameters()}
