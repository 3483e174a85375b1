"""Where cells are worked on: the seam, and processes of this machine."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pyro_vrnn.ablation.work import Finding, Task, begin
from pyro_vrnn.errors import ConfigurationError

#: Seconds between two looks at processes.
POLL = 0.1

#: Seconds that processes which were asked to end have for their last checkpoint.
FAREWELL = 60.0


class Ended(NamedTuple):
    """The end of the work on a cell.

    Attributes:
        task: The cell.
        finding: What there was of it.
        status: Exit status of ``fit``; 0 where it was not called, -N after signal N.
        why: What else went wrong.
    """

    task: Task
    finding: Finding
    status: int
    why: str = ""


class Launcher(Protocol):
    """What works on cells.

    Attributes:
        slots: How many at a time; more than these are not submitted.
    """

    slots: int

    def submit(self, task: Task) -> Finding | None:
        """Begins a cell, or has it begun elsewhere; what there was (:class:`Finding`) if that is known at once."""

    def wait(self, seconds: float) -> list[Ended]:
        """The cells that have ended since the last call; returns with the first, or after so many seconds."""

    def stop(self) -> None:
        """Asks everything that is worked on to end, and waits for it; without effect where nothing is."""


@dataclass
class _Running:
    task: Task
    finding: Finding
    process: subprocess.Popen[bytes]


class Local:
    """Processes of this machine, whose cores and GPUs are divided among them.

    Args:
        jobs: How many at a time.
        devices: GPUs that a cell asks for.
        gpus: Of this machine, by index or name; None: those of ``CUDA_VISIBLE_DEVICES``, else all.

    Raises:
        ConfigurationError: If there are GPUs, and not enough of them.
    """

    def __init__(self, jobs: int, devices: int = 1, gpus: Sequence[str] | None = None) -> None:
        self.slots = jobs
        self._environments = shares(jobs, devices, cores(), gpus_here() if gpus is None else gpus)
        self._running: dict[int, _Running] = {}
        self._ended: list[Ended] = []

    def submit(self, task: Task) -> Finding:
        """Starts the cell in the first slot that is free."""
        slot = next(slot for slot in range(self.slots) if slot not in self._running)
        work = begin(task, self._environments[slot])
        if work.process is None:
            self._ended.append(Ended(task, work.finding, 0))
        else:
            self._running[slot] = _Running(task, work.finding, work.process)
        return work.finding

    def wait(self, seconds: float) -> list[Ended]:
        """Looks at the processes until one has ended."""
        until = time.monotonic() + seconds
        while not self._collect() and time.monotonic() < until:
            time.sleep(POLL)
        ended, self._ended = self._ended, []
        return ended

    def stop(self) -> None:
        """SIGTERM, which ends ``fit`` in order, and SIGKILL for who does not hear it."""
        for each in self._running.values():
            each.process.terminate()
        until = time.monotonic() + FAREWELL
        for each in self._running.values():
            try:
                each.process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                each.process.kill()
                each.process.wait()
        self._collect()

    def _collect(self) -> bool:
        for slot, each in list(self._running.items()):
            if (status := each.process.poll()) is not None:
                self._ended.append(Ended(each.task, each.finding, status))
                del self._running[slot]
        return bool(self._ended)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus_here() -> list[str]:
    """What ``CUDA_VISIBLE_DEVICES`` names, else the indices of all GPUs."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    import torch

    return [str(index) for index in range(torch.cuda.device_count())]


def shares(jobs: int, devices: int, cores: int, gpus: Sequence[str]) -> list[Mapping[str, str]]:
    """What each of some concurrent processes finds in its environment, so that they do not stand in each other's way.

    Threads: two processes that both use all cores took fifty times longer than one after the other (small matrices,
    2 cores). GPUs are dealt in groups of ``devices``; where there are more processes than groups, several share one.

    Args:
        jobs: Processes.
        devices: GPUs that each asks for.
        cores: To divide.
        gpus: To divide; may be none.

    Raises:
        ConfigurationError: If there are GPUs, and fewer than one process asks for.
    """
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, cores // jobs))
    if not gpus:
        return [{"OMP_NUM_THREADS": threads}] * jobs
    groups = [gpus[first : first + devices] for first in range(0, len(gpus) - devices + 1, devices)]
    if not groups:
        raise ConfigurationError(f"--devices {devices}: a cell asks for more GPUs than there are ({len(gpus)})")
    # With one device a cell, a process that is alone gets all of its share: --device cuda:1 means something then.
    return [
        {"OMP_NUM_THREADS": threads, "CUDA_VISIBLE_DEVICES": ",".join(groups[slot % len(groups)])}
        for slot in range(jobs)
    ]
