"""Recurrences: one step, all steps, and the library's own."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.model.recurrence import Recurrence
from pyro_vrnn.model.sizes import Sizes, Widths
from pyro_vrnn.model.state import Dims, State
from pyro_vrnn.model.variants import RECURRENCES, VARIANTS, compose

F, G, H, T = 4, 3, 5, 6
STACKS = [("linear", 1), *((name, layers) for name in ("lstm", "gru") for layers in (1, 2, 3))]

every_stack = pytest.mark.parametrize(("name", "layers"), STACKS)
with_and_without_z = pytest.mark.parametrize("reads_z", [True, False])


def recurrence(name: str, layers: int, reads_z: bool) -> Recurrence:
    made = RECURRENCES[name](Dims(x=2, z=2, h=H, phi_x=F, phi_z=G, h_reads_z=reads_z), layers=layers)
    for parameter in made.parameters():
        nn.init.normal_(parameter, 0, 0.5)
    return made


def a_state(made: Recurrence, *batch: int) -> State:
    return State(torch.randn(*batch, H), torch.randn(*batch, 2), tuple(torch.randn(made.memory_size, *batch, H)))


@every_stack
@with_and_without_z
@pytest.mark.parametrize("particles", [(), (3,)])
def test_all_steps_at_once_equal_one_after_the_other(name, layers, reads_z, particles):
    made = recurrence(name, layers, reads_z)
    x, z = torch.randn(4, T, F), torch.randn(*particles, 4, T, G)
    state = first = a_state(made, *particles, 4)
    hs = []
    for driven, features in zip(made.prepare(x).unbind(-2), z.unbind(-2), strict=True):
        h, memory = made(driven, features, state)
        state = State(h, state.z, memory)
        hs.append(h)
    h, (last, memory) = made.over_time(x, z, first)
    assert_close(h, torch.stack(hs, -2), rtol=1e-12, atol=1e-12)
    assert_close((last, memory), (state.h, state.memory), rtol=1e-12, atol=1e-12)
    assert len(memory) == made.memory_size


@every_stack
def test_z_enters_only_where_it_is_said_to(name, layers):
    x, z = torch.randn(4, T, F), torch.randn(4, T, G)
    for reads_z in (True, False):
        made = recurrence(name, layers, reads_z)
        state = a_state(made, 4)
        assert made.reads_z == reads_z
        assert made.over_time(x, z, state)[0].equal(made.over_time(x, z + 1, state)[0]) == (not reads_z)
        step, other = (made(made.prepare(x[:, 0]), features[:, 0], state)[0] for features in (z, z + 1))
        assert step.equal(other) == (not reads_z)


@pytest.mark.parametrize("layers", [1, 2, 3])
@with_and_without_z
def test_lstm_is_the_librarys(layers, reads_z):
    made = recurrence("lstm", layers, reads_z)
    library = nn.LSTM(F + G if reads_z else F, H, layers, batch_first=True)
    for i, cell in enumerate(made.cells):
        *read, recurrent = cell.read.weights
        weights = {"weight_ih": torch.cat(list(read), 1), "weight_hh": recurrent, "bias_ih": cell.read.bias}
        for key, weight in weights.items():
            getattr(library, f"{key}_l{i}").data.copy_(weight)
        getattr(library, f"bias_hh_l{i}").data.zero_()
    x, z = torch.randn(4, T, F), torch.randn(4, T, G)
    h0, c0 = torch.randn(layers, 4, H), torch.randn(layers, 4, H)
    expected, (h, c) = library(torch.cat([x, z], -1) if reads_z else x, (h0, c0))
    state = State(h0[-1], torch.zeros(4, 2), (*c0, *h0[:-1]))
    got, (last, memory) = made.over_time(x, z, state)
    assert_close(got, expected, rtol=1e-12, atol=1e-12)
    assert_close((last, memory), (h[-1], (*c, *h[:-1])), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layers", [1, 2, 3])
@with_and_without_z
def test_gru_is_the_librarys(layers, reads_z):
    made = recurrence("gru", layers, reads_z)
    library = nn.GRU(F + G if reads_z else F, H, layers, batch_first=True)
    for i, cell in enumerate(made.cells):
        weights = {
            "weight_ih": torch.cat(list(cell.read.weights), 1),
            "weight_hh": cell.recur.weights[0],
            "bias_ih": cell.read.bias,
            "bias_hh": cell.recur.bias,
        }
        for key, weight in weights.items():
            getattr(library, f"{key}_l{i}").data.copy_(weight)
    x, z, h0 = torch.randn(4, T, F), torch.randn(4, T, G), torch.randn(layers, 4, H)
    expected, h = library(torch.cat([x, z], -1) if reads_z else x, h0)
    got, (last, memory) = made.over_time(x, z, State(h0[-1], torch.zeros(4, 2), tuple(h0[:-1])))
    assert_close(got, expected, rtol=1e-12, atol=1e-12)
    assert_close((last, memory), (h[-1], tuple(h[:-1])), rtol=1e-12, atol=1e-12)


def test_linear_is_a_matrix_each():
    made = recurrence("linear", 1, True)
    B, C, A = made.read.weights
    x, z, state = torch.randn(4, F), torch.randn(4, G), a_state(made, 4)
    assert_close(made(made.prepare(x), z, state)[0], state.h @ A.T + x @ B.T + z @ C.T)
    assert made(made.prepare(0 * x), 0 * z, a_state(made, 4)._replace(h=0 * state.h))[0].abs().max() == 0


def test_a_stack_of_linear_layers_is_refused():
    widths = Widths(phi_x=4, phi_z=3, guide=6, prior=5, emission=6)
    with pytest.raises(ConfigurationError, match=r"linear with 2 layers.*use 1"):
        compose(VARIANTS["vrnn-gauss"], "linear", Sizes(H, 2, 2, 1, widths), 3)
