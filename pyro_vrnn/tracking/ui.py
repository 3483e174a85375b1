"""MLflow's user interface: how to start it, and links into it."""

import json
import os
import shlex
import sys
from typing import Protocol
from urllib.parse import quote

from pyro_vrnn.tracking.signals import TerminationRaises
from pyro_vrnn.tracking.store import ENVIRONMENT, Store

HOST, PORT = "127.0.0.1", 5000
# One worker and no job runner: 2 processes instead of 11, and a start in 8 s instead of 31.
SERVER = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
# The interface opens in its mode for language models, which hides metrics, unless the link says otherwise.
MODE = "workflowType=machine_learning"


class Linkable(Protocol):
    """A run, whether recorded or being written."""

    @property
    def id(self) -> str:
        """MLflow's id of the run."""

    @property
    def experiment_id(self) -> str:
        """MLflow's id of its experiment."""


def ui_command(uri: str, *, host: str = HOST, port: int = PORT) -> str:
    """What to type to open the interface on a store; empty for a server, which has it already."""
    arguments = _arguments(uri, host, port)
    settings = [f"{name}={value}" for name, value in SERVER.items()]
    return shlex.join([*settings, *arguments]) if arguments else ""


def ui_address(uri: str, *runs: Linkable, host: str = HOST, port: int = PORT) -> str:
    """The link to a store's experiments, to one run, or to a comparison of several."""
    store = Store.at(uri)
    base = f"http://{host}:{port}" if _arguments(uri, host, port) else store.uri.rstrip("/")
    if not runs:
        return f"{base}/#/experiments?{MODE}"
    if len(runs) == 1:
        return f"{base}/#/experiments/{runs[0].experiment_id}/runs/{runs[0].id}?{MODE}"
    # The comparison reads its runs from the start of the query.
    ids = quote(json.dumps([run.id for run in runs], separators=(",", ":")))
    experiments = quote(json.dumps(sorted({run.experiment_id for run in runs}), separators=(",", ":")))
    return f"{base}/#/compare-runs?runs={ids}&experiments={experiments}&{MODE}"


def serve_ui(uri: str, *, host: str = HOST, port: int = PORT) -> int:
    """Serve the interface on a database until interrupted. The server does not outlive this process.

    Returns:
        The server's exit status; 0 at once if the store is a server itself.

    Raises:
        Terminated: After SIGTERM or SIGHUP; it ends the process with 143 or 129.
        TrackingError: If the store cannot be opened.
    """
    arguments = _arguments(uri, host, port)
    if not arguments:
        return 0
    Store.at(uri).open()
    import subprocess

    environment = ENVIRONMENT | SERVER | dict(os.environ)
    with TerminationRaises(), subprocess.Popen([sys.executable, "-m", *arguments], env=environment) as server:
        try:
            return server.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            server.terminate()


def _arguments(uri: str, host: str, port: int) -> list[str]:
    store = Store.at(uri)
    if store.uri.startswith(("http:", "https:", "databricks")):
        return []
    return ["mlflow", "ui", "--backend-store-uri", store.uri, "--host", host, "--port", str(port), "--workers", "1"]
