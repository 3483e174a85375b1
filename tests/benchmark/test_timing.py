"""Ways take turns, and what is told of them is the median."""

import pytest
import torch

from pyro_vrnn.benchmark import timing
from pyro_vrnn.benchmark.machine import GemmRate, bandwidth, l2_bytes
from pyro_vrnn.benchmark.timing import interleaved, seconds

CPU = torch.device("cpu")


def test_ways_take_turns_and_the_first_turn_does_not_count(monkeypatch):
    clock, done, told = [0.0], [], []
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])
    lasts = {"a": iter([100.0, 1.0, 9.0, 2.0]), "b": iter([100.0, 5.0, 4.0, 7.0])}

    def way(name):
        def run():
            done.append(name)
            clock[0] += next(lasts[name])

        return run

    assert interleaved({name: way(name) for name in lasts}, 3, CPU, told.append) == {"a": 2.0, "b": 5.0}
    assert done == ["a", "b"] * 4
    assert told == [1, 2, 3, 4]


def test_the_best_rate_is_that_of_the_fastest_side(monkeypatch):
    monkeypatch.setattr("pyro_vrnn.benchmark.machine.seconds", lambda way, device: (way(), 2.0)[1])
    rate = GemmRate(CPU, torch.float32, sides=(8, 32, 16))
    assert (rate.side, rate.best, rate.operations) == (32, 32**3, 2 * 32**3)


def test_a_product_once_more_takes_as_long_as_its_rate_says():
    rate = GemmRate(CPU, torch.float32, sides=(256,))
    again = min(seconds(rate.again, CPU) for _ in range(20))
    assert rate.operations / again == pytest.approx(rate.best, rel=0.9)


def test_bandwidth_counts_what_is_read_and_written(monkeypatch):
    monkeypatch.setattr("pyro_vrnn.benchmark.machine.seconds", lambda way, device: (way(), 0.5)[1])
    monkeypatch.setattr("pyro_vrnn.benchmark.machine.QUEUED", 3)
    assert bandwidth(CPU, 4000) == 3 * 2 * 4000 / 0.5
    assert l2_bytes(CPU) == 0
