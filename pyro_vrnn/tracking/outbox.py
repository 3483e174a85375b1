"""What a run still owes the store, on disk beside its journal, so that any later process can settle it."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path


@dataclass
class Ending:
    """How and when (milliseconds since 1970) a run ended."""

    status: str
    time: int
    reason: str = ""


@dataclass
class Outbox:
    """The account between a journal and the store.

    Attributes:
        path: The file it is kept in.
        final: The journal up to here belongs to a checkpoint (or to an ended run) and may be delivered; ``None`` as
            long as there is no checkpoint.
        delivered: The journal up to here is in the store.
        step: The highest step that was ever handed to the store; written BEFORE the call, so that it also covers what
            a process was delivering when it died.
        artifacts: Files and folders the store refused so far, each with the artifact folder it belongs under.
        images: Pictures the store does not have yet, each with the name and the step it is shown under.
        models: Descriptions of models (:mod:`pyro_vrnn.tracking.models`) the store refused so far.
        ending: Set when the run has ended and the store may not know.
    """

    path: Path
    final: int | None = None
    delivered: int = 0
    step: int = -1
    artifacts: list[tuple[str, str]] = field(default_factory=list)
    images: list[tuple[str, str, int]] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    ending: Ending | None = None

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    @classmethod
    def load(cls, path: Path) -> "Outbox":
        """Read it; an empty account if there is none or it is broken.

        Nothing is lost with it: everything is delivered again, and identical points do not double in the store.
        """
        try:
            entries = json.loads(path.read_bytes())
            entries = {"models": [], "images": [], **entries}  # accounts from before there were any
            outbox = cls(path, **{name: entries[name] for name in _STORED})
            outbox.artifacts = [(name, under) for name, under in outbox.artifacts]
            outbox.images = [(name, key, step) for name, key, step in outbox.images]
            outbox.ending = Ending(**entries["ending"]) if entries["ending"] else None
            return outbox
        except (OSError, ValueError, KeyError, TypeError):
            return cls(path)

    @contextmanager
    def change(self) -> Iterator[None]:
        """Change attributes inside the block; the file is replaced at its end."""
        with self._lock:
            yield
            entries = {name: getattr(self, name) for name in _STORED}
            entries["ending"] = asdict(self.ending) if self.ending else None
            replacement = self.path.with_suffix(".new")
            replacement.write_text(json.dumps(entries), encoding="utf-8")
            os.replace(replacement, self.path)


_STORED = tuple(entry.name for entry in fields(Outbox) if entry.name != "path")
