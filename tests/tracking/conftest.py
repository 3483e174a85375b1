from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyro_vrnn.tracking import TrackedRun


@pytest.fixture(scope="session")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One embedded store for all tests: making its tables takes seconds. The space in its path is on purpose."""
    return f"sqlite:///{tmp_path_factory.mktemp('a store')}/mlruns/mlflow.db"


@pytest.fixture(scope="session")
def client(uri: str) -> Any:
    TrackedRun.start(uri=uri, experiment="first", name="first", parameters={}, tags={}).finish()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


@pytest.fixture
def start(uri: str, client: Any, request: pytest.FixtureRequest) -> Callable[..., TrackedRun]:
    """Start a run named after the test."""

    def start(**options: Any) -> TrackedRun:
        given = {"experiment": "tests", "name": request.node.name, "parameters": {}, "tags": {}}
        return TrackedRun.start(uri=uri, **(given | options))

    return start


@pytest.fixture
def history(client: Any) -> Callable[[str, str], list[tuple[int, float]]]:
    """What the store holds of a metric, as (step, value)."""

    def history(run: str, name: str) -> list[tuple[int, float]]:
        return sorted((point.step, point.value) for point in client.get_metric_history(run, name))

    return history


@pytest.fixture
def under_a_file(tmp_path: Path) -> Path:
    """A path nobody can write to, not even root."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "folder"
