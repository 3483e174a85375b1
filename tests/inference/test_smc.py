"""The particle filter: against Pyro's on one sequence, step by step; its weights, ancestors, traces and gradients."""

import math
from unittest.mock import patch

import pyro
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pyro.infer import SMCFilter
from pyro.infer import smcfilter as pyros
from pyro.poutine.util import prune_subsample_sites
from torch.testing import assert_close

from pyro_vrnn.inference.likelihood import iwae
from pyro_vrnn.inference.noise import Noise
from pyro_vrnn.inference.smc import smc, systematic
from pyro_vrnn.model.state import State
from tests.inference.oracle import drawn_from, oracle
from tests.model.small import Z, noise, ragged, small

K = 8


class Program:
    """One side of the model as Pyro's filter wants it: a step at a time, the state in a dictionary."""

    def __init__(self, net, x, *, guide: bool):
        self.net, self.x, self.guide, self.t = net, x, guide, 0

    def init(self, state):
        pass

    def step(self, state):
        t, self.t = self.t, self.t + 1
        net = self.net
        past = net.initial_state((K,)) if "h" not in state else State(state["h"], state["z"], _memory(state))
        if self.guide:
            pyro.sample(f"z_{t}", net.guide(net.guide.prepare(net.phi_x(self.x), None)[0][t], past, None))
            return
        z = pyro.sample(f"z_{t}", net.prior(past))
        features_z = net.features_z(z)
        pyro.sample(f"x_{t}", net.emit(features_z, past), obs=self.x[t])
        after = net.advance(net.recurrence.prepare(net.phi_x(self.x))[t], z, features_z, past)
        state["h"], state["z"] = after.h, after.z
        state.update({f"memory_{i}": private for i, private in enumerate(after.memory)})


def _memory(state):
    return tuple(state[key] for key in sorted(key for key in state if key.startswith("memory_")))


class Keeping(SMCFilter):
    """Pyro's filter, and the normaliser that it discards."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.increments, self.ess = [], []

    def _update_weights(self, model_trace, guide_trace):
        before = self.state._log_weights.clone()
        super()._update_weights(model_trace, guide_trace)
        if any(name.startswith("z_") for name in guide_trace.nodes):  # a step, not the start
            before = before if before.any() else before - math.log(K)  # the filter starts from zeros
            total = before + _log_probs(model_trace) - _log_probs(guide_trace)
            self.increments.append(total.logsumexp(0))
            self.ess.append((-(2 * (total - total.logsumexp(0))).logsumexp(0)).exp())


def _log_probs(trace):
    trace = prune_subsample_sites(trace)
    trace.compute_log_prob()
    return sum(site["log_prob"] for site in trace.nodes.values() if site["type"] == "sample")


@pytest.mark.parametrize("recurrence", ["lstm", "gru"])
def test_it_is_pyros_filter_on_one_sequence(recurrence):
    net = small("vrnn-gauss", recurrence, 2)
    with torch.no_grad():  # so that weights of several particles matter
        for parameter in net.parameters():
            parameter.mul_(0.3)
    T = 6
    x = torch.randn(1, T, 3)
    eps, u = torch.randn(K, 1, T, Z), torch.rand(T)

    class Given(Noise):
        def normal(self, particles, steps, width, like):
            return eps[:, :, steps.start : steps.stop]

        def of(self, rows):
            return self

        def uniform(self, steps, like):
            return u[steps.start : steps.stop].unsqueeze(0)

    with torch.no_grad():
        ours = smc(net, x, torch.ones(1, T, dtype=torch.bool), K, noise=Given(0, [0]))
        filtering = Keeping(Program(net, x[0], guide=False), Program(net, x[0], guide=True), K, 0)
        with noise(eps[:, 0]):
            filtering.init()
            for t in range(T):
                with patch.object(
                    pyros, "_systematic_sample", lambda W, t=t: systematic(W.unsqueeze(-1), u[[t]])[:, 0]
                ):
                    filtering.step()
    assert_close(ours.increments[0], torch.stack(filtering.increments), rtol=1e-10, atol=1e-10)
    assert_close(ours.ess[0], torch.stack(filtering.ess), rtol=1e-8, atol=1e-8)
    assert ours.resampled.any()
    assert not ours.resampled.all()


@given(
    weights=st.lists(st.floats(0, 1), min_size=1, max_size=20).filter(lambda w: sum(w) > 1e-6),
    u=st.floats(0, 1, exclude_max=True),
)
def test_children_are_the_expected_number_rounded_up_or_down(weights, u):
    W = torch.tensor(weights, dtype=torch.float64)
    W = (W / W.sum()).unsqueeze(-1)
    ancestors = systematic(W, torch.tensor([u], dtype=torch.float64))[:, 0]
    children = torch.bincount(ancestors, minlength=len(W))
    expected = len(W) * W[:, 0]
    assert ((children - expected).abs() < 1 + 1e-6).all()
    assert (ancestors.diff() >= 0).all()


def test_the_number_of_children_is_right_in_expectation():
    W = torch.tensor([0.1, 0.25, 0.05, 0.6])
    u = torch.rand(20_000)
    ancestors = systematic(W.unsqueeze(-1).expand(4, len(u)), u)
    means = torch.stack([(ancestors == k).sum(0).double().mean() for k in range(4)])
    assert_close(means, 4 * W, rtol=0, atol=4 * 0.5 / len(u) ** 0.5)


def test_without_resampling_it_is_importance_sampling(latent_variant):
    net = small(latent_variant)
    x, mask = ragged()
    with torch.no_grad():
        filtered = smc(net, x, mask, K, noise=Noise(1, range(4)), threshold=0)
        assert_close(filtered.log_evidence, iwae(net, x, mask, K, noise=Noise(1, range(4))))
    assert not filtered.resampled.any()


def test_each_sequence_is_resampled_by_itself():
    net = oracle(2, size=0.3, widen=1.5)
    x, mask = drawn_from(net, *[12] * 6)
    with torch.no_grad():
        together = smc(net, x, mask, K, noise=Noise(0, range(6)))
        assert (together.resampled.sum(-1) > 0).any()
        assert together.resampled.any(0).ne(together.resampled.all(0)).any(), "some resample where others do not"
        for row in range(6):
            alone = smc(net, x[[row]], mask[[row]], K, noise=Noise(0, [row]))
            assert_close(alone.increments[0], together.increments[row])
            assert alone.resampled[0].equal(together.resampled[row])


def test_traces_are_those_of_the_frames_and_nothing_of_the_padding():
    net = small()
    x, mask = ragged()
    filled = torch.where(mask.unsqueeze(-1), x, torch.full_like(x, 9.0))
    with torch.no_grad():
        clean, other = (smc(net, frames, mask, K, noise=Noise(0, range(4))) for frames in (x, filled))
    for a, b in zip(clean, other, strict=True):
        assert a.equal(b)
        assert not a[~mask].any()
    assert (clean.ess[mask] >= 1 - 1e-9).all()
    assert (clean.ess[mask] <= K + 1e-9).all()
    assert (clean.resampled == (mask & (clean.ess < K / 2))).all()


def test_gradients_reach_every_parameter_through_resampled_particles():
    net = small("vrnn-gauss")
    x, mask = ragged()
    filtered = smc(net, x, mask, K, threshold=1.1)
    assert filtered.resampled[mask].all()
    (-filtered.log_evidence.sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in net.parameters())
