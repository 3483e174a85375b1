"""The work on all cells, with a launcher that plays what processes do."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pyro_vrnn.ablation import running
from pyro_vrnn.ablation.launching import Ended
from pyro_vrnn.ablation.running import Standing, run
from pyro_vrnn.ablation.work import Finding, Task, last_line
from pyro_vrnn.tracking import RunRecord


def _task(name: str) -> Task:
    return Task(name, name, {}, [], [], "uri", "experiment", "parent", Path("cells"), Path("."))


def _record(name: str) -> RunRecord:
    return RunRecord(name, name, "experiment", "1", "FINISHED", datetime.now(UTC), {}, {}, {}, "uri")


@dataclass
class Played:
    """What each cell does when it is submitted, one thing a time: ``ok``, ``there``, ``busy``, ``fail``."""

    plays: dict[str, list[str]]
    slots: int = 2
    pending: list[Task] = field(default_factory=list)
    submitted: list[str] = field(default_factory=list)
    finished: set[str] = field(default_factory=set)
    most: int = 0
    stopped: bool = False

    def submit(self, task: Task) -> Finding | None:
        self.submitted.append(task.label)
        self.pending.append(task)
        self.most = max(self.most, len(self.pending))
        return None

    def wait(self, seconds: float) -> list[Ended]:
        if not self.pending:
            return []
        task = self.pending.pop(0)
        play = self.plays[task.label].pop(0)
        if play == "interrupt":
            raise KeyboardInterrupt
        if play in ("ok", "there"):
            self.finished.add(task.label)
        found = {"there": Finding.FINISHED, "busy": Finding.BUSY}.get(play, Finding.BEGUN)
        return [Ended(task, found, int(play == "fail"))]

    def stop(self) -> None:
        self.stopped = True


@dataclass
class Heard:
    """What a watcher was told."""

    events: list[str] = field(default_factory=list)

    def begun(self, standing: Standing, task: Task, *, resumed: bool) -> None:
        self.events.append(f"begun {task.label}")

    def ended(self, standing: Standing, task: Task, seconds: float) -> None:
        key = task.identity
        word = next((word for word in ("there", "finished", "failed") if key in getattr(standing, word)), "waiting")
        self.events.append(f"{word} {task.label}")

    def tick(self, standing: Standing) -> None:
        """Nothing."""


@pytest.fixture
def play(monkeypatch):
    def play(plays: dict[str, list[str]], slots: int = 2) -> tuple[Played, Heard, Standing]:
        launcher, heard = Played(plays, slots), Heard()
        monkeypatch.setattr(
            running, "finished", lambda task: _record(task.label) if task.label in launcher.finished else None
        )
        monkeypatch.setattr(running, "settle", lambda task, status: "why")
        return launcher, heard, run([_task(name) for name in plays], launcher, heard, again=0.0)

    return play


def test_every_cell_ends_once_and_failures_do_not_end_the_others(play):
    launcher, heard, standing = play({"a": ["ok"], "b": ["fail"], "c": ["there"], "d": ["ok"], "e": ["ok"]})
    assert launcher.submitted == list("abcde")
    assert launcher.most == 2
    assert launcher.stopped
    assert (list(standing.finished), list(standing.there), standing.failed) == (["a", "d", "e"], ["c"], {"b": "why"})
    assert [event for event in heard.events if not event.startswith("begun")] == [
        *("finished a", "failed b", "there c", "finished d", "finished e")
    ]


def test_a_cell_that_another_process_works_on_is_looked_at_again(play):
    launcher, heard, standing = play({"a": ["busy", "busy", "there"], "b": ["ok"]})
    assert launcher.submitted.count("a") == 3
    assert heard.events.count("waiting a") == 1
    assert list(standing.there) == ["a"]
    assert not standing.elsewhere


def test_and_is_gone_on_with_where_that_one_has_died(play):
    _, _, standing = play({"a": ["busy", "ok"]}, slots=1)
    assert list(standing.finished) == ["a"]


def test_ctrl_c_ends_what_was_started(monkeypatch):
    launcher = Played({"a": ["interrupt"], "b": ["ok"]})
    with pytest.raises(KeyboardInterrupt):
        run([_task("a"), _task("b")], launcher, Heard())
    assert launcher.stopped


@pytest.mark.parametrize(("text", "line"), [("", ""), ("a\nb\n\n", "b"), ("x" * 5000 + "\nlast", "last"), ("\n", "")])
def test_the_last_line_of_a_log(tmp_path, text, line):
    (tmp_path / "log").write_text(text)
    assert last_line(tmp_path / "log") == line
    assert last_line(tmp_path / "none") == ""
