import os
import signal

import pytest
import torch

from pyro_vrnn.inference.likelihood import elbo
from pyro_vrnn.model.variants import VARIANTS
from pyro_vrnn.training import loop
from pyro_vrnn.training.loop import NotFiniteError
from pyro_vrnn.training.objective import Elbo

from .conftest import FRAME, Recorder, network, sequences, trainer, weights


def _without_rates(steps):
    return [{k: v for k, v in step.items() if k != "train/frames_per_second"} for step in steps]


def _interrupt():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("objective", ["elbo", "iwae"])
def test_segments_train_the_same_model(objective, tmp_path):
    ran = []
    for every in (0, 2):
        training = trainer(tmp_path / str(every), objective=objective, checkpoint_every=every)
        assert training.net.checkpoint_every == every
        training.fit()
        ran.append(weights(training.net))
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(*ran, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(ran[0], weights(network()), strict=True))


@pytest.mark.parametrize("variant", VARIANTS)
def test_training_raises_the_validation_bound_and_keeps_the_best_state(variant, tmp_path):
    watcher = Recorder()
    training = trainer(tmp_path, network(variant), watcher, epochs=8)
    assert training.fit()
    bounds = [validation.per_sequence for validation, _ in watcher.epochs]
    assert max(bounds) > bounds[0] + 0.15
    assert training.progress.best == max(bounds)
    assert bounds[training.progress.best_epoch - 1] == max(bounds)
    again = trainer(tmp_path / "other", training.net)
    again._validate()
    assert again.progress.best == pytest.approx(max(bounds), abs=1e-4)


def test_a_seed_repeats_a_run_bit_for_bit(tmp_path):
    first, second, other = Recorder(), Recorder(), Recorder()
    a, b = trainer(tmp_path / "a", watcher=first), trainer(tmp_path / "b", watcher=second)
    c = trainer(tmp_path / "c", watcher=other, seed=1)
    for training in (a, b, c):
        training.fit()
    assert _without_rates(first.steps) == _without_rates(second.steps)
    assert all(torch.equal(p, q) for p, q in zip(weights(a.net), weights(b.net), strict=True))
    assert _without_rates(first.steps) != _without_rates(other.steps)


@pytest.mark.parametrize("at", [3, 5, 10])  # in the first epoch, at its end, in the second
def test_interrupted_and_resumed_equals_uninterrupted(at, tmp_path):
    whole, first, rest = Recorder(), Recorder(at, _interrupt), Recorder()
    uninterrupted = trainer(tmp_path / "whole", watcher=whole)
    uninterrupted.fit()
    assert not trainer(tmp_path / "cut", watcher=first).fit()
    resumed = trainer(tmp_path / "cut", network(seed=9), rest)
    resumed.resume()
    assert resumed.progress.step == at
    assert resumed.fit()
    assert _without_rates(first.steps + rest.steps) == _without_rates(whole.steps)
    assert all(torch.equal(p, q) for p, q in zip(weights(uninterrupted.net), weights(resumed.net), strict=True))
    assert resumed.progress == uninterrupted.progress


def test_a_second_interruption_ends_at_once(tmp_path):
    watcher = Recorder(2, lambda: (_interrupt(), _interrupt()))
    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path, watcher=watcher).fit()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_patience_stops_where_the_validation_bound_no_longer_rises(tmp_path):
    watcher = Recorder()
    training = trainer(tmp_path, watcher=watcher, epochs=200, patience=2, learning_rate=0.3)
    assert training.fit()
    assert training.progress.epoch < 200
    assert training.progress.epoch - training.progress.best_epoch == 2
    assert [improved for _, improved in watcher.epochs][-2:] == [False, False]


def test_max_steps_is_exact(tmp_path):
    watcher = Recorder()
    trainer(tmp_path, watcher=watcher, max_steps=7).fit()
    assert len(watcher.steps) == 7
    assert watcher.checkpoints[-1] == 7


def test_the_step_sees_a_gradient_no_longer_than_the_clip(tmp_path, monkeypatch):
    training = trainer(tmp_path, clip=0.5, max_steps=3)
    lengths, step = [], training.optimiser.step

    def measured():
        lengths.append(torch.stack([p.grad.norm() for p in training.net.parameters()]).norm().item())
        return step()

    monkeypatch.setattr(training.optimiser, "step", measured)
    training.fit()
    assert max(lengths) == pytest.approx(0.5, rel=1e-4)
    assert all(metrics["train/gradient_norm"] > 0.5 for metrics in training.watcher.steps)


def test_estimating_the_time_changes_nothing(tmp_path):
    first, second = Recorder(), Recorder()
    a, b = trainer(tmp_path / "a", watcher=first), trainer(tmp_path / "b", watcher=second)
    assert b.seconds_per_epoch() > 0
    a.fit()
    b.fit()
    assert _without_rates(first.steps) == _without_rates(second.steps)


def test_the_parts_of_the_bound_add_up(tmp_path):
    watcher = Recorder()
    trainer(tmp_path, watcher=watcher).fit()
    for step in watcher.steps:
        assert step["train/reconstruction"] - step["train/kl"] == pytest.approx(step["train/bound"])
        assert step["train/kl"] > 0


#: The program with a site for every step takes seconds with latents: one of each kind of composition.
QUICK = ["rnn-gmm", "vrnn-gauss", "srnn"]


@pytest.mark.parametrize(
    ("program", "variant"),
    [
        pytest.param(program, variant, marks=[] if program == "sequence" or variant in QUICK else pytest.mark.slow)
        for program in ("sequence", "markov")
        for variant in VARIANTS
    ],
)
@pytest.mark.parametrize("kind", ["mean-field", "trace"])
def test_the_objective_is_the_summed_negative_bound(variant, program, kind):
    net = network(variant)
    x, mask, _ = next(iter(_batches()))
    draws = 60
    with torch.no_grad():
        losses = torch.stack([Elbo(net, program, kind)(x, mask) for _ in range(draws if net.has_latents else 1)])
        if net.has_latents:
            bounds = torch.stack([-elbo(net, x, mask).sum() for _ in range(draws)])
            error = (losses.var() / draws + bounds.var() / draws).sqrt()
            assert abs(losses.mean() - bounds.mean()) < 4 * error
        else:
            from pyro_vrnn.inference.likelihood import exact

            assert losses[0].item() == pytest.approx(-exact(net, x, mask).sum().item(), rel=1e-6)


def _batches():
    from pyro_vrnn.data import batches

    return batches(sequences(4, 3), 4)


def test_frames_that_are_not_finite_are_named(tmp_path):
    training = trainer(tmp_path)
    training.train._frames[5][1] = float("inf")
    with pytest.raises(NotFiniteError, match=r"loss is not finite, first in x \(the data\) at time step 1;.*saved"):
        training.fit()


def test_a_part_that_overflows_is_named_and_the_last_good_state_saved(tmp_path):
    training = trainer(tmp_path)

    def spoil():
        with torch.no_grad():
            training.net.emission.net.last_bias[-1] = float("nan")

    training.watcher = Recorder(4, spoil)
    with pytest.raises(NotFiniteError, match=r"step 5 .*parameter emission\.net\.deep\.1\.bias"):
        training.fit()
    assert training.watcher.checkpoints[-1] == 4


def test_a_density_that_overflows_is_named_with_its_step(tmp_path):
    training = trainer(tmp_path)
    training.train._frames[7][1] = 3e38  # finite itself; its square is not
    with pytest.raises(NotFiniteError, match=r"loss is not finite, first in \w+ at time step 1"):
        training.fit()


def test_a_gradient_that_is_not_finite_is_named(tmp_path):
    class Root(torch.nn.Module):
        outputs = 6

        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(2, 6)

        def forward(self, z):
            return (self.linear(z) * 0.0).sqrt()

    net = network()
    net.phi_z = Root()
    training = trainer(tmp_path, net)
    with pytest.raises(NotFiniteError, match=r"the gradient is not finite, first in the gradient of"):
        training.fit()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cpu_and_cuda_agree():
    net = network("rnn-gauss")
    x, mask, _ = next(iter(_batches()))
    cpu = Elbo(net)(x, mask).item()
    assert Elbo(net.cuda())(x.cuda(), mask.cuda()).item() == pytest.approx(cpu, rel=1e-4)


def test_frames_have_the_width_of_the_network(tmp_path):
    with pytest.raises(ValueError, match=rf"expected \(B, T, {FRAME}\)"):
        Elbo(network())(torch.zeros(2, 3, FRAME + 1), torch.ones(2, 3, dtype=torch.bool))


def test_a_run_cut_before_its_first_validation_is_resumed_where_no_step_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)

    def cut():
        raise KeyboardInterrupt

    begun = trainer(tmp_path)
    monkeypatch.setattr(begun, "_validate", cut)
    with pytest.raises(KeyboardInterrupt):
        begun.fit()
    resumed = trainer(tmp_path, max_steps=1)
    resumed.resume()
    assert resumed.progress.step >= 1
    assert resumed.best is None
    assert resumed.fit()
    assert resumed.best is not None
