"""What ``data prepare`` does: read, store, and say what came of it."""

import os
import shlex
from pathlib import Path
from typing import Any

from pyro_vrnn.commands import display
from pyro_vrnn.commands.subject import progress
from pyro_vrnn.data import DataOptions, load
from pyro_vrnn.data.prepared.preparing import prepare
from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.training import config


def run(
    corpus: str, source: str, out: Path, given: dict[str, Any], own: dict[str, Any], *, seed: int, jobs: int | None
) -> None:
    """Prepares a corpus.

    Args:
        corpus: What the source is.
        source: A folder or a file.
        out: The folder to make.
        given: Options of the data room, as they were given.
        own: Options of the corpus's own.
        seed: Of what is drawn.
        jobs: Processes; None: one a core.

    Raises:
        UserError: Anything a user can mend.
    """
    console = display.console()
    options = _options(source, given)
    with progress(console) as told:
        done = prepare(corpus, options, out, own=own, seed=seed, jobs=jobs or _cores(), progress=told)
    if done.began_anew:
        console.print("unfinished work was begun anew: the source or the options have changed since")
    if done.resumed:
        console.print(f"{done.resumed} files had been read before")
    for note in done.manifest.notes:
        console.print(note)
    ready = load(DataOptions(source=str(out)), seed=seed)
    for line in ready.lines():
        console.print(line)
    size = sum(file.size for file in done.manifest.files.values())
    state = "was prepared already, and its source is the same" if done.found else f"{size / 1e6:.1f} MB"
    console.print(f"{out}: {state}; train on it: python cli.py fit --data {shlex.quote(str(out))}")


def _options(source: str, given: dict[str, Any]) -> DataOptions:
    if source == "":
        raise ConfigurationError("SOURCE: expected a folder or a file")
    return config.read(None, {"data": {**given, "source": source}}).data


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
