"""The same work on many files, in several processes; results come in the order of the files."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from ...errors import DataError
from .reading import watch_parent

AHEAD = 4  # tasks a process that are begun before the first of them is done: a long file holds up few others

Given = TypeVar("Given")
Found = TypeVar("Found")

Map = Callable[[Callable[[Given], Found], Iterable[Given]], Iterator[Found]]


@contextmanager
def processes(jobs: int) -> Iterator[Map]:
    """What maps a function over things in so many processes, in their order; with one, in this process.

    Raises:
        DataError: A process ended by itself, as the system does where memory is short.
    """
    if jobs == 1:
        yield map
        return
    # Not forked: threads of this process may hold locks.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin)

    def mapped(work: Callable[[Given], Found], things: Iterable[Given]) -> Iterator[Found]:
        waiting: deque[Future[Found]] = deque()
        for thing in things:
            waiting.append(pool.submit(work, thing))
            if len(waiting) >= AHEAD * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    try:
        yield mapped
    except BrokenProcessPool:
        raise DataError(
            "a process that read files was ended from outside, as happens where memory is short; "
            "run the same command again, with fewer --jobs"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits
    watch_parent()
