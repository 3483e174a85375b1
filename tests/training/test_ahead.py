import gc
import threading
import time

import pytest
import torch

from pyro_vrnn.data import shares
from pyro_vrnn.training import loop
from pyro_vrnn.training.ahead import AHEAD, ahead, in_thread

from .conftest import network, sequences, trainer, weights


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    assert threads() == []


def some(shuffle=3):
    return shares(sequences(18, 1), 4, shuffle=shuffle)


@pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif("not torch.cuda.is_available()")])],
)
def test_batches_are_the_same_in_the_same_order(device):
    expected = list(some())
    got = list(ahead(some(), torch.device(device)))
    assert len(got) == len(expected)
    for ready, (batch, frames, _) in zip(got, expected, strict=True):
        assert ready.x.device.type == ready.mask.device.type == device
        assert torch.equal(ready.x.cpu(), batch.x)
        assert torch.equal(ready.mask.cpu(), batch.mask)
        assert ready.frames == frames == int(batch.mask.sum())


def test_training_is_the_same_with_batches_made_ahead(tmp_path, monkeypatch):
    plain, threaded = trainer(tmp_path / "plain", max_steps=12), trainer(tmp_path / "threaded", max_steps=7)
    plain.fit()
    monkeypatch.setattr(loop, "ahead", lambda made, device: in_thread(ahead(made, device)))
    threaded.fit()
    resumed = trainer(tmp_path / "threaded", network(seed=4), max_steps=12)
    resumed.resume()
    resumed.fit()
    assert resumed.progress == plain.progress
    assert all(torch.equal(p, q) for p, q in zip(weights(resumed.net), weights(plain.net), strict=True))


def test_a_cpu_trains_without_a_thread():
    taken = ahead(some(), torch.device("cpu"))
    next(taken)
    assert threads() == []


def test_items_come_in_order_and_by_another_thread():
    seen = []

    def made():
        for i in range(50):
            seen.append(threading.current_thread())
            yield i

    assert list(in_thread(made())) == list(range(50))
    assert len(set(seen)) == 1
    assert seen[0] is not threading.current_thread()


def test_the_thread_is_so_far_ahead_and_no_further():
    made = []

    def items():
        for i in range(10):
            made.append(i)
            yield i

    taken = in_thread(items())
    for i in range(10):
        assert next(taken) == i
        until = time.monotonic() + 5
        while len(made) < min(i + 1 + AHEAD, 10) and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(0.02)
        assert len(made) == min(i + 1 + AHEAD, 10)
    assert next(taken, None) is None


@pytest.mark.parametrize("at", [0, 1, 4])
def test_what_the_thread_raises_is_raised_where_its_item_was_due(at):
    def items():
        for i in range(10):
            if i == at:
                raise OSError("the disk is gone")
            yield i

    taken = in_thread(items())
    assert [next(taken) for _ in range(at)] == list(range(at))
    with pytest.raises(OSError, match="the disk is gone"):
        next(taken)


@pytest.mark.parametrize("how", ["close", "drop", "raise"])
def test_no_thread_outlives_an_abandoned_iterator(how):
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    taken = in_thread(endless())
    next(taken)
    assert len(threads()) == 1
    if how == "close":
        taken.close()
    elif how == "raise":
        with pytest.raises(KeyboardInterrupt):
            taken.throw(KeyboardInterrupt)
    del taken
    gc.collect()
    assert threads() == []
    assert closed.wait(5)


def test_what_was_not_begun_is_not_made_after_the_end():
    made = []

    def slow():
        while True:
            made.append(1)
            time.sleep(0.1)
            yield 1

    taken = in_thread(slow())
    next(taken)
    taken.close()
    assert len(made) <= 2
