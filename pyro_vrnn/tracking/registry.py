"""The model registry: give a run's model a name and a version, and find its files."""

import hashlib
import re
from pathlib import Path
from urllib.parse import urlsplit

from pyro_vrnn.errors import TrackingError
from pyro_vrnn.tracking.models import model_of
from pyro_vrnn.tracking.records import find_run
from pyro_vrnn.tracking.store import Store, explained

SCHEME = "models:/"
#: Where a logged model keeps the folder that it was made of.
DATA = "data/model"


def register(reference: str, name: str, *, uri: str) -> str:
    """Make a run's model the next version of a registered one, which is made if there is none of that name.

    Args:
        reference: The run.
        name: Of the registered model.
        uri: The store.

    Returns:
        Its address, ``models:/NAME/VERSION``; that of the version it has already, if it has one.

    Raises:
        TrackingError: If there is no such run, it has no model in MLflow's format, or the name is none.
    """
    if not name.strip() or re.search(r"[/:@']", name):
        raise TrackingError(f"--register {name!r}: expected a name without / : @ and '")
    record = find_run(reference, uri=uri)
    store = Store.at(uri)
    client = store.open()
    with explained(store.uri, f"registering the model of run {record.name}"):
        made = model_of(client, record.id)
        if made is None:
            raise TrackingError(f"run {record.name} has no model in MLflow's format: `fit` makes one at its end")
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        # A database looks for models:/ID in whatever store the process happens to use; a server in its own.
        served = store.artifacts(record.experiment) is None
        source = f"{SCHEME}{made}" if served else client.get_logged_model(made).artifact_location
        for version in client.search_model_versions(f"name = '{name}'"):
            if version.source == source:
                return f"{SCHEME}{name}/{version.version}"
        version = client.create_model_version(name, source, record.id, model_id=made)
    return f"{SCHEME}{name}/{version.version}"


def fetch_model(address: str, *, uri: str) -> Path:
    """The local path of a logged or registered model's folder: the store's own if that is here, else a copy.

    Nothing in it is executed.

    Args:
        address: ``models:/NAME/VERSION``, ``models:/NAME@ALIAS`` or ``models:/m-ID``.
        uri: The store.

    Raises:
        TrackingError: If there is no such model.
    """
    found = re.fullmatch(r"models:/(?:(m-[0-9a-f]+)|([^/@]+)/(\d+)|([^/@]+)@([^/@]+))", address)
    if found is None:
        raise TrackingError(f"{address}: expected models:/NAME/VERSION, models:/NAME@ALIAS or models:/m-ID")
    made, name, number, aliased, alias = found.groups()
    store = Store.at(uri)
    client = store.open()
    with explained(store.uri, f"looking for {address}"):
        if alias:
            name, number = aliased, client.get_model_version_by_alias(aliased, alias).version
        source = f"{SCHEME}{made}" if made else client.get_model_version_download_uri(name, str(number))
        if source.startswith(SCHEME):
            source = client.get_logged_model(source.removeprefix(SCHEME)).artifact_location
        from urllib.request import url2pathname

        place = urlsplit(source)
        local = Path(url2pathname(place.path)) / DATA
        if place.scheme == "file" and local.is_dir():  # MLflow would make a copy
            return local
        from mlflow.artifacts import download_artifacts

        copies = store.home / "fetched" / hashlib.sha256(source.encode()).hexdigest()[:16]
        copies.mkdir(parents=True, exist_ok=True)
        return Path(download_artifacts(f"{source.rstrip('/')}/{DATA}", dst_path=str(copies), tracking_uri=store.uri))


def is_address(reference: str) -> bool:
    """Whether a reference is meant for the registry."""
    return reference.startswith(SCHEME)
