"""Going on with a run: what it was, and where it stood."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyro_vrnn.data import Corpus
from pyro_vrnn.errors import ConfigurationError, DataError
from pyro_vrnn.tracking import fetch, find_run, tracking_uri
from pyro_vrnn.training.checkpoint import FILE
from pyro_vrnn.training.config import Config, read

#: What a resumed run may be given anew: how long and where it trains, not what it is.
RESUMABLE = {
    *("training.epochs", "training.max_steps", "training.patience"),
    *("training.device", "training.devices", "training.nodes", "training.precision"),
    *("training.checkpoint_every", "tracking.uri"),
}


def stored_config(
    resume: str, given: Mapping[str, Mapping[str, Any]], file: Path | None, settings: tuple[str, ...]
) -> Config:
    """The configuration of a run to go on with, and the few options that may change on the way."""
    named = {f"{room}.{name}" for room, options in given.items() for name in options}
    named |= {setting.partition("=")[0].strip() for setting in settings}
    if file is not None or not named <= RESUMABLE:
        refused = "--config" if file is not None else sorted(named - RESUMABLE)[0]
        raise ConfigurationError(
            f"--resume {resume}: {refused} would make it another run; only {', '.join(sorted(RESUMABLE))} may change"
        )
    uri = tracking_uri(given.get("tracking", {}).get("uri"))
    record = find_run(resume, uri=uri)
    stored = read(fetch(record.id, "config.toml", uri=uri))
    kept = stored.model_dump(exclude_none=True)
    rooms = {room: {**kept.get(room, {}), **given.get(room, {})} for room in {*kept, *given}}
    # The store that the run was found in, not the one it was begun in: that may have been a relative path, or moved.
    rooms["tracking"]["uri"] = given.get("tracking", {}).get("uri")
    return read(None, rooms, settings)


def checkpoint_of(resume: str, corpus: Corpus, uri: str) -> Path:
    """The checkpoint to go on from: of the working folder, or of the store where that is not on this machine.

    Raises:
        DataError: If the files are not those that the run began with.
        TrackingError: If there is no checkpoint.
    """
    record = find_run(resume, uri=uri)
    expected = record.tags.get("data.checksum", corpus.checksum)
    if corpus.checksum != expected:
        raise DataError(
            f"--resume {resume}: the files of {corpus.name} are not those the run was trained on (checksum"
            f" {corpus.checksum[:12]}, expected {expected[:12]}); put them back, or start a new run"
        )
    local = Path(record.tags.get("folder", "")) / "checkpoint"
    return local if (local / FILE).is_file() else fetch(record.id, "checkpoint", uri=uri)
