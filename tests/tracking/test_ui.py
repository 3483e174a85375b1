import json
import os
import signal
import threading
import urllib.request
from contextlib import suppress
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest

from pyro_vrnn.tracking import Store, serve_ui, ui, ui_address, ui_command

from ..report.browser import free_port, wait_for

STORE = "sqlite:////data/a b/mlflow.db"
ONE, OTHER = SimpleNamespace(id="1a", experiment_id="3"), SimpleNamespace(id="2b", experiment_id="4")


def test_the_command() -> None:
    assert ui_command(STORE, port=5001) == (
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui --backend-store-uri 'sqlite:////data/a b/mlflow.db' "
        "--host 127.0.0.1 --port 5001 --workers 1"
    )
    assert ui_command("http://server:5000") == ""
    assert serve_ui("http://server:5000") == 0


def test_addresses() -> None:
    mode = "workflowType=machine_learning"
    assert ui_address(STORE) == f"http://127.0.0.1:5000/#/experiments?{mode}"
    assert ui_address("https://server/ml/", ONE) == f"https://server/ml/#/experiments/3/runs/1a?{mode}"
    page, _, query = urlsplit(ui_address(STORE, ONE, OTHER)).fragment.partition("?")
    assert page == "/compare-runs"
    assert query.startswith("runs=")
    asked = {name: values[0] for name, values in parse_qs(query).items()}
    assert (json.loads(asked["runs"]), json.loads(asked["experiments"])) == (["1a", "2b"], ["3", "4"])
    assert asked["workflowType"] == "machine_learning"


def test_the_server_ends_with_the_process_that_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setattr(Store, "open", lambda self: None)
    monkeypatch.setattr(ui, "_arguments", lambda *given: ["http.server", "--bind", "127.0.0.1", str(port)])

    def answers() -> None:
        urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5).close()

    def end() -> None:
        with suppress(OSError):
            wait_for(answers, 30)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    threading.Thread(target=end).start()
    with pytest.raises(SystemExit, match="143"):
        serve_ui(STORE)
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(OSError, match="refused"):
        answers()
