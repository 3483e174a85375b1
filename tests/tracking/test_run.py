import logging
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pyro_vrnn.errors import TrackingError
from pyro_vrnn.tracking import DatasetRecord, Terminated, TrackedRun, deliver_run, find_run

Start = Callable[..., TrackedRun]
History = Callable[[str, str], list[tuple[int, float]]]


def crash(run: TrackedRun) -> None:
    """Leave the run as a killed process would."""
    run._courier.close()
    run._release()


def test_a_run_reads_back(start: Start, client: Any, history: History, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("a = 1")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "one.svg").write_text("<svg/>")
    with start(
        parameters={"variant": "vrnn", "widths": [1, 2], "empty": "", "long": "x" * 7000, "K≥": None},
        tags={"data": "demo", "note": "y" * 9000},
        datasets=[DatasetRecord("demo-speech", "/corpora/demo", "0123456789abcdef" * 4, "train", {"clips": 12})],
    ) as run:
        for step in range(3):
            run.log(step, {"train/elbo ≥": -1.5 * step, "train/kl": float("inf")})
        run.artifact(tmp_path / "config.toml")
        run.artifact(tmp_path / "figures", "report")
        assert client.get_run(run.id).info.status == "RUNNING"
    stored = client.get_run(run.id)
    assert stored.info.status == "FINISHED"
    assert stored.info.run_name == run.name
    assert history(run.id, "train/elbo _") == [(0, 0.0), (1, -1.5), (2, -3.0)]
    assert "train/kl" not in stored.data.metrics
    assert stored.data.params == {
        **{"variant": "vrnn", "widths": "[1, 2]", "empty": "", "long": "x" * 5999 + "…", "K_": "None"}
    }
    assert stored.data.tags["data"] == "demo"
    assert len(stored.data.tags["note"]) == 5000
    assert [entry.path for entry in client.list_artifacts(run.id)] == ["config.toml", "report"]
    assert [entry.path for entry in client.list_artifacts(run.id, "report/figures")] == ["report/figures/one.svg"]
    assert run.folder.parent.parent == Path(run.uri.removeprefix("sqlite:///")).parent
    assert stored.info.artifact_uri.startswith((run.folder.parent.parent / "artifacts" / "tests").as_uri())
    (given,) = stored.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("demo-speech", ("0123456789abcdef" * 4)[:36])
    assert (given.dataset.profile, given.tags[0].value) == ('{"clips": 12}', "train")
    from mlflow.data import get_source

    assert get_source(given).uri == "/corpora/demo"


def test_ten_thousand_metrics(start: Start, history: History) -> None:
    with start() as run:
        for step in range(1000):
            run.log(step, {f"m{i}": step + i for i in range(10)})
    for i in range(10):
        assert history(run.id, f"m{i}") == [(step, step + i) for step in range(1000)]


@pytest.mark.parametrize("end", ["clean", "crash", "crash while delivering", "torn line", "outbox lost"])
def test_a_resumed_history_is_the_surviving_one(
    end: str, uri: str, start: Start, history: History, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start()
    for step in range(6):
        run.log(step, {"loss": step})
        if step == 3:
            run.checkpointed(3)
            assert run.deliver(wait=True)
    run.checkpointed(4)
    if end == "clean":
        run.finish("KILLED")
    elif end == "crash while delivering":
        deliver = run._destination.points
        monkeypatch.setattr(run._destination, "points", lambda *given: (deliver(*given), 1 / 0))
        with pytest.raises(ZeroDivisionError):
            run._delivery.hand_over()  # the points arrive, and that is never written down
        assert history(run.id, "loss")[-1] == (4, 4)
        crash(run)
    else:
        crash(run)
    if end == "torn line":
        with (run.folder / "journal.jsonl").open("ab") as file:
            file.write(b'{"time":1,"step":6,"metr')
    if end == "outbox lost":
        (run.folder / "outbox.json").unlink()
    again = TrackedRun.resume(run.id, uri=uri)
    assert client.get_run(run.id).info.status == "RUNNING"
    again.rewind(4)
    with again:
        for step in range(5, 8):
            again.log(step, {"loss": 10.0 * step})
    assert history(run.id, "loss") == [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 50), (6, 60), (7, 70)]
    assert client.get_run(run.id).info.status == "FINISHED"


def test_going_back_behind_what_is_stored_is_refused(start: Start, uri: str, history: History) -> None:
    with start() as run:
        for step in range(3):
            run.log(step, {"loss": step})
    for name in ("journal.jsonl", "outbox.json"):  # as on another machine: the store itself knows
        (run.folder / name).unlink()
    again = TrackedRun.resume(run.name, uri=uri)
    with pytest.raises(TrackingError, match="cannot go back to step 1, its history is stored up to step 2"):
        again.rewind(1)
    again.rewind(2)
    again.log(3, {"loss": 3})
    again.finish()
    assert history(run.id, "loss") == [(0, 0), (1, 1), (2, 2), (3, 3)]


def test_waiting_tells_when_a_checkpoint_is_due(start: Start) -> None:
    run = start()
    assert run.waiting == 0
    run.log(1, {"loss": 1})
    assert run.waiting > 0
    run.checkpointed(1)
    assert run.waiting == 0
    run.finish()


def leave(run: TrackedRun, error: BaseException) -> None:
    with run:
        run.log(1, {"loss": 1})
        raise error


@pytest.mark.parametrize(
    ("error", "status", "failure"),
    [
        (KeyboardInterrupt(), "KILLED", None),
        (SystemExit(3), "FAILED", "SystemExit: 3"),
        (SystemExit(0), "FINISHED", None),
        (ValueError("the loss is NaN\nin layer 3"), "FAILED", "ValueError: the loss is NaN"),
    ],
)
def test_leaving_with_an_exception(
    error: BaseException, status: str, failure: str | None, start: Start, client: Any, history: History
) -> None:
    run = start()
    with pytest.raises(type(error)):
        leave(run, error)
    stored = client.get_run(run.id)
    assert stored.info.status == status
    assert stored.data.tags.get("failure") == failure
    assert history(run.id, "loss") == [(1, 1)]  # there is no checkpoint, so nothing can be run again


def test_a_failure_is_forgotten_when_the_run_goes_on(start: Start, client: Any, uri: str) -> None:
    run = start()
    with pytest.raises(ValueError, match="bad"):
        leave(run, ValueError("bad"))
    with TrackedRun.resume(run.id, uri=uri):
        assert "failure" not in client.get_run(run.id).data.tags
    assert client.get_run(run.id).info.status == "FINISHED"


def train_until_told(run: TrackedRun, number: signal.Signals) -> None:
    with run:
        run.log(1, {"loss": 1})
        try:
            os.kill(os.getpid(), number)
        finally:  # where a loop writes its checkpoint
            os.kill(os.getpid(), number)  # schedulers repeat themselves
            run.log(2, {"loss": 2})
            run.checkpointed(2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run(
    number: signal.Signals, start: Start, client: Any, history: History, request: pytest.FixtureRequest
) -> None:
    run = start()
    request.addfinalizer(partial(signal.signal, number, signal.getsignal(number)))
    signal.signal(number, signal.SIG_DFL)  # nohup has SIGHUP ignored
    before = signal.getsignal(number)
    with pytest.raises(Terminated) as caught:
        train_until_told(run, number)
    assert caught.value.code == 128 + number
    assert client.get_run(run.id).info.status == "KILLED"
    assert history(run.id, "loss") == [(1, 1), (2, 2)]
    assert signal.getsignal(number) is before


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_worker_does_not_end_the_run(start: Start, client: Any) -> None:
    with start() as run:
        worker = os.fork()
        if worker == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == -signal.SIGTERM
        assert client.get_run(run.id).info.status == "RUNNING"


def test_an_outage_does_not_disturb_training(
    start: Start, uri: str, client: Any, history: History, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = start()

    def away(*_: object) -> None:
        raise ConnectionError("the store is away\nand says so at length")

    (tmp_path / "sample.wav").write_bytes(b"RIFF")
    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.WARNING, "pyro_vrnn.tracking"):
        for method in ("points", "artifact", "end"):
            patch.setattr(run._destination, method, away)
        run.log(1, {"loss": 1})
        run.checkpointed(1)
        run.artifact(tmp_path / "sample.wav", "samples")
        run.log(2, {"loss": 2})
        run.finish()
    assert f"the rest waits in {run.folder} and goes with `fit --resume" in caplog.text
    assert all("\n" not in record.getMessage() for record in caplog.records)
    assert client.get_run(run.id).info.status == "RUNNING"
    deliver_run(run.id, uri=uri)
    deliver_run(run.id, uri=uri)
    stored = client.get_run(run.id)
    assert stored.info.status == "FINISHED"
    assert stored.info.end_time - stored.info.start_time < 60_000
    assert history(run.id, "loss") == [(1, 1), (2, 2)]
    assert stored.data.tags["progress"].startswith("step 2 at ")
    assert [entry.path for entry in client.list_artifacts(run.id, "samples")] == ["samples/sample.wav"]


def test_an_artifact_must_exist(start: Start, tmp_path: Path) -> None:
    with start() as run, pytest.raises(TrackingError, match="no such file"):
        run.artifact(tmp_path / "nothing")


def test_a_start_that_fails_leaves_nothing(start: Start, client: Any, uri: str) -> None:
    runs = Path(uri.removeprefix("sqlite:///")).parent / "runs"
    before = set(runs.iterdir())
    with pytest.raises(TrackingError, match="parameter names 'a≥' and 'a≈' would both be stored as 'a_'"):
        start(parameters={"a≥": 1, "a≈": 2}, name="half")
    with pytest.raises(TrackingError, match="no run 'half'"):
        find_run("half", uri=uri)
    assert set(runs.iterdir()) == before


def test_a_deleted_experiment_is_named(start: Start, client: Any) -> None:
    with start(experiment="gone") as run:
        pass
    client.delete_experiment(run.experiment_id)
    with pytest.raises(TrackingError, match=f"experiment 'gone' was deleted.*--experiment-id {run.experiment_id}"):
        start(experiment="gone")
