"""Rows that follow recordings: what the loop hands on, keeps, and goes on with."""

import os
import signal
from unittest.mock import patch

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pyro_vrnn.data import Normaliser, Sequences, plan_followed
from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.model import draws, sequence
from pyro_vrnn.model.state import Past, State
from pyro_vrnn.training.carried import Carried, kept, restored
from pyro_vrnn.training.config import read
from pyro_vrnn.training.loop import NotFiniteError, Trainer
from pyro_vrnn.training.objective import check_objective
from pyro_vrnn.training.world import World

from .conftest import FRAME, Recorder, network, sequences, trainer, weights

#: Segments of each recording; the last of the third is shorter.
COUNTS = (7, 1, 4, 3, 5)


def segments() -> Sequences:
    generator = np.random.default_rng(5)
    frames, recordings = [], []
    for recording, count in enumerate(COUNTS):
        for k in range(count):
            length = 3 if (recording, k) == (2, 3) else 5
            frames.append(generator.normal(size=(length, FRAME)).astype(np.float32))
            recordings.append(recording)
    names = [str(i) for i in range(len(frames))]
    return Sequences(
        frames, names, None, frame=FRAME, sample_rate=100, normaliser=Normaliser(0.0, 2.0), recordings=recordings
    )


def following(folder, net=None, watcher=None, world=None, **options) -> Trainer:
    """A trainer whose rows follow the recordings above, over groups of three segments."""
    made = trainer(folder, net, watcher, world, **{"carry": 3, "epochs": 2, **options})
    made.train = segments()
    return made


def told(recorder: Recorder) -> list[dict[str, float]]:
    return [{k: v for k, v in step.items() if k != "train/frames_per_second"} for step in recorder.steps]


def _interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("variant", ["vrnn-gauss", "storn", "srnn"])
@pytest.mark.parametrize("at", [2, 8])
def test_a_run_cut_anywhere_goes_on_bit_for_bit(tmp_path, variant, at):
    whole, cut, rest = Recorder(), Recorder(at, _interrupt), Recorder()
    uncut = following(tmp_path / "uncut", network(variant), whole)
    uncut.fit()
    assert not following(tmp_path / "cut", network(variant), cut).fit()
    resumed = following(tmp_path / "cut", network(variant, seed=9), rest)
    resumed.resume()
    resumed.fit()
    assert told(cut) + told(rest) == told(whole)
    for a, b in zip(weights(resumed.net), weights(uncut.net), strict=True):
        assert torch.equal(a, b)


def test_the_state_matters_and_is_lost_where_a_checkpoint_forgets_it(tmp_path):
    whole, rest = Recorder(), Recorder()
    following(tmp_path / "uncut", network(), whole).fit()
    following(tmp_path / "cut", network(), Recorder(2, _interrupt)).fit()
    resumed = following(tmp_path / "cut", network(), rest)
    resumed.resume()
    assert resumed.carried.past is not None
    resumed.carried.past = None
    resumed.fit()
    assert told(rest) != told(whole)[2:]


def test_each_row_goes_on_from_what_it_left_and_begins_anew_where_the_plan_says(tmp_path):
    training = following(tmp_path, network("storn"), max_steps=5, epochs=1)
    plan = plan_followed(training.train, 4, 3, shuffle=training.options.seed * 1_000_003)
    given, left, forward = [], [], training.objective.forward

    def seen(x, mask, past=None):
        loss = forward(x, mask, past)
        given.append(past)
        left.append(training.objective.after)
        return loss

    with patch.object(training.objective, "forward", seen):
        training.fit()
    assert len(given) == 5
    for batch, (past, resets) in enumerate(zip(given, plan.resets, strict=True)):
        tensors = [past.state.h, past.state.z, *past.state.memory, *(past.memory or ())]
        assert not any(a.requires_grad for a in tensors)
        for row, anew in enumerate(resets):
            own = past.each(lambda a, row=row: a[..., row, :])
            values = torch.cat([a.flatten() for a in (own.state.h, own.state.z, *own.state.memory)])
            if anew:
                assert not values.any()
                assert own.memory is None or not any(a.any() for a in own.memory)
            else:
                before = left[batch - 1].each(lambda a, row=row: a[..., row, :])
                assert torch.equal(own.state.h, before.state.h)
                assert torch.equal(own.state.z, before.state.z)
                assert torch.equal(own.memory[1], before.memory[1])
                assert values.all()


def test_an_epoch_has_as_many_steps_and_frames_as_without(tmp_path):
    frames = []

    class Counting(Recorder):
        def step(self, progress, metrics, count):
            super().step(progress, metrics, count)
            frames.append(count)

    training = following(tmp_path, watcher=Counting(), epochs=1)
    training.fit()
    assert len(frames) == training.steps_per_epoch == 5
    assert sum(frames) == training.train.lengths.sum()


def test_a_checkpoint_between_epochs_holds_no_rows_and_one_within_holds_all(tmp_path):
    following(tmp_path / "between", epochs=1).fit()
    assert not [name for name in load_file(tmp_path / "between" / "checkpoint.safetensors") if "carried" in name]
    following(tmp_path / "within", epochs=1, max_steps=2).fit()
    held = load_file(tmp_path / "within" / "checkpoint.safetensors")
    assert held["carried.state.h"].shape == (4, 8)


def test_estimating_the_time_changes_nothing(tmp_path):
    first, second = Recorder(), Recorder()
    a, b = following(tmp_path / "a", watcher=first), following(tmp_path / "b", watcher=second)
    assert b.seconds_per_epoch() > 0
    a.fit()
    b.fit()
    assert told(first) == told(second)


def test_what_is_not_finite_leaves_the_rows_of_the_step_before(tmp_path):
    training = following(tmp_path, epochs=1)
    plan = plan_followed(training.train, 4, 3, shuffle=0)
    row = int(np.flatnonzero(~plan.resets[2])[0])
    training.train._frames[int(plan.sequences[2, row])][1] = float("inf")
    with pytest.raises(NotFiniteError, match=r"step 3 .*x \(the data\) at time step 1"):
        training.fit()
    held = load_file(tmp_path / "checkpoint.safetensors")
    assert held["carried.state.h"][row].all()
    assert held["carried.state.h"].isfinite().all()


class _Ranks(World):
    """A rank of several that were asked one after the other."""

    def __init__(self, rank: int, size: int, values: list) -> None:
        self.rank, self.size, self.values = rank, size, values

    def gather(self, value):
        return self.values


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("then", [1, 2, 3])
def test_rows_go_on_on_any_number_of_ranks(rows, size, then):
    def a_past(count):
        a = torch.randn(count, 4)
        memory = (torch.randn(1, count, 3), (torch.randn(2, count, 2), torch.randn(count, 1)))
        return Past(State(a, torch.randn(count, 2), (a + 1, a + 2)), memory)

    whole = a_past(rows)
    own = [whole.each(lambda a, r=r: a[..., r::size, :]) for r in range(size)]
    own = [part if len(part.state.h) else a_past(1) for part in own]  # a rank without rows has one of padding
    values = []
    for part in own:
        kept(part, _Capture(values), rows)
    tensors = kept(own[0], _Ranks(0, size, values), rows)
    for rank in range(then):
        found = restored(tensors, _Ranks(rank, then, []), torch.zeros(()))
        expected = whole.each(lambda a, r=rank: a[..., r::then, :])
        if not len(expected.state.h):
            assert len(found.state.h) == 1
            continue
        for a, b in zip(_flat(found), _flat(expected), strict=True):
            assert torch.equal(a, b)
    assert restored({}, World(), torch.zeros(())) is None


class _Capture(World):
    def __init__(self, values: list) -> None:
        self.values = values

    def gather(self, value):
        self.values.append(value)
        return [{}]


def _flat(a) -> list[torch.Tensor]:
    return [a] if isinstance(a, torch.Tensor) else [b for item in a for b in _flat(item)]


def test_rows_that_follow_nobody_have_no_past(tmp_path):
    training = trainer(tmp_path, epochs=1, carry=1)
    with patch.object(training.objective, "forward", wraps=training.objective.forward) as forward:
        training.fit()
    assert all(len(call.args) == 2 for call in forward.call_args_list)
    assert Carried(training.net).before(next(iter(_ready(training)))) is None


def _ready(training):
    from pyro_vrnn.training.ahead import ahead

    return ahead(training._shares(0), training.device)


def test_sequences_that_are_recordings_themselves_are_trained_each_anew(tmp_path):
    told = Recorder()
    training = trainer(tmp_path, watcher=told, epochs=1, carry=4)
    training.fit()
    assert len(told.steps) == training.steps_per_epoch
    assert len(training.train) == len(sequences(18, 1))


def test_a_preset_has_the_papers_segments_and_a_filter_carries_none():
    assert read(given={"model": {"preset": "blizzard"}}).explicit(200).training.carry == 4
    assert read(given={"model": {"preset": "timit"}}).explicit(200).training.carry == 1
    assert read(given={"model": {"preset": "blizzard"}}).explicit(3, "pen").training.carry == 1
    with pytest.raises(ConfigurationError, match="--carry 2: over segments of recordings, and the data are arrays"):
        read(given={"training": {"carry": 2}}).explicit(5, "arrays")
    both = {"model": {"preset": "blizzard"}, "training": {"objective": "fivo"}}
    assert read(given=both).explicit(200).training.carry == 1
    with pytest.raises(ConfigurationError, match="--carry 4: not with --objective fivo"):
        check_objective(read(given={"training": {"carry": 4, "objective": "fivo"}}).training, latents=True)


@pytest.mark.parametrize("objective", [{"objective": "iwae"}, {"kl_annealing": 3}, {"program": "markov"}])
def test_other_objectives_hand_on_one_draw(tmp_path, objective):
    training = following(tmp_path, epochs=1, max_steps=2, **objective)
    training.fit()
    assert training.carried.past.state.h.shape == (4, 8)
    assert training.carried.past.state.z.shape == (4, 2)


def without_noise():
    """Inside, every latent is its guide's mean."""

    def drawn(net, x, mask, shape, **given):
        return draws.infer(net, x, mask, shape, eps=x.new_zeros(*shape, x.shape[1], net.dims.z), **_known(given))

    return patch.object(sequence, "infer", drawn)


def _known(given: dict) -> dict:
    return {name: value for name, value in given.items() if name != "by_dimension"}


def test_particles_begin_with_one_past(tmp_path):
    training = following(tmp_path, epochs=1, max_steps=3, objective="iwae", particles=2)
    passed = []

    def seen(*given, past=None):
        passed.append(past)
        return draws.infer(*given, past=past)

    with patch("pyro_vrnn.training.objective.infer", seen):
        training.fit()
    assert len(passed) == 3
    assert all(past.state.h.ndim == 2 for past in passed)
