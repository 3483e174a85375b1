"""What is found of a cell in a store, and what is done about it; ``fit`` is played by a short script."""

import subprocess
import sys
import time

import pytest

from pyro_vrnn.ablation import work
from pyro_vrnn.ablation.work import Finding, Task, begin, do, finished, settle
from pyro_vrnn.tracking import PARENT, Handed, TrackedRun, find_run, find_runs, folder_of


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlruns/mlflow.db"


@pytest.fixture(scope="module")
def parent(uri):
    made = TrackedRun.start(uri=uri, experiment="grids", name="grid", parameters={}, tags={"grid": "g"})
    made.finish()
    return made.id


@pytest.fixture
def task(uri, parent, tmp_path, monkeypatch, request) -> Task:
    """A cell whose ``fit`` writes down its arguments and waits for a file."""
    script = "import sys, pathlib, time; p = pathlib.Path('words'); p.write_text(' '.join(sys.argv[1:]))\n"
    script += "while not pathlib.Path('go').exists(): time.sleep(0.01)"
    monkeypatch.setattr(work, "FIT", [sys.executable, "-c", script])
    identity = request.node.name.replace("_", "")[:32]
    made = Task(
        "cell", identity, {"axis": "1"}, ["fit", "--z"], ["--device", "cpu"], uri, "grids", parent, tmp_path, tmp_path
    )
    return made


def _run(task: Task, *, checkpoint: bool = False, parent: str | None = "", status: str | None = None) -> str:
    made = TrackedRun.start(
        uri=task.uri,
        experiment=task.experiment,
        name="r",
        parameters={},
        tags={"configuration": task.identity},
        parent=task.parent if parent == "" else parent,
    )
    if checkpoint:
        (made.folder / "checkpoint").mkdir()
        (made.folder / "checkpoint" / work.FILE).write_bytes(b"x")
    if status is not None:
        made.finish(status, "it broke" if status == "FAILED" else "")
    else:
        made._release()  # as a process that died
    return made.id


def _ended(task: Task, process: subprocess.Popen) -> str:
    (task.directory / "go").touch()
    process.wait(20)
    return (task.directory / "words").read_text()


def test_a_cell_without_a_run_is_begun_and_its_process_holds_the_lock_for_whoever_comes(task):
    found = begin(task)
    assert found.finding is Finding.BEGUN
    assert begin(task).finding is Finding.BUSY
    assert _ended(task, found.process) == "fit --z"
    Handed(task.lock).let_go()
    assert task.log.read_text().startswith("# ")


def test_a_finished_run_is_left_alone(task):
    run = _run(task, status="FINISHED")
    found = begin(task)
    assert (found.finding, found.process, found.record.id) == (Finding.FINISHED, None, run)
    assert find_run(run, uri=task.uri).tags["axis"] == "1"
    assert do(task) == (Finding.FINISHED, 0)


def test_a_run_that_was_made_by_hand_and_is_finished_is_taken_in(task):
    run = _run(task, parent=None, status="FINISHED")
    assert begin(task).finding is Finding.FINISHED
    assert find_run(run, uri=task.uri).tags[PARENT] == task.parent


def test_but_one_that_is_not_finished_is_left_alone(task):
    run = _run(task, parent=None, checkpoint=True, status="KILLED")
    found = begin(task)
    assert found.finding is Finding.BEGUN
    _ended(task, found.process)
    assert run in {each.id for each in find_runs("grids", uri=task.uri)}


@pytest.mark.parametrize("status", ["KILLED", "FAILED", None])
def test_a_run_with_a_checkpoint_is_gone_on_with(task, status):
    run = _run(task, checkpoint=True, status=status)
    found = begin(task)
    assert found.finding is Finding.RESUMED
    assert _ended(task, found.process) == f"fit --resume {run} --device cpu"


def test_a_run_without_one_is_set_aside_and_another_begun(task):
    run = _run(task, status="FAILED")
    found = begin(task)
    assert found.finding is Finding.BEGUN
    assert _ended(task, found.process) == "fit --z"
    assert run not in {each.id for each in find_runs("grids", uri=task.uri)}


def test_a_run_of_another_grid_is_not_touched(task):
    other = TrackedRun.start(uri=task.uri, experiment="grids", name="other", parameters={}, tags={})
    other.finish()
    run = _run(task, parent=other.id, status="KILLED")
    found = begin(task)
    _ended(task, found.process)
    assert found.finding is Finding.BEGUN
    assert run in {each.id for each in find_runs("grids", uri=task.uri)}


@pytest.mark.parametrize("anywhere", [False, True])
def test_a_finished_trial_of_another_grid_counts_and_stays_where_it_is(task, anywhere):
    other = TrackedRun.start(uri=task.uri, experiment="grids", name="other", parameters={}, tags={})
    other.finish()
    made = TrackedRun.start(
        **{"uri": task.uri, "experiment": "grids", "name": "r", "parameters": {}, "parent": other.id},
        tags={"configuration": task.identity},
    )
    made.finish()
    task = task._replace(anywhere=anywhere)
    found = begin(task)
    if not anywhere:
        _ended(task, found.process)
    assert found.finding is (Finding.FINISHED if anywhere else Finding.BEGUN)
    kept = find_run(made.id, uri=task.uri)
    assert (kept.tags[PARENT], "axis" in kept.tags) == (other.id, False)


def test_a_run_that_is_resumed_by_hand_is_waited_for(task):
    run = _run(task, checkpoint=True, status="KILLED")
    lock = folder_of(find_run(run, uri=task.uri)) / "lock"
    script = f"from pyro_vrnn.tracking.locks import Ownership as O; o = O({str(lock)!r}); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as by_hand:
        by_hand.stdout.readline()
        assert begin(task).finding is Finding.BUSY
        by_hand.kill()
    found = begin(task)
    assert found.finding is Finding.RESUMED
    _ended(task, found.process)


def test_a_run_whose_process_died_without_a_word_is_ended_and_the_reason_is_its_last_line(task):
    run = _run(task)
    task.folder.mkdir(exist_ok=True)
    task.log.write_text("begun\npyro-vrnn: no space left\n")
    assert settle(task, 2) == "no space left"
    assert find_run(run, uri=task.uri).status == "KILLED"
    assert finished(task) is None


def test_a_process_that_was_killed_says_by_what(task):
    _run(task)
    assert settle(task, -9) == "was killed by SIGKILL"


def test_the_reason_of_a_failure_is_the_one_the_run_keeps(task):
    _run(task, status="FAILED")
    assert settle(task, 1) == "it broke"


def test_a_lock_ends_with_the_last_process_that_holds_it(tmp_path):
    lock = Handed(tmp_path / "lock")
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock.descriptor])
    lock.let_go()
    with pytest.raises(BlockingIOError):
        Handed(tmp_path / "lock")
    child.kill()
    child.wait()
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            Handed(tmp_path / "lock").let_go()
            return
        except BlockingIOError:
            time.sleep(0.01)
    pytest.fail("the lock outlived its last holder")
