import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pyro_vrnn.data import batches, shares
from pyro_vrnn.inference.estimators import estimate
from pyro_vrnn.inference.results import Scale
from pyro_vrnn.training.diagnose import NOTHING, blamed
from pyro_vrnn.training.validation import validate
from pyro_vrnn.training.world import World

from .conftest import network, sequences
from .ranks import BATCHES, CASES


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What two processes say (see ``ranks.py``)."""
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = []
    for rank in range(2):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
        place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
        environment = {**os.environ, **{name: str(value) for name, value in place.items()}}
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.training.ranks", str(folder)],
                cwd=Path(__file__).parents[2],
                env=environment,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    said = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    return json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize("rows", BATCHES)
@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradients_are_those_of_one_process_on_the_same_batch(found, case, rows):
    assert found["gradients"][case][rows] < 1e-12


def test_training_is_that_of_one_process(found):
    for one, two in zip(*found["steps"], strict=True):
        assert two == pytest.approx(one, rel=1e-5)
    assert len(found["steps"][0]) == 10
    assert found["weights"] < 1e-5
    assert found["same weights on every rank"]


def test_every_rank_scores_a_share_and_knows_the_whole(found):
    for one, two in zip(*found["epochs"], strict=True):
        assert two[0] == pytest.approx(one[0], rel=1e-5)
        assert two[1:] == one[1:]


def test_ranks_have_the_same_weights_and_different_noise(found):
    assert found["same latent weights on every rank"]
    seeds = [seed for rank in found["seeds"] for seed in rank]
    assert len(set(seeds)) == len(seeds)


def test_a_key_that_one_rank_sees_ends_all_and_they_go_on_as_if_nothing_had_been(found):
    assert found["any"] == [[True, False], [False, False]]
    assert found["interrupted"] == [[False, 7], [False, 7]]
    expected, steps, apart = found["resumed"]
    assert steps == expected
    assert len(steps) == 8
    assert apart == 0


def test_a_run_goes_on_with_other_numbers_of_devices(found):
    assert len(found["changing"]) == 15
    for steps, unbroken in zip(found["changing"], found["unbroken"], strict=True):
        assert steps == pytest.approx(unbroken, rel=1e-5)
    first, second = found["random states"]
    assert first != second


@pytest.mark.parametrize("variant", ["rnn-gauss", "storn", "srnn"])
def test_rows_that_follow_recordings_are_those_of_one_process(found, variant):
    one, two, apart = found["carried"][variant]
    assert len(one) == 10
    for alone, together in zip(one, two, strict=True):
        assert together == pytest.approx(alone, rel=1e-4, abs=1e-6)
    assert apart < 1e-4


def test_rows_that_follow_recordings_go_on_on_as_many_ranks_bit_for_bit_and_on_others(found):
    expected, steps, apart = found["carried"]["resumed"]
    assert len(steps) == 7
    assert steps == expected
    assert apart == 0
    unbroken, steps = found["carried"]["changing"]
    assert len(steps) == 8
    for ours, theirs in zip(steps, unbroken, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


def test_what_is_not_finite_on_one_rank_ends_all_and_is_named(found):
    first, second = found["not finite"]
    assert first == second
    assert "x (the data) at time step 1 of rank 1's rows" in first


def test_a_mistake_that_rank_0_sees_is_everybodys(found):
    assert found["error"] == ["only rank 0 sees this"] * 2


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_shares_of_a_batch_are_its_rows_without_overlap(size):
    rows = sequences(18, 1)
    whole = list(batches(rows, 4, shuffle=3))
    parts = [list(shares(rows, 4, shuffle=3, rank=rank, size=size)) for rank in range(size)]
    for i, batch in enumerate(whole):
        own = [part[i].batch for part in parts]
        indices = torch.cat([share.indices for share in own])
        assert sorted(indices.tolist()) == sorted(batch.indices.tolist())
        assert max(len(share.indices) for share in own) - min(len(share.indices) for share in own) <= 1
        assert {part[i].frames for part in parts} == {int(batch.mask.sum())}
        assert sum(int(share.mask.sum()) for share in own) == int(batch.mask.sum())
        for share in own:
            for x, mask, index in zip(share.x, share.mask, share.indices, strict=False):
                assert np.array_equal(x[mask].numpy(), rows[int(index)])
    rest = list(shares(rows, 4, shuffle=3, rank=0, size=size, skip=2))
    assert [share.batch.indices.tolist() for share in rest] == [p.batch.indices.tolist() for p in parts[0][2:]]


class _Apart(World):
    """Ranks that are asked one after the other: sums are remembered, not made."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size, self.summed = rank, size, []

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        self.summed.append(values.double())
        return values


@pytest.mark.parametrize("size", [2, 4, 9])
def test_shares_of_the_validation_set_add_up(size):
    net, rows = network(), sequences(6, 2)
    asked = {"name": "smc", "particles": 3, "scale": Scale(5)}
    from pyro_vrnn.data import scoring_batches

    whole = estimate(net, scoring_batches(rows, 4), **asked)
    worlds = [_Apart(rank, size) for rank in range(size)]
    for world in worlds:
        validate(net, rows, rows=4, world=world, **asked)
    columns = [sum(parts).numpy() for parts in zip(*(world.summed for world in worlds), strict=True)]
    expected = [*whole.details.values(), whole.nats, whole.frames]
    assert len(columns) == len(expected)
    for column, values in zip(columns, expected, strict=True):
        assert column == pytest.approx(values, rel=1e-5)


def test_the_blame_is_one_ranks():
    assert blamed(["prior at time step 3"]) == "prior at time step 3"
    assert blamed([NOTHING, "prior at time step 3", "guide at time step 1"]) == "prior at time step 3 of rank 1's rows"
    assert blamed([NOTHING, NOTHING]) == NOTHING


@pytest.mark.slow
def test_a_process_by_itself_imports_nothing_for_many():
    code = (
        "import sys; import pyro_vrnn.commands.fitting;"
        "print([m for m in sys.modules if m.startswith(('lightning_fabric', 'torch.nn.parallel.distributed.'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
