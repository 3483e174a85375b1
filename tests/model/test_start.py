"""Where parameters start: the released code's ranges, orthogonal recurrent blocks, biases."""

import re

import pytest
import torch
from torch.nn.functional import softplus
from torch.testing import assert_close

from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.sizes import Sizes, Widths
from pyro_vrnn.model.state import State
from pyro_vrnn.model.variants import VARIANTS, compose

H, X, Z, COMPONENTS = 16, 3, 4, 20
RECURRENT = {"lstm": r"recurrence\.cells\.\d\.read\.weights\.", "gru": r"recurrence\.cells\.\d\.recur\.weights\.0"}


def fresh(variant: str, recurrence: str) -> VRNN:
    widths = Widths(phi_x=40, phi_z=30, guide=24, prior=20, emission=36)
    return compose(VARIANTS[variant], recurrence, Sizes(H, 2, Z, 2, widths), X)


def is_recurrent(net: VRNN, recurrence: str, name: str) -> bool:
    if "rnn.weight_hh" in name:
        return True
    if recurrence == "gru":
        return re.match(RECURRENT["gru"], name) is not None
    *owner, index = name.split(".")
    of_a_cell = re.match(RECURRENT["lstm"], name) is not None
    return of_a_cell and int(index) == len(net.get_submodule(".".join(owner))) - 1


@pytest.mark.parametrize("recurrence", RECURRENT)
def test_weights_and_biases(variant, recurrence):
    net = fresh(variant, recurrence)
    heads = {id(part.net.last_bias) for part in (net.prior, net.guide, net.emission) if hasattr(part, "net")}
    blocks = 0
    for name, parameter in net.named_parameters():
        if id(parameter) in heads:
            continue
        if "bias" in name:
            assert parameter.abs().max() == 0, name
        elif is_recurrent(net, recurrence, name):
            for block in parameter.split(parameter.shape[1]):
                assert_close(block @ block.T, torch.eye(len(block)), msg=name)
                blocks += 1
        else:
            assert parameter.abs().max() <= 0.08, name
            assert parameter.abs().max() > 0.07, name
            assert parameter.std().item() == pytest.approx(0.08 / 3**0.5, rel=0.25), name
    own = {"lstm": 2 * 4, "gru": 2 * 3}[recurrence]
    assert blocks == own + (4 if variant in ("storn", "srnn", "zforcing") else 0)


def test_the_bias_of_every_sigma_is_0_6(variant):
    net = fresh(variant, "lstm")
    for part, width in ((net.prior, Z), (net.guide, Z), (net.emission, X)):
        if not hasattr(part, "net"):
            continue
        sigmas = COMPONENTS * width if part is net.emission and "gmm" in variant else width
        assert part.net.last_bias[-sigmas:].eq(0.6).all()
        assert part.net.last_bias[:-sigmas].eq(0).all()


def test_densities_start_near_the_same_sigma():
    net = fresh("vrnn-gauss", "lstm")
    state = State(torch.zeros(H), torch.zeros(Z))
    expected = softplus(torch.tensor(0.6)) + 1e-4
    assert_close(net.prior(state).scale, expected.expand(Z))
    assert_close(net.emit(torch.zeros(30), state).scale, expected.expand(X))


def test_a_seed_decides_the_start(variant):
    nets = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        nets.append(torch.cat([p.flatten() for p in fresh(variant, "lstm").parameters()]))
    assert nets[0].equal(nets[1])
    assert not nets[0].equal(nets[2])
