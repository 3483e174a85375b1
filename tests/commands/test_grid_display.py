import io
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from pyro_vrnn.ablation.running import Standing
from pyro_vrnn.ablation.work import Task
from pyro_vrnn.commands.grid_display import SHOWN, GridDisplay, likelihood, summary
from pyro_vrnn.tracking import RunRecord


def _run(**known: object) -> RunRecord:
    about = {"parameters": {}, "metrics": {}, "tags": {}, **known}
    return RunRecord("f" * 32, "n", "e", "1", "FINISHED", datetime.now(UTC), uri="uri", **about)


@pytest.fixture
def cells(tmp_path: Path) -> list[Task]:
    made = [Task(f"a-rather-long-label-{i}", str(i), {}, [], [], "u", "e", "p", tmp_path, tmp_path) for i in range(20)]
    for task in made:
        task.log.write_text("begun\nepoch 3/25  " + "train " * 40 + "\n")
    return made


def test_the_live_table_cuts_what_cells_say_and_not_what_they_are_called(cells):
    out = Console(file=io.StringIO(), force_terminal=True, width=80, highlight=False)
    standing = Standing(cells, deque(), {task.identity: time.monotonic() for task in cells})
    with GridDisplay(out, 20) as shown:
        shown.tick(standing)
        shown.begun(standing, cells[0], resumed=False)
    said = out.file.getvalue()
    assert f"a-rather-long-label-{SHOWN - 1} " in said
    assert f"and {20 - SHOWN} more" in said
    assert "epoch 3/25  train" in said
    assert "begun" not in said


def test_elsewhere_there_is_a_line_an_event(cells):
    out = Console(file=io.StringIO(), width=120, highlight=False)
    standing = Standing(cells[:4])
    standing.finished["0"] = _run(metrics={"test/elbo": 12.34})
    standing.failed["1"] = "no memory"
    standing.there["2"] = _run(metrics={"test/exact": -3.21})
    shown = GridDisplay(out, 2)
    shown.begun(standing, cells[0], resumed=True)
    for task in cells[:4]:
        shown.ended(standing, task, 200.0)
    assert [line.split()[0] for line in out.file.getvalue().splitlines()] == [
        *("resumed", "finished", "FAILED", "there", "waiting")
    ]
    assert "in 3 min: ≥ 12.3 nats/sequence" in out.file.getvalue()
    assert "after 3 min: no memory" in out.file.getvalue()
    assert "already, run ffffffff: = -3.2 nats/sequence" in out.file.getvalue()


def test_what_is_left_is_guessed_from_what_is_done(cells):
    standing = Standing(cells, running={"2": time.monotonic(), "3": time.monotonic()}, seconds=[100.0, 140.0])
    standing.finished.update({"0": _run(), "1": _run()})
    assert summary(standing, 2) == "2 of 20 cells done, 2 running, about 18 min left"


@pytest.mark.parametrize(
    ("metrics", "dither", "said"),
    [
        ({"test/exact": 1.0}, "False", ": = 1.0 nats/sequence"),
        ({"test/exact": 1.0}, "True", ": ≥ 1.0 nats/sequence"),
        ({"test/elbo": 1.0}, "False", ": ≥ 1.0 nats/sequence"),
        ({}, "False", ""),
    ],
)
def test_a_likelihood_has_its_mark(metrics, dither, said):
    assert likelihood(_run(metrics=metrics, parameters={"data.dither": dither})) == said
