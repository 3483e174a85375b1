"""Hand a journal over to the store, so that its history there is right whatever happens on the way.

The store takes points and never gives them up: a metric cannot be deleted, and a step that is logged again is a second
point. Only what lies at or before the last checkpoint is therefore delivered. A run that dies goes on from there, so
no point in the store can ever belong to steps that are run again. To deliver everything at once and to skip the steps
that come again is right only where they come out bit for bit the same; on a GPU they do not, and there are the epochs
long enough for anyone to want it. Whoever watches gets points as often as there are checkpoints and, within seconds,
the newest values as the tag ``progress``: tags can be overwritten.

A delivery that is cut off is repeated: a point with the same name, value, time and step does not double.
"""

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from pyro_vrnn.tracking.journal import FILE, Journal, Record, ends_record, read
from pyro_vrnn.tracking.names import cut
from pyro_vrnn.tracking.outbox import Ending, Outbox

BATCH = 1000  # MLflow's limit
PROGRESS = "progress"
DELIVERED = "delivered.step"
PROGRESS_LENGTH = 1000


class Point(NamedTuple):
    """One value of one metric."""

    name: str
    value: float
    time: int
    step: int


class Destination(Protocol):
    """Where things are delivered. Each call may raise anything, and may be repeated."""

    def points(self, points: Sequence[Point], tags: Mapping[str, str]) -> None:
        """Store at most 1000 points, and overwrite tags."""

    def artifact(self, path: Path, under: str) -> None:
        """Store a file or a folder, under its own name, in an artifact folder."""

    def image(self, path: Path, key: str, step: int) -> None:
        """Store a PNG as what was seen under a name at a step."""

    def model(self, path: Path) -> None:
        """Store the model that a file describes."""

    def end(self, ending: Ending) -> None:
        """Store the end of the run."""


def points_of(record: Record) -> list[Point]:
    """What of a record the store can hold: MLflow would keep -inf as -1.8e308. The journal keeps everything."""
    return [
        Point(name, value, record.time, record.step) for name, value in record.metrics.items() if math.isfinite(value)
    ]


def batches(path: Path, start: int, stop: int) -> Iterator[tuple[list[Point], int, int]]:
    """The points between two positions, whole records in groups of at most 1000 points if they are no larger.

    Yields:
        The points, their highest step, and the position of their end.
    """
    points: list[Point] = []
    highest, position = -1, start
    for record, end in read(path, start, stop):
        more = points_of(record)
        if points and len(points) + len(more) > BATCH:
            yield points, highest, position
            points, highest = [], -1
        points += more
        highest, position = max(highest, record.step), end
    if position > start:
        yield points, highest, position


def describe(record: Record) -> str:
    """A line for people who watch."""
    time = datetime.fromtimestamp(record.time / 1000, UTC)
    values = ", ".join(f"{name} {value:.6g}" for name, value in record.metrics.items())
    return cut(f"step {record.step} at {time:%Y-%m-%d %H:%M:%S} UTC: {values}", PROGRESS_LENGTH)


class Delivery:
    """Bring a destination up to date with a journal and its outbox; one caller at a time."""

    def __init__(self, journal: Journal, outbox: Outbox, destination: Destination) -> None:
        self.journal = journal
        self.outbox = outbox
        self.destination = destination
        self._turn = threading.Lock()
        self._watched: Record | None = None

    @classmethod
    def of(cls, folder: Path, destination: Destination) -> "Delivery":
        """Open a run's working folder."""
        outbox, path = Outbox.load(folder / "outbox.json"), folder / FILE
        path.touch()
        if not ends_record(path, outbox.delivered):
            outbox.delivered = 0
        journal = Journal(path, outbox.delivered)
        if outbox.final is not None:
            outbox.final = min(outbox.final, journal.size)
        return cls(journal, outbox, destination)

    def hand_over(self) -> None:
        """Deliver everything that is due. Raises what the destination raises; call again to go on."""
        with self._turn:
            self._points()
            self._progress()
            self._ending()
            self._artifacts()
            self._images()
            self._models()

    def rewind(self, step: int) -> bool:
        """Cut the journal back to a checkpoint, with which everything that is left is final.

        Returns:
            Whether that was possible. Nothing happens if later steps were delivered already.
        """
        with self._turn:
            if self.outbox.step > step:
                return False
            self.journal.rewind(step, self.outbox.delivered)
            with self.outbox.change():
                self.outbox.final = self.journal.size
            return True

    def _points(self) -> None:
        if self.outbox.final is None:
            return
        for points, highest, end in batches(self.journal.path, self.outbox.delivered, self.outbox.final):
            if highest > self.outbox.step:
                with self.outbox.change():
                    self.outbox.step = highest
            for first in range(0, len(points), BATCH):
                self.destination.points(points[first : first + BATCH], {DELIVERED: str(self.outbox.step)})
            with self.outbox.change():
                self.outbox.delivered = end

    def _progress(self) -> None:
        latest = self.journal.last
        if latest is not None and latest is not self._watched:
            self.destination.points([], {PROGRESS: describe(latest)})
            self._watched = latest

    def _artifacts(self) -> None:
        while self.outbox.artifacts:
            name, under = self.outbox.artifacts[0]
            try:
                if Path(name).exists():
                    self.destination.artifact(Path(name), under)
            except Exception:
                with self.outbox.change():  # it may be this one that cannot be stored: another is first next time
                    self.outbox.artifacts.append(self.outbox.artifacts.pop(0))
                raise
            with self.outbox.change():
                self.outbox.artifacts.pop(0)

    def _images(self) -> None:
        while self.outbox.images:
            name, key, step = self.outbox.images[0]
            if Path(name).exists():
                self.destination.image(Path(name), key, step)
            with self.outbox.change():
                self.outbox.images.pop(0)

    def _models(self) -> None:
        while self.outbox.models:
            path = Path(self.outbox.models[0])
            if path.exists():
                self.destination.model(path)
            with self.outbox.change():
                self.outbox.models.pop(0)

    def _ending(self) -> None:
        ending = self.outbox.ending
        if ending is not None:
            self.destination.end(ending)
            with self.outbox.change():
                self.outbox.ending = None
