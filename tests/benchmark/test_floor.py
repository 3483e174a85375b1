"""Floors against products counted by hand."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from pyro_vrnn.benchmark.floor import gemm_operations
from pyro_vrnn.benchmark.traffic import loop_weights, traffic_seconds
from pyro_vrnn.model.guides import PriorGuide
from pyro_vrnn.model.variants import ModelOptions, build

X, H, Z, B = 7, 5, 2, 6
PHI_X, PHI_Z, GUIDE, PRIOR, EMISSION = 10, 9, 12, 11, 13
WIDTHS = {"phi_x": PHI_X, "phi_z": PHI_Z, "guide": GUIDE, "prior": PRIOR, "emission": EMISSION}


def model(variant: str, **more):
    widths = {f"{part}_width": width for part, width in WIDTHS.items()}
    return build(ModelOptions(variant=variant, h=H, z=Z, depth=1, **widths, **more), X)


def vrnn_gauss(T: int) -> int:
    """Multiplications of a row: what is read, times what is made, times how often."""
    data = T  # gradients of data, at each step
    features_x = X * PHI_X * 2 * T  # x wants no gradient
    features_z = Z * PHI_Z * (2 * T + data)
    guide = GUIDE * (PHI_X * 3 * T + H * (2 * T + T - 1) + 2 * Z * 3 * T)  # h_0 wants no gradient
    prior = PRIOR * (H * (2 * T + T - 1) + 2 * Z * 3 * T)
    emission = EMISSION * (PHI_Z * 3 * T + H * (2 * T + T - 1) + 2 * X * 3 * T)
    # The state after the last step is no one's, and h_0 wants no gradient.
    recurrence = 4 * H * ((PHI_Z) * 3 * (T - 1) + H * (2 * (T - 1) + T - 2))
    prepared = 4 * H * PHI_X * 3 * T  # of all frames at once
    return features_x + features_z + guide + prior + emission + recurrence + prepared


def rnn_gauss(T: int) -> int:
    features_x = X * PHI_X * 2 * T
    emission = EMISSION * (H * (2 * T + T - 1) + 2 * X * 3 * T)
    recurrence = 4 * H * (H * (2 * (T - 1) + T - 2) + PHI_X * 3 * T)
    return features_x + emission + recurrence


@pytest.mark.parametrize("T", [2, 3, 4, 5, 40])
@pytest.mark.parametrize(("variant", "by_hand"), [("vrnn-gauss", vrnn_gauss), ("rnn-gauss", rnn_gauss)])
def test_operations_are_those_counted_by_hand(variant, by_hand, T):
    assert gemm_operations(model(variant), B, T) == 2 * B * by_hand(T)


@pytest.mark.parametrize(
    "more",
    [
        {},
        pytest.param({"recurrence": "gru", "layers": 2}, marks=pytest.mark.slow),
        pytest.param({"layers": 2}, marks=pytest.mark.slow),
        pytest.param({"recurrence": "linear"}, marks=pytest.mark.slow),
    ],
)
def test_every_composition_can_be_counted(variant, more):
    net = model(variant, **more)
    state, random = {k: v.clone() for k, v in net.state_dict().items()}, torch.get_rng_state()
    counts = [gemm_operations(net, B, T) for T in range(3, 6)]
    assert len({b - a for a, b in pairwise(counts)}) == 1, "not linear in the frames"
    weights = sum(p.numel() for p in net.parameters() if p.ndim == 2)
    assert 2 * 2 * B * weights < counts[1] - counts[0] < 3 * 2 * B * weights
    assert gemm_operations(net, 2 * B, 5) == 2 * counts[2]
    assert all(parameter.grad is None and parameter.requires_grad for parameter in net.parameters())
    assert all(torch.equal(state[k], v) for k, v in net.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())


def test_the_floor_does_not_move_with_the_program_that_is_timed(monkeypatch):
    net = model("vrnn-gauss")
    expected = gemm_operations(net, B, 5)
    monkeypatch.setattr(type(net.recurrence), "over_time", None)
    monkeypatch.setattr("pyro_vrnn.model.draws.infer", None)
    monkeypatch.setattr("pyro_vrnn.model.rollout.follow", None)
    assert gemm_operations(net, B, 5) == expected


def test_a_part_of_the_users_own_is_counted():
    class Features(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(Z, 4), nn.Linear(4, PHI_Z)

        def forward(self, z):
            return self.two(torch.tanh(self.one(z)))

    net = model("vrnn-gauss")
    before, loop = gemm_operations(net, B, 40), loop_weights(net)
    net.phi_z = Features()
    more = Z * 4 + 4 * PHI_Z - Z * PHI_Z
    assert gemm_operations(net, B, 40) - before == 2 * B * 40 * 3 * more
    assert loop_weights(net) - loop == more


LSTM = 4 * H * H
IN_THE_LOOP = {
    "vrnn-gauss": GUIDE * (H + 2 * Z) + PHI_Z * Z + 4 * H * PHI_Z + LSTM,
    "vrnn-i": GUIDE * (H + 2 * Z) + PHI_Z * Z + 4 * H * PHI_Z + LSTM,
    "vrnn-gmm": GUIDE * (H + 2 * Z) + PHI_Z * Z + 4 * H * PHI_Z + LSTM,
    "storn": LSTM + 4 * GUIDE * GUIDE,  # its guide's own LSTM sees no z: phi_z is known for every step
    "srnn": LSTM + 4 * GUIDE * GUIDE + GUIDE * (Z + 2 * Z),  # h is known before any z, and so is its share
    "rnn-gauss": LSTM,
    "rnn-gmm": LSTM,
}


@pytest.mark.parametrize("variant", IN_THE_LOOP)
def test_weights_that_the_loop_must_read_are_those_counted_by_hand(variant):
    assert loop_weights(model(variant)) == IN_THE_LOOP[variant]


def test_upper_layers_are_in_the_loop():
    assert loop_weights(model("vrnn-gauss", layers=2)) == IN_THE_LOOP["vrnn-gauss"] + 2 * LSTM


def test_a_prior_that_the_guide_asks_for_is_in_the_loop():
    net = model("vrnn-gauss")
    net.guide = PriorGuide()
    assert loop_weights(net) == PRIOR * (H + 2 * Z) + PHI_Z * Z + 4 * H * PHI_Z + LSTM


def test_traffic_is_a_reading_forward_and_one_backward_at_each_step():
    assert traffic_seconds(2000, 40, 1e6) == pytest.approx(0.16)
