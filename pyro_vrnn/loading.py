"""From a run or a folder to a model that can be used."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyro_vrnn.training.saving import TrainedModel


def find_model(reference: str | Path, uri: str) -> Path:
    """The model folder of a tracked run, or the folder itself.

    Args:
        reference: A run's id, unique prefix of that or name; a registered or logged model
            (``models:/NAME/VERSION``); or a folder.
        uri: The tracking store.

    Raises:
        TrackingError: If there is no such run, or it has no model.
    """
    from pyro_vrnn import tracking

    if tracking.is_address(str(reference)):
        return tracking.fetch_model(str(reference), uri=uri)
    # A bare word is a run's name, unless a model lies in a folder of that name.
    if (Path(reference) / "model.safetensors").is_file() or (Path(reference).is_dir() and os.sep in str(reference)):
        return Path(reference)
    return tracking.fetch(str(reference), "model", uri=uri)


def load(reference: str | Path, *, tracking_uri: str | None = None, trust: Iterable[str] = ()) -> "TrainedModel":
    """A trained model with its configuration and what its data were.

    Args:
        reference: A run's id, unique prefix of that or name; a registered or logged model
            (``models:/NAME/VERSION``), of which nothing is executed; or a model folder.
        tracking_uri: The store; None: MLFLOW_TRACKING_URI or the embedded one under the working directory.
        trust: Modules of parts of one's own that may be imported (:func:`pyro_vrnn.model.own.trust`).

    Raises:
        TrackingError: If it cannot be found or is damaged.
        ConfigurationError: If a part is of a module that is not trusted, or has changed.
    """
    from pyro_vrnn import tracking
    from pyro_vrnn.model import own
    from pyro_vrnn.training.saving import load_model

    own.trust(*trust)
    return load_model(find_model(reference, tracking.tracking_uri(tracking_uri)))
