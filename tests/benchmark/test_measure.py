"""One variant's numbers hang together."""

import json

import pytest
import torch

from pyro_vrnn.benchmark import machine as room
from pyro_vrnn.benchmark.floor import gemm_operations
from pyro_vrnn.benchmark.measure import Machine, Measurement, measure, race
from pyro_vrnn.benchmark.steps import Case
from pyro_vrnn.model.variants import ModelOptions
from pyro_vrnn.training.device import Precision
from tests.benchmark.conftest import WIDTHS

CPU = torch.device("cpu")


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr(room.GemmRate.__init__, "__defaults__", ((16, 32),))
    return Machine(Precision("float32", CPU))


@pytest.mark.parametrize("variant", ["vrnn-gauss", "srnn", "rnn-gmm"])
def test_a_measurement_says_everything(case, machine, variant):
    options, told = case(variant).options, []
    found = measure(options, 3, 5, machine, repeats=2, told=told.append)
    assert told == [1, 2, 3]
    held = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert set(found.seconds) == {"ours", "markov"} | ({"plain"} if variant != "srnn" else set())
    assert held["frames_per_second"] == pytest.approx(15 / found.seconds["ours"])
    assert held["over_floor"] == held["over_gemm_floor"] == found.seconds["ours"] / found.gemm_floor
    assert held["over_traffic_floor"] is None
    assert held["markov_over_ours"] == found.seconds["markov"] / found.seconds["ours"]
    assert sum(held["shares_percent"].values()) == pytest.approx(100)
    assert held["bytes_per_step"] > 0


def test_a_preset_of_strokes_is_measured_on_points_of_a_pen(machine):
    torch.set_default_dtype(torch.float32)
    options = ModelOptions(variant="vrnn-gmm", preset="iam-ondb", h=8, z=2, **WIDTHS)
    made = Case(options, 3, 5, Precision("float32", CPU))
    assert made.x.shape == (3, 5, 3)
    assert set(made.x[..., 2].unique().tolist()) == {0.0, 1.0}
    assert made.options.emission == "pen"
    found = race(made, machine, ("ours", "plain", "markov"), repeats=1)
    assert set(found.seconds) == {"ours", "plain", "markov"}
    assert found.gemm_floor > 0


def test_without_peers_ours_runs_alone(case, machine):
    found = measure(case().options, 3, 5, machine, peers=False, repeats=1)
    assert set(found.seconds) == {"ours"}
    assert found.over_ours("plain") is None


def test_the_floor_is_operations_at_the_rate_of_the_same_rounds(case, machine, monkeypatch):
    found = case()

    def told_times(ways, repeats, device, told):
        assert repeats == 3
        return dict.fromkeys(ways, 1.0) | {"gemm": 0.5}

    monkeypatch.setattr("pyro_vrnn.benchmark.measure.interleaved", told_times)
    measured = race(found, machine, ("ours",), 3)
    rate = machine.gemm.operations / 0.5
    assert measured.gemm_floor == pytest.approx(gemm_operations(found.net, 3, 5) / rate)


def test_the_larger_floor_counts():
    by = {"variant": "v", "batch": 2, "frames": 3, "seconds": {"ours": 6.0}}
    assert Measurement(**by, gemm_floor=2.0, traffic_floor=3.0).over_floor == 2.0
    assert Measurement(**by, gemm_floor=4.0, traffic_floor=3.0).over_floor == 1.5


def test_weights_that_fit_the_cache_are_read_at_its_rate(machine):
    machine.bandwidths, machine.l2 = (1000.0, 10.0), 400
    assert machine.floor_of_traffic(100, 5) == pytest.approx(2 * 5 * 400 / 1000)
    assert machine.floor_of_traffic(101, 5) == pytest.approx(2 * 5 * 404 / 10)
    machine.dtype = torch.bfloat16
    assert machine.floor_of_traffic(101, 5) == pytest.approx(2 * 5 * 202 / 1000)


def test_a_machine_says_what_it_does_at_best(machine):
    assert machine.line().startswith(f"device cpu, {torch.get_num_threads()} threads, torch {torch.__version__}; best")
    assert machine.line().endswith(f"(float32, side {machine.gemm.side})"), "a CPU's bandwidths are not measured"
    machine.bandwidths = (2e12, 1.5e11)
    assert machine.line().endswith("; L2 cache 2,000 GB/s, memory 150 GB/s")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
def test_on_cuda_both_floors_are_measured(case, precision):
    machine = Machine(Precision(precision, torch.device("cuda")))
    assert machine.bandwidths[0] > machine.bandwidths[1] > 1e10
    found = measure(case().options, 3, 5, machine, repeats=2)
    assert found.over_traffic > 1
    assert found.over_floor == min(found.over_gemm, found.over_traffic)
    assert found.bytes_per_step > 4 * 200
