"""Runs under a parent: how they find it, and how it comes to them."""

from collections.abc import Mapping
from pathlib import Path

from pyro_vrnn.errors import TrackingError
from pyro_vrnn.tracking.locks import Ownership
from pyro_vrnn.tracking.names import TAG_LENGTH, Names, cut
from pyro_vrnn.tracking.records import RunRecord, find_run, working_folder
from pyro_vrnn.tracking.store import Store, explained

#: The tag by which MLflow nests runs.
PARENT = "mlflow.parentRunId"


def parent_of(experiment: str, reference: str, uri: str) -> str:
    """The id of the run to be shown under.

    Raises:
        TrackingError: If there is none of that name, or it is of another experiment, where nothing would be shown.
    """
    found = find_run(reference, uri=uri)
    if found.experiment != experiment:
        raise TrackingError(
            f"--parent {reference}: a run of experiment {found.experiment!r}, and only runs of the same one are shown "
            f"under it; pass --experiment {found.experiment}"
        )
    return found.id


def adopt(record: RunRecord, parent: str, tags: Mapping[str, str]) -> None:
    """Shows a run under a parent, with further tags.

    Raises:
        TrackingError: If the store does not take it.
    """
    store, names = Store.at(record.uri), Names("tag")
    client = store.open()
    with explained(store.uri, f"tagging run {record.name}"):
        for name, value in {PARENT: parent, **{names[name]: value for name, value in tags.items()}}.items():
            if record.tags.get(name) != value:
                client.set_tag(record.id, name, cut(value, TAG_LENGTH))


def set_aside(record: RunRecord) -> None:
    """Deletes a run as MLflow does: out of sight, and to be restored.

    Raises:
        TrackingError: If the store does not.
    """
    store = Store.at(record.uri)
    client = store.open()
    with explained(store.uri, f"setting aside run {record.name}"):
        client.delete_run(record.id)


def being_written(record: RunRecord) -> bool:
    """Whether a process of this machine writes the run at this moment."""
    folder = folder_of(record)
    if not folder.is_dir():
        return False
    try:
        Ownership(folder / "lock").release()
    except BlockingIOError:
        return True
    return False


def folder_of(record: RunRecord) -> Path:
    """Where a run works on this machine; it need not be there."""
    return working_folder(record, Store.at(record.uri))
