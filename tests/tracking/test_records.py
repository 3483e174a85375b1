from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyro_vrnn.errors import TrackingError
from pyro_vrnn.tracking import TrackedRun, deliver_run, fetch, find_run, find_runs, log_results

Start = Callable[..., TrackedRun]


def ended(run: TrackedRun) -> TrackedRun:
    run.finish()
    return run


def test_a_run_is_found_by_id_prefix_and_name(start: Start, uri: str) -> None:
    run = ended(start(name="it's found", parameters={"a": 1}, tags={"grid": "x"}))
    for reference in (run.id, run.id[:12], "it's found"):
        record = find_run(reference, uri=uri)
        assert (record.id, record.name, record.experiment, record.status) == (run.id, run.name, "tests", "FINISHED")
        assert (record.parameters, record.tags["grid"], record.uri) == ({"a": "1"}, "x", run.uri)


def test_a_name_of_several_runs_lists_them(start: Start, uri: str) -> None:
    twins = [ended(start(name="twin")) for _ in range(2)]
    with pytest.raises(TrackingError, match="2 runs are called 'twin': ") as caught:
        find_run("twin", uri=uri)
    assert all(twin.id[:8] in str(caught.value) for twin in twins)


def test_a_prefix_of_several_ids_lists_them(start: Start, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyro_vrnn.tracking.records.SHORTEST_PREFIX", 1)
    runs = [ended(start(name=f"cousin {number}")) for number in range(17)]  # two of them begin alike
    first = [run.id[0] for run in runs]
    shared = next(letter for letter in first if first.count(letter) > 1)
    with pytest.raises(TrackingError, match=f"runs are called '{shared}'"):
        find_run(shared, uri=uri)


@pytest.mark.parametrize("reference", ["no such run", "0" * 32, "abcd", "", "a'b", "%", 'a"b', "a'\"b"])
def test_an_unknown_run(reference: str, uri: str, client: Any) -> None:
    with pytest.raises(TrackingError) as caught:
        find_run(reference, uri=uri)
    assert "\n" not in str(caught.value)


def test_an_unknown_run_names_the_newest(start: Start, uri: str) -> None:
    run = ended(start(name="newest"))
    with pytest.raises(TrackingError, match=rf"no run 'nothing' \(id.*The newest are {run.id[:8]} \(newest, tests"):
        find_run("nothing", uri=uri)


def test_runs_of_an_experiment(start: Start, uri: str) -> None:
    runs = [ended(start(experiment="grid", name=f"cell {number}")) for number in range(3)]
    assert {record.id for record in find_runs("grid", uri=uri)} == {run.id for run in runs}
    with pytest.raises(TrackingError, match=r"no experiment 'grit'.*expected one of: .*grid"):
        find_runs("grit", uri=uri)


def test_fetch(start: Start, uri: str, tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "model.safetensors").write_bytes(b"weights")
    with start() as run:
        run.artifact(tmp_path / "export", "models/best")
    folder = fetch(run.name, "models/best/export", uri=uri)
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    assert folder.is_relative_to(Path(uri.removeprefix("sqlite:///")).parent)  # the store's own, no copy
    assert fetch(run.id, "models", uri=uri).is_dir()
    assert fetch(run.id, "models/best/export/model.safetensors", uri=uri).is_file()
    for wrong in ("nothing", "models/worst", "nothing/at/all", "../.."):
        with pytest.raises(TrackingError, match=r"holds no artifact|failed") as caught:
            fetch(run.id, wrong, uri=uri)
        assert "\n" not in str(caught.value)


def test_results_are_added_later(
    start: Start, uri: str, client: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = ended(start())
    (tmp_path / "scores.csv").write_text("1")
    for value in (-3.0, -3.0, -2.5):
        log_results(run.name, {"test/iwae_40": value}, [tmp_path / "scores.csv"], uri=uri, under="evaluation")
    assert [point.value for point in client.get_metric_history(run.id, "test/iwae_40")] == [-3.0, -2.5]
    assert find_run(run.id, uri=uri).metrics == {"test/iwae_40": -2.5}
    assert [entry.path for entry in client.list_artifacts(run.id, "evaluation")] == ["evaluation/scores.csv"]
    assert find_run(run.id, uri=uri).status == "FINISHED"
    log_results(run.name, {"elbo": float("-inf")}, [], uri=uri)
    assert "not finite, so not stored: elbo" in caplog.text
    with pytest.raises(TrackingError, match="failed"):
        log_results(run.name, {}, [tmp_path / "nothing"], uri=uri)


def test_delivery_needs_the_working_folder(start: Start, uri: str) -> None:
    run = ended(start())
    for path in run.folder.iterdir():
        path.unlink()
    run.folder.rmdir()
    with pytest.raises(TrackingError, match="on this machine: deliver it where it ran"):
        deliver_run(run.id, uri=uri)
