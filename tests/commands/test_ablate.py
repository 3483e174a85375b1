import os
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest

from pyro_vrnn.commands import ablating
from pyro_vrnn.tracking import PARENT, Terminated, find_run, find_runs

from .conftest import CLI, SMALL, record, shell

URI = "sqlite:///mlruns/mlflow.db"
TINY = ["--data", "linear-gaussian", *SMALL, "--set", "evaluation.particles=2", "--set", "evaluation.repetitions=1"]
STEPS = ["--max-steps", "2"]


def _children(name: str):
    grid = find_run(name, uri=URI)
    return grid, find_runs(grid.experiment, uri=URI, tags={PARENT: grid.id})


def test_the_commands_of_a_grid_are_fits_and_nothing_is_done(command, tmp_path):
    grid = ["--variants", "rnn-gauss,vrnn-gauss", "--grid", "learning_rate=1e-3,1e-4", "--grid", "free_bits=0.0,0.5"]
    ended = command("ablate", *grid, "--seeds", "0,3", *TINY, "--dither", "--skip-senseless", "--print-commands")
    assert ended.status == 0, ended.err
    lines = ended.out.splitlines()
    assert len(lines) == 16 - 4  # free bits are of latents, and two variants, rates and seeds share the rest
    words = [shlex.split(line) for line in lines]
    assert all(each[:3] == ["python", "cli.py", "fit"] for each in words)
    first = " ".join(words[0])
    for part in ("--variant rnn-gauss", "--learning-rate 1e-3", "--seed 0", "--set training.free_bits=0.0", "--dither"):
        assert part in first
    assert "--widths matched" in first
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "nothing to compare"),
        (
            ["--variants", "vrnn-gauss,vrnn-gaus"],
            "1 of 2 cells make no sense. vrnn-gaus-s0: --variant vrnn-gaus: unknown",
        ),
        (["--variants", "rnn-gauss", "--grid", "guide=filtering,smoothing"], "rnn-gauss has no latents"),
        (["--variants", "vrnn,vrnn-gauss"], "the same configuration"),
        (["--variants", "vrnn", "--grid", "guide"], "expected NAME=A,B"),
        (["--variants", "vrnn", "--grid", "seed=1,2"], "such an axis already"),
        (["--variants", "vrnn", "--seeds", "a"], "Input should be a valid integer"),
        (["--variants", "vrnn", "--launcher-set", "gpus=1"], "not read by --launcher local"),
        (["--variants", "vrnn", "--tag", "idea"], "expected NAME=VALUE"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line_before_anything_is_begun(command, tmp_path, words, why):
    ended = command("ablate", *words, *TINY)
    assert (ended.status, ended.err.count("\n")) == (2, 1), ended.err
    assert why in ended.err
    assert not (tmp_path / "mlruns" / "runs").exists()


def test_a_grid_is_worked_on_once_and_compared(command, tmp_path):
    """A further variant makes the same grid larger; what is there stays, and all of it stands in a table."""
    more = ["--name", "small", "--tag", "idea=first", *TINY, *STEPS]
    first = command("ablate", "--variants", "rnn-gauss", *more)
    assert first.status == 0, first.out + first.err
    assert re.search(r"finished 1/1 rnn-gauss-s0 in .*: = -?\d+\.\d nats/sequence", first.out)
    assert "1 of 1 cells are finished" in first.out
    _, (child,) = _children("small")
    assert {"variant", "seed", "configuration"} <= child.tags.keys()
    assert child.tags["idea"] == "first"

    second = command("ablate", "--variants", "rnn-gauss,vrnn-gauss", *more)
    assert second.status == 0, second.err
    assert f"rnn-gauss-s0 already, run {child.id[:8]}" in second.out
    assert "2 of 2 cells are finished (1 of them before)" in second.out
    assert "workflowType=machine_learning" in second.out
    parent, children = _children("small")
    assert {each.name for each in children} == {"rnn-gauss-s0", "vrnn-gauss-s0"}
    assert {each.status for each in (parent, *children)} == {"FINISHED"}
    assert child.id in {each.id for each in children}

    table = command("compare", "--parent", "small", "--format", "csv", "--out", "table.csv")
    assert table.status == 0, table.err
    rows = {line.split(",")[3] for line in (tmp_path / "table.csv").read_text().splitlines()}
    assert {"rnn-gauss", "vrnn-gauss", "generating_model"} <= rows
    shown = command("compare", "--parent", "small")
    assert "exact likelihood" in shown.out


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), 130), (Terminated(143), 143)])
def test_an_interrupted_grid_says_how_it_goes_on(command, monkeypatch, error, status):
    def interrupted(*arguments):
        raise error

    monkeypatch.setattr(ablating, "work_on", interrupted)
    ended = command("ablate", "--variants", "rnn-gauss", "--name", "g", *TINY, *STEPS)
    assert ended.status == status
    assert ended.out.splitlines()[-1] == "the same command again goes on with it"
    assert find_run("g", uri=URI).status == "KILLED"


@pytest.mark.slow  # processes that are started and killed again and again
def test_a_grid_that_is_killed_loses_nothing_and_doubles_nothing(tmp_path, monkeypatch):
    from mlflow import MlflowClient

    words = ["ablate", "--variants", "rnn-gauss,vrnn-gauss", "--seeds", "0,1", "--jobs", "2", "--name", "g", *TINY]
    words += ["--epochs", "6", "--set", "training.batch_size=200"]
    monkeypatch.chdir(tmp_path)
    before: set[str] = set()
    for number, seconds in ((signal.SIGKILL, 1), (signal.SIGTERM, 8), (signal.SIGINT, 10), (signal.SIGKILL, 12)):
        process = shell(tmp_path, *words)
        for line in process.stdout:
            if line.startswith(("begun", "resumed", "there", "waiting")):
                break
        time.sleep(seconds)
        process.send_signal(number)
        out, _ = process.communicate(timeout=100)
        assert ("the same command again goes on with it" in out) == (number != signal.SIGKILL)
        finished = {run.id for run in _children("g")[1] if run.status == "FINISHED"}
        assert before <= finished
        before = finished
    out, err = shell(tmp_path, *words).communicate(timeout=300)
    assert "4 of 4 cells are finished" in out, out + err
    grid, children = _children("g")
    assert grid.status == "FINISHED"
    assert sorted(child.name for child in children) == sorted(
        f"{variant}-s{seed}" for variant in ("rnn-gauss", "vrnn-gauss") for seed in (0, 1)
    )
    assert before <= {child.id for child in children}
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    for child in children:
        steps = [point.step for point in client.get_metric_history(child.id, "train/bound")]
        assert sorted(steps) == list(range(1, 61))


@pytest.mark.slow
def test_a_cells_command_gives_the_same_run_by_hand_and_the_grid_takes_it_in(command, tmp_path):
    grid = ["ablate", "--variants", "rnn-gauss", *TINY, *STEPS]
    (line,) = command(*grid, "--print-commands").out.splitlines()
    words = [str(CLI) if word == "cli.py" else word for word in shlex.split(line)]
    subprocess.run([sys.executable, *words[1:]], cwd=tmp_path, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert "already, run" in command(*grid, "--name", "g").out
    by_hand = find_run("rnn-gauss-s0", uri=URI)
    assert by_hand.tags[PARENT] == find_run("g", uri=URI).id
    command("fit", "--variant", "rnn-gauss", "--widths", "matched", *TINY, *STEPS, "--name", "again")
    again = find_run("again", uri=URI)
    assert again.tags["configuration"] == by_hand.tags["configuration"]
    assert again.metrics["test/exact"] == by_hand.metrics["test/exact"]


@pytest.mark.slow
def test_the_first_ablation_of_the_documentation_in_small(command):
    page = (CLI.parent / "docs" / "ablations.md").read_text(encoding="utf-8")
    block = re.search(r"```bash\n(.*?)```", page, re.DOTALL)[1]
    for line in block.splitlines():
        words = shlex.split(line)[2:]
        ended = command(*words, *([*SMALL, *STEPS, "--set", "evaluation.particles=2"] if words[0] == "ablate" else []))
        assert ended.status == 0, ended.err
    assert re.search(r"vrnn-gauss +[\d,]+ +3", ended.out)


def test_the_grid_of_parts_of_the_documentation_in_small(command, tmp_path):
    """All of its cells make sense, and the last one is trained by the command that is printed of it."""
    page = (CLI.parent / "docs" / "ablations.md").read_text(encoding="utf-8")
    block = re.findall(r"```bash\n(.*?)```", page.partition("\n## The grid")[0], re.DOTALL)[1]
    record(tmp_path / "recordings", 12)
    small = [*SMALL, *STEPS, "--set", "evaluation.particles=2", "--set", "evaluation.repetitions=1"]
    ended = command(*shlex.split(block)[2:], *small, "--print-commands")
    assert ended.status == 0, ended.err
    cells = [shlex.split(line)[2:] for line in ended.out.splitlines()]
    assert len({tuple(cell) for cell in cells}) == 2 * 2 * 3
    ended = command(*cells[-1])
    assert ended.status == 0, ended.err
    assert re.search(r"bound \(ELBO\) +≥", ended.out)
