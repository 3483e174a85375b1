"""What ``export`` does: find the run, its model and its results; write the folder."""

import shutil
from pathlib import Path
from typing import Any

from pyro_vrnn import tracking
from pyro_vrnn.commands import display
from pyro_vrnn.comparison.card import card
from pyro_vrnn.comparison.runs import scored
from pyro_vrnn.errors import ConfigurationError, TrackingError
from pyro_vrnn.loading import find_model
from pyro_vrnn.tracking import RunRecord, find_run, tracking_uri
from pyro_vrnn.training.files import one_line, whole_folder
from pyro_vrnn.training.saving import CONFIG, DATA, SOURCES, WEIGHTS, load_model

CARD = "README.md"


def run(
    reference: str, given: dict[str, dict[str, Any]], *, out: Path | None, overwrite: bool, register: str | None
) -> None:
    """Writes the folder, registers the model.

    Args:
        reference: A tracked run.
        given: Options by room.
        out: The folder; None for none.
        overwrite: Whether an exported model may lie there.
        register: Name of a registered model; None to leave that out.

    Raises:
        UserError: If there is no such run, it has no model or no results, or the folder cannot be written.
    """
    if (Path(reference) / WEIGHTS).is_file():
        raise ConfigurationError(f"{reference}: a model folder already; copy it, or name a tracked run")
    if out is None and register is None:
        raise ConfigurationError("export: nothing to do; pass --out DIR, --register NAME or both")
    uri = tracking_uri(given.get("tracking", {}).get("uri"))
    console = display.console()
    if out is not None:
        record = _write(reference, out, overwrite, uri)
        console.print(f"run {record.name} exported to {out}")
        console.print(f'load:        pyro_vrnn.load("{out}")')
        console.print(f"score again: python cli.py evaluate {out}")
    if register is not None:
        address = tracking.register(reference, register, uri=uri)
        console.print(f"registered as {address}")
        console.print(f'load:        pyro_vrnn.load("{address}")')


def _write(reference: str, out: Path, overwrite: bool, uri: str) -> RunRecord:
    if out.exists() and not overwrite:
        raise ConfigurationError(f"--out {out}: there already; choose another folder, or pass --overwrite")
    if out.exists() and not (out / WEIGHTS).is_file():
        raise ConfigurationError(f"--out {out}: no exported model, so it is not overwritten; choose another folder")
    record = find_run(reference, uri=uri)
    source = find_model(record.id, uri)
    trained, results = load_model(source), scored(record)
    if results is None:
        raise TrackingError(f"run {record.name} keeps no results; run `fit --resume {record.id[:8]}` to its end")
    text = card(results, trained, display.words)
    with one_line(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(out) as folder:
            for name in (WEIGHTS, CONFIG, DATA):
                shutil.copyfile(source / name, folder / name)
            if (source / SOURCES).is_dir():
                shutil.copytree(source / SOURCES, folder / SOURCES)
            (folder / CARD).write_text(text, encoding="utf-8")
    return record
