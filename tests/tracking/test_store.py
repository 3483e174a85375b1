import http.server
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyro_vrnn.errors import TrackingError
from pyro_vrnn.tracking import DEFAULT_URI, TrackedRun, find_run, store, tracking_uri
from pyro_vrnn.tracking.store import Store, explained, reason, shown


def test_importing_the_room_imports_nothing_big() -> None:
    big = "mlflow", "torch", "click", "sqlalchemy", "importlib.metadata", "urllib.request", "sqlite3"
    code = f"import sys, pyro_vrnn.tracking; print([name for name in {big} if name in sys.modules])"
    # -S: what a site's own start-up imports is not ours
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, cwd=Path(store.__file__).parents[2]
    )
    assert done.stdout == "[]\n", done.stderr


def test_which_store_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri(None) == DEFAULT_URI
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert tracking_uri(None) == "http://server:5000"
    assert tracking_uri("sqlite:///x.db") == "sqlite:///x.db"


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    embedded = Store.at(DEFAULT_URI)
    assert embedded.uri == f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    assert embedded.folder("1") == tmp_path / "mlruns" / "runs" / "1"
    assert embedded.artifacts("a/b c") == f"file://{tmp_path}/mlruns/artifacts/a_b%20c"
    assert Store.at("sqlite:///other.db").home == tmp_path / "mlruns"
    assert Store.at("sqlite:////x/y/mlflow.db?timeout=3").uri == "sqlite:////x/y/mlflow.db?timeout=3"
    server = Store.at("http://server:5000")
    assert (server.home, server.artifacts("a")) == (tmp_path / "mlruns", None)
    database = Store.at("postgresql+psycopg2://me:secret@host/runs")
    assert (database.database, database.artifacts("a")) == (None, f"file://{tmp_path}/mlruns/artifacts/a")


@pytest.mark.parametrize("uri", ["file:mlruns", "file:///tmp/mlruns", "mlruns", "/tmp/mlruns", "C:\\runs", ""])
def test_folders_are_refused(uri: str) -> None:
    with pytest.raises(TrackingError, match=r"no longer keeps runs in plain folders; expected sqlite:///FILE"):
        Store.at(uri)


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_database_is_a_file(uri: str) -> None:
    with pytest.raises(TrackingError, match="expected a file"):
        Store.at(uri)


def refused(uri: str, create: bool = True) -> str:
    before = time.monotonic()
    with pytest.raises(TrackingError) as caught:
        Store.at(uri).open(create=create)
    assert time.monotonic() - before < 8
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_an_unwritable_folder(under_a_file: Path) -> None:
    assert "cannot be written" in refused(f"sqlite:///{under_a_file}/mlflow.db")
    assert "cannot be written" in refused(f"sqlite:///{under_a_file.parent.parent}")  # a folder is no database


@pytest.mark.parametrize("damage", ["garbage", "half"])
def test_a_damaged_database(damage: str, uri: str, client: Any, tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    if damage == "garbage":
        path.write_bytes(b"not a database at all" * 100)
    else:
        with sqlite3.connect(uri.removeprefix("sqlite:///")) as whole, sqlite3.connect(path) as copy:
            whole.backup(copy)
        content = path.read_bytes()
        path.write_bytes(content[:100] + b"\x55" * 4000 + content[4100 : len(content) // 2])
    assert "damaged" in refused(f"sqlite:///{path}")


def test_a_locked_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LOCK_SECONDS", 0.2)
    database = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    assert "locked" in refused(f"sqlite:///{tmp_path}/mlflow.db")
    database.close()


def test_reading_makes_no_store(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"no tracking store here\. Run `fit` first"):
        find_run("any", uri=f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("scheme", ["http", "https", "postgresql"])
def test_an_unreachable_server(scheme: str, free_port: int) -> None:
    message = refused(f"{scheme}://me:secret@127.0.0.1:{free_port}")
    assert f"no tracking server answers at {scheme}://***@127.0.0.1:{free_port} (" in message
    assert "Connection refused). " in message
    assert "secret" not in message


@pytest.fixture
def another_server() -> Iterator[str]:
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_server_that_is_not_mlflows(another_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrackingError, match=f"starting a run in {another_server} failed: ") as caught:
        TrackedRun.start(uri=another_server, experiment="e", name="n", parameters={}, tags={})
    assert "\n" not in str(caught.value)


def test_a_password_is_no_obstacle(another_server: str) -> None:
    Store.at(another_server.replace("//", "//me:secret@")).open()


def test_only_the_stores_errors_are_explained() -> None:
    with pytest.raises(KeyError), explained("uri", "doing"):
        raise KeyError("ours")
    with pytest.raises(TrackingError, match="doing in uri failed: disk on fire"), explained("uri", "doing"):
        raise sqlite3.OperationalError("disk on fire\n[SQL: SELECT 1]")


def test_secrets_are_not_shown() -> None:
    assert shown("see http://me:pass@host/x and sqlite:///a@b") == "see http://***@host/x and sqlite:///a@b"
    assert reason(ValueError("")) == "ValueError"
