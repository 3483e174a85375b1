import logging
import threading

import pytest

from pyro_vrnn.tracking.courier import Courier


class Trouble:
    """Deliveries of which the first ``failures`` fail."""

    def __init__(self, failures: float) -> None:
        self.failures = failures
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        if self.calls <= self.failures:
            raise ConnectionError("away")


def courier(deliver: object, interval: float = 60.0) -> Courier:
    return Courier(deliver, lambda: 0, lambda error: f"trouble: {error}", interval)  # type: ignore[arg-type]


def test_an_outage_is_told_once_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    trouble = Trouble(4)
    one = courier(trouble)
    with caplog.at_level(logging.WARNING, "pyro_vrnn.tracking"):
        assert [one.wait() for _ in range(6)] == [False] * 4 + [True] * 2
    assert [record.getMessage() for record in caplog.records] == [
        "trouble: away",
        "the tracking store is back: everything due is delivered",
    ]
    one.close()


def test_one_failure_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    one = courier(Trouble(1))
    assert [one.wait(), one.wait()] == [False, True]
    one.close()
    assert caplog.records == []


def test_it_delivers_by_itself() -> None:
    delivered = threading.Event()
    one = courier(delivered.set, interval=0.01)
    one.start()
    assert delivered.wait(5)
    one.close()


def test_waiting_ends_when_nothing_moves() -> None:
    stuck = threading.Event()
    one = courier(stuck.wait)
    assert not one.wait(patience=0.1)
    stuck.set()
    one.close()
