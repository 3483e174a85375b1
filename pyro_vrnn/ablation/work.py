"""The work on one cell: to see what there is of it, and to do what is left, as one process at a time.

The store is asked under a lock of the cell that the process of ``fit`` keeps for as long as it lives. Whoever finds the
lock taken knows that the cell is being worked on, also where the one who began that has died; whoever gets it sees what
the last one has left. That is why no cell is lost or done twice.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from pyro_vrnn.errors import TrackingError
from pyro_vrnn.tracking import (
    PARENT,
    Handed,
    RunRecord,
    adopt,
    being_written,
    deliver_run,
    find_runs,
    folder_of,
    set_aside,
)
from pyro_vrnn.training.checkpoint import FILE

#: ``fit`` as a process; ``-P`` adds no folder to those that are searched for modules.
FIT = [sys.executable, "-P", "-c", "from pyro_vrnn.commands.main import main; main()"]


class Task(NamedTuple):
    """A cell as it is handed to whoever works on it, maybe on another machine; all of it can be pickled.

    Attributes:
        label: For people.
        identity: What its runs are tagged ``configuration``.
        tags: Of its runs, the axes among them.
        fit: Arguments of ``fit`` that begin its run.
        anew: Options that are repeated when its run is gone on with.
        uri: The store.
        experiment: Its name.
        parent: The run that its runs are shown under.
        folder: Of locks and logs; every machine that works on cells must see the same one.
        directory: Where ``fit`` is called, for the sake of relative paths.
        environment: Added to that of the process.
        anywhere: Whether a finished run of the same configuration counts, under whatever parent it stands.
    """

    label: str
    identity: str
    tags: Mapping[str, str]
    fit: Sequence[str]
    anew: Sequence[str]
    uri: str
    experiment: str
    parent: str
    folder: Path
    directory: Path
    environment: Mapping[str, str] = {}
    anywhere: bool = False

    @property
    def log(self) -> Path:
        """What its processes print."""
        return self.folder / f"{self.identity}.log"

    @property
    def lock(self) -> Path:
        """Held by whoever works on it."""
        return self.folder / f"{self.identity}.lock"


class Finding(Enum):
    """What there is of a cell."""

    FINISHED = "finished"
    BUSY = "being worked on"
    RESUMED = "resumed"
    BEGUN = "begun"


@dataclass
class Work:
    """What was found, and the process that does what is left.

    Attributes:
        finding: What there was of the cell.
        process: Of ``fit``; None where nothing is left to do, or somebody else does it.
        record: The run that is finished or gone on with.
    """

    finding: Finding
    process: subprocess.Popen[bytes] | None = None
    record: RunRecord | None = None


def runs_of(task: Task) -> list[RunRecord]:
    """A cell's runs: those under the grid, and finished ones of the same configuration under nothing, or anywhere."""
    found = find_runs(task.experiment, uri=task.uri, tags={"configuration": task.identity})
    ours = [run for run in found if run.tags.get(PARENT) == task.parent]
    others = [run for run in found if run.tags.get(PARENT) != task.parent and run.status == "FINISHED"]
    return ours + [run for run in others if task.anywhere or PARENT not in run.tags]


def finished(task: Task) -> RunRecord | None:
    """The run that has finished the cell."""
    return next((run for run in runs_of(task) if run.status == "FINISHED"), None)


def begin(task: Task, environment: Mapping[str, str] | None = None) -> Work:
    """Starts what is left to do of a cell.

    A finished run is left alone. One that ended on the way is gone on with from its last checkpoint; where it has none
    it is set aside (deleted as MLflow does, and to be restored), and another begun.

    Args:
        task: The cell.
        environment: Of the process, beside the task's and this one's.

    Raises:
        TrackingError: If the store cannot be read.
    """
    task.folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = Handed(task.lock)
    except BlockingIOError:
        return Work(Finding.BUSY)
    try:
        runs = runs_of(task)
        if done := next((run for run in runs if run.status == "FINISHED"), None):
            if done.tags.get(PARENT, task.parent) == task.parent:  # another grid keeps its own
                adopt(done, task.parent, task.tags)
            return Work(Finding.FINISHED, record=done)
        if any(being_written(run) for run in runs):  # by hand: `fit --resume`
            return Work(Finding.BUSY)
        kept = next((run for run in runs if (folder_of(run) / "checkpoint" / FILE).is_file()), None)
        for run in runs:
            if run is not kept:
                set_aside(run)
        words = list(task.fit) if kept is None else ["fit", "--resume", kept.id, *task.anew]
        process = _start(task, words, {**task.environment, **(environment or {})}, lock.descriptor)
        return Work(Finding.BEGUN if kept is None else Finding.RESUMED, process, kept)
    finally:
        lock.let_go()


def do(task: Task) -> tuple[Finding, int]:
    """The whole work on a cell, for a process that has nothing else to do; what there was, and ``fit``'s status."""
    work = begin(task)
    if work.process is None:
        return work.finding, 0
    try:
        return work.finding, work.process.wait()
    finally:
        if work.process.poll() is None:
            work.process.terminate()
            work.process.wait()


def settle(task: Task, status: int) -> str:
    """After the process of an unfinished cell has ended: marks its run, and says why it ended.

    Args:
        task: The cell.
        status: Exit status of the process, -N after signal N.

    Raises:
        TrackingError: If the store cannot be read.
    """
    for run in runs_of(task):
        if run.status == "RUNNING" and not being_written(run):
            try:
                deliver_run(run.id, uri=task.uri)
            except TrackingError:  # its folder is on another machine
                continue
    reasons = [run.tags["failure"] for run in runs_of(task) if "failure" in run.tags]
    if status < 0 and not reasons:
        return f"was killed by {signal.Signals(-status).name}"
    return reasons[0] if reasons else last_line(task.log).removeprefix("pyro-vrnn: ") or "ended without a word"


def last_line(path: Path, most: int = 4096) -> str:
    """The last line of a text file that says something; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            said = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return said[-1].strip() if said else ""


def _start(task: Task, words: Sequence[str], environment: Mapping[str, str], lock: int) -> subprocess.Popen[bytes]:
    # Unbuffered, or its log is empty while it works.
    there = {"PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    with task.log.open("ab") as log:
        log.write(f"# {time.strftime('%Y-%m-%d %H:%M:%S')} {shlex.join(words)}\n".encode())
        log.flush()
        return subprocess.Popen(
            [*FIT, *words],
            env={**os.environ, **there, **environment},
            cwd=task.directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[lock],
            start_new_session=True,  # a key pressed at the terminal is the grid's to answer
        )
