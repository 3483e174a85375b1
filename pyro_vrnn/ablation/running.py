"""The work on all cells: which are begun, what came of each, and who is told."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pyro_vrnn.ablation.launching import Ended, Launcher
from pyro_vrnn.ablation.work import Finding, Task, finished, settle
from pyro_vrnn.tracking import RunRecord

#: Seconds between two words to the watcher.
TICK = 0.5

#: Seconds until a cell that another process works on is looked at again.
AGAIN = 2.0


@dataclass
class Standing:
    """Where the work on all cells stands.

    Attributes:
        cells: All.
        waiting: Not begun yet.
        running: Being worked on, with the time since when (``time.monotonic``).
        elsewhere: Being worked on by processes that were not started here.
        there: Finished before, with their runs.
        finished: Finished now, with their runs.
        failed: With the reasons.
    """

    cells: Sequence[Task]
    waiting: deque[Task] = field(default_factory=deque)
    running: dict[str, float] = field(default_factory=dict)
    elsewhere: dict[str, float] = field(default_factory=dict)
    there: dict[str, RunRecord] = field(default_factory=dict)
    finished: dict[str, RunRecord] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Cells of which nothing is left to do in this call."""
        return len(self.there) + len(self.finished) + len(self.failed)


class Watcher(Protocol):
    """Who is told how the grid goes."""

    def begun(self, standing: Standing, task: Task, *, resumed: bool) -> None:
        """A cell was begun or gone on with, or handed to somebody who will see which."""

    def ended(self, standing: Standing, task: Task, seconds: float) -> None:
        """A cell is in one of the last three of :class:`Standing`, or waits for a process elsewhere."""

    def tick(self, standing: Standing) -> None:
        """Now and then."""


def run(cells: Sequence[Task], launcher: Launcher, watcher: Watcher, again: float = AGAIN) -> Standing:
    """Works on all cells until each is finished or has failed.

    Whatever ends it on the way (Ctrl-C, a signal, an error of the store), the processes are asked to end first, which
    gives each a checkpoint to go on from.

    Args:
        cells: With different identities.
        launcher: Where.
        watcher: Who is told.
        again: Seconds until a cell that another process works on is looked at again.

    Raises:
        TrackingError: If the store is gone.
    """
    standing = Standing(cells, deque(cells))
    later: deque[tuple[float, Task]] = deque()
    try:
        while standing.done < len(cells):
            while later and later[0][0] <= time.monotonic():
                standing.waiting.appendleft(later.popleft()[1])
            while standing.waiting and len(standing.running) < launcher.slots:
                task = standing.waiting.popleft()
                standing.running[task.identity] = time.monotonic()
                found = launcher.submit(task)
                if found in (None, Finding.BEGUN, Finding.RESUMED):
                    watcher.begun(standing, task, resumed=found is Finding.RESUMED)
            for ended in launcher.wait(TICK):
                seconds = time.monotonic() - standing.running.pop(ended.task.identity)
                if ended.finding is Finding.BUSY:
                    first = ended.task.identity not in standing.elsewhere
                    standing.elsewhere.setdefault(ended.task.identity, time.monotonic())
                    later.append((time.monotonic() + again, ended.task))
                    if not first:
                        continue
                else:
                    standing.elsewhere.pop(ended.task.identity, None)
                    _judge(standing, ended, seconds)
                watcher.ended(standing, ended.task, seconds)
            watcher.tick(standing)
    finally:
        launcher.stop()
    return standing


def _judge(standing: Standing, ended: Ended, seconds: float) -> None:
    """Whether a cell is finished is what the store says, whatever its process exited with."""
    record, key = finished(ended.task), ended.task.identity
    if record is not None and ended.finding is Finding.FINISHED:
        standing.there[key] = record
    elif record is not None:
        standing.finished[key] = record
        standing.seconds.append(seconds)
    else:
        standing.failed[key] = ended.why or settle(ended.task, ended.status)
