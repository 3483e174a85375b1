"""Under autocast: densities, states, latents, divergences and gradients in float32, and nothing changes without it."""

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from pyro_vrnn.model import markov
from pyro_vrnn.model.densities import DiagonalGaussian, Head
from pyro_vrnn.model.draws import infer
from pyro_vrnn.model.guides import FilteringGuide
from pyro_vrnn.model.network import VRNN
from pyro_vrnn.model.precision import full, in_full
from pyro_vrnn.model.rollout import Rollout, follow
from pyro_vrnn.model.variants import ModelOptions, build
from pyro_vrnn.scan import loop
from pyro_vrnn.training.objective import Elbo
from tests.model.small import ragged, small

RECURRENCES = [("lstm", 1), ("lstm", 2), ("gru", 1), ("gru", 2), ("linear", 1)]
FLOAT = torch.float32


def bf16() -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16)


@pytest.fixture(autouse=True)
def _float32() -> Iterator[None]:
    torch.set_default_dtype(FLOAT)
    with pyro.validation_enabled(False):
        yield


def parameters_of(density: Distribution) -> list[Tensor]:
    if isinstance(density, dist.MixtureSameFamily):
        inner = density.component_distribution
        return [density.mixture_distribution.logits, inner.loc, inner.scale]
    return [density.loc, density.scale]


def rolled(net: VRNN) -> tuple[Tensor, Rollout]:
    x, mask = ragged()
    if net.has_latents:
        return infer(net, x, mask, mask.shape[:1])
    z = x.new_zeros((*mask.shape, 0))
    return z, follow(net, x, mask, z)


@pytest.mark.parametrize(("recurrence", "layers"), RECURRENCES)
@pytest.mark.parametrize("recorded", [True, False])
def test_densities_states_and_latents_are_float32(recorded, recurrence, layers, variant):
    net = small(variant, recurrence, layers)
    with bf16(), patch.object(loop, "SHORTEST", loop.SHORTEST if recorded else 10**9):
        z, rollout = rolled(net)
        after, states = rollout.last, rollout.states
        found = [z, states.h, states.z, *states.memory, after.h, after.z, *after.memory]
        found += [*parameters_of(rollout.emission), rollout.log_emission]
        if net.has_latents:
            found += [*parameters_of(rollout.q), *parameters_of(rollout.p)]
            found += [rollout.kl, rollout.log_prior(z), rollout.log_guide(z), rollout.log_weights(z)]
        assert net.phi_x(rollout.x).dtype is torch.bfloat16, "nothing is cast"
    assert {a.dtype for a in found} == {FLOAT}


@pytest.mark.parametrize(("recurrence", "layers"), RECURRENCES)
def test_each_step_keeps_its_state_in_float32(recurrence, layers, variant):
    net = small(variant, recurrence, layers)
    x, mask = ragged()
    with bf16():
        drawn = pyro.poutine.trace(markov.Guide(net)).get_trace(x, mask)
        trace = pyro.poutine.trace(pyro.poutine.replay(markov.Model(net), trace=drawn)).get_trace(x, mask)
        trace.compute_log_prob()
        state = net.initial_state((4,))
        for t in range(2):
            z = state.z if net.prior is None else net.prior(state).rsample()
            state = net.advance(net.recurrence.prepare(net.phi_x(x[:, t])), z, net.features_z(z), state)
            assert {a.dtype for a in (z, *state[:2], *state.memory)} == {FLOAT}
    sites = [site for site in trace.nodes.values() if site["type"] == "sample" and site["name"][1:2] == "_"]
    assert sites
    assert {site[key].dtype for site in sites for key in ("value", "log_prob")} == {FLOAT}


class Gates(TorchDispatchMode):
    """Remembers the dtypes that gates are computed in."""

    def __init__(self) -> None:
        super().__init__()
        self.dtypes: list[torch.dtype] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.ops.aten.sigmoid.default, torch.ops.aten.tanh.default):
            self.dtypes.append(args[0].dtype)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("recurrence", "layers"), RECURRENCES[:4])
def test_gates_are_computed_in_float32(recurrence, layers):
    net = small("vrnn-gauss", recurrence, layers)
    x, z, state = torch.randn(4, net.dims.x), torch.randn(4, net.dims.z), net.initial_state((4,))
    with bf16(), Gates() as gates:
        net.advance(net.recurrence.prepare(net.phi_x(x)), z, net.features_z(z), state)
    assert len(gates.dtypes) == layers * (5 if recurrence == "lstm" else 3)
    assert set(gates.dtypes) == {FLOAT}


@pytest.mark.parametrize("variant", ["storn", "srnn"])
def test_a_guides_own_recurrence_keeps_its_cell_in_float32(variant):
    net = small(variant)
    x, mask = ragged()
    h = None if net.recurrence.reads_z else torch.randn(*mask.shape, net.dims.h)
    with bf16():
        features_x = net.phi_x(x)
        assert features_x.dtype is torch.bfloat16
        _, memory = net.guide.prepare(features_x, mask, h)
        _, memory = net.guide.prepare(features_x, mask, h, memory)
    assert {a.dtype for a in memory} == {FLOAT}


def loss_and_gradient(net: VRNN, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, list[Tensor]]:
    torch.manual_seed(3)
    loss = Elbo(net)(*batch)
    return loss.detach(), list(torch.autograd.grad(loss, list(net.parameters())))


def cosine(ours: list[Tensor], theirs: list[Tensor]) -> float:
    flat = [torch.cat([a.double().reshape(-1) for a in group]) for group in (ours, theirs)]
    return F.cosine_similarity(*flat, dim=0).item()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    mask = torch.arange(24) < torch.tensor([24, 20, 9, 24, 13, 24, 24, 17]).unsqueeze(-1)
    t = torch.arange(24 * 60).view(24, 60) / 5
    x = torch.sin(t * torch.linspace(0.5, 1.5, 8).view(-1, 1, 1)) + 0.1 * torch.randn(8, 24, 60)
    return x.masked_fill(~mask.unsqueeze(-1), 0.0), mask


@pytest.mark.parametrize("recurrence", ["lstm", "gru"])
def test_bound_and_gradient_are_those_of_float32_but_for_rounding(recurrence, variant, batch):
    net = build(ModelOptions(variant=variant, recurrence=recurrence, auxiliary=0.0), 60)
    loss, gradient = loss_and_gradient(net, batch)
    with bf16():
        rounded, found = loss_and_gradient(net, batch)
    assert rounded.dtype is FLOAT
    assert not torch.equal(rounded, loss)
    assert abs(rounded / loss - 1) < 0.01
    assert {a.dtype for a in found} == {FLOAT}
    assert all(a.isfinite().all() for a in found)
    assert cosine(found, gradient) > 0.99


def test_the_recorded_loop_rounds_as_the_modules_do(latent_variant, batch):
    net = build(ModelOptions(variant=latent_variant, auxiliary=0.0), 60)
    with bf16():
        loss, gradient = loss_and_gradient(net, batch)
        assert latent_variant == "storn" or any(known.plan for known in loop._known[net].values())
        with patch.object(loop, "SHORTEST", 10**9):
            plain, expected = loss_and_gradient(net, batch)
    torch.testing.assert_close(loss, plain, rtol=1e-4, atol=0)
    assert cosine(gradient, expected) > 0.9995


class OfTheUsers(Head):
    """A head whose family the package does not know, and that knows nothing of autocast."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inputs = 2 * width

    def forward(self, a: Tensor) -> Distribution:
        mu, rho = a.chunk(2, -1)
        return dist.Laplace(mu, F.softplus(rho) + 0.1).to_event(1)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_family_of_the_users_gives_float32_latents_too(recorded):
    net = small("vrnn-gauss")
    net.guide = FilteringGuide(net.dims, [12], OfTheUsers)
    with bf16(), patch.object(loop, "SHORTEST", loop.SHORTEST if recorded else 10**9):
        z, rollout = rolled(net)
        assert {a.dtype for a in (z, rollout.last.z, rollout.states.h, rollout.log_guide(z))} == {FLOAT}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_without_autocast_nothing_is_done(dtype):
    a = torch.ones(2, 6, dtype=dtype)
    assert full(a) is a
    assert DiagonalGaussian(3)(a).loc.dtype is dtype
    with in_full(a):
        assert not torch.is_autocast_enabled("cpu")
    with bf16():
        assert full(a).dtype is (dtype if dtype.itemsize > 2 else FLOAT)
        with in_full(a):
            assert not torch.is_autocast_enabled("cpu")
        assert torch.is_autocast_enabled("cpu")


def test_a_device_without_autocast_is_no_obstacle():
    a = torch.ones(2, device="meta")
    assert full(a) is a
    with in_full(a):
        pass
