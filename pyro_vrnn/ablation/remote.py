"""Launchers on several machines, which share a file system: Ray, and SLURM through submitit. Both are extras."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pyro_vrnn.ablation.launching import POLL, Ended
from pyro_vrnn.ablation.work import Finding, Task, do
from pyro_vrnn.errors import ConfigurationError, first_line


class Ray:
    """Plain tasks of a Ray cluster: that of ``RAY_ADDRESS``, else one of this machine.

    Args:
        jobs: Tasks at a time.
        cores: Of each task.
        gpus: Of each task.

    Raises:
        ConfigurationError: If Ray is not installed.
    """

    def __init__(self, jobs: int, cores: int, gpus: int = 0) -> None:
        try:
            import ray
        except ImportError:
            raise _missing("ray") from None
        self.slots, self._ray = jobs, ray
        self._owner = not ray.is_initialized()
        if self._owner:
            ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
        # It retries tasks whose worker dies. Whether a cell is tried again is the grid's to say.
        self._do = ray.remote(num_cpus=cores, num_gpus=gpus, max_retries=0)(_with_threads)
        self._cores, self._pending = cores, {}  # type: int, dict[Any, Task]

    def submit(self, task: Task) -> None:
        """As a task of its own."""
        self._pending[self._do.remote(task, self._cores)] = task

    def wait(self, seconds: float) -> list[Ended]:
        """``ray.wait``."""
        if not self._pending:
            time.sleep(seconds)
            return []
        ready, _ = self._ray.wait(list(self._pending), timeout=seconds)
        return [_ended(self._pending.pop(reference), partial(self._ray.get, reference)) for reference in ready]

    def stop(self) -> None:
        """Cancels what runs, and ends a cluster that was started here."""
        for reference in self._pending:
            self._ray.cancel(reference)
        if self._pending:
            self._ray.wait(list(self._pending), num_returns=len(self._pending), timeout=60)
            self._pending.clear()
        if self._owner and self._ray.is_initialized():
            self._ray.shutdown()


class Slurm:
    """Jobs of a SLURM cluster, one a cell.

    Args:
        jobs: In the queue at a time.
        folder: Of the jobs' own files; on every machine.
        parameters: Of the jobs, as submitit has them: ``timeout_min``, ``slurm_partition``, ``cpus_per_task``, ...
        cluster: ``slurm``, or ``local`` for processes of this machine.

    Raises:
        ConfigurationError: If submitit or SLURM is not there, or it has no such parameter.
    """

    def __init__(self, jobs: int, folder: Path, parameters: dict[str, Any], cluster: str = "slurm") -> None:
        try:
            import submitit
        except ImportError:
            raise _missing("slurm", "submitit") from None
        self.slots = jobs
        try:
            self._executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
            self._executor.update_parameters(**parameters)
        except (RuntimeError, NameError, TypeError, ValueError) as error:
            raise ConfigurationError(f"--launcher slurm: {error}; see --launcher-set") from None
        self._pending: dict[Any, Task] = {}

    def submit(self, task: Task) -> None:
        """As a job of its own."""
        self._pending[self._executor.submit(do, task)] = task

    def wait(self, seconds: float) -> list[Ended]:
        """Asks after the jobs until one has ended."""
        until = time.monotonic() + seconds
        while True:
            done = [job for job in self._pending if job.done()]
            if done or time.monotonic() >= until:
                return [_ended(self._pending.pop(job), job.result) for job in done]
            time.sleep(POLL)

    def stop(self) -> None:
        """Cancels the jobs."""
        for job in self._pending:
            job.cancel()
        until = time.monotonic() + 60
        while any(not job.done() for job in self._pending) and time.monotonic() < until:
            time.sleep(POLL)
        self._pending.clear()


def _with_threads(task: Task, cores: int) -> tuple[Finding, int]:
    # Ray gives a task of one core one thread, and a task of several none of its own accord.
    return do(task._replace(environment={**task.environment, "OMP_NUM_THREADS": str(cores)}))


def _ended(task: Task, result: Callable[[], tuple[Finding, int]]) -> Ended:
    try:
        return Ended(task, *result())
    except Exception as error:  # a worker that was killed, a job over its time: whatever it is, this cell has failed
        return Ended(task, Finding.BEGUN, 1, first_line(error))


def _missing(launcher: str, package: str = "") -> ConfigurationError:
    return ConfigurationError(
        f"--launcher {launcher}: {package or launcher} is not installed; install the extra: pip install"
        f" 'pyro-vrnn[{launcher}]'"
    )
