"""A background thread that delivers every few seconds and never disturbs training."""

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger("pyro_vrnn.tracking")

INTERVAL = 5.0
LONGEST_PAUSE = 60.0
PATIENCE = 60.0


class Courier:
    """Call ``deliver`` now and then; failures lengthen the pauses and are told once.

    Args:
        deliver: Does what is due and raises if it cannot.
        progress: Anything that changes while ``deliver`` gets on; :meth:`wait` gives up when it stands still.
        warn: Makes the one line about a failure.
        interval: Seconds between deliveries.
    """

    def __init__(
        self,
        deliver: Callable[[], None],
        progress: Callable[[], object],
        warn: Callable[[Exception], str],
        interval: float = INTERVAL,
    ) -> None:
        self.interval = interval
        self.failure: Exception | None = None
        self._deliver, self._progress, self._warn = deliver, progress, warn
        self._changed = threading.Condition()
        self._asked = self._done = 0
        self._closed = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start; without effect if it runs."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)
            self._thread.start()

    def ask(self) -> int:
        """Ask for a delivery soon; its number."""
        self.start()
        with self._changed:
            self._asked += 1
            self._changed.notify_all()
            return self._asked

    def wait(self, patience: float = PATIENCE) -> bool:
        """Ask for a delivery and wait for it, as long as it gets on.

        Returns:
            Whether everything that was due is delivered.
        """
        number = self.ask()
        seen, left = self._progress(), patience
        with self._changed:
            while self._done < number and left > 0:
                self._changed.wait_for(lambda: self._done >= number, timeout=min(left, 1.0))
                left -= 1.0
                if self._progress() != seen:
                    seen, left = self._progress(), patience
            return self._done >= number and self.failure is None

    def close(self) -> None:
        """Let the thread end after what it is doing."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        failures = 0
        while not self._closed:
            pause = min(self.interval * 2**failures, max(LONGEST_PAUSE, self.interval))
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._asked > self._done, timeout=pause)
                number = self._asked
            if self._closed:
                return
            try:
                self._deliver()
            except Exception as error:
                failures, self.failure = failures + 1, error
                if failures == 2:  # one failure may be a server that restarts
                    logger.warning("%s", self._warn(error))
            else:
                if failures > 1:
                    logger.warning("the tracking store is back: everything due is delivered")
                failures, self.failure = 0, None
            with self._changed:
                self._done = number
                self._changed.notify_all()
