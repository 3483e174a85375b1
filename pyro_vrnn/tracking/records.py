"""Runs that are not being written here: find them, read them, add results to them."""

import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pyro_vrnn.errors import TrackingError
from pyro_vrnn.tracking.delivery import BATCH, DELIVERED, Delivery, points_of
from pyro_vrnn.tracking.destination import MlflowRun
from pyro_vrnn.tracking.journal import FILE, Record, read
from pyro_vrnn.tracking.locks import SUPPORTED, Ownership
from pyro_vrnn.tracking.names import Names
from pyro_vrnn.tracking.outbox import Ending
from pyro_vrnn.tracking.store import Store, explained, shown

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger("pyro_vrnn.tracking")

FOLDER = "folder"
SHORTEST_PREFIX = 4
LISTED = 8


@dataclass(frozen=True)
class RunRecord:
    """What a store knows about a run; of each metric the newest value."""

    id: str
    name: str
    experiment: str
    experiment_id: str
    status: str
    started: datetime
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    uri: str

    @classmethod
    def of(cls, run: Any, experiment: str, uri: str) -> "RunRecord":
        """The record of an MLflow run."""
        info, data = run.info, run.data
        started = datetime.fromtimestamp(info.start_time / 1000, UTC)
        about = (info.run_id, info.run_name, experiment, info.experiment_id, info.status, started)
        return cls(*about, dict(data.params), dict(data.metrics), dict(data.tags), uri)

    def __str__(self) -> str:
        return f"{self.id[:8]} ({self.name}, {self.experiment}, {self.status}, {self.started:%Y-%m-%d %H:%M} UTC)"


def find_run(reference: str, *, uri: str) -> RunRecord:
    """The one run that is meant.

    Args:
        reference: A run's name, its id, or a unique prefix of that of at least 4 characters.
        uri: The store.

    Raises:
        TrackingError: If there is none or more than one.
    """
    store = Store.at(uri)
    client = store.open()
    with explained(store.uri, f"looking for run {reference!r}"):
        quote = '"' if "'" in reference else "'"
        found = _search(client, store, f"attributes.run_name = {quote}{reference}{quote}")
        if not found and re.fullmatch(rf"[0-9a-f]{{{SHORTEST_PREFIX},32}}", reference):
            found = _search(client, store, f"attributes.run_id LIKE '{reference}%'")
        if len(found) == 1:
            return found[0]
        if found:
            raise TrackingError(f"{len(found)} runs are called {reference!r}: {_listed(found)}. Give the id of one")
        newest = _search(client, store, "", limit=3)
    known = f"The newest are {_listed(newest)}" if newest else "It holds no runs: run `fit` first"
    raise TrackingError(
        f"no run {reference!r} (id, at least 4 characters of it, or name) in {shown(store.uri)}. {known}"
    )


def find_runs(experiment: str, *, uri: str, tags: Mapping[str, str] | None = None) -> list[RunRecord]:
    """The runs of an experiment, the newest first.

    Args:
        experiment: Its name.
        uri: The store.
        tags: Only runs that have all of these, with these values.

    Raises:
        TrackingError: If there is no such experiment.
    """
    store = Store.at(uri)
    client = store.open()
    with explained(store.uri, f"reading experiment {experiment!r}"):
        names = _experiments(client)
        if experiment not in names.values():
            known = ", ".join(sorted(names.values()))
            raise TrackingError(f"no experiment {experiment!r} in {shown(store.uri)}; expected one of: {known}")
        query = " and ".join(f"tags.`{name}` = '{value}'" for name, value in (tags or {}).items())
        return _search(client, store, query, within={key: name for key, name in names.items() if name == experiment})


def fetch(reference: str, under: str, *, uri: str) -> Path:
    """The local path of a run's artifact file or folder: the store's own if that is on this machine, else a copy.

    Raises:
        TrackingError: If the run has no such artifact.
    """
    record = find_run(reference, uri=uri)
    store = Store.at(uri)
    client = store.open()
    with explained(store.uri, f"fetching {under!r} of run {record.name}"):
        entries = client.list_artifacts(record.id, str(Path(under).parent) if "/" in under else None)
        if under not in {entry.path for entry in entries}:
            known = ", ".join(entry.path for entry in entries) or "nothing"
            raise TrackingError(f"run {record.name} holds no artifact {under!r} there; it holds {known}")
        from urllib.request import url2pathname

        address = urlsplit(client.get_run(record.id).info.artifact_uri)
        local = Path(url2pathname(address.path)) / under
        if address.scheme == "file" and local.exists():  # MLflow would make a copy
            return local
        copies = working_folder(record, store) / "fetched"
        copies.mkdir(parents=True, exist_ok=True)
        return Path(client.download_artifacts(record.id, under, str(copies)))


def history(reference: str, names: Sequence[str], *, uri: str) -> dict[str, list[tuple[int, float]]]:
    """Steps and values of metrics, as the store and the run's journal, where that is on this machine, have them.

    Args:
        reference: The run.
        names: Of metrics; those that it does not have are left out.
        uri: The store.

    Raises:
        TrackingError: If the run or the store is not there.
    """
    record = find_run(reference, uri=uri)
    store = Store.at(uri)
    client = store.open()
    found: dict[str, dict[int, float]] = {name: {} for name in names}
    with explained(store.uri, f"reading the history of run {record.name}"):
        for name in record.metrics.keys() & found.keys():
            found[name] = {point.step: point.value for point in client.get_metric_history(record.id, name)}
    if FOLDER in record.tags:
        for step, values in journalled(Path(record.tags[FOLDER])):
            for name in values.keys() & found.keys():
                found[name][step] = values[name]
    return {name: sorted(points.items()) for name, points in found.items() if points}


def journalled(folder: Path) -> list[tuple[int, Mapping[str, float]]]:
    """Steps and metrics in the journal of a working folder; none where there is no such file."""
    path = folder / FILE
    return [(record.step, record.metrics) for record, _ in read(path)] if path.is_file() else []


def log_results(
    reference: str, metrics: Mapping[str, float], files: Sequence[Path], *, uri: str, under: str = ""
) -> None:
    """Add results to a run, whatever its status, at the last step whose metrics it has.

    A metric that has this value already is not stored again.

    Args:
        reference: The run.
        metrics: Values; those that are not finite cannot be stored, which is said.
        files: Files and folders to keep.
        uri: The store.
        under: The artifact folder the files go into.

    Raises:
        TrackingError: If the run or the store is not there.
    """
    record = find_run(reference, uri=uri)
    store = Store.at(uri)
    destination = MlflowRun(store.open(), record.id)
    names = Names("metric")
    values = {names[name]: float(value) for name, value in metrics.items()}
    points = points_of(Record(time.time_ns() // 1_000_000, int(record.tags.get(DELIVERED, 0)), values))
    if unstorable := sorted(values.keys() - {point.name for point in points}):
        logger.warning("run %s: not finite, so not stored: %s", record.name, ", ".join(unstorable))
    new = [point for point in points if record.metrics.get(point.name) != point.value]
    with explained(store.uri, f"adding results to run {record.name}"):
        for first in range(0, len(new), BATCH):
            destination.points(new[first : first + BATCH], {})
        for path in files:
            destination.artifact(path, under)


def deliver_run(reference: str, *, uri: str) -> None:
    """Deliver what a run left behind when the store or its process was gone.

    A run whose process died without a word is ended as KILLED, at the time of its last metrics.

    Raises:
        TrackingError: If it is still being written, or its working folder is not on this machine.
    """
    record = find_run(reference, uri=uri)
    store = Store.at(uri)
    folder = working_folder(record, store)
    if not folder.is_dir():
        raise TrackingError(
            f"run {record.name} has no working folder {folder} on this machine: deliver it where it ran"
        )
    owner = own(folder, record.name)
    try:
        delivery = Delivery.of(folder, MlflowRun(store.open(), record.id))
        if SUPPORTED and record.status == "RUNNING" and delivery.outbox.ending is None:
            last = delivery.journal.last
            with delivery.outbox.change():
                delivery.outbox.ending = Ending("KILLED", last.time if last else time.time_ns() // 1_000_000)
        with explained(store.uri, f"delivering run {record.name}"):
            delivery.hand_over()
        delivery.journal.close()
    finally:
        owner.release()


def working_folder(record: RunRecord, store: Store) -> Path:
    """Where a run works on this machine: beside the store, unless only the folder it was started in exists."""
    here, there = store.folder(record.id), Path(record.tags.get(FOLDER, ""))
    return there if there.is_absolute() and there.is_dir() and not here.is_dir() else here


def own(folder: Path, name: str) -> Ownership:
    """Make this process the only one that writes a run.

    Raises:
        TrackingError: If another process does.
    """
    try:
        return Ownership(folder / "lock")
    except BlockingIOError as error:
        raise TrackingError(
            f"run {name} is being written by another process. Wait for it or end it, or start a new run"
        ) from error


def _experiments(client: "MlflowClient") -> dict[str, str]:
    names: dict[str, str] = {}
    token = None
    while True:
        page = client.search_experiments(max_results=1000, page_token=token)
        names.update({found.experiment_id: found.name for found in page})
        token = page.token
        if not token:
            return names


def _search(
    client: "MlflowClient", store: Store, query: str, within: Mapping[str, str] | None = None, limit: int | None = None
) -> list[RunRecord]:
    names = _experiments(client) if within is None else within
    found: list[RunRecord] = []
    token = None
    while True:
        page = client.search_runs(list(names), query, max_results=limit or 1000, page_token=token)
        found += [RunRecord.of(run, names[run.info.experiment_id], store.uri) for run in page]
        token = page.token
        if not token or limit is not None:
            return found


def _listed(found: Sequence[RunRecord]) -> str:
    more = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
    return ", ".join(map(str, found[:LISTED])) + more
