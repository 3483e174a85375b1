"""Turn requests to end into exceptions, so that ``with`` blocks and ``finally`` clauses do their work."""

import os
import signal
import threading
from types import FrameType, TracebackType

REQUESTS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Terminated(SystemExit):
    """The process was asked to end by a signal. A loop may catch it to write a checkpoint, and raises it again."""


class TerminationRaises:
    """Inside the block SIGTERM and SIGHUP raise :class:`Terminated`, once; one that somebody else handles does not."""

    def __enter__(self) -> None:
        self._process = os.getpid()
        self._raised = False
        self._taken = []
        if threading.current_thread() is threading.main_thread():
            self._taken = [number for number in REQUESTS if signal.getsignal(number) is signal.SIG_DFL]
        for number in self._taken:
            signal.signal(number, self._handle)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in self._taken:
            signal.signal(number, signal.SIG_DFL)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a forked data worker, which its parent ends in this way
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif not self._raised:  # schedulers repeat themselves, and the first one is being obeyed
            self._raised = True
            raise Terminated(128 + number)
