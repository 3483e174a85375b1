import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyro_vrnn.tracking import TrackedRun, fetch, find_run, find_runs, log_results
from pyro_vrnn.tracking.store import _knock

pytestmark = pytest.mark.slow  # the server takes 8 s to start


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    command = ["mlflow", "server", "--backend-store-uri", "sqlite:///mlflow.db", "--workers", "1", "--port", port]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        for _ in range(120):
            time.sleep(0.5)
            assert process.poll() is None, (folder / "log").read_text()
            try:
                _knock(f"http://127.0.0.1:{port}")
                break
            except OSError:
                continue
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # the group is this server and its worker
        process.wait(30)


def test_a_run_on_a_server(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"1234")
    with TrackedRun.start(uri=server, experiment="remote", name="r", parameters={"a": 1}, tags={"t": "x"}) as run:
        for step in range(2000):
            run.log(step, {"loss": step})
            if step == 1500:
                run.checkpointed(step)
                assert run.deliver(wait=True)
        run.artifact(tmp_path / "model")
    assert run.folder == tmp_path / "mlruns" / "runs" / run.id
    with TrackedRun.resume("r", uri=server) as again:
        again.rewind(1999)
        again.log(2000, {"loss": 2000})
    log_results("r", {"test/elbo": -1.0}, [], uri=server)
    record = find_run(run.id[:8], uri=server)
    assert (record.status, record.metrics) == ("FINISHED", {"loss": 2000.0, "test/elbo": -1.0})
    assert [found.id for found in find_runs("remote", uri=server)] == [run.id]
    assert (fetch("r", "model", uri=server) / "weights").read_bytes() == b"1234"
    from mlflow import MlflowClient

    stored = MlflowClient(tracking_uri=server).get_metric_history(run.id, "loss")
    assert sorted(point.step for point in stored) == list(range(2001))
    assert capfd.readouterr() == ("", "")
