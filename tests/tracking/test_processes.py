import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from pyro_vrnn.errors import TrackingError
from pyro_vrnn.tracking import TrackedRun, deliver_run, find_run

WRITER = """
import os, signal, sys
from pyro_vrnn.tracking import TrackedRun
uri, name = sys.argv[1:]
run = TrackedRun.start(uri=uri, experiment="several", name=name, parameters={"a": 1}, tags={})
with run:
    for step in range(1500):
        run.log(step, {"loss": step, "kl": 0.5})
        if step in (700, 1200):
            run.checkpointed(step)
            run.deliver(wait=step == 700)
    if name == "killed":
        print(run.id, flush=True)
        sys.stdin.readline()
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow  # processes that import MLflow
def test_several_processes_make_a_new_store_and_one_is_killed(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/new/mlflow.db"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, uri, name], stdin=-1, stdout=-1, stderr=-1, text=True)
        for name in ("finished", "killed")
    ]
    assert writers[1].stdout is not None
    run = writers[1].stdout.readline().strip()
    with pytest.raises(TrackingError, match="is being written by another process"):
        TrackedRun.resume(run, uri=uri)
    printed = [writer.communicate("\n", timeout=60) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, -signal.SIGKILL]
    assert [errors for _, errors in printed] == ["", ""]  # none of the lines of MLflow's, alembic's and urllib3's
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    finished = find_run("finished", uri=uri)
    assert finished.status == "FINISHED"
    assert len(client.get_metric_history(finished.id, "loss")) == 1500
    assert find_run("killed", uri=uri).status == "RUNNING"
    deliver_run("killed", uri=uri)
    assert find_run("killed", uri=uri).status == "KILLED"
    with TrackedRun.resume("killed", uri=uri) as again:
        again.rewind(1200)
        for step in range(1201, 1500):
            again.log(step, {"loss": step, "kl": 0.5})
    steps = sorted(point.step for point in client.get_metric_history(run, "kl"))
    assert steps == list(range(1500))
    with sqlite3.connect(tmp_path / "new" / "mlflow.db") as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
