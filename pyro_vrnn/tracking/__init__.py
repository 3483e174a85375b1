"""Runs, their metric histories and their artifacts, kept by MLflow: the one room that knows it.

MLflow is imported when a store is first opened, not with this package.
"""

from pyro_vrnn.tracking.families import PARENT, adopt, being_written, folder_of, set_aside
from pyro_vrnn.tracking.locks import Handed
from pyro_vrnn.tracking.models import ModelRecord
from pyro_vrnn.tracking.provenance import provenance
from pyro_vrnn.tracking.records import (
    RunRecord,
    deliver_run,
    fetch,
    find_run,
    find_runs,
    history,
    journalled,
    log_results,
)
from pyro_vrnn.tracking.registry import fetch_model, is_address, register
from pyro_vrnn.tracking.run import DatasetRecord, TrackedRun
from pyro_vrnn.tracking.signals import Terminated
from pyro_vrnn.tracking.store import DEFAULT_URI, Store, shown, tracking_uri
from pyro_vrnn.tracking.ui import serve_ui, ui_address, ui_command

__all__ = [
    "DEFAULT_URI",
    "PARENT",
    "DatasetRecord",
    "Handed",
    "ModelRecord",
    "RunRecord",
    "Store",
    "Terminated",
    "TrackedRun",
    "adopt",
    "being_written",
    "deliver_run",
    "fetch",
    "fetch_model",
    "find_run",
    "find_runs",
    "folder_of",
    "history",
    "is_address",
    "journalled",
    "log_results",
    "provenance",
    "register",
    "serve_ui",
    "set_aside",
    "shown",
    "tracking_uri",
    "ui_address",
    "ui_command",
]
