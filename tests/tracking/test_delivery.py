import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pyro_vrnn.tracking.delivery import BATCH, DELIVERED, PROGRESS, Delivery, Point
from pyro_vrnn.tracking.journal import Record
from pyro_vrnn.tracking.outbox import Ending


class AwayError(Exception):
    """The store, or this process, is gone."""


class Shelf:
    """A store with MLflow's rules: the identical point does not double, every other one stays for ever."""

    def __init__(self) -> None:
        self.stored: set[Point] = set()
        self.tags: dict[str, str] = {}
        self.artifacts: list[tuple[str, str]] = []
        self.ending: Ending | None = None
        self.calls = 0
        self.fail_before = self.fail_after = math.inf  # counted in calls

    def points(self, points: Sequence[Point], tags: Mapping[str, str]) -> None:
        self._call()
        assert len(points) <= BATCH
        self.stored.update(points)
        self.tags.update(tags)
        self._return()

    def artifact(self, path: Path, under: str) -> None:
        self._call()
        if path.name == "poison":
            raise AwayError
        self.artifacts.append((path.name, under))
        self._return()

    def end(self, ending: Ending) -> None:
        self._call()
        self.ending = ending
        self._return()

    def _call(self) -> None:
        self.calls += 1
        if self.calls > self.fail_before:
            raise AwayError

    def _return(self) -> None:
        if self.calls > self.fail_after:
            raise AwayError


def checkpoint(delivery: Delivery, step: int) -> None:
    with delivery.outbox.change():
        delivery.outbox.final = delivery.journal.position(step, delivery.outbox.delivered)


def log(delivery: Delivery, step: int, time: int, **metrics: float) -> None:
    delivery.journal.append(Record(time, step, metrics))


def test_nothing_later_than_the_checkpoint_is_delivered(tmp_path: Path) -> None:
    shelf = Shelf()
    delivery = Delivery.of(tmp_path, shelf)
    for step in range(10):
        log(delivery, step, step, loss=step)
    delivery.hand_over()
    assert shelf.stored == set()
    checkpoint(delivery, 6)
    delivery.hand_over()
    assert {point.step for point in shelf.stored} == set(range(7))
    assert shelf.tags[DELIVERED] == "6"
    assert shelf.tags[PROGRESS].startswith("step 9 at 1970-01-01 00:00:00 UTC: loss 9")


def test_what_is_not_finite_stays_in_the_journal(tmp_path: Path) -> None:
    shelf = Shelf()
    delivery = Delivery.of(tmp_path, shelf)
    log(delivery, 1, 1, a=math.nan, b=math.inf, c=-math.inf, d=1.0)
    checkpoint(delivery, 1)
    delivery.hand_over()
    assert shelf.stored == {Point("d", 1.0, 1, 1)}
    assert "a nan, b inf, c -inf" in shelf.tags[PROGRESS]
    assert json.loads(delivery.journal.path.read_text())["metrics"] == {"a": "nan", "b": "inf", "c": "-inf", "d": 1.0}


@pytest.mark.parametrize("width", [1, 7, 999, 1000, 1001, 2500])
def test_batches_hold_at_most_1000_points(width: int, tmp_path: Path) -> None:
    shelf = Shelf()
    delivery = Delivery.of(tmp_path, shelf)
    for step in range(3):
        log(delivery, step, step, **{f"m{i}": 0.0 for i in range(width)})
    checkpoint(delivery, 2)
    delivery.hand_over()
    assert len(shelf.stored) == 3 * width


def test_an_artifact_that_cannot_be_stored_keeps_back_no_other(tmp_path: Path) -> None:
    shelf = Shelf()
    delivery = Delivery.of(tmp_path, shelf)
    for name in ("poison", "good"):
        (tmp_path / name).write_text("")
    delivery.outbox.artifacts = [(str(tmp_path / name), "x") for name in ("poison", "vanished", "good")]
    delivery.outbox.ending = Ending("FINISHED", 5)
    for _ in range(2):
        with pytest.raises(AwayError):
            delivery.hand_over()
    assert shelf.artifacts == [("good", "x")]
    assert shelf.ending == Ending("FINISHED", 5)
    assert Delivery.of(tmp_path, shelf).outbox.artifacts == [(str(tmp_path / "poison"), "x")]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"final": 1}', b"\xff"])
def test_a_broken_outbox_costs_nothing_but_a_repetition(content: bytes, tmp_path: Path) -> None:
    shelf = Shelf()
    delivery = Delivery.of(tmp_path, shelf)
    log(delivery, 1, 1, loss=1.0)
    checkpoint(delivery, 1)
    delivery.hand_over()
    (tmp_path / "outbox.json").write_bytes(content)
    again = Delivery.of(tmp_path, shelf)
    assert again.rewind(1)
    again.hand_over()
    assert shelf.stored == {Point("loss", 1.0, 1, 1)}


class Crashes(RuleBasedStateMachine):
    """A training run that may die at any moment, and never writes the same step twice into the store.

    What each step measures differs between attempts, as on a GPU: a point of a lost attempt would be seen.
    """

    @initialize()
    def begin(self) -> None:
        self.directory = TemporaryDirectory()
        self.shelf = Shelf()
        self.delivery = Delivery.of(Path(self.directory.name), self.shelf)
        self.clock = self.step = self.saved = 0
        self.truth: dict[int, Point] = {}  # the points of the attempt that survives

    @rule()
    def train(self) -> None:
        self.clock += 1
        self.step += 1
        self.truth[self.step] = Point("loss", float(self.clock), self.clock, self.step)
        log(self.delivery, self.step, self.clock, loss=float(self.clock))

    @rule(told=st.booleans())
    def save(self, told: bool) -> None:
        self.saved = self.step
        if told:  # else the process dies, in one of the next rules or later, before it could say so
            checkpoint(self.delivery, self.step)

    @rule()
    def deliver(self) -> None:
        self.delivery.hand_over()

    @rule(calls=st.integers(0, 2), stored=st.booleans(), torn=st.integers(0, 55), lost=st.booleans())
    def crash(self, calls: int, stored: bool, torn: int, lost: bool) -> None:
        self.shelf.calls = 0
        if stored:
            self.shelf.fail_after = calls
        else:
            self.shelf.fail_before = calls
        try:
            self.delivery.hand_over()
        except AwayError:
            pass
        finally:
            self.shelf.fail_before = self.shelf.fail_after = math.inf
        self.delivery.journal.close()
        with self.delivery.journal.path.open("ab") as file:
            file.write(b'{"time":1,"step":1,"metrics":{"loss":1.0,"another":2.0}}\n'[:torn])
        if lost:
            (Path(self.directory.name) / "outbox.json").unlink(missing_ok=True)
        self.delivery = Delivery.of(Path(self.directory.name), self.shelf)
        assert self.delivery.rewind(self.saved)
        self.truth = {step: point for step, point in self.truth.items() if step <= self.saved}
        self.step = self.saved

    @invariant()
    def no_point_of_a_lost_attempt_is_stored(self) -> None:
        assert self.shelf.stored <= set(self.truth.values())

    def teardown(self) -> None:
        checkpoint(self.delivery, self.step)
        self.delivery.hand_over()
        assert self.shelf.stored == set(self.truth.values())
        self.delivery.journal.close()
        self.directory.cleanup()


Crashes.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestCrashes = Crashes.TestCase


def test_what_a_checkpoint_covers_is_final_though_nobody_said_so(tmp_path: Path) -> None:
    shelf = Shelf()
    delivery = Delivery.of(tmp_path, shelf)
    for step in range(5):
        log(delivery, step, step, loss=1.0)
    assert delivery.rewind(3)
    delivery.hand_over()
    assert {point.step for point in shelf.stored} == set(range(4))


def test_there_is_no_way_back_behind_what_is_delivered(tmp_path: Path) -> None:
    shelf = Shelf()
    delivery = Delivery.of(tmp_path, shelf)
    for step in range(5):
        log(delivery, step, step, loss=1.0)
    checkpoint(delivery, 3)
    shelf.fail_after = 0  # it arrives, and is not recorded as delivered
    with pytest.raises(AwayError):
        delivery.hand_over()
    again = Delivery.of(tmp_path, shelf)
    assert again.outbox.delivered == 0
    assert not again.rewind(2)
    assert again.rewind(3)
