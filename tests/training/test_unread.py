"""Steps that are read some steps later: the same training, and nothing of a step that was not finite."""

import pytest
import torch

from pyro_vrnn.training.device import random_state
from pyro_vrnn.training.loop import NotFiniteError
from pyro_vrnn.training.step import MaskedAdam

from .conftest import Recorder, network, sequences, trainer, weights


class Named(Recorder):
    """Remembers where training stood by each step that was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[int, int, int]] = []

    def step(self, progress, metrics, frames):
        super().step(progress, metrics, frames)
        self.told.append((progress.epoch, progress.batch, progress.step))


def late(folder, every, net=None, watcher=None, **options):
    training = trainer(folder, net, watcher or Named(), **options)
    training.unread.every = every
    return training


def without_rates(steps):
    return [{k: v for k, v in step.items() if k != "train/frames_per_second"} for step in steps]


@pytest.mark.parametrize("every", [2, 3, 100])  # 5 batches an epoch: within, across and at its end
def test_when_steps_are_read_changes_nothing_but_when_they_are_told(every, tmp_path):
    at_once, later = late(tmp_path / "a", 1), late(tmp_path / "b", every)
    at_once.fit()
    later.fit()
    assert at_once.watcher.told == later.watcher.told == [(s // 5, s % 5 + 1, s + 1) for s in range(15)]
    assert without_rates(at_once.watcher.steps) == without_rates(later.watcher.steps)
    assert at_once.watcher.checkpoints == later.watcher.checkpoints
    assert at_once.progress == later.progress
    assert all(torch.equal(p, q) for p, q in zip(weights(at_once.net), weights(later.net), strict=True))


def poisoned(folder, every, **options):
    """One whose step 8, the third of the second epoch, reads a number that is not finite."""
    training = late(folder, every, **options)
    rest_of_epoch = training._rest_of_epoch

    def rest():
        for i, share in enumerate(rest_of_epoch(), training.progress.batch):
            if (training.progress.epoch, i) == (1, 2):
                share.batch.x[0, 0, 0] = float("inf")
            yield share

    training._rest_of_epoch = rest
    return training


@pytest.mark.parametrize("every", [1, 2, 3, 100])
def test_nothing_after_a_step_that_was_not_finite_is_told_or_kept(every, tmp_path):
    good = trainer(tmp_path / "good", max_steps=7)
    states = []
    good.watcher = Recorder(7, lambda: states.append((weights(good.net), random_state(good.device))))
    good.fit()
    bad = poisoned(tmp_path / "bad", every)
    with pytest.raises(NotFiniteError, match=r"step 8 \(epoch 2\): the loss .* x \(the data\) at time step 0;"):
        bad.fit()
    assert bad.watcher.told[-1] == (1, 2, 7)
    assert bad.watcher.checkpoints[-1] == 7
    kept, state = states[0]
    assert torch.equal(random_state(bad.device), state)
    resumed = late(tmp_path / "bad", every, network(seed=3))
    resumed.resume()
    assert torch.equal(random_state(resumed.device), state)
    for training in (bad, resumed):
        assert (training.progress.epoch, training.progress.batch, training.progress.step) == (1, 2, 7)
        assert all(torch.equal(p, q) for p, q in zip(weights(training.net), kept, strict=True))
    steps = {int(state["step"]) for state in bad.optimiser.state.values()}
    assert steps == {7}


def test_a_run_that_stopped_goes_on_as_if_it_had_not(tmp_path):
    whole = trainer(tmp_path / "whole")
    whole.fit()
    with pytest.raises(NotFiniteError):
        poisoned(tmp_path / "cut", 3).fit()
    resumed = late(tmp_path / "cut", 3, network(seed=9))
    resumed.resume()
    assert resumed.fit()
    assert all(torch.equal(p, q) for p, q in zip(weights(whole.net), weights(resumed.net), strict=True))


def test_the_flag_keeps_parameters_moments_and_step_counts():
    parameter = torch.nn.Parameter(torch.ones(3))
    optimiser = MaskedAdam([parameter], 0.1)
    seen = []
    for flag, gradient in ((0, 1.0), (1, float("nan")), (1, 5.0), (0, 1.0)):
        optimiser.found_inf.fill_(flag)
        parameter.grad = torch.full((3,), gradient)
        optimiser.step()
        moments = optimiser.state[parameter]
        seen.append([parameter.detach().clone(), *(moments[key].clone() for key in ("step", "exp_avg", "exp_avg_sq"))])
    first, second, third, last = seen
    for before, after in ((first, second), (first, third)):
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert last[1] == 2
    assert torch.allclose(last[0], torch.full((3,), 0.8))


def test_the_rate_is_of_all_steps_that_are_read_together(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("pyro_vrnn.training.step.time.perf_counter", lambda: now[0])
    training = late(tmp_path, 3, max_steps=5)
    frames, step = [], training.step

    def slow(batch, learning_rate, past):
        now[0] += 2.0
        frames.append(batch.frames)
        return step(batch, learning_rate, past)

    training.step = slow
    training.fit()
    rates = [metrics["train/frames_per_second"] for metrics in training.watcher.steps]
    assert rates[:3] == pytest.approx([sum(frames[:3]) / 6] * 3)
    assert rates[3:] == pytest.approx([sum(frames[3:]) / 4] * 2)


def test_validation_and_checkpoints_are_no_part_of_the_rate(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("pyro_vrnn.training.step.time.perf_counter", lambda: now[0])
    training = late(tmp_path, 100)
    step, validate = training.step, training._validate

    def taking(seconds, does):
        def method(*args):
            result = does(*args)
            now[0] += seconds
            return result

        return method

    training.step, training._validate = taking(1.0, step), taking(50.0, validate)
    monkeypatch.setattr("pyro_vrnn.training.loop.save_checkpoint", lambda *_: now.__setitem__(0, now[0] + 50.0))
    training.fit()
    frames = int(sequences(18, 1).lengths.sum())
    rates = [metrics["train/frames_per_second"] for metrics in training.watcher.steps]
    assert rates == pytest.approx([frames / 5] * 15)
