"""Tracking stores: which one is meant, where it keeps its files, and how it is opened without surprises."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pyro_vrnn.errors import TrackingError, first_line
from pyro_vrnn.tracking.locks import turn
from pyro_vrnn.tracking.names import cut

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEFAULT_URI = "sqlite:///mlruns/mlflow.db"
REACH_SECONDS = 5.0
LOCK_SECONDS = 10.0

# Ours unless the user said otherwise. MLflow's own 7 retries hold a call for minutes; the courier retries anyway.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
# They print pages of SQL about errors that arrive as exceptions too, and lines about tables nobody asked for.
LOUD = ("mlflow.store", "alembic", "urllib3.connectionpool")
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
PACKAGES = {"mlflow", "sqlalchemy", "alembic", "requests", "urllib3", "sqlite3"}


def tracking_uri(explicit: str | None) -> str:
    """The store that is meant: the option's, else ``MLFLOW_TRACKING_URI``'s, else the embedded one."""
    return explicit or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def shown(text: str) -> str:
    """The text without the passwords of its addresses."""
    return re.sub(r"(?<=://)[^/@\s]+@", "***@", text)


def reason(error: BaseException) -> str:
    """The first line of an error; databases put a page of SQL below it."""
    return shown(cut(first_line(error), 200))


@contextmanager
def explained(uri: str, action: str) -> Iterator[None]:
    """Give the store's errors inside the block as one line; others pass.

    Raises:
        TrackingError: Instead of an error of MLflow's, of what lies under it, or of the file system.
    """
    try:
        yield
    except Exception as error:
        packages = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
        if not (isinstance(error, OSError | ImportError) or packages & PACKAGES):
            raise
        raise TrackingError(f"{action} in {shown(uri)} failed: {reason(error)}") from error


@dataclass(frozen=True)
class Store:
    """A tracking store, not opened yet.

    Attributes:
        uri: Its address; a SQLite file by its absolute path.
        home: The local folder ``mlruns`` of working folders and, for databases, of artifacts.
        database: The file of an embedded store.
    """

    uri: str
    home: Path
    database: Path | None = None

    @classmethod
    def at(cls, uri: str) -> "Store":
        """The store of an address.

        Raises:
            TrackingError: If MLflow could not keep runs there.
        """
        scheme = re.match(r"([A-Za-z][\w.\-]+)(\+\w+)?:", uri)
        if uri == "databricks" or (scheme and scheme[1] not in ("file", "sqlite")):
            return cls(uri, Path.cwd() / "mlruns")
        if not scheme or scheme[1] == "file":
            raise TrackingError(
                f"tracking URI {uri!r}: MLflow no longer keeps runs in plain folders; expected sqlite:///FILE, a "
                f"server's http://… or another database. Try --tracking-uri {DEFAULT_URI}"
            )
        name, _, query = uri.partition("?")
        name = name.partition("///")[2]
        if not name or name == ":memory:":
            raise TrackingError(f"tracking URI {uri!r}: expected a file, like {DEFAULT_URI}")
        path = Path(os.path.abspath(name))
        home = path.parent if path.parent.name == "mlruns" else path.parent / "mlruns"
        address = f"{scheme[0]}///{path.as_posix()}" + (f"?{query}" if query else "")
        return cls(address, home, path)

    def folder(self, run: str) -> Path:
        """The local working folder of a run."""
        return self.home / "runs" / run

    def artifacts(self, experiment: str) -> str | None:
        """Where a new experiment's artifacts go; ``None`` if a server decides."""
        if self.uri.startswith(("http:", "https:", "databricks")):
            return None
        return (self.home / "artifacts" / re.sub(r"[^\w\-. ]+", "_", experiment).strip(".")).as_uri()

    def open(self, *, create: bool = False) -> "MlflowClient":
        """A client. Importing MLflow takes seconds, the first use of a new embedded store two more.

        Args:
            create: Make an embedded store that does not exist yet.

        Raises:
            TrackingError: If the store cannot be used; within seconds, where MLflow would try for minutes.
        """
        if self.database is None:
            self._reach()
        else:
            self._prepare(self.database, create)
        client_type = _import_client()
        with explained(self.uri, "opening the tracking store"):
            if self.database is None:
                return client_type(tracking_uri=self.uri)
            # Two processes that make the tables of a new store at once fail.
            with turn(self.database.with_suffix(".lock")):
                return client_type(tracking_uri=self.uri)

    def _prepare(self, path: Path, create: bool) -> None:
        if not create and not path.exists():
            raise TrackingError(f"{path}: no tracking store here. Run `fit` first, or name another with --tracking-uri")
        import sqlite3

        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None)) as database:
                database.execute("SELECT count(*) FROM sqlite_master").fetchone()
                if database.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                    with suppress(sqlite3.OperationalError):  # in use just now: the next opening does it
                        database.execute("PRAGMA journal_mode=WAL")  # readers and writer do not block one another
                database.execute("BEGIN IMMEDIATE")
                database.execute("ROLLBACK")
        except (OSError, sqlite3.Error) as error:
            raise TrackingError(f"tracking store {path}: {_advice(error)}") from error

    def _reach(self) -> None:
        import socket

        parts = urlsplit(self.uri)
        try:
            if parts.scheme in ("http", "https"):
                _knock(self.uri)
            elif parts.hostname and (port := parts.port or PORTS.get(parts.scheme.partition("+")[0])):
                socket.create_connection((parts.hostname, port), REACH_SECONDS).close()
        except (OSError, ValueError) as error:
            why = reason(getattr(error, "reason", error))  # urllib wraps it
            raise TrackingError(
                f"no tracking server answers at {shown(self.uri)} ({why}). Start it, correct --tracking-uri, or leave "
                f"that out for the embedded store"
            ) from error


def _advice(error: Exception) -> str:
    text = reason(error)
    if "locked" in text:
        return f"another process has kept it locked for {LOCK_SECONDS:.0f} s. Wait for it or end it, then try again"
    if "not a database" in text or "malformed" in text:
        return f"damaged ({text}). Move it away and a new one is made, or name another with --tracking-uri"
    return f"cannot be written ({text}). Expected a folder one may write to: name another with --tracking-uri"


def _knock(uri: str) -> None:
    """Any answer will do, of a proxy or a login page too: whether it is MLflow's shows later."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import urlopen

    address = re.sub("//[^/@]+@", "//", uri)  # it would take a password for a part of the host's name
    try:
        with suppress(HTTPError):
            urlopen(f"{address.rstrip('/')}/health", timeout=REACH_SECONDS).close()
    except HTTPException as error:
        raise ValueError(f"what answers does not speak HTTP ({type(error).__name__})") from error


def _import_client() -> type["MlflowClient"]:
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in LOUD:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.CRITICAL)
    from mlflow import MlflowClient

    return MlflowClient
