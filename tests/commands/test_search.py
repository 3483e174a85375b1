"""``ablate --trial``: the trials first, then the chosen values with all seeds."""

import csv
import json
import os
import re
import shlex
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from pyro_vrnn.tracking import PARENT, fetch, find_run, find_runs

from .conftest import SMALL, shell

URI = "sqlite:///mlruns/mlflow.db"
TINY = ["--data", "linear-gaussian", *SMALL, "--set", "evaluation.particles=2", "--set", "evaluation.repetitions=1"]
SEARCH = ["--variants", "rnn-gauss", "--trial", "learning_rate=1e-5,1e-2", "--trial-set", "training.max_steps=3"]
FINAL = ["--set", "training.max_steps=4", "--name", "s"]


def _children():
    grid = find_run("s", uri=URI)
    runs = find_runs(grid.experiment, uri=URI, tags={PARENT: grid.id})
    return {stage: {run.name: run.id for run in runs if run.tags["stage"] == stage} for stage in ("trial", "final")}


def test_the_commands_of_the_trials_are_printed_and_those_of_the_final_runs_are_said_to_depend_on_them(command):
    ended = command("ablate", *SEARCH, "--seeds", "0,1", *TINY, *FINAL, "--print-commands")
    assert ended.status == 0, ended.err
    *lines, last = ended.out.splitlines()
    assert last.startswith("# the final runs' commands depend")
    assert len(lines) == 2
    for line, rate in zip(lines, ("1e-5", "1e-2"), strict=True):
        words = shlex.split(line)
        assert words[words.index("--learning-rate") + 1] == rate
        assert words[words.index("--seed") + 1] == "100"
        assert words.index("training.max_steps=3") > words.index("training.max_steps=4")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--trial", "clip"], "expected NAME=A,B"),
        (["--trial", "seed=1,2"], "trials are chosen"),
        (["--trial", "data.frame=1,2"], "trials are chosen"),
        (["--trial", "evaluation.particles=1,2"], "trials are chosen"),
        (["--trial", "colour=red"], "--trial colour: no value of the configuration"),
        (["--trial", "clip=1,2", "--seeds", "0,100"], "--trial-seed 100: is one of --seeds"),
        (["--trial", "clip=1,2", "--trial-set", "data.frame=3"], "data and axes are the same"),
        (["--trial", "clip=1,2", "--trial-set", "training.clip=3"], "data and axes are the same"),
        (["--trial-set", "training.epochs=3"], "there are no trials"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused_before_anything_is_begun(command, tmp_path, words, why):
    ended = command("ablate", "--variants", "rnn-gauss", *words, *TINY)
    assert (ended.status, ended.err.count("\n")) == (2, 1), ended.err
    assert why in ended.err
    assert not (tmp_path / "mlruns" / "runs").exists()


@pytest.mark.slow  # five fits, each a process of its own
def test_trials_are_worked_on_once_published_and_left_out_of_the_comparison(command, tmp_path):
    """A trial that a plain grid has finished is there; a failed one has no score; more values may choose others."""
    plain = ["--variants", "rnn-gauss", "--grid", "learning_rate=1e-5", "--seeds", "100", "--name", "plain"]
    assert command("ablate", *plain, *TINY, "--max-steps", "3").status == 0
    there = find_run("rnn-gauss-learning_rate=1e-5-s100", uri=URI)

    search = ["ablate", "--variants", "rnn-gauss", "--seeds", "0", *SEARCH[4:], *TINY, *FINAL]
    first = command(*search, "--trial", "learning_rate=1e-5,1e30")
    assert first.status == 0, first.out + first.err
    assert f"already, run {there.id[:8]}" in first.out
    assert "chosen   rnn-gauss: learning_rate 1e-5 (validation " in first.out
    assert find_run(there.id, uri=URI).tags[PARENT] == there.tags[PARENT]
    runs = _children()
    assert runs["final"].keys() == {"rnn-gauss-learning_rate=1e-5-s0"}
    held = json.loads(fetch("s", "trials.json", uri=URI).read_bytes())["trials"]
    assert [(each["chosen"], each["score"] is None, bool(each["failure"])) for each in held] == [
        *((True, False, False), (False, True, True))
    ]
    assert held[0]["score"] == there.metrics["validation/best"]

    second = command(*search, "--trial", "learning_rate=1e-5,1e-2")
    assert second.status == 0, second.out + second.err
    assert "chosen   rnn-gauss: learning_rate 1e-2" in second.out
    again = _children()
    assert again["final"].keys() == {"rnn-gauss-learning_rate=1e-2-s0"}
    table = command("compare", "--parent", "s", "--format", "csv")
    (row,) = [row for row in csv.DictReader(table.out.splitlines()) if row["variant"]]
    assert row["runs"] == again["final"]["rnn-gauss-learning_rate=1e-2-s0"]
    assert "are left out" in command("compare", "--parent", "s").out

    for form, begin in (("markdown", "| rnn-gauss | 1e-2 | = **"), ("latex", r"\mathbf{"), ("csv", "rnn-gauss,1e-2,")):
        assert begin in command("compare", "--parent", "s", "--trials", "--format", form).out
    assert re.search(r"rnn-gauss +1e-2 +\S* *= -[\d.]+\*", command("compare", "--parent", "s", "--trials").out)
    assert command("compare", "--trials").status == 2
    assert "holds no artifact 'trials.json'" in command("compare", "--parent", "plain", "--trials").err

    third = command(*search, "--trial", "learning_rate=1e-5,1e-2")
    assert "1 of 1 cells are finished (1 of them before)" in third.out
    assert _children() == again


def workers(home):
    """The processes at work in a folder."""
    found = set()
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (each / "cwd").readlink() == home and int(each.name) != os.getpid():
                found.add(int(each.name))
    return found


@pytest.mark.slow  # processes that are started and killed again and again
@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="no /proc to find the cells' processes in")
def test_a_search_that_is_killed_loses_nothing_and_doubles_nothing(tmp_path, monkeypatch):
    words = ["ablate", *SEARCH[:4], "--trial-set", "training.epochs=3", "--seeds", "0,1", "--jobs", "2", *TINY]
    words += ["--epochs", "5", "--set", "training.batch_size=200", "--name", "s"]
    monkeypatch.chdir(tmp_path)
    before: dict[str, dict[str, float]] = {}
    for seconds, cells_too in ((1, True), (7, False), (4, True), (9, True)):
        process = shell(tmp_path, *words)
        for line in process.stdout:
            if line.startswith(("begun", "resumed", "there", "waiting")):
                break
        time.sleep(seconds)
        cells = workers(tmp_path) - {process.pid}
        process.send_signal(signal.SIGKILL)
        if cells_too:
            for pid in cells:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        process.communicate(timeout=100)
        grid = find_run("s", uri=URI)
        runs = find_runs(grid.experiment, uri=URI, tags={PARENT: grid.id})
        finished = {run.id: dict(run.metrics) for run in runs if run.status == "FINISHED"}
        assert before.items() <= finished.items()
        before = finished
    out, err = shell(tmp_path, *words, seconds=300).communicate()
    assert "2 of 2 cells are finished" in out, out + err
    runs = find_runs(grid.experiment, uri=URI, tags={PARENT: grid.id})
    assert sorted(run.tags["stage"] for run in runs) == ["final", "final", "trial", "trial"]
    assert {run.status for run in runs} == {"FINISHED"}
    assert len({run.name for run in runs}) == 4
    kept = {run.id: dict(run.metrics) for run in runs}
    assert before.items() <= kept.items()
