import json
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

from pyro_vrnn.tracking import serve_ui, ui_address, ui_command

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
