"""Launchers of several machines, on this one: skipped where their packages are not installed."""

import os
from pathlib import Path

import pytest

from pyro_vrnn.ablation.launching import Ended, Launcher
from pyro_vrnn.ablation.remote import Ray, Slurm
from pyro_vrnn.ablation.work import Finding, Task
from pyro_vrnn.errors import ConfigurationError
from pyro_vrnn.tracking import TrackedRun


@pytest.fixture
def tasks(tmp_path: Path) -> list[Task]:
    """A cell that is finished, one whose command ends well, and one whose command is none."""
    uri = f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    parent = TrackedRun.start(uri=uri, experiment="e", name="grid", parameters={}, tags={})
    parent.finish()
    tags = {"configuration": "there"}
    TrackedRun.start(uri=uri, experiment="e", name="c", parameters={}, tags=tags, parent=parent.id).finish()

    def task(name: str, *words: str) -> Task:
        return Task(name, name, {}, words, [], uri, "e", parent.id, tmp_path / "cells", tmp_path, {"CELL": name})

    return [task("there", "fit"), task("good", "data", "list"), task("bad", "nonsense")]


def _all(launcher: Launcher, tasks: list[Task]) -> dict[str, Ended]:
    for task in tasks:
        launcher.submit(task)
    found: dict[str, Ended] = {}
    try:
        while len(found) < len(tasks):
            found.update({ended.task.label: ended for ended in launcher.wait(60)})
    finally:
        launcher.stop()
    return found


def _expect(found: dict[str, Ended], tasks: list[Task]) -> None:
    assert {label: (ended.finding, ended.status) for label, ended in found.items()} == {
        "there": (Finding.FINISHED, 0),
        "good": (Finding.BEGUN, 0),
        "bad": (Finding.BEGUN, 2),
    }
    assert "demo-speech" in tasks[1].log.read_text()
    assert "No such command" in tasks[2].log.read_text()


@pytest.mark.slow  # workers that import MLflow
def test_ray(tasks, monkeypatch):
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    )
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        _expect(_all(Ray(jobs=3, cores=1), tasks), tasks)
        assert ray.is_initialized(), "a cluster that was there is not ours to end"
    finally:
        ray.shutdown()


@pytest.mark.slow
def test_slurm_through_submitits_local_executor(tasks, tmp_path, monkeypatch):
    pytest.importorskip("submitit", reason="the extra `slurm` is not installed")
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    )
    _expect(_all(Slurm(3, tmp_path / "jobs", {"timeout_min": 5}, cluster="local"), tasks), tasks)


def test_a_parameter_that_slurm_does_not_know_is_refused(tmp_path):
    pytest.importorskip("submitit", reason="the extra `slurm` is not installed")
    with pytest.raises(ConfigurationError, match="--launcher slurm"):
        Slurm(1, tmp_path, {"colour": "red"}, cluster="local")


@pytest.mark.parametrize(
    ("make", "extra"), [(lambda path: Ray(1, 1), "ray"), (lambda path: Slurm(1, path, {}), "slurm")]
)
def test_an_extra_that_is_not_installed_is_named(make, extra, monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ConfigurationError, match=rf"pyro-vrnn\[{extra}\]"):
        make(tmp_path)
