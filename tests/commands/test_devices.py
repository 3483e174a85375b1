"""``fit --devices``: processes that meet over gloo, and what becomes of the run when one of them ends."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from pyro_vrnn.commands import ranks
from pyro_vrnn.commands.ranks import RANK, RENDEZVOUS, launches, settled
from pyro_vrnn.errors import ConfigurationError, DataError
from pyro_vrnn.tracking import find_run, find_runs
from pyro_vrnn.training.config import read

from .conftest import CLI, SMALL, record, shell

URI = "sqlite:///mlruns/mlflow.db"
TWO = ["--devices", "2", "--device", "cpu", *SMALL, "--set", "training.patience=1000000"]


def _rank(process: subprocess.Popen, rank: int) -> int:
    """The process of a rank that a command started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        pytest.skip("this system does not say which processes are whose")
    for child in children.read_text().split():
        if f"RANK={rank}" in Path(f"/proc/{child}/environ").read_text().split("\0"):
            return int(child)
    raise AssertionError(f"no rank {rank} among {children.read_text()!r}")


def _until(process: subprocess.Popen, pattern: str) -> str:
    said = ""
    for line in process.stdout:
        said += line
        if re.match(pattern, line):
            return said
    raise AssertionError(f"{pattern!r} is not in:\n{said}{process.stderr.read()}")


def _endless(tmp_path: Path, name: str) -> subprocess.Popen:
    folder = record(tmp_path / "tones")
    return shell(tmp_path, "fit", "--data", folder, "--epochs", "100000", "--name", name, *TWO)


def _torchrun(folder: Path, *arguments: str | Path) -> subprocess.Popen:
    """Two processes of ``cli.py ...``."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(CLI)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*launcher, *map(str, arguments)], cwd=folder, env=environment, **piped)


@pytest.mark.slow  # processes, and a job that resumes
def test_a_killed_rank_ends_the_job_with_its_name_and_the_run_goes_on_with_one_device(tmp_path, monkeypatch):
    process = _endless(tmp_path, "dead")
    said = _until(process, r"epoch +3/")
    assert "device cpu, 2 ranks" in said
    assert said.count("epoch 1/") <= 1
    victim, first = _rank(process, 1), _rank(process, 0)
    os.kill(victim, signal.SIGKILL)
    began = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 30
    assert process.returncode == 137
    assert err.count("\n") == 1, err
    assert re.match(
        rf"pyro-vrnn: rank 1 of 2 \(pid {victim}, host \S+\) was killed by SIGKILL; run dead has failed", err
    )
    assert not Path(f"/proc/{first}").exists()
    monkeypatch.chdir(tmp_path)
    run = find_run("dead", uri=URI)
    assert run.status == "FAILED"
    assert "rank 1 of 2" in run.tags["failure"]
    assert (run.parameters["training.devices"], run.parameters["training.nodes"]) == ("2", "1")
    assert len(find_runs("pyro_vrnn", uri=URI)) == 1
    epochs = int(run.metrics["epoch"]) + 1
    resumed = shell(tmp_path, "fit", "--resume", "dead", "--epochs", str(epochs), "--devices", "1")
    out, err = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, err
    assert "resuming dead after step" in out
    assert find_run("dead", uri=URI).status == "FINISHED"


@pytest.mark.slow
def test_rank_0_may_die_too(tmp_path, monkeypatch):
    process = _endless(tmp_path, "headless")
    _until(process, r"epoch +2/")
    other = _rank(process, 1)
    os.kill(_rank(process, 0), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 137
    assert re.match(r"pyro-vrnn: rank 0 of 2 .* was killed by SIGKILL; run headless has failed", err)
    assert not Path(f"/proc/{other}").exists()
    monkeypatch.chdir(tmp_path)
    assert find_run("headless", uri=URI).status == "FAILED"


@pytest.mark.slow
def test_no_rank_outlives_the_process_that_started_them(tmp_path):
    process = _endless(tmp_path, "orphans")
    _until(process, r"epoch +2/")
    started = [_rank(process, 0), _rank(process, 1)]
    process.kill()
    until = time.monotonic() + 40
    while any(Path(f"/proc/{pid}").exists() for pid in started) and time.monotonic() < until:
        time.sleep(0.2)
    assert not any(Path(f"/proc/{pid}").exists() for pid in started)
    process.communicate(timeout=60)


@pytest.mark.slow
def test_ctrl_c_ends_all_ranks_after_the_scores_and_two_devices_go_on(tmp_path, monkeypatch):
    process = _endless(tmp_path, "cut")
    _until(process, r"epoch +2/")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert err == ""
    assert "training ended by Ctrl-C" in out
    assert "bound (ELBO)" in out
    monkeypatch.chdir(tmp_path)
    run = find_run("cut", uri=URI)
    assert run.status == "KILLED"
    resumed = shell(tmp_path, "fit", "--resume", "cut", "--epochs", str(int(run.metrics["epoch"]) + 2))
    out, err = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, err
    assert "2 ranks" in out
    assert "resuming cut after step" in out


@pytest.mark.slow
def test_torchrun_starts_the_ranks_of_one_tracked_run(tmp_path, monkeypatch):
    folder = record(tmp_path / "tones")
    options = ["--epochs", "2", "--name", "elastic", "--device", "cpu", *SMALL]
    process = _torchrun(tmp_path, "fit", "--data", folder, *options)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.count("epoch 2/2") == 1
    assert "2 ranks" in out
    monkeypatch.chdir(tmp_path)
    (run,) = find_runs("pyro_vrnn", uri=URI)
    assert (run.status, run.parameters["training.devices"]) == ("FINISHED", "2")


@pytest.mark.slow
def test_a_killed_rank_of_torchrun_leaves_no_run_that_seems_to_go_on(tmp_path, monkeypatch):
    folder = record(tmp_path / "tones")
    options = ["--epochs", "100000", "--name", "elastic", "--device", "cpu", *TWO[4:]]
    process = _torchrun(tmp_path, "fit", "--data", folder, *options)
    _until(process, r"epoch +2/")
    os.kill(_rank(process, 1), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "exitcode  : -9" in err
    monkeypatch.chdir(tmp_path)
    assert find_run("elastic", uri=URI).status in ("FAILED", "KILLED")  # whichever of the two heard of first


@pytest.mark.slow
def test_two_machines_meet_where_the_environment_says(tmp_path, monkeypatch):
    folder = record(tmp_path / "tones")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "29517")
    machines = []
    for node in range(2):
        monkeypatch.setenv("NODE_RANK", str(node))
        options = ["--epochs", "2", "--name", "far", "--device", "cpu", "--nodes", "2", *SMALL]
        machines.append(shell(tmp_path, "fit", "--data", folder, *options))
    said = [machine.communicate(timeout=120) for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], said
    assert "2 ranks" in said[0][0]
    assert said[1][0] == ""
    monkeypatch.chdir(tmp_path)
    assert len(find_runs("pyro_vrnn", uri=URI)) == 1


def test_a_mistake_is_one_line_before_anything_is_started(command, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for options, words in (
        (["--devices", "2", "--device", "cuda"], ["this machine has 1 CUDA devices", "--device cpu"]),
        (["--devices", "2", "--device", "cuda:0"], ["names one device", "--device cuda,"]),
        (["--nodes", "2", "--device", "cpu"], [*RENDEZVOUS, *RANK, "torchrun --nnodes 2 --nproc-per-node 1"]),
        (["--devices", "0"], ["--devices"]),
    ):
        ended = command("fit", "--data", tmp_path, *options)
        assert (ended.status, ended.err.count("\n")) == (2, 1)
        assert all(word in ended.err for word in words), ended.err
    assert not (tmp_path / "mlruns").exists()


@pytest.fixture
def started(monkeypatch):
    """As in a process that torchrun started: 2 a machine, 2 machines."""
    for name, value in zip(RANK, (1, 4, 1, 2, "localhost", 29500), strict=True):
        monkeypatch.setenv(name, str(value))


@pytest.mark.parametrize("given", [{}, {"devices": 2, "nodes": 2}])
def test_the_launcher_says_how_many_there_are(started, given):
    config = settled(read(None, {"training": {"device": "cpu", **given}}))
    assert (config.training.devices, config.training.nodes) == (2, 2)
    assert not launches(config.training)


def test_a_launcher_that_started_others_than_asked_for_is_contradicted(started):
    with pytest.raises(ConfigurationError, match=r"--devices 4 --nodes 1: the launcher started --devices 2 --nodes 2"):
        settled(read(None, {"training": {"device": "cpu", "devices": 4}}))


def test_who_asks_for_several_devices_launches_them():
    assert launches(settled(read(None, {"training": {"device": "cpu", "devices": 2}})).training)
    assert not launches(settled(read()).training)


def test_ranks_that_read_other_data_are_named():
    ranks.same_data(["a" * 40, "a" * 40])
    with pytest.raises(DataError, match="rank 1 reads other data than rank 0"):
        ranks.same_data(["a" * 40, "b" * 40])


def test_a_launcher_that_says_no_number_is_told_so(monkeypatch):
    for name in RANK:
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "x")
    with pytest.raises(ConfigurationError, match="LOCAL_WORLD_SIZE=x: expected a number"):
        settled(read())
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "0")
    with pytest.raises(ConfigurationError, match="1 processes of which this machine has 0"):
        settled(read())
